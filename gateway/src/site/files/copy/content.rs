//! The content of one file: shared blocks where the file system can, else copied by the kernel, and
//! holes stay holes.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::stat::fstat;

use super::Ends;
use crate::database::Trouble;
use crate::site::files::room::not_written;
use crate::site::tree::{Obstacle, copy_between, copy_portion};

/// Why content was not copied.
pub(super) enum Failure {
    /// The file system says no.
    Io(io::Error),
    /// Whoever asked has said to stop.
    Trouble(Trouble),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::Io(errno.into())
    }
}

impl Failure {
    pub(super) fn trouble(self, doing: impl FnOnce() -> String) -> Trouble {
        match self {
            Failure::Trouble(trouble) => trouble,
            Failure::Io(error) => not_written(error, doing),
        }
    }
}

/// Copies the first `size` bytes into an empty file; returns whether blocks are shared.
pub(super) fn copy(
    ends: &Ends<'_>,
    size: u64,
    clones: &AtomicBool,
    go_on: &mut dyn FnMut() -> Result<(), Trouble>,
) -> Result<bool, Failure> {
    if size == 0 {
        return Ok(false);
    }
    if clones.load(Ordering::Relaxed) && cloned(ends, clones) {
        return Ok(true);
    }
    let on_disk = fstat(ends.source)?.st_blocks.unsigned_abs() * BLOCK;
    let mut done = 0;
    while done < size {
        let left = size - done;
        let count = if on_disk < size {
            sparsely(ends, done, left)?
        } else {
            let length = usize::try_from(left.min(PORTION)).unwrap_or(usize::MAX);
            if length <= SMALL {
                through_memory(ends, done, length).map_err(Failure::Io)?
            } else {
                copy_between(ends.source, done, ends.target, done, length)? as u64
            }
        };
        if count == 0 {
            break;
        }
        done += count;
        if done < size {
            go_on().map_err(Failure::Trouble)?;
        }
    }
    Ok(false)
}

/// Copies a small file: the kernel's own way moves it page by page, which takes longer than one read
/// and one write.
fn through_memory(ends: &Ends<'_>, from: u64, length: usize) -> io::Result<u64> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SMALL]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let portion = buffer.get_mut(..length).unwrap_or_default();
        let count = ends.source.read_at(portion, from)?;
        let bytes = portion.get(..count).unwrap_or_default();
        ends.target.write_all_at(bytes, from)?;
        Ok(count as u64)
    })
}

/// Takes the content of a file away again.
pub(super) fn empty(file: &File) -> io::Result<()> {
    file.set_len(0)
}

/// Shares all blocks of the source, holes and all: `ioctl_ficlonerange(2)`.
fn cloned(ends: &Ends<'_>, clones: &AtomicBool) -> bool {
    match rustix::fs::ioctl_ficlone(ends.target, ends.source) {
        Ok(()) => true,
        Err(error) => {
            // Other errors are about this file alone: one that may not be shared, a swap file.
            let never = [
                rustix::io::Errno::OPNOTSUPP,
                rustix::io::Errno::XDEV,
                rustix::io::Errno::NOTTY,
                rustix::io::Errno::NOSYS,
            ];
            if never.contains(&error) {
                clones.store(false, Ordering::Relaxed);
            }
            false
        }
    }
}

fn sparsely(ends: &Ends<'_>, from: u64, left: u64) -> Result<u64, Failure> {
    copy_portion(ends.source, from, ends.target, from, (left, PORTION), 0).map_err(|obstacle| {
        match obstacle {
            Obstacle::System(errno) => Failure::from(errno),
            Obstacle::NoRoom | Obstacle::Quota(_) => Failure::from(Errno::ENOSPC),
            Obstacle::LeadsOut
            | Obstacle::Special
            | Obstacle::SeveralNames
            | Obstacle::TwoAreas
            | Obstacle::Fault(_) => Failure::from(Errno::EIO),
        }
    })
}

/// What is copied before it is asked whether to go on, in bytes.
const PORTION: u64 = 32 << 20;
/// Up to here a file is copied by one read and one write, in bytes.
const SMALL: usize = 1 << 20;
/// What `st_blocks` counts, in bytes: `stat(2)`.
const BLOCK: u64 = 512;
