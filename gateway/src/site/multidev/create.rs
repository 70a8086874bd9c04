//! Makes a Multidev.

use std::sync::PoisonError;

use git2::Oid;
use jiff::Timestamp;
use policy::{ConnectionMode, Environment, MultidevName};

use super::facts::{From, tip};
use super::{branch, exists, remove_unborn, tidy};
use crate::audit::Outcome;
use crate::database::Engine;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::content::{self, Cloning, Fresh, Parts};
use crate::site::layout::{EnvironmentLayout, create_environment_directories};
use crate::site::push::short;
use crate::site::release::{Origin, ReleaseKind};
use crate::site::workflow::{self, Bringing, Change, Undone};
use crate::site::{Run, Sites, crash, repository};
use crate::state::{ContentChange, Intent, MultidevChange, RefMove};
use crate::steps_file::Event;

/// A Multidev that was made.
#[derive(Debug)]
pub struct Created {
    /// What it runs.
    pub commit: Oid,
    /// Whether its branch is new.
    pub new_branch: bool,
}

/// What a Multidev begins with.
struct With<'a> {
    from: &'a From,
    commit: Oid,
    cloning: Option<&'a Cloning>,
}

/// The connection mode that a Multidev begins with: who made a branch works with git.
const FIRST_MODE: ConnectionMode = ConnectionMode::Git;

/// Makes a Multidev that runs `commit`, as was found with the facts. The caller holds the lease of
/// its name.
///
/// # Errors
/// [`Undone`]; there is then neither environment nor branch.
pub fn create(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    from: &From,
    commit: Oid,
    cloning: Option<&Cloning>,
) -> Result<Created, Undone> {
    let (name, note) = (multidev(&permit)?, note(from, commit));
    permit.describe(&note);
    // Before the workflow begins, since its log lies in the new folder.
    let cleared = clear_the_place(sites, &permit, &name);
    if let Err(fault) = cleared {
        permit.describe(fault.to_string());
        permit.finish(Outcome::Failed)?;
        return Err(fault.into());
    }
    run.perform(&note, || {
        let with = With {
            from,
            commit,
            cloning,
        };
        make(sites, run, permit, &name, &with)
    })
}

fn make(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    name: &MultidevName,
    with: &With<'_>,
) -> Result<Created, Undone> {
    let (from, commit) = (with.from, with.commit);
    let site = permit.site()?.clone();
    let environment = Environment::Multidev(name.clone());
    let layout = sites.layout.site(&site).environment(&environment);
    crash::point("multidev-begun");
    let made = make_in(sites, run, permit, name, &layout, with);
    if made.is_err() && !exists(sites, &site, name) {
        workflow::outlive(&sites.layout.site(&site), &layout, run.id().as_str());
        // A branch that could not be taken back needs its folder, for the next start completes it.
        let repository = repository::open(&sites.layout.site(&site).repository())?;
        let had_branch = matches!(from, From::Branch(one) if one == name.as_str());
        if had_branch || repository::commit_of_ref(&repository, &branch(name))? != Some(commit) {
            remove_unborn(sites, &layout)?;
        }
    }
    made
}

