//! Releases that failed their check, and leave to deploy them again.

use git2::Oid;
use jiff::Timestamp;
use policy::{Environment, FailedRelease, SiteName};

use super::{Run, Sites, Undone};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::state::{Failed, Model};

/// Returns that a commit has failed on an environment, if it has and nobody has allowed it since.
pub fn fact(
    model: &Model,
    site: &SiteName,
    environment: &Environment,
    commit: Oid,
) -> Option<FailedRelease> {
    model
        .environment(site, environment)?
        .failed
        .iter()
        .find(|failed| failed.commit == commit)
        .map(Failed::fact)
}

/// Writes down that a release has failed.
///
/// # Errors
/// When it cannot be kept.
pub(super) fn mark(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    commit: Oid,
    reason: &str,
) -> Result<(), Fault> {
    let failed = Failed {
        commit,
        workflow: run.id().to_string(),
        reason: reason.to_owned(),
        time: Timestamp::now(),
    };
    sites
        .state
        .add_failed(permit.site()?, permit.environment()?, &failed)
}

/// Lets a release be deployed again. `which` is its commit, or the beginning of it. Returns the
/// commit.
///
/// # Errors
/// [`Undone::Impossible`] when no release of that name has failed.
pub fn allow(sites: &Sites, mut permit: Permit, which: &str) -> Result<Oid, Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let model = sites.state.model();
    let found = model
        .environment(&site, &environment)
        .map(|found| found.failed.as_slice())
        .unwrap_or_default()
        .iter()
        .find(|failed| which.len() >= 7 && failed.commit.to_string().starts_with(which));
    let Some(found) = found else {
        permit.forget();
        return Err(Undone::Impossible(format!(
            "No release '{}' of {site}.{environment} has failed; release:list {site}.{environment} \
             shows those that have.",
            policy::escape(which.as_bytes())
        )));
    };
    permit.describe(found.commit.to_string());
    sites
        .state
        .remove_failed(&site, &environment, found.commit)?;
    permit.finish(Outcome::Done)?;
    Ok(found.commit)
}
