//! Writes files and trees into a repository. Points no ref at them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};

use git2::{ObjectType, Odb, Oid, Repository};
use nix::sys::stat::{FileStat, fstat};

use super::blobs::IN_MEMORY;
use super::contents::{Entry, Kind};
use super::folder::{Folder, gone, is_other_kind};
use crate::fault::{Fault, OrFault};

/// What became of a file that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is in the repository.
    Kept(Oid, Kind),
    /// It has gone.
    Gone,
    /// It changed while it was read, so that what was read may be no state it ever had.
    Changing,
    /// Its permissions do not let the gateway read it.
    Unreadable,
}

/// Stores the file or link at a path beneath `root`.
pub(super) fn store(
    repository: &Repository,
    root: &Folder,
    path: &[u8],
    kind: Kind,
) -> Result<Stored, Fault> {
    let doing = || format!("storing {}", policy::escape(path));
    let odb = repository.odb().or_fault(doing)?;
    let stored = match kind {
        Kind::Link => root.parent_of(path).and_then(|(folder, name)| {
            let target = folder.link_target(name)?;
            let oid = odb
                .write(ObjectType::Blob, &target)
                .map_err(io::Error::other)?;
            Ok(Stored::Kept(oid, Kind::Link))
        }),
        Kind::File | Kind::Executable => {
            root.open_file(path).and_then(|file| store_file(&odb, file))
        }
    };
    match stored {
        Ok(stored) => Ok(stored),
        Err(error) if gone(&error) => Ok(Stored::Gone),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Stored::Unreadable),
        // A link took the file's place, or the other way round.
        Err(error) if is_other_kind(&error) => Ok(Stored::Changing),
        Err(error) => Err(error).or_fault(doing),
    }
}

/// Writes the trees for a flat list of files and returns the top one.
pub(super) fn write_tree(
    repository: &Repository,
    files: &BTreeMap<Vec<u8>, (Oid, Kind)>,
) -> Result<Oid, Fault> {
    let doing = || "writing the folders of a commit";
    let odb = repository.odb().or_fault(doing)?;
    let files: Vec<(&[u8], Oid, Kind)> = files
        .iter()
        .map(|(path, (oid, kind))| (path.as_slice(), *oid, *kind))
        .collect();
    write_folder(&odb, &files).or_fault(doing)
}

/// Returns the flat list that a tree can be written from.
pub(super) fn files_of(entries: &[Entry]) -> BTreeMap<Vec<u8>, (Oid, Kind)> {
    entries
        .iter()
        .map(|entry| (entry.path.clone(), (entry.oid, entry.kind)))
        .collect()
}

fn store_file(odb: &Odb<'_>, mut file: File) -> io::Result<Stored> {
    let before = fstat(&file)?;
    let size = usize::try_from(before.st_size).map_err(io::Error::other)?;
    let oid = if size <= IN_MEMORY {
        let mut bytes = Vec::with_capacity(size + 1);
        file.read_to_end(&mut bytes)?;
        odb.write(ObjectType::Blob, &bytes)
            .map_err(io::Error::other)?
    } else {
        let mut writer = odb
            .writer(size, ObjectType::Blob)
            .map_err(io::Error::other)?;
        let mut left = size;
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            let want = left.min(buffer.len());
            let got = file.read(buffer.get_mut(..want).unwrap_or_default())?;
            if got == 0 {
                return Ok(Stored::Changing);
            }
            writer.write_all(buffer.get(..got).unwrap_or_default())?;
            left -= got;
        }
        writer.finalize().map_err(io::Error::other)?
    };
    let after = fstat(&file)?;
    if !same(&before, &after) {
        return Ok(Stored::Changing);
    }
    let kind = if after.st_mode & 0o100 != 0 {
        Kind::Executable
    } else {
        Kind::File
    };
    Ok(Stored::Kept(oid, kind))
}

/// Returns true if nothing about a file's content has changed between two looks.
fn same(before: &FileStat, after: &FileStat) -> bool {
    let key = |stat: &FileStat| {
        (
            (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mode),
            (stat.st_mtime, stat.st_mtime_nsec),
            (stat.st_ctime, stat.st_ctime_nsec),
        )
    };
    key(before) == key(after)
}

/// All paths are below one folder and in order. Git orders the names of a folder as their paths
/// are ordered: that of a folder as if it ended in a slash.
fn write_folder(odb: &Odb<'_>, mut files: &[(&[u8], Oid, Kind)]) -> Result<Oid, git2::Error> {
    let mut bytes = Vec::new();
    while let Some((path, oid, kind)) = files.first() {
        let slash = path.iter().position(|byte| *byte == b'/');
        let (name, oid, mode, count) = match slash.and_then(|at| path.split_at_checked(at + 1)) {
            None => (*path, *oid, kind.mode(), 1),
            Some((folder, _)) => {
                let inner: Vec<(&[u8], Oid, Kind)> = files
                    .iter()
                    .map_while(|(path, oid, kind)| Some((path.strip_prefix(folder)?, *oid, *kind)))
                    .collect();
                let oid = write_folder(odb, &inner)?;
                let name = folder.strip_suffix(b"/").unwrap_or(folder);
                (name, oid, 0o40_000, inner.len())
            }
        };
        bytes.extend_from_slice(format!("{mode:o} ").as_bytes());
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(oid.as_bytes());
        files = files.get(count..).unwrap_or_default();
    }
    odb.write(ObjectType::Tree, &bytes)
}
