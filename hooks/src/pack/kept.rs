//! Packs that are kept: one file each, `KEY.pack`, the pack's bytes and then their sum under its key
//! (see `sum.rs`). A file of that name is whole: it is written as `KEY.new` and renamed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::sum::{self, Sum};

/// Packs below this are made again faster than they are worth a file; in bytes.
const SMALL: usize = 512 * 1024;

/// Sends the pack that is kept under a key, and says whether there was one. What is read is
/// compared with its sum before the first byte is sent.
pub(super) fn send(folder: &Path, key: &str) -> io::Result<bool> {
    let path = folder.join(format!("{key}.pack"));
    let Ok(file) = File::open(&path) else {
        return Ok(false);
    };
    let Ok(length) = whole(&file, key) else {
        // Nobody but us writes here, so a disk or a memory has changed it.
        let _ = fs::remove_file(&path);
        return Ok(false);
    };
    // Least recently used goes first when the gateway makes room.
    let _ = file.set_modified(SystemTime::now());
    let mut output = io::stdout().lock();
    // From file to pipe inside the kernel.
    let sent = io::copy(&mut file.take(length), &mut output)?;
    output.flush()?;
    if sent == length {
        Ok(true)
    } else {
        Err(io::Error::other(
            "a kept pack became shorter while it was read",
        ))
    }
}

/// Returns the length of the pack in a file that holds one and its sum.
fn whole(file: &File, key: &str) -> io::Result<u64> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let length = file
        .metadata()?
        .len()
        .checked_sub(sum::LENGTH as u64)
        .ok_or_else(broken)?;
    let mut there = [0; sum::LENGTH];
    file.read_exact_at(&mut there, length)?;
    if sum::of_file(file, length, key)? == there {
        Ok(length)
    } else {
        Err(broken())
    }
}

/// A pack on its way into the cache. Whatever goes wrong, it is not kept, and nobody is told.
#[derive(Debug)]
pub(super) struct Filling {
    folder: PathBuf,
    key: String,
    most: u64,
    length: u64,
    sum: Sum,
    /// The beginning, until it is clear that the pack is not small.
    begun: Vec<u8>,
    file: Option<File>,
    given_up: bool,
}

impl Filling {
    /// Makes one for a pack of at most `most` bytes.
    pub(super) fn new(folder: PathBuf, key: String, most: u64) -> Self {
        Self {
            sum: Sum::new(&key),
            folder,
            key,
            most,
            length: 0,
            begun: Vec::new(),
            file: None,
            given_up: most == 0,
        }
    }

    /// Takes the next bytes of the pack.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if !self.given_up && self.try_to_take(bytes).is_err() {
            self.give_up();
        }
    }

    /// Keeps the pack, which is complete.
    pub(super) fn keep(mut self) {
        if !self.given_up && self.try_to_keep().is_err() {
            self.give_up();
        }
    }

    fn try_to_take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length = self.length.saturating_add(bytes.len() as u64);
        if self.length > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.sum.update(bytes);
        if let Some(file) = &mut self.file {
            return file.write_all(bytes);
        }
        self.begun.extend_from_slice(bytes);
        if self.begun.len() < SMALL {
            return Ok(());
        }
        let claimed = self.claim()?;
        self.file
            .insert(claimed)
            .write_all(&std::mem::take(&mut self.begun))
    }

    fn try_to_keep(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.write_all(&self.sum.clone().finish())?;
        fs::rename(self.path("new"), self.path("pack"))?;
        self.file = None;
        Ok(())
    }

    /// Opens the file for the pack, unless another clone is filling it: whoever holds its lock
    /// does, and a lock ends with its process.
    fn claim(&self) -> io::Result<File> {
        let path = self.path("new");
        let file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        file.try_lock().map_err(io::Error::from)?;
        // Between the two calls the other may have renamed it: then it is a whole pack.
        let (ours, there) = (file.metadata()?, fs::metadata(&path)?);
        if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        file.set_len(0)?;
        Ok(file)
    }

    fn give_up(&mut self) {
        self.given_up = true;
        self.begun = Vec::new();
        if self.file.take().is_some() {
            let _ = fs::remove_file(self.path("new"));
        }
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.key))
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.give_up();
    }
}
