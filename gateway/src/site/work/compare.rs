//! Finds what differs between a code tree and its commit.

use std::io::{self, Read};
use std::sync::Arc;

use git2::{DiffOptions, Oid, Patch, Repository};
use policy::SitePath;

use super::cache::Cache;
use super::memo;
use super::{Change, Status, WorkError, WorkTree};
use crate::fault::{Fault, OrFault};
use crate::site::contents::{Entry, Kind};
use crate::site::folder::Folder;
use crate::site::release::current;
use crate::site::scan::{Looking, hash, pair, scan};

/// A code tree beside its commit.
pub(super) struct Compared {
    /// The code tree.
    pub root: Folder,
    /// What the commit holds.
    pub entries: Arc<Vec<Entry>>,
    /// What differs, in the order of paths.
    pub changes: Vec<Difference>,
    /// Ignored files, and folders of nothing else.
    pub ignored: Vec<Vec<u8>>,
}

/// A file that differs.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    /// The path.
    pub path: Vec<u8>,
    /// What the commit has.
    pub before: Option<(Oid, Kind)>,
    /// What the tree has.
    pub after: Option<After>,
}

/// What a tree has.
#[derive(Debug, Clone, Copy)]
pub(super) struct After {
    /// File or link.
    pub kind: Kind,
    /// The object that would hold it; none if its permissions hide that.
    pub oid: Option<Oid>,
}

/// Compares a tree with its commit.
pub(super) fn compare(work: &WorkTree<'_>, with_ignored: bool) -> Result<Compared, Fault> {
    let root = root(work)?;
    let entries = memo::files(work.repository, work.commit)?;
    let looking = Looking::Work {
        tracked: &entries,
        with_ignored,
    };
    let mut cache = Cache::load(&work.environment.index());
    let scan = scan(&root, work.files_path, looking)?;
    let mut changes = Vec::new();
    for (entry, found) in pair(&entries, &scan.found) {
        let before = entry.map(|entry| (entry.oid, entry.kind));
        let mut after = None;
        if let Some(found) = found
            && let Some(kind) = found.kind
        {
            let oid = match cache.get(found, kind) {
                Some(oid) => Some(oid),
                None => match hash(&root, &found.path, kind) {
                    Ok(None) => continue,
                    Ok(Some(oid)) => {
                        cache.put(found, kind, oid);
                        Some(oid)
                    }
                    Err(error) if hidden(&error) => None,
                    Err(error) => return Err(error).or_fault(|| "reading a code tree"),
                },
            };
            after = Some(After { kind, oid });
        }
        let same = match (before, after) {
            (Some((oid, kind)), Some(after)) => after.oid == Some(oid) && after.kind == kind,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let path = entry
            .map(|entry| &entry.path)
            .or(found.map(|found| &found.path));
        if let (false, Some(path)) = (same, path) {
            changes.push(Difference {
                path: path.clone(),
                before,
                after,
            });
        }
    }
    cache.save();
    Ok(Compared {
        root,
        entries,
        changes,
        ignored: scan.ignored,
    })
}

/// Opens the code tree that the environment runs.
pub(super) fn root(work: &WorkTree<'_>) -> Result<Folder, Fault> {
    let name = work.environment.name();
    let generation = current(work.environment)?
        .ok_or_else(|| Fault::new(format!("{name} has no code that work could be in")))?;
    Folder::open(&work.environment.code(generation))
        .or_fault(|| format!("opening the code of {name}"))
}

impl Compared {
    /// Takes only the differences at or below some paths, each of which must be there.
    pub(super) fn select(&mut self, paths: Option<&[SitePath]>) -> Result<(), WorkError> {
        let Some(paths) = paths else {
            return Ok(());
        };
        let within = |path: &[u8], above: &SitePath| {
            SitePath::normalize(path).is_ok_and(|path| path.starts_with(above))
        };
        for above in paths {
            let there = above.is_empty()
                || self
                    .changes
                    .iter()
                    .any(|change| within(&change.path, above))
                || self.entries.iter().any(|entry| within(&entry.path, above))
                || self
                    .root
                    .parent_of(above.as_bytes())
                    .is_ok_and(|(folder, name)| folder.stat(name).is_ok());
            if !there {
                return Err(WorkError::NoSuchPath(above.clone()));
            }
        }
        self.changes
            .retain(|change| paths.iter().any(|above| within(&change.path, above)));
        Ok(())
    }

    /// Describes the differences for people.
    pub(super) fn describe(&self, repository: &Repository) -> Result<Vec<Change>, Fault> {
        self.changes
            .iter()
            .map(|change| {
                let status = match (change.before, change.after) {
                    (None, _) => Status::Added,
                    (Some(_), None) => Status::Deleted,
                    (Some((_, before)), Some(After { kind: after, .. }))
                        if (before == Kind::Link) != (after == Kind::Link) =>
                    {
                        Status::TypeChanged
                    }
                    (Some(_), Some(_)) => Status::Modified,
                };
                let (additions, deletions) = self.lines(repository, change)?;
                Ok(Change {
                    path: site_path(&change.path)?,
                    status,
                    additions,
                    deletions,
                })
            })
            .collect()
    }

    fn lines(&self, repository: &Repository, change: &Difference) -> Result<(usize, usize), Fault> {
        let doing = || format!("comparing {}", policy::escape(&change.path));
        let before = match change.before {
            Some((oid, _)) => committed_text(repository, oid)?,
            None => Some(Vec::new()),
        };
        let after = match change.after {
            // What has gone since, or hides itself, has no lines.
            Some(After { kind, .. }) => text(&self.root, &change.path, kind).unwrap_or_default(),
            None => Some(Vec::new()),
        };
        let (Some(before), Some(after)) = (before, after) else {
            return Ok((0, 0));
        };
        let mut options = DiffOptions::new();
        options.context_lines(0);
        let patch =
            Patch::from_buffers(&before, None, &after, None, Some(&mut options)).or_fault(doing)?;
        let (_, additions, deletions) = patch.line_stats().or_fault(doing)?;
        Ok((additions, deletions))
    }
}

/// Returns a path as the rest of the gateway has it.
pub(super) fn site_path(path: &[u8]) -> Result<SitePath, Fault> {
    SitePath::normalize(path)
        .map_err(|_| Fault::new(format!("{} is too long for a path", policy::escape(path))))
}

/// Returns a file's lines as the commit has them; nothing if it has none.
fn committed_text(repository: &Repository, blob: Oid) -> Result<Option<Vec<u8>>, Fault> {
    let doing = || format!("reading the object {blob}");
    let odb = repository.odb().or_fault(doing)?;
    let (size, _) = odb.read_header(blob).or_fault(doing)?;
    if size > MAX_TEXT {
        return Ok(None);
    }
    let found = odb.read(blob).or_fault(doing)?;
    Ok(as_text(found.data().to_vec()))
}

fn text(root: &Folder, path: &[u8], kind: Kind) -> io::Result<Option<Vec<u8>>> {
    if kind == Kind::Link {
        let (folder, name) = root.parent_of(path)?;
        return Ok(as_text(folder.link_target(name)?));
    }
    let mut bytes = Vec::new();
    root.open_file(path)?
        .take(MAX_TEXT as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(as_text(bytes))
}

/// Git takes a file for binary if there is a NUL near its beginning.
fn as_text(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let beginning = bytes.get(..8000).unwrap_or(&bytes);
    (bytes.len() <= MAX_TEXT && !beginning.contains(&0)).then_some(bytes)
}

fn hidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Nobody counts the lines of larger files.
const MAX_TEXT: usize = 8 << 20;
