//! All parts of one environment, and which of its files are written in place: shared by all
//! sessions on it.
//!
//! A part is found by who writes it and where it will be: only that person, in any session, sees
//! it there. While there are none, which is nearly always, to look for one costs an atomic load.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};
use policy::{Area, PersonName, SitePath};

use super::freeze::Freeze;
use super::part::{Part, State};
use crate::site::files::Meter;

/// A file, by its device and number.
pub type Inode = (u64, u64);

/// All parts of one environment.
#[derive(Debug)]
pub struct Parts {
    pub(super) uploads: OwnedFd,
    /// Whether a file that replaces another has to be synced before its rename.
    pub(super) syncs: bool,
    meter: Meter,
    sessions: AtomicU64,
    count: AtomicUsize,
    known: Mutex<Known>,
    pub(super) freeze: Freeze,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) parts: HashMap<Key, Vec<Arc<Part>>>,
    /// Files that are open to be written in place, and how often.
    edited: HashMap<Inode, usize>,
}

type Key = (PersonName, Area, SitePath);

/// An upload that has not taken its place, as it is told to people.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Who uploads.
    pub person: PersonName,
    /// Where it will be.
    pub area: Area,
    /// The path in that area.
    pub path: SitePath,
    /// How much there is of it, in bytes.
    pub size: u64,
    /// Since when nobody writes it; none while somebody does.
    pub idle_since: Option<Timestamp>,
}

impl Parts {
    /// Makes the registry for the parts in this folder of an environment.
    pub(super) fn new(uploads: OwnedFd, environment: &Path) -> Self {
        // These file systems write the content of a file that replaces another out before the
        // rename: ext4(5) auto_da_alloc, btrfs(5) flushoncommit's renames.
        let careful = fstatfs(&uploads).is_ok_and(|found| {
            [EXT4_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC].contains(&found.filesystem_type())
        });
        Self {
            uploads,
            syncs: !careful,
            meter: Meter::new(environment),
            sessions: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            known: Mutex::new(Known::default()),
            freeze: Freeze::default(),
        }
    }

