//! Effects: everything that changes a site's repository, releases and code trees.
//!
//! A function that changes something takes a [`Permit`]; one that only reads does not. All of them
//! block, so they belong on threads that may. Nothing here decides whether a change is allowed.

mod blobs;
mod contents;
pub mod crash;
pub mod git;
mod ignore;
pub mod import;
pub mod layout;
#[cfg(test)]
mod real_tree;
pub mod release;
pub mod repository;
mod scan;
mod store;
#[cfg(test)]
mod testing;
mod tree;
pub mod work;

use std::path::Path;

use policy::{Action, SiteName};

use crate::fault::{Fault, OrFault};
use crate::gate::Permit;

/// Whom a commit or tag names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

impl Author {
    /// Returns the author with the present time, as git writes it.
    fn signature(&self) -> Result<git2::Signature<'static>, Fault> {
        let clean = |text: &str, otherwise: &str| {
            let kept: String = text
                .chars()
                .filter(|character| !character.is_control() && !"<>".contains(*character))
                .collect();
            let kept = kept.trim();
            if kept.is_empty() {
                otherwise.to_owned()
            } else {
                kept.to_owned()
            }
        };
        git2::Signature::now(&clean(&self.name, "unknown"), &clean(&self.email, "unknown"))
            .or_fault(|| "naming the author of a commit")
    }
}

/// Refuses a permit that was given for another site: a fault of ours, since the gate decides on
/// the site that the effect is then called with.
fn covers(permit: &Permit, site: &SiteName) -> Result<(), Fault> {
    let covered = match permit.target().site() {
        Some(permitted) => permitted == site,
        None => permit.action() == Action::CreateSite,
    };
    if covered {
        Ok(())
    } else {
        Err(Fault::new(format!(
            "a permit for {} was used on the site {site}",
            permit.action().as_str()
        )))
    }
}

/// The same for a repository, whose folder lies in the folder of its site.
fn covers_repository(permit: &Permit, repository: &Path) -> Result<(), Fault> {
    let site = repository
        .parent()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .and_then(|name| name.parse().ok())
        .ok_or_else(|| Fault::new("a repository outside a site's folder cannot be changed"))?;
    covers(permit, &site)
}
