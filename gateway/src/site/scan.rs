//! Walks a code tree as it is on the disk. Others may change it at the same time: what goes away
//! meanwhile was never there.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use git2::{ObjectType, Oid};
use nix::sys::stat::FileStat;
use policy::{SitePath, escape};

use super::blobs::IN_MEMORY;
use super::contents::{Entry, Kind, MAX_DEPTH};
use super::folder::{Folder, Standing, gone, is_other_kind, standing};
use super::ignore::Patterns;
use super::jobs::Jobs;
use crate::fault::{Fault, OrFault};

/// What a scan looks for.
#[derive(Clone, Copy)]
pub(super) enum Looking<'a> {
    /// Everything that lies there, as a release should hold nothing else.
    Everything,
    /// What git would commit: no special files, nothing that is git's own, nothing ignored.
    Work {
        /// What the commit holds; that is never ignored.
        tracked: &'a [Entry],
        /// Finds ignored files too.
        with_ignored: bool,
    },
}

/// A file or link on the disk.
#[derive(Debug)]
pub(super) struct Found {
    /// The path from the top.
    pub path: Vec<u8>,
    /// What it is; none for special files.
    pub kind: Option<Kind>,
    /// Its description.
    pub stat: FileStat,
}

/// What a scan found, in the order of paths.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Files and links.
    pub found: Vec<Found>,
    /// Ignored files, and folders that hold nothing else, which were not looked into.
    pub ignored: Vec<Vec<u8>>,
}

/// Walks the tree at `root`; `skip` is left out, whatever it is.
pub(super) fn scan(
    root: &Folder,
    skip: Option<&SitePath>,
    looking: Looking<'_>,
) -> Result<Scan, Fault> {
    let jobs = Jobs::new(Job {
        path: Vec::new(),
        above: None,
        ignored: false,
        depth: 0,
    });
    let walk = || {
        let mut walk = Walk {
            root,
            skip: skip.map(SitePath::as_bytes),
            looking,
            scan: Scan::default(),
        };
        jobs.work(|job| walk.folder(job)).map(|()| walk.scan)
    };
    let mut scan = std::thread::scope(|scope| {
        let beside: Vec<_> = (1..threads()).map(|_| scope.spawn(walk)).collect();
        let mut all = walk();
        for thread in beside {
            let there = thread
                .join()
                .unwrap_or_else(|_| Err(Fault::new("a thread that read a code tree died")));
            all = all.and_then(|mut all| {
                let mut there = there?;
                all.found.append(&mut there.found);
                all.ignored.append(&mut there.ignored);
                Ok(all)
            });
        }
        all
    })?;
    scan.found
        .sort_unstable_by(|one, other| one.path.cmp(&other.path));
    scan.ignored.sort_unstable();
    Ok(scan)
}

/// Half of the machine's, since others work on it too, but two where there are two.
fn threads() -> usize {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    (all / 2).clamp(all.min(2), 4)
}

/// Goes through a commit and the disk in the order of paths.
pub(super) fn pair<'a>(
    entries: &'a [Entry],
    found: &'a [Found],
) -> Vec<(Option<&'a Entry>, Option<&'a Found>)> {
    let mut pairs = Vec::with_capacity(found.len());
    let (mut entries, mut found) = (entries.iter().peekable(), found.iter().peekable());
    loop {
        let order = match (entries.peek(), found.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(entry), Some(file)) => entry.path.cmp(&file.path),
        };
        pairs.push(match order {
            std::cmp::Ordering::Less => (entries.next(), None),
            std::cmp::Ordering::Greater => (None, found.next()),
            std::cmp::Ordering::Equal => (entries.next(), found.next()),
        });
    }
}

