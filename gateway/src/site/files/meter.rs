//! How much an environment holds, known at any moment: what is written and removed through the
//! gateway is added and taken off as it happens, and a walk now and then sets the sum right, since
//! the site itself writes too.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use policy::Area;

use super::{Limits, Usage, room, usage};
use crate::blocking;
use crate::fault::Fault;

/// What an environment holds of what it may hold. While it may hold anything, nothing is kept
/// count of.
#[derive(Debug)]
pub struct Meter {
    folder: PathBuf,
    most_bytes: AtomicU64,
    most_files: AtomicU64,
    bytes: AtomicI64,
    files: AtomicI64,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    at: Option<Instant>,
    took: Duration,
}

/// No limit.
const NONE: u64 = u64::MAX;

/// The folders of an environment that count: what its people and its site write. Its content's
/// database counts as far as it is files; code, logs and backups are not its own to fill.
const COUNTED: [&str; 4] = ["content/files", "content/database/data", "tmp", "uploads"];
/// Where files lie as long as an environment has no content of its own.
const PLAIN: &str = "files";

impl Meter {
    /// Makes the meter of the environment with this folder; it has no limits yet.
    pub(in crate::site) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            most_bytes: AtomicU64::new(NONE),
            most_files: AtomicU64::new(NONE),
            bytes: AtomicI64::new(0),
            files: AtomicI64::new(0),
            counted: Mutex::default(),
        }
    }

    /// Says whether what is written to an area counts.
    pub(in crate::site) fn counts(&self, area: Area) -> bool {
        matches!(area, Area::Files | Area::Tmp) && self.is_set()
    }

    /// Returns the limits.
    pub fn limits(&self) -> Limits {
        let limit = |of: &AtomicU64| Some(of.load(Ordering::Relaxed)).filter(|most| *most != NONE);
        Limits {
            bytes: limit(&self.most_bytes),
            files: limit(&self.most_files),
        }
    }

    /// Returns true if there are any.
    pub fn is_set(&self) -> bool {
        self.most_bytes.load(Ordering::Relaxed) != NONE
            || self.most_files.load(Ordering::Relaxed) != NONE
    }

    /// Sets the limits.
    pub(in crate::site) fn set(&self, limits: Limits) {
        let was = self.is_set();
        self.most_bytes
            .store(limits.bytes.unwrap_or(NONE), Ordering::Relaxed);
        self.most_files
            .store(limits.files.unwrap_or(NONE), Ordering::Relaxed);
        if !was && self.is_set() {
            // Nobody has kept count meanwhile.
            self.forget();
        }
    }

    /// Forgets the count, because all of it may be different: the content was switched.
    pub(in crate::site) fn forget(&self) {
        self.counted().at = None;
    }

    /// Takes some of the room, if it is there beside what will go when this is done (`instead`:
    /// the length of a file that is replaced).
    ///
    /// # Errors
    /// The sentence for whoever asked.
    pub(in crate::site) fn take(&self, bytes: u64, files: u64, instead: u64) -> Result<(), String> {
        if !self.is_set() {
            return Ok(());
        }
        self.refresh(OLD);
        self.add(signed(bytes), signed(files));
        let Some(sentence) = self.exceeded(instead) else {
            return Ok(());
        };
        // The count is not exact; a no is.
        self.add(-signed(bytes), -signed(files));
        self.refresh(RECENT);
        self.add(signed(bytes), signed(files));
        if self.exceeded(instead).is_none() {
            return Ok(());
        }
        self.add(-signed(bytes), -signed(files));
        Err(sentence)
    }

    /// Notes that there is so much more, or less.
    pub(in crate::site) fn add(&self, bytes: i64, files: i64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.files.fetch_add(files, Ordering::Relaxed);
    }

    /// Returns what is said if more is held than may be, and so much more that is not counted yet.
    pub fn over(&self, pending: u64) -> Option<String> {
        if !self.is_set() {
            return None;
        }
        self.refresh(OLD);
        let mut held = self.held();
        held.bytes = held.bytes.saturating_add(pending);
        self.sentence(held)?;
        // What was pending lies in the folders that are counted.
        self.refresh(RECENT);
        self.sentence(self.held())
    }

    /// Returns how much is held; counted anew when that was long ago.
    pub fn used(&self) -> Usage {
        self.refresh(if self.is_set() { OLD } else { RECENT });
        self.held()
    }

    fn exceeded(&self, instead: u64) -> Option<String> {
        let mut held = self.held();
        held.bytes = held.bytes.saturating_sub(instead);
        self.sentence(held)
    }

    fn held(&self) -> Usage {
        let some = |of: &AtomicI64| of.load(Ordering::Relaxed).max(0).unsigned_abs();
        Usage {
            bytes: some(&self.bytes),
            files: some(&self.files),
        }
    }

    fn sentence(&self, wanted: Usage) -> Option<String> {
        let limits = self.limits();
        let (what, held, most) = match (limits.bytes, limits.files) {
            (Some(most), _) if wanted.bytes > most => (
                "",
                room::size(self.held().bytes.min(most)),
                room::size(most),
            ),
            (_, Some(most)) if wanted.files > most => (
                " files and folders",
                self.held().files.min(most).to_string(),
                most.to_string(),
            ),
            (_, _) => return None,
        };
        Some(format!(
            "The environment's quota is used up: with this it would hold more than {most}{what} \
             ({held} are held in /files, /tmp and its database). Remove files, or ask an \
             administrator for a larger quota (quota:set)."
        ))
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts anew if that was not done for so long, or for twenty times as long as it takes.
    fn refresh(&self, age: Duration) {
        let is_old = |counted: &Counted| {
            counted
                .at
                .is_none_or(|at| at.elapsed() >= age.max(counted.took * 20))
        };
        if !is_old(&self.counted()) {
            return;
        }
        blocking::wait(|| {
            let mut counted = self.counted();
            // Another may have done it meanwhile.
            if !is_old(&counted) {
                return;
            }
            let begun = Instant::now();
            let before = (
                self.bytes.load(Ordering::Relaxed),
                self.files.load(Ordering::Relaxed),
            );
            match self.count() {
                // What was written meanwhile stays counted.
                Ok(found) => self.add(
                    signed(found.bytes) - before.0,
                    signed(found.files) - before.1,
                ),
                Err(fault) => tracing::warn!("an environment could not be counted: {fault}"),
            }
            counted.at = Some(Instant::now());
            counted.took = begun.elapsed();
        });
    }

    fn count(&self) -> Result<Usage, Fault> {
        let mut sum = Usage::default();
        let has_content = self.folder.join("content/files").is_dir();
        let plain = (!has_content).then_some(PLAIN);
        for name in COUNTED.into_iter().chain(plain) {
            // The way to a content leads through the gateway's own links.
            let Ok(folder) = self.folder.join(name).canonicalize() else {
                continue;
            };
            if folder.is_dir() {
                let found = usage(&folder)?;
                sum.bytes = sum.bytes.saturating_add(found.bytes);
                sum.files = sum.files.saturating_add(found.files);
            }
        }
        Ok(sum)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What the site itself has written is seen after so long.
const OLD: Duration = Duration::from_secs(300);
/// Before somebody is told no, the count must not be older.
const RECENT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(bytes: Option<u64>, files: Option<u64>) -> (tempfile::TempDir, Meter) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        std::fs::write(folder.path().join("files/a"), [0; 600]).unwrap();
        std::fs::write(folder.path().join("logs/a"), [0; 5000]).unwrap();
        let meter = Meter::new(folder.path());
        meter.set(Limits { bytes, files });
        (folder, meter)
    }

    #[test]
    fn what_is_there_is_counted_and_what_comes_added() {
        let (_folder, meter) = meter(Some(1000), None);
        meter.take(400, 1, 0).unwrap();
        assert_eq!(
            meter.used(),
            Usage {
                bytes: 1000,
                files: 2
            }
        );
        let said = meter.take(1, 0, 0).unwrap_err();
        assert!(said.contains("1000 bytes"), "{said}");
        // What takes the place of another file needs no more room than that had.
        meter.take(1, 0, 1).unwrap();
        assert!(meter.over(1).is_some());
        meter.add(-401, -1);
        assert_eq!(meter.over(0), None);
    }

    #[test]
    fn a_no_is_never_given_by_an_old_count() {
        let (folder, meter) = meter(Some(1000), Some(2));
        assert_eq!(meter.used().files, 1);
        // The site itself has removed its file since.
        std::fs::remove_file(folder.path().join("files/a")).unwrap();
        meter.counted().at = Some(Instant::now() - RECENT);
        meter.take(900, 2, 0).unwrap();
        assert!(meter.take(0, 1, 0).unwrap_err().contains("2 files"));
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let (_folder, meter) = meter(None, None);
        meter.take(u64::MAX, 5, 0).unwrap();
        assert!(!meter.counts(Area::Files));
        assert_eq!(
            meter.used(),
            Usage {
                bytes: 600,
                files: 1
            }
        );
        meter.set(Limits {
            bytes: Some(10),
            files: None,
        });
        assert!(meter.counts(Area::Files) && !meter.counts(Area::Code));
        assert!(meter.take(0, 0, 0).is_err());
    }

    /// As environments have it: links to the content, and from there to its files.
    #[test]
    fn the_way_to_a_content_is_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("stores/files-2")).unwrap();
        std::fs::create_dir_all(at("contents/2")).unwrap();
        std::fs::write(at("stores/files-2/a"), [0; 700]).unwrap();
        symlink("../../stores/files-2", at("contents/2/files")).unwrap();
        symlink("contents/2", at("content")).unwrap();
        symlink("content/files", at("files")).unwrap();
        let used = Meter::new(folder.path()).used();
        assert_eq!((used.bytes, used.files), (700, 1));
    }
}
