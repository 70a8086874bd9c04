//! A part: a file on its way up. It waits in `uploads` under the id of its permit until the last
//! handle on it is closed, and takes its place with one rename; see `parts` for who sees it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use policy::{Area, PersonName, SitePath};

use super::moving::Named;
use super::parts::{Inode, Parts};
use super::record;

/// A file on its way up.
#[derive(Debug)]
pub(super) struct Part {
    /// Its name in `uploads`.
    pub(super) name: String,
    /// Who writes it, and alone sees it.
    pub(super) person: PersonName,
    /// The file whose place it will take.
    pub(super) replaces: Option<Inode>,
    state: Mutex<State>,
}

/// What changes about a part.
#[derive(Debug)]
pub(super) struct State {
    /// The places that it will take; none once it was removed.
    pub(super) targets: Vec<Spot>,
    /// The handles that are open on it.
    pub(super) handles: Vec<Mark>,
    /// Whether a handle was lost in mid-file, or the rename failed.
    pub(super) broken: bool,
    /// Since when nobody has had it open.
    pub(super) idle_since: Option<Timestamp>,
    /// Whether `uploads` holds its record too, by which it survives the gateway.
    pub(super) recorded: bool,
    /// Whether its place must be free.
    pub(super) exclusive: bool,
    /// Whether it has taken its place, or was removed.
    pub(super) ended: bool,
    /// What it became, while handles that lay still are open on it.
    pub(super) left_open: Option<Inode>,
}

/// A place that a part will take, in a folder that is open.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) area: Area,
    pub(super) path: SitePath,
    /// The folder that holds it; not known for a part from before a restart, until it is opened.
    pub(super) folder: Option<OwnedFd>,
}

/// One open handle.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) session: u64,
    /// Whether it was written through since another session last opened the part.
    pub(super) stirred: Arc<AtomicBool>,
}

impl Part {
    pub(super) fn new(
        name: String,
        person: PersonName,
        replaces: Option<Inode>,
        place: Spot,
        exclusive: bool,
    ) -> Self {
        Self {
            name,
            person,
            replaces,
            state: Mutex::new(State {
                targets: vec![place],
                handles: Vec::new(),
                broken: false,
                idle_since: None,
                recorded: false,
                exclusive,
                ended: false,
                left_open: None,
            }),
        }
    }

    /// Makes a part that an earlier run of the gateway left.
    pub(super) fn left(name: String, person: PersonName, place: Spot, since: Timestamp) -> Self {
        let part = Self::new(name, person, None, place, false);
        {
            let mut state = part.state();
            state.broken = true;
            state.recorded = true;
            state.idle_since = Some(since);
        }
        part
    }

    /// Locks what changes. Whoever holds this may lock the index of [`Parts`], not the other way
    /// round.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what it is so far; none if it is no part any more.
    pub(super) fn stat(&self, parts: &Parts) -> Option<FileStat> {
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        fstatat(parts.folder(), self.name.as_str(), flags).ok()
    }

    /// Takes it away with its record. The index is the caller's business.
    pub(super) fn remove(&self, parts: &Parts, state: &mut State) {
        state.ended = true;
        let stat = parts.meter().is_set().then(|| self.stat(parts)).flatten();
        parts.gone(state.targets.first().map(|spot| spot.area), stat.as_ref());
        unlink(parts, &self.name);
        if state.recorded {
            record::remove(parts, &self.name);
        }
    }

    /// Writes down whose it is, so that it survives the gateway.
    pub(super) fn record(&self, parts: &Parts, state: &mut State) {
        if let Some(place) = state.targets.first() {
            let written = record::write(parts, &self.name, &self.person, place);
            if let Err(errno) = written {
                tracing::warn!("an unfinished upload will not survive a restart: {errno}");
            }
            state.recorded = true;
        }
    }
}

impl State {
    /// Returns true while somebody has it open.
    pub(super) fn is_open(&self) -> bool {
        !self.handles.is_empty()
    }

    pub(super) fn leave(&mut self, stirred: &Arc<AtomicBool>) {
        self.handles
            .retain(|mark| !Arc::ptr_eq(&mark.stirred, stirred));
    }
}

impl Spot {
    pub(super) fn named(&self) -> Option<Named<'_>> {
        Some(Named {
            folder: self.folder.as_ref()?.as_fd(),
            name: name_of(&self.path),
        })
    }
}

/// Returns the last component.
fn name_of(path: &SitePath) -> &[u8] {
    let bytes = path.as_bytes();
    bytes
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default()
}

pub(super) fn unlink(parts: &Parts, name: &str) {
    match unlinkat(parts.folder(), name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => tracing::error!("an unfinished upload could not be removed: {errno}"),
    }
}
