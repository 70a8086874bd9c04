//! Certificates that russh refuses before it asks anybody: out of date, or with a broken signature.
//! No callback tells of them, only a line of russh's log, so that is listened to: somebody whose
//! certificate ran out last night must hear of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use tokio::task::Id;

/// What russh did not like about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overheard {
    /// It has expired, or is not valid yet.
    Dates,
    /// It was not signed by the authority that it names.
    Signature,
}

/// russh's own words (0.65, `server/encrypted.rs`). Should they change, tests say so.
const WORDS: [(&str, Overheard); 2] = [
    ("Certificate is expired or not yet valid", Overheard::Dates),
    ("Certificate signature is invalid", Overheard::Signature),
];

/// What was heard, by the task of the session. Callbacks run in the same task.
static HEARD: Mutex<Option<HashMap<Id, Overheard>>> = Mutex::new(None);

/// Sessions remembered at once; each forgets its own when it ends.
const MOST_HEARD: usize = 4096;

/// Takes what was heard in this task.
pub(super) fn take() -> Option<Overheard> {
    let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    heard.as_mut()?.remove(&tokio::task::try_id()?)
}

/// Listens to russh's log, which goes nowhere else.
struct Listener;

/// Begins to listen. To be called again is no error.
pub fn listen() {
    if log::set_logger(&Listener).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() == Level::Warn && metadata.target().starts_with("russh")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        let said = WORDS.iter().find(|(words, _)| text.contains(words));
        let (Some((_, said)), Some(task)) = (said, tokio::task::try_id()) else {
            return;
        };
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = heard.get_or_insert_default();
        if heard.len() >= MOST_HEARD {
            heard.clear();
        }
        heard.insert(task, *said);
    }

    fn flush(&self) {}
}
