//! Code up: what Dev runs to Test, what Test runs to Live, and back to the last good release.

use git2::{Oid, Repository};
use policy::{DeployFacts, Environment, FailedRelease, HotfixName, SiteName};

use super::changes::Changes;
use super::content::{self, Cloning};
use super::failed;
use super::push::short;
use super::release::{self, Origin, Prepared, ReleaseKind, Reuse};
use super::workflow::{self, Bringing, Change, Undone};
use super::{Author, Run, Sites, repository};
use crate::fault::Fault;
use crate::gate::Permit;
use crate::state::{ContentChange, Deployment, DeploymentKind, Intent, Model, RefMove};
use crate::steps_file::Event;

/// What a deploy or rollback would do, with the facts that the policy asks for.
#[derive(Debug)]
pub struct Plan {
    /// The facts.
    pub facts: DeployFacts,
    /// The commit that would run; absent when there is none.
    pub commit: Option<Oid>,
    /// What runs there now.
    pub running: Option<Oid>,
    /// That the commit has failed there.
    pub failed: Option<FailedRelease>,
    /// By which commits the two differ.
    pub changes: Changes,
    kind: DeploymentKind,
    rolled_back: Vec<u64>,
    back_to: Option<u64>,
}

impl Plan {
    /// Returns the note when the person gave none.
    pub fn default_note(&self, person: &policy::PersonName) -> String {
        match self.back_to {
            Some(number) => format!("Rolled back to deploy {number}"),
            None => format!("Deployed by {person}"),
        }
    }
}

/// What was deployed.
#[derive(Debug)]
pub struct Deployed {
    /// The tag's name.
    pub tag: String,
    /// The commit.
    pub commit: Oid,
}

/// Plans a deploy to Test or Live: what the environment below runs, or for Test an older commit.
///
/// # Errors
/// When the repository cannot be read; [`Undone::Impossible`] for a commit that does not exist.
pub fn plan(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
    chosen: Option<&str>,
) -> Result<Plan, Undone> {
    let model = sites.state.model();
    let repository = repository::open(&sites.layout.site(site).repository())?;
    let below = match environment {
        Environment::Live => Environment::Test,
        Environment::Test | Environment::Dev | Environment::Multidev(_) => Environment::Dev,
    };
    let runs = |environment: &Environment| model.environment(site, environment)?.commit;
    let commit = match chosen {
        Some(text) => Some(repository::resolve(&repository, text)?.ok_or_else(|| {
            Undone::Impossible(format!(
                "There is no commit '{}' in {site}.",
                policy::escape(text.as_bytes())
            ))
        })?),
        None => runs(&below),
    };
    let mut facts = DeployFacts {
        source_ready: commit.is_some(),
        ..DeployFacts::default()
    };
    if let Some(commit) = commit {
        facts.on_trunk = match trunk_tip(&model, &repository, site)? {
            Some(tip) => repository::contains(&repository, tip, commit)?,
            None => false,
        };
        if matches!(environment, Environment::Live) {
            facts.would_lose = lost_hotfixes(&model, &repository, site, commit)?;
        }
    }
    let running = runs(environment);
    Ok(Plan {
        changes: match commit {
            Some(commit) => Changes::between(&repository, running, commit)?,
            None => Changes::default(),
        },
        facts,
        commit,
        failed: commit.and_then(|commit| failed::fact(&model, site, environment, commit)),
        running,
        kind: DeploymentKind::Deploy,
        rolled_back: Vec::new(),
        back_to: None,
    })
}

