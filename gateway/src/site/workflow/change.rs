//! The last step of every change of an environment: the same for pushes, deploys, hotfixes,
//! commits, modes and rollbacks.
//!
//! Everything is prepared before: objects are in the repository, the generation is on the disk and
//! synced. Then the intent is written down, the pointer turns by one rename, the refs move in one
//! transaction, and the state follows. Refs come after the pointer, so that a release that fails
//! where it runs is a push that fails. A crash in between is repaired at the next start from the
//! intent: completed if a ref has moved, and turned back if none has.

use std::fmt;

use git2::Repository;

use super::Run;
use super::phases::{self, Bringing, Release};
use super::settle::{self, Stuck};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::{Denied, Permit};
use crate::site::layout::EnvironmentLayout;
use crate::site::release::{self, Origin, ReleaseKind};
use crate::site::repository::{self, MoveError};
use crate::site::{Sites, content, crash, runtime, targets};
use crate::state::{Intent, RefMove, Workflow};
use crate::steps_file::Event;

/// A change that is prepared, waiting to be carried out under a lease.
#[derive(Debug)]
pub(in crate::site) struct Change {
    /// What it is called: `sync_code`, `deploy`, `hotfix` …
    pub kind: &'static str,
    /// The permits for all of it; at least one.
    pub permits: Vec<Permit>,
    /// What the last step does.
    pub intent: Intent,
    /// The release that the intent names.
    pub release: Option<Release>,
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
    /// It was switched to and failed there, as the sentence says, and was turned back.
    TurnedBack(String),
    /// Somebody has cancelled it.
    Cancelled(String),
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
            Undone::Nothing(sentence)
            | Undone::Impossible(sentence)
            | Undone::TurnedBack(sentence) => f.write_str(sentence),
            Undone::Cancelled(person) => {
                write!(f, "{person} has cancelled this; nothing was changed.")
            }
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

/// Does the first steps of a change: writes the release beside the current one and checks it. A
/// permit whose change cannot even be prepared has ended.
///
/// # Errors
/// [`Undone`]; nothing is left of the release then.
pub(in crate::site) fn prepare(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    event: Event,
    origin: &Origin<'_>,
    kind: ReleaseKind,
) -> Result<(Release, Permit), Undone> {
    prepare_with(
        sites,
        run,
        permit,
        (event, Bringing::default()),
        origin,
        kind,
    )
}

/// The same for a release that brings more than code.
///
/// # Errors
/// [`Undone`]; nothing is left of the release then, but its content is.
pub(in crate::site) fn prepare_with(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    (event, bringing): (Event, Bringing),
    origin: &Origin<'_>,
    kind: ReleaseKind,
) -> Result<(Release, Permit), Undone> {
    let brings_content = bringing.content.is_some();
    match phases::build(sites, run, &permit, event, origin, kind, bringing) {
        Ok(release) => Ok((release, permit)),
        Err(undone) => {
            tracing::error!("preparing a change: {undone:?}");
            if brings_content {
                clear_content(sites, &permit);
            }
            permit.describe(undone.to_string());
            if let Err(fault) = permit.finish(Outcome::Failed) {
                tracing::error!("a change that failed could not be recorded: {fault}");
            }
            Err(undone)
        }
    }
}

/// Removes a content that was to come with a release.
fn clear_content(sites: &Sites, permit: &Permit) {
    let collected = permit.site().and_then(|site| {
        let layout = sites.layout.site(site).environment(permit.environment()?);
        content::collect(sites, permit, &layout)
    });
    if let Err(fault) = collected {
        tracing::warn!("a content that was not to be is left for later: {fault}");
    }
}

/// Ends a change that is prepared and cannot be carried out; returns why. Nothing is left of it.
pub(in crate::site) fn give_up(
    sites: &Sites,
    mut permit: Permit,
    release: Release,
    fault: Fault,
) -> Undone {
    tracing::error!("a change that was prepared: {fault}");
    let brings_content = release.brings_content();
    release.discard(sites, &permit);
    if brings_content {
        clear_content(sites, &permit);
    }
    let undone = Undone::Fault(fault);
    permit.describe(undone.to_string());
    if let Err(fault) = permit.finish(Outcome::Failed) {
        tracing::error!("a change that failed could not be recorded: {fault}");
    }
    undone
}

/// Carries out a change.
///
/// # Errors
/// [`Undone`] when nothing was changed. A failure after the refs have moved is undone, too, by
/// moving them back; where even that fails, nobody else gets the environment until it is done.
pub(in crate::site) fn carry_out(sites: &Sites, run: &Run, change: Change) -> Result<(), Undone> {
    let Change {
        kind,
        permits,
        intent,
        release,
    } = change;
    let Some(permit) = permits.first() else {
        return Err(Fault::new("a change without a permit").into());
    };
    run.set_kind(kind);
    let workflow = run.record();
    let environment = sites
        .layout
        .site(&workflow.site)
        .environment(&workflow.environment);
    let stuck = Stuck::default();
    let brings_content = intent.content.is_some();
    let mut begun = None;
    let done = release::current(&environment)
        .map_err(Undone::from)
        .and_then(|before| {
            let intent = Intent { before, ..intent };
            let workflow = begun.insert(Workflow {
                intent: Some(intent),
                ..workflow
            });
            let workflow = &*workflow;
            let hosts = targets::prepare(sites, run, workflow)?;
            let release = release.as_ref();
            let done = confirmed(&permits)
                .and_then(|()| run.pass_the_switch())
                .and_then(|()| perform(sites, run, permit, workflow, release, &hosts, &stuck));
            match &done {
                Ok(()) => targets::settle(sites, run, workflow, &hosts),
                Err(_) => hosts.turn_back(sites, workflow),
            }
            done
        });
    if let (Err(undone), Some(workflow)) = (&done, begun)
        && stuck.is_stuck()
    {
        // The release stays as well: the pointer may still lead to it.
        let cause = match undone {
            Undone::Fault(fault) => format!("{}.", capitalized(&fault.for_person())),
            other => other.to_string(),
        };
        let place = format!("{}.{}", workflow.site, workflow.environment);
        let undone = Undone::Impossible(format!(
            "{cause} It cannot be undone yet either: {place} is busy, and may serve the new \
             release, until that works; then it is as it was before."
        ));
        settle::undo_later(
            run,
            sites.layout.clone(),
            workflow,
            permits,
            &stuck,
            &undone,
        );
        let done = Err(undone);
        run.end_unless_begun(&done);
        return done;
    }
    let outcome = match &done {
        Ok(()) => Outcome::Done,
        Err(_) => Outcome::Failed,
    };
    if done.is_err()
        && let Some(release) = release
    {
        release.discard(sites, permit);
    }
    if done.is_err()
        && brings_content
        && let Err(fault) = content::collect(sites, permit, &environment)
    {
        tracing::warn!("a content that was not to be is left for later: {fault}");
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
        run.mark_recorded();
    }
    run.end_unless_begun(&done);
    done
}

/// Whether what was permitted when the change began may still be done now.
fn confirmed(permits: &[Permit]) -> Result<(), Undone> {
    for permit in permits {
        match permit.confirm() {
            Ok(()) => {}
            Err(Denied::Refused(refused)) => {
                return Err(Undone::Impossible(format!(
                    "{} [incident {}]",
                    refused.refusal, refused.incident
                )));
            }
            Err(Denied::Fault(fault)) => return Err(fault.into()),
        }
    }
    Ok(())
}

/// What came of a change that is complete and that the audit has no row of yet. Repair writes one
/// if it stays so.
pub(in crate::site) const UNRECORDED: &str = "done, and not in the audit yet";

fn perform(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    workflow: &Workflow,
    release: Option<&Release>,
    hosts: &targets::Prepared,
    stuck: &Stuck,
) -> Result<(), Undone> {
    let Some(intent) = &workflow.intent else {
        return Err(Fault::new("a change without an intent").into());
    };
    let layout = sites.layout.site(&workflow.site);
    let environment = &layout.environment(&workflow.environment);
    let repository = repository::open(&layout.repository())?;
    let back = |why: &dyn fmt::Debug| {
        tracing::error!("a change is being undone: {why:?}");
        if let Err(fault) = turn_back(permit, environment, intent) {
            tracing::error!("the former release was not switched back to: {fault}");
            stuck.pointer.set(true);
        }
        let switched = intent.generation.is_some();
        targets::turn_back(sites, workflow, hosts, switched, intent.before);
    };
    run.step("switch", || {
        run.intend(workflow)?;
        crash::point("intent-written");
        switch(permit, environment, intent).inspect_err(|fault| back(fault))?;
        crash::point("switched");
        targets::switch(sites, run, workflow, hosts).inspect_err(|undone| back(undone))?;
        crash::point("hosts-switched");
        Ok::<_, Undone>(())
    })?;
    if let Some(release) = release {
        release
            .stay(sites, run, permit)
            .inspect_err(|undone| back(undone))?;
        crash::point("verified");
    }
    let moved = run.step("record", || {
        repository::move_refs(permit, &repository, &intent.refs).map_err(|error| match error {
            MoveError::Moved { name } => Undone::Moved(name),
            MoveError::Fault(fault) => Undone::Fault(fault),
        })
    });
    moved.inspect_err(|undone| back(undone))?;
    crash::point("refs-moved");
    if let Err(fault) = sites.state.complete_workflow(workflow, UNRECORDED) {
        // Pointer first: repair takes refs that have moved for a change to complete.
        back(&fault);
        if let Err(fault) = move_refs_back(&repository, permit, intent) {
            tracing::error!("refs were not moved back: {fault}");
            stuck.refs.set(true);
        }
        return Err(fault.into());
    }
    crash::point("completed");
    runtime::refresh(sites, permit, &workflow.site, &workflow.environment);
    if intent.generation.is_some()
        && let Err(fault) = release::collect(permit, environment)
    {
        tracing::warn!("old releases were not collected: {fault}");
    }
    if intent.content.is_some() {
        let done = content::collect(sites, permit, environment)
            .and_then(|_gone| sites.recount(&workflow.site, &workflow.environment));
        if let Err(fault) = done {
            tracing::warn!("old content was not collected: {fault}");
        }
    }
    crash::point("collected");
    Ok(())
}

/// Turns the one pointer of a change: a release that comes with content leads to it already.
///
/// # Errors
/// When it cannot be turned.
pub(in crate::site) fn switch(
    permit: &Permit,
    environment: &EnvironmentLayout,
    intent: &Intent,
) -> Result<(), Fault> {
    match (intent.generation, &intent.content) {
        (Some(generation), _) => release::switch(permit, environment, generation),
        (None, Some(change)) => content::switch(permit, environment, change.new),
        (None, None) => Ok(()),
    }
}

/// Returns whether the pointer of a change has turned; false where it turns none.
///
/// # Errors
/// When the pointer cannot be read.
pub(in crate::site) fn has_switched(
    environment: &EnvironmentLayout,
    intent: &Intent,
) -> Result<bool, Fault> {
    match (intent.generation, &intent.content) {
        (Some(generation), _) => Ok(release::current(environment)? == Some(generation)),
        (None, Some(change)) => Ok(content::current(environment)? == change.new),
        (None, None) => Ok(false),
    }
}

/// Points an environment to what it ran before a change that is not to be.
///
/// # Errors
/// When the pointer cannot be turned.
pub(in crate::site) fn turn_back(
    permit: &Permit,
    environment: &EnvironmentLayout,
    intent: &Intent,
) -> Result<(), Fault> {
    match (intent.generation, intent.before) {
        (None, _) => {}
        // What it ran before leads to the content that it had.
        (Some(_), Some(before)) => return release::switch(permit, environment, before),
        (Some(_), None) => release::switch_off(permit, environment)?,
    }
    match &intent.content {
        Some(change) => content::switch(permit, environment, change.before),
        None => Ok(()),
    }
}

/// Moves the refs of a change that is not to be back to where they were. May be repeated.
///
/// # Errors
/// When they cannot be moved.
pub(super) fn move_refs_back(
    repository: &Repository,
    permit: &Permit,
    intent: &Intent,
) -> Result<(), Fault> {
    let back: Vec<RefMove> = intent
        .refs
        .iter()
        .map(|one| RefMove {
            name: one.name.clone(),
            old: one.new.clone(),
            new: one.old.clone(),
        })
        .collect();
    repository::move_refs(permit, repository, &back).map_err(|error| match error {
        MoveError::Fault(fault) => fault,
        MoveError::Moved { name } => Fault::new(format!("{name} was moved by somebody else")),
    })
}
