//! Files that may change while the gateway runs.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::revoked::{fingerprint, key_blob};

/// The largest file that is read, in bytes; a list of a million serials fits.
const LARGEST: u64 = 16 << 20;

/// By what a change of a file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Looks at a file; nothing for one that is not there.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// A file, read whole and within bounds.
pub(super) struct Watched<'a>(pub &'a Path);

impl Watched<'_> {
    /// Reads it.
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        let found = fs::metadata(self.0).map_err(|error| error.to_string())?;
        // Opening a pipe would wait for its other end.
        if !found.is_file() {
            return Err("it is no file".to_owned());
        }
        let file = File::open(self.0).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        file.take(LARGEST.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("it is larger than {LARGEST} bytes"));
        }
        Ok(bytes)
    }
}

/// Reads the public keys in a file, one a line; returns their fingerprints.
pub(super) fn authorities(path: &Path) -> Result<Vec<String>, String> {
    let bytes = Watched(path).read()?;
    let text = String::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            key_blob(line)
                .map(|blob| fingerprint(&blob))
                .ok_or_else(|| "a line of it is no public key".to_owned())
        })
        .collect()
}
