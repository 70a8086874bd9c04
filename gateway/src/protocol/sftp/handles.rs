//! Open files and directories of one session, by the handles that the client has for them.

use std::fs::File;

use super::directory::Directory;
use super::status::{Code, No};
use crate::config::MOST_OPEN_FILES;
use crate::site::tree::{Place, Writing};

/// No session has more open at once, whatever the configuration says.
const MOST: usize = MOST_OPEN_FILES;

/// Something open.
#[derive(Debug)]
pub(super) enum Open {
    Reading(Reading),
    Writing(Box<Written>),
    Directory(Box<Directory>),
}

/// A file that is open to be read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) file: File,
    /// Where it was opened, to ask again when anything has changed.
    pub(super) place: Place,
    /// When it was last asked.
    pub(super) epoch: u64,
    /// Its length when last looked at, so that no more room is made than there is to read.
    pub(super) length: u64,
}

/// A file that is open to be written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) writing: Writing,
    /// Where it was opened, to ask again when anything has changed.
    pub(super) place: Place,
    /// When it was last asked whether that may be read.
    pub(super) epoch: u64,
    /// Whether it is read too.
    pub(super) reads: bool,
}

impl Open {
    /// Returns what was asked for when this was opened, and when it was last asked.
    pub(super) fn asked(&mut self) -> (&Place, &mut u64) {
        match self {
            Open::Reading(reading) => (&reading.place, &mut reading.epoch),
            Open::Writing(written) => (&written.place, &mut written.epoch),
            Open::Directory(directory) => (&directory.place, &mut directory.epoch),
        }
    }
}

/// The table of what is open. A handle is a slot and a serial number, so that one that is used
/// after its close does not mean a later file in the same slot.
#[derive(Debug)]
pub(super) struct Handles {
    /// How many may be open at once.
    pub(super) most: usize,
    slots: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    serial: u32,
    open: Option<Open>,
}

impl Default for Handles {
    fn default() -> Self {
        Self {
            most: MOST,
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl Handles {
    /// Returns an error while no more may be opened; to be asked before opening.
    pub(super) fn room(&self) -> Result<(), No> {
        if self.free.is_empty() && self.slots.len() >= self.most.min(MOST) {
            return Err(No::Status(
                Code::Failure,
                "Too many files are open in this session; close some first.",
            ));
        }
        Ok(())
    }

    /// Keeps something open. Call [`Handles::room`] before.
    pub(super) fn add(&mut self, open: Open) -> [u8; 4] {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot {
                    serial: 0,
                    open: None,
                });
                self.slots.len() - 1
            }
        };
        let mut serial = 0;
        if let Some(slot) = self.slots.get_mut(index) {
            slot.serial = (slot.serial + 1) & SERIALS;
            slot.open = Some(open);
            serial = slot.serial;
        }
        (serial << INDEX_BITS | u32::try_from(index).unwrap_or_default()).to_be_bytes()
    }

    /// Finds what a handle means.
    pub(super) fn find(&mut self, handle: &[u8]) -> Result<&mut Open, No> {
        self.slot(handle)
            .and_then(|(_, slot)| slot.open.as_mut())
            .ok_or(NO_SUCH_HANDLE)
    }

    /// Finds a file that is being written.
    pub(super) fn find_written(&mut self, handle: &[u8]) -> Result<&mut Written, No> {
        match self.find(handle)? {
            Open::Writing(written) => Ok(written),
            Open::Reading(_) | Open::Directory(_) => Err(NOT_FOR_WRITING),
        }
    }

    /// Takes something out, to be closed.
    pub(super) fn take(&mut self, handle: &[u8]) -> Result<Open, No> {
        let (index, slot) = self.slot(handle).ok_or(NO_SUCH_HANDLE)?;
        let open = slot.open.take().ok_or(NO_SUCH_HANDLE)?;
        self.free.push(index);
        Ok(open)
    }

    fn slot(&mut self, handle: &[u8]) -> Option<(usize, &mut Slot)> {
        let number = u32::from_be_bytes(handle.try_into().ok()?);
        let index = usize::try_from(number & (MOST as u32 - 1)).ok()?;
        let slot = self.slots.get_mut(index)?;
        (slot.serial == number >> INDEX_BITS).then_some((index, slot))
    }
}

const INDEX_BITS: u32 = MOST.trailing_zeros();
const SERIALS: u32 = u32::MAX >> INDEX_BITS;
const NO_SUCH_HANDLE: No = No::Status(Code::Failure, "There is no such handle.");
const NOT_FOR_WRITING: No = No::Status(Code::Failure, "The handle is not open for writing.");
