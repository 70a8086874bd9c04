//! Makes a commit that takes others back.

use git2::{MergeOptions, Oid, Repository};

use super::MergeError;
use super::durable::make_durable;
use super::merge::conflicts;
use crate::fault::OrFault;
use crate::gate::Permit;
use crate::site::{Author, covers_repository};

/// Makes a commit on top of `ours` that takes back what lies between `before` and `after`, moving no
/// ref: a merge of `before` into `ours` as if both had come from `after` (git-revert(1)). Returns
/// `ours` itself if nothing of it is left.
///
/// # Errors
/// [`MergeError`].
pub fn revert(
    permit: &Permit,
    repository: &Repository,
    ours: Oid,
    (before, after): (Oid, Oid),
    message: &str,
    author: &Author,
) -> Result<Oid, MergeError> {
    covers_repository(permit, repository.path())?;
    let doing = || format!("taking back {before}..{after} from {ours}");
    let parent = repository.find_commit(ours).or_fault(doing)?;
    let tree_of = |commit: Oid| {
        repository
            .find_commit(commit)
            .and_then(|commit| commit.tree())
            .or_fault(doing)
    };
    let (base, our_tree, their_tree) = (tree_of(after)?, tree_of(ours)?, tree_of(before)?);
    let mut options = MergeOptions::new();
    options.find_renames(true);
    let mut index = repository
        .merge_trees(&base, &our_tree, &their_tree, Some(&options))
        .or_fault(doing)?;
    let conflicts = conflicts(&index)?;
    if !conflicts.is_empty() {
        return Err(MergeError::Conflicts(conflicts));
    }
    let tree = index.write_tree_to(repository).or_fault(doing)?;
    if tree == our_tree.id() {
        return Ok(ours);
    }
    let tree = repository.find_tree(tree).or_fault(doing)?;
    let signature = author.signature()?;
    let made = repository
        .commit(None, &signature, &signature, message, &tree, &[&parent])
        .or_fault(doing)?;
    make_durable(repository, made)?;
    Ok(made)
}

/// Makes a commit on top of `ours` that has the tree of `then`, moving no ref. Returns `ours` itself if
/// it has that tree.
///
/// # Errors
/// [`MergeError::Fault`].
pub fn return_to(
    permit: &Permit,
    repository: &Repository,
    ours: Oid,
    then: Oid,
    message: &str,
    author: &Author,
) -> Result<Oid, MergeError> {
    covers_repository(permit, repository.path())?;
    let doing = || format!("returning from {ours} to what {then} had");
    let parent = repository.find_commit(ours).or_fault(doing)?;
    let tree = repository
        .find_commit(then)
        .and_then(|commit| commit.tree())
        .or_fault(doing)?;
    if tree.id() == parent.tree_id() {
        return Ok(ours);
    }
    let signature = author.signature()?;
    let made = repository
        .commit(None, &signature, &signature, message, &tree, &[&parent])
        .or_fault(doing)?;
    make_durable(repository, made)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing::{Bench, author, commit_all, git, write};

    #[test]
    fn what_is_taken_back_is_what_git_would_take_back() {
        let bench = Bench::new();
        let (repository, first) = bench.repository(&[("a", "1\n2\n3\n4\n5\n6\n"), ("b", "b\n")]);
        let clone = bench.clone();
        write(&clone.join("a"), "1!\n2\n3\n4\n5\n6\n");
        write(&clone.join("new"), "new\n");
        let wrong = commit_all(&clone, "Wrong");
        write(&clone.join("a"), "1!\n2\n3\n4\n5\n6!\n");
        let tip = commit_all(&clone, "Right");
        git(&clone, &["push", "-q", "origin", "HEAD:main"]);
        let permit = bench.permit();
        let take_back = |ours, range| revert(&permit, &repository, ours, range, "x", &author());
        let made = take_back(tip, (first, wrong)).unwrap();
        git(&clone, &["revert", "--no-edit", &wrong.to_string()]);
        let by_git = git(&clone, &["rev-parse", "HEAD^{tree}"]);
        let commit = repository.find_commit(made).unwrap();
        assert_eq!(by_git.trim(), commit.tree_id().to_string());
        assert_eq!(commit.parent_id(0).unwrap(), tip);
        assert_eq!(take_back(made, (first, wrong)).unwrap(), made, "once only");
        // All since the first commit, at once.
        let all = take_back(tip, (first, tip)).unwrap();
        let tree = |commit| repository.find_commit(commit).unwrap().tree_id();
        assert_eq!(tree(all), tree(first));
        git(repository.path(), &["fsck", "--strict"]);
    }

    #[test]
    fn what_was_changed_since_conflicts() {
        let bench = Bench::new();
        let (repository, first) = bench.repository(&[("a", "1\n"), ("b", "b\n")]);
        let clone = bench.clone();
        write(&clone.join("a"), "2\n");
        let wrong = commit_all(&clone, "Wrong");
        write(&clone.join("a"), "3\n");
        let tip = commit_all(&clone, "Later");
        git(&clone, &["push", "-q", "origin", "HEAD:main"]);
        let permit = bench.permit();
        match revert(&permit, &repository, tip, (first, wrong), "x", &author()) {
            Err(MergeError::Conflicts(names)) => assert_eq!(names, ["a"]),
            other => panic!("{other:?}"),
        }
        let other = bench.permit_for("other");
        assert!(revert(&other, &repository, tip, (first, wrong), "x", &author()).is_err());
    }
}
