//! Fills a database from a dump: what pg_dump writes as SQL, or in its custom format, which its own
//! `pg_restore` turns into SQL, confined by the kernel and without a connection to anything.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::Stdio;

use super::connect::{as_owner, served};
use super::load::Loading;
use super::programs::{self, Running};
use crate::confine::Confined;
use crate::database::{Copying, Database, Filled, Form, Trouble};
use crate::fault::OrFault;

pub(in crate::database) fn import(
    database: &Database,
    dump: &mut (dyn Read + Send),
    form: Form,
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    let served = served(database)?;
    let mut filled = Filled::default();
    let mut client = as_owner(served)?;
    client
        .batch_execute("RESET search_path; SET statement_timeout = '1h'")
        .or_fault(|| "preparing an import")?;
    let mut loading = Loading {
        client: &mut client,
        how,
        filled: &mut filled,
        extension: None,
    };
    match form {
        Form::Sql => loading.dump(dump)?,
        Form::PostgresqlCustom => restored(dump, &mut loading)?,
        Form::SqliteFile => {
            return Err(Trouble::Refused(
                "this is a database of SQLite's, and the site's is PostgreSQL".into(),
            ));
        }
    }
    filled.tables = super::schema::count_tables(&mut client)?;
    Ok(filled)
}

/// Tells of an input that cannot be read; one that a decompressor gives up on is the person's.
pub(super) fn unreadable(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::Other => {
            Trouble::Refused(format!("what was sent cannot be read: {error}"))
        }
        _ => match Err::<(), _>(error).or_fault(|| "reading what is imported") {
            Ok(()) => Trouble::Stopped,
            Err(fault) => Trouble::Fault(fault),
        },
    }
}

/// The most memory that `pg_restore` may take.
const MEMORY: u64 = 1 << 30;

fn restored(dump: &mut (dyn Read + Send), loading: &mut Loading<'_>) -> Result<(), Trouble> {
    let program = programs::find("pg_restore", None)?;
    let arguments = ["--no-owner", "--no-privileges", "--file=-"];
    let confined = Confined {
        program: std::iter::once(program.into_os_string())
            .chain(arguments.map(Into::into))
            .collect(),
        memory: Some(MEMORY),
        ..Confined::default()
    };
    let mut command = confining(&confined);
    command.env("LC_ALL", "C").stdin(Stdio::piped());
    let (mut running, mut output) = Running::start(command, "pg_restore")?;
    let Some(mut input) = running.input() else {
        return Err(crate::fault::Fault::new("starting pg_restore").into());
    };
    let (loaded, fed) = std::thread::scope(|scope| {
        let feeding = scope.spawn(move || feed(dump, &mut input));
        let loaded = loading.dump(&mut output);
        // Whoever feeds a program that nobody reads from would wait for ever.
        drop(output);
        (loaded, feeding.join())
    });
    let ended = running.end()?;
    match fed {
        Ok(Fed::Unreadable(error)) => return Err(unreadable(error)),
        Ok(Fed::Whole | Fed::NotWanted) => {}
        Err(_panic) => return Err(crate::fault::Fault::new("feeding pg_restore").into()),
    }
    if let (Err(said), Err(Trouble::Refused(_)) | Ok(())) = (&ended, &loaded) {
        let first = said.lines().next().unwrap_or_default();
        // It has died of our not reading on, and the reason is what we refused.
        if loaded.is_ok()
            || first.contains("could not")
            || first.contains("unexpected")
            || first.contains("input file")
        {
            return Err(Trouble::Refused(format!(
                "pg_restore cannot read the dump: {first}"
            )));
        }
    }
    loaded
}

/// Runs it where it reaches nothing.
fn confining(confined: &Confined) -> std::process::Command {
    if cfg!(test) {
        // The program of a unit test is not the gateway, which confines.
        let mut words = confined.program.iter();
        let mut command = std::process::Command::new(words.next().cloned().unwrap_or_default());
        command.args(words).env_clear();
        return command;
    }
    confined.command(Path::new("/"))
}

enum Fed {
    Whole,
    /// The program has read all it wanted, or has ended.
    NotWanted,
    Unreadable(io::Error),
}

fn feed(dump: &mut (dyn Read + Send), input: &mut dyn Write) -> Fed {
    let mut part = vec![0; 256 << 10];
    loop {
        match dump.read(&mut part) {
            Ok(0) => return Fed::Whole,
            Ok(read) => {
                if input
                    .write_all(part.get(..read).unwrap_or_default())
                    .is_err()
                {
                    return Fed::NotWanted;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Fed::Unreadable(error),
        }
    }
}
