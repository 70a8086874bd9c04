//! Where entries go: every folder on the way is opened beneath the one that is filled, never
//! through a link.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use nix::errno::Errno;
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, futimens, utimensat};
use nix::sys::time::TimeSpec;

use super::names::refused;
use super::stays_within;
use crate::database::{Trouble, Watcher};
use crate::fault::OrFault;
use crate::site::files::room::not_written;
use crate::site::files::{Copied, Room, copy};
use crate::site::folder::{Folder, Standing, gone, split, standing};

/// Rights and time of change of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) mode: u32,
    /// Seconds and nanoseconds since 1970.
    pub(super) modified: Option<(i64, i64)>,
}

/// A part of a file that has content: where in the file, and how long. All else is holes.
pub(super) type Piece = (u64, u64);

/// A folder that is being filled.
pub(super) struct Placing<'a> {
    top: Folder,
    room: &'a Room,
    watcher: &'a dyn Watcher,
    /// The folder that the last entry lay in.
    last: Option<(Vec<u8>, Folder)>,
    /// Folders and what they are to look like in the end.
    folders: BTreeMap<Vec<u8>, Meta>,
    /// A link that leads up to the very top, where a wrapping folder would be left out.
    climbing: Option<Vec<u8>>,
    clones: AtomicBool,
    copied: Copied,
    entries: u64,
}

