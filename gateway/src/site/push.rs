//! What a push changes: refs, and what environments run from them.

use std::path::Path;

use git2::{Oid, Repository};
use hooks::{Question, RefResult, Update};
use policy::{
    Environment, HotfixName, MultidevName, PushFacts, RefChange, RefKind, SiteName, escape,
};

use super::deploy::{self, next_number};
use super::release::{Origin, Prepared, ReleaseKind};
use super::repository;
use super::workflow::{self, Change};
use super::{Author, Lease, Sites};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::state::{DeploymentKind, Intent, RefMove, Site};

/// The refs of a push, with the facts that the policy asks for.
#[derive(Debug)]
pub struct Examined {
    site: SiteName,
    remote: Environment,
    quarantine: Option<std::path::PathBuf>,
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
}

impl One {
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
    _lease: Lease,
    examined: Examined,
    permits: Vec<Permit>,
    deployed: Option<(usize, Environment, Prepared)>,
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
    let reason = question
        .options
        .iter()
        .filter_map(|option| option.strip_prefix("reason="))
        .map(|reason| reason.trim().chars().take(LONGEST_REASON).collect::<String>())
        .map(|reason| escape(reason.as_bytes()))
        .find(|reason| !reason.is_empty());
    let updates = question
        .updates
        .iter()
        .map(|update| {
            let facts = facts(site, &repository, update, reason.clone())?;
            Ok(One {
                update: update.clone(),
                facts,
            })
        })
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok(Examined {
        site: name.clone(),
        remote: remote.clone(),
        quarantine: quarantine.map(Path::to_path_buf),
        updates,
    })
}

/// Opens the repository, with what a push has brought.
fn open(sites: &Sites, site: &SiteName, quarantine: Option<&Path>) -> Result<Repository, Fault> {
    let path = sites.layout.site(site).repository();
    match quarantine {
        Some(objects) => repository::open_in_quarantine(&path, objects),
        None => repository::open(&path),
    }
}

fn facts(
    site: &Site,
    repository: &Repository,
    update: &Update,
    reason: Option<String>,
) -> Result<PushFacts, Fault> {
    let old = object(&update.old)?;
    let new = object(&update.new)?;
    let commit = match new {
        Some(new) if repository::is_commit(repository, new)? => Some(new),
        Some(_) | None => None,
    };
    let change = match (old, new) {
        (_, None) => RefChange::Delete,
        (None, Some(_)) => RefChange::Create,
        // Only a commit can have another among its ancestors; whatever else is moved is forced.
        (Some(old), Some(_)) => match commit {
            Some(commit)
                if repository::is_commit(repository, old)?
                    && repository::contains(repository, commit, old)? =>
            {
                RefChange::FastForward
            }
            Some(_) | None => RefChange::Force,
        },
    };
    let kind = kind(site, &update.name);
    let runs = |environment: &Environment| site.environments.get(environment)?.commit;
    let mut would_lose = Vec::new();
    if kind == RefKind::Trunk
        && change == RefChange::Force
        && let (Some(old), Some(new)) = (old, new)
    {
        for environment in [Environment::Test, Environment::Live] {
            if let Some(commit) = runs(&environment)
                && repository::contains(repository, old, commit)?
                && !repository::contains(repository, new, commit)?
            {
                would_lose.push(environment);
            }
        }
    }
    let live = runs(&Environment::Live);
    let descends_from_live = match (live, commit) {
        (Some(live), Some(commit)) => commit != live && repository::contains(repository, commit, live)?,
        _absent => false,
    };
    let brings_trunk = match (live, commit) {
        (Some(live), Some(commit)) => brings_trunk(site, repository, live, commit)?,
        _absent => false,
    };
    let uploads_path = match (&site.files_path, commit) {
        (Some(path), Some(commit)) => repository::tree_has_path(repository, commit, path)?,
        _absent => None,
    };
    let forbidden_path = match commit {
        Some(commit) => repository::forbidden_path(repository, commit, old)?,
        None => None,
    };
    Ok(PushFacts {
        kind,
        change,
        trunk: site.trunk.clone(),
        force_allowed: site.force_push,
        would_lose,
        live_deployed: live.is_some(),
        descends_from_live,
        brings_trunk,
        reason,
        uploads_path,
        forbidden_path,
        is_commit: commit.is_some(),
    })
}

