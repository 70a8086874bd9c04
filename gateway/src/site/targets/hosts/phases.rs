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
    /// Writes a release beside the one that runs, durably. Returns the name of the one that runs.
    pub(super) fn prepare(&self, code: &Path, release: &str) -> Result<Option<String>, String> {
        let running = self.run(
            "mkdir -p releases files || exit 1; \
             if test -L current; then readlink current; \
             elif test -e current; then echo \"current is there and no symbolic link\" >&2; exit 1; fi",
        )?;
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
        let half = format!("releases/{release}{HALF}");
        let before = former.as_ref().map(|former| format!("releases/{former}"));
        self.run(&format!("rm -rf {half} && mkdir {half}"))?;
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
            "ln -s ../../files {half}/files && {} && mv -T {half} releases/{release} && {}",
            synced(&half),
            synced("releases")
        ))?;
        self.prune(release);
        Ok(former)
    }

    /// Has the host run a release, by one rename.
    pub(super) fn switch(&self, release: &str) -> Result<(), String> {
        self.run(&format!(
            "test -d releases/{release}/code && {}",
            point(release)
        ))
        .map(|_| ())
    }

    /// Removes what is older than what is kept, and what was left half-made; never what runs. Names
    /// are GENERATION-ID, and ids grow with time.
    fn prune(&self, release: &str) {
        let kept = self.host.keep.max(2);
        let pruned = self.run(&format!(
            "runs=$(readlink current); cd releases && \
             for old in $(ls | sort -t- -k2 -r | tail -n +{}) *{HALF}; do \
             test releases/\"$old\" = \"$runs\" || test \"$old\" = {release} || rm -rf -- \"$old\"; \
             done",
            kept + 1
        ));
        if let Err(why) = pruned {
            tracing::warn!(host = %self.host.host, "old releases were not removed: {why}");
        }
    }

    /// Has the host run again what it ran before `release`, and removes that.
    pub(super) fn turn_back(&self, release: &str, former: Option<&str>) -> Result<(), String> {
        let back = former.map_or_else(|| "rm -f current".to_owned(), point);
        self.run(&format!(
            "if test \"$(readlink current)\" = releases/{release}; then {back} || exit 1; fi; \
             rm -rf releases/{release} releases/{release}{HALF}"
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
        synced(".")
    )
}

/// Older systems sync everything or nothing.
fn synced(what: &str) -> String {
    format!("{{ sync -f {what} 2>/dev/null || sync; }}")
}
