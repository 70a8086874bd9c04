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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing::{Bench, author, commit_all, git, write};

    #[test]
    fn clean_merges_are_those_that_git_would_make() {
        let bench = Bench::new();
        let lines = |changed: &[usize]| -> String {
            (0..30)
                .map(|line| format!("{line}{}\n", if changed.contains(&line) { "!" } else { "" }))
                .collect()
        };
        let (repository, _) = bench.repository(&[("a", &lines(&[])), ("b", "b\n"), ("c", "c\n")]);
        let clone = bench.clone();
        git(&clone, &["checkout", "-q", "-b", "theirs"]);
        write(&clone.join("a"), &lines(&[2]));
        std::fs::remove_file(clone.join("c")).unwrap();
        let theirs = commit_all(&clone, "Theirs");
        git(&clone, &["checkout", "-q", "main"]);
        git(&clone, &["mv", "a", "renamed"]);
        write(&clone.join("renamed"), &lines(&[25]));
        write(&clone.join("new"), "new\n");
        let ours = commit_all(&clone, "Ours");
        git(&clone, &["push", "-q", "origin", "main", "theirs"]);
        let permit = bench.permit();
        let merged = merge(&permit, &repository, ours, theirs, "Merge it\n", &author()).unwrap();
        let shown = git(
            repository.path(),
            &["show", "-s", "--format=%P|%an|%s", &merged.to_string()],
        );
        assert_eq!(shown, format!("{ours} {theirs}|Alice|Merge it\n"));
        git(&clone, &["merge", "-q", "theirs", "-m", "x"]);
        let by_git = git(&clone, &["rev-parse", "HEAD^{tree}"]);
        let tree = repository.find_commit(merged).unwrap().tree_id();
        assert_eq!(by_git.trim(), tree.to_string());
        assert_eq!(
            git(repository.path(), &["rev-parse", "main"]).trim(),
            ours.to_string()
        );
        git(repository.path(), &["fsck", "--strict"]);
        assert_eq!(
            merge(&permit, &repository, merged, theirs, "x", &author()).unwrap(),
            merged
        );
        assert!(
            merge(
                &bench.permit_for("other"),
                &repository,
                ours,
                theirs,
                "x",
                &author()
            )
            .is_err()
        );
    }

    #[test]
    fn conflicts_name_their_files_and_change_nothing() {
        let bench = Bench::new();
        let (repository, _) = bench.repository(&[("a", "a\n"), ("d/b", "b\n"), ("c", "c\n")]);
        let clone = bench.clone();
        git(&clone, &["checkout", "-q", "-b", "theirs"]);
        write(&clone.join("a"), "theirs\n");
        std::fs::remove_file(clone.join("d/b")).unwrap();
        let theirs = commit_all(&clone, "Theirs");
        git(&clone, &["checkout", "-q", "main"]);
        write(&clone.join("a"), "ours\n");
        write(&clone.join("d/b"), "ours\n");
        let ours = commit_all(&clone, "Ours");
        git(&clone, &["push", "-q", "origin", "main", "theirs"]);
        match merge(&bench.permit(), &repository, ours, theirs, "x", &author()) {
            Err(MergeError::Conflicts(names)) => assert_eq!(names, ["a", "d/b"]),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            git(repository.path(), &["rev-parse", "main"]).trim(),
            ours.to_string()
        );
    }
}
