//! How much a folder holds, counted by two threads.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use nix::dir::{Dir, Type};

use super::Usage;
use super::copy::deep;
use crate::fault::{Fault, OrFault};
use crate::site::folder::{Folder, Standing, gone, is_other_kind, standing};

/// Counts what is below a folder, which may change meanwhile; what cannot be read counts nothing.
///
/// # Errors
/// When the folder itself cannot be read.
pub fn usage(folder: &Path) -> Result<Usage, Fault> {
    usage_of(&Folder::open(folder).or_fault(|| "counting files")?)
}

/// The same for a folder that is open.
///
/// # Errors
/// When a thread of it fails.
pub(in crate::site) fn usage_of(top: &Folder) -> Result<Usage, Fault> {
    let left = Mutex::new(Left {
        folders: vec![Vec::new()],
        busy: 0,
    });
    let wake = Condvar::new();
    let count = || {
        let mut sum = Usage::default();
        while let Some(path) = next(&left, &wake) {
            let below = one(top, &path, &mut sum);
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            left.busy -= 1;
            left.folders.extend(below);
            drop(left);
            wake.notify_all();
        }
        sum
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(count);
        (count(), other.join())
    });
    let other = other.map_err(|_| Fault::new("counting files"))?;
    Ok(Usage {
        bytes: one.bytes.saturating_add(other.bytes),
        files: one.files.saturating_add(other.files),
    })
}

struct Left {
    folders: Vec<Vec<u8>>,
    busy: usize,
}

fn next(left: &Mutex<Left>, wake: &Condvar) -> Option<Vec<u8>> {
    let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(path) = left.folders.pop() {
            left.busy += 1;
            return Some(path);
        }
        if left.busy == 0 {
            return None;
        }
        left = wake.wait(left).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Counts what is right in a folder; returns the folders in it.
fn one(top: &Folder, path: &[u8], sum: &mut Usage) -> Vec<Vec<u8>> {
    let mut below = Vec::new();
    let opened = deep(top, path).and_then(|folder| {
        let listed = folder.as_fd().try_clone_to_owned()?;
        Ok((folder, Dir::from_fd(listed)?))
    });
    let (folder, mut listing) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            if !gone(&error) && !is_other_kind(&error) {
                tracing::warn!("a folder could not be counted: {error}");
            }
            return below;
        }
    };
    for entry in listing.iter().flatten() {
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        sum.files += 1;
        if entry.file_type() != Some(Type::Directory) {
            match folder.stat(name) {
                Ok(stat) if standing(&stat) == Standing::File => {
                    sum.bytes = sum.bytes.saturating_add(stat.st_size.unsigned_abs());
                    continue;
                }
                Ok(stat) if standing(&stat) == Standing::Folder => {}
                Ok(_) | Err(_) => continue,
            }
        }
        let mut path = path.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        below.push(path);
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_and_links_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("a/b/c")).unwrap();
        std::fs::write(at("one"), [0; 10]).unwrap();
        std::fs::write(at("a/b/two"), [0; 7]).unwrap();
        std::os::unix::fs::symlink("/usr", at("a/link")).unwrap();
        std::fs::File::create(at("a/hole"))
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
        let held = usage(folder.path()).unwrap();
        assert_eq!(held.bytes, (1 << 30) + 17);
        assert_eq!(held.files, 7);
        assert!(usage(&at("none")).is_err());
    }
}
