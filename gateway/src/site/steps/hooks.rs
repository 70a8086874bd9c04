//! Where the steps of code changes stand in a workflow.

use git2::{Oid, Repository};
use policy::{Environment, SiteName};

use super::{Event, Failed, File, NAME, Stage, Surroundings, of_commit, run};
use crate::fault::Fault;
use crate::site::push::short;
use crate::site::{Run, Sites, Undone, release, repository};
use crate::state::{Intent, Workflow};

/// Reads the steps of the commit that is being deployed.
///
/// # Errors
/// [`Failed::Step`] with line and column of what is wrong in them.
pub(super) fn read(repository: &Repository, commit: Oid) -> Result<File, Failed> {
    of_commit(repository, commit)?.map_err(|mistake| {
        Failed::Step(format!(
            "{NAME} of {}, {mistake} Nothing was changed.",
            short(commit)
        ))
    })
}

/// Runs what is to be run before a push, while its objects are in quarantine.
///
/// # Errors
/// When a step forbids it.
pub(in crate::site) fn check(
    sites: &Sites,
    workflow: &Run,
    (site, environment): (&SiteName, &Environment),
    origin: &release::Origin<'_>,
    generation: u64,
) -> Result<(), Undone> {
    let event = match environment {
        Environment::Dev | Environment::Multidev(_) => Event::SyncCode,
        Environment::Test | Environment::Live => Event::Deploy,
    };
    let file = read(origin.repository, origin.commit)?;
    let mut place = surroundings(sites, workflow, site, environment, generation);
    place.new = Some(origin.commit);
    Ok(run(sites, workflow, &place, event, Stage::Before, &file)?)
}

/// Runs what is to be run before any other change.
///
/// # Errors
/// When a step forbids it.
pub(in crate::site) fn before(sites: &Sites, workflow: &Run, row: &Workflow) -> Result<(), Undone> {
    // A push was checked before git took its objects.
    if matches!(row.kind.as_str(), "sync_code" | "hotfix" | "push") {
        return Ok(());
    }
    around(sites, workflow, row, Stage::Before, running(sites, row))
}

/// Runs what is to be run after a change.
///
/// # Errors
/// When a step that failed is to turn the change back.
pub(in crate::site) fn after(
    sites: &Sites,
    workflow: &Run,
    row: &Workflow,
    ran: Option<Oid>,
) -> Result<(), Undone> {
    around(sites, workflow, row, Stage::After, ran)
}

/// Returns what the environment of a workflow runs now.
pub(in crate::site) fn running(sites: &Sites, row: &Workflow) -> Option<Oid> {
    sites
        .state
        .model()
        .environment(&row.site, &row.environment)
        .and_then(|state| state.commit)
}

fn around(
    sites: &Sites,
    workflow: &Run,
    row: &Workflow,
    stage: Stage,
    ran: Option<Oid>,
) -> Result<(), Undone> {
    let Some((event, intent)) = event(row) else {
        return Ok(());
    };
    let model = sites.state.model();
    let state = model
        .environment(&row.site, &row.environment)
        .ok_or_else(|| Fault::new("the environment is gone"))?;
    let commit = match &intent.commit {
        Some(text) => Some(
            text.parse()
                .map_err(|_| Fault::new("an intent of no commit"))?,
        ),
        None => state.commit,
    };
    let Some(commit) = commit else {
        return Ok(());
    };
    let generation = intent.generation.unwrap_or(state.generation);
    let repository = repository::open(&sites.layout.site(&row.site).repository())?;
    let file = read(&repository, commit)?;
    let mut place = surroundings(sites, workflow, &row.site, &row.environment, generation);
    place.new = Some(commit);
    place.old = ran;
    Ok(run(sites, workflow, &place, event, stage, &file)?)
}

/// Returns what an intent does to its environment, if anything.
fn event(row: &Workflow) -> Option<(Event, &Intent)> {
    let intent = row.intent.as_ref()?;
    if intent.mode.is_some() {
        return Some((Event::ModeChange, intent));
    }
    intent.commit.as_ref()?;
    let event = match row.environment {
        Environment::Dev | Environment::Multidev(_) => Event::SyncCode,
        Environment::Test | Environment::Live => Event::Deploy,
    };
    Some((event, intent))
}

fn surroundings(
    sites: &Sites,
    workflow: &Run,
    site: &SiteName,
    environment: &Environment,
    generation: u64,
) -> Surroundings {
    let live = workflow.live();
    Surroundings {
        site: site.clone(),
        environment: environment.clone(),
        generation,
        workflow: workflow.id().to_string(),
        actor: live.asked.person.clone(),
        note: live.note(),
        old: sites
            .state
            .model()
            .environment(site, environment)
            .and_then(|state| state.commit),
        new: None,
    }
}
