//! The pack cache: what clones were sent, kept to be sent again. Holds copies of objects that a
//! repository has anyway, so it may be emptied at any time and is at each start.
//!
//! The gateway decides where and how much; `funicular-hook`, started by git, reads and writes the
//! packs.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use nix::sys::statvfs::statvfs;
use policy::SiteName;

use super::tree::RESERVE;
use crate::fault::{Fault, OrFault};

/// The cache of all sites.
#[derive(Debug)]
pub struct PackCache {
    folder: PathBuf,
    most: u64,
    trimming: Mutex<()>,
}

/// What one clone may use of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRoom {
    /// The folder of the site's packs.
    pub folder: PathBuf,
    /// The largest pack that may be kept, in bytes.
    pub most: u64,
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl PackCache {
    /// Empties and opens the cache in `folder`, which may take `most` bytes; 0 for no cache.
    ///
    /// # Errors
    /// When it cannot be emptied or made.
    pub fn open(folder: PathBuf, most: u64) -> Result<Self, Fault> {
        let doing = || format!("emptying the pack cache {}", folder.display());
        // After a power cut a file may have its name and not its bytes.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).or_fault(doing),
            _gone => {}
        }
        if most > 0 {
            private_folder(&folder).or_fault(doing)?;
        }
        Ok(Self {
            folder,
            most,
            trimming: Mutex::new(()),
        })
    }

    /// Returns what a clone of a site may use; `None` when there is no cache, or none can be made.
    pub fn room(&self, site: &SiteName) -> Option<PackRoom> {
        if self.most == 0 {
            return None;
        }
        let folder = self.folder.join(site.as_str());
        let free = fs::create_dir(&folder)
            .or_else(|error| match error.kind() {
                ErrorKind::AlreadyExists => Ok(()),
                _other => Err(error),
            })
            .and_then(|()| Ok(statvfs(&folder)?))
            .map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
        match free {
            Ok(free) => Some(PackRoom {
                folder,
                most: self.most.min(free.saturating_sub(RESERVE)),
            }),
            Err(error) => {
                tracing::warn!("clones of {site} are not cached: {error}");
                None
            }
        }
    }

    /// Removes the packs that were not sent for the longest time until the rest is within bounds,
    /// and what clones that were killed have left.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub fn trim(&self) -> Result<(), Fault> {
        let Ok(_alone) = self.trimming.try_lock() else {
            return Ok(());
        };
        if self.most == 0 {
            return Ok(());
        }
        let mut kept = Vec::new();
        for site in entries(&self.folder)? {
            for path in entries(&site)? {
                kept.extend(look_at(path));
            }
        }
        kept.sort_by_key(|one| one.used);
        let mut bytes: u64 = kept.iter().map(|one| one.bytes).sum();
        for one in kept {
            if bytes <= self.most {
                break;
            }
            // Whoever is sending it holds it open and sends it to its end.
            match fs::remove_file(&one.path) {
                Ok(()) => bytes = bytes.saturating_sub(one.bytes),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => tracing::warn!("removing {}: {error}", one.path.display()),
            }
        }
        Ok(())
    }
}

/// Looks at one file; removes a half pack that nobody is filling.
fn look_at(path: PathBuf) -> Option<Kept> {
    let file = File::open(&path).ok()?;
    if path.extension().is_some_and(|ending| ending == "new") && file.try_lock().is_ok() {
        let _ = fs::remove_file(&path);
        return None;
    }
    let about = file.metadata().ok()?;
    Some(Kept {
        bytes: about.len(),
        used: about.modified().ok()?,
        path,
    })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let doing = || format!("reading {}", folder.display());
    fs::read_dir(folder)
        .or_fault(doing)?
        .map(|entry| Ok(entry.or_fault(doing)?.path()))
        .collect()
}

fn private_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cache(most: u64) -> (tempfile::TempDir, PackCache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = PackCache::open(folder.path().join("packs"), most).unwrap();
        (folder, cache)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = entries(folder)
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_not_sent_for_longest_goes_first() {
        let (_folder, cache) = cache(250);
        let room = cache.room(&"acme".parse().unwrap()).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(1000);
        for (name, age) in [("a.pack", 10), ("b.pack", 0), ("c.pack", 20)] {
            let path = room.folder.join(name);
            fs::write(&path, [0; 100]).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(long_ago + Duration::from_secs(age))
                .unwrap();
        }
        cache.trim().unwrap();
        assert_eq!(names(&room.folder), ["a.pack", "c.pack"]);
        cache.trim().unwrap();
        assert_eq!(names(&room.folder), ["a.pack", "c.pack"]);
    }

    #[test]
    fn a_half_pack_stays_as_long_as_somebody_fills_it() {
        let (_folder, cache) = cache(250);
        let room = cache.room(&"acme".parse().unwrap()).unwrap();
        let path = room.folder.join("a.new");
        let filling = File::create(&path).unwrap();
        filling.lock().unwrap();
        cache.trim().unwrap();
        assert!(path.exists());
        drop(filling);
        cache.trim().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_start_empties_it_and_none_is_none() {
        let (folder, cache) = cache(250);
        let room = cache.room(&"acme".parse().unwrap()).unwrap();
        fs::write(room.folder.join("a.pack"), "a").unwrap();
        let packs = folder.path().join("packs");
        PackCache::open(packs.clone(), 250).unwrap();
        assert!(names(&packs).is_empty());
        let none = PackCache::open(packs.clone(), 0).unwrap();
        assert!(!packs.exists());
        assert_eq!(none.room(&"acme".parse().unwrap()), None);
        none.trim().unwrap();
    }
}
