//! Files being written.
//!
//! A file that replaces the whole content of another (opened to write with truncation, the name
//! being a regular file's) is written in the environment's `uploads`, which nobody sees, and takes
//! the old one's place with one rename when it is closed. A client that goes away in mid-file
//! leaves the old file whole. The rule, in full:
//!
//! - a new file, and one that is opened without truncation (to resume, to append, to edit in
//!   place), is written where it stands; so is one that is reached through a link, since a rename
//!   would replace the link, and one on another file system than `uploads`, where none can reach;
//! - the new file keeps the old one's rights, and needs its right to be written;
//! - it takes its place when it is closed, or sooner when the same session does something with the
//!   name besides looking at it: what follows then is as if it had been written in place;
//! - it is thrown away when the session ends before that, when a write to it failed, or when the
//!   permit no longer holds at its close. What a crash leaves in `uploads` is removed by
//!   [`Tree::remove_leftovers`] at the next start.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, copy_file_range, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use policy::TreeChange;

use super::change::{Attributes, rights, set_on_file, set_size};
use super::moving::{Named, names, remove_all};
use super::obstacle::Obstacle;
use super::walk::{self, Kind};
use super::{QUIET, Tree};
use crate::audit::Outcome;
use crate::fault::{Fault, OrFault};
use crate::gate::{Denied, Permit};

/// How a file is opened to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Opening {
    /// Whether it is also read.
    pub read: bool,
    /// Whether all is written at its end.
    pub append: bool,
    /// Whether it is made when it is missing.
    pub create: bool,
    /// Whether it must be missing.
    pub exclusive: bool,
    /// Whether its content goes.
    pub truncate: bool,
}

/// A file that is open to be written, not yet tied to its permit.
#[derive(Debug)]
pub struct Draft {
    file: File,
    spool: Option<Spool>,
}

/// A file that is open to be written, and the permit to do so.
#[derive(Debug)]
pub struct Writing {
    permit: Permit,
    draft: Draft,
    failed: Option<Errno>,
    denied: bool,
}

/// Where a file waits that will replace another; removed with it unless it has taken its place.
#[derive(Debug)]
struct Spool {
    uploads: OwnedFd,
    waiting_as: String,
    folder: OwnedFd,
    name: Vec<u8>,
    published: bool,
}

/// The folder of an environment in which files wait.
pub(super) const SPOOL: &str = "uploads";

impl Tree {
    /// Opens a file to write it.
    ///
    /// # Errors
    /// When it cannot be opened, or is no regular file.
    pub fn draft(
        &self,
        permit: &Permit,
        how: Opening,
        attributes: &Attributes,
    ) -> Result<Draft, Obstacle> {
        let (area, path) = self.changeable(permit, TreeChange::Write)?;
        let mode = attributes.mode_or(0o666);
        let in_place = |flags: OFlag| {
            let mode = if flags.contains(OFlag::O_CREAT) {
                mode
            } else {
                Mode::empty()
            };
            // Its content goes only when it is known what it is.
            let flags_now = flags.difference(OFlag::O_TRUNC);
            let opened = walk::beneath(area, path, how.access() | flags_now, mode)?;
            match walk::alone(&opened)? {
                (_, Kind::File) => {
                    if flags.contains(OFlag::O_TRUNC) {
                        set_size(&opened, 0)?;
                    }
                    Ok(Draft {
                        file: opened.into(),
                        spool: None,
                    })
                }
                (_, Kind::Directory | Kind::Link | Kind::Special) => Err(Errno::EISDIR.into()),
            }
        };
        if !how.truncate {
            return in_place(how.creation());
        }
        if how.create {
            match in_place(OFlag::O_CREAT | OFlag::O_EXCL) {
                Err(Obstacle::System(Errno::EEXIST)) if !how.exclusive => {}
                other => return other,
            }
        }
        let (folder, name) = walk::parent(area, path)?.ok_or(Errno::EISDIR)?;
        let stat = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        match Kind::of(&stat) {
            Kind::File if stat.st_dev == self.uploads_device => {
                let folder = folder.as_fd().try_clone_to_owned()?;
                self.replacement(permit, how, &stat, folder, name)
            }
            Kind::File | Kind::Link => in_place(how.creation() | OFlag::O_TRUNC),
            Kind::Directory => Err(Errno::EISDIR.into()),
            Kind::Special => Err(Obstacle::Special),
        }
    }

    /// Removes what a crash left in `uploads`; for the start of the gateway, before any session.
    /// Returns how much there was.
    ///
    /// # Errors
    /// When the folder cannot be read, or something in it not removed.
    pub fn remove_leftovers(&self) -> Result<usize, Fault> {
        let doing = || "removing unfinished uploads";
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = openat(&self.uploads, ".", flags, Mode::empty()).or_fault(doing)?;
        let names = names(&folder).map_err(|obstacle| obstacle.into_fault(doing()))?;
        for name in &names {
            remove_all(Named {
                folder: folder.as_fd(),
                name,
            })
            .map_err(|obstacle| obstacle.into_fault(doing()))?;
        }
        Ok(names.len())
    }

