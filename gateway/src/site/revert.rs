//! Takes back a commit, or all that a deploy brought, by a commit on the branch of Dev or a Multidev.

use git2::{Oid, Repository};
use policy::{Environment, SiteName, escape};

use super::multidev::{self, Brought};
use super::push::short;
use super::repository::{commits_between, contains};
use super::workflow::Undone;
use super::{Author, Run, Sites, mode, repository};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;

/// What is taken back.
#[derive(Debug)]
pub struct Taken {
    /// As people call it: a deploy's tag, or a commit's short id.
    pub name: String,
    before: Oid,
    after: Oid,
    message: String,
}

/// The most commits that a message names.
const MOST_NAMED: usize = 100;

/// Finds what a person means: a release such as `live_7`, which stands for all that it brought, or a
/// commit by its id. A merge is taken back as seen from its first parent.
///
/// # Errors
/// [`Undone::Impossible`] when there is no such thing, or the environment does not have it.
pub fn find(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
    what: &str,
) -> Result<Taken, Undone> {
    let repository = repository::open(&sites.layout.site(site).repository())?;
    let branch = mode::branch(sites, site, environment)?;
    let tip = repository::commit_of_ref(&repository, &branch)?
        .ok_or_else(|| Fault::new("an environment without its branch"))?;
    let taken = match release(what) {
        Some((of, number)) => deploy(sites, &repository, site, &of, number)?,
        None => commit(&repository, site, what)?,
    };
    if !contains(&repository, tip, taken.after)? {
        return Err(Undone::Impossible(format!(
            "{site}.{environment} does not have {}, so there is nothing to take back there.",
            taken.name
        )));
    }
    Ok(taken)
}

/// Makes the commit, by the person of the permit, and brings it to the permit's environment. The
/// caller holds its lease. Returns the commit.
///
/// # Errors
/// [`Undone::Conflicts`] with the files that were changed again since; nothing has then changed.
pub fn revert(sites: &Sites, run: &Run, mut permit: Permit, taken: &Taken) -> Result<Oid, Undone> {
    permit.describe(&taken.name);
    run.perform(&taken.name, || {
        let brought = Brought {
            kind: "revert",
            message: &taken.message,
            make: |permit: &Permit, repository: &Repository, ours, author: &Author| {
                let range = (taken.before, taken.after);
                repository::revert(permit, repository, ours, range, &taken.message, author)
            },
            nothing: format!("Nothing of {} is left to take back.", taken.name),
        };
        multidev::bring(sites, run, permit, brought)
    })
}

fn release(what: &str) -> Option<(Environment, u64)> {
    let (environment, number) = what.split_once('_')?;
    let environment = match environment {
        "test" => Environment::Test,
        "live" => Environment::Live,
        _other => return None,
    };
    Some((environment, number.parse().ok()?))
}

fn deploy(
    sites: &Sites,
    repository: &Repository,
    site: &SiteName,
    environment: &Environment,
    number: u64,
) -> Result<Taken, Undone> {
    let name = format!("{environment}_{number}");
    let deployments = sites.state.deployments(site, environment)?;
    let after = deployments
        .iter()
        .find(|one| one.number == number)
        .ok_or_else(|| {
            Undone::Impossible(format!(
                "{site}.{environment} has had no release '{name}'; release:list {site}.{environment} shows them."
            ))
        })?;
    let before = deployments
        .iter()
        .find(|one| one.number < number)
        .ok_or_else(|| {
            Undone::Impossible(format!(
                "{name} is the first release of {site}.{environment}, so there is nothing before it to return to."
            ))
        })?;
    let brought = commits_between(repository, Some(before.commit), after.commit, MOST_NAMED)?;
    let listed: String = brought
        .iter()
        .map(|row| format!("* {} {}\n", short(row.commit), row.summary))
        .collect();
    Ok(Taken {
        message: format!(
            "Revert deploy {name}\n\nThis takes back what {name} brought over {environment}_{}:\n\n{listed}",
            before.number
        ),
        name,
        before: before.commit,
        after: after.commit,
    })
}

fn commit(repository: &Repository, site: &SiteName, what: &str) -> Result<Taken, Undone> {
    let absent = || {
        Undone::Impossible(format!(
            "There is no commit or release '{}' in {site}.",
            escape(what.as_bytes())
        ))
    };
    // A branch's name would mean its newest commit, which is not what anybody means here.
    if !what.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(absent());
    }
    let after = repository::resolve(repository, what)?.ok_or_else(absent)?;
    let doing = || format!("reading the commit {after}");
    let found = repository.find_commit(after).or_fault(doing)?;
    let before = found.parent_ids().next().ok_or_else(|| {
        Undone::Impossible(format!(
            "{} is where the history of {site} begins; it cannot be taken back.",
            short(after)
        ))
    })?;
    let summary = String::from_utf8_lossy(found.summary_bytes().unwrap_or_default()).into_owned();
    let merge = if found.parent_count() > 1 {
        format!(", reversing\nchanges made to {before}")
    } else {
        String::new()
    };
    Ok(Taken {
        name: short(after),
        before,
        after,
        message: format!("Revert \"{summary}\"\n\nThis reverts commit {after}{merge}.\n"),
    })
}
