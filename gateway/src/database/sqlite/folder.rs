//! What lies in a folder of SQLite databases: the databases, known by their header, what SQLite keeps
//! beside each, and other files. Nothing here follows a link.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use crate::fault::{Fault, OrFault};

/// How a database file begins (SQLite's "Database File Format", 1.3).
pub(super) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What SQLite adds to the name of a database for its own files beside it.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How deep folders are looked into.
const DEEPEST: usize = 16;

/// What a folder holds; paths are relative to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Databases, sorted.
    pub(super) databases: Vec<PathBuf>,
    /// Files of no bytes, which are databases without tables as well as anything else.
    pub(super) empty: Vec<PathBuf>,
    /// Other files.
    pub(super) others: Vec<PathBuf>,
    /// Folders, each after the one that it is in.
    pub(super) folders: Vec<PathBuf>,
    /// Links that stay within the folder.
    pub(super) links: Vec<PathBuf>,
    /// What is none of these, and is left out of copies: links that lead out, sockets, pipes.
    pub(super) strange: Vec<PathBuf>,
}

/// Looks through a folder.
pub(super) fn held(folder: &Path) -> Result<Held, Fault> {
    let mut held = Held::default();
    look(folder, Path::new(""), 0, &mut held)?;
    let is_beside = |path: &PathBuf, bases: &[&[PathBuf]]| {
        base(path).is_some_and(|base| bases.iter().any(|some| some.contains(&base)))
    };
    // One that is being made has no bytes yet, but what will become of it beside it.
    let (unborn, empty): (Vec<_>, Vec<_>) = held.empty.iter().cloned().partition(|path| {
        BESIDE.iter().any(|ending| {
            let beside = with_ending(path, ending);
            *ending != "-shm" && (held.others.contains(&beside) || held.empty.contains(&beside))
        })
    });
    held.databases.extend(unborn);
    held.databases.sort();
    let others = std::mem::take(&mut held.others);
    held.others = others
        .into_iter()
        .filter(|path| !is_beside(path, &[&held.databases]))
        .collect();
    held.empty = empty
        .into_iter()
        .filter(|path| !is_beside(path, &[&held.databases]))
        .collect();
    Ok(held)
}

fn look(folder: &Path, inside: &Path, depth: usize, held: &mut Held) -> Result<(), Fault> {
    let doing = || {
        format!(
            "looking through the folder of databases {}",
            inside.display()
        )
    };
    if depth > DEEPEST {
        return Err(Fault::new("the folder of databases is too deep"));
    }
    for entry in fs::read_dir(folder.join(inside)).or_fault(doing)? {
        let entry = entry.or_fault(doing)?;
        let path = inside.join(entry.file_name());
        let kind = entry.file_type().or_fault(doing)?;
        if kind.is_dir() {
            held.folders.push(path.clone());
            look(folder, &path, depth + 1, held)?;
        } else if kind.is_symlink() {
            let leads = fs::read_link(entry.path()).or_fault(doing)?;
            if stays_within(inside, &leads) {
                held.links.push(path);
            } else {
                held.strange.push(path);
            }
        } else if !kind.is_file() {
            held.strange.push(path);
        } else {
            match begins(&entry.path()) {
                Ok(Begin::Database) => held.databases.push(path),
                Ok(Begin::Nothing) => held.empty.push(path),
                Ok(Begin::Other) => held.others.push(path),
                // SQLite's own files come and go.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).or_fault(doing),
            }
        }
    }
    Ok(())
}

enum Begin {
    Database,
    Nothing,
    Other,
}

fn begins(path: &Path) -> std::io::Result<Begin> {
    let length = fs::symlink_metadata(path)?.len();
    if length == 0 {
        return Ok(Begin::Nothing);
    }
    let file = super::open::reading(path)?;
    let mut head = [0; MAGIC.len()];
    let read = file.file().take(16).read(&mut head)?;
    Ok(if read == head.len() && head == *MAGIC {
        Begin::Database
    } else {
        Begin::Other
    })
}

/// Returns the database that a file of SQLite's own stands beside, by its name.
fn base(path: &Path) -> Option<PathBuf> {
    let name = path.to_str()?;
    BESIDE
        .iter()
        .find_map(|ending| Some(PathBuf::from(name.strip_suffix(ending)?)))
}

/// Returns the name with an ending of SQLite's.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Whether a link in a folder leads to something in the same tree.
fn stays_within(inside: &Path, leads: &Path) -> bool {
    let mut depth = inside.components().count();
    for part in leads.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

/// Opens a new file for writing; nothing may be there yet.
pub(super) fn new_file(path: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new()
        .write(true)
        .read(true)
        .create_new(true)
        .mode(0o660)
        .open(path)
}
