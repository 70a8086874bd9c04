//! Handles of folders: every step into a tree that others write is taken beneath a handle and
//! never through a link. Knows nothing of git.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, syncfs, unlinkat};

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// A pipe, socket or device.
    Special,
}

impl Folder {
    /// Opens a folder of the gateway's own; the path itself is trusted, its last part must not be
    /// a link.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = FOLDER | OFlag::O_NOFOLLOW;
        Ok(Self(nix::fcntl::open(path, flags, Mode::empty())?))
    }

    /// Opens a folder beneath this one; an empty path is this folder again.
    pub(super) fn below(&self, path: &[u8]) -> io::Result<Self> {
        let path = if path.is_empty() { b"." } else { path };
        Ok(Self(self.beneath(path, FOLDER, Mode::empty())?))
    }

    /// Opens the folder that a path beneath this folder lies in; returns it and the last name.
    pub(super) fn parent_of<'a>(&self, path: &'a [u8]) -> io::Result<(Self, &'a [u8])> {
        let (above, name) = split(path);
        Ok((self.below(above)?, name))
    }

    /// Opens a regular file beneath this folder for reading.
    pub(super) fn open_file(&self, path: &[u8]) -> io::Result<File> {
        // Without O_NONBLOCK a pipe that took the file's place would hold this thread for ever.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY;
        let file = File::from(self.beneath(path, flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::from(Errno::ELOOP))
        }
    }

    /// Makes a file that does not exist yet, with exactly these permissions.
    pub(super) fn create_file(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let file = self.beneath(name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        fchmod(&file, Mode::from_bits_truncate(mode))?;
        Ok(File::from(file))
    }

    /// Makes a folder; one that exists already is right.
    pub(super) fn make_folder(&self, name: &[u8]) -> io::Result<Self> {
        let made = match mkdirat(self, os(name), Mode::S_IRWXU) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(error) => return Err(error.into()),
        };
        let folder = self.below(name)?;
        if made {
            fchmod(&folder, Mode::from_bits_truncate(0o755))?;
        }
        Ok(folder)
    }

    /// Makes a symbolic link.
    pub(super) fn make_link(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(symlinkat(os(target), self, os(name))?)
    }

    /// Gives the file `name` of `from` the same name here.
    pub(super) fn share_file(&self, from: &Folder, name: &[u8]) -> io::Result<()> {
        Ok(linkat(from, os(name), self, os(name), AtFlags::empty())?)
    }

    /// Returns where a symbolic link beneath this folder leads.
    pub(super) fn link_target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(readlinkat(self, os(name))?.into_vec())
    }

    /// Describes what stands under a name, itself and not what a link leads to.
    pub(super) fn stat(&self, name: &[u8]) -> io::Result<FileStat> {
        Ok(fstatat(self, os(name), AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Moves a name to another folder, over what stands there.
    pub(super) fn rename(&self, name: &[u8], to: &Folder, new_name: &[u8]) -> io::Result<()> {
        Ok(renameat(self, os(name), to, os(new_name))?)
    }

    /// Removes a file or link.
    pub(super) fn remove(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(self, os(name), UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes an empty folder.
    pub(super) fn remove_folder(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(self, os(name), UnlinkatFlags::RemoveDir)?)
    }

    /// Returns the names in this folder.
    pub(super) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for entry in Dir::from_fd(self.below(b"")?.0)?.iter() {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Returns the names in this folder, each with whether it is a folder. Two threads must not list
    /// the same handle at once.
    pub(super) fn listing(&self) -> io::Result<Vec<(Vec<u8>, bool)>> {
        let mut names = Vec::new();
        for entry in Dir::from_fd(self.0.try_clone()?)?.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let is_folder = match entry.file_type() {
                Some(kind) => kind == Type::Directory,
                // Not every file system says it in its listings.
                None => match self.stat(name) {
                    Ok(stat) => standing(&stat) == Standing::Folder,
                    Err(error) if gone(&error) => continue,
                    Err(error) => return Err(error),
                },
            };
            names.push((name.to_vec(), is_folder));
        }
        Ok(names)
    }

    /// Removes everything under a name, whatever its permissions; nothing there is right.
    pub(super) fn remove_all(&self, name: &[u8]) -> io::Result<()> {
        match self.stat(name) {
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(error),
            Ok(stat) if standing(&stat) != Standing::Folder => return self.remove(name),
            Ok(_) => {}
        }
        let top = self.open_for_removal(name)?;
        // Folders are lifted up beside each other and emptied there, so that no depth of nesting
        // can run out of handles or of path.
        let mut lifted = 0_u64;
        loop {
            let names = top.names()?;
            if names.is_empty() {
                break;
            }
            for name in names {
                if top.remove_unless_folder(&name)? {
                    continue;
                }
                let inner = top.open_for_removal(&name)?;
                for below in inner.names()? {
                    if inner.remove_unless_folder(&below)? {
                        continue;
                    }
                    inner.open_for_removal(&below)?;
                    if inner.remove_folder(&below).is_ok() {
                        continue;
                    }
                    let mut place = lifted_name(&mut lifted);
                    while top.stat(&place).is_ok() {
                        place = lifted_name(&mut lifted);
                    }
                    inner.rename(&below, &top, &place)?;
                }
                top.remove_folder(&name)?;
            }
        }
        self.remove_folder(name)
    }

    /// Makes everything written on this file system so far durable.
    pub(super) fn sync_file_system(&self) -> io::Result<()> {
        Ok(syncfs(self)?)
    }

    /// Makes the names in this folder durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(nix::unistd::fsync(self)?)
    }

    fn remove_unless_folder(&self, name: &[u8]) -> io::Result<bool> {
        match self.remove(name) {
            Ok(()) => Ok(true),
            Err(error) if gone(&error) => Ok(true),
            Err(error) if error.raw_os_error() == Some(Errno::EISDIR as i32) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open_for_removal(&self, name: &[u8]) -> io::Result<Self> {
        let full = |stat: &FileStat| stat.st_mode & 0o700 == 0o700;
        if !full(&self.stat(name)?) {
            fchmodat(
                self,
                os(name),
                Mode::S_IRWXU,
                FchmodatFlags::NoFollowSymlink,
            )?;
        }
        self.below(name)
    }

    fn beneath(&self, path: &[u8], flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        loop {
            match openat2(self, os(path), how) {
                // The kernel could not be sure that a rename elsewhere did not lead outside.
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

impl From<OwnedFd> for Folder {
    fn from(folder: OwnedFd) -> Self {
        Self(folder)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns what a description describes.
pub(super) fn standing(stat: &FileStat) -> Standing {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => Standing::File,
        SFlag::S_IFLNK => Standing::Link,
        SFlag::S_IFDIR => Standing::Folder,
        _other => Standing::Special,
    }
}

/// Returns true if an error says that a name, or a folder on the way to it, is not there.
pub(super) fn gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENOENT | Errno::ENOTDIR)
    )
}

/// Returns true if an error says that a file, link or folder is one of the other two.
pub(super) fn is_other_kind(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ELOOP | Errno::EINVAL | Errno::EISDIR | Errno::ENXIO)
    )
}

/// Splits a path into its folder, which may be empty, and its name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (
            path.get(..at).unwrap_or_default(),
            path.get(at + 1..).unwrap_or_default(),
        ),
        None => (b"", path),
    }
}

fn lifted_name(lifted: &mut u64) -> Vec<u8> {
    *lifted += 1;
    format!(".lifted-{lifted}").into_bytes()
}

fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_never_followed_on_the_way() {
        let temporary = tempfile::tempdir().unwrap();
        let outside = temporary.path().join("outside");
        let inside = temporary.path().join("inside");
        std::fs::create_dir_all(outside.join("below")).unwrap();
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(outside.join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), inside.join("file")).unwrap();
        let folder = Folder::open(&inside).unwrap();
        assert!(folder.below(b"link").is_err());
        assert!(folder.below(b"link/below").is_err());
        assert!(folder.below(b"..").is_err());
        assert!(folder.open_file(b"file").is_err());
        assert!(folder.open_file(b"link/secret").is_err());
        assert!(folder.create_file(b"link/new", 0o644).is_err());
        assert!(folder.create_file(b"file", 0o644).is_err());
    }

    #[test]
    fn pipes_do_not_hold_the_reader() {
        let temporary = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&temporary.path().join("pipe"), Mode::S_IRWXU).unwrap();
        let folder = Folder::open(temporary.path()).unwrap();
        assert!(folder.open_file(b"pipe").is_err());
        assert_eq!(standing(&folder.stat(b"pipe").unwrap()), Standing::Special);
    }

    #[test]
    fn everything_can_be_removed_and_nothing_beyond() {
        let temporary = tempfile::tempdir().unwrap();
        let outside = temporary.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("kept"), "kept").unwrap();
        let folder = Folder::open(temporary.path()).unwrap();
        let mut deep = folder.make_folder(b"deep").unwrap();
        deep.make_link(b"link", outside.as_os_str().as_bytes())
            .unwrap();
        deep.create_file(b".lifted-1", 0).unwrap();
        for _ in 0..1500 {
            deep.create_file(b"\xe9", 0o400).unwrap();
            deep.make_folder(b"empty").unwrap();
            let below = deep.make_folder(b"below").unwrap();
            fchmod(&deep, Mode::empty()).unwrap();
            deep = below;
        }
        folder.remove_all(b"deep").unwrap();
        folder.remove_all(b"deep").unwrap();
        assert_eq!(folder.names().unwrap(), [b"outside"]);
        assert!(outside.join("kept").exists());
    }
}