impl<'a> Placing<'a> {
    pub(super) fn new(
        target: &Path,
        room: &'a Room,
        watcher: &'a dyn Watcher,
    ) -> Result<Self, Trouble> {
        let doing = || "making a folder to unpack into";
        match std::fs::DirBuilder::new().mode(0o755).create(target) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(not_written(error, || doing().to_owned()));
            }
            _ => {}
        }
        Ok(Self {
            top: Folder::open(target).or_fault(doing)?,
            room,
            watcher,
            last: None,
            folders: BTreeMap::new(),
            climbing: None,
            clones: AtomicBool::new(true),
            copied: Copied::default(),
            entries: 0,
        })
    }

    /// Tells how much was read, and says whether to go on.
    pub(super) fn go_on(&mut self, read: u64) -> Result<(), Trouble> {
        if self.watcher.stopped() {
            return Err(Trouble::Stopped);
        }
        self.entries += 1;
        if self.entries.is_multiple_of(TOLD_EVERY) {
            self.watcher.at(read, "");
        }
        if self.entries > MOST_ENTRIES {
            return Err(Trouble::Refused(format!(
                "The archive has more than {MOST_ENTRIES} entries. Nothing was changed; import it \
                 in parts."
            )));
        }
        Ok(())
    }

    /// Makes a folder, or finds it as an earlier entry made it.
    pub(super) fn folder(&mut self, path: &[u8], meta: Meta) -> Result<(), Trouble> {
        if !path.is_empty() {
            self.enter(path, path)?;
        }
        if !path.is_empty() || meta.modified.is_some() {
            self.folders.insert(path.to_vec(), meta);
        }
        Ok(())
    }

    /// Writes a file of `size` bytes, whose pieces come one after another out of `content`.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        meta: Meta,
        size: u64,
        pieces: &[Piece],
        content: &mut dyn Read,
    ) -> Result<(), Trouble> {
        self.room.take(size, 1)?;
        self.room.on_disk(&self.top, size)?;
        let file = self.new_file(path)?;
        let failed = |error| not_written(error, || "unpacking a file".to_owned());
        let mut buffer = vec![0; BUFFER];
        for (at, length) in pieces {
            let mut done = 0;
            while done < *length {
                if self.watcher.stopped() {
                    return Err(Trouble::Stopped);
                }
                let want = usize::try_from(length - done).unwrap_or(usize::MAX);
                let portion = buffer.get_mut(..want.min(BUFFER)).unwrap_or_default();
                let count = match content.read(portion) {
                    Ok(0) => {
                        return Err(refused(path, "ends before its end: the archive is cut off"));
                    }
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => {
                        return Err(refused(path, &format!("cannot be read whole: {error}")));
                    }
                };
                let bytes = portion.get(..count).unwrap_or_default();
                file.write_all_at(bytes, at + done).map_err(failed)?;
                done += count as u64;
            }
        }
        let full = pieces.iter().rev().find(|(_, length)| *length > 0);
        if full.map_or(0, |(at, length)| at + length) < size {
            file.set_len(size).map_err(failed)?;
        }
        dress(&file, meta, 0o600).or_fault(|| "unpacking a file")?;
        self.copied.files += 1;
        self.copied.copied += 1;
        self.copied.bytes += size;
        Ok(())
    }

    /// Makes a link, if it stays within.
    pub(super) fn link(&mut self, path: &[u8], leads_to: &[u8], meta: Meta) -> Result<(), Trouble> {
        let depth = path.iter().filter(|byte| **byte == b'/').count();
        if leads_to.is_empty() || leads_to.contains(&0) || leads_to.len() > LONGEST_LINK {
            return Err(refused(path, "is a link to no proper path"));
        }
        if !stays_within(leads_to, depth) {
            let shown = policy::escape(leads_to);
            let why = format!(
                "is a link to '{shown}', which leads out of the archive, or may (a link must be \
                 relative, with '..' only at its beginning)"
            );
            return Err(refused(path, &why));
        }
        // Without a wrapping folder it would be one folder less deep.
        if depth > 0 && self.climbing.is_none() && !stays_within(leads_to, depth - 1) {
            self.climbing = Some(path.to_vec());
        }
        self.room.take(leads_to.len() as u64, 1)?;
        self.room.on_disk(&self.top, 0)?;
        self.vacate(path, Standing::Link)?;
        let (above, name) = split(path);
        let folder = self.enter(above, path)?;
        folder
            .make_link(name, leads_to)
            .map_err(|error| not_written(error, || "unpacking a link".to_owned()))?;
        if let Some(time) = meta.modified {
            let time = TimeSpec::new(time.0, time.1);
            let follow = UtimensatFlags::NoFollowSymlink;
            utimensat(folder, name, &time, &time, follow).or_fault(|| "unpacking a link")?;
        }
        self.copied.files += 1;
        self.copied.copied += 1;
        self.copied.bytes += leads_to.len() as u64;
        Ok(())
    }

    /// Makes a file with the content of an earlier one.
    pub(super) fn second_name(
        &mut self,
        path: &[u8],
        of: &[u8],
        meta: Meta,
    ) -> Result<(), Trouble> {
        let shown = policy::escape(of);
        let source = self.top.open_file(of).map_err(|_| {
            let why = format!(
                "is a hard link to '{shown}', which is no file that came before it in the archive"
            );
            refused(path, &why)
        })?;
        if path == of {
            return Ok(());
        }
        let doing = || "unpacking a hard link";
        let size = source.metadata().or_fault(doing)?.len();
        self.room.take(size, 1)?;
        self.room.on_disk(&self.top, size)?;
        let file = self.new_file(path)?;
        let watcher = self.watcher;
        copy::file_content(&source, &file, size, &self.clones, watcher)?;
        dress(&file, meta, 0o600).or_fault(doing)?;
        self.copied.files += 1;
        self.copied.copied += 1;
        self.copied.bytes += size;
        Ok(())
    }

    /// Leaves out the folder that all lies in, if it is one of those, and gives folders their
    /// rights and times.
    pub(super) fn end(mut self) -> Result<Copied, Trouble> {
        self.last = None;
        let wrapping = self.unwrap()?;
        let doing = || "finishing unpacked folders";
        // Those below first: making one read-only must not keep the others from being opened.
        for (path, meta) in self.folders.iter().rev() {
            let path = match &wrapping {
                Some(name) if path.is_empty() || path == name => continue,
                Some(name) => path
                    .strip_prefix(name.as_slice())
                    .and_then(|rest| rest.strip_prefix(b"/"))
                    .unwrap_or(path),
                None => path,
            };
            let folder = self.top.below(path).or_fault(doing)?;
            dress(&folder, *meta, 0o700).or_fault(doing)?;
        }
        self.watcher.at(self.copied.bytes, "");
        Ok(self.copied)
    }

    fn unwrap(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let doing = || "moving unpacked files out of the folder that they came in";
        let mut names = self.top.names().or_fault(doing)?;
        let Some(name) = names.pop() else {
            return Ok(None);
        };
        let wraps = name == b"files" || name == b"uploads" || name.starts_with(b"files_");
        let stat = self.top.stat(&name).or_fault(doing)?;
        if !names.is_empty() || !wraps || standing(&stat) != Standing::Folder {
            return Ok(None);
        }
        if let Some(link) = &self.climbing {
            let shown = policy::escape(&name);
            let why = format!("is a link that leads out of '{shown}/', in which all files are");
            return Err(refused(link, &why));
        }
        self.top
            .rename(&name, &self.top, WRAPPING)
            .or_fault(doing)?;
        let wrapping = self.top.below(WRAPPING).or_fault(doing)?;
        for below in wrapping.names().or_fault(doing)? {
            wrapping.rename(&below, &self.top, &below).or_fault(doing)?;
        }
        self.top.remove_folder(WRAPPING).or_fault(doing)?;
        self.room.give_back(0, 1);
        Ok(Some(name))
    }

    fn new_file(&mut self, path: &[u8]) -> Result<File, Trouble> {
        if path.is_empty() {
            return Err(refused(path, "has no name"));
        }
        self.vacate(path, Standing::File)?;
        let (above, name) = split(path);
        let folder = self.enter(above, path)?;
        folder
            .create_file(name, 0o600)
            .map_err(|error| not_written(error, || "unpacking a file".to_owned()))
    }

    /// Removes what an earlier entry of the same name and kind made: archives that were appended to
    /// have both, and the last counts.
    fn vacate(&mut self, path: &[u8], kind: Standing) -> Result<(), Trouble> {
        let (above, name) = split(path);
        let folder = self.enter(above, path)?;
        match folder.stat(name) {
            Err(error) if gone(&error) => Ok(()),
            Err(error) => Err(error)
                .or_fault(|| "unpacking a file")
                .map_err(Trouble::Fault),
            Ok(stat) if standing(&stat) == kind => {
                folder.remove(name).or_fault(|| "unpacking a file")?;
                self.room.give_back(stat.st_size.unsigned_abs(), 1);
                self.copied.files -= 1;
                self.copied.copied -= 1;
                self.copied.bytes -= stat.st_size.unsigned_abs();
                Ok(())
            }
            Ok(_) => Err(refused(
                path,
                "is there twice, and not as the same kind of thing",
            )),
        }
    }

    /// Opens a folder, made where it is missing; `entry` is who wants it.
    fn enter(&mut self, path: &[u8], entry: &[u8]) -> Result<&Folder, Trouble> {
        if path.is_empty() {
            return Ok(&self.top);
        }
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let folder = self.open_or_make(path, entry)?;
            self.last = Some((path.to_vec(), folder));
        }
        match &self.last {
            Some((_, folder)) => Ok(folder),
            None => Ok(&self.top),
        }
    }

    fn open_or_make(&self, path: &[u8], entry: &[u8]) -> Result<Folder, Trouble> {
        match self.top.below(path) {
            Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => {}
            other => return other.map_err(|error| in_the_way(&error, entry)),
        }
        let mut folder = self
            .top
            .below(b"")
            .map_err(|error| in_the_way(&error, entry))?;
        for name in path.split(|byte| *byte == b'/') {
            folder = match folder.below(name) {
                Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => {
                    self.room.take(0, 1)?;
                    self.room.on_disk(&folder, 0)?;
                    folder.make_folder(name)
                }
                other => other,
            }
            .map_err(|error| in_the_way(&error, entry))?;
        }
        Ok(folder)
    }
}

