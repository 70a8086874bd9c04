//! Fills a folder from a dump: statements, a database file, or several in an archive as exports make
//! them.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use super::folder::{self, MAGIC};
use super::open::{self, Mode};
use super::{NAME, folder_of, schema, shadow, sql};
use crate::database::{Copying, Database, Filled, Form, Trouble};
use crate::fault::{Fault, OrFault};

/// What is read at once.
const PART: usize = 256 << 10;
/// The first block of an archive (POSIX.1-2017, pax, "ustar Interchange Format").
const BLOCK: usize = 512;
/// How many files an archive may hold.
const FILES: usize = 10_000;

pub(in crate::database) fn import(
    database: &Database,
    dump: &mut (dyn Read + Send),
    form: Form,
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    let doing = || "importing into an SQLite database";
    let folder = fs::canonicalize(folder_of(database)?).or_fault(doing)?;
    let mut filled = Filled::default();
    match form {
        Form::PostgresqlCustom => Err(Trouble::Refused(
            "this is a dump of PostgreSQL's, and the site's database is SQLite".into(),
        )),
        Form::Sql => {
            let inside = target(&folder)?;
            let path = folder.join(&inside);
            sql::run(&path, dump, how, &mut filled)?;
            finish(&inside, &path, how, &mut filled)?;
            Ok(filled)
        }
        Form::SqliteFile => {
            let mut head = Vec::with_capacity(BLOCK);
            Read::take(&mut *dump, BLOCK as u64)
                .read_to_end(&mut head)
                .map_err(unreadable)?;
            let archive = head.get(257..262) == Some(b"ustar");
            let mut whole = io::Cursor::new(head).chain(dump);
            if archive {
                archived(&folder, &mut whole, how, &mut filled)?;
            } else {
                let inside = target(&folder)?;
                received(&folder, &inside, &mut whole, None, how, &mut filled)?;
            }
            Ok(filled)
        }
    }
}

/// Tells of an input that cannot be read; one that a decompressor gives up on is the person's.
pub(super) fn unreadable(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Trouble::Refused(format!("what was sent is cut off or damaged: {error}"))
        }
        io::ErrorKind::FileTooLarge | io::ErrorKind::Other => {
            Trouble::Refused(format!("what was sent cannot be read: {error}"))
        }
        _ => match Err::<(), _>(error).or_fault(|| "reading what is imported") {
            Ok(()) => Trouble::Stopped,
            Err(fault) => Trouble::Fault(fault),
        },
    }
}

/// Returns the name of the database that is filled: the one that stands there empty, or ours.
fn target(folder: &Path) -> Result<PathBuf, Trouble> {
    let held = folder::held(folder)?;
    if !held.databases.is_empty() {
        return Err(Fault::new("an SQLite database is imported where there is one").into());
    }
    Ok(match held.empty.as_slice() {
        [only] => only.clone(),
        _ => PathBuf::from(NAME),
    })
}

/// Receives a database file of a known or unknown length.
fn received(
    folder: &Path,
    inside: &Path,
    input: &mut dyn Read,
    length: Option<u64>,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    let doing = || format!("importing the SQLite database {}", inside.display());
    let path = folder.join(inside);
    // What stands there empty, as a name for it, is one of ours.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).or_fault(doing)?;
        }
        _ => {}
    }
    let mut to = folder::new_file(&path).or_fault(doing)?;
    let mut part = vec![0; PART];
    let mut got = 0;
    loop {
        super::copy::going_on(how)?;
        let read = match input.read(&mut part) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(unreadable)?,
        };
        if read == 0 {
            break;
        }
        to.write_all(part.get(..read).unwrap_or_default())
            .or_fault(doing)?;
        got += read as u64;
        filled.bytes += read as u64;
        how.watcher.at(filled.bytes, &inside.to_string_lossy());
    }
    if length.is_some_and(|length| length != got) {
        return Err(Trouble::Refused(format!(
            "the archive is cut off within {}",
            inside.display()
        )));
    }
    header(inside, &mut to, got)?;
    drop(to);
    foreign(inside, &path)?;
    finish(inside, &path, how, filled)
}

