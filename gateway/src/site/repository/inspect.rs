//! Looks into the trees of commits for what a release must not hold.

use std::collections::HashMap;
use std::ops::ControlFlow;

use git2::{ObjectType, Oid, Repository, Tree, TreeEntry};
use policy::{SitePath, escape};

use crate::fault::{Fault, OrFault};
use crate::site::contents::{MAX_DEPTH, MAX_ENTRIES};

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
    let mut tree = tree_of(repository, commit)?;
    let mut so_far = SitePath::default();
    for name in path.components() {
        let Some(entry) = tree.get_name_bytes(name) else {
            return Ok(None);
        };
        so_far = below(&so_far, name);
        if entry.kind() != Some(ObjectType::Tree) {
            return Ok(Some(so_far.to_string()));
        }
        let id = entry.id();
        drop(entry);
        tree = find_tree(repository, id)?;
    }
    loop {
        let first = tree
            .iter()
            .next()
            .map(|entry| (entry.id(), entry.kind(), entry.name_bytes().to_vec()));
        let Some((id, kind, name)) = first else {
            break;
        };
        so_far = below(&so_far, &name);
        if kind != Some(ObjectType::Tree) {
            break;
        }
        tree = find_tree(repository, id)?;
    }
    Ok(Some(so_far.to_string()))
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
    let tree = tree_of(repository, commit)?;
    let base = base.map(|base| tree_of(repository, base)).transpose()?;
    let mut search = Search {
        repository,
        seen: HashMap::new(),
    };
    let found = search.tree(&tree, base.as_ref(), &mut Vec::new(), 0)?;
    Ok(found.break_value())
}

/// Returns why a file or folder of this name can be no part of code, if it cannot.
pub(in crate::site) fn unfit_name(name: &[u8]) -> Option<&'static str> {
    let path = SitePath::normalize(name);
    match path {
        _ if name.contains(&b'\\') => Some("a name with a backslash"),
        _ if name.contains(&b'/') => Some("a name with a slash"),
        Err(_) => Some("a name that is too long"),
        Ok(path) if path.is_empty() => Some("a name of dots"),
        Ok(path) if path.names_git_directory() => Some("git's own folder"),
        Ok(_) => None,
    }
}

struct Search<'a> {
    repository: &'a Repository,
    /// Trees that are right in themselves, wherever they are; a commit may hold one many times.
    seen: HashMap<Oid, Size>,
}

/// How much of a release a tree makes.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    entries: usize,
    longest_path: usize,
}

impl Search<'_> {
    fn tree(
        &mut self,
        tree: &Tree<'_>,
        base: Option<&Tree<'_>>,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<ControlFlow<String, Size>, Fault> {
        let mut size = Size::default();
        if base.is_some_and(|base| base.id() == tree.id()) {
            return Ok(ControlFlow::Continue(size));
        }
        let length = path.len();
        for entry in tree {
            path.extend_from_slice(entry.name_bytes());
            let mut inner = Size {
                entries: 1,
                longest_path: entry.name_bytes().len(),
            };
            let mut unfit =
                unfit_name(entry.name_bytes()).or_else(|| self.unfit_entry(&entry, depth));
            if unfit.is_none() && entry.kind() == Some(ObjectType::Tree) {
                match self.folder(&entry, base, path, depth)? {
                    ControlFlow::Break(found) => return Ok(ControlFlow::Break(found)),
                    ControlFlow::Continue(below) => {
                        inner.entries = inner.entries.saturating_add(below.entries);
                        inner.longest_path += 1 + below.longest_path;
                    }
                }
            }
            size.entries = size.entries.saturating_add(inner.entries);
            size.longest_path = size.longest_path.max(inner.longest_path);
            if size.entries > MAX_ENTRIES {
                unfit = unfit.or(Some("too many files"));
            }
            if length + size.longest_path > MAX_PATH {
                unfit = unfit.or(Some("a path that is too long"));
            }
            if let Some(why) = unfit {
                return Ok(ControlFlow::Break(format!("{} ({why})", escape(path))));
            }
            path.truncate(length);
        }
        Ok(ControlFlow::Continue(size))
    }

    fn folder(
        &mut self,
        entry: &TreeEntry<'_>,
        base: Option<&Tree<'_>>,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<ControlFlow<String, Size>, Fault> {
        if let Some(size) = self.seen.get(&entry.id()) {
            return Ok(ControlFlow::Continue(*size));
        }
        let known = base
            .and_then(|base| base.get_name_bytes(entry.name_bytes()))
            .filter(|known| known.kind() == Some(ObjectType::Tree))
            .map(|known| find_tree(self.repository, known.id()))
            .transpose()?;
        let inner = find_tree(self.repository, entry.id())?;
        let length = path.len();
        path.push(b'/');
        let found = self.tree(&inner, known.as_ref(), path, depth + 1)?;
        if let ControlFlow::Continue(size) = &found {
            path.truncate(length);
            // What was skipped because the base has it here was not counted.
            if known.is_none() {
                self.seen.insert(entry.id(), *size);
            }
        }
        Ok(found)
    }

    fn unfit_entry(&self, entry: &TreeEntry<'_>, depth: usize) -> Option<&'static str> {
        match (entry.kind(), entry.filemode()) {
            (Some(ObjectType::Tree), _) if depth >= MAX_DEPTH => Some("folders nested too deeply"),
            (Some(ObjectType::Tree), _) => None,
            (Some(ObjectType::Blob), 0o120_000) => self.unfit_link(entry.id()),
            (Some(ObjectType::Blob), _) => None,
            (Some(ObjectType::Commit), _) => Some("a submodule"),
            _other => Some("neither file, link nor folder"),
        }
    }

    fn unfit_link(&self, target: Oid) -> Option<&'static str> {
        let odb = self.repository.odb().ok()?;
        let (size, _) = odb.read_header(target).ok()?;
        if !(1..MAX_PATH).contains(&size) {
            return Some("a link to nowhere");
        }
        let target = self.repository.find_blob(target).ok()?;
        target.content().contains(&0).then_some("a link to nowhere")
    }
}

