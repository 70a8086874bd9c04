//! Files that are open: reading, writing, closing.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::sys::stat::{FileStat, fstat};
use nix::sys::statvfs::fstatvfs;

use super::Session;
use super::access::Granted;
use super::handles::{Open, Reading, Written};
use super::operation::OpenFlags;
use super::reply::Data;
use super::status::{Code, No};
use crate::audit::Outcome;
use crate::blocking;
use crate::site::tree::{Attributes, Follow, Obstacle, Space, Tree, Writing};

impl Session {
    pub(super) fn open(
        &mut self,
        granted: Granted,
        flags: OpenFlags,
        attributes: &Attributes,
    ) -> Result<[u8; 4], No> {
        if flags.writes() {
            return self.open_to_write(granted, flags, attributes);
        }
        self.handles.room()?;
        let place = granted.read()?;
        let (file, stat) = self.look(&place, Tree::open_to_read)?;
        Ok(self.handles.add(Open::Reading(Reading {
            file,
            place,
            epoch: self.epoch,
            length: stat.st_size.unsigned_abs(),
        })))
    }

    fn open_to_write(
        &mut self,
        granted: Granted,
        flags: OpenFlags,
        attributes: &Attributes,
    ) -> Result<[u8; 4], No> {
        let (place, permit) = granted.change()?;
        if let Err(no) = self.handles.room() {
            permit.forget();
            return Err(no);
        }
        let how = flags.opening();
        match self.tree.draft(&permit, how, attributes) {
            Ok(draft) => Ok(self.handles.add(Open::Writing(Box::new(Written {
                writing: Writing::new(permit, draft),
                place,
                epoch: self.epoch,
                reads: how.read,
            })))),
            Err(obstacle) => Err(self.give_up(permit, &place, obstacle)),
        }
    }

