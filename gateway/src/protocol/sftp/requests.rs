//! What each request does. None is done before the gate has granted what the table says it asks.

use policy::{Area, SitePath};

use super::Session;
use super::access::Granted;
use super::directory::Directory;
use super::engine;
use super::handles::Open;
use super::ids;
use super::operation::Operation;
use super::reply;
use super::status::{Code, No};
use crate::audit::Outcome;
use crate::gate::Permit;
use crate::site::tree::{Attributes, Entry, Follow, Listing, Obstacle, Place, Replace, Tree};

/// The most that is read or written by one request: what OpenSSH's own server takes.
pub(super) const MOST_AT_ONCE: u32 = 255 << 10;

impl Session {
    /// Does one request and returns its answer.
    pub(super) fn perform(&mut self, id: u32, operation: &Operation<'_>) -> Result<Vec<u8>, No> {
        use Operation as O;
        self.refresh()?;
        let granted = self.grant(operation)?;
        match operation {
            O::Open {
                flags, attributes, ..
            } => {
                let handle = self.open(granted, *flags, attributes)?;
                return Ok(reply::handle(id, handle));
            }
            O::Read {
                handle,
                offset,
                length,
            } => {
                return self.read(id, handle, *offset, (*length).min(MOST_AT_ONCE));
            }
            O::OpenDirectory { .. } => {
                let handle = self.open_directory(granted.read()?)?;
                return Ok(reply::handle(id, handle));
            }
            O::ReadDirectory { handle } => return self.read_directory(id, handle),
            O::Stat { .. } => {
                let stat = self.stat(&granted.read()?, Follow::Links)?;
                return Ok(reply::attributes(id, &stat));
            }
            O::LinkStat { .. } => {
                let stat = self.stat(&granted.read()?, Follow::Nothing)?;
                return Ok(reply::attributes(id, &stat));
            }
            O::HandleStat { handle } => {
                return Ok(reply::attributes(id, &self.handle_stat(handle)?));
            }
            O::ReadLink { .. } => {
                let content = self.read_link(&granted.read()?)?;
                return Ok(reply::path(id, &content));
            }
            O::Space { .. } => {
                let space = self.look(&granted.read()?, Tree::space)?;
                return Ok(reply::space(id, &space));
            }
            O::HandleSpace { handle } => {
                return Ok(reply::space(id, &self.handle_space(handle)?));
            }
            O::CheckFile { check, .. } => return self.check_file(id, granted, check),
            O::NamesOfIds { users, groups } => return ids::names(id, users, groups),
            O::RealPath { path } => return Ok(reply::path(id, &real_path(path)?)),
            O::ExpandPath { path } => return Ok(reply::path(id, &expand_path(path)?)),
            O::HomeDirectory => return Ok(reply::path(id, b"/")),
            O::Limits => {
                return Ok(reply::limits(
                    id,
                    [
                        engine::LONGEST_ADVERTISED,
                        u64::from(MOST_AT_ONCE),
                        u64::from(MOST_AT_ONCE),
                        self.handles.most as u64,
                    ],
                ));
            }
            O::Close { handle } => self.close_handle(handle)?,
            O::Write {
                handle,
                offset,
                bytes,
            } => {
                self.begin_write(handle)?;
                self.write(handle, *offset, bytes)?;
            }
            O::HandleSetStat { handle, attributes } => {
                self.handle_set_attributes(handle, attributes)?;
            }
            O::Sync { handle } => self.sync(handle)?,
            O::CopyData {
                from,
                offset,
                length,
                to,
                at,
            } => {
                self.copy_data(from, *offset, *length, to, *at)?;
            }
            O::SetStat { attributes, .. } => {
                self.set_attributes(granted, attributes, |tree, permit| {
                    tree.set_attributes(permit, attributes, Follow::Links)
                })?;
            }
            O::LinkSetStat { attributes, .. } => {
                self.set_attributes(granted, attributes, |tree, permit| {
                    tree.set_attributes(permit, attributes, Follow::Nothing)
                })?;
            }
            O::Remove { .. } => self.change(granted, None, Tree::remove)?,
            O::MakeDirectory { attributes, .. } => self.change(granted, None, |tree, permit| {
                tree.make_directory(permit, attributes)
            })?,
            O::RemoveDirectory { .. } => self.change(granted, None, Tree::remove_directory)?,
            O::Symlink { content, .. } => {
                let detail = format!("leads to {}", policy::escape(content));
                self.change(granted, Some(detail), |tree, permit| {
                    tree.make_link(permit, content)
                })?;
            }
            O::Rename { .. } => self.rename(granted, Replace::Never)?,
            O::PosixRename { .. } => self.rename(granted, Replace::Always)?,
            O::HardLink { .. } => self.hard_link(granted)?,
        }
        Ok(reply::done(id))
    }

    /// Returns what a place is.
    fn stat(&mut self, place: &Place, follow: Follow) -> Result<nix::sys::stat::FileStat, No> {
        let stat = self.look(place, |tree, permit, path| tree.look(permit, path, follow))?;
        Ok(match &self.files_link {
            Some(link) if place.is_files_link && follow == Follow::Nothing => link.stat(&stat),
            Some(_) | None => stat,
        })
    }

    fn read_link(&mut self, place: &Place) -> Result<Vec<u8>, No> {
        match &self.files_link {
            Some(link) if place.is_files_link => Ok(link.content.clone()),
            Some(_) | None => self.look(place, Tree::read_link),
        }
    }