fn tree_of(repository: &Repository, commit: Oid) -> Result<Tree<'_>, Fault> {
    repository
        .find_commit(commit)
        .and_then(|commit| commit.tree())
        .or_fault(|| format!("reading the commit {commit}"))
}

fn find_tree(repository: &Repository, tree: Oid) -> Result<Tree<'_>, Fault> {
    repository
        .find_tree(tree)
        .or_fault(|| format!("reading the folder {tree} of a commit"))
}

fn below(path: &SitePath, name: &[u8]) -> SitePath {
    SitePath::normalize(name).map_or_else(|_| path.clone(), |name| path.join(&name))
}

/// Leaves room for the folder that a release lies in.
const MAX_PATH: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing::Bench;

    /// Writes trees as no git would, since an attacker's may.
    fn tree(repository: &Repository, entries: &[(&str, &[u8], Oid)]) -> Oid {
        let mut bytes = Vec::new();
        for (mode, name, oid) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(oid.as_bytes());
        }
        let odb = repository.odb().unwrap();
        odb.write(ObjectType::Tree, &bytes).unwrap()
    }

    fn commit(repository: &Repository, tree: Oid) -> Oid {
        let text = format!("tree {tree}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n");
        let odb = repository.odb().unwrap();
        odb.write(ObjectType::Commit, text.as_bytes()).unwrap()
    }

    #[test]
    fn forbidden_paths_are_found_and_named() {
        let bench = Bench::new();
        let (repository, first) = bench.repository(&[("a/b/c", "x"), (".github/x", "x")]);
        assert_eq!(forbidden_path(&repository, first, None).unwrap(), None);
        let odb = repository.odb().unwrap();
        let blob = odb.write(ObjectType::Blob, b"x").unwrap();
        let nothing = odb.write(ObjectType::Blob, b"").unwrap();
        let nul = odb.write(ObjectType::Blob, b"a\0b").unwrap();
        let long = [b'x'; 256];
        for (mode, name, oid, said) in [
            (
                "100644",
                &b".git"[..],
                blob,
                "inner/.git (git's own folder)",
            ),
            ("100644", b".GIT ", blob, "inner/.GIT  (git's own folder)"),
            ("100644", b"git~1", blob, "inner/git~1 (git's own folder)"),
            ("100644", b"a\\b", blob, "a name with a backslash"),
            ("100644", b"a/b", blob, "a name with a slash"),
            ("100644", b"..", blob, "a name of dots"),
            ("100644", &long, blob, "a name that is too long"),
            ("160000", b"sub", first, "inner/sub (a submodule)"),
            ("120000", b"link", nothing, "inner/link (a link to nowhere)"),
            ("120000", b"link", nul, "inner/link (a link to nowhere)"),
        ] {
            let inner = tree(&repository, &[(mode, name, oid)]);
            let top = commit(
                &repository,
                tree(&repository, &[("40000", b"inner", inner)]),
            );
            let found = forbidden_path(&repository, top, Some(first))
                .unwrap()
                .unwrap();
            assert!(found.contains(said), "{found}");
            // What the base has already is not looked at again.
            assert_eq!(forbidden_path(&repository, top, Some(top)).unwrap(), None);
        }
    }

    #[test]
    fn a_few_objects_cannot_make_a_million_files() {
        let bench = Bench::new();
        let (repository, _) = bench.repository(&[("a", "x")]);
        let blob = repository
            .odb()
            .unwrap()
            .write(ObjectType::Blob, b"x")
            .unwrap();
        let mut inner = tree(&repository, &[("100644", b"f", blob)]);
        for _ in 0..40 {
            inner = tree(
                &repository,
                &[("40000", b"a", inner), ("40000", b"b", inner)],
            );
        }
        let bomb = commit(&repository, inner);
        let found = forbidden_path(&repository, bomb, None).unwrap().unwrap();
        assert!(found.contains("too many files"), "{found}");
        let mut deep = tree(&repository, &[("100644", b"f", blob)]);
        for _ in 0..MAX_DEPTH + 1 {
            deep = tree(&repository, &[("40000", b"a", deep)]);
        }
        let deep = commit(&repository, deep);
        let found = forbidden_path(&repository, deep, None).unwrap().unwrap();
        assert!(found.contains("too deeply"), "{found}");
        let mut long = tree(&repository, &[("100644", b"f", blob)]);
        for _ in 0..30 {
            long = tree(&repository, &[("40000", &[b'x'; 200], long)]);
        }
        let long = commit(&repository, long);
        let found = forbidden_path(&repository, long, None).unwrap().unwrap();
        assert!(found.contains("too long"), "{found}");
    }

    #[test]
    fn uploads_committed_as_code_are_found() {
        let bench = Bench::new();
        let (repository, commit) = bench.repository(&[("wp/uploads/x/y.jpg", "x"), ("file", "x")]);
        let found = |path: &[u8]| {
            tree_has_path(&repository, commit, &SitePath::normalize(path).unwrap()).unwrap()
        };
        assert_eq!(found(b"wp/uploads").as_deref(), Some("wp/uploads/x/y.jpg"));
        assert_eq!(found(b"wp/other"), None);
        assert_eq!(found(b"other/uploads"), None);
        assert_eq!(found(b"file/uploads").as_deref(), Some("file"));
        assert_eq!(found(b"file").as_deref(), Some("file"));
    }
}
