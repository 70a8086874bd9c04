//! One workflow while it waits and runs: what it has said so far, for all who follow it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use policy::PersonName;
use tokio::sync::{Notify, watch};

use super::Asked;
use super::entry::{self, Entry, Event};
use super::log::LogFile;
use crate::audit::IncidentId;
use crate::state::{Step, StepStatus, WorkflowStatus};

/// A workflow that waits or runs.
#[derive(Debug)]
pub struct Live {
    /// Its id, which is also the incident of its audit row.
    pub id: IncidentId,
    /// What was asked.
    pub asked: Asked,
    /// When it was asked.
    pub asked_at: Timestamp,
    inner: Mutex<Inner>,
    grown: watch::Sender<usize>,
    cancelled: Notify,
}

#[derive(Debug)]
struct Inner {
    kind: &'static str,
    note: String,
    started: Option<Timestamp>,
    entries: VecDeque<Entry>,
    /// How many entries were dropped from the front of `entries`.
    dropped: usize,
    steps: Vec<Step>,
    log: Option<LogFile>,
    cancelled_by: Option<PersonName>,
    /// Past the switch, a workflow goes to its end.
    may_be_cancelled: bool,
    ended: Option<(WorkflowStatus, String)>,
}

/// What came of asking a workflow to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelling {
    /// It ends before its next step.
    Asked,
    /// It has switched already, or ended.
    TooLate,
}

/// So many entries are kept for those who begin to follow late; the file has all.
const MOST_ENTRIES: usize = 10_000;

impl Live {
    pub(super) fn new(id: IncidentId, asked: Asked) -> Self {
        Self {
            id,
            inner: Mutex::new(Inner {
                kind: asked.kind,
                note: String::new(),
                started: None,
                entries: VecDeque::new(),
                dropped: 0,
                steps: Vec::new(),
                log: None,
                cancelled_by: None,
                may_be_cancelled: true,
                ended: None,
            }),
            asked,
            asked_at: Timestamp::now(),
            grown: watch::Sender::new(0),
            cancelled: Notify::new(),
        }
    }

