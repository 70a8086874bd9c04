//! Where sessions and the writer meet: records are handed over, floods counted, and whoever must
//! wait for the disk waits. Bounded, so that a slow disk slows its callers down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Work};
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
    /// Those who wait for a commit, or for room.
    done: Condvar,
    /// Those who follow the audit.
    news: Condvar,
    tuning: Tuning,
}

#[derive(Debug)]
struct Inner {
    backlog: Backlog,
    floods: Floods,
    floods_looked_at: Instant,
    /// The number of the last committed row.
    last: u64,
    committed_at: Instant,
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
#[derive(Debug, Clone, Copy)]
pub(super) enum Alarm {
    /// Not at all.
    Never,
    /// To finish what it has begun.
    At(Instant),
    /// To try again what failed; until then nothing is handed to it.
    RetryAt(Instant),
}

/// The sessions' side.
impl Queue {
    pub(super) fn new(last: u64, limits: FloodLimits, tuning: Tuning) -> Self {
        let now = Instant::now();
        Self {
            inner: Mutex::new(Inner {
                backlog: Backlog::default(),
                floods: Floods::new(limits, now),
                floods_looked_at: now,
                last,
                // Long enough ago for the first record to wait for no other.
                committed_at: now.checked_sub(tuning.apart).unwrap_or(now),
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
        self.lock().open_and_untroubled()
    }

    /// Waits until there is a row after `seq`, and returns the number of the last row.
    pub(super) fn wait_beyond(&self, seq: u64, timeout: Duration) -> u64 {
        let nothing_new = |inner: &mut Inner| inner.last <= seq && inner.stage != Stage::Closed;
        let (inner, _) = self
            .news
            .wait_timeout_while(self.lock(), timeout, nothing_new)
            .unwrap_or_else(PoisonError::into_inner);
        inner.last
    }

    /// Has all that was taken in committed, and waits for it; in vain if the disk takes nothing.
    pub(super) fn flush(&self, patience: Duration) {
        let mut inner = self.lock();
        let ticket = inner.backlog.want_to_read();
        self.work.notify_one();
        let under_way = |inner: &mut Inner| {
            !inner.backlog.is_committed(ticket)
                && inner.trouble.is_none()
                && inner.stage != Stage::Closed
        };
        let _ = self.done.wait_timeout_while(inner, patience, under_way);
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
        while inner.backlog.bytes() >= self.tuning.queue_bytes {
            inner.untroubled()?;
            inner = self
                .done
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
            inner.open()?;
        }
        let ticket = inner.backlog.push(record);
        match durability {
            Durability::Grouped => {
                // In between, the writer waits for as many as may share its next commit.
                let waiting = inner.backlog.waiting();
                if waiting == 1 || waiting == self.tuning.batch || self.is_filling(&inner.backlog) {
                    self.work.notify_one();
                }
                inner.untroubled()
            }
            Durability::Durable => {
                inner.backlog.want(ticket);
                self.work.notify_one();
                while !inner.backlog.is_synced(ticket) {
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

    /// Says whether callers will soon have to wait for room.
    fn is_filling(&self, backlog: &Backlog) -> bool {
        backlog.waiting() > 0 && backlog.bytes() >= self.tuning.queue_bytes / 2
    }

    /// Keeps the count of a flood that had to leave the table. Its caller cannot wait for room.
    fn make_way(&self, inner: &mut Inner, count: Record) {
        if inner.backlog.bytes() >= self.tuning.queue_bytes.saturating_mul(2) {
            tracing::error!(
                incident = %count.incident, refusals = count.count, rule = count.rule,
                "a count of refusals is lost, for the audit takes no records"
            );
            return;
        }
        inner.backlog.push(count);
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
            let wake_at = match self.look(&mut inner, alarm, now) {
                Ok(work) => return work,
                Err(wake_at) => wake_at,
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
        inner.committed_at = Instant::now();
        inner.backlog.committed(tickets, bytes, synced);
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

    /// Notes that records are kept again.
    pub(super) fn recovered(&self) {
        let mut inner = self.lock();
        if inner.trouble.take().is_some() {
            tracing::info!("the audit takes records again");
        }
        let open = inner.stage == Stage::Open;
        self.well.store(open, Ordering::Release);
    }

    /// Says whether this is the end, so that there is no trying again later.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().stage != Stage::Open
    }

    /// Notes that the writer is gone, for whatever reason, with so many records not written.
    pub(super) fn writer_ended(&self, unwritten: usize) {
        let mut inner = self.lock();
        if inner.stage == Stage::Open {
            let sentence = || "its writer has ended".to_owned();
            inner.trouble.get_or_insert_with(sentence);
        }
        let lost = inner.backlog.waiting().saturating_add(unwritten);
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
    fn look(&self, inner: &mut Inner, alarm: Alarm, now: Instant) -> Result<Work, Option<Instant>> {
        let closing = inner.stage != Stage::Open;
        let alarm_at = match alarm {
            Alarm::Never => None,
            Alarm::At(at) => Some(at),
            Alarm::RetryAt(_) if closing => None,
            Alarm::RetryAt(at) if now < at => return Err(Some(at)),
            Alarm::RetryAt(_) => return Ok(Work::default()),
        };
        let counts = if closing {
            inner.floods.flush()
        } else {
            inner.due_counts(now, self.tuning.look_at_floods)
        };
        let apart_at = inner.committed_at + self.tuning.apart;
        let backlog = &mut inner.backlog;
        let gathered_at = backlog
            .waiting_since()
            .map(|since| apart_at.max(since + self.tuning.gather));
        let due = [gathered_at, alarm_at].into_iter().flatten().min();
        let now_or_never = closing
            || !counts.is_empty()
            || backlog.is_wanted()
            || backlog.is_to_be_read()
            || backlog.waiting() >= self.tuning.batch
            || self.is_filling(backlog);
        if now_or_never || due.is_some_and(|at| at <= now) {
            return Ok(backlog.take(self.tuning.batch, counts, closing));
        }
        let look_at = inner.floods_looked_at + self.tuning.look_at_floods;
        let look_at = (!inner.floods.is_empty()).then_some(look_at);
        Err([due, look_at].into_iter().flatten().min())
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

    fn open_and_untroubled(&self) -> Result<(), Fault> {
        self.open()?;
        self.untroubled()
    }

    fn due_counts(&mut self, now: Instant, every: Duration) -> Vec<Record> {
        if self.floods.is_empty() || now < self.floods_looked_at + every {
            return Vec::new();
        }
        self.floods_looked_at = now;
        self.floods.due(now)
    }
}

fn closed() -> Fault {
    Fault::new("the audit is closed: the gateway is stopping")
}