/// Returns the object that would hold a file's or link's bytes; none if it has gone, or is
/// something else by now.
pub(super) fn hash(root: &Folder, path: &[u8], kind: Kind) -> io::Result<Option<Oid>> {
    let hashed = match kind {
        Kind::Link => root.parent_of(path).and_then(|(folder, name)| {
            let target = folder.link_target(name)?;
            Oid::hash_object(ObjectType::Blob, &target).map_err(io::Error::other)
        }),
        Kind::File | Kind::Executable => root.open_file(path).and_then(hash_file),
    };
    match hashed {
        Ok(oid) => Ok(Some(oid)),
        Err(error) if gone(&error) || is_other_kind(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn hash_file(mut file: File) -> io::Result<Oid> {
    let size = file.metadata()?.len();
    if size > IN_MEMORY as u64 {
        // libgit2 hashes by path; this one leads to the open file wherever its name has gone.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        return Oid::hash_file(ObjectType::Blob, path).map_err(io::Error::other);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.read_to_end(&mut bytes)?;
    Oid::hash_object(ObjectType::Blob, &bytes).map_err(io::Error::other)
}

struct Walk<'a> {
    root: &'a Folder,
    skip: Option<&'a [u8]>,
    looking: Looking<'a>,
    scan: Scan,
}

/// A folder that is to be walked.
struct Job {
    /// Its path, ending in a slash but for the top.
    path: Vec<u8>,
    above: Option<Arc<Above>>,
    ignored: bool,
    depth: usize,
}

/// The patterns of a folder, and of those above it.
struct Above {
    /// How long the folder's path is.
    length: usize,
    patterns: Patterns,
    above: Option<Arc<Above>>,
}

impl Walk<'_> {
    /// Walks one folder; returns those in it.
    fn folder(&mut self, job: Job) -> Result<Vec<Job>, Fault> {
        let mut path = job.path;
        if job.depth > MAX_DEPTH {
            return Err(Fault::new(format!(
                "the folder {} is nested too deeply",
                escape(&path)
            )));
        }
        let doing = |path: &[u8]| format!("reading the folder {}", escape(path));
        let folder = match self.root.below(path.strip_suffix(b"/").unwrap_or(&path)) {
            Ok(folder) => folder,
            Err(error) if gone(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error).or_fault(|| doing(&path)),
        };
        let names = folder.names().or_fault(|| doing(&path))?;
        let mut above = job.above;
        if let Looking::Work { .. } = self.looking
            && !job.ignored
            && names.iter().any(|name| name == b".gitignore")
            && let Some(patterns) = read_patterns(&folder).or_fault(|| doing(&path))?
        {
            above = Some(Arc::new(Above {
                length: path.len(),
                patterns,
                above,
            }));
        }
        let mut below = Vec::new();
        let length = path.len();
        for name in names {
            path.extend_from_slice(&name);
            if let Some(ignored) =
                self.name(&folder, &name, &mut path, above.as_deref(), job.ignored)?
            {
                below.push(Job {
                    path: path.clone(),
                    above: above.clone(),
                    ignored,
                    depth: job.depth + 1,
                });
            }
            path.truncate(length);
        }
        Ok(below)
    }

    /// Looks at one name; for a folder that is to be walked, says whether it is ignored.
    fn name(
        &mut self,
        folder: &Folder,
        name: &[u8],
        path: &mut Vec<u8>,
        above: Option<&Above>,
        ignored: bool,
    ) -> Result<Option<bool>, Fault> {
        let work = match self.looking {
            Looking::Everything => None,
            Looking::Work {
                tracked,
                with_ignored,
            } => Some((tracked, with_ignored)),
        };
        if self.skip == Some(path) || work.is_some() && is_never_work(name) {
            return Ok(None);
        }
        let stat = match folder.stat(name) {
            Ok(stat) => stat,
            Err(error) if gone(&error) => return Ok(None),
            Err(error) => return Err(error).or_fault(|| format!("reading {}", escape(path))),
        };
        let kind = match standing(&stat) {
            Standing::Folder => {
                let ignored = ignored || work.is_some() && ignores(above, path, true);
                path.push(b'/');
                if let Some((tracked, false)) = work
                    && ignored
                    && !holds_folder(tracked, path)
                {
                    self.scan.ignored.push(path.clone());
                    return Ok(None);
                }
                return Ok(Some(ignored));
            }
            Standing::File if stat.st_mode & 0o100 != 0 => Some(Kind::Executable),
            Standing::File => Some(Kind::File),
            Standing::Link => Some(Kind::Link),
            Standing::Special => None,
        };
        if let Some((tracked, with_ignored)) = work {
            if kind.is_none() {
                return Ok(None);
            }
            let ignored = (ignored || ignores(above, path, false)) && !holds_file(tracked, path);
            if ignored && !with_ignored {
                self.scan.ignored.push(path.clone());
                return Ok(None);
            }
        }
        self.scan.found.push(Found {
            path: path.clone(),
            kind,
            stat,
        });
        Ok(None)
    }
}

/// Asks the nearest `.gitignore` that has a word to say.
fn ignores(mut above: Option<&Above>, path: &[u8], folder: bool) -> bool {
    while let Some(here) = above {
        let below = path.get(here.length..).unwrap_or_default();
        if let Some(said) = here.patterns.ignores(below, folder) {
            return said;
        }
        above = here.above.as_deref();
    }
    false
}

/// Reads the patterns of a folder; a link, or something that is no file, has none, as in git.
fn read_patterns(folder: &Folder) -> io::Result<Option<Patterns>> {
    let right = folder
        .stat(b".gitignore")
        .is_ok_and(|stat| standing(&stat) == Standing::File);
    if !right {
        return Ok(None);
    }
    let file = match folder.open_file(b".gitignore") {
        Ok(file) => file,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MAX_PATTERNS + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_PATTERNS {
        return Err(io::Error::other("its .gitignore is too large"));
    }
    Ok(Some(Patterns::parse(&text)))
}

/// Git's own directory, and the one in which rsync keeps files until all take their places
/// (`--delay-updates`, rsync(1)): what a cut-off transfer left there is no work of anybody's.
fn is_never_work(name: &[u8]) -> bool {
    name == b".~tmp~" || SitePath::normalize(name).is_ok_and(|name| name.names_git_directory())
}

fn holds_file(tracked: &[Entry], path: &[u8]) -> bool {
    tracked
        .binary_search_by(|entry| entry.path.as_slice().cmp(path))
        .is_ok()
}

/// `path` ends in a slash.
fn holds_folder(tracked: &[Entry], path: &[u8]) -> bool {
    let at = tracked.partition_point(|entry| entry.path.as_slice() < path);
    tracked
        .get(at)
        .is_some_and(|entry| entry.path.starts_with(path))
}

/// No person writes more patterns than this.
const MAX_PATTERNS: u64 = 1 << 20;
