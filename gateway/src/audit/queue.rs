//! What sessions and the writer share: records on their way to the disk, floods being counted,
//! and how far the writer has come. Bounded, so that a slow disk slows its callers down.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::floods::{FloodLimits, Floods, Kept};
use super::record::{IncidentId, Record};
use super::{Durability, Tuning};
use crate::fault::Fault;

/// Shared by all sessions and the writer.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    /// Lets [`Queue::healthy`] answer without the lock.
    well: AtomicBool,
    /// The writer waits here for work.
    work: Condvar,
    /// Those who wait for a commit, or for room in the queue.
    done: Condvar,
    /// Those who follow the audit.
    news: Condvar,
    tuning: Tuning,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<Record>,
    /// When the first of those that wait came.
    waiting_since: Option<Instant>,
    /// The size of all records that are not yet committed, also of those the writer has taken.
    bytes: usize,
    /// How many records were ever taken in; the number of the last is its ticket.
    taken_in: u64,
    committed: u64,
    synced: u64,
    /// The last ticket that somebody waits for.
    wanted: u64,
    /// The number of the last committed row.
    last: u64,
    floods: Floods,
    floods_looked_at: Instant,
    trouble: Option<String>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Closing,
    Closed,
}

/// When the writer wants to be called although nothing new has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alarm {
    /// To sync what it has committed.
    pub sync_at: Option<Instant>,
    /// To try again what failed; until then nothing is handed to it.
    pub retry_at: Option<Instant>,
}

/// What the writer is to do.
#[derive(Debug)]
pub(super) struct Work {
    /// To be written, after what it still holds.
    pub records: Vec<Record>,
    /// How many of them have tickets.
    pub tickets: u64,
    /// Whether somebody waits for it to be on the disk.
    pub durable: bool,
    /// Whether this is the end, after which nothing more comes.
    pub last: bool,
}

impl Queue {
    pub(super) fn new(last: u64, limits: FloodLimits, tuning: Tuning) -> Self {
        let now = Instant::now();
        Self {
            inner: Mutex::new(Inner {
                waiting: VecDeque::new(),
                waiting_since: None,
                bytes: 0,
                taken_in: 0,
                committed: 0,
                synced: 0,
                wanted: 0,
                last,
                floods: Floods::new(limits, now),
                floods_looked_at: now,
                trouble: None,
                stage: Stage::Open,
            }),
            well: AtomicBool::new(true),
            work: Condvar::new(),
            done: Condvar::new(),
            news: Condvar::new(),
            tuning,
        }
    }

    /// Takes a record in and waits as long as its durability asks for.
    pub(super) fn append(&self, record: Record, durability: Durability) -> Result<(), Fault> {
        self.append_locked(self.lock(), record.bounded(), durability)
    }

    /// Takes a refusal in: as a record, or into the count of a flood.
    pub(super) fn refuse(&self, record: Record) -> Result<IncidentId, Fault> {
        let record = record.bounded();
        let mut inner = self.lock();
        inner.open()?;
        let first = inner.floods.is_empty();
        let (kept, evicted) = inner.floods.take_in(record, Instant::now());
        if let Some(count) = evicted {
            self.make_way(&mut inner, count);
        }
        match kept {
            Kept::Own(record) => {
                let incident = record.incident.clone();
                self.append_locked(inner, *record, Durability::Durable)?;
                Ok(incident)
            }
            Kept::Counted(incident) => {
                if first {
                    self.work.notify_one();
                }
                inner.untroubled()?;
                Ok(incident)
            }
        }
    }

    pub(super) fn healthy(&self) -> Result<(), Fault> {
        if self.well.load(Ordering::Acquire) {
            return Ok(());
        }
        let inner = self.lock();
        inner.open()?;
        inner.untroubled()
    }

    /// Waits until there is a row after `seq`, and returns the number of the last row.
    pub(super) fn wait_beyond(&self, seq: u64, timeout: Duration) -> u64 {
        let inner = self.lock();
        let (inner, _) = self
            .news
            .wait_timeout_while(inner, timeout, |inner| {
                inner.last <= seq && inner.stage != Stage::Closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        inner.last
    }

    /// Lets nothing more in, and has the writer end when it has written all.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        if inner.stage == Stage::Open {
            inner.stage = Stage::Closing;
        }
        self.well.store(false, Ordering::Release);
        self.work.notify_one();
        self.done.notify_all();
    }

    /// Says how the audit ended, once the writer has.
    pub(super) fn ended_well(&self) -> Result<(), Fault> {
        self.lock().untroubled()
    }

