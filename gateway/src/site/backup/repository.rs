//! A repository of restic's, and what is asked of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::child::Feed;
use super::lines::{Lines, unread};
use super::restic::{damaged, is_locked};
use crate::database::{Trouble, Watcher};
use crate::fault::{Fault, OrFault};
use crate::state::FilesBackup;

/// A repository.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    /// The program.
    pub program: PathBuf,
    /// The folder that it and its password are in.
    pub above: PathBuf,
    /// What must stay free on the disk, in bytes.
    pub keep_free: u64,
}

/// What a snapshot came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What it added to the repository, in bytes.
    pub added: u64,
    /// The folder has nothing in it, of which restic makes no snapshot.
    pub empty: bool,
}

/// A snapshot.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Snapshot {
    /// Its id, whole.
    pub id: String,
    /// What it was marked with.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// One that nobody follows, and that nobody stops.
pub(super) struct Nobody;

impl Watcher for Nobody {
    fn at(&self, _bytes: u64, _what: &str) {}
    fn stopped(&self) -> bool {
        false
    }
}

/// restic's status where a snapshot was made, but some of what was to be in it could not be read.
const INCOMPLETE: i32 = 3;
impl Repository {
    /// Returns the repository's folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.above.join("backups.restic")
    }

    /// Returns the file that its password is in.
    pub(super) fn password(&self) -> PathBuf {
        self.above.join("backups.password")
    }

    /// Returns where restic puts what it has not stored yet.
    pub(super) fn scratch(&self) -> PathBuf {
        self.above.join("backups.tmp")
    }

    /// Returns true if there is one.
    pub(super) fn exists(&self) -> bool {
        self.folder().join("config").exists()
    }

    /// Keeps what is in a folder as a snapshot. `former` is one of the same, against which only what
    /// has changed is read again.
    ///
    /// # Errors
    /// [`Trouble::Refused`] naming what cannot be read. What goes away meanwhile is no error.
    pub(super) fn keep(
        &self,
        folder: &Path,
        tags: &[String],
        former: Option<&str>,
        watcher: &dyn Watcher,
    ) -> Result<Stored, Trouble> {
        let mut command = self.command();
        command
            .current_dir(folder)
            .args(["backup", "--host", HOST])
            .args(marked(tags));
        if let Some(former) = former {
            command.args(["--parent", former]);
        }
        // So the folder's own name, which changes, is in no path.
        command.arg(".");
        let (stored, ended) = self.summed(command, None, watcher, "files")?;
        match ended.status.code() {
            Some(0) => {}
            Some(INCOMPLETE) => {
                let unread = unread(&ended.complaint, folder);
                if !unread.is_empty() {
                    return Err(Trouble::Refused(format!(
                        "The backup was not kept, since it would lack what the gateway may not \
                         read: {}.",
                        unread.join(", ")
                    )));
                }
            }
            _other if ended.complaint.contains("snapshot is empty") => {
                return Ok(Stored {
                    empty: true,
                    ..Stored::default()
                });
            }
            _other => return Err(self.failed("making a backup", &ended)),
        }
        stored.ok_or_else(|| Fault::new("restic has made a backup and said nothing").into())
    }

    /// Keeps what `feed` writes as a snapshot of one file.
    ///
    /// # Errors
    /// Those of `feed`; there is no snapshot then.
    pub(super) fn keep_stream(
        &self,
        name: &str,
        tags: &[String],
        feed: Feed<'_>,
        watcher: &dyn Watcher,
    ) -> Result<Stored, Trouble> {
        let mut command = self.command();
        command
            .args([
                "backup",
                "--host",
                HOST,
                "--stdin",
                "--stdin-filename",
                name,
            ])
            .args(marked(tags));
        let (stored, ended) = self.summed(command, Some(feed), watcher, name)?;
        if !ended.status.success() {
            return Err(self.failed("making a backup", &ended));
        }
        stored.ok_or_else(|| Fault::new("restic has made a backup and said nothing").into())
    }

    /// Returns the snapshots with these marks, the oldest first.
    ///
    /// # Errors
    /// When the repository cannot be read.
    pub(super) fn snapshots(&self, tags: &[String]) -> Result<Vec<Snapshot>, Trouble> {
        let mut command = self.command();
        command.arg("snapshots").args(marked(tags));
        let mut said = Vec::new();
        self.succeed("listing backups", command, &mut |bytes| {
            said.extend_from_slice(bytes);
            Ok(())
        })?;
        let found: Option<Vec<Snapshot>> =
            serde_json::from_slice(&said).or_fault(|| "reading what restic lists")?;
        Ok(found.unwrap_or_default())
    }

    /// Writes one file of a snapshot, or all of it as a tar archive for the path `/`.
    ///
    /// # Errors
    /// When it cannot be read, which for a damaged repository it says, or `take` fails.
    pub(super) fn read(
        &self,
        snapshot: &str,
        path: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Trouble>,
        watcher: &dyn Watcher,
    ) -> Result<(), Trouble> {
        let mut command = self.command();
        command.args(["dump", snapshot, path]);
        let ended = self.run(command, None, take, watcher)?;
        if ended.status.success() {
            Ok(())
        } else {
            Err(self.failed("reading a backup", &ended))
        }
    }

    /// Returns the paths that the first snapshot has and the second one has not.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn only_in_first(&self, first: &str, second: &str) -> Result<Vec<String>, Trouble> {
        let mut command = self.command();
        command.args(["diff", first, second]);
        let mut paths = Vec::new();
        let mut lines = Lines::default();
        self.succeed("comparing backups", command, &mut |bytes| {
            lines.take(bytes, &mut |line| {
                if line.message_type == "change" && line.modifier == "-" {
                    paths.push(line.path.trim_end_matches('/').to_owned());
                }
            });
            Ok(())
        })?;
        Ok(paths)
    }

    /// Writes what a snapshot has into a folder, all or what lies at the given paths.
    ///
    /// # Errors
    /// When anything of it cannot be read or written.
    pub(super) fn restore(
        &self,
        snapshot: &str,
        only: &[String],
        target: &Path,
        watcher: &dyn Watcher,
    ) -> Result<(), Trouble> {
        let mut command = self.command();
        command.args(["restore", snapshot, "--target"]).arg(target);
        for path in only {
            command.arg("--include").arg(plain(path));
        }
        let ended = self.run(command, None, &mut |_said| Ok(()), watcher)?;
        if ended.status.success() {
            Ok(())
        } else {
            Err(self.failed("restoring a backup", &ended))
        }
    }

    /// Removes snapshots; what only they had is removed by [`Repository::prune`].
    ///
    /// # Errors
    /// When they cannot be removed.
    pub(super) fn forget(&self, snapshots: &[String]) -> Result<(), Trouble> {
        if snapshots.is_empty() {
            return Ok(());
        }
        let mut command = self.command();
        command.arg("forget").args(snapshots);
        self.succeed("removing backups", command, &mut |_said| Ok(()))
    }

    /// Gives back the room of what no snapshot has any more, and of what a killed restic has left.
    ///
    /// # Errors
    /// When it cannot.
    pub(super) fn prune(&self) -> Result<(), Trouble> {
        let mut command = self.command();
        command.args(["prune", "--max-unused", "10%"]);
        self.succeed("clearing backups", command, &mut |_said| Ok(()))
    }

    /// Removes the locks of killed ones; those of one that runs stay.
    ///
    /// # Errors
    /// When it cannot.
    pub(super) fn unlock(&self) -> Result<(), Trouble> {
        let mut command = self.command();
        command.arg("unlock");
        self.succeed("unlocking backups", command, &mut |_said| Ok(()))
    }

    /// Checks that all is there, and reads a part of it.
    ///
    /// # Errors
    /// [`Trouble::Refused`] saying what is wrong.
    pub(super) fn check(&self, percent: u32) -> Result<(), Trouble> {
        let mut command = self.command();
        command.args(["check", &format!("--read-data-subset={percent}%")]);
        // Whoever could remove anything meanwhile is kept out by our own turns.
        command.arg("--no-lock");
        let mut said = String::new();
        let mut take = |bytes: &[u8]| {
            said.push_str(&String::from_utf8_lossy(bytes));
            Ok(())
        };
        let ended = self.run(command, None, &mut take, &Nobody)?;
        match ended.status.success() {
            true => Ok(()),
            false if is_locked(&ended.complaint) => Err(self.failed("checking backups", &ended)),
            false => Err(Trouble::Refused(damaged(&ended.complaint))),
        }
    }
}

