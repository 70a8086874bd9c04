//! A person's own parts, as they meet them by name: what they have written is there, for them, and
//! what they do to the name is done to the part.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use policy::{Area, PersonName, SitePath};

use super::change::{Attributes, Replace, area_of, rename_within, set_on_handle, set_size};
use super::listing::Entry;
use super::moving::Named;
use super::obstacle::Obstacle;
use super::part::{Part, Spot};
use super::walk::{Folder, Kind};
use super::{QUIET, Tree};
use crate::gate::Permit;

/// A name in an area, and the folder that it is in.
pub(super) struct Name<'a> {
    pub(super) folder: Folder<'a>,
    pub(super) name: &'a [u8],
    pub(super) path: &'a SitePath,
}

impl<'a> Name<'a> {
    pub(super) fn named(&self) -> Named<'_> {
        Named {
            folder: self.folder.as_fd(),
            name: self.name,
        }
    }

    fn stat(&self) -> Result<FileStat, Errno> {
        fstatat(&self.folder, self.name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }
}

impl Tree {
    /// Returns true if the person has a part at the path that a permit is about.
    pub(super) fn has_own(&self, permit: &Permit, path: &SitePath) -> bool {
        self.own(permit, path).is_some()
    }

    /// Returns true if the person has parts below the path that a permit is about.
    pub(super) fn has_own_below(&self, permit: &Permit, path: &SitePath) -> bool {
        area_of(permit).is_some_and(|area| self.parts.any_below(&permit.who().person, area, path))
    }

    /// Removes the person's parts at a path. Returns true if there were any.
    pub(super) fn remove_own(&self, permit: &Permit, path: &SitePath) -> bool {
        area_of(permit).is_some_and(|area| self.parts.forget(&permit.who().person, area, path))
    }

    pub(super) fn own_stat(&self, permit: &Permit, path: &SitePath) -> Option<FileStat> {
        self.own(permit, path)?.stat(&self.parts)
    }

    /// The same by the file that will be replaced, for one that is reached through a link.
    pub(super) fn own_stat_of(&self, permit: &Permit, old: &FileStat) -> Option<FileStat> {
        self.own_of(permit, old)?.stat(&self.parts)
    }

    pub(super) fn own_to_read(&self, permit: &Permit, path: &SitePath) -> Option<(File, FileStat)> {
        self.read_part(&*self.own(permit, path)?)
    }

    /// The same by the file that will be replaced, for one that is reached through a link.
    pub(super) fn own_to_read_of(
        &self,
        permit: &Permit,
        old: &FileStat,
    ) -> Option<(File, FileStat)> {
        self.read_part(&*self.own_of(permit, old)?)
    }

    /// Returns the person's parts right in a folder, as entries of it.
    pub(super) fn own_entries(&self, permit: &Permit, folder: &SitePath) -> Vec<Entry> {
        let Some(area) = area_of(permit) else {
            return Vec::new();
        };
        let parts = self.parts.own_in(&permit.who().person, area, folder);
        let entry = |(name, part): (Vec<u8>, Arc<Part>)| {
            let stat = part.stat(&self.parts)?;
            Some(Entry { name, stat })
        };
        parts.into_iter().filter_map(entry).collect()
    }

    /// Sets attributes of the person's part at a path; none if there is none.
    pub(super) fn set_on_own(
        &self,
        permit: &Permit,
        path: &SitePath,
        attributes: &Attributes,
    ) -> Option<Result<(), Obstacle>> {
        let part = self.own(permit, path)?;
        let open = |flags: OFlag| {
            let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(
                self.parts.folder(),
                part.name.as_str(),
                flags,
                Mode::empty(),
            )
        };
        let handle = match open(OFlag::O_PATH) {
            Ok(handle) => handle,
            // It has taken its place meanwhile.
            Err(Errno::ENOENT) => return None,
            Err(errno) => return Some(Err(errno.into())),
        };
        let set = || {
            if let Some(size) = attributes.size {
                let opened = File::from(open(OFlag::O_WRONLY | QUIET)?);
                if let Some(mut growth) = self.growth(area_of(permit), &opened, None, false)? {
                    growth.resize(size)?;
                }
                set_size(opened, size)?;
            }
            set_on_handle(handle.as_fd(), attributes)
        };
        Some(set())
    }

    /// Renames within an area, the person's parts at and below the names included.
    pub(super) fn rename_with_own(
        &self,
        permit: &Permit,
        area: Area,
        old: Name<'_>,
        new: Name<'_>,
        replace: Replace,
    ) -> Result<(), Obstacle> {
        if self.parts.is_empty() {
            return rename_within(old.named(), new.named(), replace);
        }
        let person = &permit.who().person;
        if replace == Replace::Never && self.has_own(permit, new.path) {
            return Err(Errno::EEXIST.into());
        }
        if !self.has_own(permit, old.path) {
            if old.path != new.path && self.has_own_below(permit, new.path) {
                return Err(Errno::ENOTEMPTY.into());
            }
            rename_within(old.named(), new.named(), replace)?;
            if old.path != new.path {
                self.parts.forget(person, area, new.path);
                self.parts.moved_below(area, old.path, new.path);
            }
            return Ok(());
        }
        match new.stat() {
            Ok(_) if replace == Replace::Never => return Err(Errno::EEXIST.into()),
            Ok(stat) if Kind::of(&stat) == Kind::Directory => return Err(Errno::EISDIR.into()),
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        // What the part would have replaced goes where the part goes.
        match rename_within(old.named(), new.named(), replace) {
            Ok(()) | Err(Obstacle::System(Errno::ENOENT)) => {}
            Err(obstacle) => return Err(obstacle),
        }
        if old.path != new.path {
            self.parts.forget(person, area, new.path);
            let folder = new.folder.into_owned()?;
            self.parts.moved(person, area, old.path, new.path, &folder);
        }
        Ok(())
    }

    /// Gives the person's part at a path a second place; false if there is none.
    pub(super) fn link_own(
        &self,
        person: &PersonName,
        area: Area,
        old: &SitePath,
        new: Name<'_>,
    ) -> Result<bool, Obstacle> {
        let Some(part) = self.parts.own(person, area, old) else {
            return Ok(false);
        };
        if self.parts.own(person, area, new.path).is_some() || new.stat().is_ok() {
            return Err(Errno::EEXIST.into());
        }
        let mut state = part.state();
        if state.ended {
            return Ok(false);
        }
        let path = new.path.clone();
        state.targets.push(Spot {
            area,
            path: path.clone(),
            folder: Some(new.folder.into_owned()?),
        });
        state.exclusive = false;
        self.parts.add(&part, area, path);
        Ok(true)
    }

    fn own(&self, permit: &Permit, path: &SitePath) -> Option<Arc<Part>> {
        if self.parts.is_empty() {
            return None;
        }
        self.parts.own(&permit.who().person, area_of(permit)?, path)
    }

    fn own_of(&self, permit: &Permit, old: &FileStat) -> Option<Arc<Part>> {
        self.parts
            .own_of(&permit.who().person, (old.st_dev, old.st_ino))
    }

    fn read_part(&self, part: &Part) -> Option<(File, FileStat)> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | QUIET;
        let opened = openat(
            self.parts.folder(),
            part.name.as_str(),
            flags,
            Mode::empty(),
        )
        .ok()?;
        let stat = fstat(&opened).ok()?;
        Some((opened.into(), stat))
    }
}
