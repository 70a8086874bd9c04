//! Opens databases of sites, which may hold anything, and files of theirs beside SQLite.
//!
//! The locks of SQLite are those of POSIX (fcntl(2)): a process loses all that it has on a file when
//! it closes *any* descriptor of it. So a descriptor of ours is closed only while no connection of
//! this process is open on the same file; until then it is kept.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::fault::{Fault, OrFault};

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Read.
    Reading,
    /// Read and write a database that is there.
    Writing,
    /// The same, and make it where it is not.
    Making,
}

/// How long a site's own work on its database is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A file by its device and number.
type Key = (u64, u64);

#[derive(Default)]
struct Use {
    connections: usize,
    kept: Vec<File>,
}

static USES: Mutex<Option<HashMap<Key, Use>>> = Mutex::new(None);

fn uses<T>(act: impl FnOnce(&mut HashMap<Key, Use>) -> T) -> T {
    let mut uses = USES.lock().unwrap_or_else(PoisonError::into_inner);
    act(uses.get_or_insert_default())
}

/// A connection to a database of a site.
pub(super) struct Opened {
    // Dropped before the count is taken down.
    connection: Option<Connection>,
    key: Option<Key>,
}

impl Deref for Opened {
    type Target = Connection;

    #[expect(clippy::expect_used, reason = "it is taken out by drop alone")]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("open until dropped")
    }
}

impl DerefMut for Opened {
    #[expect(clippy::expect_used, reason = "it is taken out by drop alone")]
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("open until dropped")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        drop(self.connection.take());
        let Some(key) = self.key else { return };
        let closing = uses(|uses| {
            let one = uses.get_mut(&key)?;
            one.connections = one.connections.saturating_sub(1);
            if one.connections == 0 {
                uses.remove(&key)
            } else {
                None
            }
        });
        drop(closing);
    }
}

/// A file that may be a database, or stand beside one.
pub(super) struct Raw {
    file: Option<File>,
    key: Key,
}

impl Raw {
    #[expect(clippy::expect_used, reason = "it is taken out by drop alone")]
    pub(super) fn file(&self) -> &File {
        self.file.as_ref().expect("open until dropped")
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Closed under the lock, so that no connection takes a lock on it in between.
        uses(|uses| match (uses.get_mut(&self.key), self.file.take()) {
            (Some(one), Some(file)) => one.kept.push(file),
            (_, file) => drop(file),
        });
    }
}

/// Opens a file for reading, without following a link or waiting for a pipe.
pub(super) fn reading(path: &Path) -> io::Result<Raw> {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    let raw = Raw {
        key: (found.dev(), found.ino()),
        file: Some(file),
    };
    if !found.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    Ok(raw)
}

/// Opens a database that a site has written, or whoever made its dump: what its schema names is
/// trusted with nothing, and nothing in it is run that was not asked for.
pub(super) fn database(path: &Path, mode: Mode) -> Result<Opened, Fault> {
    let doing = || "opening an SQLite database";
    let before = fs::symlink_metadata(path).ok();
    let mut opened = Opened {
        connection: None,
        key: None,
    };
    // Counted before it is open: no descriptor may be closed while it takes its locks.
    if let Some(found) = &before {
        opened.key = Some(count((found.dev(), found.ino())));
    }
    let flags = match mode {
        Mode::Reading => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Mode::Writing => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Mode::Making => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    } | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let connection = Connection::open_with_flags(path, flags).or_fault(doing)?;
    if opened.key.is_none()
        && let Ok(found) = fs::symlink_metadata(path)
    {
        opened.key = Some(count((found.dev(), found.ino())));
    }
    settle(&connection).or_fault(doing)?;
    opened.connection = Some(connection);
    Ok(opened)
}

fn count(key: Key) -> Key {
    uses(|uses| uses.entry(key).or_default().connections += 1);
    key
}

fn settle(connection: &Connection) -> rusqlite::Result<()> {
    use DbConfig as On;
    connection.busy_timeout(PATIENCE)?;
    for (what, on) in [
        (On::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (On::SQLITE_DBCONFIG_DEFENSIVE, true),
        (On::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (On::SQLITE_DBCONFIG_ENABLE_FKEY, false),
        (On::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (On::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (On::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
    ] {
        connection.set_db_config(what, on)?;
    }
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    // Drupal's own, without which its tables can be neither checked nor changed.
    connection.create_collation("NOCASE_UTF8", |one: &str, other: &str| {
        let lower = |text: &str| {
            text.chars()
                .flat_map(char::to_lowercase)
                .collect::<String>()
        };
        lower(one).cmp(&lower(other))
    })
}

/// Takes the right to write, for which a site that writes all the time is asked often and briefly.
/// Returns false when it was not to be had in time.
pub(super) fn begin_writing(connection: &Connection, patience: Duration) -> Result<bool, Fault> {
    let doing = || "holding back the writers of an SQLite database";
    connection.busy_timeout(Duration::ZERO).or_fault(doing)?;
    let until = Instant::now() + patience;
    loop {
        match connection.execute_batch("BEGIN IMMEDIATE") {
            Ok(()) => return Ok(true),
            Err(error) if is_busy(&error) => {
                if Instant::now() >= until {
                    return Ok(false);
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(error) => return Err(error).or_fault(doing),
        }
    }
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Whether an error tells of something that only the site's own program brings along: a function, a
/// collation or a module that it registers.
pub(super) fn is_foreign(message: &str) -> bool {
    [
        "no such collation sequence",
        "no such function",
        "no such module",
        "unsafe use of",
    ]
    .iter()
    .any(|words| message.contains(words))
}
