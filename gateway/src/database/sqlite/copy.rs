//! Copies the databases of a folder as they are at one moment, while sites write to them.
//!
//! - *WAL* (SQLite's "WAL-mode File Format"): while a reader stands in it, what a checkpoint moves
//!   into the database file is only what the log holds too, and the log is not begun anew over what
//!   the reader needs; or, when the log was empty, the file is not touched at all. So the file is copied without
//!   holding anybody back, however long that takes. Writers wait only while the log, as far as it counts, is copied.
//! - *Rollback journal*: the file changes only under a lock. A small one, or one whose blocks are
//!   shared with its copy, is copied with writers held back. A large one is copied first, and counts when
//!   nobody has written meanwhile; if somebody always does, the last try holds them back and says so.
//!
//! All databases of the folder are held at once for the last of it, so that they agree.

use std::fs::{self, File, Permissions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, fstatfs};

use super::folder::{self, Held};
use super::open::{self, Mode, Opened, Raw};
use crate::database::{Copying, Filled, Trouble};
use crate::fault::{Fault, OrFault};

/// How long writers are held back at most, while there is another way.
const STALL: Duration = Duration::from_millis(50);
/// How often a quiet moment is looked for in a database that cannot be copied within that.
const TRIES: u32 = 12;
/// What is copied between two looks at the clock.
const PART: u64 = 16 << 20;
/// A database with a rollback journal that is copied with its writers held back without more ado.
const SMALL: u64 = 32 << 20;
/// How old a change must be for the next one to have another time: the kernel's clock of files ticks
/// every 10 ms at most.
const TICK: Duration = Duration::from_millis(25);
/// A log that is brought into the database first, so that there is less to copy under the lock.
const LONG_LOG: i64 = 1000;

/// One database on its way.
struct One {
    inside: PathBuf,
    from: PathBuf,
    to: PathBuf,
    /// Stands in the database, so that it keeps what is being copied.
    reader: Opened,
    /// Holds writers back.
    writer: Opened,
    /// In no transaction.
    probe: Opened,
    raw: Raw,
    out: File,
    log: bool,
    page: u64,
    /// How the file was when it was copied without a lock.
    stamp: Option<Stamp>,
}

/// What changes whenever a file is written.
#[derive(PartialEq, Eq)]
struct Stamp {
    length: u64,
    changed: (i64, i64),
}

/// Copies a folder into another, which is there and holds nothing.
pub(super) fn copy(source: &Path, target: &Path, how: &Copying<'_>) -> Result<Filled, Trouble> {
    let doing = || "copying SQLite databases";
    let source = fs::canonicalize(source).or_fault(doing)?;
    let target = fs::canonicalize(target).or_fault(doing)?;
    let held = folder::held(&source)?;
    let mut filled = Filled::default();
    beside(&source, &target, &held, how, &mut filled)?;
    let mut copies = Vec::new();
    {
        let mut ones = Vec::new();
        for inside in &held.databases {
            ones.push(One::open(&source, &target, inside)?);
        }
        for one in ones.iter_mut().filter(|one| one.log) {
            one.copy_below_log(how, &mut filled)?;
        }
        together(&mut ones, how, &mut filled)?;
        copies.extend(ones.iter().map(|one| (one.inside.clone(), one.to.clone())));
    }
    crate::crash::point("an SQLite database is copied and not yet looked at");
    for (inside, path) in copies {
        super::shadow::settle(&inside, &path, how, &mut filled)?;
    }
    Ok(filled)
}

/// Makes folders and copies what is no database.
fn beside(
    source: &Path,
    target: &Path,
    held: &Held,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    let doing = || "copying what lies beside SQLite databases";
    for inside in &held.folders {
        fs::create_dir(target.join(inside)).or_fault(doing)?;
        like(&source.join(inside), &target.join(inside));
    }
    for inside in held.others.iter().chain(&held.empty) {
        going_on(how)?;
        let from = match open::reading(&source.join(inside)) {
            Ok(from) => from,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).or_fault(doing)?,
        };
        let mut to = folder::new_file(&target.join(inside)).or_fault(doing)?;
        filled.bytes += io::copy(&mut from.file(), &mut to).or_fault(doing)?;
        like(&source.join(inside), &target.join(inside));
    }
    for inside in &held.links {
        let leads = fs::read_link(source.join(inside)).or_fault(doing)?;
        std::os::unix::fs::symlink(leads, target.join(inside)).or_fault(doing)?;
    }
    for inside in &held.strange {
        filled.notes.push(format!(
            "{} was left out: it is a link that leads out of the folder of databases, or no file",
            inside.display()
        ));
    }
    Ok(())
}

