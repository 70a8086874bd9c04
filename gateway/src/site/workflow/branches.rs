//! Which branches of a site environments run. A push to a branch that none runs holds no environment
//! of that name, since there is none: so a Multidev must not come to run a branch while such a push
//! moves it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use policy::SiteName;

/// One lock a site: read by pushes to branches that no environment runs, while they move them;
/// written by what makes an environment of a branch.
#[derive(Debug, Default)]
pub(in crate::site) struct Branches(Mutex<HashMap<SiteName, Arc<RwLock<()>>>>);

impl Branches {
    pub(super) fn of(&self, site: &SiteName) -> Arc<RwLock<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(site.clone()).or_default())
    }
}
