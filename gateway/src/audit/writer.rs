//! The one thread that writes: commits what the queue brings in groups, keeps the chain and its
//! head, and tries again when the disk said no.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, TransactionBehavior, params_from_iter};

use super::Tuning;
use super::backlog::Work;
use super::chain::{self, Head};
use super::head::HeadFile;
use super::opening::Opened;
use super::queue::{Alarm, Queue};
use super::record::Record;
use super::row::{self, COLUMNS};
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
        let mut head = self.head;
        {
            let mut insert = transaction.prepare_cached(&insert())?;
            for record in &self.unwritten {
                let seq = head.seq.saturating_add(1);
                let columns = row::columns(seq, record);
                let hash = chain::link(&head.hash, &columns);
                head = Head { seq, hash };
                let hash = rusqlite::types::ValueRef::Blob(hash.as_bytes());
                let values = columns.into_iter().chain([hash]).map(ToSqlOutput::Borrowed);
                insert.execute(params_from_iter(values))?;
            }
        }
        if self.unwritten.is_empty() {
            // A commit that writes nothing syncs nothing, not even what earlier ones wrote.
            let seq = i64::try_from(head.seq).unwrap_or(i64::MAX);
            transaction.execute("UPDATE synced SET seq = ?1", [seq])?;
        }
        transaction.commit()?;
        self.head = head;
        Ok(())
    }
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

fn insert() -> String {
    let places = ["?"; row::WIDTH + 1].join(", ");
    format!("INSERT INTO record ({COLUMNS}) VALUES ({places})")
}
