//! Where the names of a file lie that has several (hard links).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat};

use super::obstacle::Obstacle;
use super::walk::{self, Kind};
use crate::blocking;

/// Entries that are looked at; what has more is not searched to its end, and the answer is no.
const MOST_ENTRIES: usize = 1_000_000;

/// Folders within folders, more than any site has.
const DEEPEST: usize = 128;

/// Makes sure that what is to be changed in place is a directory, or a file whose names all lie in
/// this area. Another may lie where other rules hold, or outside the environment, and the kernel
/// does not tell where; so whoever has several is looked for, which takes a walk through the area.
///
/// # Errors
/// When a name lies elsewhere, or it is neither file nor directory.
pub(super) fn all_within(
    area: BorrowedFd<'_>,
    opened: &OwnedFd,
) -> Result<(FileStat, Kind), Obstacle> {
    let (stat, kind) = walk::plain(opened)?;
    if kind != Kind::File || stat.st_nlink <= 1 {
        return Ok((stat, kind));
    }
    let mut search = Search {
        file: (stat.st_dev, stat.st_ino),
        missing: stat.st_nlink,
        left: MOST_ENTRIES,
    };
    let found = blocking::wait(|| search.within(area, 0));
    match found {
        Ok(()) if search.missing == 0 => Ok((stat, kind)),
        Ok(()) => Err(Obstacle::SeveralNames),
        Err(errno) => Err(errno.into()),
    }
}

struct Search {
    file: (u64, u64),
    /// Names that have not been found.
    missing: u64,
    left: usize,
}

impl Search {
    fn within(&mut self, folder: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
        if depth > DEEPEST {
            return Ok(());
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let mut entries = match Dir::openat(folder, ".", flags, Mode::empty()) {
            Ok(entries) => entries,
            // Gone meanwhile, or closed to us: its names are then not found.
            Err(Errno::ENOENT | Errno::EACCES) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        for entry in entries.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.left = self.left.saturating_sub(1);
            if self.missing == 0 || self.left == 0 {
                return Ok(());
            }
            match fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) if Kind::of(&stat) == Kind::Directory => {
                    if let Ok(inside) = openat(folder, name, flags, Mode::empty()) {
                        self.within(inside.as_fd(), depth + 1)?;
                    }
                }
                Ok(stat) if (stat.st_dev, stat.st_ino) == self.file => self.missing -= 1,
                Ok(_) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};

    use super::*;

    #[test]
    fn a_name_outside_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let area = folder.path().join("area");
        fs::create_dir_all(area.join("a/b")).unwrap();
        fs::write(area.join("one"), "").unwrap();
        fs::hard_link(area.join("one"), area.join("a/b/two")).unwrap();
        let opened = |path| -> OwnedFd {
            OpenOptions::new()
                .write(true)
                .open(area.join(path))
                .unwrap()
                .into()
        };
        let root = File::open(&area).unwrap();
        assert!(all_within(root.as_fd(), &opened("one")).is_ok());
        assert!(all_within(root.as_fd(), &opened("a/b/two")).is_ok());
        fs::hard_link(area.join("one"), folder.path().join("outside")).unwrap();
        assert!(matches!(
            all_within(root.as_fd(), &opened("one")),
            Err(Obstacle::SeveralNames)
        ));
        let inner = File::open(area.join("a")).unwrap();
        assert!(all_within(inner.as_fd(), &opened("a/b/two")).is_err());
    }
}