/// Gives a copy the mode of what it is of, and its owner where this account may.
fn like(source: &Path, target: &Path) {
    if let Ok(found) = fs::symlink_metadata(source) {
        let _ = std::os::unix::fs::chown(target, Some(found.uid()), Some(found.gid()));
        let _ = fs::set_permissions(target, Permissions::from_mode(found.mode() & 0o2777));
    }
}

pub(super) fn going_on(how: &Copying<'_>) -> Result<(), Trouble> {
    if how.watcher.stopped() {
        return Err(Trouble::Stopped);
    }
    Ok(())
}

impl One {
    fn open(source: &Path, target: &Path, inside: &Path) -> Result<Self, Fault> {
        let from = source.join(inside);
        let to = target.join(inside);
        let doing = || format!("copying the SQLite database {}", inside.display());
        let raw = open::reading(&from).or_fault(doing)?;
        let connect = || open::database(&from, Mode::Writing);
        let (reader, writer, probe) = (connect()?, connect()?, connect()?);
        let mode: String = probe
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .or_fault(doing)?;
        let page = probe
            .query_row("PRAGMA page_size", [], |row| row.get(0))
            .or_fault(doing)?;
        let out = folder::new_file(&to).or_fault(doing)?;
        like(&from, &to);
        Ok(Self {
            inside: inside.to_owned(),
            from,
            to,
            reader,
            writer,
            probe,
            raw,
            out,
            log: mode == "wal",
            page,
            stamp: None,
        })
    }

    fn doing(&self) -> String {
        format!("copying the SQLite database {}", self.inside.display())
    }

    /// Copies a database file that has a log, with nobody held back.
    fn copy_below_log(&mut self, how: &Copying<'_>, filled: &mut Filled) -> Result<(), Trouble> {
        if self.frames("NOOP")? > LONG_LOG {
            self.frames("PASSIVE")?;
        }
        self.reader
            .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
            .or_fault(|| self.doing())?;
        self.copy_file(how, filled, None).map(drop)
    }

    /// Returns how many pages the log holds, after a checkpoint of a kind.
    fn frames(&self, kind: &str) -> Result<i64, Fault> {
        self.probe
            .query_row(&format!("PRAGMA wal_checkpoint({kind})"), [], |row| {
                row.get(1)
            })
            .or_fault(|| self.doing())
    }

    /// Copies the file; returns false when it has not been done by then.
    fn copy_file(
        &mut self,
        how: &Copying<'_>,
        filled: &mut Filled,
        until: Option<Instant>,
    ) -> Result<bool, Trouble> {
        let doing = || format!("copying the SQLite database {}", self.inside.display());
        let (mut from, mut to) = (self.raw.file(), &self.out);
        let name = self.inside.to_string_lossy();
        from.seek(SeekFrom::Start(0)).or_fault(doing)?;
        to.set_len(0).or_fault(doing)?;
        to.seek(SeekFrom::Start(0)).or_fault(doing)?;
        room(to, from.metadata().or_fault(doing)?.len()).or_fault(doing)?;
        let mut length = 0;
        loop {
            going_on(how)?;
            let copied = io::copy(&mut io::Read::take(from, PART), &mut to).or_fault(doing)?;
            filled.bytes += copied;
            length += copied;
            how.watcher.at(filled.bytes, &name);
            if copied == 0 {
                to.set_len(length).or_fault(doing)?;
                return Ok(true);
            }
            if until.is_some_and(|until| Instant::now() > until) {
                return Ok(false);
            }
        }
    }

    /// Copies a file with a rollback journal while sites may write to it.
    fn copy_unheld(&mut self, how: &Copying<'_>, filled: &mut Filled) -> Result<(), Trouble> {
        let doing = || self.doing();
        let waited = Instant::now();
        let stamp = loop {
            going_on(how)?;
            // By taking a lock, what a crash has left half done is taken back first.
            self.reader
                .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")
                .or_fault(doing)?;
            let stamp = self.stamp()?;
            self.reader.execute_batch("ROLLBACK").or_fault(doing)?;
            if stamp.age() > TICK || waited.elapsed() > TICK * 4 {
                break stamp;
            }
            std::thread::sleep(TICK);
        };
        let settled = stamp.age() > TICK;
        self.copy_file(how, filled, None)?;
        self.stamp = settled.then_some(stamp);
        Ok(())
    }

    fn stamp(&self) -> Result<Stamp, Fault> {
        let found = self.raw.file().metadata().or_fault(|| self.doing())?;
        Ok(Stamp {
            length: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
        })
    }

