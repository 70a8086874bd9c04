//! Files on their way up, over all environments: each environment has one registry, which all
//! sessions on it share.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy::{Environment, SiteName};

use super::Sites;
use super::tree::{Parts, Tree, Unfinished};
use crate::fault::Fault;

/// What is on its way up, by environment.
#[derive(Debug)]
pub struct Uploads {
    /// For how long an upload that broke off can be resumed.
    pub keep: Duration,
    known: Mutex<BTreeMap<(SiteName, Environment), Arc<Parts>>>,
}

impl Uploads {
    /// Makes the registries; uploads that broke off are kept for so long.
    pub fn new(keep: Duration) -> Self {
        Self {
            keep,
            known: Mutex::default(),
        }
    }

    /// Removes uploads that broke off too long ago.
    pub fn expire(&self) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<_> = known
            .iter()
            .map(|(at, parts)| (at.clone(), Arc::clone(parts)))
            .collect();
        drop(known);
        for ((site, environment), parts) in all {
            let removed = parts.expire(self.keep);
            if removed > 0 {
                tracing::info!(%site, %environment, removed, "removed uploads that nobody resumed");
            }
        }
    }
}

impl Sites {
    /// Returns an environment's tree.
    ///
    /// # Errors
    /// When its folders cannot be opened.
    pub fn tree(&self, site: &SiteName, environment: &Environment) -> Result<Tree, Fault> {
        let layout = self.layout.site(site).environment(environment);
        let limits = self.limits(site, environment);
        let known = &self.uploads.known;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.entry((site.clone(), environment.clone())) {
            Entry::Occupied(parts) => {
                let parts = Arc::clone(parts.get());
                drop(known);
                parts.meter().set(limits);
                Tree::open_with(layout.folder(), Some(parts))
            }
            Entry::Vacant(vacant) => {
                let tree = Tree::open(layout.folder())?;
                tree.parts().meter().set(limits);
                vacant.insert(tree.parts());
                Ok(tree)
            }
        }
    }

    /// Returns uploads to an environment that have not taken their places.
    ///
    /// # Errors
    /// When its folders cannot be opened.
    pub fn unfinished(
        &self,
        site: &SiteName,
        environment: &Environment,
    ) -> Result<Vec<Unfinished>, Fault> {
        Ok(self.parts(site, environment)?.unfinished())
    }

    /// Forgets what is known of uploads to an environment whose folder goes away or changes.
    pub(super) fn forget_parts(&self, site: &SiteName, environment: &Environment) {
        self.uploads
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(site.clone(), environment.clone()));
    }

    pub(super) fn parts(
        &self,
        site: &SiteName,
        environment: &Environment,
    ) -> Result<Arc<Parts>, Fault> {
        Ok(self.tree(site, environment)?.parts())
    }
}
