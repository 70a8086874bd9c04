//! A tree made like another, by two threads: folders are jobs, and the files of a large folder are
//! shared out in batches, so that neither one folder of 100,000 files nor a tree of any depth is
//! done by one thread, or held in memory or in handles.

mod content;
mod file;
mod folder;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::Quiet;

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Copied, Deleting, Room};
use crate::database::{Trouble, Watcher};
use crate::fault::OrFault;
use crate::site::folder::Folder;

/// Makes `target` like `source`. What `target` holds already and is the same (length, times of
/// change to the nanosecond, rights, kind, where a link leads) stays, so that a former content
/// brought up to date costs only what has changed; what differs is written to a file of its own
/// first, so that whoever still reads the old one reads it whole.
///
/// Files, folders and links are copied with holes, times and rights, by shared blocks where the
/// file system can; several names of one file become several files, so that nothing is ever shared
/// with another environment. A file that changes meanwhile is copied again, one that vanishes is
/// left out. Nothing is made durable: that is the caller's, for the whole file system at once.
///
/// # Errors
/// [`Trouble`]; the target is then something between.
pub fn copy(
    source: &Path,
    target: &Path,
    deleting: Deleting,
    room: &Room,
    watcher: &dyn Watcher,
) -> Result<Copied, Trouble> {
    let opening = || "opening the files to copy";
    let source = Folder::open(source).or_fault(opening)?;
    match std::fs::DirBuilder::new().mode(0o700).create(target) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(super::room::not_written(error, || {
                "making the folder for copied files".to_owned()
            }));
        }
        _ => {}
    }
    let target = Folder::open(target).or_fault(opening)?;
    let work = Work::new(&source, &target, deleting, room, watcher);
    let root = Node::root();
    work.push(Job::Folder(root));
    std::thread::scope(|scope| {
        for _ in 1..THREADS {
            scope.spawn(|| work.run());
        }
        work.run();
    });
    work.end()
}

/// Copies the content of a file into an empty one; returns whether blocks are shared. `clones` says,
/// and learns, whether they may be.
pub(super) fn file_content(
    source: &File,
    target: &File,
    size: u64,
    clones: &AtomicBool,
    watcher: &dyn Watcher,
) -> Result<bool, Trouble> {
    let ends = Ends { source, target };
    let mut go_on = || match watcher.stopped() {
        true => Err(Trouble::Stopped),
        false => Ok(()),
    };
    content::copy(&ends, size, clones, &mut go_on)
        .map_err(|failure| failure.trouble(|| "copying a file".to_owned()))
}

/// All that the threads share.
struct Work<'a> {
    source: &'a Folder,
    target: &'a Folder,
    deleting: Deleting,
    room: &'a Room,
    watcher: &'a dyn Watcher,
    queue: Mutex<Queue>,
    wake: Condvar,
    stop: AtomicBool,
    /// Whether blocks may yet be shared between these file systems.
    clones: AtomicBool,
    count: Count,
    temporary: AtomicU64,
}

#[derive(Default)]
struct Count {
    files: AtomicU64,
    bytes: AtomicU64,
    copied: AtomicU64,
    reflinked: AtomicU64,
    removed: AtomicU64,
    skipped: AtomicU64,
    told: AtomicU64,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    /// Batches among the jobs; each holds two handles.
    batches: usize,
    /// Threads at a job, which may make more.
    busy: usize,
    failed: Option<Trouble>,
    skipped: Vec<String>,
}

/// Something to do.
enum Job {
    /// A folder: what it no longer has is removed, what it has is copied.
    Folder(Arc<Node>),
    /// Some of the files and links right in a folder.
    Batch(Arc<Pair>, Vec<Vec<u8>>),
}

/// A folder in the tree. Its times are set when all in it is done.
struct Node {
    path: Vec<u8>,
    above: Option<Arc<Node>>,
    /// Whether it was made just now, and holds nothing that is not ours.
    fresh: bool,
    /// Jobs in it, its own listing among them.
    pending: AtomicUsize,
}

/// A folder in both trees, open.
struct Pair {
    node: Arc<Node>,
    source: Folder,
    target: Folder,
}

impl Node {
    fn root() -> Arc<Self> {
        Arc::new(Self {
            path: Vec::new(),
            above: None,
            fresh: false,
            pending: AtomicUsize::new(1),
        })
    }

    fn below(self: &Arc<Self>, name: &[u8], fresh: bool) -> Arc<Self> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            path: self.path_of(name),
            above: Some(Arc::clone(self)),
            fresh,
            pending: AtomicUsize::new(1),
        })
    }

    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        if self.path.is_empty() {
            return name.to_vec();
        }
        [&self.path, &b"/"[..], name].concat()
    }
}

