//! Files being written; the rule for parts, in full:
//!
//! - An open that makes a missing file, or takes the content of one away, makes a *part*: a file in
//!   the environment's `uploads`, which nobody is shown. It takes its place with one rename when
//!   the last handle on it is closed, so that neither visitors, nor other people, nor a commit ever
//!   see half a file. A link at the end of the path is followed; its target is replaced.
//! - Who writes it sees it where it will be, in all their sessions: its length so far, its content,
//!   its name in the folder. What they do to the name, they do to the part: see `own`.
//! - An open without truncation joins the person's part if there is one, and so resumes an upload
//!   that broke off; else it writes in place, for that is what who appends or edits wants. A file
//!   that is open so is left out of commits.
//! - An open with truncation makes a part of its own, and drops one that nobody has open. Of two
//!   uploads of one name the last close wins, and each is whole.
//! - A name that must be missing (`EXCL`) is missing for nobody else while the part is open, so
//!   that lock files lock; and the rename replaces nothing.
//! - A part is broken when a handle on it is lost with its session, when a write to it fails, when
//!   the permit no longer holds at its close, or when it cannot take its place. It is kept, to be
//!   resumed by the same person, even over a restart of the gateway, for as long as the
//!   configuration says (see `keeping`). One that found the disk full is not, since it would keep it
//!   full. Of a part that is shorter than a mebibyte a gateway that is
//!   killed leaves nothing.
//! - A handle that another session left behind, and that was not written through since the part was
//!   resumed, does not hold it back: a client that lost its line is often back before the gateway
//!   knows that the line is gone.
//! - A part that replaces a file keeps its rights, and needs its right to be written.

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, fstat};

use super::QUIET;
use super::change::{Attributes, set_on_file};
use super::copying;
use super::draft::Draft;
use super::hold::Handle;
use super::obstacle::{self, Obstacle};
use crate::audit::Outcome;
use crate::blocking;
use crate::fault::Fault;
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

/// A file that is open to be written, and the permit to do so.
#[derive(Debug)]
pub struct Writing {
    permit: Permit,
    draft: Draft,
    failed: Option<Errno>,
    denied: bool,
}

impl Opening {
    pub(super) fn access(self) -> OFlag {
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

    pub(super) fn creation(self) -> OFlag {
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
        self.draft.part.as_ref().is_some_and(Handle::waits)
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
        let count = bytes.len() as u64;
        self.grow(offset.saturating_add(count), count)?;
        let written = {
            let _open = self.draft.thaw()?;
            self.draft.file.write_all_at(bytes, offset)
        };
        match written {
            Ok(()) => {
                self.wrote(offset, bytes.len() as u64);
                Ok(())
            }
            Err(error) => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32));
                self.note_failure(errno);
                Err(errno.into())
            }
        }
    }

    /// Makes sure that so many bytes of another file can be copied here, before the first is.
    ///
    /// # Errors
    /// When they do not fit on the disk beside what has to stay free.
    pub fn has_room(&mut self, source: &File, from: u64, length: u64) -> Result<(), Obstacle> {
        let Draft { file, reserve, .. } = &self.draft;
        copying::must_fit(source, from, length, file, *reserve).map_err(|no| self.not_copied(no))
    }

    /// Copies a portion of another file: of its content up to `at_once` bytes, of a hole up to
    /// `length`. Returns how many there were.
    ///
    /// # Errors
    /// When they cannot be read or written, or do not fit.
    pub fn copy(
        &mut self,
        source: &File,
        from: u64,
        to: u64,
        (length, at_once): (u64, u64),
    ) -> Result<u64, Obstacle> {
        if self.draft.growth.is_some() {
            let left = self.draft_length(source)?.saturating_sub(from).min(length);
            let portion = left.min(at_once);
            self.grow(to.saturating_add(portion), portion)?;
        }
        let copied = {
            let _open = self.draft.thaw()?;
            let Draft { file, reserve, .. } = &self.draft;
            copying::copy_portion(source, from, file, to, (length, at_once), *reserve)
        };
        match copied {
            Ok(count) => {
                self.wrote(to, count);
                Ok(count)
            }
            Err(obstacle) => Err(self.not_copied(obstacle)),
        }
    }

    /// Sets attributes of the file.
    ///
    /// # Errors
    /// When they cannot be set.
    pub fn set_attributes(&mut self, attributes: &Attributes) -> Result<(), Obstacle> {
        if let (Some(growth), Some(size)) = (&mut self.draft.growth, attributes.size) {
            let resized = growth.resize(size);
            resized.map_err(|obstacle| self.not_copied(obstacle))?;
        }
        let _open = self.draft.thaw()?;
        set_on_file(&self.draft.file, attributes)
    }

    /// Closes a part: it takes its place, unless another handle is open on it, which then lets it.
    ///
    /// # Errors
    /// When it cannot; the old file is then as it was, and the part is kept.
    pub fn publish(&mut self) -> Result<(), Obstacle> {
        if let Some(errno) = self.failed {
            return Err(errno.into());
        }
        let Some(part) = &mut self.draft.part else {
            return Ok(());
        };
        if part.must_be_synced() && part.waits() {
            let file = &self.draft.file;
            blocking::wait(|| file.sync_data())?;
        }
        part.close()
    }

    /// Ends the writing. A part that was not published is broken, and kept.
    ///
    /// # Errors
    /// When the audit row cannot be kept.
    pub fn end(self, outcome: Outcome) -> Result<(), Fault> {
        drop(self.draft);
        self.permit.finish(outcome)
    }

    /// Takes what a write needs of the environment's quota.
    fn grow(&mut self, end: u64, count: u64) -> Result<(), Obstacle> {
        let Some(growth) = &mut self.draft.growth else {
            return Ok(());
        };
        let grown = growth.to(end, count);
        grown.map_err(|obstacle| self.not_copied(obstacle))
    }

    fn draft_length(&self, source: &File) -> Result<u64, Obstacle> {
        Ok(fstat(source)?.st_size.unsigned_abs())
    }

    /// A file that was not copied whole is not whole.
    fn not_copied(&mut self, obstacle: Obstacle) -> Obstacle {
        let errno = match &obstacle {
            Obstacle::System(errno) => *errno,
            Obstacle::NoRoom => {
                self.permit.describe(obstacle::NO_ROOM);
                Errno::ENOSPC
            }
            Obstacle::Quota(sentence) => {
                self.permit.describe(sentence);
                Errno::EDQUOT
            }
            Obstacle::LeadsOut
            | Obstacle::Special
            | Obstacle::SeveralNames
            | Obstacle::TwoAreas
            | Obstacle::Fault(_) => Errno::EIO,
        };
        self.note_failure(errno);
        obstacle
    }

    fn note_failure(&mut self, errno: Errno) {
        self.failed.get_or_insert(errno);
        if let Some(part) = &mut self.draft.part {
            part.failed(errno);
        }
    }

    fn wrote(&mut self, offset: u64, count: u64) {
        self.permit.add_bytes(count);
        if let Some(part) = &mut self.draft.part {
            part.wrote(offset.saturating_add(count));
        }
    }
}