    /// Returns what is done, in a word.
    pub fn kind(&self) -> &'static str {
        self.inner().kind
    }

    /// Returns the note of who asked.
    pub fn note(&self) -> String {
        self.inner().note.clone()
    }

    /// Returns when its turn came; none while it waits.
    pub fn started(&self) -> Option<Timestamp> {
        self.inner().started
    }

    /// Returns its steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.inner().steps.clone()
    }

    /// Returns what others are told that they wait for.
    pub fn described(&self) -> String {
        format!("{} by {}", self.kind(), self.asked.person)
    }

    /// Asks the workflow to end before its next step.
    pub fn cancel(&self, person: &PersonName) -> Cancelling {
        let mut inner = self.inner();
        if !inner.may_be_cancelled || inner.ended.is_some() {
            return Cancelling::TooLate;
        }
        inner.cancelled_by.get_or_insert_with(|| person.clone());
        drop(inner);
        self.cancelled.notify_waiters();
        self.cancelled.notify_one();
        Cancelling::Asked
    }

    /// Returns who has asked it to end early.
    pub fn cancelled_by(&self) -> Option<PersonName> {
        self.inner().cancelled_by.clone()
    }

    /// Waits until somebody asks it to end early.
    pub async fn cancellation(&self) {
        while self.cancelled_by().is_none() {
            self.cancelled.notified().await;
        }
    }

    /// Follows what it says, from its start.
    pub fn watch(self: &Arc<Self>) -> Watch {
        Watch {
            live: Arc::clone(self),
            grown: self.grown.subscribe(),
            next: 0,
        }
    }

    pub(super) fn start(&self) {
        self.inner().started = Some(Timestamp::now());
        self.add(Event::Started);
    }

    pub(super) fn end_waiting(&self, why: &str) {
        let status = match self.cancelled_by() {
            Some(_) => WorkflowStatus::Cancelled,
            None => WorkflowStatus::Failed,
        };
        self.end(status, why);
    }

    pub(super) fn log_to(&self, mut log: LogFile) {
        let mut inner = self.inner();
        for entry in &inner.entries {
            log.append(entry);
        }
        inner.log = Some(log);
    }

    pub(super) fn set_kind(&self, kind: &'static str) {
        self.inner().kind = kind;
    }

    pub(super) fn set_note(&self, note: &str) {
        self.inner().note = note.to_owned();
    }

    /// From now on it is too late to cancel.
    ///
    /// # Errors
    /// Who has cancelled it before.
    pub(super) fn pass_the_switch(&self) -> Result<(), PersonName> {
        let mut inner = self.inner();
        match inner.cancelled_by.clone() {
            Some(person) => Err(person),
            None => {
                inner.may_be_cancelled = false;
                Ok(())
            }
        }
    }

    pub(super) fn say(&self, text: &str) {
        let step = self
            .inner()
            .steps
            .iter()
            .rfind(|step| step.status == StepStatus::Running)
            .map(|step| step.name.clone());
        for line in text.lines() {
            self.add(Event::Output {
                step: step.clone(),
                line: entry::line(line),
            });
        }
    }

    pub(super) fn begin_step(&self, name: &str) {
        self.inner().steps.push(Step {
            name: name.to_owned(),
            status: StepStatus::Running,
            started: Timestamp::now(),
            milliseconds: 0,
        });
        self.add(Event::StepStarted {
            step: name.to_owned(),
        });
    }

    pub(super) fn end_step(&self, name: &str, status: StepStatus) {
        let milliseconds = {
            let mut inner = self.inner();
            let step = inner
                .steps
                .iter_mut()
                .rfind(|step| step.name == name && step.status == StepStatus::Running);
            let Some(step) = step else {
                return;
            };
            let took = Timestamp::now().duration_since(step.started).as_millis();
            step.milliseconds = u64::try_from(took).unwrap_or(0);
            step.status = status;
            step.milliseconds
        };
        self.add(Event::StepEnded {
            step: name.to_owned(),
            status,
            milliseconds,
        });
    }

    pub(super) fn end(&self, status: WorkflowStatus, result: &str) {
        {
            let mut inner = self.inner();
            if inner.ended.is_some() {
                return;
            }
            inner.ended = Some((status, result.to_owned()));
        }
        self.add(Event::Ended {
            status,
            result: entry::line(result),
        });
    }

    /// Says that nothing follows any more.
    fn is_over(&self) -> bool {
        self.inner()
            .entries
            .back()
            .is_some_and(|last| matches!(last.event, Event::Ended { .. }))
    }

    fn add(&self, event: Event) {
        let entry = Entry {
            time: Timestamp::now(),
            event,
        };
        let mut inner = self.inner();
        if let Some(log) = &mut inner.log {
            log.append(&entry);
        }
        inner.entries.push_back(entry);
        if inner.entries.len() > MOST_ENTRIES {
            inner.entries.pop_front();
            inner.dropped += 1;
        }
        drop(inner);
        self.grown.send_modify(|grown| *grown += 1);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is heard while work goes on.
#[derive(Debug)]
pub enum Heard<T> {
    /// The workflow says something.
    Entry(Entry),
    /// The work is done; what was said before its end may still be [`Watch::ready`].
    Done(T),
}

/// Follows a workflow.
#[derive(Debug)]
pub struct Watch {
    live: Arc<Live>,
    grown: watch::Receiver<usize>,
    next: usize,
}

impl Watch {
    /// Returns the next entry, or what came of `work` once there is none before its end.
    pub async fn during<T>(&mut self, work: &mut (impl Future<Output = T> + Unpin)) -> Heard<T> {
        tokio::select! {
            biased;
            Some(entry) = self.next() => Heard::Entry(entry),
            done = work => Heard::Done(done),
        }
    }

    /// Returns the next entry, waiting for it; none after the last.
    pub async fn next(&mut self) -> Option<Entry> {
        loop {
            self.grown.mark_unchanged();
            if let Some(entry) = self.ready() {
                return Some(entry);
            }
            if self.live.is_over() {
                return self.ready();
            }
            self.grown.changed().await.ok()?;
        }
    }

    /// Returns the next entry if it is there.
    pub fn ready(&mut self) -> Option<Entry> {
        let inner = self.live.inner();
        self.next = self.next.max(inner.dropped);
        let entry = inner.entries.get(self.next - inner.dropped)?.clone();
        self.next += 1;
        Some(entry)
    }
}
