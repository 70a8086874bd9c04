//! The log of a workflow as a file, which people also read in `/logs` over SFTP.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use policy::Environment;

use super::Entry;
use crate::crash;
use crate::fault::{Fault, OrFault};
use crate::site::layout::{EnvironmentLayout, SiteLayout};

/// A log that is being written.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    left: u64,
}

/// The longest log, in bytes: a step that writes without end fills no disk.
const LONGEST: u64 = 8 << 20;

/// So many logs of environments that are gone are kept of a site.
const MOST_OUTLIVED: usize = 200;

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
pub fn read(site: &SiteLayout, environment: &Environment, id: &str) -> Result<PastLog, Fault> {
    for path in [path(&site.environment(environment), id), outlived(site, id)] {
        match fs::read(&path) {
            Ok(bytes) => return Ok(PastLog::Kept(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).or_fault(|| format!("reading the log {}", path.display()));
            }
        }
    }
    Ok(PastLog::Gone)
}

/// Keeps the log of a workflow whose environment goes away with its logs. What is still written to it
/// is in both places.
pub(in crate::site) fn outlive(site: &SiteLayout, environment: &EnvironmentLayout, id: &str) {
    let kept = fs::create_dir_all(site.logs())
        .and_then(|()| fs::hard_link(path(environment, id), outlived(site, id)));
    if let Err(error) = kept {
        tracing::warn!("the log of workflow {id} goes with its environment: {error}");
    }
    remove_oldest(&site.logs(), MOST_OUTLIVED);
}

/// Removes the oldest logs of an environment; their names sort by time.
pub(super) fn rotate(environment: &EnvironmentLayout, keep: usize) {
    remove_oldest(&folder(environment), keep);
}

fn remove_oldest(folder: &Path, keep: usize) {
    let Ok(entries) = fs::read_dir(folder) else {
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

fn outlived(site: &SiteLayout, id: &str) -> PathBuf {
    site.logs().join(Path::new(id).with_extension("log"))
}

fn folder(environment: &EnvironmentLayout) -> PathBuf {
    environment.logs().join("workflows")
}

fn path(environment: &EnvironmentLayout, id: &str) -> PathBuf {
    folder(environment).join(Path::new(id).with_extension("log"))
}
