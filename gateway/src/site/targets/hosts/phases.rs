//! What is done on one host: prepare beside, switch, return.

use std::path::Path;
use std::time::Duration;

use super::ssh::{self, Keys};
use crate::state::Host;

/// One host and the way to it.
pub(super) struct Way<'a> {
    pub host: &'a Host,
    pub keys: &'a Keys,
    pub unwanted: &'a (dyn Fn() -> bool + Sync),
}

/// Follows what a release's name begins with.
const HALF: &str = ".part";

impl Way<'_> {
    /// Writes a release beside the one that runs, durably, and removes those that are older than what
    /// is kept. Returns the name of the one that runs.
    pub(super) fn prepare(&self, code: &Path, release: &str) -> Result<Option<String>, String> {
        let half = format!("releases/{release}{HALF}");
        let running = self.run(&format!(
            "mkdir -p releases files && rm -rf {half} && mkdir {half} || exit 1; \
             if test -L current; then readlink current; \
             elif test -e current; then echo \"current is there and no symbolic link\" >&2; exit 1; fi"
        ))?;
        let former = match running.trim() {
            "" => None,
            link => Some(
                link.strip_prefix("releases/")
                    .filter(|name| is_release(name))
                    .ok_or_else(|| {
                        format!(
                            "its link \"current\" leads to {}, and not to a release",
                            policy::escape(link.as_bytes())
                        )
                    })?
                    .to_owned(),
            ),
        };
        let before = former.as_ref().map(|former| format!("releases/{former}"));
        ssh::copy(
            self.host,
            self.keys,
            (code, &format!("{half}/code")),
            before.as_deref(),
            self.limit(),
            self.unwanted,
        )?;
        // Synced before it has its name, and its name before anything points to it.
        self.run(&format!(
            "ln -s ../../files {half}/files && {} && mv -T {half} releases/{release} && {} || exit 1; {}",
            synced(&half),
            synced_names("releases"),
            self.pruning(release)
        ))?;
        Ok(former)
    }

    /// What removes releases that are older than what is kept, and what was left half-made, but never
    /// what runs. Names are GENERATION-ID, and ids grow with time. Its failure is none of the release.
    fn pruning(&self, release: &str) -> String {
        format!(
            "runs=$(readlink current); cd releases || exit 1; \
             for old in $(ls | sort -t- -k2 -r | tail -n +{}) *{HALF}; do \
             test releases/\"$old\" = \"$runs\" || test \"$old\" = {release} || rm -rf -- \"$old\"; \
             done; true",
            self.host.keep.max(2) + 1
        )
    }

    /// Has the host run a release, by one rename.
    pub(super) fn switch(&self, release: &str) -> Result<(), String> {
        self.run(&format!(
            "test -d releases/{release}/code && {}",
            point(release)
        ))
        .map(|_| ())
    }

    /// Has the host run again what it ran before `release`. That one goes away with the next release
    /// if visitors may be reading it, else at once.
    pub(super) fn turn_back(&self, release: &str, former: Option<&str>) -> Result<(), String> {
        let back = former.map_or_else(|| "rm -f current".to_owned(), point);
        self.run(&format!(
            "if test \"$(readlink current)\" = releases/{release}; then {back}; else \
             rm -rf releases/{release} releases/{release}{HALF}; fi"
        ))
        .map(|_| ())
    }

    /// Says whether all that is needed is there.
    pub(super) fn try_it(&self) -> Result<String, String> {
        let said = self.run(
            "mkdir -p releases files && rm -rf releases/try.part && \
             mkdir releases/try.part && ln -s x releases/try.part/a && \
             mv -T releases/try.part/a releases/try.part/b && rm -rf releases/try.part && \
             rsync --version | head -n 1",
        )?;
        Ok(super::program::one_line(&said))
    }

    fn run(&self, script: &str) -> Result<String, String> {
        ssh::script(self.host, self.keys, script, self.limit(), self.unwanted)
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.host.seconds)
    }
}

fn is_release(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Turns the pointer, durably.
fn point(release: &str) -> String {
    format!(
        "rm -f current.new && ln -s releases/{release} current.new && mv -T current.new current && {}",
        synced_names(".")
    )
}

/// Syncs a file system, or the folder alone whose names have changed; older systems sync everything.
fn synced(what: &str) -> String {
    format!("{{ sync -f {what} 2>/dev/null || sync; }}")
}

fn synced_names(folder: &str) -> String {
    format!("{{ sync {folder} 2>/dev/null || sync; }}")
}
