//! Branches that no environment runs, and that must stay so until a push has moved them: a push
//! holds the environment of its remote, and not one that is being made of such a branch.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use hooks::RefResult;
use policy::RefKind;

use super::Examined;
use super::facts::kind;
use crate::site::Sites;

/// Keeps environments from being made of branches while a push moves some.
pub(super) fn hold<'a>(
    branches: &'a RwLock<()>,
    examined: &Examined,
) -> Option<RwLockReadGuard<'a, ()>> {
    examined
        .updates
        .iter()
        .any(|one| one.facts.kind == RefKind::PlainBranch)
        .then(|| branches.read().unwrap_or_else(PoisonError::into_inner))
}

/// Returns what git is told if an environment runs one of the branches by now.
pub(super) fn overtaken(sites: &Sites, examined: &Examined) -> Option<Vec<RefResult>> {
    let model = sites.state.model();
    let site = model.sites.get(&examined.site)?;
    let taken = examined.updates.iter().find(|one| {
        one.facts.kind == RefKind::PlainBranch
            && kind(site, &one.update.name) != RefKind::PlainBranch
    })?;
    let reason = format!(
        "{} has become an environment meanwhile; push over its own remote",
        policy::escape(taken.update.name.as_bytes())
    );
    let results = examined.updates.iter().map(|one| RefResult {
        name: one.update.name.clone(),
        failure: Some(reason.clone()),
        instead: None,
    });
    Some(results.collect())
}
