//! What a push changes: refs, and what environments run from them.

mod facts;
mod plain;
mod plan;
mod tag;

use std::path::Path;

use git2::Oid;
use hooks::{Question, RefResult, Update};
use policy::{Environment, FailedRelease, PushFacts, RefChange, RefKind, SiteName, escape};

pub use facts::imagined;
use facts::{facts, object, open};
use plan::{Planned, plan};

use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::failed;
use crate::site::release::{Origin, ReleaseKind};
use crate::site::workflow::{self, Change, Release};
use crate::site::{Run, Sites, Undone};
use crate::steps_file::Event;

/// The refs of a push, with the facts that the policy asks for.
#[derive(Debug)]
pub struct Examined {
    site: SiteName,
    remote: Environment,
    quarantine: Option<std::path::PathBuf>,
    /// Why an administrator would go on in spite of a freeze, given with `-o override="…"`.
    pub overriding: Option<String>,
    /// Each ref.
    pub updates: Vec<One>,
}

/// One ref of a push.
#[derive(Debug)]
pub struct One {
    /// As git told it.
    pub update: Update,
    /// The facts.
    pub facts: PushFacts,
    /// That what would be deployed has failed there.
    pub failed: Option<FailedRelease>,
}

impl One {
    /// Returns what the ref would become, if that is an object.
    pub fn new_commit(&self) -> Option<Oid> {
        object(&self.update.new).ok().flatten()
    }

    /// Returns what the audit says of it.
    pub fn describe(&self) -> String {
        let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
        let from_to = format!("{}..{}", short(&self.update.old), short(&self.update.new));
        match &self.facts.reason {
            Some(reason) => format!("{from_to}, reason: {reason}"),
            None => from_to,
        }
    }
}

/// A push that was permitted and prepared. Holds the lease of its environment.
#[derive(Debug)]
pub struct Ready {
    run: Run,
    examined: Examined,
    permits: Vec<Permit>,
    deployed: Deployed,
}

impl Ready {
    /// Returns true if these are the refs that were permitted.
    pub fn covers(&self, updates: &[Update]) -> bool {
        updates.len() == self.examined.updates.len()
            && self
                .examined
                .updates
                .iter()
                .all(|one| updates.contains(&one.update))
    }
}

/// The most refs that one push may change, so that its facts cost a bounded time.
const MOST_REFS: usize = 1000;

/// The longest reason that is kept, in characters.
const LONGEST_REASON: usize = 500;

/// Looks up the facts about each ref of a push.
///
/// # Errors
/// When the repository cannot be read.
pub fn examine(
    sites: &Sites,
    name: &SiteName,
    remote: &Environment,
    question: &Question,
    quarantine: Option<&Path>,
) -> Result<Examined, Fault> {
    if question.updates.len() > MOST_REFS {
        return Err(Fault::new(format!(
            "a push of more than {MOST_REFS} refs at once (push them in parts)"
        )));
    }
    let model = sites.state.model();
    let site = model
        .sites
        .get(name)
        .ok_or_else(|| Fault::new("the site of a push is gone"))?;
    let repository = open(sites, name, quarantine)?;
    let reason = option(question, "reason=");
    let updates = question
        .updates
        .iter()
        .map(|update| {
            let failed =
                object(&update.new)?.and_then(|commit| failed::fact(&model, name, remote, commit));
            Ok(One {
                update: update.clone(),
                facts: facts(sites, site, &repository, update, reason.clone())?,
                failed,
            })
        })
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok(Examined {
        site: name.clone(),
        remote: remote.clone(),
        quarantine: quarantine.map(Path::to_path_buf),
        overriding: option(question, "override="),
        updates,
    })
}

/// Returns what was said with a push option, if anything was.
fn option(question: &Question, name: &str) -> Option<String> {
    question
        .options
        .iter()
        .filter_map(|option| option.strip_prefix(name))
        .map(|said| said.trim().chars().take(LONGEST_REASON).collect::<String>())
        .map(|said| escape(said.as_bytes()))
        .find(|said| !said.is_empty())
}

/// Prepares what the push deploys, while its objects are still in quarantine.
///
/// # Errors
/// When the release cannot be built; nothing is left of it then.
pub fn prepare(
    sites: &Sites,
    run: Run,
    examined: Examined,
    permits: Vec<Permit>,
) -> Result<Ready, Undone> {
    let deployed = match prepare_release(sites, &run, &examined, &permits) {
        Ok(deployed) => deployed,
        Err(undone) => {
            let done: Result<(), _> = Err(undone);
            for mut permit in permits {
                if let Err(undone) = &done {
                    permit.describe(undone.to_string());
                }
                if let Err(fault) = permit.finish(crate::audit::Outcome::Failed) {
                    tracing::error!("a push that failed could not be recorded: {fault}");
                }
            }
            run.end_if_begun(&done);
            return Err(done.err().unwrap_or_else(|| Fault::new("a push").into()));
        }
    };
    Ok(Ready {
        run,
        examined,
        permits,
        deployed,
    })
}

