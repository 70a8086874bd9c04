//! What differs between two commits, as one flat list. Folders that both have are not read, so that a
//! small change of a large site costs little.

use std::collections::HashMap;

use git2::{Oid, Repository, Tree};
use policy::escape;

use super::contents::{Entry, Kind, MAX_DEPTH, MAX_ENTRIES, kind_of};
use crate::fault::{Fault, OrFault};

/// What is to go and what is to come to make one commit's files of another's. A file that changes is
/// in both.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Paths of files and links that the second commit has not, or not so.
    pub gone: Vec<Vec<u8>>,
    /// Files and links that the first commit has not, or not so.
    pub come: Vec<Entry>,
}

/// Compares two commits. Names of the second that no release may have are refused, as
/// [`super::contents::contents`] refuses them.
pub(super) fn changes(repository: &Repository, from: Oid, to: Oid) -> Result<Changes, Fault> {
    let tree = |commit: Oid| {
        repository
            .find_commit(commit)
            .and_then(|commit| commit.tree())
            .or_fault(|| format!("reading the commit {commit}"))
    };
    let mut walk = Walk {
        repository,
        changes: Changes::default(),
    };
    let (from, to) = (tree(from)?, tree(to)?);
    if from.id() != to.id() {
        walk.folder(Some(&from), Some(&to), &mut Vec::new(), 0)?;
    }
    Ok(walk.changes)
}

struct Walk<'a> {
    repository: &'a Repository,
    changes: Changes,
}

/// What a tree has under a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Under {
    Folder(Oid),
    File(Oid, Kind),
}

impl Walk<'_> {
    fn folder(
        &mut self,
        from: Option<&Tree<'_>>,
        to: Option<&Tree<'_>>,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new("the commit nests folders too deeply"));
        }
        let mut before = match from {
            Some(tree) => self.names(tree, path)?,
            None => HashMap::new(),
        };
        let length = path.len();
        if let Some(to) = to {
            for entry in to {
                path.extend_from_slice(entry.name_bytes());
                let now = under(&entry, path)?;
                // A name that comes twice is no tree of git's, and is found as it is written.
                let was = before.remove(entry.name_bytes());
                if was != Some(now) {
                    self.name(was, Some(now), path, depth)?;
                }
                path.truncate(length);
            }
        }
        for (name, was) in before {
            path.extend_from_slice(&name);
            self.name(Some(was), None, path, depth)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn name(
        &mut self,
        was: Option<Under>,
        now: Option<Under>,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Fault> {
        if let Some(Under::File(..)) = was {
            self.changes.gone.push(path.clone());
        }
        if let Some(Under::File(oid, kind)) = now {
            let path = path.clone();
            self.changes.come.push(Entry { path, oid, kind });
        }
        if self.changes.gone.len().max(self.changes.come.len()) > MAX_ENTRIES {
            return Err(Fault::new("the commit holds too many files"));
        }
        let folder = |under: Option<Under>| match under {
            Some(Under::Folder(oid)) => self
                .repository
                .find_tree(oid)
                .map(Some)
                .or_fault(|| format!("reading the folder {}", escape(path))),
            Some(Under::File(..)) | None => Ok(None),
        };
        let (from, to) = (folder(was)?, folder(now)?);
        if from.is_none() && to.is_none() {
            return Ok(());
        }
        path.push(b'/');
        self.folder(from.as_ref(), to.as_ref(), path, depth + 1)?;
        path.pop();
        Ok(())
    }

    fn names(&self, tree: &Tree<'_>, path: &mut Vec<u8>) -> Result<HashMap<Vec<u8>, Under>, Fault> {
        let length = path.len();
        let mut names = HashMap::new();
        for entry in tree {
            path.extend_from_slice(entry.name_bytes());
            names.insert(entry.name_bytes().to_vec(), under(&entry, path)?);
            path.truncate(length);
        }
        Ok(names)
    }
}

fn under(entry: &git2::TreeEntry<'_>, path: &[u8]) -> Result<Under, Fault> {
    Ok(match kind_of(entry, path)? {
        Some(kind) => Under::File(entry.id(), kind),
        None => Under::Folder(entry.id()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::contents::contents;
    use crate::site::testing::{Bench, commit_all, git, write};

    /// The judge is the whole list of each commit.
    #[test]
    fn changes_lead_from_one_commit_to_another() {
        let bench = Bench::new();
        let (repository, first) = bench.repository(&[
            ("a/b/c", "c"),
            ("a/b/d", "d"),
            ("file", "x"),
            ("folder/x", "x"),
            ("same/x", "x"),
        ]);
        let clone = bench.clone();
        let remove = |path: &str| std::fs::remove_file(clone.join(path)).unwrap();
        write(&clone.join("a/b/c"), "C");
        remove("a/b/d");
        remove("file");
        write(&clone.join("file/now/a/folder"), "x");
        remove("folder/x");
        std::fs::remove_dir(clone.join("folder")).unwrap();
        std::os::unix::fs::symlink("same", clone.join("folder")).unwrap();
        let second = commit_all(&clone, "Second");
        git(&clone, &["push", "-q", "origin", "main"]);
        for (from, to) in [(first, second), (second, first), (first, first)] {
            let found = changes(&repository, from, to).unwrap();
            let mut files = contents(&repository, from).unwrap();
            let before = files.len();
            files.retain(|entry| !found.gone.contains(&entry.path));
            assert_eq!(files.len() + found.gone.len(), before);
            files.extend(found.come.iter().cloned());
            files.sort_by(|one, other| one.path.cmp(&other.path));
            assert_eq!(files, contents(&repository, to).unwrap());
        }
        let found = changes(&repository, first, second).unwrap();
        assert_eq!((found.gone.len(), found.come.len()), (4, 3));
        assert_eq!(
            changes(&repository, first, first).unwrap(),
            Changes::default()
        );
    }
}
