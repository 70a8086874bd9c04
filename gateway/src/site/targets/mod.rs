//! Targets: who is told of each switch of an environment, and hosts that follow it.
//!
//! `hosts` takes part in a change: all hosts hold the new release before anything switches. All
//! others are told afterwards (`sender`), of what was written down together with the change itself,
//! so that a crash in between loses nothing; again and again until they take it.

mod command;
mod hosts;
mod manage;
mod message;
mod program;
mod reload;
mod sender;
mod webhook;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

pub use hosts::{Prepared, Shown, ask_for_sync, prepare, scan, switch};
pub use manage::{
    Asked, add, check_address, check_name, described, host, remove, retry, try_target,
};
pub use reload::SIGNALS;
pub use sender::deliver;

use super::steps::Surroundings;
use super::{Run, Sites};
use crate::config;
use crate::fault::Fault;
use crate::state::{Intent, Secret, TargetEvent, TargetKind, Told, Workflow};

/// What all targets share.
#[derive(Debug)]
pub struct Targets {
    settings: config::Targets,
    folder: PathBuf,
    wake: Notify,
    /// Those that something is being told just now.
    busy: Mutex<HashSet<i64>>,
}

impl Targets {
    /// `folder` is where keys for hosts are kept.
    pub fn new(settings: config::Targets, folder: PathBuf) -> Self {
        Self {
            settings,
            folder,
            wake: Notify::new(),
            busy: Mutex::default(),
        }
    }

    /// Says that there may be something to tell.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns the authorities that web servers are checked by, if not those of the system.
    pub fn authorities(&self) -> Option<&Path> {
        self.settings.ca_file.as_deref()
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change is complete: hosts go on with what they run, the others are told, as was written down
/// with it.
pub fn settle(sites: &Sites, run: &Run, workflow: &Workflow, prepared: &Prepared) {
    prepared.settle();
    let tells = |intent: &Intent| intent.generation.is_some() || intent.commit.is_some();
    if !workflow.intent.as_ref().is_some_and(tells) {
        return;
    }
    match sites.state.targets(&workflow.site, &workflow.environment) {
        Ok(targets) => {
            let told: Vec<&str> = targets
                .iter()
                .filter(|target| target.active && !matches!(target.kind, TargetKind::Rsync(_)))
                .map(|target| target.name.as_str())
                .collect();
            if !told.is_empty() {
                run.say(&format!("Told in the background: {}.", told.join(", ")));
            }
        }
        Err(fault) => tracing::warn!("it is not known who is told: {fault}"),
    }
    sites.targets.wake();
}

/// Has the server programs of an environment reload at once, since they are about to be asked for
/// its new release. They are told again once the change is complete.
pub(super) fn reload(sites: &Sites, run: &Run, place: &Surroundings) {
    let targets = match sites.state.targets(&place.site, &place.environment) {
        Ok(targets) => targets,
        Err(fault) => {
            tracing::warn!("it is not known who should reload: {fault}");
            return;
        }
    };
    for target in targets.iter().filter(|target| target.active) {
        if let TargetKind::Reload(settings) = &target.kind
            && let Err(why) = reload::send(settings)
        {
            run.say(&format!("{} did not reload: {why}.", target.name));
        }
    }
}

/// A change has failed: hosts return to what they ran, and, where the environment had `switched`,
/// the others are told that it has turned back to `before`.
pub fn turn_back(
    sites: &Sites,
    workflow: &Workflow,
    prepared: &Prepared,
    switched: bool,
    before: Option<u64>,
) {
    prepared.turn_back(sites, workflow);
    if !switched {
        return;
    }
    let runs = sites
        .state
        .model()
        .environment(&workflow.site, &workflow.environment)
        .and_then(|environment| environment.commit)
        .map(|commit| commit.to_string());
    let told = Told {
        event: TargetEvent::TurnedBack,
        workflow: workflow.id.clone(),
        kind: workflow.kind.clone(),
        actor: workflow.person.clone(),
        note: workflow.note.clone(),
        old_commit: workflow
            .intent
            .as_ref()
            .and_then(|intent| intent.commit.clone()),
        new_commit: runs,
        release: None,
        generation: before,
        time: Timestamp::now(),
    };
    let announced = sites
        .state
        .announce(&workflow.site, &workflow.environment, &told);
    if let Err(fault) = announced {
        tracing::error!("nobody is told that a change was turned back: {fault}");
    }
    sites.targets.wake();
}

/// Makes a secret that nobody has chosen, in hexadecimal.
///
/// # Errors
/// When the system has no chance to give.
pub fn new_secret() -> Result<Secret, Fault> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Fault::new(format!("making a secret: {error}")))?;
    Ok(Secret::new(data_encoding::HEXLOWER.encode(&bytes)))
}