impl<'a> Work<'a> {
    fn new(
        source: &'a Folder,
        target: &'a Folder,
        deleting: Deleting,
        room: &'a Room,
        watcher: &'a dyn Watcher,
    ) -> Self {
        Self {
            source,
            target,
            deleting,
            room,
            watcher,
            queue: Mutex::default(),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
            clones: AtomicBool::new(true),
            count: Count::default(),
            temporary: AtomicU64::new(0),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        self.queue().jobs.push(job);
        self.wake.notify_one();
    }

    /// Shares a batch out; gives it back where there are enough.
    fn share(&self, pair: &Arc<Pair>, names: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
        let mut queue = self.queue();
        if queue.batches >= MOST_BATCHES {
            return Some(names);
        }
        pair.node.pending.fetch_add(1, Ordering::Relaxed);
        queue.batches += 1;
        queue.jobs.push(Job::Batch(Arc::clone(pair), names));
        drop(queue);
        self.wake.notify_one();
        None
    }

    fn run(&self) {
        while let Some(job) = self.next() {
            let done = match job {
                Job::Folder(node) => self.folder(&node).and_then(|()| self.finished(&node)),
                Job::Batch(pair, names) => self
                    .files(&pair, &names)
                    .and_then(|()| self.finished(&pair.node)),
            };
            let mut queue = self.queue();
            queue.busy -= 1;
            if let Err(trouble) = done {
                queue.failed.get_or_insert(trouble);
                self.stop.store(true, Ordering::Relaxed);
            }
            drop(queue);
            self.wake.notify_all();
        }
    }

    /// Takes the next job; none when all is done or has to stop.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(job) = queue.jobs.pop() {
                queue.busy += 1;
                queue.batches -= usize::from(matches!(job, Job::Batch(..)));
                return Some(job);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says whether to go on.
    fn go_on(&self) -> Result<(), Trouble> {
        if self.stop.load(Ordering::Relaxed) || self.watcher.stopped() {
            return Err(Trouble::Stopped);
        }
        Ok(())
    }

    /// Tells how far it is, not too often.
    fn tell(&self, node: &Node) {
        let bytes = self.count.bytes.load(Ordering::Relaxed);
        let told = self.count.told.load(Ordering::Relaxed);
        if bytes.saturating_sub(told) >= TOLD_EVERY {
            self.count.told.store(bytes, Ordering::Relaxed);
            self.watcher.at(bytes, &policy::escape(&node.path));
        }
    }

    /// Counts something that is left out.
    fn skip(&self, path: &[u8]) {
        if self.count.skipped.fetch_add(1, Ordering::Relaxed) < SKIPPED_NAMED {
            self.queue().skipped.push(policy::escape(path));
        }
    }

    fn end(self) -> Result<Copied, Trouble> {
        let queue = self
            .queue
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = queue.failed {
            return Err(trouble);
        }
        let count = self.count;
        let skipped = count.skipped.into_inner();
        let notes = if skipped == 0 {
            Vec::new()
        } else {
            let names = queue.skipped.join(", ");
            let more = if skipped > SKIPPED_NAMED { ", …" } else { "" };
            vec![format!(
                "{skipped} pipes, sockets or devices are not copied: {names}{more}."
            )]
        };
        let copied = Copied {
            files: count.files.into_inner(),
            bytes: count.bytes.into_inner(),
            copied: count.copied.into_inner(),
            reflinked: count.reflinked.into_inner(),
            removed: count.removed.into_inner(),
            skipped,
            notes,
        };
        self.watcher.at(copied.bytes, "");
        Ok(copied)
    }
}

/// Opens a folder at any depth beneath another: no path that the kernel is handed is too long.
pub(super) fn deep(top: &Folder, path: &[u8]) -> std::io::Result<Folder> {
    let mut rest = path;
    let mut folder = None;
    while rest.len() > LONGEST_PATH {
        let cut = rest
            .get(..LONGEST_PATH)
            .and_then(|front| front.iter().rposition(|byte| *byte == b'/'))
            .ok_or(std::io::ErrorKind::InvalidFilename)?;
        let front = rest.get(..cut).unwrap_or_default();
        folder = Some(folder.as_ref().unwrap_or(top).below(front)?);
        rest = rest.get(cut + 1..).unwrap_or_default();
    }
    folder.as_ref().unwrap_or(top).below(rest)
}

/// More threads gain nothing: the making of inodes is what takes the time.
const THREADS: usize = 2;
/// Files in one batch.
const BATCH: usize = 128;
/// Batches that may wait; each holds two handles.
const MOST_BATCHES: usize = 32;
/// What `openat2` takes is `PATH_MAX`, 4096, with the zero at its end.
const LONGEST_PATH: usize = 3072;
/// Progress is told after so many bytes.
const TOLD_EVERY: u64 = 4 << 20;
/// So many left out are named.
const SKIPPED_NAMED: u64 = 5;

/// A source and a target, open, and how much was read.
struct Ends<'a> {
    source: &'a File,
    target: &'a File,
}
