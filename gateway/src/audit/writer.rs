//! The one thread that writes: commits what the queue brings in groups, keeps the chain and its
//! head, and tries again when the disk said no.

use std::fs::File;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior};

use super::Tuning;
use super::backlog::Work;
use super::chain::{self, Head};
use super::head::HeadFile;
use super::opening::Opened;
use super::queue::{Alarm, Queue};
use super::record::Record;
use super::row::{self, COLUMNS, Columns, WIDTH};
use super::stretches::Stretch;
use crate::crash;
use crate::fault::{Fault, OrFault};

/// Owns the database for writing.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    queue: Arc<Queue>,
    tuning: Tuning,
    /// The last row committed.
    head: Head,
    /// The last row synced; the head file must never be ahead of it.
    synced: Head,
    head_file: HeadFile,
    /// Taken from the queue and not yet committed.
    unwritten: Vec<Record>,
    tickets: u64,
    /// By when what is committed must be synced.
    sync_at: Option<Instant>,
    /// By when the head file must be moved on.
    head_at: Option<Instant>,
    /// When to try again what failed.
    retry_at: Option<Instant>,
    /// Whether commits are synced, as SQLite was last told.
    syncing: Option<bool>,
    /// What is noted about the stretch of the last row, once there was a commit.
    stretch: Option<Stretch>,
    /// Held as long as the writer lives: two writers would fork the chain.
    _lock: File,
}

impl Writer {
    pub(super) fn new(opened: Opened, queue: Arc<Queue>, tuning: Tuning) -> Self {
        Self {
            connection: opened.connection,
            queue,
            tuning,
            head: opened.head,
            synced: opened.head,
            head_file: opened.head_file,
            unwritten: Vec::new(),
            tickets: 0,
            // What a killed process left behind may be on no disk yet, and the head behind it.
            sync_at: Some(Instant::now()),
            head_at: None,
            retry_at: None,
            syncing: None,
            stretch: None,
            _lock: opened.lock,
        }
    }

    /// Writes until the queue is closed.
    pub(super) fn run(mut self) {
        let mut end = End {
            queue: Arc::clone(&self.queue),
            unwritten: 0,
        };
        loop {
            let work = self.queue.next(self.alarm());
            let last = work.last;
            match self.write(work) {
                Ok(()) => {
                    if self.retry_at.take().is_some() {
                        self.queue.recovered();
                    }
                }
                Err(fault) => {
                    self.queue.trouble(&fault);
                    self.retry_at = Some(Instant::now() + self.tuning.retry);
                    if self.queue.is_closing() {
                        break;
                    }
                }
            }
            if last {
                break;
            }
        }
        end.unwritten = self.unwritten.len();
        // The connection and the lock go first, so that whoever waits for the end can open anew.
        drop(self);
        drop(end);
    }

    fn alarm(&self) -> Alarm {
        if let Some(at) = self.retry_at {
            return Alarm::RetryAt(at);
        }
        let first = [self.sync_at, self.head_at].into_iter().flatten().min();
        first.map_or(Alarm::Never, Alarm::At)
    }

    fn write(&mut self, work: Work) -> Result<(), Fault> {
        let now = Instant::now();
        self.unwritten.extend(work.records);
        self.tickets += work.tickets;
        let sync_due = self.sync_at.is_some_and(|at| work.last || at <= now);
        let sync = work.durable || work.last && !self.unwritten.is_empty() || sync_due;
        if sync || !self.unwritten.is_empty() {
            self.commit(sync).or_fault(|| "writing the audit")?;
            let bytes = self.unwritten.iter().map(Record::size).sum();
            self.unwritten.clear();
            if sync {
                self.synced = self.head;
                self.sync_at = None;
                self.head_at.get_or_insert(now + self.tuning.head_within);
            } else {
                self.sync_at.get_or_insert(now + self.tuning.sync_within);
            }
            self.queue
                .committed(self.head.seq, self.tickets, bytes, sync);
            self.tickets = 0;
        }
        if self.head_at.is_some_and(|at| work.last || at <= now) {
            self.head_file.write(self.synced)?;
            self.head_at = None;
        }
        Ok(())
    }

    fn commit(&mut self, sync: bool) -> Result<(), rusqlite::Error> {
        if self.syncing != Some(sync) {
            let word = if sync { "full" } else { "normal" };
            self.connection.pragma_update(None, "synchronous", word)?;
            self.syncing = Some(sync);
        }
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Put back when it is true: what was noted for a commit that failed is not on the disk.
        let stretch = self.stretch.take();
        let (head, stretch) = add(&transaction, &self.unwritten, self.head, stretch)?;
        if self.unwritten.is_empty() {
            // A commit that writes nothing syncs nothing, not even what earlier ones wrote.
            let seq = i64::try_from(head.seq).unwrap_or(i64::MAX);
            transaction.execute("UPDATE synced SET seq = ?1", [seq])?;
        }
        crash::point("audit-before");
        transaction.commit()?;
        crash::point("audit-after");
        self.head = head;
        self.stretch = stretch;
        Ok(())
    }
}

/// Adds rows that follow `head`, and returns the new head and the stretch of the last row.
fn add(
    transaction: &Connection,
    records: &[Record],
    mut head: Head,
    mut stretch: Option<Stretch>,
) -> Result<(Head, Option<Stretch>), rusqlite::Error> {
    let mut insert = transaction.prepare_cached(INSERT.as_str())?;
    let mut text = Vec::new();
    let mut before: Option<Columns<'_>> = None;
    for record in records {
        let seq = head.seq.saturating_add(1);
        let columns = row::columns(seq, record);
        let hash = chain::link_in(&mut text, &head.hash, &columns);
        head = Head { seq, hash };
        // What the row before has as well is still bound, and most is the same in a stream.
        for (place, column) in columns.iter().enumerate() {
            let bound = before.as_ref().and_then(|before| before.get(place));
            if bound != Some(column) {
                insert
                    .raw_bind_parameter(place.saturating_add(1), ToSqlOutput::Borrowed(*column))?;
            }
        }
        insert.raw_bind_parameter(
            WIDTH.saturating_add(1),
            ToSqlOutput::Borrowed(ValueRef::Blob(hash.as_bytes())),
        )?;
        insert.raw_execute()?;
        let number = i64::try_from(seq).unwrap_or(i64::MAX);
        let around = match stretch.take() {
            Some(around) if around.is_around(number) => around,
            full => {
                if let Some(mut full) = full {
                    full.write(transaction)?;
                }
                Stretch::around(transaction, number)?
            }
        };
        stretch.insert(around).note(&columns);
        before = Some(columns);
    }
    if let Some(stretch) = &mut stretch {
        stretch.write(transaction)?;
    }
    Ok((head, stretch))
}

/// Tells the queue that the writer is gone, even if it ended by a panic: nobody may wait for it.
struct End {
    queue: Arc<Queue>,
    unwritten: usize,
}

impl Drop for End {
    fn drop(&mut self) {
        self.queue.writer_ended(self.unwritten);
    }
}

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let places = ["?"; WIDTH + 1].join(", ");
    format!("INSERT INTO record ({COLUMNS}) VALUES ({places})")
});
