//! The tables, and their version.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::chain::Head;
use super::head::HeadFile;
use crate::fault::{Fault, OrFault};

/// The version of the tables that this program reads and writes; kept in SQLite's `user_version`.
const VERSION: i64 = 1;

/// An index for each thing that people ask for; each has the row's number as its last column, so
/// that the newest rows come first without sorting. `synced` is there to be written to when rows
/// are to be synced and there is no new one.
const TABLES: &str = "
CREATE TABLE record (
    seq INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    incident TEXT NOT NULL,
    person TEXT,
    fingerprint TEXT,
    address TEXT,
    client TEXT,
    site TEXT,
    environment TEXT,
    mode TEXT,
    area TEXT,
    object TEXT,
    action TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('permit', 'refuse')),
    rule TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'refused', 'failed', 'interrupted')),
    detail TEXT,
    count INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX record_by_incident ON record (incident);
CREATE INDEX record_by_time ON record (time);
CREATE INDEX record_by_person ON record (person);
CREATE INDEX record_by_site ON record (site);
CREATE INDEX record_by_rule ON record (rule);
CREATE INDEX record_by_action ON record (action);
CREATE INDEX record_refused ON record (decision) WHERE decision = 'refuse';
CREATE TABLE synced (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO synced VALUES (1, 0);
";

/// Makes an empty audit and its head; a file that is there already is left alone.
pub(super) fn create(path: &Path) -> Result<(), Fault> {
    let doing = || format!("making the audit {}", path.display());
    // What people did is for administrators' eyes; SQLite gives its other files the same mode.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .or_fault(doing)?;
    let connection = Connection::open(path).or_fault(doing)?;
    prepare(&connection).or_fault(doing)?;
    connection.execute_batch(TABLES).or_fault(doing)?;
    connection
        .pragma_update(None, "user_version", VERSION)
        .or_fault(doing)?;
    HeadFile::beside(path).write(Head::BEGINNING)
}

/// Opens the audit for the one that writes it.
pub(super) fn open(path: &Path) -> Result<Connection, Fault> {
    let doing = || format!("opening the audit {}", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).or_fault(doing)?;
    check_version(&connection, path)?;
    prepare(&connection).or_fault(doing)?;
    Ok(connection)
}

/// Opens the audit to read it, whether or not somebody writes it at the same time.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, Fault> {
    let doing = || format!("opening the audit {} to read it", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).or_fault(doing)?;
    connection.busy_timeout(PATIENCE).or_fault(doing)?;
    check_version(&connection, path)?;
    Ok(connection)
}

fn check_version(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .or_fault(|| format!("reading the format of the audit {}", path.display()))?;
    if version > VERSION {
        return Err(Fault::new(format!(
            "{} was written by a newer Funicular (format {version}, this one knows {VERSION}); \
             install that version again, nothing was changed",
            path.display()
        )));
    }
    if version < VERSION {
        return Err(Fault::new(format!(
            "{} has format {version}, which no Funicular has written; is it the right file?",
            path.display()
        )));
    }
    Ok(())
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)
}

/// Fewer checkpoints than SQLite's own choice: each one syncs the whole database.
const CHECKPOINT_PAGES: i64 = 4000;
const LOG_BYTES: i64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(5);
