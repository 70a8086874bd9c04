//! What a commit holds, as one flat list.

use git2::{ObjectType, Oid, Repository, Tree, TreeEntry};
use policy::SitePath;

use crate::fault::{Fault, OrFault};

/// A file or link of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The path from the top.
    pub path: Vec<u8>,
    /// The object that holds its bytes.
    pub oid: Oid,
    /// What it is.
    pub kind: Kind,
}

/// What git can keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A regular file that its owner may execute.
    Executable,
    /// A symbolic link.
    Link,
}

impl Kind {
    /// Returns git's number for it.
    pub(super) fn mode(self) -> u32 {
        match self {
            Kind::File => 0o100_644,
            Kind::Executable => 0o100_755,
            Kind::Link => 0o120_000,
        }
    }
}

/// Returns all files and links of a commit, in the order of their paths' bytes.
pub(super) fn contents(repository: &Repository, commit: Oid) -> Result<Vec<Entry>, Fault> {
    let tree = repository
        .find_commit(commit)
        .and_then(|commit| commit.tree())
        .or_fault(|| format!("reading the commit {commit}"))?;
    let mut entries = Vec::new();
    walk(repository, &tree, &mut Vec::new(), 0, &mut entries)?;
    entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

fn walk(
    repository: &Repository,
    tree: &Tree<'_>,
    path: &mut Vec<u8>,
    depth: usize,
    entries: &mut Vec<Entry>,
) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::new("the commit nests folders too deeply"));
    }
    for entry in tree {
        let length = path.len();
        path.extend_from_slice(entry.name_bytes());
        let Some(kind) = kind_of(&entry, path)? else {
            let below = repository
                .find_tree(entry.id())
                .or_fault(|| format!("reading the folder {}", policy::escape(path)))?;
            path.push(b'/');
            walk(repository, &below, path, depth + 1, entries)?;
            path.truncate(length);
            continue;
        };
        if entries.len() >= MAX_ENTRIES {
            return Err(Fault::new("the commit holds too many files"));
        }
        entries.push(Entry {
            path: path.clone(),
            oid: entry.id(),
            kind,
        });
        path.truncate(length);
    }
    Ok(())
}

/// Returns what an entry of a tree is; none for a folder.
///
/// # Errors
/// When a release may not hold it.
pub(super) fn kind_of(entry: &TreeEntry<'_>, path: &[u8]) -> Result<Option<Kind>, Fault> {
    if escapes(entry.name_bytes()) {
        return Err(Fault::new(format!(
            "the commit holds {}, which is no name of a file",
            policy::escape(path)
        )));
    }
    match (entry.kind(), entry.filemode()) {
        (Some(ObjectType::Tree), _) => Ok(None),
        (Some(ObjectType::Blob), 0o120_000) => Ok(Some(Kind::Link)),
        (Some(ObjectType::Blob), mode) if mode & 0o100 != 0 => Ok(Some(Kind::Executable)),
        (Some(ObjectType::Blob), _) => Ok(Some(Kind::File)),
        _other => Err(Fault::new(format!(
            "the commit holds {}, which is neither file, link nor folder",
            policy::escape(path)
        ))),
    }
}

/// Returns true for a name that a release may not be written with, whatever policy says: one that
/// is a path, or is git's own.
fn escapes(name: &[u8]) -> bool {
    name.contains(&b'/')
        || SitePath::normalize(name)
            .map_or(true, |path| path.is_empty() || path.names_git_directory())
}

/// A few objects can name each other so that a commit seems to hold more files than any disk.
pub(super) const MAX_ENTRIES: usize = 1_000_000;
/// Deep enough for any site, and no danger to the stack.
pub(super) const MAX_DEPTH: usize = 200;