/// What all snapshots say of the machine, so that a new name of it changes nothing.
const HOST: &str = "funicular";

fn marked(tags: &[String]) -> Vec<String> {
    match tags {
        [] => Vec::new(),
        tags => vec!["--tag".to_owned(), tags.join(",")],
    }
}

/// A path as a pattern that matches nothing else (Go's filepath.Match).
fn plain(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for character in path.chars() {
        if "*?[]\\".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// What the repository takes on the disk, in bytes.
///
/// # Errors
/// When it cannot be looked at.
pub(super) fn size(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(about) if about.is_dir() => left.push(entry.path()),
                Ok(about) => total += about.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(total)
}

/// The two snapshots of files that belong together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapshots<'a> {
    /// The one before the database's, if there is one.
    pub before: Option<&'a str>,
    /// The one after it.
    pub after: &'a str,
}

impl<'a> Snapshots<'a> {
    /// Returns those of a backup.
    pub(super) fn of(files: &'a FilesBackup) -> Self {
        Self {
            before: files.before.as_deref(),
            after: &files.snapshot,
        }
    }
}

impl Repository {
    /// Returns what was there before the database was kept and was gone after that: rows may name it.
    ///
    /// # Errors
    /// When it cannot be found out.
    pub(super) fn lost(&self, snapshots: Snapshots<'_>) -> Result<Vec<String>, Trouble> {
        match snapshots.before {
            Some(before) => self.only_in_first(before, snapshots.after),
            None => Ok(Vec::new()),
        }
    }
}
