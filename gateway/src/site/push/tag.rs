//! The deploy tag of a hotfix.

use git2::{Oid, Repository};
use policy::{Environment, SiteName};

use super::{One, note};
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::deploy::next_number;
use crate::site::repository;
use crate::site::{Author, Sites};
use crate::state::RefMove;

/// Writes the next deploy tag of an environment; no ref points to it yet.
pub(super) fn deploy_tag(
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