/// Plans a return to a named deploy, or to the newest before the running one that nobody has called
/// bad.
///
/// # Errors
/// When the state cannot be read; [`Undone::Impossible`] when there is no deploy of that name.
pub fn plan_rollback(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
    to: Option<&str>,
) -> Result<Plan, Undone> {
    let model = sites.state.model();
    let running = model
        .environment(site, environment)
        .and_then(|environment| environment.commit);
    let has_failed = |commit| failed::fact(&model, site, environment, commit);
    let deployments = sites.state.deployments(site, environment)?;
    let good = match to {
        None => deployments.iter().find(|one| {
            !one.rolled_back && Some(one.commit) != running && has_failed(one.commit).is_none()
        }),
        Some(name) => {
            let named = |one: &&Deployment| name == format!("{environment}_{}", one.number);
            let found = deployments.iter().find(named);
            Some(found.ok_or_else(|| {
                Undone::Impossible(format!(
                    "{site}.{environment} has had no release '{}'; release:list {site}.{environment} \
                     shows them.",
                    policy::escape(name.as_bytes())
                ))
            })?)
        }
    };
    let repository = repository::open(&sites.layout.site(site).repository())?;
    let changes = match good {
        Some(good) => Changes::between(&repository, running, good.commit)?,
        None => Changes::default(),
    };
    let rolled_back = deployments
        .iter()
        .filter(|one| Some(one.commit) == running && !one.rolled_back)
        .filter(|one| good.is_some_and(|good| one.number > good.number))
        .map(|one| one.number)
        .collect();
    Ok(Plan {
        facts: DeployFacts {
            source_ready: good.is_some(),
            ..DeployFacts::default()
        },
        commit: good.map(|one| one.commit),
        running,
        failed: good.and_then(|one| has_failed(one.commit)),
        changes,
        kind: DeploymentKind::Rollback,
        rolled_back,
        back_to: good.map(|one| one.number),
    })
}

/// What a deploy does beside bringing code.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Content that comes down at the same time.
    pub content: Option<Cloning>,
    /// The site's updates of its database.
    pub update_database: bool,
    /// The clearing of its caches.
    pub clear_caches: bool,
}

/// Carries out a plan as the next deploy tag.
///
/// # Errors
/// [`Undone`]; no ref, no tag, no release and no content has then changed.
pub fn deploy(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    plan: Plan,
    note: &str,
    beside: &Beside,
) -> Result<Deployed, Undone> {
    run.perform(note, || {
        let fresh = match &beside.content {
            None => None,
            Some(cloning) => {
                let fresh = match content::fill(sites, run, &permit, cloning) {
                    Ok((fresh, _told)) => fresh,
                    Err(undone) => return Err(content::end(permit, undone)),
                };
                if let Err(fault) = fresh.complete(sites, &permit) {
                    return Err(fresh.give_up(sites, permit, fault.into()));
                }
                Some(fresh)
            }
        };
        let asked = [
            (beside.update_database, Event::UpdateDatabase),
            (beside.clear_caches, Event::ClearCaches),
        ];
        let with = With {
            content: fresh.as_ref().map(|fresh| fresh.change(sites)),
            more: asked
                .into_iter()
                .filter_map(|(asked, event)| asked.then_some(event))
                .collect(),
        };
        // Content that was not switched to is collected with the change that failed.
        release_plan(sites, run, permit, plan, note, with)
    })
}

/// What the release of a plan comes with.
struct With {
    content: Option<ContentChange>,
    more: Vec<Event>,
}

fn release_plan(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    plan: Plan,
    note: &str,
    with: With,
) -> Result<Deployed, Undone> {
    let site = permit.site()?.clone();
    let environment = permit.environment()?.clone();
    let commit = plan
        .commit
        .ok_or_else(|| Fault::new("a deploy of no commit"))?;
    let repository = repository::open(&sites.layout.site(&site).repository())?;
    run.say(&format!(
        "Preparing {} for {site}.{environment} …",
        short(commit)
    ));
    for line in plan.changes.told_of_loss(&format!("{site}.{environment}")) {
        run.say(&line);
    }
    let origin = Origin {
        repository: &repository,
        quarantine: None,
        commit,
        progress: None,
    };
    let kind = ReleaseKind::ReadOnly;
    let bringing = Bringing {
        content: with.content.as_ref().map(|change| change.new),
        more: with.more,
    };
    let event = (Event::Deploy, bringing);
    let (release, permit) = workflow::prepare_with(sites, run, permit, event, &origin, kind)?;
    let tagged = next_number(sites, &repository, &site, &environment).and_then(|number| {
        let tag = format!("{environment}_{number}");
        let author = Author::of(&permit, &sites.state);
        let object = repository::write_tag(&permit, &repository, &tag, commit, &author, note)?;
        Ok((number, tag, object))
    });
    let (number, tag, object) = match tagged {
        Ok(tagged) => tagged,
        Err(fault) => return Err(workflow::give_up(sites, permit, release, fault)),
    };
    let intent = Intent {
        refs: vec![RefMove {
            name: format!("refs/tags/{tag}"),
            old: None,
            new: Some(object.to_string()),
        }],
        commit: Some(commit.to_string()),
        generation: Some(release.generation()),
        number: Some(number),
        kind: Some(plan.kind),
        note: note.to_owned(),
        rolled_back: plan.rolled_back,
        content: with.content,
        ..Intent::default()
    };
    let change = Change {
        kind: plan.kind.as_str(),
        permits: vec![permit],
        intent,
        release: Some(release),
    };
    workflow::carry_out(sites, run, change)?;
    Ok(Deployed { tag, commit })
}

