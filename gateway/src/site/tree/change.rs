//! Changes of names and attributes; each acts on the target of its permit.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, renameat, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmodat, fstatat, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{LinkatFlags, UnlinkatFlags, ftruncate, linkat, symlinkat, unlinkat};
use policy::{Area, Target, TreeChange};

use super::moving::Named;
use super::names;
use super::obstacle::Obstacle;
use super::own::Name;
use super::walk::{self, Folder, Kind};
use super::{Follow, QUIET, Tree};
use crate::blocking;
use crate::gate::Permit;

/// Attributes that a person may set. Owners are not among them: all files are the gateway's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The length.
    pub size: Option<u64>,
    /// Who may read, write and execute; other bits fall away.
    pub permissions: Option<u32>,
    /// When last read and when last changed, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

/// What a rename does where the new name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Fails.
    Never,
    /// Takes its place, as `rename(2)` does.
    Always,
}

impl Attributes {
    /// Returns the mode for something new.
    pub fn mode_or(&self, usual: u32) -> Mode {
        rights(self.permissions.unwrap_or(usual))
    }
}

impl Tree {
    /// Makes a directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_directory(&self, permit: &Permit, attributes: &Attributes) -> Result<(), Obstacle> {
        let (area, path) = self.changeable(permit, TreeChange::MakeDirectory)?;
        let (folder, name) = walk::parent(area, path)?.ok_or(Errno::EEXIST)?;
        if self.has_own(permit, path) {
            return Err(Errno::EEXIST.into());
        }
        self.with_room(permit, 0, || {
            Ok(mkdirat(folder, name, attributes.mode_or(0o777))?)
        })
    }

    /// Removes a file or link.
    ///
    /// # Errors
    /// When there is none, or it is a directory.
    pub fn remove(&self, permit: &Permit) -> Result<(), Obstacle> {
        let (area, path) = self.changeable(permit, TreeChange::Remove)?;
        let remove = || {
            let (folder, name) = walk::parent(area, path)?.ok_or(Errno::EISDIR)?;
            let stat = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            let unlink = || unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir);
            if stat.st_size > SLOW_TO_REMOVE {
                blocking::wait(unlink)?;
            } else {
                unlink()?;
            }
            self.give_room(permit, stat.st_size.unsigned_abs());
            Ok(())
        };
        match remove() {
            Ok(()) => {
                self.remove_own(permit, path);
                Ok(())
            }
            // Nothing was there but what the person had on its way.
            Err(Obstacle::System(Errno::ENOENT | Errno::ENOTDIR))
                if self.remove_own(permit, path) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// When there is none, or it is not empty.
    pub fn remove_directory(&self, permit: &Permit) -> Result<(), Obstacle> {
        let (area, path) = self.changeable(permit, TreeChange::RemoveDirectory)?;
        let (folder, name) = walk::parent(area, path)?.ok_or(Errno::EBUSY)?;
        if self.has_own_below(permit, path) {
            return Err(Errno::ENOTEMPTY.into());
        }
        unlinkat(folder, name, UnlinkatFlags::RemoveDir)?;
        self.give_room(permit, 0);
        Ok(())
    }

    /// Gives what `from` is about the name that `to` is about; their areas may differ.
    ///
    /// # Errors
    /// When it cannot be done; both names are then as they were.
    pub fn rename(&self, from: &Permit, to: &Permit, replace: Replace) -> Result<(), Obstacle> {
        let (old_area, old_path) = self.changeable(from, TreeChange::RenameFrom)?;
        let (new_area, new_path) = self.changeable(to, TreeChange::RenameTo)?;
        let (old_folder, old_name) = walk::parent(old_area, old_path)?.ok_or(Errno::EBUSY)?;
        let (new_folder, new_name) = walk::parent(new_area, new_path)?.ok_or(Errno::EBUSY)?;
        let old = Name {
            folder: old_folder,
            name: old_name,
            path: old_path,
        };
        let new = Name {
            folder: new_folder,
            name: new_name,
            path: new_path,
        };
        match (area_of(from), area_of(to)) {
            (Some(one), Some(other)) if one == other => {
                let counted = self.renaming((from, old.named()), (to, new.named()))?;
                let done = self.rename_with_own(from, one, old, new, replace);
                self.renamed(counted, done)
            }
            // It is not whole yet, so there is nothing that could be moved by its content.
            (_, _) if self.has_own(from, old_path) || self.has_own_below(from, old_path) => {
                Err(Errno::EXDEV.into())
            }
            (_, _) if replace == Replace::Never && self.has_own(to, new_path) => {
                Err(Errno::EEXIST.into())
            }
            (_, _) => {
                let counted = self.renaming((from, old.named()), (to, new.named()))?;
                let moving = || self.move_across(to, old.named(), new.named(), replace);
                self.renamed(counted, blocking::wait(moving))?;
                self.remove_own(to, new_path);
                Ok(())
            }
        }
    }

    /// Makes a symbolic link with this content. Whether it may lead there was decided before, from
    /// [`Tree::leads_out`].
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_link(&self, permit: &Permit, content: &[u8]) -> Result<(), Obstacle> {
        let (area, path) = self.changeable(permit, TreeChange::Symlink)?;
        let (folder, name) = walk::parent(area, path)?.ok_or(Errno::EEXIST)?;
        if self.has_own(permit, path) {
            return Err(Errno::EEXIST.into());
        }
        self.with_room(permit, content.len() as u64, || {
            Ok(symlinkat(content, folder, name)?)
        })
    }

    /// Gives a regular file a second name in the same area.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn hard_link(&self, from: &Permit, to: &Permit) -> Result<(), Obstacle> {
        let (old_area, old_path) = self.changeable(from, TreeChange::HardLink)?;
        let (new_area, new_path) = self.changeable(to, TreeChange::HardLink)?;
        let area = match (area_of(from), area_of(to)) {
            (Some(one), Some(other)) if one == other => one,
            (_, _) => return Err(Obstacle::TwoAreas),
        };
        if self.has_own(to, new_path) {
            return Err(Errno::EEXIST.into());
        }
        if self.has_own(from, old_path) {
            let (folder, name) = walk::parent(new_area, new_path)?.ok_or(Errno::EEXIST)?;
            let path = new_path;
            let new = Name { folder, name, path };
            if self.link_own(&from.who().person, area, old_path, new)? {
                return Ok(());
            }
        }
        let (old_folder, old_name) = walk::parent(old_area, old_path)?.ok_or(Errno::EISDIR)?;
        let (new_folder, new_name) = walk::parent(new_area, new_path)?.ok_or(Errno::EEXIST)?;
        let stat = fstatat(&old_folder, old_name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        match Kind::of(&stat) {
            Kind::File => {}
            // A second name elsewhere would make a relative link lead somewhere else.
            Kind::Link | Kind::Special => return Err(Obstacle::Special),
            Kind::Directory => return Err(Errno::EISDIR.into()),
        }
        let flags = LinkatFlags::empty();
        self.with_room(to, 0, || {
            Ok(linkat(old_folder, old_name, new_folder, new_name, flags)?)
        })
    }

    /// Sets attributes of what a name means. Setting some on an area itself does nothing, since
    /// clients do so after each upload of a folder.
    ///
    /// # Errors
    /// When they cannot be set.
    pub fn set_attributes(
        &self,
        permit: &Permit,
        attributes: &Attributes,
        follow: Follow,
    ) -> Result<(), Obstacle> {
        let (area, path) = self.changeable(permit, TreeChange::SetAttributes)?;
        if let Some(set) = self.set_on_own(permit, path, attributes) {
            return set;
        }
        let Some((folder, name)) = walk::parent(area, path)? else {
            return Ok(());
        };
        if follow == Follow::Nothing {
            let stat = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            if Kind::of(&stat) == Kind::Link {
                return set_on_link(&folder, name, attributes);
            }
        }
        if let Some(size) = attributes.size {
            let opened = walk::beneath(area, path, OFlag::O_WRONLY | QUIET, Mode::empty())?;
            names::all_within(area, &opened)?;
            let opened = File::from(opened);
            if let Some(mut growth) = self.growth(area_of(permit), &opened, None, false)? {
                growth.resize(size)?;
            }
            set_size(&opened, size)?;
        }
        if attributes.permissions.is_none() && attributes.times.is_none() {
            return Ok(());
        }
        let found = walk::beneath(area, path, OFlag::O_PATH, Mode::empty())?;
        names::all_within(area, &found)?;
        set_on_handle(found.as_fd(), attributes)
    }
}

