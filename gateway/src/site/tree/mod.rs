//! The tree of one environment, as people see it over SFTP: the only opener of site paths.
//!
//! `/` holds `backups`, `code`, `files`, `logs` and `tmp`. Each area has a directory handle of its
//! own, and every place in it is opened relative to that handle with `openat2(RESOLVE_BENEATH |
//! RESOLVE_NO_MAGICLINKS)`: a link that leads out of its area is not followed, so a place is always
//! in the area that the permit is about. No path is ever joined as text, and no pipe, socket or
//! device is ever opened.
//!
//! What reads takes a permit to read the area; what changes takes a permit for the change and acts
//! on that permit's own target, so that nothing else than what was permitted can be done.

mod change;
mod copying;
mod draft;
mod freeze;
mod hold;
mod keeping;
mod link;
mod listing;
mod metered;
mod moving;
mod names;
mod obstacle;
mod own;
mod part;
mod parts;
mod place;
mod record;
mod space;
mod turning;
mod walk;
mod writing;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat, mkdirat};
use nix::sys::statvfs::fstatvfs;
use policy::{Action, Area, SitePath, Target, TreeChange};

pub use change::{Attributes, Replace};
pub use copying::RESERVE;
pub(in crate::site) use copying::{copy_between, copy_portion};
pub use draft::Draft;
pub use freeze::Frozen;
pub use listing::{Entry, Listing};
pub(in crate::site) use moving::stays_within;
pub use obstacle::{NO_ROOM, Obstacle};
pub use parts::{Inode, Parts, Unfinished};
pub use place::Place;
pub use space::Space;
pub use walk::Kind;
pub use writing::{Opening, Writing};

use crate::fault::{Fault, OrFault};
use crate::gate::Permit;

/// Whether the last component is followed when it is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// To what the link leads to.
    Links,
    /// No: the link itself is meant.
    Nothing,
}

/// The tree of one environment, open.
#[derive(Debug)]
pub struct Tree {
    environment: OwnedFd,
    code: Release,
    files: Files,
    logs: OwnedFd,
    tmp: OwnedFd,
    backups: OwnedFd,
    parts: Arc<Parts>,
    /// This session's number among those on the environment.
    session: u64,
    /// What copies on the server must leave free on the disk, in bytes.
    reserve: u64,
}

/// The files of one content.
#[derive(Debug)]
struct Files {
    /// The number of their store; 0 until it is said.
    store: u64,
    folder: OwnedFd,
}

/// The code of one generation; none before the first deploy.
#[derive(Debug)]
struct Release {
    generation: u64,
    code: Option<OwnedFd>,
}

