//! Merges two commits in memory.

use git2::{Oid, Repository};

use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::Author;

/// Why there is no merge.
#[derive(Debug)]
pub enum MergeError {
    /// Both sides changed these files; nothing was done.
    Conflicts(Vec<String>),
    /// A failure of ours.
    Fault(Fault),
}

impl From<Fault> for MergeError {
    fn from(fault: Fault) -> Self {
        MergeError::Fault(fault)
    }
}

/// Makes a merge commit of `theirs` into `ours`, moving no ref. Returns `ours` itself if it
/// contains `theirs` already.
///
/// # Errors
/// [`MergeError`].
pub fn merge(
    permit: &Permit,
    repository: &Repository,
    ours: Oid,
    theirs: Oid,
    message: &str,
    author: &Author,
) -> Result<Oid, MergeError> {
    let _ = (permit, repository, ours, theirs, message, author);
    Err(MergeError::Fault(Fault::new("not built yet")))
}
