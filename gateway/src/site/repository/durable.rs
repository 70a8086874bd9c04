//! Brings objects that libgit2 wrote to the disk, before anything points to them.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use git2::{ObjectType, Oid, Repository};

use crate::crash;
use crate::fault::{Fault, OrFault};
use crate::site::folder::Folder;

/// Makes a new commit durable, with all that its first parent has not.
pub(in crate::site) fn make_durable(repository: &Repository, commit: Oid) -> Result<(), Fault> {
    let doing = || format!("reading the commit {commit}");
    let found = repository.find_commit(commit).or_fault(doing)?;
    let base = match found.parent(0) {
        Ok(parent) => Some(parent.tree_id()),
        Err(_) => None,
    };
    let mut objects = HashSet::from([commit]);
    new_objects(repository, found.tree_id(), base, &mut objects)?;
    crash::point("commit-made");
    make_objects_durable(repository, &objects)?;
    crash::point("commit-durable");
    Ok(())
}

/// Makes single objects durable.
pub(in crate::site) fn make_objects_durable(
    repository: &Repository,
    objects: &HashSet<Oid>,
) -> Result<(), Fault> {
    let doing = || "writing objects to the disk";
    let folder = repository.path().join("objects");
    let files: Vec<PathBuf> = objects
        .iter()
        .filter_map(|object| {
            let name = object.to_string();
            let (first, rest) = name.split_at_checked(2)?;
            Some(folder.join(first).join(rest))
        })
        // One that is not loose is in a pack, which git made durable.
        .filter(|file| file.exists())
        .collect();
    if files.len() > ONE_BY_ONE {
        return Folder::open(&folder)
            .and_then(|folder| folder.sync_file_system())
            .or_fault(doing);
    }
    let mut folders = HashSet::from([folder.as_path()]);
    for file in &files {
        if synced(File::open(file).and_then(|file| file.sync_all())).or_fault(doing)? {
            folders.extend(file.parent());
        }
    }
    for folder in folders {
        synced(Folder::open(folder).and_then(|folder| folder.sync())).or_fault(doing)?;
    }
    Ok(())
}

/// What is gone since it was looked at is in a pack now, which git made durable.
fn synced(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn new_objects(
    repository: &Repository,
    tree: Oid,
    base: Option<Oid>,
    objects: &mut HashSet<Oid>,
) -> Result<(), Fault> {
    if base == Some(tree) || !objects.insert(tree) {
        return Ok(());
    }
    let doing = || format!("reading the folder {tree}");
    let base = match base {
        Some(base) => Some(repository.find_tree(base).or_fault(doing)?),
        None => None,
    };
    for entry in &repository.find_tree(tree).or_fault(doing)? {
        let known = base
            .as_ref()
            .and_then(|base| base.get_name_bytes(entry.name_bytes()));
        let same = known.as_ref().is_some_and(|known| known.id() == entry.id());
        match entry.kind() {
            _ if same => {}
            Some(ObjectType::Tree) => {
                let known = known.filter(|known| known.kind() == Some(ObjectType::Tree));
                let known = known.map(|known| known.id());
                new_objects(repository, entry.id(), known, objects)?;
            }
            _other => {
                objects.insert(entry.id());
            }
        }
    }
    Ok(())
}

/// Up to as many files, each is written out by itself, so that a commit need not wait for the
/// upload of somebody else.
const ONE_BY_ONE: usize = 64;
