//! The tables, and their version.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::chain::Head;
use super::head::HeadFile;
use super::stretches;
use crate::fault::{Fault, OrFault};

/// The version of the tables that this program writes; kept in SQLite's `user_version`.
const VERSION: i64 = 2;
/// The one before it, with an index for each thing that people ask for. It can be checked as it
/// is, and is made into the present one when a gateway opens it.
const INDEXED: i64 = 1;

/// No index: what rows are found by is in `stretch` and `occurs`, see [`stretches`]. `synced` is
/// there to be written to when rows are to be synced and there is no new one.
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
CREATE TABLE synced (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO synced VALUES (1, 0);
";

const STRETCHES: &str = "
CREATE TABLE stretch (
    number INTEGER PRIMARY KEY,
    first_time INTEGER NOT NULL,
    last_time INTEGER NOT NULL,
    first_incident TEXT NOT NULL,
    last_incident TEXT NOT NULL
) STRICT;
CREATE TABLE occurs (
    stretch INTEGER NOT NULL,
    field INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (stretch, field, value)
) STRICT, WITHOUT ROWID;
";

/// Takes away what another version of the tables has besides; also what somebody may have put there
/// who wrote an old version's number into the file.
const UNINDEXED: &str = "
DROP INDEX IF EXISTS record_by_incident;
DROP INDEX IF EXISTS record_by_time;
DROP INDEX IF EXISTS record_by_person;
DROP INDEX IF EXISTS record_by_site;
DROP INDEX IF EXISTS record_by_rule;
DROP INDEX IF EXISTS record_by_action;
DROP INDEX IF EXISTS record_refused;
DROP TABLE IF EXISTS stretch;
DROP TABLE IF EXISTS occurs;
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
    connection.execute_batch(STRETCHES).or_fault(doing)?;
    connection
        .pragma_update(None, "user_version", VERSION)
        .or_fault(doing)?;
    HeadFile::beside(path).write(Head::BEGINNING)
}

/// Opens the audit for the one that writes it.
pub(super) fn open(path: &Path) -> Result<Connection, Fault> {
    let doing = || format!("opening the audit {}", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).or_fault(doing)?;
    let version = known_version(&connection, path)?;
    prepare(&connection).or_fault(doing)?;
    if version == INDEXED {
        tracing::info!(
            "bringing the audit into its present form, which takes a while if it is long"
        );
        bring_up(&mut connection).or_fault(|| {
            format!(
                "bringing the audit {} into its present form",
                path.display()
            )
        })?;
    }
    Ok(connection)
}

/// Makes the version before this one into this one, whole or not at all. No row is touched.
fn bring_up(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(UNINDEXED)?;
    transaction.execute_batch(STRETCHES)?;
    stretches::note_all(&transaction)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Opens the audit to read it, whether or not somebody writes it at the same time. It may be of the
/// version before.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, Fault> {
    let doing = || format!("opening the audit {} to read it", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).or_fault(doing)?;
    connection.busy_timeout(PATIENCE).or_fault(doing)?;
    known_version(&connection, path)?;
    Ok(connection)
}

/// Says whether there is in the audit what searches go by.
pub(super) fn has_stretches(connection: &Connection) -> Result<bool, rusqlite::Error> {
    Ok(version(connection)? == VERSION)
}

fn version(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn known_version(connection: &Connection, path: &Path) -> Result<i64, Fault> {
    let version = version(connection)
        .or_fault(|| format!("reading the format of the audit {}", path.display()))?;
    if version > VERSION {
        return Err(Fault::new(format!(
            "{} was written by a newer Funicular (format {version}, this one knows {VERSION}); \
             install that version again, nothing was changed",
            path.display()
        )));
    }
    if version < INDEXED {
        return Err(Fault::new(format!(
            "{} has format {version}, which no Funicular has written; is it the right file?",
            path.display()
        )));
    }
    Ok(version)
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

#[cfg(test)]
mod tests;
