//! What was: one record for each finished or refused change, in a hash chain.
//!
//! Knows no rules and makes no decisions; it keeps what the gate tells it. Three files:
//! `audit.db` (the rows), `audit.head` (the last row's number and hash) and `audit.lock`.

mod backlog;
mod chain;
mod counted;
mod floods;
mod head;
mod likeness;
mod opening;
mod query;
mod queue;
mod record;
mod row;
mod schema;
mod stretches;
#[cfg(test)]
mod testing;
mod verify;
mod walk;
mod when;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use chain::{Hash, Head};
pub use query::{Filter, USUAL_LIMIT};
pub use record::{Decided, IncidentId, Outcome, Record, Who};
pub use row::Row;
pub use verify::{LISTED, Verified, verify};
pub use walk::Problem;
pub use when::{NotATime, parse_since, parse_until};

use crate::fault::{Fault, OrFault};
use floods::FloodLimits;
use queue::Queue;
use writer::Writer;

/// How sure a record must be before the caller goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk, power cut or not: refusals, and all but small tree changes.
    Durable,
    /// Handed to the writer, which commits in groups: survives the end of this process after a few
    /// milliseconds, in a stream of records after a tenth of a second, and a power cut after at
    /// most a second.
    Grouped,
}

/// The audit log, open for writing. Shared by all sessions. Its calls may wait for the disk.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Makes and opens an audit in a folder that stays until the tests are over.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let path = folder.join("audit.db");
        Self::create(&path).expect("an audit");
        Self::open(&path).expect("an audit that opens")
    }

    /// Makes an empty audit.
    ///
    /// # Errors
    /// When there is a file at `path`, or none can be made.
    pub fn create(path: &Path) -> Result<(), Fault> {
        schema::create(path)
    }

    /// Opens the audit and starts its writer. When rows were taken away, changed or added at the
    /// end since it was closed, that is recorded and logged, and the audit goes on.
    ///
    /// # Errors
    /// When it is missing, unreadable, of another version of Funicular, or open elsewhere.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        Self::open_with(path, Tuning::USUAL, FloodLimits::USUAL)
    }

    fn open_with(path: &Path, tuning: Tuning, limits: FloodLimits) -> Result<Self, Fault> {
        let mut opened = opening::open(path)?;
        let queue = Arc::new(Queue::new(opened.head.seq, limits, tuning));
        if let Some(notice) = opened.notice.take() {
            let what = notice.detail.as_deref().unwrap_or_default();
            tracing::error!("the audit is not as it was left: {what}");
            queue.append(notice, Durability::Grouped)?;
        }
        let writer = Writer::new(opened, Arc::clone(&queue), tuning);
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run())
            .or_fault(|| "starting the writer of the audit")?;
        Ok(Self {
            path: path.to_owned(),
            queue,
            writer: Mutex::new(Some(thread)),
        })
    }

    /// Appends one record.
    ///
    /// # Errors
    /// When the record cannot be kept; the caller must then refuse what it was about to do. It is
    /// still kept if the disk recovers while this process lives.
    pub fn append(&self, record: Record, durability: Durability) -> Result<(), Fault> {
        self.queue.append(record, durability)
    }

    /// Keeps a refusal: the first of its kind as rows of their own, durable; a flood as one row
    /// with a count, written when it pauses or ends. Returns the incident that the row has or
    /// will have, which is not the record's own when it is counted with others.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn refuse(&self, record: Record) -> Result<IncidentId, Fault> {
        self.queue.refuse(record)
    }

    /// Says whether records are being kept; when not, nothing may be changed. Never waits.
    ///
    /// # Errors
    /// With the reason that the last commit failed. It is tried again each second.
    pub fn healthy(&self) -> Result<(), Fault> {
        self.queue.healthy()
    }

    /// Lists rows that the filter lets through, newest last, with all that was appended before.
    /// The counts of floods that go on are not among them yet.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Row>, Fault> {
        self.queue.flush(PATIENCE);
        query::list(&self.path, filter)
    }

    /// Waits until there is a row after `seq`, but no longer than `timeout` or the closing of the
    /// audit, and returns the number of the last row.
    pub fn wait_beyond(&self, seq: u64, timeout: Duration) -> u64 {
        self.queue.wait_beyond(seq, timeout)
    }

    /// Writes all that was taken in, durably, and ends. To be called again is no error.
    ///
    /// # Errors
    /// When something could not be written and is lost.
    pub fn close(&self) -> Result<(), Fault> {
        self.queue.close();
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = writer.take() {
            let ended = thread.join();
            ended.map_err(|_panic| Fault::new("the writer of the audit has broken down"))?;
        }
        self.queue.ended_well()
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if let Err(fault) = self.close() {
            tracing::error!("the audit could not be closed well: {fault}");
        }
    }
}

/// How long reading waits for a commit; a disk that takes nothing must not stop it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How the writer trades speed for promptness.
#[derive(Debug, Clone, Copy)]
struct Tuning {
    /// How long a grouped record waits for others.
    gather: Duration,
    /// How far commits of grouped records lie apart: most of what a row costs is its commit, so a
    /// stream of them must share it.
    apart: Duration,
    /// How long a commit may go unsynced; less than a second, so that the sync is over by then.
    sync_within: Duration,
    /// How long the head file may lag behind what is synced: many durable records one after the
    /// other must not wait for a file of their own each.
    head_within: Duration,
    /// How long until a failed commit is tried again.
    retry: Duration,
    /// How often floods are looked at.
    look_at_floods: Duration,
    /// How many records are committed at once.
    batch: usize,
    /// How much memory records on their way may take before callers wait.
    queue_bytes: usize,
}

impl Tuning {
    const USUAL: Tuning = Tuning {
        gather: Duration::from_millis(3),
        apart: Duration::from_millis(100),
        sync_within: Duration::from_millis(700),
        head_within: Duration::from_millis(50),
        retry: Duration::from_secs(1),
        look_at_floods: Duration::from_millis(250),
        batch: 4096,
        queue_bytes: 16 << 20,
    };
}

#[cfg(test)]
mod tests;
