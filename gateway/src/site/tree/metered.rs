//! What changes of the tree take of the environment's quota.

use std::fs::File;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstat, fstatat};
use policy::{Area, TreeChange};

use super::Tree;
use super::change::area_of;
use super::moving::{Named, open_folder};
use super::obstacle::Obstacle;
use super::parts::Parts;
use super::walk::Kind;
use crate::gate::Permit;
use crate::site::files::{self, Limits, Usage};
use crate::site::folder::Folder;

/// The growth of a file that is being written, as far as it counts.
#[derive(Debug)]
pub(super) struct Growth {
    parts: Arc<Parts>,
    length: u64,
    /// The length of the file that it will replace.
    instead: u64,
    append: bool,
}

/// What a rename changes of the count.
#[derive(Debug)]
pub(super) struct Renaming {
    /// The length of the file that is replaced.
    replaced: Option<u64>,
    moved: Usage,
    /// Whether it comes to an area that counts, from one that does not, or the other way round.
    comes: bool,
    leaves: bool,
}

impl Growth {
    /// Takes what is needed for a write up to `end`, or of `count` bytes to the end of the file.
    pub(super) fn to(&mut self, end: u64, count: u64) -> Result<(), Obstacle> {
        let end = if self.append {
            self.length.saturating_add(count)
        } else {
            end
        };
        let Some(more) = end.checked_sub(self.length).filter(|more| *more > 0) else {
            return Ok(());
        };
        self.parts
            .meter()
            .take(more, 0, self.instead)
            .map_err(Obstacle::Quota)?;
        self.length = end;
        Ok(())
    }

    /// Notes another length, or takes what it needs.
    pub(super) fn resize(&mut self, length: u64) -> Result<(), Obstacle> {
        if length > self.length {
            let more = length - self.length;
            self.parts
                .meter()
                .take(more, 0, self.instead)
                .map_err(Obstacle::Quota)?;
        } else {
            self.parts.meter().add(-signed(self.length - length), 0);
        }
        self.length = length;
        Ok(())
    }
}

impl Tree {
    /// Follows the growth of a file in an area, if it counts there.
    pub(super) fn growth(
        &self,
        area: Option<Area>,
        file: &File,
        instead: Option<&FileStat>,
        append: bool,
    ) -> Result<Option<Growth>, Obstacle> {
        if !area.is_some_and(|area| self.parts.meter().counts(area)) {
            return Ok(None);
        }
        Ok(Some(Growth {
            parts: Arc::clone(&self.parts),
            length: fstat(file)?.st_size.unsigned_abs(),
            instead: instead.map_or(0, |old| old.st_size.unsigned_abs()),
            append,
        }))
    }

    /// Notes a change that a program has made by itself. A file that replaces another counts twice
    /// until all is counted anew.
    pub fn changed(&self, area: Area, change: TreeChange, bytes: u64) {
        let meter = self.parts.meter();
        if !meter.counts(area) {
            return;
        }
        match change {
            TreeChange::Write => meter.add(signed(bytes), 1),
            TreeChange::MakeDirectory | TreeChange::Symlink | TreeChange::HardLink => {
                meter.add(0, 1);
            }
            TreeChange::Remove
            | TreeChange::RemoveDirectory
            | TreeChange::RenameFrom
            | TreeChange::RenameTo
            | TreeChange::SetAttributes => {}
        }
    }

    /// Returns the quota that what is written to an area counts towards.
    pub fn quota(&self, area: Area) -> Limits {
        let meter = self.parts.meter();
        if meter.counts(area) {
            meter.limits()
        } else {
            Limits::default()
        }
    }

    /// Returns what is said to a program that writes to an area by itself, if no more may come than
    /// what is there and `pending` bytes that are on their way.
    pub fn over_quota(&self, area: Area, pending: u64) -> Option<String> {
        let meter = self.parts.meter();
        meter.counts(area).then(|| meter.over(pending)).flatten()
    }

    /// Takes room for something new in the area of a permit.
    pub(super) fn take_room(
        &self,
        permit: &Permit,
        bytes: u64,
        instead: u64,
    ) -> Result<(), Obstacle> {
        if area_of(permit).is_some_and(|area| self.parts.meter().counts(area)) {
            let meter = self.parts.meter();
            return meter.take(bytes, 1, instead).map_err(Obstacle::Quota);
        }
        Ok(())
    }

