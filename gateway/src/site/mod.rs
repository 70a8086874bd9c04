//! Effects. Every function that changes something takes a [`crate::gate::Permit`].

pub mod backup;
mod blobs;
pub mod changes;
pub mod content;
mod contents;
#[cfg(test)]
mod crash_tests;
pub mod database;
pub mod deploy;
mod differing;
pub mod failed;
pub mod files;
mod folder;
pub mod front;
pub mod git;
pub mod holds;
pub mod hotfix;
mod ignore;
pub mod import;
mod jobs;
pub mod layout;
pub mod mode;
pub mod multidev;
mod orphans;
pub mod packs;
mod probe;
pub mod push;
#[cfg(test)]
mod real_tree;
pub mod release;
pub mod repair;
pub mod repository;
pub mod revert;
mod runtime;
mod scan;
pub mod settings;
pub mod status;
pub mod steps;
mod store;
pub mod targets;
#[cfg(test)]
mod testing;
mod tls;
pub mod tree;
pub mod upkeep;
pub mod uploads;
pub mod work;
pub mod workflow;
pub mod workplace;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use policy::{Action, SiteName};

pub use backup::Backups;
pub use targets::Targets;
pub use uploads::Uploads;
pub use workflow::{Busy, Run, Undone, Workflows};

pub use crate::crash;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::state::State;
use layout::Layout;

/// All sites of this gateway: where they are, what is known of them, who may change them now.
#[derive(Debug)]
pub struct Sites {
    /// What is known.
    pub state: Arc<State>,
    /// Where things are.
    pub layout: Layout,
    /// Who may change which environment now.
    pub workflows: Arc<Workflows>,
    /// What is on its way up.
    pub uploads: Uploads,
    /// What runs the steps of sites.
    pub steps: steps::Steps,
    /// Who is told of switches, and what follows them.
    pub targets: Targets,
    /// What keeps backups.
    pub backups: Backups,
    /// The servers of databases.
    pub databases: content::Servers,
    /// For how long former content is kept.
    pub keep_former: Duration,
    /// The networks beside the internet that imports are fetched from.
    pub import_networks: Vec<crate::config::Network>,
    /// How much an environment may hold for which nothing else was set.
    pub quota: files::Limits,
}

/// Whom a commit or tag names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

impl Author {
    /// Returns the author for what a person does here: their name, and their address if it is known.
    pub fn of(permit: &Permit, state: &State) -> Self {
        let person = &permit.who().person;
        let email = state
            .model()
            .people
            .get(person)
            .and_then(|person| person.email.clone())
            .unwrap_or_else(|| {
                if person.as_str().contains('@') {
                    person.to_string()
                } else {
                    // RFC 2606 §2: a name that can be nobody's.
                    format!("{person}@funicular.invalid")
                }
            });
        Self {
            name: person.to_string(),
            email,
        }
    }

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
        git2::Signature::now(
            &clean(&self.name, "unknown"),
            &clean(&self.email, "unknown"),
        )
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

/// Runs blocking work off the asynchronous workers.
///
/// # Errors
/// Its own, or that it panicked, which ends it alone.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .or_fault(|| "finishing work in the background")?
}
