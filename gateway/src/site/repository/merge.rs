//! Merges two commits in memory.

use git2::{Index, MergeOptions, Oid, Repository};
use policy::escape;

use super::contains;
use super::durable::make_durable;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::{Author, covers_repository};

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
    covers_repository(permit, repository.path())?;
    if contains(repository, ours, theirs)? {
        return Ok(ours);
    }
    let doing = || format!("merging {theirs} into {ours}");
    let our_commit = repository.find_commit(ours).or_fault(doing)?;
    let their_commit = repository.find_commit(theirs).or_fault(doing)?;
    let mut options = MergeOptions::new();
    options.find_renames(true);
    let mut index = repository
        .merge_commits(&our_commit, &their_commit, Some(&options))
        .or_fault(doing)?;
    let conflicts = conflicts(&index)?;
    if !conflicts.is_empty() {
        return Err(MergeError::Conflicts(conflicts));
    }
    let tree = index.write_tree_to(repository).or_fault(doing)?;
    let tree = repository.find_tree(tree).or_fault(doing)?;
    let signature = author.signature()?;
    let parents = [&our_commit, &their_commit];
    let merged = repository
        .commit(None, &signature, &signature, message, &tree, &parents)
        .or_fault(doing)?;
    make_durable(repository, merged)?;
    Ok(merged)
}

/// Returns the files of a merge that both sides changed, as text for people.
pub(in crate::site) fn conflicts(index: &Index) -> Result<Vec<String>, Fault> {
    let doing = || "reading the conflicts of a merge";
    let mut names = Vec::new();
    for conflict in index.conflicts().or_fault(doing)? {
        let conflict = conflict.or_fault(doing)?;
        let sides = [conflict.our, conflict.their, conflict.ancestor];
        if let Some(side) = sides.into_iter().flatten().next() {
            names.push(escape(&side.path));
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
