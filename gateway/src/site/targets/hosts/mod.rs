//! Other web hosts, which get each release in two phases: all prepare it beside what they run, and
//! then all switch to it by one rename. One that fails in either turns all back.

mod phases;
mod ssh;
mod sync;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::program;
use crate::fault::Fault;
use crate::site::{Run, Sites, Undone};
use crate::state::{Host, Target, TargetKind, Workflow};
use phases::Way;
pub(super) use ssh::Keys;
pub use ssh::{Shown, scan};
pub use sync::ask_for_sync;
pub(super) use sync::{sweep, sync};

/// A release that all hosts of an environment hold beside the one that they run.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    release: String,
    hosts: Vec<Ready>,
    stage: Mutex<Stage>,
}

#[derive(Debug)]
struct Ready {
    target: Target,
    host: Host,
    keys: Keys,
    /// What the host ran before; unknown as long as it has not said so.
    former: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The release lies beside.
    Prepared,
    /// The hosts, or some of them, run it.
    Switched,
    /// There is nothing left to do or to undo.
    Over,
}

/// The first phase: each host of the environment gets the release that `workflow` names.
///
/// # Errors
/// [`Undone`] when one could not; nothing is left of it then on those that can be reached.
pub fn prepare(sites: &Sites, run: &Run, workflow: &Workflow) -> Result<Prepared, Undone> {
    let generation = workflow
        .intent
        .as_ref()
        .and_then(|intent| intent.generation);
    let hosts = match generation {
        Some(_) => of(sites, workflow)?,
        None => Vec::new(),
    };
    let code = sites
        .layout
        .site(&workflow.site)
        .environment(&workflow.environment)
        .code(generation.unwrap_or_default());
    let release = format!("{}-{}", generation.unwrap_or_default(), workflow.id);
    let mut prepared = Prepared {
        release,
        hosts,
        stage: Mutex::new(Stage::Prepared),
    };
    if prepared.hosts.is_empty() {
        prepared.set(Stage::Over);
        return Ok(prepared);
    }
    run.step("hosts: prepare", || prepared.write(run, &code))
        .inspect_err(|_| prepared.turn_back(sites, workflow))?;
    Ok(prepared)
}

/// The second phase: all hosts switch, at once.
///
/// # Errors
/// [`Undone`] when one could not; all have been turned back then. One that cannot be reached is
/// brought to what the environment runs as soon as it can be.
pub fn switch(
    sites: &Sites,
    run: &Run,
    workflow: &Workflow,
    prepared: &Prepared,
) -> Result<(), Undone> {
    if prepared.hosts.is_empty() {
        return Ok(());
    }
    prepared.set(Stage::Switched);
    let done = at_all(&prepared.hosts, &|| false, |ready, way| {
        way.switch(&prepared.release).map(|()| ready.former.clone())
    });
    if let Some(why) = failure(&prepared.hosts, &done, "switched to the new release") {
        run.say(&format!("{why} All hosts are turned back …"));
        prepared.turn_back(sites, workflow);
        return Err(Undone::Impossible(format!(
            "{why} All hosts were turned back, and nothing was changed."
        )));
    }
    run.say(&format!(
        "{} switched too.",
        names(prepared.hosts.iter().map(|ready| &ready.target))
    ));
    Ok(())
}

impl Prepared {
    fn set(&self, stage: Stage) {
        *self
            .stage
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = stage;
    }

    /// The change is complete: hosts go on with what they run.
    pub fn settle(&self) {
        self.set(Stage::Over);
    }

    /// Has all hosts run what they ran before; where nothing is to be undone, nothing is done. A host
    /// that cannot be turned back now is brought to what the environment runs later.
    pub fn turn_back(&self, sites: &Sites, workflow: &Workflow) {
        let stage = {
            let mut stage = self
                .stage
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::replace(&mut *stage, Stage::Over)
        };
        if stage == Stage::Over {
            return;
        }
        let done = at_all(&self.hosts, &|| false, |ready, way| {
            way.turn_back(&self.release, ready.former.as_deref())
                .map(|()| None)
        });
        for (ready, done) in self.hosts.iter().zip(done) {
            let Err(why) = done else {
                continue;
            };
            tracing::warn!(host = %ready.target.name, "a host was not turned back: {why}");
            if stage == Stage::Switched
                && let Err(fault) = ask_for_sync(sites, workflow, Some(ready.target.id))
            {
                tracing::error!(host = %ready.target.name, "nor will it be: {fault}");
            }
        }
    }