    fn append_locked(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        record: Record,
        durability: Durability,
    ) -> Result<(), Fault> {
        inner.open()?;
        while inner.bytes >= self.tuning.queue_bytes {
            inner.untroubled()?;
            inner = self
                .done
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
            inner.open()?;
        }
        let idle = inner.waiting.is_empty();
        inner.push(record);
        let ticket = inner.taken_in;
        match durability {
            Durability::Grouped => {
                if idle || inner.waiting.len() == self.tuning.batch {
                    self.work.notify_one();
                }
                inner.untroubled()
            }
            Durability::Durable => {
                inner.wanted = ticket;
                self.work.notify_one();
                while inner.synced < ticket {
                    inner.untroubled()?;
                    if inner.stage == Stage::Closed {
                        return Err(closed());
                    }
                    inner = self
                        .done
                        .wait(inner)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Ok(())
            }
        }
    }

    /// Keeps the count of a flood that had to leave the table. Its caller cannot wait for room.
    fn make_way(&self, inner: &mut Inner, count: Record) {
        if inner.bytes >= self.tuning.queue_bytes.saturating_mul(2) {
            tracing::error!(
                incident = %count.incident, refusals = count.count, rule = count.rule,
                "a count of refusals is lost, for the audit takes no records"
            );
            return;
        }
        inner.push(count);
        self.work.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's side.
impl Queue {
    /// Waits until there is something to do.
    pub(super) fn next(&self, alarm: Alarm) -> Work {
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            let wake_at = match alarm.retry_at {
                Some(retry_at) if now < retry_at && inner.stage == Stage::Open => Some(retry_at),
                Some(_) if inner.stage == Stage::Open => return Work::nothing_new(),
                Some(_) | None => match self.ready(&mut inner, alarm.sync_at, now) {
                    Ok(work) => return work,
                    Err(wake_at) => wake_at,
                },
            };
            inner = match wake_at {
                Some(at) => {
                    let timeout = at.saturating_duration_since(now);
                    let woken = self.work.wait_timeout(inner, timeout);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .work
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Notes that records are committed, and perhaps synced.
    pub(super) fn committed(&self, last: u64, tickets: u64, bytes: usize, synced: bool) {
        let mut inner = self.lock();
        inner.last = last;
        inner.committed += tickets;
        inner.bytes = inner.bytes.saturating_sub(bytes);
        if synced {
            inner.synced = inner.committed;
        }
        self.done.notify_all();
        self.news.notify_all();
    }

    /// Notes that records cannot be kept.
    pub(super) fn trouble(&self, fault: &Fault) {
        let mut inner = self.lock();
        let sentence = fault.to_string();
        if inner.trouble.as_ref() != Some(&sentence) {
            tracing::error!("the audit takes no records, so nothing may be changed: {sentence}");
        }
        inner.trouble = Some(sentence);
        self.well.store(false, Ordering::Release);
        self.done.notify_all();
    }

    /// Says whether this is the end, so that there is no trying again later.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().stage != Stage::Open
    }

    /// Notes that records are kept again.
    pub(super) fn recovered(&self) {
        let mut inner = self.lock();
        if inner.trouble.take().is_some() {
            tracing::info!("the audit takes records again");
        }
        self.well
            .store(inner.stage == Stage::Open, Ordering::Release);
    }

    /// Notes that the writer is gone, for whatever reason, with so many records not written.
    pub(super) fn writer_ended(&self, unwritten: usize) {
        let mut inner = self.lock();
        if inner.stage == Stage::Open {
            inner
                .trouble
                .get_or_insert_with(|| "its writer has ended".to_owned());
        }
        let lost = inner.waiting.len().saturating_add(unwritten);
        if lost > 0 {
            let cause = inner.trouble.take().unwrap_or_default();
            inner.trouble = Some(format!("{lost} records are lost: {cause}"));
        }
        inner.stage = Stage::Closed;
        self.well.store(false, Ordering::Release);
        self.done.notify_all();
        self.news.notify_all();
    }

    /// Returns what is to be done now, or when to look again.
    fn ready(
        &self,
        inner: &mut Inner,
        sync_at: Option<Instant>,
        now: Instant,
    ) -> Result<Work, Option<Instant>> {
        let closing = inner.stage != Stage::Open;
        let durable = inner.wanted > inner.synced;
        let look_at_floods = inner.floods_looked_at + self.tuning.look_at_floods;
        let counts = if closing {
            inner.floods.flush()
        } else if now >= look_at_floods && !inner.floods.is_empty() {
            inner.floods_looked_at = now;
            inner.floods.due(now)
        } else {
            Vec::new()
        };
        let gathered_at = inner.waiting_since.map(|since| since + self.tuning.gather);
        let gathered =
            gathered_at.is_some_and(|at| at <= now) || inner.waiting.len() >= self.tuning.batch;
        let sync_due = sync_at.is_some_and(|at| at <= now);
        if gathered || durable || closing || sync_due || !counts.is_empty() {
            return Ok(inner.take(counts, self.tuning.batch, durable || sync_due));
        }
        let look_at_floods = (!inner.floods.is_empty()).then(|| look_at_floods.max(now));
        Err([gathered_at, sync_at, look_at_floods]
            .into_iter()
            .flatten()
            .min())
    }
}

impl Inner {
    fn open(&self) -> Result<(), Fault> {
        match self.stage {
            Stage::Open => Ok(()),
            Stage::Closing | Stage::Closed => {
                self.untroubled()?;
                Err(closed())
            }
        }
    }

    fn untroubled(&self) -> Result<(), Fault> {
        self.trouble.as_ref().map_or(Ok(()), |sentence| {
            Err(Fault::new(format!(
                "the audit takes no records: {sentence}"
            )))
        })
    }

    fn push(&mut self, record: Record) {
        self.bytes += record.size();
        self.taken_in += 1;
        if self.waiting.is_empty() {
            self.waiting_since = Some(Instant::now());
        }
        self.waiting.push_back(record);
    }

    fn take(&mut self, counts: Vec<Record>, most: usize, durable: bool) -> Work {
        let taken = most.min(self.waiting.len());
        let mut records: Vec<Record> = self.waiting.drain(..taken).collect();
        for count in &counts {
            self.bytes += count.size();
        }
        records.extend(counts);
        if self.waiting.is_empty() {
            self.waiting_since = None;
        }
        Work {
            records,
            tickets: taken as u64,
            durable,
            last: self.stage != Stage::Open && self.waiting.is_empty(),
        }
    }
}

impl Work {
    fn nothing_new() -> Self {
        Self {
            records: Vec::new(),
            tickets: 0,
            durable: true,
            last: false,
        }
    }
}

fn closed() -> Fault {
    Fault::new("the audit is closed: the gateway is stopping")
}
