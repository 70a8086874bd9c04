//! The log of a workflow as a file, which people also read in `/logs` over SFTP.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Entry;
use crate::crash;
use crate::fault::{Fault, OrFault};
use crate::site::layout::EnvironmentLayout;

/// A log that is being written.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    left: u64,
}

/// The longest log, in bytes: a step that writes without end fills no disk.
const LONGEST: u64 = 8 << 20;

/// What a log has instead of all that follows.
const CUT: &str = "- | The log is full; what follows is not kept.\n";

impl LogFile {
    pub(super) fn create(environment: &EnvironmentLayout, id: &str) -> Result<Self, Fault> {
        let path = path(environment, id);
        let doing = || format!("making the log {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).or_fault(doing)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .or_fault(doing)?;
        crash::point("log-made");
        Ok(Self {
            file,
            left: LONGEST,
        })
    }

    /// A log that cannot be written stops no workflow: what happened is in the state and the audit.
    pub(super) fn append(&mut self, entry: &Entry) {
        let line = entry.logged();
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let written = if self.left >= length {
            self.left -= length;
            self.file.write_all(line.as_bytes())
        } else if self.left > 0 {
            self.left = 0;
            self.file.write_all(CUT.as_bytes())
        } else {
            Ok(())
        };
        if let Err(error) = written {
            tracing::warn!("a log of a workflow: {error}");
            self.left = 0;
        }
    }
}

/// The log of a workflow that has ended.
#[derive(Debug)]
pub enum PastLog {
    /// Its lines.
    Kept(String),
    /// There is none any more.
    Gone,
}

/// Reads the log of a workflow that has ended.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read(environment: &EnvironmentLayout, id: &str) -> Result<PastLog, Fault> {
    let path = path(environment, id);
    match fs::read(&path) {
        Ok(bytes) => Ok(PastLog::Kept(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(PastLog::Gone),
        Err(error) => Err(error).or_fault(|| format!("reading the log {}", path.display())),
    }
}

/// Removes the oldest logs of an environment; their names sort by time.
pub(super) fn rotate(environment: &EnvironmentLayout, keep: usize) {
    let folder = folder(environment);
    let Ok(entries) = fs::read_dir(&folder) else {
        return;
    };
    let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    let surplus = names.len().saturating_sub(keep);
    for old in names.iter().take(surplus) {
        crash::point("log-removed");
        if let Err(error) = fs::remove_file(old) {
            tracing::warn!("removing the old log {}: {error}", old.display());
        }
    }
}

fn folder(environment: &EnvironmentLayout) -> PathBuf {
    environment.logs().join("workflows")
}

fn path(environment: &EnvironmentLayout, id: &str) -> PathBuf {
    folder(environment).join(Path::new(id).with_extension("log"))
}