    fn open_directory(&mut self, place: Place) -> Result<[u8; 4], No> {
        self.handles.room()?;
        let own = self.look(&place, |tree, permit, path| {
            tree.look(permit, path, Follow::Links)
        })?;
        let mut first = vec![entry(b".", own), entry(b"..", self.above(&place)?)];
        let names = if place.area == Area::Root && place.path.is_empty() {
            first.extend(self.look(&place, |tree, permit, _| tree.areas(permit))?);
            Listing::empty()
        } else {
            self.look(&place, Tree::list)?
        };
        if let Some(link) = &self.files_link
            && place.area == Area::Code
            && place.path == link.folder
        {
            first.push(entry(&link.name, link.stat(&own)));
        }
        let directory = Directory::new(place, self.epoch, first, names);
        Ok(self.handles.add(Open::Directory(Box::new(directory))))
    }

    /// Returns what the folder above a directory is; that of an area is `/`.
    fn above(&mut self, place: &Place) -> Result<nix::sys::stat::FileStat, No> {
        let above = match place.path.split_last() {
            Some((above, _)) => Place {
                path: above,
                ..place.clone()
            },
            None => Place::root(),
        };
        self.look(&above, |tree, permit, path| {
            tree.look(permit, path, Follow::Links)
        })
    }

    fn read_directory(&mut self, id: u32, handle: &[u8]) -> Result<Vec<u8>, No> {
        let place = match self.handles.find(handle)? {
            Open::Directory(directory) => directory.place.clone(),
            Open::Reading(_) | Open::Writing(_) => {
                return Err(NO_DIRECTORY);
            }
        };
        self.still_readable(handle)?;
        let hidden = self
            .files_link
            .as_ref()
            .filter(|link| place.area == Area::Code && link.folder == place.path)
            .map(|link| link.name.as_slice());
        match self.handles.find(handle)? {
            Open::Directory(directory) => directory.portion(id, hidden),
            Open::Reading(_) | Open::Writing(_) => Err(NO_DIRECTORY),
        }
    }

    pub(super) fn set_attributes(
        &mut self,
        granted: Granted,
        attributes: &Attributes,
        set: impl FnOnce(&Tree, &Permit) -> Result<(), Obstacle>,
    ) -> Result<(), No> {
        self.change(granted, Some(describe(attributes)), set)
    }

    fn rename(&mut self, granted: Granted, replace: Replace) -> Result<(), No> {
        let [(from, old), (to, mut new)] = granted.both()?;
        new.describe(format!("from /{}/{}", from.area, from.path));
        match self.tree.rename(&old, &new, replace) {
            Ok(()) => {
                // One row tells of both names, unless a rule of another area was used up for it.
                if from.area == to.area {
                    old.forget();
                } else {
                    let mut old = old;
                    old.describe(format!("to /{}/{}", to.area, to.path));
                    old.finish(Outcome::Done)?;
                }
                Ok(new.finish(Outcome::Done)?)
            }
            Err(obstacle) => {
                old.forget();
                let place = self.culprit(from, to, &obstacle);
                Err(self.give_up(new, &place, obstacle))
            }
        }
    }

    fn hard_link(&mut self, granted: Granted) -> Result<(), No> {
        let [(from, old), (to, mut new)] = granted.both()?;
        new.describe(format!("of /{}/{}", from.area, from.path));
        match self.tree.hard_link(&old, &new) {
            Ok(()) => {
                old.forget();
                Ok(new.finish(Outcome::Done)?)
            }
            Err(obstacle) => {
                old.forget();
                let place = self.culprit(from, to, &obstacle);
                Err(self.give_up(new, &place, obstacle))
            }
        }
    }

    /// Returns which of two places is the one whose way leads out of its area.
    fn culprit(&mut self, from: Place, to: Place, obstacle: &Obstacle) -> Place {
        if let Obstacle::LeadsOut = obstacle
            && let Ok(permit) = self.readable.permit(from.area)
            && let Err(Obstacle::LeadsOut) = self.tree.look(permit, &from.path, Follow::Nothing)
        {
            return from;
        }
        to
    }
}

const NO_DIRECTORY: No = No::Status(Code::Failure, "The handle is not a directory's.");

fn entry(name: &[u8], stat: nix::sys::stat::FileStat) -> Entry {
    Entry {
        name: name.to_vec(),
        stat,
    }
}

/// Says in the audit what was set.
fn describe(attributes: &Attributes) -> String {
    let mut parts = Vec::new();
    if let Some(size) = attributes.size {
        parts.push(format!("length {size}"));
    }
    if let Some(permissions) = attributes.permissions {
        parts.push(format!("permissions {:03o}", permissions & 0o777));
    }
    if attributes.times.is_some() {
        parts.push("times".to_owned());
    }
    parts.join(", ")
}

/// A path is made whole by its name alone, so that one that does not exist yet has one too.
fn real_path(path: &[u8]) -> Result<Vec<u8>, No> {
    let path =
        SitePath::normalize(path).map_err(|_| No::Status(Code::Failure, "That is no path."))?;
    Ok([b"/", path.as_bytes()].concat())
}

fn expand_path(path: &[u8]) -> Result<Vec<u8>, No> {
    match path {
        [b'~'] => real_path(b"/"),
        [b'~', b'/', below @ ..] => real_path(below),
        [b'~', ..] => Err(No::Status(
            Code::Failure,
            "Nobody has a home of their own here; ~ is /.",
        )),
        path => real_path(path),
    }
}