    /// Returns what the environment holds, of what it may.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn folder(&self) -> BorrowedFd<'_> {
        self.uploads.as_fd()
    }

    /// Returns a number that no other session on this environment has.
    pub(super) fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns true while there are no parts at all.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Finds the newest part of a person at a place.
    pub(super) fn own(
        &self,
        person: &PersonName,
        area: Area,
        path: &SitePath,
    ) -> Option<Arc<Part>> {
        self.all_own(person, area, path).pop()
    }

    /// Finds all parts of a person at a place, the newest last.
    pub(super) fn all_own(
        &self,
        person: &PersonName,
        area: Area,
        path: &SitePath,
    ) -> Vec<Arc<Part>> {
        if self.is_empty() {
            return Vec::new();
        }
        let key = (person.clone(), area, path.clone());
        self.known().parts.get(&key).cloned().unwrap_or_default()
    }

    /// Finds the part of a person that will take the place of a file, however that was reached.
    pub(super) fn own_of(&self, person: &PersonName, file: Inode) -> Option<Arc<Part>> {
        if self.is_empty() {
            return None;
        }
        let known = self.known();
        known
            .parts
            .values()
            .flatten()
            .find(|part| part.person == *person && part.replaces == Some(file))
            .cloned()
    }

    /// Finds the parts of a person right in a folder, with their names there.
    pub(super) fn own_in(
        &self,
        person: &PersonName,
        area: Area,
        folder: &SitePath,
    ) -> Vec<(Vec<u8>, Arc<Part>)> {
        let mut found = Vec::new();
        if self.is_empty() {
            return found;
        }
        for ((owner, place, path), parts) in &self.known().parts {
            if owner == person
                && *place == area
                && let Some((above, name)) = path.split_last()
                && above == *folder
                && let Some(part) = parts.last()
            {
                found.push((name.to_vec(), Arc::clone(part)));
            }
        }
        found
    }

    /// Returns true if a person has a part somewhere below a folder.
    pub(super) fn any_below(&self, person: &PersonName, area: Area, folder: &SitePath) -> bool {
        !self.is_empty()
            && self.known().parts.keys().any(|(owner, place, path)| {
                owner == person && *place == area && path != folder && path.starts_with(folder)
            })
    }

    /// Returns true if somebody is making the file of this name, and nobody else may.
    pub(super) fn is_reserved(&self, area: Area, path: &SitePath) -> bool {
        if self.is_empty() {
            return false;
        }
        let at_place: Vec<Arc<Part>> = self
            .known()
            .parts
            .iter()
            .filter(|((_, place, named), _)| *place == area && named == path)
            .flat_map(|(_, parts)| parts.iter().cloned())
            .collect();
        at_place.iter().any(|part| {
            let state = part.state();
            state.exclusive && state.is_open()
        })
    }

    /// Takes a part into the index, at one place.
    pub(super) fn add(&self, part: &Arc<Part>, area: Area, path: SitePath) {
        let mut known = self.known();
        let key = (part.person.clone(), area, path);
        known.parts.entry(key).or_default().push(Arc::clone(part));
        self.count.store(known.parts.len(), Ordering::Release);
    }

    /// Takes a part out of the index altogether.
    pub(super) fn take(&self, part: &Arc<Part>, state: &State) {
        for place in &state.targets {
            self.take_from(part, place.area, &place.path);
        }
    }

    fn take_from(&self, part: &Arc<Part>, area: Area, path: &SitePath) {
        let mut known = self.known();
        let key = (part.person.clone(), area, path.clone());
        if let Some(parts) = known.parts.get_mut(&key) {
            parts.retain(|one| !Arc::ptr_eq(one, part));
            if parts.is_empty() {
                known.parts.remove(&key);
            }
        }
        self.count.store(known.parts.len(), Ordering::Release);
    }

    /// Takes from a person's parts a place that they would have taken; what has none left goes.
    /// Returns true if there was one.
    pub(super) fn forget(&self, person: &PersonName, area: Area, path: &SitePath) -> bool {
        let parts = self.all_own(person, area, path);
        for part in &parts {
            let mut state = part.state();
            if state.ended {
                continue;
            }
            self.take_from(part, area, path);
            state
                .targets
                .retain(|place| place.area != area || place.path != *path);
            if state.targets.is_empty() {
                part.remove(self, &mut state);
            } else if state.recorded {
                part.record(self, &mut state);
            }
        }
        !parts.is_empty()
    }

    /// Removes a person's parts at a place that nobody has open: the upload begins anew.
    pub(super) fn forget_idle(&self, person: &PersonName, area: Area, path: &SitePath) {
        for part in self.all_own(person, area, path) {
            let mut state = part.state();
            if !state.is_open() && !state.ended {
                part.remove(self, &mut state);
                self.take(&part, &state);
            }
        }
    }

    /// Gives a person's parts at a place another one, in this folder.
    pub(super) fn moved(
        &self,
        person: &PersonName,
        area: Area,
        from: &SitePath,
        to: &SitePath,
        folder: &OwnedFd,
    ) {
        for part in self.all_own(person, area, from) {
            self.move_one(&part, area, from, to, Some(folder));
        }
    }

    /// Gives everybody's parts below a folder that was renamed their new places.
    pub(super) fn moved_below(&self, area: Area, from: &SitePath, to: &SitePath) {
        let moved: Vec<Arc<Part>> = self
            .known()
            .parts
            .iter()
            .filter(|((_, place, path), _)| {
                *place == area && path != from && path.starts_with(from)
            })
            .flat_map(|(_, parts)| parts.iter().cloned())
            .collect();
        for part in &moved {
            self.move_one(part, area, from, to, None);
        }
    }

    fn move_one(
        &self,
        part: &Arc<Part>,
        area: Area,
        from: &SitePath,
        to: &SitePath,
        folder: Option<&OwnedFd>,
    ) {
        let mut state = part.state();
        if state.ended {
            return;
        }
        let mut moved = Vec::new();
        for spot in state.targets.iter_mut().filter(|spot| spot.area == area) {
            let Some(below) = spot.path.strip_prefix(from) else {
                continue;
            };
            let path = to.join(&below);
            moved.push((std::mem::replace(&mut spot.path, path.clone()), path));
            if let Some(folder) = folder {
                spot.folder = folder.try_clone().ok();
            }
        }
        for (old, new) in moved {
            self.take_from(part, area, &old);
            self.add(part, area, new);
        }
        if folder.is_some() {
            // The name that had to be free is not the one that it gets.
            state.exclusive = false;
        }
        if state.recorded {
            part.record(self, &mut state);
        }
    }

    /// Notes that a file is written in place.
    pub(super) fn begin_edit(&self, file: Inode) {
        *self.known().edited.entry(file).or_default() += 1;
    }

    /// Notes that a handle by which a file was written in place is closed.
    pub(super) fn end_edit(&self, file: Inode) {
        let mut known = self.known();
        if let Some(count) = known.edited.get_mut(&file) {
            *count -= 1;
            if *count == 0 {
                known.edited.remove(&file);
            }
        }
    }

    /// Returns true while a file is open to be written in place.
    pub fn is_edited(&self, file: Inode) -> bool {
        self.known().edited.contains_key(&file)
    }

    /// Returns all uploads that have not taken their places, in the order of places.
    pub fn unfinished(&self) -> Vec<Unfinished> {
        let all: Vec<(Key, Arc<Part>)> = self
            .known()
            .parts
            .iter()
            .flat_map(|(key, parts)| parts.iter().map(|part| (key.clone(), Arc::clone(part))))
            .collect();
        let mut told: Vec<Unfinished> = all
            .into_iter()
            .filter_map(|((person, area, path), part)| {
                Some(Unfinished {
                    person,
                    area,
                    path,
                    size: part.stat(self)?.st_size.unsigned_abs(),
                    idle_since: part.state().idle_since,
                })
            })
            .collect();
        told.sort_by(|one, other| {
            (one.area, &one.path, &one.person).cmp(&(other.area, &other.path, &other.person))
        });
        told
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
