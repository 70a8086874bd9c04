//! What surrounds a clone or a push so that the next clone is quick: the pack cache and the
//! repository's upkeep.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::SiteName;

use crate::fault::{Fault, OrFault};
use crate::site::packs::PackCache;
use crate::site::upkeep::{self, Upkeep};
use crate::site::{Sites, blocking};

/// The pack cache and the upkeep of all sites.
#[derive(Debug)]
pub(super) struct Packs {
    cache: PackCache,
    upkeep: Upkeep,
    hook: Option<PathBuf>,
}

impl Packs {
    /// `hooks` is the folder that holds our hooks; `quiet` is how long a repository is left alone
    /// before it is packed anew.
    pub(super) fn new(cache: PackCache, hooks: &Path, quiet: Duration) -> Self {
        let hook = hooks.join(::hooks::PACK_OBJECTS);
        let plain = is_plain(&hook);
        if !plain {
            tracing::warn!(
                "clones are not cached: git would need a shell to run {}",
                hook.display()
            );
        }
        Self {
            cache,
            upkeep: Upkeep::new(quiet),
            hook: plain.then_some(hook),
        }
    }

    /// Has an upload-pack use the cache. Git takes the setting from the command line only, never
    /// from a repository.
    pub(super) fn serve(&self, command: &mut std::process::Command, site: &SiteName) {
        let Some(hook) = &self.hook else {
            return;
        };
        let Some(room) = self.cache.room(site) else {
            return;
        };
        command
            .arg("-c")
            .arg(format!("uploadpack.packObjectsHook={}", hook.display()))
            .env(::hooks::PACK_FOLDER_VARIABLE, room.folder)
            .env(::hooks::PACK_MOST_VARIABLE, room.most.to_string());
    }

    /// Tidies up after git has ended; in the background, for nobody waits for it. Packing waits for
    /// the site to be left alone: it would take the processor from the next clone or push, and
    /// a run of pushes needs it once.
    pub(super) fn after(self: &Arc<Self>, sites: &Sites, site: &SiteName) {
        let (this, site) = (Arc::clone(self), site.clone());
        let repository = sites.layout.site(&site).repository();
        let nobody_waits = self.upkeep.used(&site, Instant::now());
        tokio::spawn(async move {
            let cache = Arc::clone(&this);
            if let Err(fault) = blocking(move || cache.cache.trim()).await {
                tracing::warn!("trimming the pack cache: {fault}");
            }
            if !nobody_waits {
                return;
            }
            while let Some(left) = this.upkeep.left_to_wait(&site, Instant::now()) {
                tokio::time::sleep(left).await;
            }
            if let Err(fault) = this.pack_anew(&site, &repository).await {
                tracing::warn!("packing {site} anew: {fault}");
            }
        });
    }

    async fn pack_anew(&self, site: &SiteName, repository: &Path) -> Result<(), Fault> {
        let Some(turn) = self.upkeep.turn(site, repository)? else {
            return Ok(());
        };
        let doing = || "running git repack";
        // Ends with the gateway; what it leaves half-done is swept at the next start.
        let mut command: tokio::process::Command = upkeep::command(repository).into();
        let output = command.kill_on_drop(true).output().await.or_fault(doing)?;
        if !output.status.success() {
            let said = policy::escape(output.stderr.trim_ascii()).replace("\\n", "; ");
            return Err(Fault::new(format!("{}: {said}", output.status)));
        }
        turn.done();
        tracing::debug!(%site, "packed anew");
        Ok(())
    }
}

/// Whether git runs a program of this path itself: with any of these in it, it calls a shell
/// (`run_command` of git, as for each configured command).
fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    path.to_str().is_some()
        && !bytes
            .iter()
            .any(|byte| b"|&;<>()$`\\\"' \t\n*?[#~=%".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_shell_would_read_otherwise_is_not_plain() {
        assert!(is_plain(Path::new("/var/lib/funicular/hooks/pack-objects")));
        for path in ["/a b/pack-objects", "/a$b/x", "/a=b/x", "/a'b/x"] {
            assert!(!is_plain(Path::new(path)), "{path}");
        }
    }
}