impl Tree {
    /// Sets attributes of a file that is open, which may have another name by now.
    ///
    /// # Errors
    /// When they cannot be set.
    pub fn set_attributes_of(
        &self,
        permit: &Permit,
        file: &File,
        attributes: &Attributes,
    ) -> Result<(), Obstacle> {
        self.changeable(permit, TreeChange::SetAttributes)?;
        set_on_file(file, attributes)
    }
}

/// Sets attributes of an open file.
pub(super) fn set_on_file(file: &File, attributes: &Attributes) -> Result<(), Obstacle> {
    if let Some(size) = attributes.size {
        set_size(file, size)?;
    }
    set_on_handle(file.as_fd(), attributes)
}

/// Cuts or lengthens an open file.
pub(super) fn set_size(file: impl AsFd, size: u64) -> Result<(), Obstacle> {
    let size = i64::try_from(size).map_err(|_| Errno::EFBIG)?;
    // Cutting a large file takes as long as removing it.
    Ok(blocking::wait(|| ftruncate(file, size))?)
}

/// Sets rights and times through any handle, one that may neither read nor write included.
pub(super) fn set_on_handle(
    handle: BorrowedFd<'_>,
    attributes: &Attributes,
) -> Result<(), Obstacle> {
    let name = format!("/proc/self/fd/{}", handle.as_raw_fd());
    if let Some(permissions) = attributes.permissions {
        let mode = rights(permissions);
        fchmodat(AT_FDCWD, name.as_str(), mode, FchmodatFlags::FollowSymlink)?;
    }
    if let Some((accessed, modified)) = attributes.times {
        let (accessed, modified) = (seconds(accessed), seconds(modified));
        let follow = UtimensatFlags::FollowSymlink;
        utimensat(AT_FDCWD, name.as_str(), &accessed, &modified, follow)?;
    }
    Ok(())
}

