//! Multidevs: making, deleting and bringing them back, and merging between them and Dev.
//!
//! A Multidev is an environment like Dev that runs the branch of its own name. Its folder comes and
//! goes with it; a deleted one lies in the site's `deleted` folder until its time is over. What is
//! known of it in the state changes in the last step of its workflow, like that of any other, so
//! that a crash leaves it there or not there.

mod bring;
mod create;
mod delete;
mod facts;
mod merge;
mod restore;
mod tidy;

pub(super) use bring::{Brought, bring, bring_with};
pub use create::{Created, create};
pub use delete::{Deleted, delete};
pub use facts::{From, facts};
pub use merge::{ahead_behind, merge};
pub use restore::{find, restore};
pub(super) use tidy::repair;
pub use tidy::{CREATE, DELETE, RESTORE, expire};
use tidy::{remove_unborn, tidy};

use policy::{Environment, MultidevName, SiteName};

use super::Sites;

/// Returns the branch that a Multidev runs.
pub fn branch(name: &MultidevName) -> String {
    format!("refs/heads/{name}")
}

/// The hidden ref that keeps what a deleted Multidev's branch was, under the id it is kept under.
fn kept_ref(name: &MultidevName, id: &str) -> String {
    format!("refs/funicular/deleted/{name}/{id}")
}

/// Returns whether there is such an environment.
fn exists(sites: &Sites, site: &SiteName, name: &MultidevName) -> bool {
    let environment = Environment::Multidev(name.clone());
    sites
        .state
        .model()
        .environment(site, &environment)
        .is_some()
}
