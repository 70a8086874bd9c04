//! Writes a database out as pg_dump does, for psql and for us.

use std::io::{Read, Write};

use super::connect::{as_owner, served};
use super::programs::{self, Running};
use super::{quoted, schema};
use crate::database::{Copying, Database, Trouble};
use crate::fault::{Fault, OrFault};

/// What every dump leaves out: it is not the site's, or has no meaning elsewhere.
pub(super) const LEFT_OUT: [&str; 6] = [
    "--no-owner",
    "--no-privileges",
    "--no-tablespaces",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
];

pub(in crate::database) fn export(
    database: &Database,
    out: &mut (dyn Write + Send),
    how: &Copying<'_>,
) -> Result<(), Trouble> {
    let served = served(database)?;
    let mut client = as_owner(served)?;
    let version = super::version(&mut client)?;
    if how.replacement.is_some() {
        return Err(Fault::new("names are not replaced in an export of PostgreSQL's").into());
    }
    let mut command = programs::connecting(served, "pg_dump", version)?;
    command
        .args(LEFT_OUT)
        .args(["--encoding=UTF8", "--format=plain"]);
    for table in schema::tables(&mut client)? {
        if table.without_rows(how) {
            command.arg(format!(
                "--exclude-table-data={}.{}",
                quoted(&table.schema),
                quoted(&table.name)
            ));
        }
    }
    drop(client);
    let (running, mut output) = Running::start(command, "pg_dump")?;
    let mut part = vec![0; 256 << 10];
    let mut sent = 0;
    loop {
        if how.watcher.stopped() {
            return Err(Trouble::Stopped);
        }
        let read = output.read(&mut part).or_fault(|| "reading from pg_dump")?;
        if read == 0 {
            break;
        }
        out.write_all(part.get(..read).unwrap_or_default())
            .or_fault(|| "writing an export")?;
        sent += read as u64;
        how.watcher.at(sent, "");
    }
    programs::done(running)?;
    out.flush().or_fault(|| "writing an export")?;
    Ok(())
}
