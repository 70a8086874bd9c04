//! Ends what a workflow could not end itself. Where the disk is full, even the way back may fail: a
//! pointer turns by a new link, a ref moves by a new file. The person has been told that nothing was
//! changed; so the environment stays with the workflow, and it is tried again until that is true.
//! A gateway that ends before leaves it to start-up repair.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::Undone;
use super::change::{move_refs_back, turn_back};
use super::run::Run;
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::layout::Layout;
use crate::site::{crash, release, repository};
use crate::state::{State, Step, Workflow, WorkflowStatus};

/// What stands in the way of an end.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    /// Whether the pointer could not be turned back.
    pub pointer: Cell<bool>,
    /// Whether refs that have moved could not be moved back.
    pub refs: Cell<bool>,
}

impl Stuck {
    pub(super) fn is_stuck(&self) -> bool {
        self.pointer.get() || self.refs.get()
    }
}

/// The time between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the environment of a change that failed and could not be undone, and undoes it as soon as
/// that can be done.
pub(super) fn undo_later(
    run: &Run,
    layout: Layout,
    workflow: Workflow,
    permits: Vec<Permit>,
    stuck: &Stuck,
    undone: &Undone,
) {
    let (held, state) = run.hand_over();
    let (steps, result) = (run.live().steps(), undone.to_string());
    let refs = stuck.refs.get();
    tracing::error!(
        workflow = workflow.id,
        "a change could not be undone; it keeps {}.{} until that is done",
        workflow.site,
        workflow.environment
    );
    in_background(move || {
        until_done("undoing a change", || {
            undo(&layout, &workflow, permits.first(), refs)
        });
        tracing::info!(workflow = workflow.id, "a change is undone now");
        for mut permit in permits {
            permit.describe(&*result);
            if let Err(fault) = permit.finish(Outcome::Failed) {
                tracing::error!("a change that failed could not be recorded: {fault}");
            }
        }
        end(
            &state,
            &workflow.id,
            WorkflowStatus::Failed,
            &result,
            &steps,
        );
        drop(held);
    });
}

/// Writes down how a workflow has ended as soon as that can be written.
pub(super) fn end_later(
    state: Arc<State>,
    id: String,
    status: WorkflowStatus,
    result: String,
    steps: Vec<Step>,
) {
    in_background(move || end(&state, &id, status, &result, &steps));
}

fn end(state: &State, id: &str, status: WorkflowStatus, result: &str, steps: &[Step]) {
    until_done("ending a workflow", || {
        state.end_workflow(id, status, result, steps)
    });
}

fn undo(
    layout: &Layout,
    workflow: &Workflow,
    permit: Option<&Permit>,
    refs: bool,
) -> Result<(), Fault> {
    let (Some(intent), Some(permit)) = (&workflow.intent, permit) else {
        return Err(Fault::new("undoing a change without an intent or a permit"));
    };
    let site = layout.site(&workflow.site);
    let environment = site.environment(&workflow.environment);
    turn_back(permit, &environment, intent)?;
    crash::point("settle-turned-back");
    if refs {
        let repository = repository::open(&site.repository())?;
        move_refs_back(&repository, permit, intent)?;
    }
    crash::point("settle-undone");
    if intent.generation.is_some() {
        // Nobody else has its turn, so what is newer than what runs is what failed.
        release::collect(permit, &environment)?;
    }
    Ok(())
}

fn until_done(doing: &str, mut work: impl FnMut() -> Result<(), Fault>) {
    let mut told = String::new();
    while let Err(fault) = work() {
        let fault = fault.to_string();
        if fault != told {
            tracing::error!("{doing}, again in a second: {fault}");
            told = fault;
        }
        std::thread::sleep(PAUSE);
    }
}

/// A thread of its own: it may wait for hours, and the runtime's own threads are few.
fn in_background(work: impl FnOnce() + Send + 'static) {
    let started = std::thread::Builder::new()
        .name("settling".to_owned())
        .spawn(work);
    if let Err(error) = started {
        tracing::error!("what could not be ended waits for the next start: {error}");
    }
}
