//! A directory, listed in portions.

use std::os::fd::OwnedFd;

use nix::dir::{Dir, OwningIter};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstat, fstatat};
use policy::SitePath;

use super::obstacle::Obstacle;

/// A name in a directory, and what it is; links are not followed.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// What it is.
    pub stat: FileStat,
}

/// An open directory. Git's own directory is never in it.
#[derive(Debug)]
pub struct Listing(Option<Open>);

#[derive(Debug)]
struct Open {
    names: OwningIter,
    folder: OwnedFd,
    /// What the person has on its way here, in the place of what the disk has.
    own: Vec<Entry>,
}

impl Listing {
    pub(super) fn of(folder: OwnedFd, own: Vec<Entry>) -> Result<Self, Obstacle> {
        let names = Dir::from_fd(folder.try_clone()?)?.into_iter();
        Ok(Self(Some(Open { names, folder, own })))
    }

    /// Returns the listing of a directory that is not on the disk.
    pub fn empty() -> Self {
        Self(None)
    }

    /// Returns what the directory itself is, if it is on the disk.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn stat(&self) -> Result<Option<FileStat>, Obstacle> {
        Ok(self
            .0
            .as_ref()
            .map(|open| fstat(&open.folder))
            .transpose()?)
    }

    /// Returns the next name but `.` and `..`.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Obstacle> {
        let Some(open) = &mut self.0 else {
            return Ok(None);
        };
        for found in open.names.by_ref() {
            let found = found?;
            let name = found.file_name();
            if is_hidden(name.to_bytes()) {
                continue;
            }
            let mut own = open.own.iter();
            if let Some(at) = own.position(|own| own.name == name.to_bytes()) {
                return Ok(Some(open.own.swap_remove(at)));
            }
            match fstatat(&open.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => {
                    let name = name.to_bytes().to_vec();
                    return Ok(Some(Entry { name, stat }));
                }
                // Removed since its name was read.
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(open.own.pop())
    }
}

/// Returns true for names that are never shown: git's own directory in any disguise.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    match name {
        b"." | b".." => true,
        [b'.' | b'g' | b'G', ..] => {
            SitePath::normalize(name).is_ok_and(|path| path.names_git_directory())
        }
        _ => false,
    }
}