    /// Copies the log as far as it counts; nobody may write meanwhile.
    fn copy_log(&self, filled: &mut Filled) -> Result<(), Fault> {
        let doing = || self.doing();
        let frames = u64::try_from(self.frames("NOOP")?).unwrap_or(0);
        if frames == 0 {
            return Ok(());
        }
        // "WAL-mode File Format": a header, and one before each page.
        let length = 32 + frames * (24 + self.page);
        let log = open::reading(&folder::with_ending(&self.from, "-wal")).or_fault(doing)?;
        let copy = folder::with_ending(&self.to, "-wal");
        let mut to = folder::new_file(&copy).or_fault(doing)?;
        let copied = io::copy(&mut io::Read::take(log.file(), length), &mut to).or_fault(doing)?;
        filled.bytes += copied;
        if copied != length {
            return Err(Fault::new(format!("{}: its log is too short", doing())));
        }
        Ok(())
    }
}

/// Takes the room for a copy on ext4, which shares no blocks: it is then written in half the time. Where blocks
/// are shared, none is to be taken before.
fn room(file: &File, length: u64) -> nix::Result<()> {
    if length < PART || fstatfs(file)?.filesystem_type() != EXT4_SUPER_MAGIC {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::empty(), 0, length.cast_signed()) {
        Err(nix::Error::EOPNOTSUPP | nix::Error::ENOSYS) => Ok(()),
        other => other,
    }
}

impl Stamp {
    fn age(&self) -> Duration {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        let parts = u32::try_from(self.changed.1).unwrap_or(0);
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, parts);
        changed.elapsed().unwrap_or_default()
    }
}

/// Holds the writers of all databases back, for as short as it can be, and copies what is left.
fn together(ones: &mut [One], how: &Copying<'_>, filled: &mut Filled) -> Result<(), Trouble> {
    for attempt in 0..=TRIES {
        let last = attempt == TRIES;
        if attempt > 0 && !last {
            for one in ones.iter_mut().filter(|one| !one.log) {
                if one.stamp()?.length > SMALL {
                    one.copy_unheld(how, filled)?;
                }
            }
        }
        hold(ones, how)?;
        let since = Instant::now();
        let all = rest(ones, how, filled, (!last).then(|| since + STALL));
        let stalled = since.elapsed();
        release(ones);
        if all? {
            if last {
                filled.notes.push(format!(
                    "writers of the database waited for {} ms: it keeps a rollback journal, is large and is written all the \
                     time; PRAGMA journal_mode=WAL lets copies go beside writers",
                    stalled.as_millis()
                ));
            }
            return Ok(());
        }
    }
    Err(Fault::new("copying SQLite databases: no try came to its end").into())
}

/// Takes the right to write all databases. One that cannot be had soon makes way for its writer, who may want
/// another of them.
fn hold(ones: &[One], how: &Copying<'_>) -> Result<(), Trouble> {
    let until = Instant::now() + open::PATIENCE;
    loop {
        going_on(how)?;
        let mut all = true;
        for (at, one) in ones.iter().enumerate() {
            // Nobody waits for us until the first is held.
            let patience = if at == 0 {
                until.saturating_duration_since(Instant::now())
            } else {
                STALL / 2
            };
            if !open::begin_writing(&one.writer, patience)? {
                all = false;
                break;
            }
        }
        if all {
            return Ok(());
        }
        release(ones);
        if Instant::now() >= until {
            return Err(Trouble::Refused(
                "the database is being written all the time, and was not to be had for 30 s; try again"
                    .into(),
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn release(ones: &[One]) {
    for one in ones.iter().filter(|one| !one.writer.is_autocommit()) {
        let _ = one.writer.execute_batch("ROLLBACK");
    }
}

/// Copies what can only be copied while nobody writes; returns false when it took too long.
fn rest(
    ones: &mut [One],
    how: &Copying<'_>,
    filled: &mut Filled,
    until: Option<Instant>,
) -> Result<bool, Trouble> {
    for one in ones.iter_mut().filter(|one| !one.log) {
        let stamp = one.stamp()?;
        match one.stamp.take() {
            Some(then) if then == stamp => {
                one.stamp = Some(then);
            }
            // A try that has missed the quiet moment ends here, before anybody has to wait.
            Some(_) if until.is_some() => return Ok(false),
            None | Some(_) => {
                if !one.copy_file(how, filled, until)? {
                    return Ok(false);
                }
            }
        }
    }
    for one in ones.iter().filter(|one| one.log) {
        one.copy_log(filled)?;
    }
    Ok(true)
}