fn in_the_way(error: &io::Error, entry: &[u8]) -> Trouble {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ELOOP) => refused(
            entry,
            "lies beneath a link, and so would be written elsewhere",
        ),
        Some(Errno::ENOTDIR | Errno::EEXIST) => refused(
            entry,
            "lies beneath a file, or is there twice, and not as the same kind of thing",
        ),
        Some(errno) => not_written(io::Error::from(errno), || "unpacking a file".to_owned()),
        None => refused(entry, &format!("cannot be placed: {error}")),
    }
}

/// Sets rights, with at least `least` for the owner, and the time of change.
fn dress(target: impl AsFd, meta: Meta, least: u32) -> Result<(), Errno> {
    let mode = Mode::from_bits_truncate(meta.mode & 0o777 | least);
    fchmod(&target, mode)?;
    if let Some((seconds, nanoseconds)) = meta.modified {
        let time = TimeSpec::new(seconds, nanoseconds);
        futimens(&target, &time, &time)?;
    }
    Ok(())
}

const WRAPPING: &[u8] = b".funicular-unpacking~";
const BUFFER: usize = 256 << 10;
/// More entries than any site has files; folders that are named again and again count nowhere else.
const MOST_ENTRIES: u64 = 50_000_000;
/// Progress is told after so many entries.
const TOLD_EVERY: u64 = 64;
/// PATH_MAX of limits.h.
const LONGEST_LINK: usize = 4095;
