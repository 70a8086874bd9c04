//! Writes files into a release: shared with another release where both have the same, else out of
//! the repository.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use policy::{SitePath, escape};

use super::{Origin, ReleaseKind};
use crate::fault::{Fault, OrFault};
use crate::site::blobs::Blobs;
use crate::site::contents::{Entry, Kind};
use crate::site::crash;
use crate::site::folder::{Folder, Standing, split, standing};

/// Makes the folders that entries and the link to the uploads lie in; those that are there are right.
pub(super) fn make_folders(
    code: &Folder,
    entries: &[Entry],
    files_path: Option<&SitePath>,
) -> io::Result<()> {
    let uploads = files_path.map(SitePath::as_bytes);
    let mut folders = BTreeSet::new();
    for path in entries.iter().map(|entry| &*entry.path).chain(uploads) {
        let mut above = split(path).0;
        while !above.is_empty() && folders.insert(above) {
            above = split(above).0;
        }
    }
    let mut place = Place::new(code);
    // A folder sorts before what is in it.
    for path in folders {
        let (above, name) = split(path);
        place.at(above)?.make_folder(name)?;
    }
    Ok(())
}

/// The code of a read-only release, and the paths that it has otherwise or not at all.
pub(super) type Shareable = (Folder, HashSet<Vec<u8>>);

/// What is to be written where.
pub(super) struct Plan<'a> {
    /// The code folder of the release.
    pub code: &'a Folder,
    /// What is to come into it.
    pub entries: &'a [Entry],
    /// Whether people may write in it.
    pub kind: ReleaseKind,
    /// What files may be shared with.
    pub shareable: Option<Shareable>,
}

impl Plan<'_> {
    /// Writes all entries, in two threads if they are many, and returns how many of them are shared.
    pub(super) fn carry_out(&self, origin: &Origin<'_>) -> Result<usize, Fault> {
        let next = AtomicUsize::new(0);
        let (repository, quarantine) = (origin.repository.path(), origin.quarantine);
        let progress = origin.progress;
        let work = || -> Result<usize, Fault> {
            let blobs = Blobs::open(repository, quarantine)?;
            let mut to = Place::new(self.code);
            let mut from = self.shareable.as_ref().map(|(from, _)| Place::new(from));
            let mut shared = 0;
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                let batch = self.entries.iter().skip(start).take(BATCH);
                if batch.len() == 0 {
                    return Ok(shared);
                }
                for entry in batch {
                    if self.share(from.as_mut(), &mut to, entry) {
                        shared += 1;
                    } else {
                        self.write(&blobs, &mut to, entry)?;
                    }
                }
                if let Some(tell) = progress {
                    let all = self.entries.len();
                    tell(all.min(start + BATCH), all);
                }
                if start <= self.entries.len() / 2 {
                    crash::point("prepare-middle");
                }
            }
        };
        std::thread::scope(|scope| {
            let beside = (self.entries.len() > BATCH).then(|| scope.spawn(work));
            let here = work();
            let there = beside.map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Fault::new("a thread that wrote a release died")))
            });
            Ok(here? + there.unwrap_or(Ok(0))?)
        })
    }

    fn share(&self, from: Option<&mut Place<'_>>, to: &mut Place<'_>, entry: &Entry) -> bool {
        let (Some(from), Some((_, other)), Some(mode)) =
            (from, &self.shareable, self.mode(entry.kind))
        else {
            return false;
        };
        if other.contains(&entry.path) {
            return false;
        }
        let (above, name) = split(&entry.path);
        let (Ok(from), Ok(to)) = (from.at(above), to.at(above)) else {
            return false;
        };
        // A file that its owner may write is no part of a read-only release, whoever says so.
        let right = from
            .stat(name)
            .is_ok_and(|stat| standing(&stat) == Standing::File && stat.st_mode & 0o7777 == mode);
        // A file can have only so many names; then it gets a copy of its own.
        right && to.share_file(from, name).is_ok()
    }

    fn write(&self, blobs: &Blobs, place: &mut Place<'_>, entry: &Entry) -> Result<(), Fault> {
        let doing = || format!("writing {} of a release", escape(&entry.path));
        let (above, name) = split(&entry.path);
        let folder = place.at(above).or_fault(doing)?;
        match self.mode(entry.kind) {
            Some(mode) => {
                let file = folder.create_file(name, mode).or_fault(doing)?;
                blobs.copy(entry.oid, file).or_fault(doing)
            }
            None => {
                let target = blobs.read(entry.oid)?;
                folder.make_link(name, &target).or_fault(doing)
            }
        }
    }

    /// Returns the permissions of a file; links have none.
    fn mode(&self, kind: Kind) -> Option<u32> {
        match (self.kind, kind) {
            (ReleaseKind::ReadOnly, Kind::File) => Some(0o444),
            (ReleaseKind::ReadOnly, Kind::Executable) => Some(0o555),
            (ReleaseKind::Writable, Kind::File) => Some(0o644),
            (ReleaseKind::Writable, Kind::Executable) => Some(0o755),
            (_, Kind::Link) => None,
        }
    }
}

/// The folder that was last used beneath another, since files come folder by folder.
pub(super) struct Place<'a> {
    root: &'a Folder,
    last: Option<(Vec<u8>, Folder)>,
}

impl<'a> Place<'a> {
    pub(super) fn new(root: &'a Folder) -> Self {
        Self { root, last: None }
    }

    /// Returns the folder of this path.
    pub(super) fn at(&mut self, path: &[u8]) -> io::Result<&Folder> {
        let folder = match self.last.take() {
            Some((last, folder)) if last == path => folder,
            _other => self.root.below(path)?,
        };
        Ok(&self.last.insert((path.to_vec(), folder)).1)
    }
}

/// Counts the files and links beneath a folder.
pub(super) fn count(folder: &Folder) -> io::Result<usize> {
    let mut sum = 0;
    for (name, is_folder) in folder.listing()? {
        sum += if is_folder {
            count(&folder.below(&name)?)?
        } else {
            1
        };
    }
    Ok(sum)
}

/// So many files are written at a time by one thread: most of a folder's, so that both seldom open
/// the same one.
const BATCH: usize = 64;