/// Looks at the header ("Database File Format", 1.3): a file that is cut off is known by its length.
fn header(inside: &Path, file: &mut File, length: u64) -> Result<(), Trouble> {
    let doing = || format!("reading the header of {}", inside.display());
    let refuse = |why: String| Err(Trouble::Refused(format!("{}: {why}", inside.display())));
    let mut head = [0_u8; 100];
    file.seek(SeekFrom::Start(0)).or_fault(doing)?;
    if length < 100 {
        return refuse("this is no SQLite database: it is shorter than a header".into());
    }
    file.read_exact(&mut head).or_fault(doing)?;
    if !head.starts_with(MAGIC) {
        return refuse("this is no SQLite database".into());
    }
    let number = |at: usize| {
        let bytes = head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_be_bytes(bytes.unwrap_or_default())
    };
    let page = match head.get(16..18) {
        Some([0, 1]) => 65536,
        Some([high, low]) => u64::from(*high) << 8 | u64::from(*low),
        _ => 0,
    };
    if !page.is_power_of_two() || page < 512 {
        return refuse("its header is damaged: the size of its pages is none that there is".into());
    }
    // The count of pages is right if the last who wrote knew of it.
    let counted = number(24) == number(92) && number(28) != 0;
    let wanted = u64::from(number(28)) * page;
    if counted && length < wanted {
        return refuse(format!(
            "it is cut off: {length} of {wanted} bytes have come"
        ));
    }
    if !length.is_multiple_of(page) {
        return refuse(format!(
            "it is cut off within a page: it has {length} bytes"
        ));
    }
    Ok(())
}

/// Refuses what reaches out of the database.
fn foreign(inside: &Path, path: &Path) -> Result<(), Trouble> {
    let connection = open::database(path, Mode::Writing)?;
    let broken = |error: rusqlite::Error| {
        Trouble::Refused(format!(
            "{}: this SQLite database cannot be read: {error}",
            inside.display()
        ))
    };
    connection
        .execute_batch("PRAGMA cell_size_check = ON")
        .map_err(broken)?;
    if let Some(what) = schema::forbidden(&connection).map_err(broken)? {
        return Err(Trouble::Refused(format!(
            "{}: it has {what}, which reaches out of the database",
            inside.display()
        )));
    }
    Ok(())
}

/// Looks at all of it, and does what is done with a copy.
fn finish(
    inside: &Path,
    path: &Path,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    {
        let mut connection = open::database(path, Mode::Writing)?;
        shadow::check(inside, &mut connection, how, false, filled)?;
    }
    shadow::settle(inside, path, how, filled)
}

/// Unpacks an archive of databases.
fn archived(
    folder: &Path,
    input: &mut dyn Read,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    // What stands there empty is the name of one database, and the archive brings its own names.
    let held = folder::held(folder)?;
    for empty in &held.empty {
        fs::remove_file(folder.join(empty)).or_fault(|| "importing SQLite databases")?;
    }
    let mut archive = tar::Archive::new(input);
    let mut databases = 0;
    for (number, entry) in archive.entries().map_err(unreadable)?.enumerate() {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        let plain = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        if number >= FILES || !plain || !kind.is_file() {
            return Err(Trouble::Refused(format!(
                "the archive holds {}, which is no SQLite database with a plain name",
                path.display()
            )));
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(folder.join(parent)).or_fault(|| "importing SQLite databases")?;
        }
        let length = entry.size();
        received(folder, &path, &mut entry, Some(length), how, filled)?;
        databases += 1;
    }
    if databases == 0 {
        return Err(Trouble::Refused(
            "the archive holds no SQLite database".into(),
        ));
    }
    Ok(())
}
