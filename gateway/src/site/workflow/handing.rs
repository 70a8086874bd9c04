//! Steps around what is no release: on a copy of an environment's content before anybody is pointed to it,
//! and around a backup.

use policy::Environment;

use super::Run;
use super::Undone;
use super::phases::{file_of, surroundings};
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::steps::{self, Surroundings};
use crate::site::{Sites, repository};
use crate::state::Content;
use crate::steps_file::{Event, Stage};

/// Runs what an environment has done to each copy of its content, before anybody is pointed to the copy.
/// Its own version and code count, and not those of the copy's environment: whoever may change code
/// there must not be able to leave out what takes personal data away.
///
/// # Errors
/// [`Undone`]; the copy is then not to be used.
pub(in crate::site) fn hand_out(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    source: &Environment,
    content: Content,
) -> Result<(), Undone> {
    let site = permit.site()?;
    let model = sites.state.model();
    let (generation, commit) = model
        .environment(site, source)
        .and_then(|state| Some((state.generation, state.commit?)))
        .ok_or_else(|| Fault::new("content of an environment that runs nothing"))?;
    let repository = repository::open(&sites.layout.site(site).repository())?;
    let place = Surroundings {
        code_of: Some(source.clone()),
        content,
        ..surroundings(sites, run, permit, generation, commit)?
    };
    let file = file_of(&repository, commit)?;
    steps::run(
        sites,
        run,
        &place,
        Event::CloneContent,
        Stage::Before,
        &file,
    )?;
    Ok(())
}

/// Runs the steps of an event around what changes neither code nor content.
///
/// # Errors
/// [`Undone`] of the first step that failed and whose failure stops the event.
pub(in crate::site) fn around(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    event: Event,
    stage: Stage,
) -> Result<(), Undone> {
    let model = sites.state.model();
    let runs = model
        .environment(permit.site()?, permit.environment()?)
        .and_then(|state| Some((state.generation, state.commit?)));
    // Nobody has said anything where nothing runs.
    let Some((generation, commit)) = runs else {
        return Ok(());
    };
    let repository = repository::open(&sites.layout.site(permit.site()?).repository())?;
    let place = surroundings(sites, run, permit, generation, commit)?;
    let file = file_of(&repository, commit)?;
    Ok(steps::run(sites, run, &place, event, stage, &file)?)
}