fn make_in(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    name: &MultidevName,
    layout: &EnvironmentLayout,
    with: &With<'_>,
) -> Result<Created, Undone> {
    let (from, commit) = (with.from, with.commit);
    let site = permit.site()?.clone();
    let repository = repository::open(&sites.layout.site(&site).repository())?;
    if let Err(fault) = create_environment_directories(&permit, layout) {
        permit.describe(fault.to_string());
        permit.finish(Outcome::Failed)?;
        return Err(fault.into());
    }
    crash::point("multidev-folders");
    run.say(&format!("Preparing {} for {site}.{name} …", short(commit)));
    let origin = Origin {
        repository: &repository,
        quarantine: None,
        commit,
        progress: None,
    };
    let content = match first_content(sites, run, &permit, with.cloning) {
        Ok(content) => content,
        Err(undone) => return Err(content::end(permit, undone)),
    };
    let bringing = Bringing {
        content: content.as_ref().map(|change| change.new),
        more: Vec::new(),
    };
    let (event, kind) = ((Event::MultidevCreate, bringing), ReleaseKind::ReadOnly);
    let (release, mut permit) = workflow::prepare_with(sites, run, permit, event, &origin, kind)?;
    let branches = sites.workflows.branches(&site);
    let _still = branches.write().unwrap_or_else(PoisonError::into_inner);
    let taken_over = matches!(from, From::Branch(one) if one == name.as_str());
    if tip(&repository, name.as_str())? != taken_over.then_some(commit) {
        let undone = Undone::Moved(branch(name));
        permit.describe(undone.to_string());
        permit.finish(Outcome::Failed)?;
        return Err(undone);
    }
    let new_branch = RefMove {
        name: branch(name),
        old: None,
        new: Some(commit.to_string()),
    };
    let intent = Intent {
        refs: Vec::from_iter((!taken_over).then_some(new_branch)),
        commit: Some(commit.to_string()),
        generation: Some(release.generation()),
        note: note(from, commit),
        content,
        multidev: Some(MultidevChange::Create { mode: FIRST_MODE }),
        ..Intent::default()
    };
    let change = Change {
        kind: super::CREATE,
        permits: vec![permit],
        intent,
        release: Some(release),
    };
    workflow::carry_out(sites, run, change)?;
    sites.forget_parts(&site, &Environment::Multidev(name.clone()));
    Ok(Created {
        commit,
        new_branch: !taken_over,
    })
}

/// What a Multidev begins with, where that is more than empty files and an empty SQLite.
fn first_content(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    cloning: Option<&Cloning>,
) -> Result<Option<ContentChange>, Undone> {
    let model = sites.state.model();
    let engine = model
        .sites
        .get(permit.site()?)
        .and_then(|site| site.content.engine);
    let fresh = match cloning {
        Some(cloning) => {
            let (fresh, told) = content::fill(sites, run, permit, cloning)?;
            for line in told {
                run.say(&line);
            }
            fresh
        }
        None if engine == Some(Engine::Sqlite) => return Ok(None),
        None => {
            let parts = Parts {
                database: true,
                files: false,
            };
            Fresh::begin(sites, permit, parts, "empty".to_owned())?
        }
    };
    fresh.complete(sites, permit)?;
    Ok(Some(ContentChange {
        keep_until: None,
        ..fresh.change(sites)
    }))
}

/// A folder of no environment is what is left of a deleted one, or after the state was restored from
/// an older copy. It is kept.
fn clear_the_place(sites: &Sites, permit: &Permit, name: &MultidevName) -> Result<(), Fault> {
    let site = permit.site()?;
    tidy(sites, site, name)?;
    let environment = Environment::Multidev(name.clone());
    let layout = sites.layout.site(site).environment(&environment);
    sites.forget_parts(site, &environment);
    if !layout.folder().exists() || exists(sites, site, name) {
        return Ok(());
    }
    let aside = format!("{name}-{}", Timestamp::now().as_millisecond());
    let aside = sites.layout.site(site).deleted(&aside);
    let doing = || format!("putting aside what is left of a former {site}.{name}");
    if let Some(above) = aside.parent() {
        std::fs::create_dir_all(above).or_fault(doing)?;
    }
    std::fs::rename(layout.folder(), &aside).or_fault(doing)?;
    tracing::warn!(%site, "a folder of no environment was kept as {}", aside.display());
    Ok(())
}

fn note(from: &From, commit: Oid) -> String {
    match from {
        From::Environment(environment) => format!("from {environment}, {}", short(commit)),
        From::Branch(branch) => format!(
            "from the branch {}, {}",
            policy::escape(branch.as_bytes()),
            short(commit)
        ),
    }
}

/// Returns the Multidev that a permit is about.
pub(super) fn multidev(permit: &Permit) -> Result<MultidevName, Fault> {
    match permit.environment()? {
        Environment::Multidev(name) => Ok(name.clone()),
        Environment::Dev | Environment::Test | Environment::Live => {
            Err(Fault::new("a permit for a Multidev was expected"))
        }
    }
}
