//! A host that was away, or is new, is brought to what its environment runs.

use std::sync::Mutex;

use jiff::Timestamp;

use super::{Prepared, Stage, at_all, failure, ready};
use crate::fault::{Fault, OrFault};
use crate::site::{Run, Sites, Undone};
use crate::state::{Target, TargetEvent, Told, Workflow};

/// Has hosts of an environment brought to what it runs: all, or one by its number.
///
/// # Errors
/// When that cannot be written down.
pub fn ask_for_sync(sites: &Sites, workflow: &Workflow, only: Option<i64>) -> Result<(), Fault> {
    let told = Told {
        event: TargetEvent::Sync,
        workflow: workflow.id.clone(),
        kind: workflow.kind.clone(),
        actor: workflow.person.clone(),
        note: String::new(),
        old_commit: None,
        new_commit: None,
        release: None,
        generation: None,
        time: Timestamp::now(),
    };
    sites
        .state
        .ask_for_sync(&workflow.site, &workflow.environment, only, &told)?;
    sites.targets.wake();
    Ok(())
}

/// Brings one host to what its environment runs, as a workflow of its own. Returns what was done.
///
/// # Errors
/// [`Undone`]; the host runs what it ran before then.
pub(in crate::site::targets) fn sync(
    sites: &Sites,
    run: &Run,
    target: &Target,
) -> Result<String, Undone> {
    let mut done = String::new();
    run.perform("", || {
        done = sync_now(sites, run, target)?;
        run.say(&done);
        Ok(())
    })?;
    Ok(done)
}

fn sync_now(sites: &Sites, run: &Run, target: &Target) -> Result<String, Undone> {
    let model = sites.state.model();
    let environment = model
        .environment(&target.site, &target.environment)
        .ok_or_else(|| Fault::new("the environment is gone"))?;
    if environment.generation == 0 || environment.commit.is_none() {
        return Ok("nothing runs there yet".to_owned());
    }
    let writable = environment
        .mode
        .as_ref()
        .is_some_and(|facts| facts.mode == policy::ConnectionMode::Sftp);
    if writable {
        return Ok(
            "people work in its code (SFTP mode), so a host gets the next release".to_owned(),
        );
    }
    let code = sites
        .layout
        .site(&target.site)
        .environment(&target.environment)
        .code(environment.generation);
    let ready = ready(sites, target.clone())
        .ok_or_else(|| Fault::new("a target that is no host was to be synced"))?;
    let mut prepared = Prepared {
        release: format!("{}-{}", environment.generation, run.id()),
        hosts: vec![ready],
        stage: Mutex::new(Stage::Prepared),
    };
    let workflow = Workflow {
        site: target.site.clone(),
        environment: target.environment.clone(),
        ..run.record()
    };
    let undone = |prepared: &Prepared| {
        // What is left on it goes away with the next release; the sync itself is tried again.
        prepared.set(Stage::Prepared);
        prepared.turn_back(sites, &workflow);
    };
    run.step("hosts: prepare", || prepared.write(run, &code))
        .inspect_err(|_| undone(&prepared))?;
    run.step("hosts: switch", || {
        let done = at_all(&prepared.hosts, &|| false, |_, way| {
            way.switch(&prepared.release).map(|()| None)
        });
        match failure(&prepared.hosts, &done, "switched") {
            Some(why) => Err(Undone::Impossible(why)),
            None => Ok(()),
        }
    })?;
    prepared.settle();
    Ok(format!(
        "host {} runs generation {}",
        target.name, environment.generation
    ))
}

/// Removes the keys of targets that went away with their environments.
///
/// # Errors
/// When they cannot be looked through or removed.
pub(in crate::site::targets) fn sweep(sites: &Sites) -> Result<(), Fault> {
    let there: Vec<String> = sites
        .state
        .all_targets()?
        .iter()
        .map(|target| target.id.to_string())
        .collect();
    let doing = || "looking for keys of web hosts";
    let folder = sites.targets.folder();
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).or_fault(doing)? {
        let entry = entry.or_fault(doing)?;
        if !there.iter().any(|id| entry.file_name() == **id) {
            std::fs::remove_dir_all(entry.path()).or_fault(doing)?;
        }
    }
    Ok(())
}
