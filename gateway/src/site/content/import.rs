//! Content from outside: dumps of databases, archives of files. What comes is hostile; it is loaded
//! where nobody is pointed to it, as nobody but the owner of that place.

use std::path::Path;

use policy::{Environment, SiteName};

use super::clone::events;
use super::fresh::{Fresh, end};
use super::progress::{Progress, size, undone};
use super::spool::{Source, peek};
use super::{Parts, room};
use crate::database::{Copying, Engine, Form};
use crate::gate::Permit;
use crate::site::files::{self, Copied};
use crate::site::workflow::{Run, Undone};
use crate::site::{Sites, crash};
use crate::steps_file::Event;

/// The most that a dump may be after decompression, in bytes: what the disk holds is bounded beside.
const LARGEST: u64 = 1 << 44;

/// Fills a new database from a dump and gives it to its environment. Returns what the person should
/// know.
///
/// # Errors
/// [`Undone`]; the environment has the database that it had.
pub fn import_database(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    source: Source,
) -> Result<Vec<String>, Undone> {
    let described = source.described();
    run.perform(&described, || {
        let origin = format!("database from {described}");
        let parts = Parts {
            database: true,
            files: false,
        };
        let mut told = Vec::new();
        let place = (permit.site()?.clone(), permit.environment()?.clone());
        let filled = Fresh::begin(sites, &permit, parts, origin).and_then(|fresh| {
            let done = run.step("import_database", || {
                load(sites, run, &place, source, &fresh, &mut told)
            });
            match done {
                Ok(()) => Ok(fresh),
                Err(undone) => {
                    fresh.discard(sites, &permit);
                    Err(undone)
                }
            }
        });
        let fresh = match filled {
            Ok(fresh) => fresh,
            Err(undone) => return Err(end(permit, undone)),
        };
        crash::point("imported");
        fresh.switch_to(sites, run, permit, Event::Import)?;
        told.push(format!("Imported database to {}.{}.", place.0, place.1));
        Ok(told)
    })
}

pub(super) fn load(
    sites: &Sites,
    run: &Run,
    (site, environment): &(SiteName, Environment),
    source: Source,
    fresh: &Fresh,
    told: &mut Vec<String>,
) -> Result<(), Undone> {
    let Some(database) = fresh.database() else {
        return Err(Undone::Impossible(format!(
            "{site} has no databases; its administrator says which it has: site:set {site} database sqlite."
        )));
    };
    let stream = source
        .open(sites, site, environment)
        .map_err(|trouble| undone(run, trouble))?;
    let plain = files::decompressed(stream, LARGEST).map_err(|error| {
        Undone::Impossible(format!(
            "What is to be imported cannot be read: {error}. Nothing was changed."
        ))
    })?;
    let (head, mut stream) = peek(plain, Form::HEAD)?;
    let form = form(&head, database.engine())?;
    // The site looks for its database under the name that it has.
    if let Some(former) = super::database(sites, site, environment)? {
        database.create_like(&former)?;
    }
    let progress = Progress::new(run);
    let copying = Copying {
        without_rows: &[],
        replacement: None,
        events: events(environment),
        watcher: &progress,
    };
    let filled = database
        .import(&mut stream, form, &copying)
        .map_err(|trouble| undone(run, trouble))?;
    run.say(&format!(
        "{} tables, {} rows, {} read.",
        filled.tables,
        filled.rows,
        size(filled.bytes.max(progress.bytes()))
    ));
    for note in filled.notes {
        run.say(&note);
        told.push(note);
    }
    Ok(())
}

/// Tells by its first bytes what a dump is, and whether this engine reads it.
fn form(head: &[u8], engine: Engine) -> Result<Form, Undone> {
    let form = Form::of(head);
    let refused = |what: &str| {
        Err(Undone::Impossible(format!(
            "This is {what}, and the database is {}. Nothing was changed.",
            engine.as_str()
        )))
    };
    if head.trim_ascii().is_empty() {
        return Err(Undone::Impossible(
            "What is to be imported is empty. Nothing was changed.".to_owned(),
        ));
    }
    match (form, engine) {
        (Form::SqliteFile, Engine::Mariadb | Engine::Postgresql) => refused("a file of SQLite's"),
        (Form::PostgresqlCustom, Engine::Mariadb | Engine::Sqlite) => {
            refused("an archive of pg_dump's")
        }
        (Form::Sql, _) if head.contains(&0) => refused("neither text nor anything known"),
        (Form::Sql, _)
        | (Form::SqliteFile, Engine::Sqlite)
        | (Form::PostgresqlCustom, Engine::Postgresql) => Ok(form),
    }
}

/// Unpacks an archive and gives its files to the environment, in the place of all that it has.
/// Returns what the person should know.
///
/// # Errors
/// [`Undone`]; the environment has the files that it had.
pub fn import_files(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    source: Source,
) -> Result<Vec<String>, Undone> {
    let described = source.described();
    run.perform(&described, || {
        let place = (permit.site()?.clone(), permit.environment()?.clone());
        let origin = format!("files from {described}");
        let parts = Parts {
            database: false,
            files: true,
        };
        let filled = Fresh::begin(sites, &permit, parts, origin).and_then(|fresh| {
            let done = run.step("import_files", || {
                unpack(sites, run, &place, source, &fresh.files())
            });
            match done {
                Ok(copied) => Ok((fresh, copied)),
                Err(undone) => {
                    fresh.discard(sites, &permit);
                    Err(undone)
                }
            }
        });
        let (fresh, copied) = match filled {
            Ok(filled) => filled,
            Err(undone) => return Err(end(permit, undone)),
        };
        crash::point("unpacked");
        fresh.switch_to(sites, run, permit, Event::Import)?;
        let mut told = copied.notes;
        told.push(format!(
            "Imported {} files, {}, to {}.{}.",
            copied.files,
            size(copied.bytes),
            place.0,
            place.1
        ));
        Ok(told)
    })
}

/// Unpacks an archive into a folder of the environment's that nobody is pointed to.
pub(super) fn unpack(
    sites: &Sites,
    run: &Run,
    (site, environment): &(SiteName, Environment),
    source: Source,
    target: &Path,
) -> Result<Copied, Undone> {
    let mut stream = source
        .open(sites, site, environment)
        .map_err(|trouble| undone(run, trouble))?;
    let progress = Progress::new(run);
    let room = room(sites, site, environment)?;
    let copied = files::unpack(&mut stream, target, &room, &progress);
    copied.map_err(|trouble| undone(run, trouble))
}
