//! Merges between Dev and Multidevs.

use std::collections::BTreeMap;

use git2::Oid;
use policy::{Environment, MultidevName, SiteName};

use super::{Brought, branch, bring};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::push::short;
use crate::site::workflow::Undone;
use crate::site::{Run, Sites, repository};

/// Merges what `from` runs into what the permit's environment runs, and brings the merge there.
/// What `from` runs is taken as it is now: a change of it that is under way counts when it has
/// ended, so that only the lease of the other is held. Returns the merge.
///
/// # Errors
/// [`Undone::Conflicts`] with the files; nothing has then changed.
pub fn merge(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    from: &Environment,
) -> Result<Oid, Undone> {
    let (site, into) = (permit.site()?.clone(), permit.environment()?.clone());
    let model = sites.state.model();
    let theirs = model
        .environment(&site, from)
        .and_then(|state| state.commit)
        .ok_or_else(|| Undone::Impossible(format!("{site}.{from} runs nothing.")))?;
    let trunk = model
        .sites
        .get(&site)
        .map(|site| site.trunk.clone())
        .unwrap_or_default();
    let named = |environment: &Environment| match environment {
        Environment::Multidev(name) => name.to_string(),
        Environment::Dev | Environment::Test | Environment::Live => trunk.clone(),
    };
    let message = format!("Merge {} into {}", named(from), named(&into));
    permit.describe(format!("{from} {}", short(theirs)));
    run.perform(&message, || {
        let brought = Brought {
            kind: "multidev_merge",
            message: &message,
            make: |permit: &Permit, repository: &git2::Repository, ours, author: &_| {
                repository::merge(permit, repository, ours, theirs, &message, author)
            },
            nothing: format!(
                "There is nothing to merge: {site}.{into} has all that {site}.{from} runs."
            ),
        };
        bring(sites, run, permit, brought)
    })
}

/// Counts, for each Multidev of a site, the commits that it has and trunk has not, and the other
/// way round.
///
/// # Errors
/// When the repository cannot be read.
pub fn ahead_behind(
    sites: &Sites,
    site: &SiteName,
) -> Result<BTreeMap<MultidevName, (usize, usize)>, Fault> {
    let model = sites.state.model();
    let known = model
        .sites
        .get(site)
        .ok_or_else(|| Fault::new("the site is gone"))?;
    let repository = repository::open(&sites.layout.site(site).repository())?;
    let trunk = repository::commit_of_ref(&repository, &format!("refs/heads/{}", known.trunk))?
        .ok_or_else(|| Fault::new("the site's trunk is gone"))?;
    let mut counted = BTreeMap::new();
    for environment in known.environments.keys() {
        let Environment::Multidev(name) = environment else {
            continue;
        };
        if let Some(tip) = repository::commit_of_ref(&repository, &branch(name))? {
            let counts = repository
                .graph_ahead_behind(tip, trunk)
                .or_fault(|| "counting commits")?;
            counted.insert(name.clone(), counts);
        }
    }
    Ok(counted)
}
