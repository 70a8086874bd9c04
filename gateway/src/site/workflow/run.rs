//! The right to change an environment, from the start of a workflow to its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Workflows;
use super::change::UNRECORDED;
use super::live::{Live, Watch};
use super::log::{self, LogFile};
use super::queue::Turn;
use super::settle;
use super::undone::Undone;
use crate::audit::IncidentId;
use crate::crash;
use crate::fault::Fault;
use crate::site::layout::EnvironmentLayout;
use crate::state::{Lease, State, StepStatus, Workflow, WorkflowStatus};

/// A workflow whose turn it is. Nobody else changes its environment until it is dropped.
#[derive(Debug)]
pub struct Run {
    workflows: Arc<Workflows>,
    live: Arc<Live>,
    turn: Mutex<Option<Turn>>,
    /// Whether it could not be undone, and whoever undoes it ends it.
    kept: AtomicBool,
    /// Whether `perform` has begun it, and so ends it.
    performed: AtomicBool,
    /// Whether the audit has the row of what it changed.
    recorded: AtomicBool,
    /// Whether it has changed anything.
    intended: AtomicBool,
}

impl Run {
    pub(super) fn new(workflows: Arc<Workflows>, live: Arc<Live>, turn: Turn) -> Self {
        Self {
            workflows,
            live,
            turn: Mutex::new(Some(turn)),
            kept: AtomicBool::new(false),
            performed: AtomicBool::new(false),
            recorded: AtomicBool::new(false),
            intended: AtomicBool::new(false),
        }
    }

    /// Returns its id, which its audit row gets as well.
    pub fn id(&self) -> &IncidentId {
        &self.live.id
    }

    /// Follows what it says.
    pub fn watch(&self) -> Watch {
        self.live.watch()
    }

    /// Returns what can be known of it from outside.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Says more precisely what is done, once that is known.
    pub fn set_kind(&self, kind: &'static str) {
        self.live.set_kind(kind);
    }

    /// Tells those who follow, and the log.
    pub fn say(&self, line: &str) {
        self.live.say(line);
    }

