//! How restic is run: as a child with a clean environment, behind other work of the machine. It is the
//! only one that knows the repository's format, so that an administrator can read the backups with
//! restic alone.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Command;

use nix::sys::statvfs::statvfs;

use super::child::{self, Around, Ended, Feed};
use super::lines::Lines;
use super::repository::{Nobody, Repository, Stored};
use crate::database::{Trouble, Watcher};
use crate::fault::{Fault, OrFault};
use crate::site::git::REPOSITORY_VARIABLE;

impl Repository {
    /// Whether the disk has less free than it is to keep.
    pub(super) fn is_almost_full(&self) -> bool {
        statvfs(&self.above).is_ok_and(|disk| {
            disk.blocks_available().saturating_mul(disk.fragment_size()) < self.keep_free
        })
    }

    pub(super) fn command(&self) -> Command {
        self.command_on(&self.folder())
    }

    pub(super) fn command_on(&self, repository: &Path) -> Command {
        let path =
            std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let mut command = Command::new("nice");
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C.UTF-8")
            .env("TMPDIR", self.scratch())
            // Lines of its progress a second.
            .env("RESTIC_PROGRESS_FPS", "1")
            // By it a restic is known that outlived its gateway.
            .env(REPOSITORY_VARIABLE, self.folder())
            .args(["-n", "10"])
            .arg(&self.program)
            .args(["--json", "--no-cache", "--repo"])
            .arg(repository)
            .arg("--password-file")
            .arg(self.password())
            .current_dir("/");
        command
    }

    pub(super) fn succeed(
        &self,
        doing: &str,
        command: Command,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let ended = self.run(command, None, take, &Nobody)?;
        if ended.status.success() {
            Ok(())
        } else {
            Err(self.failed(doing, &ended))
        }
    }

    pub(super) fn run(
        &self,
        command: Command,
        feed: Option<Feed<'_>>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Trouble>,
        watcher: &dyn Watcher,
    ) -> Result<Ended, Trouble> {
        if !is_there(&self.program) {
            return Err(Trouble::Refused(missing(&self.program)));
        }
        let scratch = self.scratch();
        if !scratch.exists() {
            let made = fs::DirBuilder::new().mode(0o700).create(&scratch);
            made.or_fault(|| format!("making {}", scratch.display()))?;
        }
        let writes = command
            .get_args()
            .any(|word| word == OsStr::new("backup") || word == OsStr::new("restore"));
        let look = || {
            if watcher.stopped() {
                return Err(Trouble::Stopped);
            }
            if writes && self.is_almost_full() {
                return Err(Trouble::Refused(self.full()));
            }
            Ok(())
        };
        look()?;
        child::run(command, feed, &mut Around { take, look: &look })
    }

    /// Says that there is no room.
    pub(super) fn full(&self) -> String {
        format!(
            "No space is left on the server: less than {} would be free, so nothing was kept. Its \
             administrator can make room, or set backups.keep_free_bytes.",
            bytes(self.keep_free)
        )
    }

    pub(super) fn summed(
        &self,
        command: Command,
        feed: Option<Feed<'_>>,
        watcher: &dyn Watcher,
        what: &str,
    ) -> Result<(Option<Stored>, Ended), Trouble> {
        let (mut lines, mut stored) = (Lines::default(), None);
        let mut take = |said: &[u8]| {
            lines.take(said, &mut |line| match line.message_type.as_str() {
                "status" => watcher.at(line.bytes_done, what),
                "summary" => {
                    stored = Some(Stored {
                        files: line.total_files_processed,
                        bytes: line.total_bytes_processed,
                        added: line.data_added,
                        empty: false,
                    });
                }
                _other => {}
            });
            Ok(())
        };
        let ended = self.run(command, feed, &mut take, watcher)?;
        Ok((stored, ended))
    }

    pub(super) fn failed(&self, doing: &str, ended: &Ended) -> Trouble {
        let complaint = &ended.complaint;
        if DAMAGE.iter().any(|words| complaint.contains(words)) {
            tracing::error!("{} is damaged: {complaint}", self.folder().display());
            return Trouble::Refused(damaged(complaint));
        }
        let text = policy::escape(complaint.trim().as_bytes()).replace("\\n", "; ");
        let text: String = text.chars().take(2000).collect();
        Fault::new(format!(
            "{doing}: restic ended with {}: {text}",
            ended.status
        ))
        .into()
    }
}

/// How restic says that its own files are not what it wrote.
const DAMAGE: [&str; 8] = [
    "ciphertext verification failed",
    "invalid data returned",
    "does not match id",
    "pack file cannot be listed",
    "unable to load index",
    "not found in the index",
    "not found in repository",
    "wrong password or no key found",
];

/// Returns whether a failure came from a lock of another restic's.
pub(super) fn is_locked(text: &str) -> bool {
    text.contains("already locked") || text.contains("unable to create lock")
}

pub(super) fn damaged(complaint: &str) -> String {
    let lines = complaint.lines().filter(|line| !line.trim().is_empty());
    let shown: Vec<&str> = lines.take(3).collect();
    let shown: String = shown.join("; ").chars().take(500).collect();
    format!(
        "The backups of this site are damaged, so nothing was changed; the server's administrator \
         has to look at them with `restic check` (docs/backups.md). restic says: {}",
        policy::escape(shown.as_bytes())
    )
}

pub(super) fn missing(program: &Path) -> String {
    format!(
        "Backups need restic, and this server has no program '{}'. Its administrator can install it: \
         apt-get install restic.",
        program.display()
    )
}

pub(super) fn too_old(program: &Path) -> String {
    format!(
        "Backups need restic 0.14 or newer, and '{}' is older. The server's administrator can \
         install a newer one, and name it in the configuration as backups.program.",
        program.display()
    )
}

/// Returns true if a program can be found.
pub(super) fn is_there(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A number of bytes for people.
pub(super) fn bytes(number: u64) -> String {
    let mut unit = "bytes";
    let mut value = number;
    let mut rest = 0;
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024 {
            break;
        }
        (rest, value, unit) = (value % 1024 * 10 / 1024, value / 1024, larger);
    }
    if unit == "bytes" || value >= 100 {
        format!("{value} {unit}")
    } else {
        format!("{value}.{rest} {unit}")
    }
}
