//! The facts about each ref of a push that the policy asks for.

use std::path::Path;

use git2::{Oid, Repository};
use hooks::Update;
use policy::{Environment, HotfixName, MultidevName, PushFacts, RefChange, RefKind, SiteName};

use crate::fault::{Fault, OrFault};
use crate::site::{Sites, repository};
use crate::state::Site;

/// Opens the repository, with what a push has brought.
pub(super) fn open(
    sites: &Sites,
    site: &SiteName,
    quarantine: Option<&Path>,
) -> Result<Repository, Fault> {
    let path = sites.layout.site(site).repository();
    match quarantine {
        Some(objects) => repository::open_in_quarantine(&path, objects),
        None => repository::open(&path),
    }
}

pub(super) fn facts(
    sites: &Sites,
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
        (Some(live), Some(commit)) => {
            commit != live && repository::contains(repository, commit, live)?
        }
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
    let known = match old {
        Some(old) if repository::is_commit(repository, old)? => Some(old),
        Some(_) | None => None,
    };
    let forbidden_path = match commit {
        Some(commit) => repository::forbidden_path(repository, commit, known)?,
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
        untested: untested(sites, site, &update.name, commit)?,
        reason,
        uploads_path,
        forbidden_path,
        is_commit: commit.is_some(),
    })
}

/// Returns true if the site asks that a hotfix runs on Test before Live, and this commit has not: a
/// release that was rolled back there does not count.
fn untested(
    sites: &Sites,
    site: &Site,
    reference: &str,
    commit: Option<Oid>,
) -> Result<bool, Fault> {
    if !site.hotfix_require_test || !matches!(kind(site, reference), RefKind::Hotfix(_)) {
        return Ok(false);
    }
    let tried = sites.state.deployments(&site.name, &Environment::Test)?;
    Ok(!tried
        .iter()
        .any(|one| Some(one.commit) == commit && !one.rolled_back))
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
        untested: untested(sites, site, reference, old)?,
        reason,
        uploads_path: None,
        forbidden_path: None,
        is_commit: true,
    }))
}

pub(super) fn kind(site: &Site, name: &str) -> RefKind {
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

pub(super) fn object(id: &str) -> Result<Option<Oid>, Fault> {
    let id = Oid::from_str(id).or_fault(|| "reading an object id")?;
    Ok((!id.is_zero()).then_some(id))
}
