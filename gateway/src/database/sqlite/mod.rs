//! SQLite: all databases of a folder.

mod copy;
mod export;
mod folder;
mod import;
mod open;
mod replacing;
mod schema;
mod shadow;
mod sql;
mod statements;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;

use super::{Copying, Database, Filled, Table, Trouble};
use crate::fault::{Fault, OrFault};
use open::{Mode, Opened};

pub(super) use export::export;
pub(super) use import::import;

/// What a database is called that is made here, and was not called anything before. A site may have
/// several and call them as it likes; WordPress's plugin and Drupal call theirs `.ht.sqlite`.
const NAME: &str = "database.sqlite";

/// Of a database larger than this, what its tables take up is estimated.
const MEASURED: u64 = 64 << 20;

fn folder_of(database: &Database) -> Result<&Path, Fault> {
    match database {
        Database::Sqlite { folder } => Ok(folder),
        Database::Served { .. } => Err(Fault::new("a database on a server was taken for SQLite's")),
    }
}

pub(super) fn create(database: &Database) -> Result<(), Fault> {
    fs::create_dir_all(folder_of(database)?).or_fault(|| "making a folder for SQLite databases")
}

/// As [`create`]. A folder that stands in the place of one with a single database gets an empty one
/// of the same name, which an import then fills: the site looks for it by that name.
pub(super) fn create_like(database: &Database, former: &Database) -> Result<(), Fault> {
    create(database)?;
    let (new, former) = (folder_of(database)?, folder_of(former)?);
    let held = match folder::held(former) {
        Ok(held) => held,
        Err(fault) if fault.io().map(std::io::Error::kind) == Some(ErrorKind::NotFound) => {
            return Ok(());
        }
        Err(fault) => return Err(fault),
    };
    let [only] = held.databases.as_slice() else {
        return Ok(());
    };
    let doing = || "making an empty SQLite database";
    let path = new.join(only);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).or_fault(doing)?;
    }
    match folder::new_file(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop).or_fault(doing),
    }
}

pub(super) fn remove(database: &Database) -> Result<(), Fault> {
    match fs::remove_dir_all(folder_of(database)?) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.or_fault(|| "removing SQLite databases"),
    }
}

pub(super) fn copy(
    source: &Database,
    target: &Database,
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    copy::copy(folder_of(source)?, folder_of(target)?, how)
}

/// Opens all databases of a folder for reading.
fn opened(folder: &Path) -> Result<Vec<(PathBuf, Opened)>, Fault> {
    let folder = fs::canonicalize(folder).or_fault(|| "looking for SQLite databases")?;
    folder::held(&folder)?
        .databases
        .into_iter()
        .map(|inside| {
            Ok((
                inside.clone(),
                open::database(&folder.join(inside), Mode::Reading)?,
            ))
        })
        .collect()
}

pub(super) fn tables(database: &Database) -> Result<Vec<Table>, Fault> {
    let databases = opened(folder_of(database)?)?;
    let several = databases.len() > 1;
    let mut tables = Vec::new();
    for (inside, connection) in &databases {
        let doing = || format!("listing the tables of {}", inside.display());
        let found = tables_of(connection).or_fault(doing)?;
        tables.extend(found.into_iter().map(|mut table| {
            if several {
                table.name = format!("{}: {}", inside.display(), table.name);
            }
            table
        }));
    }
    Ok(tables)
}

fn tables_of(connection: &Opened) -> rusqlite::Result<Vec<Table>> {
    let whole: u64 = connection.query_row(
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        [],
        |row| row.get(0),
    )?;
    let mut found = Vec::new();
    for table in schema::tables(connection)? {
        if matches!(table.kind, schema::Kind::Shadow) {
            continue;
        }
        // What only the site's own program can read is there all the same.
        let rows = rows_of(connection, &table).unwrap_or(0);
        found.push(Table {
            bytes: 0,
            engine: table.module,
            rows,
            name: table.name,
        });
    }
    if whole <= MEASURED {
        let mut measuring = connection.prepare(
            "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE aggregate AND name IN \
             (SELECT name FROM sqlite_schema WHERE tbl_name = ?1)",
        )?;
        for table in &mut found {
            table.bytes = measuring.query_row([&table.name], |row| row.get(0))?;
        }
    } else {
        let all: u64 = found.iter().map(|table| table.rows).sum();
        for table in &mut found {
            let share = u128::from(whole) * u128::from(table.rows) / u128::from(all.max(1));
            table.bytes = u64::try_from(share).unwrap_or(whole);
        }
    }
    Ok(found)
}

/// Counts as far as it is cheap; beyond, the highest number of a row says how many there may be.
fn rows_of(connection: &Opened, table: &schema::Known) -> rusqlite::Result<u64> {
    const COUNTED: u64 = 100_000;
    let name = schema::quoted(&table.name);
    let count = format!("SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {COUNTED})");
    let rows: u64 = connection.query_row(&count, [], |row| row.get(0))?;
    if rows < COUNTED {
        return Ok(rows);
    }
    let highest: Option<u64> = match schema::rowid(connection, table)? {
        Some(rowid) => connection
            .query_row(&format!("SELECT max({rowid}) FROM {name}"), [], |row| {
                row.get(0)
            })
            .unwrap_or(None),
        None => None,
    };
    Ok(highest.unwrap_or(rows).max(rows))
}

/// Runs it on each database in which it makes sense.
pub(super) fn query(database: &Database, sql: &str) -> Result<Vec<String>, Fault> {
    let doing = || "asking an SQLite database";
    let mut rows = Vec::new();
    let (mut answered, mut wrong) = (false, None);
    for (_, connection) in opened(folder_of(database)?)? {
        match ask(&connection, sql) {
            Ok(more) => {
                answered = true;
                rows.extend(more);
            }
            Err(error) => wrong = Some(error),
        }
    }
    match wrong {
        Some(error) if !answered => Err(error).or_fault(doing),
        _ => Ok(rows),
    }
}

fn ask(connection: &Opened, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(match row.get_ref(0)? {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
        });
    }
    Ok(found)
}
