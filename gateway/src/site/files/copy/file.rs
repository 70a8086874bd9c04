//! One file or link.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, UtimensatFlags, fstat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::content;
use super::folder::{dress, unreadable};
use super::{Deleting, Ends, Pair, Work};
use crate::database::Trouble;
use crate::fault::OrFault;
use crate::site::files::room::not_written;
use crate::site::folder::{Standing, gone, standing};

impl Work<'_> {
    /// Copies some of the files and links right in a folder.
    pub(super) fn files(&self, pair: &Pair, names: &[Vec<u8>]) -> Result<(), Trouble> {
        for name in names {
            self.go_on()?;
            self.one(pair, name)?;
            self.tell(&pair.node);
        }
        Ok(())
    }

    fn one(&self, pair: &Pair, name: &[u8]) -> Result<(), Trouble> {
        if pair.node.fresh {
            return self.regular(pair, name, None);
        }
        let doing = || self.doing("reading", &pair.node);
        let is = match pair.source.stat(name) {
            Ok(is) => is,
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(error).or_fault(doing).map_err(Trouble::Fault),
        };
        let was = match pair.target.stat(name) {
            Ok(was) => Some(was),
            Err(error) if gone(&error) => None,
            Err(error) => return Err(error).or_fault(doing).map_err(Trouble::Fault),
        };
        match was {
            Some(was) if same_file(&is, &was) => self.kept(&is),
            Some(was) if standing(&was) == Standing::Folder => {
                pair.target.remove_all(name).or_fault(doing)?;
                self.regular(pair, name, None)
            }
            was => self.regular(pair, name, was.as_ref()),
        }
    }

    /// Counts a file that is the same in both.
    fn kept(&self, is: &FileStat) -> Result<(), Trouble> {
        let size = is.st_size.unsigned_abs();
        if self.deleting == Deleting::Gone {
            self.room.take(size, 1)?;
        }
        self.count(size, false);
        Ok(())
    }

    fn count(&self, bytes: u64, written: bool) {
        self.count.files.fetch_add(1, Ordering::Relaxed);
        self.count.bytes.fetch_add(bytes, Ordering::Relaxed);
        if written {
            self.count.copied.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes what a file needs that takes the place of another, or of none.
    fn make_room(&self, pair: &Pair, bytes: u64, was: Option<&FileStat>) -> Result<(), Trouble> {
        if let (Deleting::Nothing, Some(was)) = (self.deleting, was) {
            self.room.give_back(was.st_size.unsigned_abs(), 1);
        }
        self.room.take(bytes, 1)?;
        let shares = self.clones.load(Ordering::Relaxed);
        self.room
            .on_disk(&pair.target, if shares { 0 } else { bytes })
    }

    /// Copies a file, or whatever has taken its place meanwhile.
    fn regular(&self, pair: &Pair, name: &[u8], was: Option<&FileStat>) -> Result<(), Trouble> {
        let flags = OFlag::O_RDONLY | QUIET;
        let source = match openat(&pair.source, name, flags, Mode::empty()) {
            Ok(source) => File::from(source),
            Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::ELOOP) => return self.link(pair, name, was),
            Err(Errno::ENXIO | Errno::ENODEV) => {
                self.skip(&pair.node.path_of(name));
                return Ok(());
            }
            Err(Errno::EACCES | Errno::EPERM) => {
                return Err(unreadable("file", &pair.node.path_of(name)));
            }
            Err(errno) => {
                let doing = || self.doing("reading", &pair.node);
                return Err(errno).or_fault(doing).map_err(Trouble::Fault);
            }
        };
        let doing = || self.doing("copying a file of", &pair.node);
        let mut is = fstat(&source).or_fault(doing)?;
        match standing(&is) {
            Standing::File => {}
            // What became a folder meanwhile has its turn in the next pass.
            Standing::Folder | Standing::Link => return Ok(()),
            Standing::Special => {
                self.skip(&pair.node.path_of(name));
                return Ok(());
            }
        }
        let place = if pair.node.fresh || was.is_none() {
            name.to_vec()
        } else {
            self.temporary()
        };
        let target = self.create(pair, &place)?;
        let ends = Ends {
            source: &source,
            target: &target,
        };
        let mut attempt = 1;
        let shared = loop {
            let size = is.st_size.unsigned_abs();
            self.make_room(pair, size, if attempt == 1 { was } else { None })?;
            let shared = self.content(&ends, size, pair)?;
            let after = fstat(&source).or_fault(doing)?;
            if attempt == ATTEMPTS || unchanged(&is, &after) {
                break shared;
            }
            // It was written meanwhile, so the copy may be a mixture.
            self.room.give_back(size, 1);
            is = after;
            content::empty(&target).or_fault(doing)?;
            attempt += 1;
        };
        let now = fstat(&target).or_fault(doing)?;
        // A file that would not hold still is to be found different by the next pass.
        dress(&target, &is, &now, FILE_RIGHTS).or_fault(doing)?;
        if place != name {
            renameat(&pair.target, place.as_slice(), &pair.target, name).or_fault(doing)?;
        }
        self.count(is.st_size.unsigned_abs(), true);
        if shared {
            self.count.reflinked.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn content(&self, ends: &Ends<'_>, size: u64, pair: &Pair) -> Result<bool, Trouble> {
        let mut go_on = || self.go_on();
        content::copy(ends, size, &self.clones, &mut go_on)
            .map_err(|failure| failure.trouble(|| self.doing("copying a file of", &pair.node)))
    }

    /// Copies a link as it is written.
    fn link(&self, pair: &Pair, name: &[u8], was: Option<&FileStat>) -> Result<(), Trouble> {
        let doing = || self.doing("copying a link of", &pair.node);
        let (leads, is) = match (readlinkat(&pair.source, name), pair.source.stat(name)) {
            (Ok(leads), Ok(is)) => (leads.into_vec(), is),
            // It was replaced or removed meanwhile.
            (Err(Errno::ENOENT | Errno::EINVAL), _) => return Ok(()),
            (_, Err(error)) if gone(&error) => return Ok(()),
            (Err(errno), _) => return Err(errno).or_fault(doing).map_err(Trouble::Fault),
            (_, Err(error)) => return Err(error).or_fault(doing).map_err(Trouble::Fault),
        };
        let same = was.is_some_and(|was| standing(was) == Standing::Link)
            && readlinkat(&pair.target, name).is_ok_and(|found| found.into_vec() == leads);
        if same {
            self.kept(&is)?;
        } else {
            self.make_room(pair, is.st_size.unsigned_abs(), was)?;
            let place = if was.is_none() {
                name.to_vec()
            } else {
                self.temporary()
            };
            self.fresh_name(pair, &place, || {
                symlinkat(leads.as_slice(), &pair.target, place.as_slice())
            })?;
            if place != name {
                renameat(&pair.target, place.as_slice(), &pair.target, name).or_fault(doing)?;
            }
            self.count(is.st_size.unsigned_abs(), true);
        }
        let accessed = TimeSpec::new(is.st_atime, is.st_atime_nsec);
        let modified = TimeSpec::new(is.st_mtime, is.st_mtime_nsec);
        let follow = UtimensatFlags::NoFollowSymlink;
        utimensat(&pair.target, name, &accessed, &modified, follow).or_fault(doing)?;
        Ok(())
    }

    fn create(&self, pair: &Pair, place: &[u8]) -> Result<File, Trouble> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | QUIET;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        self.fresh_name(pair, place, || openat(&pair.target, place, flags, mode))
            .map(File::from)
    }

    /// Makes something under a name that ought to be free; what an earlier copy that was cut off
    /// left there goes.
    fn fresh_name<T>(
        &self,
        pair: &Pair,
        place: &[u8],
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Trouble> {
        let made = match make() {
            Err(Errno::EEXIST) => {
                let _ = unlinkat(&pair.target, place, UnlinkatFlags::NoRemoveDir);
                make()
            }
            other => other,
        };
        made.map_err(|errno| {
            not_written(io::Error::from(errno), || {
                self.doing("making a file in", &pair.node)
            })
        })
    }

    /// Returns a name that no file of a person has: what is written under it is renamed.
    fn temporary(&self) -> Vec<u8> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        format!(".funicular-copying-{}-{number}~", std::process::id()).into_bytes()
    }
}

/// Returns true if a file of the target needs not be copied again. Links are looked at elsewhere.
fn same_file(is: &FileStat, was: &FileStat) -> bool {
    let changed = |stat: &FileStat| (stat.st_ctime, stat.st_ctime_nsec);
    standing(is) == Standing::File
        && standing(was) == Standing::File
        && was.st_nlink == 1
        && is.st_size == was.st_size
        && (is.st_mtime, is.st_mtime_nsec) == (was.st_mtime, was.st_mtime_nsec)
        && is.st_mode & FILE_RIGHTS == was.st_mode & 0o7777
        // A write while it was copied may have left its time of change as it was: clocks of file
        // systems stand still for some milliseconds. Any change moves `st_ctime`, which nobody sets.
        && settled(changed(is)) < changed(was)
}

/// The next moment that a file system's clock is sure to tell from this one.
fn settled((seconds, nanoseconds): (i64, i64)) -> (i64, i64) {
    let later = nanoseconds + TICK;
    (seconds + later / NANOSECONDS, later % NANOSECONDS)
}

/// Returns true if a file was not written between two looks at it.
fn unchanged(before: &FileStat, after: &FileStat) -> bool {
    let of = |stat: &FileStat| {
        (
            stat.st_size,
            (stat.st_mtime, stat.st_mtime_nsec),
            (stat.st_ctime, stat.st_ctime_nsec),
        )
    };
    of(before) == of(after)
}

const QUIET: OFlag = OFlag::O_NOFOLLOW
    .union(OFlag::O_CLOEXEC)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY);
/// What runs as another user than who starts it stays nowhere.
const FILE_RIGHTS: u32 = 0o777;
/// Two ticks of the slowest clock that kernels are built with, a hundred a second, in nanoseconds.
const TICK: i64 = 20_000_000;
const NANOSECONDS: i64 = 1_000_000_000;
/// So often a file is copied that changes each time.
const ATTEMPTS: u32 = 4;