    /// Opens a file that waits in `uploads` to replace the one called `name`.
    fn replacement(
        &self,
        permit: &Permit,
        how: Opening,
        old: &FileStat,
        folder: OwnedFd,
        name: &[u8],
    ) -> Result<Draft, Obstacle> {
        if old.st_mode & 0o200 == 0 {
            return Err(Errno::EACCES.into());
        }
        let incident = permit
            .incident()
            .ok_or_else(|| Fault::new("a permit to write has no incident id"))?;
        let spool = Spool {
            uploads: self.uploads.try_clone()?,
            waiting_as: incident.to_string(),
            folder,
            name: name.to_vec(),
            published: false,
        };
        let flags = how.access() | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let opened = openat(
            &self.uploads,
            spool.waiting_as.as_str(),
            flags,
            rights(0o600),
        )?;
        fchmod(&opened, rights(old.st_mode))?;
        Ok(Draft {
            file: opened.into(),
            spool: Some(spool),
        })
    }
}

impl Opening {
    fn access(self) -> OFlag {
        let mut flags = if self.read {
            OFlag::O_RDWR
        } else {
            OFlag::O_WRONLY
        } | QUIET;
        if self.append {
            flags |= OFlag::O_APPEND;
        }
        flags
    }

    fn creation(self) -> OFlag {
        let mut flags = OFlag::empty();
        if self.create {
            flags |= OFlag::O_CREAT;
            if self.exclusive {
                flags |= OFlag::O_EXCL;
            }
        }
        flags
    }
}

impl Writing {
    /// Ties a file to the permit that it was opened with.
    pub fn new(permit: Permit, draft: Draft) -> Self {
        Self {
            permit,
            draft,
            failed: None,
            denied: false,
        }
    }

    /// Returns the permit.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Returns the file, to read what was written.
    pub fn file(&self) -> &File {
        &self.draft.file
    }

    /// Returns true while the file waits to replace another.
    pub fn is_waiting(&self) -> bool {
        self.draft.spool.is_some()
    }

    /// Returns what the file is, as written so far.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn stat(&self) -> Result<FileStat, Obstacle> {
        Ok(fstat(&self.draft.file)?)
    }

    /// Makes sure that the permit still holds; to be called before each change.
    ///
    /// # Errors
    /// When it does not.
    pub fn still_holds(&mut self) -> Result<(), Denied> {
        let holds = self.permit.still_holds();
        self.denied |= holds.is_err();
        holds
    }

    /// Returns true if the permit was once found to hold no more.
    pub fn was_denied(&self) -> bool {
        self.denied
    }

    /// Returns true if a write failed, or the permit was once found to hold no more.
    pub fn had_trouble(&self) -> bool {
        self.denied || self.failed.is_some()
    }

    /// Writes all of `bytes` at `offset`, or at the end of a file that is appended to.
    ///
    /// # Errors
    /// When they cannot all be written.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Obstacle> {
        match self.draft.file.write_all_at(bytes, offset) {
            Ok(()) => {
                self.permit.add_bytes(bytes.len() as u64);
                Ok(())
            }
            Err(error) => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32));
                self.failed.get_or_insert(errno);
                Err(errno.into())
            }
        }
    }

    /// Copies up to `length` bytes from another file. Returns how many there were.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub fn copy(
        &mut self,
        source: &File,
        from: u64,
        to: u64,
        length: usize,
    ) -> Result<usize, Obstacle> {
        let copied = copy_between(source, from, &self.draft.file, to, length);
        match copied {
            Ok(count) => {
                self.permit.add_bytes(count as u64);
                Ok(count)
            }
            Err(errno) => {
                self.failed.get_or_insert(errno);
                Err(errno.into())
            }
        }
    }

    /// Sets attributes of the file.
    ///
    /// # Errors
    /// When they cannot be set.
    pub fn set_attributes(&mut self, attributes: &Attributes) -> Result<(), Obstacle> {
        set_on_file(&self.draft.file, attributes)
    }

    /// Lets a file that waits take its place now.
    ///
    /// # Errors
    /// When it cannot; the old file is then as it was.
    pub fn publish(&mut self) -> Result<(), Obstacle> {
        if let Some(errno) = self.failed {
            return Err(errno.into());
        }
        if let Some(mut spool) = self.draft.spool.take() {
            renameat(
                &spool.uploads,
                spool.waiting_as.as_str(),
                &spool.folder,
                spool.name.as_slice(),
            )?;
            spool.published = true;
        }
        Ok(())
    }

    /// Ends the writing. A file that still waits is thrown away.
    ///
    /// # Errors
    /// When the audit row cannot be kept.
    pub fn end(self, outcome: Outcome) -> Result<(), Fault> {
        drop(self.draft);
        self.permit.finish(outcome)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let name = self.waiting_as.as_str();
        if let Err(errno) = unlinkat(&self.uploads, name, UnlinkatFlags::NoRemoveDir) {
            tracing::error!("an unfinished upload could not be removed: {errno}");
        }
    }
}

/// Lets the kernel copy where it can, by sharing blocks on some file systems.
pub(super) fn copy_between(
    source: &File,
    from: u64,
    target: &File,
    to: u64,
    length: usize,
) -> Result<usize, Errno> {
    let mut at = i64::try_from(from).map_err(|_| Errno::EINVAL)?;
    let mut onto = i64::try_from(to).map_err(|_| Errno::EFBIG)?;
    match copy_file_range(source, Some(&mut at), target, Some(&mut onto), length) {
        // Two file systems, one that cannot do it, or a file that is appended to.
        Err(Errno::EXDEV | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EBADF) => {
            let mut buffer = vec![0; length.min(COPY_PORTION)];
            let raw = |error: std::io::Error| {
                Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32))
            };
            let count = source.read_at(&mut buffer, from).map_err(raw)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            target.write_all_at(bytes, to).map_err(raw)?;
            Ok(count)
        }
        other => other,
    }
}

const COPY_PORTION: usize = 1 << 20;
