//! Repair at start-up: what a crash cut off is completed or dropped, from its written intent.
//!
//! Runs before anything is served, so nobody else works on any site.

use std::sync::Arc;

use git2::Oid;
use policy::SiteName;

use super::release;
use super::repository::{self, MoveError};
use super::{Sites, content, crash, multidev, orphans, runtime, targets, workflow};
use crate::audit::Outcome;
use crate::fault::{Fault, OrFault};
use crate::gate::{Gate, Permit};
use crate::state::{RefMove, Workflow, WorkflowStatus};

/// Repairs all that was cut off, and says what it did.
///
/// # Errors
/// When something can neither be completed nor dropped; nothing should be served then.
pub fn repair(sites: &Sites, gate: &Arc<Gate>) -> Result<Vec<String>, Fault> {
    let mut said = Vec::new();
    let ended = orphans::end(&sites.layout.sites())?;
    if ended > 0 {
        said.push(format!(
            "Ended git and restic of an earlier run ({ended} processes)."
        ));
    }
    for held in sites.state.take_over_leases()? {
        tracing::info!("taking over {held}");
    }
    let cut_off = sites.state.workflows(None)?;
    for workflow in &cut_off {
        said.push(repair_one(sites, gate, workflow)?);
    }
    multidev::repair(sites, gate, &cut_off)?;
    let names: Vec<SiteName> = sites.state.model().sites.keys().cloned().collect();
    for site in &names {
        for workflow in sites.state.workflows(Some(site))? {
            if workflow.result.as_deref() == Some(workflow::UNRECORDED) {
                said.push(record(sites, gate, &workflow)?);
            }
        }
    }
    for (site, environments) in sites
        .state
        .model()
        .sites
        .iter()
        .map(|(name, site)| (name.clone(), site.environments.clone()))
    {
        let layout = sites.layout.site(&site);
        for environment in environments.keys() {
            let permit = gate.resume(&site, environment, None);
            let folder = layout.environment(environment);
            for generation in release::collect(&permit, &folder)? {
                tracing::debug!(%site, %environment, generation, "collected");
            }
            content::found(&folder)?;
            if let Err(fault) = content::finish_rotations(sites, &folder) {
                tracing::error!(%site, %environment, "a password is still to be changed: {fault}");
            }
            for what in content::collect(sites, &permit, &folder)? {
                said.push(format!(
                    "{site}.{environment}: removed {what}, which nobody has any more."
                ));
            }
            sites
                .tree(&site, environment)?
                .remove_leftovers(sites.uploads.keep)?;
            runtime::refresh(sites, &permit, &site, environment);
            permit.forget();
        }
        let permit = gate.resume(&site, &policy::Environment::Dev, None);
        for file in repository::sweep(&permit, &layout.repository())? {
            said.push(format!(
                "{site}: removed {file}, which a killed git had left."
            ));
        }
        permit.forget();
        let_go_of_packs(&layout.repository(), "")?;
    }
    Ok(said)
}

/// Writes the row of a change whose end the gateway did not live to record.
fn record(sites: &Sites, gate: &Arc<Gate>, workflow: &Workflow) -> Result<String, Fault> {
    let result = "done, and recorded after the gateway had been cut off";
    let mut permit = gate.resume(&workflow.site, &workflow.environment, Some(workflow));
    permit.describe(result);
    permit.finish(Outcome::Done)?;
    sites
        .state
        .end_workflow(&workflow.id, WorkflowStatus::Succeeded, result, &[])?;
    Ok(format!("Recorded what had been done: {}.", named(workflow)))
}

fn named(workflow: &Workflow) -> String {
    format!(
        "{} of {}.{} by {}, begun {}",
        workflow.kind, workflow.site, workflow.environment, workflow.person, workflow.started
    )
}

