//! Tells those who follow a workflow how far a long copy is, and hears whoever cancels it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::database::{Trouble, Watcher};
use crate::site::workflow::{Run, Undone};

/// How often.
const PAUSE: Duration = Duration::from_secs(3);

/// What watches one step.
pub(super) struct Progress<'a> {
    run: &'a Run,
    told: Mutex<Instant>,
    bytes: AtomicU64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        Self {
            run,
            told: Mutex::new(Instant::now()),
            bytes: AtomicU64::new(0),
        }
    }

    /// Returns how much was read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Watcher for Progress<'_> {
    fn at(&self, bytes: u64, what: &str) {
        self.bytes.fetch_max(bytes, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= PAUSE {
            *told = Instant::now();
            let what = policy::escape(what.as_bytes());
            self.run.say(&format!("{} so far: {what}", size(bytes)));
        }
    }

    fn stopped(&self) -> bool {
        self.run.live().cancelled_by().is_some()
    }
}

/// Returns a size as people read it.
pub(super) fn size(bytes: u64) -> String {
    let mut value = bytes;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 10 * 1024 {
            break;
        }
        value /= 1024;
        unit = next;
    }
    format!("{value} {unit}")
}

/// Makes of a trouble what a workflow ends with.
pub(super) fn undone(run: &Run, trouble: Trouble) -> Undone {
    match trouble {
        Trouble::Refused(sentence) => Undone::Impossible(sentence),
        Trouble::Stopped => match run.live().cancelled_by() {
            Some(person) => Undone::Cancelled(person.to_string()),
            None => Undone::Impossible("It was stopped; nothing was changed.".to_owned()),
        },
        Trouble::Fault(fault) => Undone::Fault(fault),
    }
}
