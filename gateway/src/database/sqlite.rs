//! SQLite.

use std::io::{Read, Write};

use super::{Copying, Database, Filled, Form, Table, Trouble};
use crate::fault::Fault;

fn missing() -> Fault {
    Fault::new("not there yet")
}

pub(super) fn create(_database: &Database) -> Result<(), Fault> {
    Err(missing())
}

pub(super) fn remove(_database: &Database) -> Result<(), Fault> {
    Err(missing())
}

pub(super) fn copy(
    _source: &Database,
    _target: &Database,
    _how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    Err(missing().into())
}

pub(super) fn import(
    _database: &Database,
    _dump: &mut (dyn Read + Send),
    _form: Form,
    _how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    Err(missing().into())
}

pub(super) fn export(
    _database: &Database,
    _out: &mut (dyn Write + Send),
    _how: &Copying<'_>,
) -> Result<(), Trouble> {
    Err(missing().into())
}

pub(super) fn tables(_database: &Database) -> Result<Vec<Table>, Fault> {
    Err(missing())
}

pub(super) fn query(_database: &Database, _sql: &str) -> Result<Vec<String>, Fault> {
    Err(missing())
}
