//! Builds a generation that nobody points to yet.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use git2::Oid;
use policy::{SitePath, escape};

use super::pointer::{HALF_BUILT, next, remove};
use super::{Origin, Prepared, ReleaseKind, Reuse};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::blobs::Blobs;
use crate::site::contents::{Entry, Kind, contents};
use crate::site::folder::{Folder, Standing, gone, split, standing};
use crate::site::layout::{EnvironmentLayout, uploads_link};
use crate::site::{covers, crash};

/// Builds the next generation of an environment from a commit.
///
/// # Errors
/// When it cannot be built; what was built of it is removed.
pub fn prepare(
    permit: &Permit,
    environment: &EnvironmentLayout,
    origin: &Origin<'_>,
    kind: ReleaseKind,
    files_path: Option<&SitePath>,
    reuse: Option<Reuse<'_>>,
) -> Result<Prepared, Fault> {
    covers(permit, environment.site())?;
    let generation = next(environment)?;
    let doing = || {
        format!(
            "preparing generation {generation} of {}",
            environment.name()
        )
    };
    let generations = Folder::open(&environment.generations()).or_fault(doing)?;
    let name = generation.to_string().into_bytes();
    let half = [&name, HALF_BUILT].concat();
    generations.remove_all(&half).or_fault(doing)?;
    let built = generations
        .make_folder(&half)
        .or_fault(doing)
        .and_then(|folder| build(&folder, origin, kind, files_path, reuse))
        .and_then(|counts| {
            generations
                .rename(&half, &generations, &name)
                .inspect(|()| crash::point("generation-named"))
                // Without this a power cut after the switch leaves a tree of empty files.
                .and_then(|()| generations.sync_file_system())
                .or_fault(doing)?;
            Ok(counts)
        });
    let (entries, shared) = match built {
        Ok(counts) => counts,
        Err(fault) => {
            let cleared = generations
                .remove_all(&half)
                .and_then(|()| remove(environment, generation));
            if let Err(error) = cleared {
                tracing::warn!("half of generation {generation} could not be removed: {error}");
            }
            return Err(fault);
        }
    };
    crash::point("prepare-end");
    Ok(Prepared {
        generation,
        entries,
        shared,
    })
}

/// Removes a generation that is not wanted after all.
///
/// # Errors
/// When it cannot be removed.
pub fn discard(
    permit: &Permit,
    environment: &EnvironmentLayout,
    prepared: Prepared,
) -> Result<(), Fault> {
    covers(permit, environment.site())?;
    let Prepared { generation, .. } = prepared;
    remove(environment, generation).or_fault(|| format!("removing generation {generation}"))
}

/// Returns the commit that a code folder was built from, and how, as was written down beside it
/// when it was built; nothing if there is no such folder.
///
/// # Errors
/// When that cannot be read.
pub fn built_from(code: &Path) -> Result<Option<(Oid, ReleaseKind)>, Fault> {
    let doing = || format!("reading what {} was built from", code.display());
    let record = match fs::read_to_string(code.with_file_name("built-from")) {
        Ok(record) => record,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(error).or_fault(doing),
    };
    record
        .trim_end()
        .split_once(' ')
        .and_then(|(commit, kind)| {
            let kinds = [ReleaseKind::ReadOnly, ReleaseKind::Writable];
            let kind = kinds.into_iter().find(|known| known.as_str() == kind)?;
            Some(Some((commit.parse().ok()?, kind)))
        })
        .ok_or_else(|| Fault::new(format!("{}: it is no record of a release", doing())))
}

/// Builds a generation in an empty folder; returns how many entries it has and how many of them
/// are shared.
fn build(
    folder: &Folder,
    origin: &Origin<'_>,
    kind: ReleaseKind,
    files_path: Option<&SitePath>,
    reuse: Option<Reuse<'_>>,
) -> Result<(usize, usize), Fault> {
    let doing = || "making the folders of a release";
    let entries = contents(origin.repository, origin.commit)?;
    folder.make_link(b"files", b"../../files").or_fault(doing)?;
    let code = folder.make_folder(b"code").or_fault(doing)?;
    make_folders(&code, &entries, files_path).or_fault(doing)?;
    let mut plan = Plan {
        code: &code,
        entries: &entries,
        kind,
        shareable: None,
    };
    let record = format!("{} {}\n", origin.commit, kind.as_str());
    folder
        .create_file(BUILT_FROM, 0o444)
        .and_then(|mut file| file.write_all(record.as_bytes()))
        .or_fault(doing)?;
    if let (ReleaseKind::ReadOnly, Some(reuse)) = (kind, reuse)
        && built_from(reuse.code)? == Some((reuse.commit, ReleaseKind::ReadOnly))
    {
        let known = contents(origin.repository, reuse.commit)?;
        let known = known
            .into_iter()
            .map(|entry| (entry.path, (entry.oid, entry.kind)));
        let from = Folder::open(reuse.code).or_fault(|| "opening the release to share with")?;
        plan.shareable = Some((from, known.collect()));
    }
    crash::point("folders-made");
    let shared = plan.carry_out(origin)?;
    crash::point("files-written");
    if let Some(path) = files_path {
        let (above, name) = split(path.as_bytes());
        code.below(above)
            .and_then(|above| above.make_link(name, &uploads_link(path)))
            .or_fault(|| format!("making the link at {path} to the uploads"))?;
    }
    let expected = entries.len() + usize::from(files_path.is_some());
    let found = count(&code).or_fault(|| "verifying a release")?;
    if found != expected {
        return Err(Fault::new(format!(
            "verifying a release: it has {found} files where its commit has {expected}"
        )));
    }
    Ok((entries.len(), shared))
}