fn repair_one(sites: &Sites, gate: &Arc<Gate>, workflow: &Workflow) -> Result<String, Fault> {
    let name = named(workflow);
    let mut permit = gate.resume(&workflow.site, &workflow.environment, Some(workflow));
    let Some(intent) = &workflow.intent else {
        return drop_it(sites, permit, workflow, &name, false);
    };
    let layout = sites.layout.site(&workflow.site);
    let environment = layout.environment(&workflow.environment);
    // A lock that the crash left would stop the refs from moving.
    let _ = repository::sweep(&permit, &layout.repository())?;
    let repository = repository::open(&layout.repository())?;
    let mut to_move = Vec::new();
    let mut moved = 0_usize;
    for one in &intent.refs {
        if is_at(&repository, one)? {
            moved += 1;
        } else {
            to_move.push(one.clone());
        }
    }
    let switched = workflow::has_switched(&environment, intent)?;
    // A change that moves no ref has no other sign that it was to be than the pointer.
    if moved == 0 && !(switched && intent.refs.is_empty()) {
        if switched {
            workflow::turn_back(&permit, &environment, intent)?;
        }
        return drop_it(sites, permit, workflow, &name, switched);
    }
    match repository::move_refs(&permit, &repository, &to_move) {
        Ok(()) => {}
        Err(MoveError::Moved { name: stuck }) => {
            return Err(Fault::new(format!(
                "completing {name}: {stuck} is neither what it was nor what it should be"
            )));
        }
        Err(MoveError::Fault(fault)) => return Err(fault),
    }
    workflow::switch(&permit, &environment, intent)?;
    targets::ask_for_sync(sites, workflow, None)?;
    // Repair may be cut off as well: what it has completed is told by the next one.
    sites
        .state
        .complete_workflow(workflow, workflow::UNRECORDED)?;
    crash::point("repair-completed");
    let result = "completed after the gateway had been cut off";
    permit.describe(result);
    permit.finish(Outcome::Done)?;
    crash::point("repair-recorded");
    sites
        .state
        .end_workflow(&workflow.id, WorkflowStatus::Succeeded, result, &[])?;
    Ok(format!("Completed what had been cut off: {name}."))
}

fn drop_it(
    sites: &Sites,
    mut permit: Permit,
    workflow: &Workflow,
    name: &str,
    switched: bool,
) -> Result<String, Fault> {
    if workflow
        .intent
        .as_ref()
        .is_some_and(|intent| intent.generation.is_some())
    {
        targets::ask_for_sync(sites, workflow, None)?;
    }
    let result = if switched {
        "dropped and turned back: the gateway had been cut off after the switch, before it was to stay"
    } else {
        "dropped: the gateway had been cut off before anything was changed"
    };
    // In this order, a repair that is cut off in between leaves two rows and not none.
    permit.describe(result);
    permit.finish(Outcome::Failed)?;
    crash::point("repair-recorded");
    sites
        .state
        .end_workflow(&workflow.id, WorkflowStatus::Failed, result, &[])?;
    Ok(if switched {
        format!("Dropped what had been cut off, and turned it back: {name}.")
    } else {
        format!("Dropped what had been cut off before anything was changed: {name}.")
    })
}

/// Returns true if a ref is where its move would put it.
fn is_at(repository: &git2::Repository, one: &RefMove) -> Result<bool, Fault> {
    let found = match repository.refname_to_id(&one.name) {
        Ok(id) => Some(id),
        Err(error) if error.code() == git2::ErrorCode::NotFound => None,
        Err(error) => return Err(error).or_fault(|| format!("reading {}", one.name)),
    };
    let wanted = one
        .new
        .as_deref()
        .map(Oid::from_str)
        .transpose()
        .or_fault(|| "reading an intent")?;
    Ok(found == wanted)
}

/// The marks by which a `git receive-pack` that was killed had kept its packs (git-index-pack(1),
/// `--keep`). Git refuses a second push of the same pack as long as one is there. `whose` is the
/// process, or empty for all.
///
/// # Errors
/// When they cannot be removed.
pub fn let_go_of_packs(repository: &std::path::Path, whose: &str) -> Result<(), Fault> {
    let mark = format!("receive-pack {whose}");
    let packs = repository.join("objects/pack");
    let doing = || format!("clearing {}", packs.display());
    for entry in std::fs::read_dir(&packs).or_fault(doing)? {
        let path = entry.or_fault(doing)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "keep")
            && std::fs::read(&path)
                .or_fault(doing)?
                .starts_with(mark.as_bytes())
        {
            std::fs::remove_file(&path).or_fault(doing)?;
        }
    }
    Ok(())
}
