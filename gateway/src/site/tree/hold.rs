//! Handles on a part: the last one that is closed lets the part take its place; one that is lost
//! leaves it broken, to be resumed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::sys::stat::fstatat;
use nix::unistd::{LinkatFlags, linkat};
use policy::Area;

use super::change::{Replace, rename_within};
use super::metered::file_at;
use super::moving::{Named, copy_file, remove_all};
use super::obstacle::Obstacle;
use super::part::{Mark, Part, State};
use super::parts::Parts;
use super::record;

/// A handle on a part. Dropping one that was not closed leaves the part broken, to be resumed.
#[derive(Debug)]
pub(super) struct Handle {
    parts: Arc<Parts>,
    part: Arc<Part>,
    session: u64,
    stirred: Arc<AtomicBool>,
    recorded: bool,
    /// Whether a write found the disk full.
    disk_full: bool,
    open: bool,
}

impl Handle {
    /// Opens a handle; `state` is that of `part`.
    pub(super) fn open(
        parts: &Arc<Parts>,
        part: &Arc<Part>,
        state: &mut State,
        session: u64,
    ) -> Self {
        if state.handles.is_empty() {
            state.broken = false;
            state.idle_since = None;
        }
        // A session whose client is gone may not know it yet. Its handles must not hold the part
        // back from one that resumes it, unless they are still written through.
        for mark in &state.handles {
            if mark.session != session {
                mark.stirred.store(false, Ordering::Relaxed);
            }
        }
        let stirred = Arc::new(AtomicBool::new(true));
        state.handles.push(Mark {
            session,
            stirred: Arc::clone(&stirred),
        });
        Self {
            parts: Arc::clone(parts),
            part: Arc::clone(part),
            session,
            stirred,
            recorded: state.recorded,
            disk_full: false,
            open: true,
        }
    }

    /// Returns true while the part has not taken its place.
    pub(super) fn waits(&self) -> bool {
        self.open && !self.part.state().ended
    }

    /// Returns true if a power cut could leave an empty file in the place of one that had content,
    /// unless the part is on the disk before it takes that place.
    pub(super) fn must_be_synced(&self) -> bool {
        self.parts.syncs && self.part.replaces.is_some()
    }

    /// Notes that something was written, up to `end`.
    pub(super) fn wrote(&mut self, end: u64) {
        self.stirred.store(true, Ordering::Relaxed);
        if !self.recorded && end >= RECORDED_FROM {
            self.recorded = true;
            let mut state = self.part.state();
            if !state.ended && !state.recorded {
                self.part.record(&self.parts, &mut state);
            }
        }
    }

    /// Notes that a write failed.
    pub(super) fn failed(&mut self, errno: Errno) {
        self.disk_full |= matches!(errno, Errno::ENOSPC | Errno::EDQUOT);
    }

    /// Closes the handle; the last one lets the part take its place.
    pub(super) fn close(&mut self) -> Result<(), Obstacle> {
        if !std::mem::take(&mut self.open) {
            return Ok(());
        }
        let part = Arc::clone(&self.part);
        let mut state = part.state();
        state.leave(&self.stirred);
        if state.ended {
            self.close_left_open(&mut state);
            return Ok(());
        }
        let held_back = state
            .handles
            .iter()
            .any(|mark| mark.session == self.session || mark.stirred.load(Ordering::Relaxed));
        if held_back {
            return Ok(());
        }
        if state.broken {
            self.keep(&mut state);
            return Err(Errno::ESTALE.into());
        }
        match self.take_places(&mut state) {
            Ok(()) => Ok(()),
            // Its place was to be free; nothing that was asked for is left to be done.
            Err(Obstacle::System(Errno::EEXIST)) if state.exclusive => {
                part.remove(&self.parts, &mut state);
                self.parts.take(&part, &state);
                Err(Errno::EEXIST.into())
            }
            Err(obstacle) => {
                state.broken = true;
                self.keep(&mut state);
                Err(obstacle)
            }
        }
    }

