//! Writes into a code tree what a commit has. Files are written elsewhere and take their places by
//! renames, so that nobody reads half of one, and a full disk changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use git2::Oid;
use policy::SitePath;

use super::compare::{root, site_path};
use super::{WorkError, WorkTree};
use crate::audit::IncidentId;
use crate::fault::{Fault, OrFault};
use crate::site::blobs::Blobs;
use crate::site::contents::Kind;
use crate::site::folder::{Folder, Standing, gone, split, standing};
use crate::site::scan::hash;

/// What a file is: an object and its kind, or nothing.
pub(super) type State = Option<(Oid, Kind)>;

/// A file that is to be changed.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The path.
    pub path: Vec<u8>,
    /// What must be there now, or else somebody's work would be lost.
    pub from: State,
    /// What is to be there.
    pub to: State,
}

/// Takes all steps; those that are done already are right. Looks first whether all can be taken.
pub(super) fn put(work: &WorkTree<'_>, steps: &[Step]) -> Result<Vec<SitePath>, WorkError> {
    let root = root(work)?;
    let mut left = Vec::new();
    let mut in_the_way = BTreeSet::new();
    for step in steps {
        let now = state_of(&root, &step.path)?;
        if now == step.to {
            continue;
        }
        if now != step.from {
            in_the_way.insert(step.path.clone());
        }
        left.push(step);
    }
    let removed: BTreeSet<&[u8]> = left
        .iter()
        .filter(|step| step.to.is_none())
        .map(|step| step.path.as_slice())
        .collect();
    for step in left.iter().filter(|step| step.to.is_some()) {
        obstacles(&root, &step.path, &removed, &mut in_the_way)?;
    }
    if !in_the_way.is_empty() {
        let paths: Result<_, Fault> = in_the_way.iter().map(|path| site_path(path)).collect();
        return Err(WorkError::InTheWay(paths?));
    }
    let blobs = Blobs::open(work.repository.path(), None)?;
    let spool = Folder::open(&work.environment.uploads()).or_fault(|| "opening the spool")?;
    // All bytes are on the disk before the first file moves, since it may be full.
    let mut staged = Staged {
        spool: &spool,
        names: BTreeMap::new(),
    };
    for step in &left {
        if let Some((oid, kind)) = step.to {
            staged.write(&blobs, &step.path, oid, kind)?;
        }
    }
    // First what goes away, since a folder may take its place.
    left.sort_by_key(|step| step.to.is_some());
    for step in &left {
        match step.to {
            None => remove(&root, &step.path),
            Some(_) => staged.place(&root, &step.path),
        }
        .or_fault(|| format!("putting back {}", policy::escape(&step.path)))?;
    }
    let mut paths: Vec<SitePath> = Vec::new();
    for step in left {
        paths.push(site_path(&step.path)?);
    }
    paths.sort();
    Ok(paths)
}

/// Returns the steps from one flat list of files to another.
pub(super) fn steps_between(
    from: &BTreeMap<Vec<u8>, (Oid, Kind)>,
    to: &BTreeMap<Vec<u8>, (Oid, Kind)>,
) -> Vec<Step> {
    let paths: BTreeSet<&Vec<u8>> = from.keys().chain(to.keys()).collect();
    paths
        .into_iter()
        .map(|path| Step {
            path: path.clone(),
            from: from.get(path).copied(),
            to: to.get(path).copied(),
        })
        .filter(|step| step.from != step.to)
        .collect()
}

/// Returns what a path is now. A folder or a special file is nothing that git could keep.
fn state_of(root: &Folder, path: &[u8]) -> Result<State, Fault> {
    let doing = || format!("reading {}", policy::escape(path));
    let kind = match root
        .parent_of(path)
        .and_then(|(folder, name)| folder.stat(name))
    {
        Ok(stat) => match standing(&stat) {
            Standing::Link => Kind::Link,
            Standing::File if stat.st_mode & 0o100 != 0 => Kind::Executable,
            Standing::File => Kind::File,
            Standing::Folder | Standing::Special => return Ok(None),
        },
        // A link on the way means that the path is not in this tree.
        Err(error) if gone(&error) || is_link(&error) => return Ok(None),
        Err(error) => return Err(error).or_fault(doing),
    };
    let oid = hash(root, path, kind).or_fault(doing)?;
    Ok(oid.map(|oid| (oid, kind)))
}

