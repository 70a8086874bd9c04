//! From the handle of an area down to a place in it; the kernel keeps every step beneath the area.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use policy::SitePath;

use super::HANDLE;
use super::obstacle::Obstacle;

/// The folder that holds a name: the area itself, or one inside it.
pub(super) enum Folder<'a> {
    Area(BorrowedFd<'a>),
    Inside(OwnedFd),
}

impl AsFd for Folder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Folder::Area(area) => *area,
            Folder::Inside(folder) => folder.as_fd(),
        }
    }
}

impl Folder<'_> {
    /// Returns a handle that may be kept.
    pub(super) fn into_owned(self) -> Result<OwnedFd, Errno> {
        match self {
            Folder::Area(area) => openat(area, ".", HANDLE, Mode::empty()),
            Folder::Inside(folder) => Ok(folder),
        }
    }
}

/// Opens a place beneath `area`, following links as long as they stay beneath it.
pub(super) fn beneath(
    area: BorrowedFd<'_>,
    path: &SitePath,
    flags: OFlag,
    mode: Mode,
) -> Result<OwnedFd, Obstacle> {
    if path.is_empty() {
        resolve(area, b".", flags, mode)
    } else {
        resolve(area, path.as_bytes(), flags, mode)
    }
}

/// Opens a place by bytes that need not be a normal path.
pub(super) fn resolve(
    area: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlag,
    mode: Mode,
) -> Result<OwnedFd, Obstacle> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .mode(mode)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let mut attempts = 0;
    loop {
        match openat2(area, path, how) {
            // A rename elsewhere in the tree during the walk; the kernel then cannot vouch for it.
            Err(Errno::EAGAIN | Errno::EINTR) if attempts < ATTEMPTS => attempts += 1,
            Err(Errno::EXDEV) => return Err(Obstacle::LeadsOut),
            // A socket, a device that nobody serves, or a pipe that nobody reads.
            Err(Errno::ENXIO | Errno::ENODEV) => return Err(Obstacle::Special),
            other => return other.map_err(Obstacle::System),
        }
    }
}

/// Opens the folder that holds the last component of `path`; `None` for the area itself.
pub(super) fn parent<'a, 'p>(
    area: BorrowedFd<'a>,
    path: &'p SitePath,
) -> Result<Option<(Folder<'a>, &'p [u8])>, Obstacle> {
    let Some((above, name)) = path.split_last() else {
        return Ok(None);
    };
    let folder = if above.is_empty() {
        Folder::Area(area)
    } else {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        Folder::Inside(beneath(area, &above, flags, Mode::empty())?)
    };
    Ok(Some((folder, name)))
}

/// Finds where a file that is reached through links really is: its folder and path in the area, and
/// what it is. None if it is missing, no regular file, or was moved meanwhile.
pub(super) fn real<'a>(
    area: BorrowedFd<'a>,
    path: &SitePath,
) -> Result<Option<(Folder<'a>, SitePath, FileStat)>, Obstacle> {
    let found = match beneath(area, path, OFlag::O_PATH, Mode::empty()) {
        Err(Obstacle::System(Errno::ENOENT)) => return Ok(None),
        other => other?,
    };
    let stat = fstat(&found)?;
    let inside = name_of(found.as_fd())?
        .strip_prefix(name_of(area)?.as_slice())
        .and_then(|rest| SitePath::normalize(rest).ok());
    let Some(real) = inside.filter(|real| !real.names_git_directory()) else {
        return Ok(None);
    };
    let Some((folder, name)) = parent(area, &real)? else {
        return Ok(None);
    };
    // The name is only what the kernel last knew; what counts is what is there.
    let there = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW);
    let same = there.is_ok_and(|there| (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino));
    if !same || Kind::of(&stat) != Kind::File {
        return Ok(None);
    }
    Ok(Some((folder, real.clone(), stat)))
}

fn name_of(handle: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
    Ok(readlinkat(AT_FDCWD, link.as_str())?.into_vec())
}

/// What a place holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A pipe, socket or device.
    Special,
}

impl Kind {
    /// Returns the kind that a mode tells of.
    pub fn of(stat: &FileStat) -> Self {
        match stat.st_mode & libc_format::MASK {
            libc_format::FILE => Kind::File,
            libc_format::DIRECTORY => Kind::Directory,
            libc_format::LINK => Kind::Link,
            _ => Kind::Special,
        }
    }
}

/// Makes sure that what was opened is a file or a directory.
pub(super) fn plain(opened: &OwnedFd) -> Result<(FileStat, Kind), Obstacle> {
    let stat = fstat(opened)?;
    match Kind::of(&stat) {
        Kind::Special | Kind::Link => Err(Obstacle::Special),
        kind @ (Kind::File | Kind::Directory) => Ok((stat, kind)),
    }
}

const ATTEMPTS: usize = 16;

/// The file type in `st_mode`, as `inode(7)` gives it.
mod libc_format {
    pub(super) const MASK: u32 = 0o170_000;
    pub(super) const FILE: u32 = 0o100_000;
    pub(super) const DIRECTORY: u32 = 0o040_000;
    pub(super) const LINK: u32 = 0o120_000;
}