    /// Does one step. Before it, whoever cancelled the workflow is heard.
    ///
    /// # Errors
    /// The step's own, or [`Undone::Cancelled`].
    pub fn step<T, E: From<Undone>>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(person) = self.live.cancelled_by() {
            return Err(Undone::Cancelled(person.to_string()).into());
        }
        self.live.begin_step(name);
        let done = work();
        self.live.end_step(
            name,
            match done {
                Ok(_) => StepStatus::Done,
                Err(_) => StepStatus::Failed,
            },
        );
        done
    }

    /// From now on it is too late to cancel.
    ///
    /// # Errors
    /// [`Undone::Cancelled`] when somebody has.
    pub(super) fn pass_the_switch(&self) -> Result<(), Undone> {
        self.live
            .pass_the_switch()
            .map_err(|person| Undone::Cancelled(person.to_string()))
    }

    /// Does all of a workflow: its record and its log begin before `work` and end after it.
    ///
    /// # Errors
    /// Those of `work`, or that the workflow could not be recorded; nothing was changed then.
    pub fn perform<T>(
        &self,
        note: &str,
        work: impl FnOnce() -> Result<T, Undone>,
    ) -> Result<T, Undone> {
        self.begin(note)?;
        let done = work();
        self.end(&done);
        done
    }

    /// Begins the record and the log; whoever calls it calls `end` as well.
    ///
    /// # Errors
    /// When the workflow cannot be recorded; nothing may be changed then.
    pub fn begin(&self, note: &str) -> Result<(), Fault> {
        self.live.set_note(note);
        self.workflows
            .state
            .begin_workflow(&self.record(), &self.lease())?;
        self.performed.store(true, Ordering::Release);
        match LogFile::create(&self.environment(), self.id().as_str()) {
            Ok(log) => self.live.log_to(log),
            Err(fault) => tracing::warn!("a workflow runs without its log: {fault}"),
        }
        Ok(())
    }

    /// Ends the record and the log.
    pub fn end<T>(&self, done: &Result<T, Undone>) {
        let unrecorded =
            self.intended.load(Ordering::Acquire) && !self.recorded.load(Ordering::Acquire);
        let (status, result) = match done {
            Ok(_) if unrecorded => (WorkflowStatus::Succeeded, UNRECORDED.to_owned()),
            Ok(_) => (WorkflowStatus::Succeeded, "done".to_owned()),
            Err(Undone::Nothing(sentence)) => (WorkflowStatus::Succeeded, sentence.clone()),
            Err(undone @ Undone::Cancelled(_)) => (WorkflowStatus::Cancelled, undone.to_string()),
            Err(undone) => (WorkflowStatus::Failed, undone.to_string()),
        };
        if !self.kept.load(Ordering::Acquire) {
            let (id, steps) = (self.id().to_string(), self.live.steps());
            let state = &self.workflows.state;
            if let Err(fault) = state.end_workflow(&id, status, &result, &steps) {
                tracing::error!("a workflow could not be ended: {fault}");
                settle::end_later(Arc::clone(state), id, status, result.clone(), steps);
            }
        }
        self.live.end(status, &result);
        log::rotate(&self.environment(), self.workflows.keeping.logs);
        crash::point("workflow-ended");
    }

    /// Ends it if it was begun: one that deploys nothing has no record of its own.
    pub fn end_if_begun<T>(&self, done: &Result<T, Undone>) {
        if self.performed.load(Ordering::Acquire) {
            self.end(done);
        }
    }

    /// Ends a workflow that `begin` was not called for, since nobody needs to follow it.
    pub(super) fn end_unless_begun<T>(&self, done: &Result<T, Undone>) {
        if !self.performed.load(Ordering::Acquire) && self.intended.load(Ordering::Acquire) {
            self.end(done);
        }
    }

    fn environment(&self) -> EnvironmentLayout {
        self.workflows
            .layout
            .site(&self.live.asked.site)
            .environment(&self.live.asked.environment)
    }

    /// Writes down what it is about to change.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn intend(&self, workflow: &Workflow) -> Result<(), Fault> {
        let state = &self.workflows.state;
        self.intended.store(true, Ordering::Release);
        if self.performed.load(Ordering::Acquire) {
            state.intend(workflow)
        } else {
            state.begin_workflow(workflow, &self.lease())
        }
    }

    /// Gives up its turn to whoever undoes what it did, and ends it; and what it is written down in.
    pub(super) fn hand_over(&self) -> (Option<Turn>, Arc<State>) {
        self.kept.store(true, Ordering::Release);
        (self.turn(), Arc::clone(&self.workflows.state))
    }

    fn turn(&self) -> Option<Turn> {
        self.turn
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Says that the audit has the row of what it changed.
    pub(super) fn mark_recorded(&self) {
        self.recorded.store(true, Ordering::Release);
    }

    /// Returns its row.
    pub(in crate::site) fn record(&self) -> Workflow {
        let asked = &self.live.asked;
        Workflow {
            id: self.id().to_string(),
            site: asked.site.clone(),
            environment: asked.environment.clone(),
            kind: self.live.kind().to_owned(),
            person: asked.person.clone(),
            origin: asked.origin.clone(),
            note: self.live.note(),
            started: self.live.started().unwrap_or(self.live.asked_at),
            finished: None,
            status: WorkflowStatus::Running,
            intent: None,
            result: None,
            steps: Vec::new(),
        }
    }

    fn lease(&self) -> Lease {
        Lease {
            owner: self.workflows.instance().to_owned(),
            reason: self.live.described(),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Who follows one that was refused, or had nothing to do, follows it no longer.
        self.live.end(WorkflowStatus::Failed, "nothing was done");
        self.workflows.forget(self.id().as_str());
        drop(self.turn());
    }
}
