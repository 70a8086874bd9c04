//! What may still be written: the quota of an environment, and what must stay free on the disk.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::statvfs::fstatvfs;

use super::{Limits, Usage};
use crate::database::Trouble;
use crate::fault::{Fault, OrFault};
use crate::site::tree::RESERVE;

/// What may still be written into a folder that is being filled.
#[derive(Debug)]
pub struct Room {
    limits: Limits,
    reserve: u64,
    bytes: AtomicU64,
    files: AtomicU64,
    /// Bytes and files that may be written before the disk is asked again.
    unasked: AtomicU64,
}

impl Room {
    /// Makes the room of an environment with these limits, of which so much is used already by what
    /// stays beside what will be written (its databases).
    pub fn new(limits: Limits, used: Usage) -> Self {
        Self {
            limits,
            reserve: RESERVE,
            bytes: AtomicU64::new(used.bytes),
            files: AtomicU64::new(used.files),
            unasked: AtomicU64::new(0),
        }
    }

    /// Makes room that only the disk bounds.
    pub fn unlimited() -> Self {
        Self::new(Limits::default(), Usage::default())
    }

    /// The same, leaving so many bytes of the disk free.
    #[cfg(test)]
    #[must_use]
    pub(super) fn leaving_free(self, reserve: u64) -> Self {
        Self { reserve, ..self }
    }

    /// Returns how much is taken.
    pub fn taken(&self) -> Usage {
        Usage {
            bytes: self.bytes.load(Ordering::Relaxed),
            files: self.files.load(Ordering::Relaxed),
        }
    }

    /// Takes some of the quota.
    ///
    /// # Errors
    /// When so much is not left of it.
    pub(super) fn take(&self, bytes: u64, files: u64) -> Result<(), Trouble> {
        let bytes = self
            .bytes
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        let files = self
            .files
            .fetch_add(files, Ordering::Relaxed)
            .saturating_add(files);
        match exceeded(self.limits, Usage { bytes, files }) {
            Some(sentence) => Err(Trouble::Refused(sentence)),
            None => Ok(()),
        }
    }

    /// Gives some of the quota back.
    pub(super) fn give_back(&self, bytes: u64, files: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.files.fetch_sub(files, Ordering::Relaxed);
    }

    /// Makes sure that a new file of so many bytes fits on the disk that `place` is on.
    ///
    /// # Errors
    /// When it does not, or the disk cannot be asked.
    pub(super) fn on_disk(&self, place: impl AsFd, bytes: u64) -> Result<(), Trouble> {
        let cost = bytes.saturating_add(PER_FILE);
        let asked = self
            .unasked
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(cost)
            });
        if asked.is_ok() {
            return Ok(());
        }
        let disk = fstatvfs(place).or_fault(|| "asking how full the disk is")?;
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        let spare = free.saturating_sub(self.reserve);
        // File systems that make inodes as they need them count none.
        let inodes = disk.files() == 0 || disk.files_available() > disk.files() / 100;
        if cost > spare || !inodes {
            return Err(Trouble::Refused(NO_ROOM.to_owned()));
        }
        self.unasked.store(
            (spare / 2).min(AT_ONCE).saturating_sub(cost),
            Ordering::Relaxed,
        );
        Ok(())
    }
}

/// Returns what is said when so much would be held, if that is too much.
fn exceeded(limits: Limits, held: Usage) -> Option<String> {
    if let Some(most) = limits.bytes
        && held.bytes > most
    {
        return Some(format!(
            "The environment's quota is {}, and this would make it more ({}). Nothing more is \
                 written; remove files, or ask an administrator for a larger quota (quota:set).",
            size(most),
            size(held.bytes)
        ));
    }
    match limits.files {
        Some(most) if held.files > most => Some(format!(
            "The environment's quota is {most} files and folders, and this would be one too \
                 many. Nothing more is written; remove files, or ask an administrator for a larger \
                 quota (quota:set)."
        )),
        Some(_) | None => None,
    }
}

/// Writes a number of bytes for people.
pub(in crate::site) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let (mut whole, mut rest, mut at) = (bytes / 1024, bytes % 1024, 0);
    while whole >= 1024 && at + 1 < UNITS.len() {
        rest = whole % 1024;
        whole /= 1024;
        at += 1;
    }
    let unit = UNITS.get(at).copied().unwrap_or_default();
    format!("{whole}.{} {unit}", rest * 10 / 1024)
}

/// Makes trouble of an error while something was written: a full disk is nobody's fault here.
pub(super) fn not_written(error: io::Error, doing: impl FnOnce() -> String) -> Trouble {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::EDQUOT) => Trouble::Refused(NO_ROOM.to_owned()),
        _ => {
            let error: Result<(), Fault> = Err(error).or_fault(doing);
            match error {
                Err(fault) => Trouble::Fault(fault),
                Ok(()) => Trouble::Stopped,
            }
        }
    }
}

/// What is said where the disk is too small.
const NO_ROOM: &str = "The files do not fit on the server's disk, part of which has to stay free \
                       for others. Nothing was changed; remove files, or ask the server's \
                       administrator for more room.";

/// What a file takes on the disk beside its content.
const PER_FILE: u64 = 4 << 10;
/// The disk is asked again after so many bytes.
const AT_ONCE: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
        assert_eq!(size(u64::MAX), "16383.9 PiB");
    }

    #[test]
    fn a_quota_is_held() {
        let limits = Limits {
            bytes: Some(100),
            files: Some(2),
        };
        let used = Usage {
            bytes: 50,
            files: 0,
        };
        let room = Room::new(limits, used);
        room.take(50, 1).unwrap();
        assert!(matches!(room.take(1, 0), Err(Trouble::Refused(_))));
        room.give_back(51, 0);
        room.take(0, 1).unwrap();
        let Err(Trouble::Refused(said)) = room.take(0, 1) else {
            panic!();
        };
        assert!(said.contains("2 files"), "{said}");
    }

    #[test]
    fn the_disk_keeps_its_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let place = std::fs::File::open(folder.path()).unwrap();
        let room = Room::unlimited().leaving_free(0);
        room.on_disk(&place, 1).unwrap();
        assert!(room.on_disk(&place, 1 << 60).is_err());
        assert!(
            Room::unlimited()
                .leaving_free(1 << 60)
                .on_disk(&place, 1)
                .is_err()
        );
    }
}