/// Returns true if a commit brings Live commits of trunk that Live does not run: where it leaves
/// trunk must lie in what Live runs.
fn brings_trunk(
    site: &Site,
    repository: &Repository,
    live: Oid,
    commit: Oid,
) -> Result<bool, Fault> {
    let trunk = format!("refs/heads/{}", site.trunk);
    let Some(tip) = repository::commit_of_ref(repository, &trunk)? else {
        return Ok(false);
    };
    let bases = match repository.merge_bases(tip, commit) {
        Ok(bases) => bases,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(false),
        Err(error) => return Err(error).or_fault(|| "comparing a hotfix with trunk"),
    };
    for base in bases.iter() {
        if !repository::contains(repository, live, *base)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the facts about a ref as if it were pushed again as it is, or made from what Live runs,
/// for `explain`.
///
/// # Errors
/// When the repository cannot be read.
pub fn imagined(
    sites: &Sites,
    name: &SiteName,
    reference: &str,
    reason: Option<String>,
) -> Result<Option<PushFacts>, Fault> {
    let model = sites.state.model();
    let Some(site) = model.sites.get(name) else {
        return Ok(None);
    };
    let repository = open(sites, name, None)?;
    let old = repository::commit_of_ref(&repository, reference)?;
    let live = site
        .environments
        .get(&Environment::Live)
        .and_then(|live| live.commit);
    Ok(Some(PushFacts {
        kind: kind(site, reference),
        change: match old {
            Some(_) => RefChange::FastForward,
            None => RefChange::Create,
        },
        trunk: site.trunk.clone(),
        force_allowed: site.force_push,
        would_lose: Vec::new(),
        live_deployed: live.is_some(),
        descends_from_live: live.is_some(),
        brings_trunk: false,
        reason,
        uploads_path: None,
        forbidden_path: None,
        is_commit: true,
    }))
}

fn kind(site: &Site, name: &str) -> RefKind {
    if let Some(tag) = name.strip_prefix("refs/tags/") {
        let is_deploy = ["test_", "live_"].iter().any(|prefix| {
            tag.strip_prefix(prefix)
                .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
        return if is_deploy {
            RefKind::DeployTag
        } else {
            RefKind::PlainTag
        };
    }
    let Some(branch) = name.strip_prefix("refs/heads/") else {
        return RefKind::Reserved;
    };
    if branch == site.trunk {
        return RefKind::Trunk;
    }
    if let Some(hotfix) = branch.strip_prefix("hotfix/") {
        return hotfix
            .parse::<HotfixName>()
            .map_or(RefKind::Reserved, RefKind::Hotfix);
    }
    match branch.parse::<MultidevName>() {
        Ok(name)
            if site
                .environments
                .contains_key(&Environment::Multidev(name.clone())) =>
        {
            RefKind::MultidevBranch(name)
        }
        _other => RefKind::PlainBranch,
    }
}

/// Prepares what the push deploys, while its objects are still in quarantine.
///
/// # Errors
/// When the release cannot be built; nothing is left of it then.
pub fn prepare(
    sites: &Sites,
    lease: Lease,
    examined: Examined,
    permits: Vec<Permit>,
    say: &mut dyn FnMut(&str),
) -> Result<Ready, Fault> {
    let mut deployed = None;
    for (place, (one, permit)) in examined.updates.iter().zip(&permits).enumerate() {
        let environment = match &one.facts.kind {
            RefKind::Trunk | RefKind::MultidevBranch(_) | RefKind::Hotfix(_) => {
                examined.remote.clone()
            }
            RefKind::PlainBranch => {
                if one.facts.change != RefChange::Delete {
                    say(&format!(
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
            ));
        }
        let Some(commit) = object(&one.update.new)? else {
            continue;
        };
        let repository = open(sites, &examined.site, examined.quarantine.as_deref())?;
        say(&format!(
            "Preparing {} for {}.{environment} …",
            short(commit),
            examined.site
        ));
        let release = deploy::build(
            sites,
            permit,
            &environment,
            &Origin {
                repository: &repository,
                quarantine: examined.quarantine.as_deref(),
                commit,
            },
            ReleaseKind::ReadOnly,
        )?;
        deployed = Some((place, environment, release));
    }
    Ok(Ready {
        _lease: lease,
        examined,
        permits,
        deployed,
    })
}

/// Moves the refs and switches what runs from them.
///
/// # Errors
/// When nothing was changed for a reason that git has no word for.
pub fn carry_out(
    sites: &Sites,
    ready: Ready,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<RefResult>, Fault> {
    let Ready {
        _lease,
        examined,
        permits,
        deployed,
    } = ready;
    let Examined {
        site: name,
        remote,
        updates,
        ..
    } = examined;
    let repository = open(sites, &name, None)?;
    let mut intent = Intent::default();
    let mut results = Vec::new();
    let mut kind = "push";
    let mut release = None;
    let deployed_place = deployed.as_ref().map(|(place, _, _)| *place);
    let mut done = Vec::new();
    for (place, (one, permit)) in updates.iter().zip(&permits).enumerate() {
        let mut result = RefResult {
            name: one.update.name.clone(),
            failure: None,
            instead: None,
        };
        let moved = RefMove {
            name: one.update.name.clone(),
            old: object(&one.update.old)?.map(|id| id.to_string()),
            new: object(&one.update.new)?.map(|id| id.to_string()),
        };
        if deployed_place == Some(place) {
            let commit = object(&one.update.new)?
                .ok_or_else(|| Fault::new("a deploy of no commit"))?;
            intent.commit = Some(commit.to_string());
            if let RefKind::Hotfix(hotfix) = &one.facts.kind {
                kind = "hotfix";
                let tag = deploy_tag(sites, &repository, permit, &name, &remote, commit, one)?;
                intent.number = Some(tag.0);
                intent.kind = Some(DeploymentKind::Hotfix);
                intent.note = note(one);
                if matches!(remote, Environment::Live) {
                    intent.hotfix = Some(hotfix.clone());
                    intent.refs.push(moved);
                } else {
                    // Test only tries the hotfix: the branch itself comes into being on Live, or
                    // the push to Live would find nothing new to send.
                    result.instead = Some(Update {
                        old: Oid::ZERO_SHA1.to_string(),
                        new: tag.1.new.clone().unwrap_or_default(),
                        name: tag.1.name.clone(),
                    });
                }
                done.push(format!("{} is {}.", tag.1.name, short(commit)));
                intent.refs.push(tag.1);
            } else {
                kind = "sync_code";
                intent.refs.push(moved);
                if one.facts.kind == RefKind::Trunk {
                    intent.merged = deploy::merged_hotfixes(sites, &repository, &name, commit)?;
                }
            }
            done.insert(0, format!("Deployed {} to {name}.{remote}.", short(commit)));
        } else {
            intent.refs.push(moved);
        }
        results.push(result);
    }
    if let Some((_, _, prepared)) = deployed {
        intent.generation = Some(prepared.generation);
        release = Some(prepared);
    }
    for hotfix in &intent.merged {
        done.push(format!("hotfix/{hotfix} is now on trunk, and so no longer open."));
    }
    if intent.hotfix.is_some() {
        done.push(format!(
            "This hotfix stays open until trunk contains it: hotfix:merge {name} {}",
            intent.hotfix.as_ref().map_or("", |hotfix| hotfix.as_str())
        ));
    }
    let change = Change {
        kind,
        environment: remote,
        permits,
        intent,
        release,
    };
    match workflow::carry_out(sites, &name, change) {
        Ok(()) => {
            for line in done {
                say(&line);
            }
            Ok(results)
        }
        Err(undone) => {
            say(&format!("The push failed. {undone}"));
            let reason = undone.to_string().replace(['\n', '\r'], " ");
            for result in &mut results {
                result.failure = Some(reason.clone());
                result.instead = None;
            }
            Ok(results)
        }
    }
}

/// Drops a push that was prepared and never carried out.
pub fn abandon(sites: &Sites, ready: Ready) {
    let Ready {
        permits,
        deployed,
        examined,
        ..
    } = ready;
    if let (Some((_, environment, prepared)), Some(permit)) = (deployed, permits.first()) {
        let environment = sites.layout.site(&examined.site).environment(&environment);
        if let Err(fault) = super::release::discard(permit, &environment, prepared) {
            tracing::warn!("a release that was not wanted is left: {fault}");
        }
    }
    for permit in permits {
        if let Err(fault) = permit.finish(crate::audit::Outcome::Failed) {
            tracing::error!("an abandoned push could not be recorded: {fault}");
        }
    }
}

fn deploy_tag(
    sites: &Sites,
    repository: &Repository,
    permit: &Permit,
    site: &SiteName,
    environment: &Environment,
    commit: Oid,
    one: &One,
) -> Result<(u64, RefMove), Fault> {
    let number = next_number(sites, repository, site, environment)?;
    let name = format!("{environment}_{number}");
    let tag = repository::write_tag(
        permit,
        repository,
        &name,
        commit,
        &Author::of(permit, &sites.state),
        &note(one),
    )?;
    Ok((
        number,
        RefMove {
            name: format!("refs/tags/{name}"),
            old: None,
            new: Some(tag.to_string()),
        },
    ))
}

fn note(one: &One) -> String {
    one.facts
        .reason
        .clone()
        .unwrap_or_else(|| format!("Try {}", escape(one.update.name.as_bytes())))
}

fn object(id: &str) -> Result<Option<Oid>, Fault> {
    let id = Oid::from_str(id).or_fault(|| "reading an object id")?;
    Ok((!id.is_zero()).then_some(id))
}

/// Returns a commit's id as people are shown it.
pub fn short(commit: Oid) -> String {
    commit.to_string().chars().take(10).collect()
}