/// Builds the next generation of an environment, sharing unchanged files with a read-only release
/// of the site that is near.
pub(super) fn build(
    sites: &Sites,
    permit: &Permit,
    environment: &Environment,
    origin: &Origin<'_>,
    kind: ReleaseKind,
) -> Result<Prepared, Fault> {
    let name = permit.site()?;
    let model = sites.state.model();
    let site = model
        .sites
        .get(name)
        .ok_or_else(|| Fault::new("the site is gone"))?;
    let layout = sites.layout.site(name);
    let near = [
        environment,
        &Environment::Test,
        &Environment::Live,
        &Environment::Dev,
    ]
    .into_iter()
    .filter_map(|near| Some((near, site.environments.get(near)?)))
    .find(|(_, state)| {
        let writable = state
            .mode
            .as_ref()
            .is_some_and(|facts| facts.mode == policy::ConnectionMode::Sftp);
        !writable && state.generation > 0 && state.commit.is_some()
    })
    .and_then(|(near, state)| {
        Some((
            layout.environment(near).code(state.generation),
            state.commit?,
        ))
    });
    let reuse = near
        .as_ref()
        .filter(|_| kind == ReleaseKind::ReadOnly)
        .map(|(code, commit)| Reuse {
            code,
            commit: *commit,
        });
    release::prepare(
        permit,
        &layout.environment(environment),
        origin,
        kind,
        site.files_path.as_ref(),
        reuse,
    )
}

/// Returns N of the next deploy tag, which is greater than any that the site has had.
pub(super) fn next_number(
    sites: &Sites,
    repository: &Repository,
    site: &SiteName,
    environment: &Environment,
) -> Result<u64, Fault> {
    let newest = sites
        .state
        .deployments(site, environment)?
        .first()
        .map_or(0, |deployment| deployment.number);
    // A repository that was imported may bring tags of these names.
    let mut number = newest + 1;
    while repository::commit_of_ref(repository, &format!("refs/tags/{environment}_{number}"))?
        .is_some()
    {
        number += 1;
    }
    Ok(number)
}

/// Returns the open hotfixes that a commit of trunk contains.
pub(super) fn merged_hotfixes(
    sites: &Sites,
    repository: &Repository,
    site: &SiteName,
    commit: Oid,
) -> Result<Vec<HotfixName>, Fault> {
    let model = sites.state.model();
    open_hotfixes(&model, repository, site, commit, true)
}

fn lost_hotfixes(
    model: &Model,
    repository: &Repository,
    site: &SiteName,
    commit: Oid,
) -> Result<Vec<HotfixName>, Fault> {
    open_hotfixes(model, repository, site, commit, false)
}

fn open_hotfixes(
    model: &Model,
    repository: &Repository,
    site: &SiteName,
    commit: Oid,
    contained: bool,
) -> Result<Vec<HotfixName>, Fault> {
    let mut names = Vec::new();
    let open = model
        .sites
        .get(site)
        .map(|site| site.open_hotfixes.as_slice())
        .unwrap_or_default();
    for hotfix in open {
        if repository::contains(repository, commit, hotfix.commit)? == contained {
            names.push(hotfix.name.clone());
        }
    }
    Ok(names)
}

fn trunk_tip(
    model: &Model,
    repository: &Repository,
    site: &SiteName,
) -> Result<Option<Oid>, Fault> {
    match model.sites.get(site) {
        Some(site) => repository::commit_of_ref(repository, &format!("refs/heads/{}", site.trunk)),
        None => Ok(None),
    }
}
