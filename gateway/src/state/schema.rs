//! The tables, and their version.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::fault::{Fault, OrFault};

/// The version of the tables that this program reads and writes; kept in SQLite's `user_version`.
const VERSION: i64 = 2;

/// What each version added to the one before, from the second on; [`TABLES`] is the first.
const STEPS: [&str; VERSION as usize - 1] = [super::databases::TABLE];

const TABLES: &str = "
CREATE TABLE person (
    name TEXT PRIMARY KEY,
    email TEXT,
    administrator INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL
) STRICT;
CREATE TABLE key (
    id TEXT PRIMARY KEY,
    person TEXT NOT NULL REFERENCES person(name) ON DELETE CASCADE,
    line TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    comment TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE TABLE site (
    name TEXT PRIMARY KEY,
    trunk TEXT NOT NULL,
    files_path TEXT,
    force_push INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL
) STRICT;
CREATE TABLE member (
    site TEXT NOT NULL REFERENCES site(name) ON DELETE CASCADE,
    person TEXT NOT NULL REFERENCES person(name) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (site, person)
) STRICT;
CREATE TABLE environment (
    site TEXT NOT NULL REFERENCES site(name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    mode TEXT,
    mode_set_by TEXT,
    mode_set_at TEXT,
    commit_id TEXT,
    generation INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL,
    PRIMARY KEY (site, name),
    CHECK ((mode IS NULL) = (name IN ('test', 'live')))
) STRICT;
CREATE TABLE deployment (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    number INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    note TEXT NOT NULL,
    person TEXT NOT NULL,
    time TEXT NOT NULL,
    rolled_back INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (site, environment, number),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
CREATE TABLE hotfix (
    site TEXT NOT NULL REFERENCES site(name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    person TEXT NOT NULL,
    time TEXT NOT NULL,
    status TEXT NOT NULL,
    PRIMARY KEY (site, name)
) STRICT;
CREATE TABLE workflow (
    id TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    kind TEXT NOT NULL,
    person TEXT NOT NULL,
    started TEXT NOT NULL,
    finished TEXT,
    status TEXT NOT NULL,
    intent TEXT,
    result TEXT
) STRICT;
CREATE INDEX workflow_by_site ON workflow (site, started);
";

pub(super) fn create(path: &Path) -> Result<(), Fault> {
    let doing = || format!("making the state file {}", path.display());
    if path.exists() {
        return Err(Fault::new(format!("{} exists already", path.display())));
    }
    // Made before SQLite opens it, so that no other user ever reads it, whatever the umask.
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .or_fault(doing)?;
    let connection = Connection::open(path).or_fault(doing)?;
    prepare(&connection).or_fault(doing)?;
    connection.execute_batch(TABLES).or_fault(doing)?;
    for step in STEPS {
        connection.execute_batch(step).or_fault(doing)?;
    }
    connection
        .pragma_update(None, "user_version", VERSION)
        .or_fault(doing)
}

pub(super) fn open(path: &Path) -> Result<Connection, Fault> {
    let doing = || format!("opening the state file {}", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).or_fault(doing)?;
    prepare(&connection).or_fault(doing)?;
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .or_fault(doing)?;
    if version > VERSION {
        return Err(Fault::new(format!(
            "{} was written by a newer Funicular (format {version}, this one knows {VERSION}); \
             install that version again, nothing was changed",
            path.display()
        )));
    }
    if version < 1 {
        return Err(Fault::new(format!(
            "{} has format {version}, which no Funicular has written; is it the right file?",
            path.display()
        )));
    }
    upgrade(&mut connection, version)
        .or_fault(|| format!("bringing {} up to date", path.display()))?;
    Ok(connection)
}

/// Adds what is missing, whole or not at all.
fn upgrade(connection: &mut Connection, version: i64) -> Result<(), rusqlite::Error> {
    let done = usize::try_from(version - 1).unwrap_or_default();
    let missing = STEPS.get(done..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// What is in the state must survive a power cut: write-ahead log, synced at each commit.
fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    connection.busy_timeout(std::time::Duration::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_version_gets_what_is_missing_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(TABLES).unwrap();
        old.execute_batch(
            "INSERT INTO person (name, created) VALUES ('alice', '2026-01-01T00:00:00Z');",
        )
        .unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        for _again in 0..2 {
            let now = open(&path).unwrap();
            let version: i64 = now
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap();
            assert_eq!(version, VERSION);
            let people: i64 = now
                .query_row("SELECT count(*) FROM person", [], |row| row.get(0))
                .unwrap();
            assert_eq!(people, 1);
            now.prepare("SELECT address FROM database").unwrap();
        }
    }
}
