//! What waits for a command in a file, which has no name and so is gone when nobody has it open.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes that wait in a file; a client that sends more than that is held back after all.
const SPILLED: u64 = 16 << 30;

/// Bytes that are left free on the file system of that file.
const LEFT_FREE: u64 = 2 << 30;

/// Bytes read from that file at once, and after how many more it is asked how much is free.
const PIECE: usize = 256 << 10;
const LOOKED: u64 = 16 << 20;

/// A file without a name that holds what came after all that is in memory.
#[derive(Debug)]
pub(super) struct Spilled {
    file: File,
    written: u64,
    read: u64,
    looked: u64,
}

impl Spilled {
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let name = folder.join(format!("input-{:016x}", getrandom::u64()?));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&name)?;
        std::fs::remove_file(&name)?;
        Ok(Self {
            file,
            written: 0,
            read: 0,
            looked: 0,
        })
    }

    pub(super) fn holds_some(&self) -> bool {
        self.written > self.read
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if self.written >= SPILLED {
            return Ok(false);
        }
        if self.written >= self.looked {
            let there = nix::sys::statvfs::fstatvfs(&self.file)?;
            if there.blocks_available() as u64 * there.fragment_size() as u64 <= LEFT_FREE {
                return Ok(false);
            }
            self.looked = self.written + LOOKED;
        }
        self.file.write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(true)
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let left = self.written - self.read;
        if left == 0 {
            return Ok(None);
        }
        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; length];
        self.file.read_exact_at(&mut piece, self.read)?;
        self.read += length as u64;
        if self.read == self.written {
            self.file.set_len(0)?;
            (self.read, self.written, self.looked) = (0, 0, 0);
        }
        Ok(Some(piece))
    }
}
