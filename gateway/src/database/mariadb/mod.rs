//! MariaDB and MySQL.
//!
//! A database is copied from one moment's snapshot in rows, dumps are read and written natively: neither
//! needs a client program, so no dump can give one an order, and no password stands in a list of
//! processes.

mod account;
mod copy;
mod dump;
mod export;
mod import;
mod rows;
mod schema;
mod server;
mod snapshot;
mod statement;
mod wire;

use std::io::{Read, Write};

use super::{Copying, Database, Filled, Form, Password, Table, Trouble};
use crate::fault::{Fault, OrFault};
use server::{Served, text};
use wire::Wrong;

pub(super) fn create(database: &Database) -> Result<(), Fault> {
    account::create(&Served::of(database)?)
}

pub(super) fn remove(database: &Database) -> Result<(), Fault> {
    account::remove(&Served::of(database)?)
}

pub(super) fn set_password(database: &Database, password: &Password) -> Result<(), Fault> {
    account::set_password(&Served::of(database)?, password)
}

pub(super) fn copy(
    source: &Database,
    target: &Database,
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    copy::copy(&Served::of(source)?, &Served::of(target)?, how)
}

pub(super) fn import(
    database: &Database,
    dump: &mut (dyn Read + Send),
    form: Form,
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    let refused = |what: &str| {
        Err(Trouble::Refused(format!(
            "this is {what}; a MariaDB database is imported from SQL statements, as mariadb-dump writes them"
        )))
    };
    match form {
        Form::Sql => import::import(&Served::of(database)?, dump, how),
        Form::PostgresqlCustom => refused("a dump of PostgreSQL"),
        Form::SqliteFile => refused("a file of SQLite"),
    }
}

pub(super) fn export(
    database: &Database,
    out: &mut (dyn Write + Send),
    how: &Copying<'_>,
) -> Result<(), Trouble> {
    export::export(&Served::of(database)?, out, how)
}

pub(super) fn tables(database: &Database) -> Result<Vec<Table>, Fault> {
    let served = Served::of(database)?;
    let name = text(served.name);
    let rows = served
        .as_owner(None)
        .and_then(|mut server| {
            server.texts(format!(
                "SELECT TABLE_NAME, IFNULL(ENGINE, ''), IFNULL(TABLE_ROWS, 0), \
                 IFNULL(DATA_LENGTH, 0) + IFNULL(INDEX_LENGTH, 0) FROM information_schema.TABLES \
                 WHERE TABLE_SCHEMA = {name} AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') \
                 ORDER BY TABLE_NAME"
            ))
        })
        .or_fault(|| format!("listing the tables of the database {}", served.name))?;
    let table = |row: Vec<String>| {
        let mut row = row.into_iter();
        Some(Table {
            name: row.next()?,
            engine: row.next().filter(|engine| !engine.is_empty()),
            rows: row.next()?.parse().unwrap_or(0),
            bytes: row.next()?.parse().unwrap_or(0),
        })
    };
    Ok(rows.into_iter().filter_map(table).collect())
}

pub(super) fn query(database: &Database, sql: &str) -> Result<Vec<String>, Fault> {
    let served = Served::of(database)?;
    let rows = served
        .as_owner(None)
        .and_then(|mut server| server.texts(sql))
        .or_fault(|| format!("a query of the database {}", served.name))?;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().next())
        .collect())
}

/// What went wrong in something that a person asked for.
fn trouble(wrong: Wrong, doing: impl FnOnce() -> String) -> Trouble {
    match wrong {
        Wrong::Stopped => Trouble::Stopped,
        wrong @ (Wrong::Server { .. } | Wrong::Broken(_)) => {
            let fault: Result<(), Fault> = Err(wrong).or_fault(doing);
            match fault {
                Err(fault) => Trouble::Fault(fault),
                Ok(()) => Trouble::Stopped,
            }
        }
    }
}
