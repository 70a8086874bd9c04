//! Connection modes, and work that is done on the server in SFTP mode.

use git2::{Oid, Repository};
use policy::{ConnectionMode, Environment, SiteName, SitePath};

use super::release::{Origin, ReleaseKind};
use super::tree::Frozen;
use super::work::{Committed, Saved, WorkError, WorkTree};
use super::workflow::{self, Change, Undone};
use super::{Author, Run, Sites, hotfix, repository};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::state::{Intent, RefMove};
use crate::steps_file::Event;

/// Calls `look` with the writable code tree of an environment; with none, when the environment is
/// not in SFTP mode.
///
/// # Errors
/// When the repository cannot be read, and what `look` returns.
pub fn with_work<T, E: From<Fault>>(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
    look: impl FnOnce(Option<WorkTree<'_>>) -> Result<T, E>,
) -> Result<T, E> {
    let model = sites.state.model();
    let layout = sites.layout.site(site);
    let found = model.sites.get(site).and_then(|site| {
        let state = site.environments.get(environment)?;
        let sftp = state.mode.as_ref()?.mode == ConnectionMode::Sftp;
        sftp.then_some((site, state.commit?))
    });
    let Some((site, commit)) = found else {
        return look(None);
    };
    let repository = repository::open(&layout.repository())?;
    let environment = layout.environment(environment);
    look(Some(WorkTree {
        environment: &environment,
        repository: &repository,
        commit,
        files_path: site.files_path.as_ref(),
    }))
}

/// Returns how many files hold work that is not committed.
///
/// # Errors
/// When the tree cannot be read.
pub fn uncommitted(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
) -> Result<usize, Fault> {
    with_work(sites, site, environment, |work| match work {
        Some(work) => work.diffstat().map(|changes| changes.len()),
        None => Ok(0),
    })
}

/// Keeps code of an environment as it is while a release takes its place: what was written in
/// between would be in neither.
///
/// # Errors
/// [`Undone::Impossible`] when somebody has written since the policy was asked.
pub fn hold_work(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
) -> Result<Frozen, Undone> {
    let frozen = sites.parts(site, environment)?.freeze_code();
    match uncommitted(sites, site, environment)? {
        0 => Ok(frozen),
        several => Err(Undone::Impossible(format!(
            "Work in {several} file(s) of {site}.{environment} has just come over SFTP, so nothing \
             was changed. Commit it first: env:commit {site}.{environment} -m \"what you did\"."
        ))),
    }
}

/// Sets the connection mode. Work that is not committed goes to a hidden ref first; it is returned.
///
/// # Errors
/// [`Undone`]; nothing has then changed.
pub fn set(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    mode: ConnectionMode,
) -> Result<Option<Saved>, Undone> {
    run.perform("", || set_now(sites, run, permit, mode))
}

fn set_now(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    mode: ConnectionMode,
) -> Result<Option<Saved>, Undone> {
    let site = permit.site()?.clone();
    let environment = permit.environment()?.clone();
    let author = Author::of(&permit, &sites.state);
    // What is written after the work was kept would be lost with the release that it is in.
    let _frozen = sites.parts(&site, &environment)?.freeze_code();
    let saved = with_work(sites, &site, &environment, |work| match work {
        Some(work) => work
            .save(&permit, None, true, "the switch to Git mode", &author)
            .map_err(undone),
        None => Ok(None),
    })?;
    let commit = sites
        .state
        .model()
        .environment(&site, &environment)
        .and_then(|environment| environment.commit)
        .ok_or_else(|| Fault::new("an environment without a commit"))?;
    let repository = repository::open(&sites.layout.site(&site).repository())?;
    let kind = match mode {
        ConnectionMode::Sftp => ReleaseKind::Writable,
        ConnectionMode::Git => ReleaseKind::ReadOnly,
    };
    let origin = Origin {
        repository: &repository,
        quarantine: None,
        commit,
        progress: None,
    };
    let (release, permit) =
        workflow::prepare(sites, run, permit, Event::ModeChange, &origin, kind)?;
    let intent = Intent {
        generation: Some(release.generation()),
        mode: Some(mode),
        note: format!("connection mode {mode}"),
        ..Intent::default()
    };
    let change = Change {
        kind: match mode {
            ConnectionMode::Sftp => "enable_on_server_development",
            ConnectionMode::Git => "enable_git_mode",
        },
        permits: vec![permit],
        intent,
        release: Some(release),
    };
    workflow::carry_out(sites, run, change)?;
    Ok(saved)
}

/// Commits work of the code tree, or a part of it.
///
/// # Errors
/// [`Undone`]; nothing has then changed.
pub fn commit(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    message: &str,
    paths: Option<&[SitePath]>,
) -> Result<Committed, Undone> {
    run.perform(message, || commit_now(sites, run, permit, message, paths))
}

fn commit_now(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    message: &str,
    paths: Option<&[SitePath]>,
) -> Result<Committed, Undone> {
    let site = permit.site()?.clone();
    let environment = permit.environment()?.clone();
    let author = Author::of(&permit, &sites.state);
    let parts = sites.parts(&site, &environment)?;
    let being_written = |file| parts.is_edited(file);
    let made = with_work(sites, &site, &environment, |work| {
        let work = work.ok_or_else(|| Fault::new("a commit outside SFTP mode"))?;
        let made = work
            .commit(&permit, paths, &being_written, message, &author)
            .map_err(undone)?;
        Ok::<_, Undone>(made.map(|made| (made, work.commit)))
    });
    let (made, parent) = match made {
        Ok(Some(found)) => found,
        Ok(None) => {
            permit.forget();
            return Err(Undone::Nothing("There is no code to commit.".to_owned()));
        }
        Err(error) => {
            permit.describe(error.to_string());
            permit.finish(Outcome::Failed)?;
            return Err(error);
        }
    };
    permit.describe(format!("{} {}", super::push::short(made.commit), message));
    let repository = repository::open(&sites.layout.site(&site).repository())?;
    let intent = Intent {
        refs: vec![RefMove {
            name: branch(sites, &site, &environment)?,
            old: Some(parent.to_string()),
            new: Some(made.commit.to_string()),
        }],
        commit: Some(made.commit.to_string()),
        merged: merged(sites, &repository, &site, &environment, made.commit)?,
        note: message.to_owned(),
        ..Intent::default()
    };
    let checked = workflow::in_place(sites, run, &permit, &repository, made.commit);
    let release = match checked {
        Ok(release) => release,
        Err(undone) => return end(permit, Err(undone)),
    };
    let change = Change {
        kind: "commit_and_push_on_server_changes",
        permits: vec![permit],
        intent,
        release: Some(release),
    };
    workflow::carry_out(sites, run, change)?;
    Ok(made)
}

/// Puts work back to the commit, keeping it on a hidden ref.
///
/// # Errors
/// [`Undone`]; nothing has then changed.
pub fn discard(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    paths: Option<&[SitePath]>,
) -> Result<Option<Saved>, Undone> {
    run.perform("", || discard_now(sites, permit, paths))
}

fn discard_now(
    sites: &Sites,
    permit: Permit,
    paths: Option<&[SitePath]>,
) -> Result<Option<Saved>, Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let author = Author::of(&permit, &sites.state);
    let saved = with_work(sites, &site, &environment, |work| {
        work.ok_or_else(|| Undone::from(Fault::new("a discard outside SFTP mode")))?
            .discard(&permit, paths, "env:discard", &author)
            .map_err(undone)
    });
    end(permit, saved)
}

