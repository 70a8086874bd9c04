//! What is done with a copy before anybody is pointed to it: rows taken out, names replaced, and a
//! look at whether it is whole.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;
use rusqlite::limits::Limit;

use super::open::{self, Mode, Opened};
use super::schema::{self, Kind};
use crate::database::{Copying, Filled, Trouble};
use crate::fault::OrFault;
use crate::pattern;

/// How long is looked at a copy that is large: byte for byte it is what it was copied from, so the
/// look finds what was broken before.
const LOOKING: Duration = Duration::from_millis(50);
/// What is looked at however long it takes.
const LOOKED_AT: u64 = 64 << 20;
/// Room of rows that are gone, from which on a copy is written anew without it.
const WASTED: u64 = 64 << 20;

/// Finishes a database that was copied or imported.
pub(super) fn settle(
    inside: &Path,
    path: &Path,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    let doing = || format!("finishing the SQLite database {}", inside.display());
    let mut connection = open::database(path, Mode::Writing)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(|error| damaged(inside, &error.to_string()))?;
    let log = mode == "wal";
    if log {
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .or_fault(doing)?;
    }
    if !how.without_rows.is_empty() || how.replacement.is_some() {
        change(&connection, how, filled)?;
        if log {
            connection
                .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
                .or_fault(doing)?;
        }
    }
    let tables =
        schema::tables(&connection).map_err(|error| damaged(inside, &error.to_string()))?;
    let shown = tables.iter().filter(|table| table.kind != Kind::Shadow);
    filled.tables += u64::try_from(shown.count()).unwrap_or(0);
    let large = fs::metadata(path).or_fault(doing)?.len() > LOOKED_AT;
    check(inside, &mut connection, how, large, filled)
}

fn damaged(inside: &Path, what: &str) -> Trouble {
    Trouble::Refused(format!(
        "the SQLite database {} is damaged: {what}",
        inside.display()
    ))
}

/// Has SQLite look whether a database is whole.
pub(super) fn check(
    inside: &Path,
    connection: &mut Opened,
    how: &Copying<'_>,
    bounded: bool,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    let until = bounded.then(|| Instant::now() + LOOKING);
    let found = {
        let late = move || until.is_some_and(|until| Instant::now() > until);
        connection
            .progress_handler(1000, Some(late))
            .or_fault(|| "looking at an SQLite database")?;
        let found =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        let never: Option<fn() -> bool> = None;
        let _ = connection.progress_handler(0, never);
        found
    };
    super::copy::going_on(how)?;
    match found {
        Ok(answer) if answer == "ok" => Ok(()),
        Ok(answer) => Err(damaged(inside, &answer)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) if open::is_foreign(&error.to_string()) => {
            filled.notes.push(format!(
                "{} could not be looked at as a whole, as only the site's own program knows what it uses: {error}",
                inside.display()
            ));
            Ok(())
        }
        Err(error) => Err(damaged(inside, &error.to_string())),
    }
}

/// Takes out rows and replaces names.
fn change(connection: &Opened, how: &Copying<'_>, filled: &mut Filled) -> Result<(), Trouble> {
    let doing = || "changing the copy of an SQLite database";
    // What was deleted or replaced shall not be found in the file either.
    connection
        .execute_batch(
            "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON; \
             PRAGMA ignore_check_constraints = ON; BEGIN IMMEDIATE",
        )
        .or_fault(doing)?;
    for table in schema::tables(connection).or_fault(doing)? {
        super::copy::going_on(how)?;
        let matches = how
            .without_rows
            .iter()
            .any(|wanted| pattern::matches(wanted.as_bytes(), table.name.as_bytes()));
        if matches && table.kind != Kind::Shadow {
            let sql = format!("DELETE FROM {}", schema::quoted(&table.name));
            match connection.execute(&sql, []) {
                Ok(_) => {}
                Err(error) if table.kind == Kind::Virtual => filled.notes.push(format!(
                    "the rows of the virtual table {} stayed: {error}",
                    table.name
                )),
                // They are asked to be left out, perhaps because nobody may see them.
                Err(error) => {
                    return Err(error).or_fault(|| format!("emptying the table {}", table.name))?;
                }
            }
        }
    }
    if let Some(replacement) = how.replacement {
        super::replacing::replace(connection, replacement, how, filled)?;
    }
    connection.execute_batch("COMMIT").or_fault(doing)?;
    compact(connection).or_fault(doing)?;
    Ok(())
}

/// Writes it anew where most of it is room of rows that are gone.
fn compact(connection: &Opened) -> rusqlite::Result<()> {
    let number = |what: &str| {
        connection.query_row(&format!("PRAGMA {what}"), [], |row| row.get::<_, u64>(0))
    };
    let (page, all, free) = (
        number("page_size")?,
        number("page_count")?,
        number("freelist_count")?,
    );
    if free * page >= WASTED && free * 2 >= all {
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
        connection.execute_batch("VACUUM")?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    }
    Ok(())
}
