//! Remembers what files held when they were last read, in the form of a git index, so that a tree
//! is compared without reading it again. Losing it costs only time.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{Index, IndexEntry, IndexTime, Oid};
use jiff::Timestamp;
use nix::sys::stat::FileStat;

use super::memo;
use crate::audit::IncidentId;
use crate::fault::{Fault, OrFault};
use crate::site::contents::Kind;
use crate::site::scan::Found;

/// What files held, as far as their descriptions have not changed since. Asked in the order of paths.
pub(super) struct Cache {
    path: PathBuf,
    known: Arc<Vec<IndexEntry>>,
    /// How many of those known were passed.
    passed: usize,
    /// Which of those known are so still.
    right: Vec<usize>,
    learned: Vec<IndexEntry>,
    started: Timestamp,
}

impl Cache {
    /// Reads the cache; one that is missing or damaged is empty.
    pub(super) fn load(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            known: memo::index(path),
            passed: 0,
            right: Vec::new(),
            learned: Vec::new(),
            started: Timestamp::now(),
        }
    }

    /// Returns what a file holds, if that is known.
    pub(super) fn get(&mut self, found: &Found, kind: Kind) -> Option<Oid> {
        let known = loop {
            let known = self.known.get(self.passed)?;
            match known.path.cmp(&found.path) {
                Ordering::Less => self.passed += 1,
                Ordering::Equal => break known,
                Ordering::Greater => return None,
            }
        };
        if key(&entry(found, kind, Oid::ZERO_SHA1)) != key(known) {
            return None;
        }
        self.right.push(self.passed);
        Some(known.id)
    }

    /// Learns what a file held when it was described as it was found.
    pub(super) fn put(&mut self, found: &Found, kind: Kind, oid: Oid) {
        // A change within the same tick of the clock would leave the description as it is.
        let settled = self.started.as_second().saturating_sub(1);
        if found.stat.st_ctime < settled && found.stat.st_mtime < settled {
            let mut entry = entry(found, kind, oid);
            entry.path.clone_from(&found.path);
            self.learned.push(entry);
        }
    }

    /// Writes the cache for the next time.
    pub(super) fn save(self) {
        if self.learned.is_empty() && self.right.len() == self.known.len() {
            return;
        }
        if let Err(fault) = self.write() {
            tracing::warn!("the next comparison will be slow: {fault}");
        }
    }

    fn write(self) -> Result<(), Fault> {
        let doing = || "keeping what a code tree holds";
        // Another comparison may write at the same time; the last one wins, and both are right.
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{}", IncidentId::new(self.started)));
        let temporary = PathBuf::from(name);
        let mut fresh = self.learned;
        for place in self.right {
            fresh.extend(self.known.get(place).map(again));
        }
        fresh.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let mut index = Index::open(&temporary).or_fault(doing)?;
        for entry in &fresh {
            // A name that git does not take is compared by its content each time.
            let _ = index.add(entry);
        }
        index.write().or_fault(doing)?;
        fs::rename(&temporary, &self.path).or_fault(doing)
    }
}

fn entry(found: &Found, kind: Kind, oid: Oid) -> IndexEntry {
    let FileStat {
        st_dev,
        st_ino,
        st_uid,
        st_gid,
        st_size,
        ..
    } = found.stat;
    IndexEntry {
        ctime: time(found.stat.st_ctime, found.stat.st_ctime_nsec),
        mtime: time(found.stat.st_mtime, found.stat.st_mtime_nsec),
        dev: low(st_dev),
        ino: low(st_ino),
        mode: kind.mode(),
        uid: st_uid,
        gid: st_gid,
        file_size: low(st_size.unsigned_abs()),
        id: oid,
        flags: 0,
        flags_extended: 0,
        // Asked for each file, and seldom needed.
        path: Vec::new(),
    }
}

/// libgit2's entries cannot be cloned.
fn again(entry: &IndexEntry) -> IndexEntry {
    IndexEntry {
        path: entry.path.clone(),
        ..*entry
    }
}

/// What must be the same for the content to be the same.
fn key(entry: &IndexEntry) -> ([i64; 4], [u32; 6]) {
    (
        [
            i64::from(entry.ctime.seconds()),
            i64::from(entry.ctime.nanoseconds()),
            i64::from(entry.mtime.seconds()),
            i64::from(entry.mtime.nanoseconds()),
        ],
        [
            entry.dev,
            entry.ino,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.file_size,
        ],
    )
}

/// An index has room for the low bits only.
fn low(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

fn time(seconds: i64, nanoseconds: i64) -> IndexTime {
    let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
    IndexTime::new(seconds, u32::try_from(nanoseconds).unwrap_or(0))
}