/// Which of the refs is deployed, and its release.
type Deployed = Option<(usize, Release)>;

fn prepare_release(
    sites: &Sites,
    run: &Run,
    examined: &Examined,
    permits: &[Permit],
) -> Result<Deployed, Undone> {
    let mut deployed = None;
    for (place, (one, permit)) in examined.updates.iter().zip(permits).enumerate() {
        let environment = match &one.facts.kind {
            RefKind::Trunk | RefKind::MultidevBranch(_) | RefKind::Hotfix(_) => {
                examined.remote.clone()
            }
            RefKind::PlainBranch => {
                if one.facts.change != RefChange::Delete {
                    run.say(&format!(
                        "{} is stored; no environment runs it, so nothing is deployed.",
                        escape(one.update.name.as_bytes())
                    ));
                }
                continue;
            }
            RefKind::PlainTag | RefKind::DeployTag | RefKind::Reserved => continue,
        };
        if deployed.is_some() {
            return Err(Fault::new(
                "a push of two branches that one environment would run (push them one by one)",
            )
            .into());
        }
        let Some(commit) = object(&one.update.new)? else {
            continue;
        };
        let (kind, event) = match one.facts.kind {
            RefKind::Hotfix(_) => ("hotfix", Event::Deploy),
            _ => ("sync_code", Event::SyncCode),
        };
        run.set_kind(kind);
        run.begin(&note(one))?;
        let repository = open(sites, &examined.site, examined.quarantine.as_deref())?;
        run.say(&format!(
            "Preparing {} for {}.{environment} …",
            short(commit),
            examined.site
        ));
        let origin = Origin {
            repository: &repository,
            quarantine: examined.quarantine.as_deref(),
            commit,
            progress: None,
        };
        let kind = ReleaseKind::ReadOnly;
        let alone = workflow::Bringing::default();
        let release = workflow::build(sites, run, permit, event, &origin, kind, alone)?;
        deployed = Some((place, release));
    }
    Ok(deployed)
}

/// Moves the refs and switches what runs from them.
pub fn carry_out(sites: &Sites, ready: Ready) -> Vec<RefResult> {
    let branches = sites.workflows.branches(&ready.examined.site);
    let _still = plain::hold(&branches, &ready.examined);
    if let Some(results) = plain::overtaken(sites, &ready.examined) {
        abandon(sites, ready);
        return results;
    }
    let Planned {
        kind,
        intent,
        mut results,
        done,
    } = match plan(sites, &ready) {
        Ok(planned) => planned,
        Err(fault) => {
            tracing::error!("planning a push: {fault}");
            let updates = &ready.examined.updates;
            let mut results: Vec<RefResult> = updates.iter().map(result).collect();
            let undone = Undone::Fault(fault);
            fail(&mut results, &undone);
            drop_prepared(sites, ready, undone);
            return results;
        }
    };
    let Ready {
        run,
        permits,
        deployed,
        ..
    } = ready;
    let change = Change {
        kind,
        permits,
        intent,
        release: deployed.map(|(_, release)| release),
    };
    let carried_out = workflow::carry_out(sites, &run, change);
    match &carried_out {
        Ok(()) => {
            for line in done {
                run.say(&line);
            }
        }
        Err(undone) => {
            run.say(&format!("The push failed. {undone}"));
            fail(&mut results, undone);
        }
    }
    run.end_if_begun(&carried_out);
    results
}

fn result(one: &One) -> RefResult {
    RefResult {
        name: one.update.name.clone(),
        failure: None,
        instead: None,
    }
}

fn fail(results: &mut [RefResult], undone: &Undone) {
    let reason = undone.to_string().replace(['\n', '\r'], " ");
    for result in results {
        result.failure = Some(reason.clone());
        result.instead = None;
    }
}

/// Drops a push that was prepared and never carried out.
pub fn abandon(sites: &Sites, ready: Ready) {
    let sentence = "The push ended before it was carried out, so nothing was changed.";
    drop_prepared(sites, ready, Undone::Impossible(sentence.to_owned()));
}

fn drop_prepared(sites: &Sites, ready: Ready, undone: Undone) {
    let Ready {
        run,
        permits,
        deployed,
        ..
    } = ready;
    if let (Some((_, release)), Some(permit)) = (deployed, permits.first()) {
        release.discard(sites, permit);
    }
    for permit in permits {
        if let Err(fault) = permit.finish(crate::audit::Outcome::Failed) {
            tracing::error!("an abandoned push could not be recorded: {fault}");
        }
    }
    let abandoned: Result<(), Undone> = Err(undone);
    run.end_if_begun(&abandoned);
}

fn note(one: &One) -> String {
    let name = escape(one.update.name.as_bytes());
    match (&one.facts.reason, &one.facts.kind) {
        (Some(reason), _) => reason.clone(),
        (None, RefKind::Hotfix(_)) => format!("Try {name}"),
        (None, _) => format!("Push to {name}"),
    }
}

/// Returns a commit's id as people are shown it.
pub fn short(commit: Oid) -> String {
    commit.to_string().chars().take(10).collect()
}