/// A link has times of its own; it has no rights and no length to set.
fn set_on_link(folder: &Folder<'_>, name: &[u8], attributes: &Attributes) -> Result<(), Obstacle> {
    if attributes.size.is_some() {
        return Err(Errno::EINVAL.into());
    }
    if let Some((accessed, modified)) = attributes.times {
        let (accessed, modified) = (seconds(accessed), seconds(modified));
        utimensat(
            folder,
            name,
            &accessed,
            &modified,
            UtimensatFlags::NoFollowSymlink,
        )?;
    }
    Ok(())
}

/// Renames in one file system.
pub(super) fn rename_within(
    old: Named<'_>,
    new: Named<'_>,
    replace: Replace,
) -> Result<(), Obstacle> {
    let rename = || renameat(old.folder, old.name, new.folder, new.name);
    if replace == Replace::Always {
        return Ok(rename()?);
    }
    let flags = RenameFlags::RENAME_NOREPLACE;
    match renameat2(old.folder, old.name, new.folder, new.name, flags) {
        // Some file systems have no such flag; to look first is not atomic, but all they allow.
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            match fstatat(new.folder, new.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(_taken) => Err(Errno::EEXIST.into()),
                Err(Errno::ENOENT) => Ok(rename()?),
                Err(errno) => Err(errno.into()),
            }
        }
        other => Ok(other?),
    }
}

pub(super) fn area_of(permit: &Permit) -> Option<Area> {
    match permit.target() {
        Target::Tree(_, _, area, _) => Some(*area),
        Target::Server
        | Target::Person(_)
        | Target::Site(_)
        | Target::Environment(_, _)
        | Target::Ref(_, _, _) => None,
    }
}

pub(super) fn rights(permissions: u32) -> Mode {
    Mode::from_bits_truncate(permissions & 0o777)
}

fn seconds(time: u32) -> TimeSpec {
    TimeSpec::new(i64::from(time), 0)
}

/// From this length on, removing a file takes long enough to be noticed by others.
const SLOW_TO_REMOVE: i64 = 256 << 20;