    /// Reads up to `length` bytes straight into their answer.
    pub(super) fn read(
        &mut self,
        id: u32,
        handle: &[u8],
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, No> {
        self.still_readable(handle)?;
        let length = length as usize;
        match self.handles.find(handle)? {
            Open::Reading(reading) => {
                let Reading {
                    file,
                    length: known,
                    ..
                } = reading;
                data(id, file, offset, length, known)
            }
            Open::Writing(written) if written.reads => {
                let mut known = written.writing.stat()?.st_size.unsigned_abs();
                data(id, written.writing.file(), offset, length, &mut known)
            }
            Open::Writing(_) => Err(NOT_FOR_READING),
            Open::Directory(_) => Err(NO_FILE),
        }
    }

    /// Makes sure that what a handle is of may still be read, if anything has changed since that was
    /// last asked: a key or a role may be gone, while the handle is open.
    pub(super) fn still_readable(&mut self, handle: &[u8]) -> Result<(), No> {
        let now = self.epoch;
        let (place, epoch) = self.handles.find(handle)?.asked();
        if *epoch == now {
            return Ok(());
        }
        let place = place.clone();
        self.ask_to_read(&place)?;
        let (_, epoch) = self.handles.find(handle)?.asked();
        *epoch = now;
        Ok(())
    }

    /// Makes sure that a file may be written; once for each WRITE, before its first byte.
    pub(super) fn begin_write(&mut self, handle: &[u8]) -> Result<(), No> {
        let writing = &mut self.handles.find_written(handle)?.writing;
        let earlier = writing.had_trouble();
        let holds = writing.still_holds();
        holds.map_err(|denied| No::from(denied).after(earlier))
    }

    /// Writes bytes of a WRITE that was begun.
    pub(super) fn write(&mut self, handle: &[u8], offset: u64, bytes: &[u8]) -> Result<(), No> {
        let writing = &mut self.handles.find_written(handle)?.writing;
        let earlier = writing.had_trouble();
        let written = writing.write(offset, bytes);
        written.map_err(|obstacle| No::from(obstacle).after(earlier))
    }

    pub(super) fn close_handle(&mut self, handle: &[u8]) -> Result<(), No> {
        match self.handles.take(handle)? {
            Open::Writing(written) => finish(written.writing),
            Open::Reading(_) | Open::Directory(_) => Ok(()),
        }
    }

    pub(super) fn handle_stat(&mut self, handle: &[u8]) -> Result<FileStat, No> {
        self.still_readable(handle)?;
        Ok(match self.handles.find(handle)? {
            Open::Reading(reading) => fstat(&reading.file).map_err(Obstacle::from)?,
            Open::Writing(written) => written.writing.stat()?,
            Open::Directory(directory) => directory.listing().stat()?.ok_or(No::Status(
                Code::Failure,
                "The directory is not on the disk.",
            ))?,
        })
    }

    pub(super) fn handle_space(&mut self, handle: &[u8]) -> Result<Space, No> {
        self.still_readable(handle)?;
        let (space, area) = match self.handles.find(handle)? {
            Open::Reading(reading) => (fstatvfs(&reading.file), reading.place.area),
            Open::Writing(written) => (fstatvfs(written.writing.file()), written.place.area),
            Open::Directory(directory) => {
                let place = directory.place.clone();
                return self.look(&place, Tree::space);
            }
        };
        let space = space.map_err(Obstacle::from)?;
        Ok(self.tree.within_quota(area, space.into()))
    }

    pub(super) fn sync(&mut self, handle: &[u8]) -> Result<(), No> {
        self.still_readable(handle)?;
        let file = match self.handles.find(handle)? {
            Open::Reading(reading) => &reading.file,
            Open::Writing(written) => written.writing.file(),
            Open::Directory(_) => return Err(NO_FILE),
        };
        Ok(blocking::wait(|| file.sync_all()).map_err(Obstacle::from)?)
    }

    /// Sets attributes through a handle. One that is open to be written has the permit for it;
    /// through any other, it is asked for as it would be by name.
    pub(super) fn handle_set_attributes(
        &mut self,
        handle: &[u8],
        attributes: &Attributes,
    ) -> Result<(), No> {
        let (place, file) = match self.handles.find(handle)? {
            Open::Writing(written) => {
                written.writing.still_holds()?;
                return Ok(written.writing.set_attributes(attributes)?);
            }
            Open::Reading(reading) => {
                let file = reading.file.try_clone().map_err(Obstacle::from)?;
                (reading.place.clone(), Some(file))
            }
            Open::Directory(directory) => (directory.place.clone(), None),
        };
        let granted = self.grant_to_set_attributes(place)?;
        self.set_attributes(granted, attributes, |tree, permit| match &file {
            Some(file) => tree.set_attributes_of(permit, file, attributes),
            None => tree.set_attributes(permit, attributes, Follow::Links),
        })
    }

    /// Copies between two open files, on the server.
    pub(super) fn copy_data(
        &mut self,
        from: &[u8],
        offset: u64,
        length: u64,
        to: &[u8],
        at: u64,
    ) -> Result<(), No> {
        let source = self.readable_file(from)?;
        let written = self.handles.find_written(to)?;
        written.writing.still_holds()?;
        let (one, two) = (
            fstat(&source).map_err(Obstacle::from)?,
            written.writing.stat()?,
        );
        if (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino) {
            return Err(No::Status(
                Code::Failure,
                "A file cannot be copied onto itself.",
            ));
        }
        let whole = if length == 0 { u64::MAX } else { length };
        written.writing.has_room(&source, offset, whole)?;
        let (mut done, mut at_once) = (0, COPIED_AT_ONCE);
        while done < whole {
            written.writing.still_holds()?;
            let begun = Instant::now();
            let count = blocking::wait(|| {
                let writing = &mut written.writing;
                writing.copy(
                    &source,
                    offset.saturating_add(done),
                    at.saturating_add(done),
                    (whole - done, at_once),
                )
            })?;
            if count == 0 {
                break;
            }
            done += count;
            // Where blocks are shared instead of copied, a whole file takes no time.
            if count == at_once && begun.elapsed() < QUICK {
                at_once = at_once.saturating_mul(2).min(MOST_COPIED_AT_ONCE);
            }
        }
        Ok(())
    }

    pub(super) fn readable_file(&mut self, handle: &[u8]) -> Result<File, No> {
        self.still_readable(handle)?;
        let file = match self.handles.find(handle)? {
            Open::Reading(reading) => &reading.file,
            Open::Writing(written) if written.reads => written.writing.file(),
            Open::Writing(_) => return Err(NOT_FOR_READING),
            Open::Directory(_) => return Err(NO_FILE),
        };
        Ok(file.try_clone().map_err(Obstacle::from)?)
    }
}

/// Ends a file that was being written. One that waits to replace another does so only now, and
/// only if it may still and is whole.
fn finish(mut writing: Writing) -> Result<(), No> {
    let earlier = writing.had_trouble();
    if writing.is_waiting()
        && let Err(denied) = writing.still_holds()
    {
        writing.end(Outcome::Refused)?;
        return Err(No::from(denied).after(earlier));
    }
    match writing.publish() {
        Ok(()) => {
            let outcome = if writing.was_denied() {
                Outcome::Interrupted
            } else {
                Outcome::Done
            };
            Ok(writing.end(outcome)?)
        }
        Err(obstacle) => {
            writing.end(Outcome::Failed)?;
            Err(No::from(obstacle).after(earlier))
        }
    }
}

/// Reads a portion of a file. No more room is made than the file was last known to fill, and a
/// byte, by which it is seen that it has grown.
fn data(id: u32, file: &File, offset: u64, length: usize, known: &mut u64) -> Result<Vec<u8>, No> {
    loop {
        let left = usize::try_from(known.saturating_sub(offset)).unwrap_or(usize::MAX);
        let room = length.min(left.saturating_add(1));
        let mut data = Data::with_room(room);
        let count = loop {
            match file.read_at(data.room(), offset) {
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Obstacle::from(error).into()),
            }
        };
        if count == room && room < length {
            *known = fstat(file).map_err(Obstacle::from)?.st_size.unsigned_abs();
            continue;
        }
        if count == 0 && length > 0 {
            return Err(No::Status(Code::Eof, "The file ends here."));
        }
        return Ok(data.finish(id, count));
    }
}

const NOT_FOR_READING: No = No::Status(Code::Failure, "The handle is not open for reading.");
const NO_FILE: No = No::Status(Code::Failure, "The handle is a directory's.");
/// After so much of a copy it is looked at whether it is still permitted.
const COPIED_AT_ONCE: u64 = 16 << 20;
/// Or after so much, where that is done at once.
const MOST_COPIED_AT_ONCE: u64 = 1 << 30;
const QUICK: Duration = Duration::from_millis(20);