impl Tree {
    /// Opens the tree of the environment whose folder is `directory` (`…/environments/dev`). Its
    /// code is empty until [`Tree::turn_to`] says which generation is current.
    ///
    /// # Errors
    /// When the folder, or one of its areas, cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, Fault> {
        Self::open_with(directory, None)
    }

    /// The same, with the parts that other sessions on the environment know, if there are any.
    ///
    /// # Errors
    /// When the folder, or one of its areas, cannot be opened.
    pub fn open_with(directory: &Path, parts: Option<Arc<Parts>>) -> Result<Self, Fault> {
        let environment = open(directory, HANDLE, Mode::empty())
            .or_fault(|| format!("opening the environment's folder {}", directory.display()))?;
        let area = |name: &str| {
            folder(&environment, name)
                .or_fault(|| format!("opening '{name}' of {}", directory.display()))
        };
        let parts = match parts {
            Some(parts) => parts,
            None => Arc::new(Parts::new(area(SPOOL)?, directory)),
        };
        Ok(Self {
            files: Files {
                store: 0,
                folder: openat(&environment, Area::Files.as_str(), FOLLOWED, Mode::empty())
                    .or_fault(|| format!("opening the files of {}", directory.display()))?,
            },
            logs: area(Area::Logs.as_str())?,
            tmp: area(Area::Tmp.as_str())?,
            backups: area(Area::Backups.as_str())?,
            session: parts.next_session(),
            parts,
            reserve: RESERVE,
            code: Release {
                generation: 0,
                code: None,
            },
            environment,
        })
    }

    /// Has copies on the server leave so many bytes of the disk free.
    #[cfg(any(test, fuzzing))]
    #[must_use]
    pub fn leaving_free(self, reserve: u64) -> Self {
        Self { reserve, ..self }
    }

    /// Returns what is known of files on their way up, for other sessions on the environment.
    pub fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.parts)
    }

    /// Takes over the uploads that an earlier run of the gateway left, unless nobody has written
    /// them for as long as `keep`, and removes what else is in `uploads`; for the start of the
    /// gateway, before any session. Returns how much was removed.
    ///
    /// # Errors
    /// When the folder cannot be read, or something in it not removed.
    pub fn remove_leftovers(&self, keep: Duration) -> Result<usize, Fault> {
        self.parts.restore(keep)
    }

    /// Returns what a place is.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be reached inside its area.
    pub fn look(
        &self,
        permit: &Permit,
        path: &SitePath,
        follow: Follow,
    ) -> Result<FileStat, Obstacle> {
        let area = match self.readable(permit)? {
            Some(area) => area,
            // Nothing is in `/`, nor in `/code` before the first deploy, but they exist.
            None if path.is_empty() => return Ok(fstat(&self.environment)?),
            None => return Err(Errno::ENOENT.into()),
        };
        if let Some(stat) = self.own_stat(permit, path) {
            return Ok(stat);
        }
        match follow {
            Follow::Links => {
                let found = walk::beneath(area, path, OFlag::O_PATH, Mode::empty())?;
                let stat = fstat(found)?;
                Ok(self.own_stat_of(permit, &stat).unwrap_or(stat))
            }
            Follow::Nothing => match walk::parent(area, path)? {
                Some((folder, name)) => Ok(fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?),
                None => Ok(fstat(area)?),
            },
        }
    }

    /// Returns the areas as `/` shows them.
    ///
    /// # Errors
    /// When one cannot be looked at.
    pub fn areas(&self, permit: &Permit) -> Result<Vec<Entry>, Obstacle> {
        self.readable(permit)?;
        Area::BELOW_ROOT
            .into_iter()
            .map(|area| {
                let handle = self.area(area).unwrap_or(self.environment.as_fd());
                Ok(Entry {
                    name: area.as_str().as_bytes().to_vec(),
                    stat: fstat(handle)?,
                })
            })
            .collect()
    }

    /// Opens a directory to list it.
    ///
    /// # Errors
    /// When it is none, or cannot be reached inside its area.
    pub fn list(&self, permit: &Permit, path: &SitePath) -> Result<Listing, Obstacle> {
        match self.readable(permit)? {
            Some(area) => {
                let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
                let folder = walk::beneath(area, path, flags, Mode::empty())?;
                Listing::of(folder, self.own_entries(permit, path))
            }
            None if path.is_empty() => Ok(Listing::empty()),
            None => Err(Errno::ENOENT.into()),
        }
    }

    /// Opens a regular file to read it.
    ///
    /// # Errors
    /// When it is none, or cannot be reached inside its area.
    pub fn open_to_read(
        &self,
        permit: &Permit,
        path: &SitePath,
    ) -> Result<(File, FileStat), Obstacle> {
        let area = self.readable(permit)?.ok_or(Errno::ENOENT)?;
        if let Some(found) = self.own_to_read(permit, path) {
            return Ok(found);
        }
        let opened = walk::beneath(area, path, OFlag::O_RDONLY | QUIET, Mode::empty())?;
        match walk::plain(&opened)? {
            (stat, Kind::File) => Ok(self
                .own_to_read_of(permit, &stat)
                .unwrap_or((opened.into(), stat))),
            (_, Kind::Directory | Kind::Link | Kind::Special) => Err(Errno::EISDIR.into()),
        }
    }

    /// Returns where a link leads to, as it is written.
    ///
    /// # Errors
    /// When it is none, or cannot be reached inside its area.
    pub fn read_link(&self, permit: &Permit, path: &SitePath) -> Result<Vec<u8>, Obstacle> {
        use std::os::unix::ffi::OsStringExt;
        let area = self.readable(permit)?.ok_or(Errno::ENOENT)?;
        let (folder, name) = walk::parent(area, path)?.ok_or(Errno::EINVAL)?;
        Ok(readlinkat(folder, name)?.into_vec())
    }

    /// Returns how full the file system of a place is, or the environment's quota.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be reached inside its area.
    pub fn space(&self, permit: &Permit, path: &SitePath) -> Result<Space, Obstacle> {
        let space = match self.readable(permit)? {
            Some(_) if self.own_stat(permit, path).is_some() => fstatvfs(self.parts.folder())?,
            Some(area) => {
                let found = walk::beneath(area, path, OFlag::O_PATH, Mode::empty())?;
                fstatvfs(found)?
            }
            None if path.is_empty() => fstatvfs(&self.environment)?,
            None => return Err(Errno::ENOENT.into()),
        };
        let area = change::area_of(permit).unwrap_or(Area::Root);
        Ok(self.within_quota(area, space.into()))
    }

    /// Returns the handle of an area; `/` has none, nor has code before the first deploy.
    fn area(&self, area: Area) -> Option<BorrowedFd<'_>> {
        match area {
            Area::Root => None,
            Area::Code => self.code.code.as_ref().map(AsFd::as_fd),
            Area::Files => Some(self.files.folder.as_fd()),
            Area::Logs => Some(self.logs.as_fd()),
            Area::Tmp => Some(self.tmp.as_fd()),
            Area::Backups => Some(self.backups.as_fd()),
        }
    }

    /// Returns the area that a permit lets be read.
    fn readable(&self, permit: &Permit) -> Result<Option<BorrowedFd<'_>>, Fault> {
        match (permit.action(), permit.target()) {
            (Action::ReadTree, Target::Tree(_, _, area, _)) => Ok(self.area(*area)),
            (action, _) => Err(Fault::new(format!(
                "a permit to {} was used to read a tree",
                action.as_str()
            ))),
        }
    }

    /// Returns the area and path that a permit lets be changed in this way.
    fn changeable<'s, 'p>(
        &'s self,
        permit: &'p Permit,
        change: TreeChange,
    ) -> Result<(BorrowedFd<'s>, &'p SitePath), Obstacle> {
        let (Action::ChangeTree(permitted), Target::Tree(_, _, area, path)) =
            (permit.action(), permit.target())
        else {
            return Err(Fault::new("a permit for no change was used to change a tree").into());
        };
        if permitted != change {
            let fault = format!(
                "a permit to {} was used to {}",
                permitted.as_str(),
                change.as_str()
            );
            return Err(Fault::new(fault).into());
        }
        if *area == Area::Code && permit.generation() != Some(self.code.generation) {
            return Err(Fault::new("a permit for another generation's code was used").into());
        }
        let store = self.opened_in(Area::Files);
        if *area == Area::Files && store.is_some() && permit.generation() != store {
            return Err(Fault::new("a permit for another content's files was used").into());
        }
        // An upload may begin and go on; it is its place that it may not take.
        if *area == Area::Code && change != TreeChange::Write {
            drop(self.parts.freeze.thaw()?);
        }
        let area = self.area(*area).ok_or(Errno::ENOENT)?;
        Ok((area, path))
    }
}

/// Opens a folder right below the environment's own; makes it where it is missing, so that an
/// environment whose folders were not all made is whole again.
fn folder(environment: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    match openat(environment, name, HANDLE, Mode::empty()) {
        Err(Errno::ENOENT) => {
            mkdirat(environment, name, Mode::from_bits_truncate(0o777))?;
            openat(environment, name, HANDLE, Mode::empty())
        }
        other => other,
    }
}

/// The folder of an environment in which parts wait.
const SPOOL: &str = "uploads";

const HANDLE: OFlag = OFlag::O_PATH
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// The way to the files leads through the gateway's own links.
const FOLLOWED: OFlag = HANDLE.difference(OFlag::O_NOFOLLOW);

/// Opening must not wait for the other end of a pipe, nor take a terminal, before it is known that
/// the file is a regular one.
const QUIET: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY);
