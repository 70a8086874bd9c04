//! Opening a file to write it: as a part, or in place.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::{Arc, RwLockReadGuard};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstatat};
use policy::{Area, SitePath, TreeChange};

use super::Tree;
use super::change::{Attributes, area_of, rights, set_size};
use super::hold::Handle;
use super::metered::Growth;
use super::names;
use super::obstacle::Obstacle;
use super::part::{Part, Spot};
use super::parts::{Inode, Parts};
use super::walk::{self, Folder, Kind};
use super::writing::Opening;
use crate::fault::Fault;
use crate::gate::Permit;

/// A file that is open to be written, not yet tied to its permit.
#[derive(Debug)]
pub struct Draft {
    pub(super) file: File,
    /// The part that it is; none if it is written in place.
    pub(super) part: Option<Handle>,
    edited: Option<Edited>,
    /// What copies into it must leave free on the disk.
    pub(super) reserve: u64,
    /// How it grows, where that counts.
    pub(super) growth: Option<Growth>,
}

/// Says that a file is written in place, as long as this lives.
#[derive(Debug)]
struct Edited {
    parts: Arc<Parts>,
    file: Inode,
    is_code: bool,
}

/// Where a part will be.
struct Aim {
    area: Area,
    path: SitePath,
    folder: OwnedFd,
}

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
        let place = area_of(permit).ok_or(Errno::ENOENT)?;
        let must_be_new = how.create && how.exclusive;
        let own = self.parts.own(&permit.who().person, place, path);
        if must_be_new && (own.is_some() || self.parts.is_reserved(place, path)) {
            return Err(Errno::EEXIST.into());
        }
        if !how.truncate {
            if let Some(part) = &own
                && let Some(draft) = self.join(part, how)?
            {
                return Ok(draft);
            }
            if !must_be_new {
                match self.in_place(permit, how, OFlag::empty(), attributes) {
                    Err(Obstacle::System(Errno::ENOENT)) if how.create => {}
                    other => return other,
                }
            }
        }
        let (folder, name) = walk::parent(area, path)?.ok_or(Errno::EISDIR)?;
        let found = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let aim = |folder: Folder<'_>, path| -> Result<Aim, Obstacle> {
            Ok(Aim {
                area: place,
                path,
                folder: folder.into_owned()?,
            })
        };
        match found {
            Ok(_) if must_be_new => Err(Errno::EEXIST.into()),
            Ok(stat) => match Kind::of(&stat) {
                Kind::File => self.make_part(
                    permit,
                    how,
                    attributes,
                    Some(&stat),
                    aim(folder, path.clone())?,
                ),
                Kind::Link => match walk::real(area, path)? {
                    Some((folder, path, stat)) => {
                        self.make_part(permit, how, attributes, Some(&stat), aim(folder, path)?)
                    }
                    None => self.in_place(permit, how, how.creation() | OFlag::O_TRUNC, attributes),
                },
                Kind::Directory => Err(Errno::EISDIR.into()),
                Kind::Special => Err(Obstacle::Special),
            },
            Err(Errno::ENOENT) if how.create || own.is_some() => {
                self.make_part(permit, how, attributes, None, aim(folder, path.clone())?)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a file where it stands.
    fn in_place(
        &self,
        permit: &Permit,
        how: Opening,
        flags: OFlag,
        attributes: &Attributes,
    ) -> Result<Draft, Obstacle> {
        let (area, path) = self.changeable(permit, TreeChange::Write)?;
        let _open = if flags.intersects(OFlag::O_CREAT | OFlag::O_TRUNC)
            && area_of(permit) == Some(Area::Code)
        {
            Some(self.parts.freeze.thaw()?)
        } else {
            None
        };
        let mode = if flags.contains(OFlag::O_CREAT) {
            attributes.mode_or(0o666)
        } else {
            Mode::empty()
        };
        // Its content goes only when it is known what it is.
        let now = flags.difference(OFlag::O_TRUNC);
        let opened = walk::beneath(area, path, how.access() | now, mode)?;
        match names::all_within(area, &opened)? {
            (stat, Kind::File) => {
                let opened = File::from(opened);
                let mut growth = self.growth(area_of(permit), &opened, None, how.append)?;
                if flags.contains(OFlag::O_TRUNC) {
                    set_size(&opened, 0)?;
                    if let Some(growth) = &mut growth {
                        growth.resize(0)?;
                    }
                }
                let file = (stat.st_dev, stat.st_ino);
                self.parts.begin_edit(file);
                Ok(Draft {
                    file: opened,
                    growth,
                    part: None,
                    reserve: self.reserve,
                    edited: Some(Edited {
                        parts: Arc::clone(&self.parts),
                        file,
                        is_code: area_of(permit) == Some(Area::Code),
                    }),
                })
            }
            (_, Kind::Directory | Kind::Link | Kind::Special) => Err(Errno::EISDIR.into()),
        }
    }

    /// Opens a part that is there; none if it has taken its place meanwhile.
    fn join(&self, part: &Arc<Part>, how: Opening) -> Result<Option<Draft>, Obstacle> {
        let mut state = part.state();
        if state.ended {
            return Ok(None);
        }
        // Nobody has held on to the folders of one that lay idle; they may be others by now.
        if !state.is_open() {
            for spot in &mut state.targets {
                let area = self.area(spot.area).ok_or(Errno::ENOENT)?;
                let (folder, _) = walk::parent(area, &spot.path)?.ok_or(Errno::EISDIR)?;
                spot.folder = Some(folder.into_owned()?);
            }
        }
        let flags = how.access() | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(
            self.parts.folder(),
            part.name.as_str(),
            flags,
            Mode::empty(),
        )?;
        let opened = File::from(opened);
        let area = state.targets.first().map(|spot| spot.area);
        let growth = self.growth(area, &opened, None, how.append)?;
        let handle = Handle::open(&self.parts, part, &mut state, self.session);
        Ok(Some(Draft {
            file: opened,
            growth,
            part: Some(handle),
            reserve: self.reserve,
            edited: None,
        }))
    }

    fn make_part(
        &self,
        permit: &Permit,
        how: Opening,
        attributes: &Attributes,
        old: Option<&FileStat>,
        aim: Aim,
    ) -> Result<Draft, Obstacle> {
        if old.is_some_and(|old| old.st_mode & 0o200 == 0) {
            return Err(Errno::EACCES.into());
        }
        let person = &permit.who().person;
        // What is on its way counts as what is there. A client that opens what it takes for an old
        // file says nothing of its rights: sshfs, whose CLOSE comes late, says 0.
        let own = self.parts.own(person, aim.area, &aim.path);
        let own = own.and_then(|part| part.stat(&self.parts));
        let incident = permit
            .incident()
            .ok_or_else(|| Fault::new("a permit to write has no incident id"))?;
        self.parts.forget_idle(person, aim.area, &aim.path);
        let name = incident.to_string();
        let flags = how.access() | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let like = own.as_ref().or(old);
        let mode = match like {
            Some(_) => rights(0o600),
            None => attributes.mode_or(0o666),
        };
        let instead = old.map_or(0, |old| old.st_size.unsigned_abs());
        let opened = self.with_room_instead(permit, instead, || {
            let made = openat(self.parts.folder(), name.as_str(), flags, mode);
            Ok(File::from(made?))
        })?;
        let growth = self.growth(Some(aim.area), &opened, old, how.append)?;
        let spot = Spot {
            area: aim.area,
            path: aim.path.clone(),
            folder: Some(aim.folder),
        };
        let part = Arc::new(Part::new(
            name,
            person.clone(),
            old.map(|old| (old.st_dev, old.st_ino)),
            spot,
            how.create && how.exclusive,
        ));
        let handle = Handle::open(&self.parts, &part, &mut part.state(), self.session);
        self.parts.add(&part, aim.area, aim.path);
        if let Some(like) = like {
            fchmod(&opened, rights(like.st_mode))?;
        }
        Ok(Draft {
            file: opened,
            growth,
            part: Some(handle),
            reserve: self.reserve,
            edited: None,
        })
    }
}

impl Draft {
    /// Makes sure that a file of code that is written in place may change, as long as what is
    /// returned lives.
    pub(super) fn thaw(&self) -> Result<Option<RwLockReadGuard<'_, usize>>, Errno> {
        match &self.edited {
            Some(edited) if edited.is_code => edited.parts.freeze.thaw().map(Some),
            Some(_) | None => Ok(None),
        }
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        self.parts.end_edit(self.file);
    }
}