/// Finds what stands where a file and its folders are to be, and does not go away.
fn obstacles(
    root: &Folder,
    path: &[u8],
    removed: &BTreeSet<&[u8]>,
    found: &mut BTreeSet<Vec<u8>>,
) -> Result<(), Fault> {
    let doing = || format!("reading {}", policy::escape(path));
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    for above in slashes.filter_map(|(at, _)| path.get(..at)) {
        match root
            .parent_of(above)
            .and_then(|(folder, name)| folder.stat(name))
        {
            Ok(stat) if standing(&stat) == Standing::Folder => {}
            Ok(_) => {
                if !removed.contains(above) {
                    found.insert(above.to_vec());
                }
                return Ok(());
            }
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(error).or_fault(doing),
        }
    }
    match root
        .parent_of(path)
        .and_then(|(folder, name)| folder.stat(name))
    {
        Ok(stat) if standing(&stat) == Standing::Folder => {
            let folder = root.below(path).or_fault(doing)?;
            all_below(&folder, path, removed, found).or_fault(doing)
        }
        Ok(stat) if standing(&stat) == Standing::Special => {
            found.insert(path.to_vec());
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) if gone(&error) => Ok(()),
        Err(error) => Err(error).or_fault(doing),
    }
}

/// Finds what a folder holds that does not go away.
fn all_below(
    folder: &Folder,
    path: &[u8],
    removed: &BTreeSet<&[u8]>,
    found: &mut BTreeSet<Vec<u8>>,
) -> io::Result<()> {
    for name in folder.names()? {
        let path = [path, b"/", &name].concat();
        if standing(&folder.stat(&name)?) == Standing::Folder {
            all_below(&folder.below(&name)?, &path, removed, found)?;
        } else if !removed.contains(path.as_slice()) {
            found.insert(path);
        }
    }
    Ok(())
}

/// Removes a file, and the folders that are empty without it.
fn remove(root: &Folder, path: &[u8]) -> io::Result<()> {
    let (folder, name) = root.parent_of(path)?;
    match folder.remove(name) {
        Err(error) if !gone(&error) => return Err(error),
        _removed => {}
    }
    let (mut above, _) = split(path);
    while !above.is_empty() {
        let (folder, name) = root.parent_of(above)?;
        if folder.remove_folder(name).is_err() {
            break;
        }
        (above, _) = split(above);
    }
    Ok(())
}

/// Files that are written and wait for their places; those that wait in vain go away.
struct Staged<'a> {
    spool: &'a Folder,
    /// The name in the spool, by path.
    names: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Staged<'_> {
    fn write(&mut self, blobs: &Blobs, path: &[u8], oid: Oid, kind: Kind) -> Result<(), Fault> {
        let doing = || format!("writing what {} is to be", policy::escape(path));
        let name = format!("work-{}", IncidentId::new(jiff::Timestamp::now())).into_bytes();
        let mode = match kind {
            Kind::File => 0o644,
            Kind::Executable => 0o755,
            Kind::Link => {
                let target = blobs.read(oid)?;
                self.spool.make_link(&name, &target).or_fault(doing)?;
                self.names.insert(path.to_vec(), name);
                return Ok(());
            }
        };
        let file = self.spool.create_file(&name, mode).or_fault(doing)?;
        self.names.insert(path.to_vec(), name);
        blobs.copy(oid, file).or_fault(doing)
    }

    fn place(&mut self, root: &Folder, path: &[u8]) -> io::Result<()> {
        let (above, name) = split(path);
        let mut folder = root.below(b"")?;
        for part in above
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
        {
            folder = folder.make_folder(part)?;
        }
        if folder
            .stat(name)
            .is_ok_and(|stat| standing(&stat) == Standing::Folder)
        {
            remove_empty(&folder, name)?;
        }
        let Some(staged) = self.names.remove(path) else {
            return Err(io::Error::other("it was not written"));
        };
        self.spool.rename(&staged, &folder, name)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        for name in self.names.values() {
            let _ = self.spool.remove(name);
        }
    }
}

/// Removes a folder that holds nothing but such folders.
fn remove_empty(folder: &Folder, name: &[u8]) -> io::Result<()> {
    let inner = folder.below(name)?;
    for below in inner.names()? {
        remove_empty(&inner, &below)?;
    }
    folder.remove_folder(name)
}

fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32)
}