    /// Has all hosts write the release; the first that fails stops the others.
    fn write(&mut self, run: &Run, code: &Path) -> Result<(), Undone> {
        let failed = AtomicBool::new(false);
        let heard = Mutex::new(Instant::now());
        let unwanted = || {
            // Whoever waits for this is told so now and then, or their line may be cut.
            if let Ok(mut last) = heard.try_lock()
                && last.elapsed() >= SILENCE
            {
                *last = Instant::now();
                run.say("Hosts are still writing the release …");
            }
            failed.load(Ordering::Acquire) || run.live().cancelled_by().is_some()
        };
        let release = &self.release;
        let done = at_all(&self.hosts, &unwanted, |ready, way| {
            let began = Instant::now();
            let done = way.prepare(code, release);
            match &done {
                Ok(_) => run.say(&format!(
                    "Host {} has the release beside what it runs ({} ms).",
                    ready.target.name,
                    began.elapsed().as_millis()
                )),
                Err(_) => failed.store(true, Ordering::Release),
            }
            done
        });
        if let Some(person) = run.live().cancelled_by() {
            return Err(Undone::Cancelled(person.to_string()));
        }
        if let Some(why) = failure(&self.hosts, &done, "prepared") {
            return Err(Undone::Impossible(format!("{why} Nothing was changed.")));
        }
        for (ready, done) in self.hosts.iter_mut().zip(done) {
            ready.former = done.ok().flatten();
        }
        Ok(())
    }
}

/// Says whether a host can be reached and has all that is needed.
///
/// # Errors
/// With a sentence without a full stop.
pub(super) fn try_host(sites: &Sites, target: &Target) -> Result<String, String> {
    let ready = ready(sites, target.clone()).ok_or("it is no host")?;
    let way = Way {
        host: &ready.host,
        keys: &ready.keys,
        unwanted: &|| false,
    };
    way.try_it()
}

fn of(sites: &Sites, workflow: &Workflow) -> Result<Vec<Ready>, Fault> {
    let targets = sites.state.targets(&workflow.site, &workflow.environment)?;
    Ok(targets
        .into_iter()
        .filter(|target| target.active)
        .filter_map(|target| ready(sites, target))
        .collect())
}

fn ready(sites: &Sites, target: Target) -> Option<Ready> {
    let TargetKind::Rsync(host) = &target.kind else {
        return None;
    };
    let all: PathBuf = sites.targets.folder().to_path_buf();
    Some(Ready {
        host: host.clone(),
        keys: Keys::of(&all, target.id),
        former: None,
        target,
    })
}

/// The longest time that nothing is said while hosts write.
const SILENCE: Duration = Duration::from_secs(20);

type Done = Result<Option<String>, String>;

/// Does something on all hosts at the same time.
fn at_all(
    hosts: &[Ready],
    unwanted: &(dyn Fn() -> bool + Sync),
    act: impl Fn(&Ready, &Way<'_>) -> Done + Sync,
) -> Vec<Done> {
    let act = &act;
    thread::scope(|scope| {
        let working: Vec<_> = hosts
            .iter()
            .map(|ready| {
                scope.spawn(move || {
                    let way = Way {
                        host: &ready.host,
                        keys: &ready.keys,
                        unwanted,
                    };
                    act(ready, &way)
                })
            })
            .collect();
        working
            .into_iter()
            .map(|work| {
                work.join()
                    .unwrap_or_else(|_| Err("the gateway failed".to_owned()))
            })
            .collect()
    })
}

/// Says which host could not do what, and why: of several the first that was not just stopped.
fn failure(hosts: &[Ready], done: &[Done], what: &str) -> Option<String> {
    let failed: Vec<(&Ready, &String)> = hosts
        .iter()
        .zip(done)
        .filter_map(|(ready, done)| Some((ready, done.as_ref().err()?)))
        .collect();
    let (ready, why) = failed
        .iter()
        .find(|(_, why)| !why.ends_with("was ended") || why.contains("took longer"))
        .or(failed.first())?;
    Some(format!(
        "The web host {} could not be {what}: {why}.",
        ready.target.name
    ))
}

fn names<'a>(targets: impl Iterator<Item = &'a Target>) -> String {
    let names: Vec<&str> = targets.map(|target| target.name.as_str()).collect();
    match names.as_slice() {
        [one] => format!("Host {one}"),
        several => format!("Hosts {}", several.join(", ")),
    }
}
