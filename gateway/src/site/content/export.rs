//! Content for outside: a dump of the database, an archive of the files, as a stream.

use std::io::Write;

use super::fresh::end;
use super::{database, pointer};
use crate::audit::Outcome;
use crate::database::{Copying, Events, Trouble, Watcher};
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::Sites;
use crate::site::files::{self, Archive};
use crate::site::workflow::Undone;

/// Writes a dump of the database, as it is at one moment.
///
/// # Errors
/// [`Undone`]; what was written is then to be thrown away.
pub fn export_database(
    sites: &Sites,
    mut permit: Permit,
    out: &mut (dyn Write + Send),
    watcher: &dyn Watcher,
) -> Result<(), Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    permit.describe("database");
    let mut counted = Counted { out, bytes: 0 };
    let done = database(sites, &site, &environment)
        .map_err(Trouble::from)
        .and_then(|database| {
            let database = database.ok_or_else(|| {
                Trouble::Refused(format!("{site}.{environment} has no database."))
            })?;
            let copying = Copying {
                without_rows: &[],
                replacement: None,
                events: Events::Kept,
                watcher,
            };
            database.export(&mut counted, &copying)
        });
    finish(permit, done, counted.bytes)
}

/// Writes an archive of the files. What changes meanwhile is in it as it was, or as it is.
///
/// # Errors
/// [`Undone`]; what was written is then to be thrown away.
pub fn export_files(
    sites: &Sites,
    mut permit: Permit,
    form: Archive,
    out: &mut (dyn Write + Send),
    watcher: &dyn Watcher,
) -> Result<(), Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    permit.describe("files");
    let layout = sites.layout.site(&site).environment(&environment);
    let mut counted = Counted { out, bytes: 0 };
    let done = pointer::current(&layout)
        .map_err(Trouble::from)
        .and_then(|content| {
            let folder = layout.files_store(content.files);
            files::pack(&folder, &mut counted, form, watcher)
        });
    finish(permit, done.map(drop), counted.bytes)
}

fn finish(mut permit: Permit, done: Result<(), Trouble>, bytes: u64) -> Result<(), Undone> {
    permit.add_bytes(bytes);
    match done {
        Ok(()) => Ok(permit.finish(Outcome::Done)?),
        Err(Trouble::Refused(sentence)) => Err(end(permit, Undone::Impossible(sentence))),
        Err(Trouble::Stopped) => Err(end(
            permit,
            Undone::Impossible("It was stopped before its end.".to_owned()),
        )),
        Err(Trouble::Fault(fault)) => Err(end(permit, Undone::Fault(fault))),
    }
}

/// Counts what goes out, for the audit.
struct Counted<'a> {
    out: &'a mut (dyn Write + Send),
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// What nobody follows and nobody stops.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn at(&self, _bytes: u64, _what: &str) {}

    fn stopped(&self) -> bool {
        false
    }
}

impl From<Trouble> for Undone {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(sentence) => Undone::Impossible(sentence),
            Trouble::Stopped => Undone::Fault(Fault::new("it was stopped")),
            Trouble::Fault(fault) => Undone::Fault(fault),
        }
    }
}
