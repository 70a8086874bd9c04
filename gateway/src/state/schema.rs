//! The tables, and their version.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::fault::{Fault, OrFault};

/// The version of the tables that the first release wrote; kept in SQLite's `user_version`.
const FIRST: i64 = 1;

/// What changed since, one step a version.
const MIGRATIONS: &[&str] = &[
    super::databases::TABLE,
    LIMITS_AND_AUTHORITIES,
    super::workflows::FOLLOWED,
    super::fronts::TABLES,
    super::step_networks::TABLE,
    super::targets::TABLES,
    super::holds::TABLES,
    super::multidevs::TABLE,
    super::contents::TABLES,
    super::backups::TABLE,
    super::backup_schedules::TABLES,
    super::quotas::TABLE,
];

/// Keys with an end and limits; authorities of certificates.
const LIMITS_AND_AUTHORITIES: &str = "
ALTER TABLE key ADD COLUMN expires TEXT;
ALTER TABLE key ADD COLUMN sources TEXT;
ALTER TABLE key ADD COLUMN sites TEXT NOT NULL DEFAULT '';
ALTER TABLE key ADD COLUMN environments TEXT NOT NULL DEFAULT '';
ALTER TABLE key ADD COLUMN actions TEXT NOT NULL DEFAULT '';
CREATE TABLE authority (
    fingerprint TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    line TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
";

/// The version that this program reads and writes.
const VERSION: i64 = FIRST + MIGRATIONS.len() as i64;

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
    connection
        .pragma_update(None, "user_version", FIRST)
        .or_fault(doing)?;
    migrate(&connection, FIRST).or_fault(doing)
}

pub(super) fn open(path: &Path) -> Result<Connection, Fault> {
    let doing = || format!("opening the state file {}", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).or_fault(doing)?;
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
    if version < FIRST {
        return Err(Fault::new(format!(
            "{} has format {version}, which no Funicular has written; is it the right file?",
            path.display()
        )));
    }
    migrate(&connection, version).or_fault(doing)?;
    Ok(connection)
}

/// Brings the tables up to this program's version, each step whole or not at all.
fn migrate(connection: &Connection, from: i64) -> Result<(), rusqlite::Error> {
    let steps = (FIRST + 1..).zip(MIGRATIONS);
    for (version, step) in steps.filter(|(version, _)| *version > from) {
        connection.execute_batch(&format!(
            "BEGIN; {step} PRAGMA user_version = {version}; COMMIT;"
        ))?;
    }
    Ok(())
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
    fn a_state_of_the_first_version_is_brought_up_to_date_and_keeps_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(TABLES).unwrap();
        old.execute_batch(
            "INSERT INTO person VALUES ('alice', NULL, 1, '2026-01-01T00:00:00Z');
             INSERT INTO key VALUES ('k', 'alice', 'line', 'SHA256:x', '', '2026-01-01T00:00:00Z');
             PRAGMA user_version = 1;",
        )
        .unwrap();
        drop(old);
        for _ in 0..2 {
            let connection = open(&path).unwrap();
            let kept: (String, Option<String>, String) = connection
                .query_row("SELECT id, expires, sites FROM key", [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .unwrap();
            assert_eq!(kept, ("k".to_owned(), None, String::new()));
            let version: i64 = connection
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap();
            assert_eq!(version, VERSION);
        }
    }
}