    fn take_places(&self, state: &mut State) -> Result<(), Obstacle> {
        let mut areas = state.targets.iter().map(|spot| spot.area);
        let _open = if areas.any(|area| area == Area::Code) {
            Some(self.parts.freeze.thaw()?)
        } else {
            None
        };
        let left_open = if state.handles.is_empty() {
            None
        } else {
            self.part
                .stat(&self.parts)
                .map(|stat| (stat.st_dev, stat.st_ino))
        };
        let replace = if state.exclusive {
            Replace::Never
        } else {
            Replace::Always
        };
        let waiting = Named {
            folder: self.parts.folder(),
            name: self.part.name.as_bytes(),
        };
        let mut first: Option<Named<'_>> = None;
        for place in &state.targets {
            let named = place.named().ok_or(Errno::ENOENT)?;
            match first {
                None => {
                    let counts = self.parts.meter().counts(place.area);
                    let old = counts.then(|| file_at(named)).flatten();
                    put(waiting, named, replace)?;
                    self.parts.gone(Some(place.area), old.as_ref());
                }
                Some(first) => linkat(
                    first.folder,
                    first.name,
                    named.folder,
                    named.name,
                    LinkatFlags::empty(),
                )?,
            }
            first.get_or_insert(named);
        }
        state.ended = true;
        if state.recorded {
            record::remove(&self.parts, &self.part.name);
        }
        self.parts.take(&self.part, state);
        if let Some(inode) = left_open {
            state.left_open = left_open;
            for _ in &state.handles {
                self.parts.begin_edit(inode);
            }
        }
        Ok(())
    }

    /// Leaves a part that nobody has open, for the person to resume; one without content goes, and
    /// one that the disk has no room for.
    fn keep(&self, state: &mut State) {
        if state.is_open() {
            return;
        }
        let part = &self.part;
        // What fills the disk would keep it full, for everybody, as long as it is kept.
        if self.disk_full || part.stat(&self.parts).is_none_or(|stat| stat.st_size == 0) {
            part.remove(&self.parts, state);
            self.parts.take(part, state);
            return;
        }
        state.idle_since = Some(Timestamp::now());
        // Found again when it is resumed; until then it costs no descriptor.
        for spot in &mut state.targets {
            spot.folder = None;
        }
        if !state.recorded {
            part.record(&self.parts, state);
        }
    }

    fn close_left_open(&self, state: &mut State) {
        if let Some(inode) = state.left_open {
            self.parts.end_edit(inode);
        }
    }

    fn lose(&mut self) {
        self.open = false;
        let part = Arc::clone(&self.part);
        let mut state = part.state();
        state.leave(&self.stirred);
        if state.ended {
            self.close_left_open(&mut state);
            return;
        }
        // One that lay still while another session resumed the part is not missed.
        if self.stirred.load(Ordering::Relaxed) || !state.is_open() {
            state.broken = true;
        }
        self.keep(&mut state);
        let kept = !state.ended && !state.is_open();
        drop(state);
        if kept {
            self.parts.keep_within_bounds(&part.person);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.open {
            self.lose();
        }
    }
}

/// Puts a file that waits in its place, over what stands there.
fn put(waiting: Named<'_>, place: Named<'_>, replace: Replace) -> Result<(), Obstacle> {
    let moved = if replace == Replace::Never {
        rename_within(waiting, place, replace)
    } else {
        renameat(waiting.folder, waiting.name, place.folder, place.name).map_err(Obstacle::from)
    };
    match moved {
        // Another file system is mounted there: beside its place, where it has to be seen.
        Err(Obstacle::System(Errno::EXDEV)) => {
            let stat = fstatat(waiting.folder, waiting.name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
            let beside = [b".", waiting.name].concat();
            let beside = Named {
                folder: place.folder,
                name: &beside,
            };
            // It is an upload, and takes what it needs.
            let copied = copy_file(waiting, beside, &stat, 0)
                .and_then(|()| rename_within(beside, place, replace));
            if copied.is_err() {
                let _ = remove_all(beside);
                return copied;
            }
            remove_all(waiting)
        }
        other => other,
    }
}

/// From this length on, a part survives even a gateway that is killed: below, sending it again
/// costs less than writing down whose each small file is.
const RECORDED_FROM: u64 = 1 << 20;