/// Puts saved work back into the code tree.
///
/// # Errors
/// [`Undone`]; nothing has then changed.
pub fn restore(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    id: &str,
) -> Result<Vec<SitePath>, Undone> {
    run.perform(id, || restore_now(sites, permit, id))
}

fn restore_now(sites: &Sites, permit: Permit, id: &str) -> Result<Vec<SitePath>, Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let restored = with_work(sites, &site, &environment, |work| {
        work.ok_or_else(|| Undone::from(Fault::new("a restore outside SFTP mode")))?
            .restore(&permit, id)
            .map_err(undone)
    });
    end(permit, restored)
}

fn end<T>(mut permit: Permit, done: Result<T, Undone>) -> Result<T, Undone> {
    match &done {
        Ok(_) => permit.finish(Outcome::Done)?,
        Err(undone) => {
            permit.describe(undone.to_string());
            permit.finish(Outcome::Failed)?;
        }
    }
    done
}

/// Returns the full name of the branch that an environment runs.
pub(super) fn branch(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
) -> Result<String, Fault> {
    match environment {
        Environment::Multidev(name) => Ok(format!("refs/heads/{name}")),
        Environment::Dev | Environment::Test | Environment::Live => {
            let model = sites.state.model();
            let site = model
                .sites
                .get(site)
                .ok_or_else(|| Fault::new("the site is gone"))?;
            Ok(format!("refs/heads/{}", site.trunk))
        }
    }
}

/// Returns the open hotfixes that are merged when an environment runs a commit.
pub(super) fn merged(
    sites: &Sites,
    repository: &Repository,
    site: &SiteName,
    environment: &Environment,
    commit: Oid,
) -> Result<Vec<policy::HotfixName>, Fault> {
    match environment {
        Environment::Dev => hotfix::merged_hotfixes(sites, repository, site, commit),
        Environment::Multidev(_) | Environment::Test | Environment::Live => Ok(Vec::new()),
    }
}

/// Returns what a person is told of work that could not be handled.
pub(super) fn undone(error: WorkError) -> Undone {
    let list = |paths: &[SitePath]| {
        paths
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    Undone::Impossible(match error {
        WorkError::NoSuchPath(path) => format!(
            "Neither the code tree nor the last commit has '{path}', so nothing was changed."
        ),
        WorkError::Unfit(names) => format!(
            "Code cannot hold these, so nothing was changed: {}.",
            names.join("; ")
        ),
        WorkError::Unreadable(paths) => format!(
            "These files cannot be read, by their own permissions (chmod u+r them): {}.",
            list(&paths)
        ),
        WorkError::Changing(paths) => format!(
            "These files are being changed right now, so nothing was done: {}. Try again.",
            list(&paths)
        ),
        WorkError::InTheWay(paths) => format!(
            "Uncommitted changes are in the way, so nothing was changed: {}. Commit or discard them first.",
            list(&paths)
        ),
        WorkError::Conflicts(files) => return Undone::Conflicts(files),
        WorkError::NoSuchWork(id) => format!(
            "There is no saved work '{}'; --list shows what there is.",
            policy::escape(id.as_bytes())
        ),
        WorkError::Fault(fault) => return Undone::Fault(fault),
    })
}