    /// Gives back the room of something that is gone, or was not made after all.
    pub(super) fn give_room(&self, permit: &Permit, bytes: u64) {
        if area_of(permit).is_some_and(|area| self.parts.meter().counts(area)) {
            self.parts.meter().add(-signed(bytes), -1);
        }
    }

    /// Takes room for a file that will replace another, and is then made, empty.
    pub(super) fn with_room_instead<T>(
        &self,
        permit: &Permit,
        instead: u64,
        make: impl FnOnce() -> Result<T, Obstacle>,
    ) -> Result<T, Obstacle> {
        self.take_room(permit, 0, instead)?;
        make().inspect_err(|_| self.give_room(permit, 0))
    }

    /// Takes room for something new that is then made.
    pub(super) fn with_room<T>(
        &self,
        permit: &Permit,
        bytes: u64,
        make: impl FnOnce() -> Result<T, Obstacle>,
    ) -> Result<T, Obstacle> {
        self.take_room(permit, bytes, 0)?;
        make().inspect_err(|_| self.give_room(permit, bytes))
    }

    /// Takes the room for what is renamed, where it comes from an area that does not count.
    pub(super) fn renaming(
        &self,
        (from, old): (&Permit, Named<'_>),
        (to, new): (&Permit, Named<'_>),
    ) -> Result<Option<Renaming>, Obstacle> {
        let meter = self.parts.meter();
        let counts = |permit| area_of(permit).is_some_and(|area| meter.counts(area));
        let (leaves, comes) = (counts(from), counts(to));
        if !leaves && !comes {
            return Ok(None);
        }
        let number = |stat: &FileStat| (stat.st_dev, stat.st_ino);
        let moves = file_at(old).as_ref().map(number);
        let replaced = file_at(new).filter(|stat| comes && Some(number(stat)) != moves);
        let moved = if leaves == comes {
            Usage::default()
        } else {
            all_of(old)?
        };
        let replaced = replaced.map(|stat| stat.st_size.unsigned_abs());
        if comes && !leaves {
            meter
                .take(moved.bytes, moved.files, replaced.unwrap_or_default())
                .map_err(Obstacle::Quota)?;
        }
        Ok(Some(Renaming {
            replaced,
            moved,
            leaves: leaves && !comes,
            comes: comes && !leaves,
        }))
    }

    /// Notes what a rename came to: a file that was replaced is gone, and what left counts no more.
    pub(super) fn renamed(
        &self,
        counted: Option<Renaming>,
        done: Result<(), Obstacle>,
    ) -> Result<(), Obstacle> {
        let Some(counted) = counted else {
            return done;
        };
        let meter = self.parts.meter();
        let gone = |usage: Usage| meter.add(-signed(usage.bytes), -signed(usage.files));
        match &done {
            Ok(()) => {
                if let Some(bytes) = counted.replaced {
                    gone(Usage { bytes, files: 1 });
                }
                if counted.leaves {
                    gone(counted.moved);
                }
            }
            Err(_) if counted.comes => gone(counted.moved),
            Err(_) => {}
        }
        done
    }
}

impl Parts {
    /// Notes that a file is gone from a place that a part has taken, or that the part is.
    pub(super) fn gone(&self, area: Option<Area>, stat: Option<&FileStat>) {
        if let (Some(area), Some(stat)) = (area, stat)
            && self.meter().counts(area)
        {
            self.meter().add(-stat.st_size, -1);
        }
    }
}

/// Returns the regular file of a name, if there is one.
pub(super) fn file_at(named: Named<'_>) -> Option<FileStat> {
    let stat = fstatat(named.folder, named.name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
    (Kind::of(&stat) == Kind::File).then_some(stat)
}

/// Counts a name with all below it.
fn all_of(named: Named<'_>) -> Result<Usage, Obstacle> {
    let stat = match fstatat(named.folder, named.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(Usage::default()),
        other => other?,
    };
    if Kind::of(&stat) != Kind::Directory {
        return Ok(Usage {
            bytes: stat.st_size.unsigned_abs(),
            files: 1,
        });
    }
    let mut found = files::usage_of(&Folder::from(open_folder(named)?))?;
    found.files += 1;
    Ok(found)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