fn make_folders(code: &Folder, entries: &[Entry], files_path: Option<&SitePath>) -> io::Result<()> {
    let uploads = files_path.map(SitePath::as_bytes);
    let mut folders = BTreeSet::new();
    for path in entries.iter().map(|entry| &*entry.path).chain(uploads) {
        let mut above = split(path).0;
        while !above.is_empty() && folders.insert(above) {
            above = split(above).0;
        }
    }
    // A folder sorts before what is in it.
    for path in folders {
        let (above, name) = split(path);
        code.below(above)?.make_folder(name)?;
    }
    Ok(())
}

/// What is to be written where.
struct Plan<'a> {
    code: &'a Folder,
    entries: &'a [Entry],
    kind: ReleaseKind,
    /// A read-only release, and what its commit holds.
    shareable: Option<(Folder, Contents)>,
}

/// What a commit holds, by path.
type Contents = HashMap<Vec<u8>, (Oid, Kind)>;

impl Plan<'_> {
    /// Writes all entries and returns how many of them are shared. First those that can be shared,
    /// which is quick; then the rest, in two threads.
    fn carry_out(&self, origin: &Origin<'_>) -> Result<usize, Fault> {
        let own = self.share_all();
        let next = AtomicUsize::new(0);
        let (repository, quarantine) = (origin.repository.path(), origin.quarantine);
        let write = || -> Result<(), Fault> {
            let blobs = Blobs::open(repository, quarantine)?;
            let mut place = Place::new(self.code);
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                let batch = own.iter().skip(from).take(BATCH);
                if batch.len() == 0 {
                    return Ok(());
                }
                for entry in batch {
                    self.write(&blobs, &mut place, entry)?;
                }
                if from <= own.len() / 2 {
                    crash::point("prepare-middle");
                }
            }
        };
        std::thread::scope(|scope| {
            let beside = (own.len() > BATCH).then(|| scope.spawn(write));
            let here = write();
            let there = beside.map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Fault::new("a thread that wrote a release died")))
            });
            here.and(there.unwrap_or(Ok(())))
        })?;
        Ok(self.entries.len() - own.len())
    }

    /// Shares what can be shared; returns the rest.
    fn share_all(&self) -> Vec<&Entry> {
        let Some((from, known)) = &self.shareable else {
            return self.entries.iter().collect();
        };
        let (mut from, mut to) = (Place::new(from), Place::new(self.code));
        let cannot_share = |entry: &&Entry| {
            let same = known.get(&entry.path) == Some(&(entry.oid, entry.kind));
            !same || !self.share(&mut from, &mut to, entry)
        };
        self.entries.iter().filter(cannot_share).collect()
    }

    fn share(&self, from: &mut Place<'_>, to: &mut Place<'_>, entry: &Entry) -> bool {
        let (above, name) = split(&entry.path);
        let (Ok(from), Ok(to), Some(mode)) = (from.at(above), to.at(above), self.mode(entry.kind))
        else {
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
struct Place<'a> {
    root: &'a Folder,
    last: Option<(Vec<u8>, Folder)>,
}

impl<'a> Place<'a> {
    fn new(root: &'a Folder) -> Self {
        Self { root, last: None }
    }

    fn at(&mut self, path: &[u8]) -> io::Result<&Folder> {
        let folder = match self.last.take() {
            Some((last, folder)) if last == path => folder,
            _other => self.root.below(path)?,
        };
        Ok(&self.last.insert((path.to_vec(), folder)).1)
    }
}

fn count(folder: &Folder) -> io::Result<usize> {
    let mut count = 0;
    for name in folder.names()? {
        if standing(&folder.stat(&name)?) == Standing::Folder {
            count += self::count(&folder.below(&name)?)?;
        } else {
            count += 1;
        }
    }
    Ok(count)
}

/// So many files are written at a time by one thread.
const BATCH: usize = 32;
/// The record beside a release's code.
const BUILT_FROM: &[u8] = b"built-from";
