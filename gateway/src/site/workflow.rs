//! The last step of every change of an environment: the same for pushes, deploys, hotfixes,
//! commits, modes and rollbacks.
//!
//! Everything is prepared before: objects are in the repository, the generation is on the disk and
//! synced. Then the intent is written down, the refs move in one transaction, the pointer turns by
//! one rename, and the state follows. A crash in between is repaired at the next start from the
//! intent: completed if a ref has moved, dropped if none has.

use std::fmt;

use git2::Repository;
use jiff::Timestamp;
use policy::{Environment, SiteName};

use super::release::{self, Prepared};
use super::repository::{self, MoveError};
use super::{Sites, crash};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::state::{Intent, RefMove, Workflow, WorkflowStatus};

/// A change that is prepared, waiting to be carried out under a lease.
#[derive(Debug)]
pub(super) struct Change {
    /// What it is called: `sync_code`, `deploy`, `hotfix` …
    pub kind: &'static str,
    /// The environment that changes.
    pub environment: Environment,
    /// The permits for all of it; at least one.
    pub permits: Vec<Permit>,
    /// What the last step does.
    pub intent: Intent,
    /// The generation that the intent names.
    pub release: Option<Prepared>,
}

/// Why a change was not carried out. Nothing is different from before.
#[derive(Debug)]
pub enum Undone {
    /// A ref was moved by somebody else in the meantime.
    Moved(String),
    /// A merge has conflicts in these files.
    Conflicts(Vec<String>),
    /// There is nothing to do, as the sentence says.
    Nothing(String),
    /// It cannot be done as asked, as the sentence says.
    Impossible(String),
    /// A failure of ours.
    Fault(Fault),
}

impl From<Fault> for Undone {
    fn from(fault: Fault) -> Self {
        Undone::Fault(fault)
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undone::Moved(name) => write!(
                f,
                "{name} was changed by somebody else in the meantime; fetch and try again."
            ),
            Undone::Conflicts(files) => {
                write!(
                    f,
                    "There are conflicts, so nothing was changed, in: {}.",
                    files.join(", ")
                )
            }
            Undone::Nothing(sentence) | Undone::Impossible(sentence) => f.write_str(sentence),
            Undone::Fault(fault) => {
                write!(
                    f,
                    "{}. Nothing was changed.",
                    capitalized(&fault.for_person())
                )
            }
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

/// Ends a permit whose change could not even be prepared.
pub(super) fn unprepared(mut permit: Permit, fault: Fault) -> Undone {
    tracing::error!("preparing a change: {fault}");
    permit.describe(fault.for_person());
    if let Err(fault) = permit.finish(Outcome::Failed) {
        tracing::error!("a change that failed could not be recorded: {fault}");
    }
    Undone::Fault(fault)
}

/// Carries out a change.
///
/// # Errors
/// [`Undone`] when nothing was changed. A failure after the refs have moved is undone, too, by
/// moving them back; where even that fails, the next start repairs it.
pub(super) fn carry_out(sites: &Sites, site: &SiteName, change: Change) -> Result<(), Undone> {
    let Change {
        kind,
        environment,
        permits,
        intent,
        release,
    } = change;
    let Some(permit) = permits.first() else {
        return Err(Fault::new("a change without a permit").into());
    };
    let workflow = Workflow {
        id: permit
            .incident()
            .map(ToString::to_string)
            .unwrap_or_default(),
        site: site.clone(),
        environment,
        kind: kind.to_owned(),
        person: permit.who().person.clone(),
        started: Timestamp::now(),
        finished: None,
        status: WorkflowStatus::Running,
        intent: Some(intent),
        result: None,
    };
    let done = perform(sites, permit, &workflow);
    let outcome = match &done {
        Ok(()) => Outcome::Done,
        Err(_) => Outcome::Failed,
    };
    if done.is_err()
        && let Some(release) = release
    {
        discard(sites, permit, &workflow, release);
    }
    let mut recorded = true;
    for mut permit in permits {
        if let Err(undone) = &done {
            permit.describe(undone.to_string());
        }
        if let Err(fault) = permit.finish(outcome) {
            tracing::error!("a finished change could not be recorded: {fault}");
            recorded = false;
        }
    }
    if done.is_ok() && recorded {
        crash::point("recorded");
        let ended = sites
            .state
            .end_workflow(&workflow.id, WorkflowStatus::Succeeded, "done");
        if let Err(fault) = ended {
            tracing::error!("a recorded change could not be marked as such: {fault}");
        }
    }
    done
}

/// What came of a change that is complete and that the audit has no row of yet. Repair writes one
/// if it stays so.
pub(super) const UNRECORDED: &str = "done, and not in the audit yet";

fn perform(sites: &Sites, permit: &Permit, workflow: &Workflow) -> Result<(), Undone> {
    let Some(intent) = &workflow.intent else {
        return Err(Fault::new("a change without an intent").into());
    };
    let layout = sites.layout.site(&workflow.site);
    let environment = layout.environment(&workflow.environment);
    let repository = repository::open(&layout.repository())?;
    let before = release::current(&environment)?;

    sites.state.begin_workflow(workflow)?;
    crash::point("intent-written");
    if let Err(error) = repository::move_refs(permit, &repository, &intent.refs) {
        let undone = match error {
            MoveError::Moved { name } => Undone::Moved(name),
            MoveError::Fault(fault) => Undone::Fault(fault),
        };
        sites
            .state
            .end_workflow(&workflow.id, WorkflowStatus::Failed, &undone.to_string())?;
        return Err(undone);
    }
    crash::point("refs-moved");
    let switched = match intent.generation {
        Some(generation) => release::switch(permit, &environment, generation),
        None => Ok(()),
    };
    let completed = switched.and_then(|()| {
        crash::point("switched");
        sites.state.complete_workflow(workflow, UNRECORDED)
    });
    if let Err(fault) = completed {
        tracing::error!("a change is being undone: {fault}");
        undo(&repository, permit, intent, &environment, before);
        // Where the state takes no writes, this fails as well; repair then finds the refs as they
        // were, and drops the intent.
        if let Err(fault) =
            sites
                .state
                .end_workflow(&workflow.id, WorkflowStatus::Failed, &fault.to_string())
        {
            tracing::error!("a failed change could not be ended: {fault}");
        }
        return Err(fault.into());
    }
    crash::point("completed");
    if intent.generation.is_some()
        && let Err(fault) = release::collect(permit, &environment)
    {
        tracing::warn!("old releases were not collected: {fault}");
    }
    Ok(())
}

fn discard(sites: &Sites, permit: &Permit, workflow: &Workflow, release: Prepared) {
    let environment = sites
        .layout
        .site(&workflow.site)
        .environment(&workflow.environment);
    if let Err(fault) = release::discard(permit, &environment, release) {
        tracing::warn!("a release that was not wanted is left: {fault}");
    }
}

fn undo(
    repository: &Repository,
    permit: &Permit,
    intent: &Intent,
    environment: &super::layout::EnvironmentLayout,
    before: Option<u64>,
) {
    if let Some(before) = before
        && let Err(fault) = release::switch(permit, environment, before)
    {
        tracing::error!("the former release was not switched back to: {fault}");
    }
    let back: Vec<RefMove> = intent
        .refs
        .iter()
        .map(|one| RefMove {
            name: one.name.clone(),
            old: one.new.clone(),
            new: one.old.clone(),
        })
        .collect();
    if let Err(error) = repository::move_refs(permit, repository, &back) {
        tracing::error!("refs were not moved back: {error:?}");
    }
}
