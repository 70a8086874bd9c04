//! Looks into the trees of commits for what a release must not hold.

use git2::{Oid, Repository};
use policy::SitePath;

use crate::fault::Fault;

/// Returns what the commit holds at `path`, as text for people: the path, or a file below it, or a
/// file that stands where one of its folders should.
///
/// # Errors
/// When the commit cannot be read.
pub fn tree_has_path(
    repository: &Repository,
    commit: Oid,
    path: &SitePath,
) -> Result<Option<String>, Fault> {
    let _ = (repository, commit, path);
    Err(Fault::new("not built yet"))
}

/// Returns the first path of the commit that no release may hold, as text for people: git's own
/// directory in disguise, a submodule, a name that some systems cannot have. Trees that `base` has
/// at the same place are not read again.
///
/// # Errors
/// When the commit cannot be read.
pub fn forbidden_path(
    repository: &Repository,
    commit: Oid,
    base: Option<Oid>,
) -> Result<Option<String>, Fault> {
    let _ = (repository, commit, base);
    Err(Fault::new("not built yet"))
}
