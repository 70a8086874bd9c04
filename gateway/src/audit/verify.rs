//! Checks the whole audit. Reads the files itself, so that it needs no running gateway and
//! believes none.

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::chain::Head;
use super::head::{HeadFile, Noted};
use super::opening::NOTICE_RULE;
use super::row::{self, COLUMNS};
use super::schema;
use super::stretches::Stretch;
use super::walk::{Problem, Walk};
use crate::fault::{Fault, OrFault};

/// What a check of the audit has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many rows there are.
    pub rows: u64,
    /// The last row; worth noting somewhere else, since a later check can be held against it.
    pub head: Head,
    /// What is wrong, in the order of the rows; the first [`LISTED`] of it.
    pub problems: Vec<Problem>,
    /// How many more problems there are.
    pub unlisted: u64,
}

impl Verified {
    /// Says whether nothing is wrong.
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }

    /// Returns the number of the first row that is wrong or missing.
    pub fn first_bad(&self) -> Option<u64> {
        self.problems.iter().filter_map(Problem::seq).min()
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < LISTED {
            self.problems.push(problem);
        } else {
            self.unlisted += 1;
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, head) = (self.rows, self.head);
        if self.is_intact() {
            return write!(
                f,
                "{rows} rows, each as it was written. The last is row {}, with hash {}.",
                head.seq, head.hash
            );
        }
        writeln!(f, "{rows} rows, and not all is as it was written:")?;
        for problem in &self.problems {
            writeln!(f, "- {problem}")?;
        }
        if self.unlisted > 0 {
            writeln!(f, "- and {} more like these", self.unlisted)?;
        }
        match self.first_bad() {
            Some(seq) => write!(f, "What stands before row {seq} is sound."),
            None => write!(f, "The last is row {}, with hash {}.", head.seq, head.hash),
        }
    }
}

/// How many problems are listed.
pub const LISTED: usize = 100;

/// Checks every row of the audit at `path`, and its head, also while a gateway writes to it.
///
/// # Errors
/// When the audit cannot be read at all.
pub fn verify(path: &Path) -> Result<Verified, Fault> {
    // The head first: rows that come in meanwhile are then after it, never before.
    let noted = HeadFile::beside(path).read()?;
    let mut connection = schema::open_to_read(path)?;
    let mut verified = Verified {
        rows: 0,
        head: Head::BEGINNING,
        problems: Vec::new(),
        unlisted: 0,
    };
    let snapshot = connection.transaction().or_fault(|| DOING)?;
    let walked =
        walk(&snapshot, &noted, &mut verified).and_then(|()| check_file(&snapshot, &mut verified));
    match walked {
        Ok(()) => {}
        Err(error) if is_damage(&error) => verified.add(Problem::Damaged {
            what: error.to_string(),
        }),
        Err(error) => return Err(error).or_fault(|| DOING),
    }
    Ok(verified)
}

fn walk(
    connection: &Connection,
    noted: &Noted,
    verified: &mut Verified,
) -> Result<(), rusqlite::Error> {
    let noted = match noted {
        Noted::At(head) => Some(*head),
        Noted::Nothing => {
            verified.add(Problem::HeadMissing);
            None
        }
        Noted::Unreadable => {
            verified.add(Problem::HeadUnreadable);
            None
        }
    };
    let all = format!("SELECT {COLUMNS} FROM record NOT INDEXED ORDER BY seq");
    let mut statement = connection.prepare(&all)?;
    let mut rows = statement.query([])?;
    let mut walk = Walk::from(Head::BEGINNING);
    let mut searches = Searches::of(connection)?;
    while let Some(row) = rows.next()? {
        verified.rows += 1;
        let problems = walk.step(row)?;
        if problems.is_empty() && !searches.find(row)? {
            verified.add(Problem::Hidden { seq: walk.seq() });
        }
        for problem in problems {
            verified.add(problem);
        }
        verified.head = walk.head();
        if noted.is_some_and(|noted| noted.seq == walk.seq() && !walk.agrees(noted.hash)) {
            verified.add(Problem::HeadDiffers { seq: walk.seq() });
        }
        if row.get_ref(14)?.as_bytes().ok() == Some(NOTICE_RULE.as_bytes()) {
            let what = row.get_ref(17)?.as_bytes_or_null().ok().flatten();
            verified.add(Problem::Noticed {
                seq: walk.seq(),
                what: String::from_utf8_lossy(what.unwrap_or_default()).into_owned(),
            });
        }
    }
    if let Some(noted) = noted.filter(|noted| noted.seq > walk.seq()) {
        verified.add(Problem::Missing {
            first: walk.seq().saturating_add(1),
            last: noted.seq,
        });
    }
    Ok(())
}

/// Checks that searches find what is there.
struct Searches<'file> {
    /// None before the first row, and in an audit of an older version, which has none.
    stretch: Option<Stretch>,
    connection: Option<&'file Connection>,
}

impl<'file> Searches<'file> {
    fn of(connection: &'file Connection) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            stretch: None,
            connection: schema::has_stretches(connection)?.then_some(connection),
        })
    }

    fn find(&mut self, row: &rusqlite::Row<'_>) -> Result<bool, rusqlite::Error> {
        let Some(connection) = self.connection else {
            return Ok(true);
        };
        let seq = row.get(0)?;
        let stretch = match self.stretch.take().filter(|stretch| stretch.is_around(seq)) {
            Some(stretch) => stretch,
            None => Stretch::around(connection, seq)?,
        };
        Ok(self.stretch.insert(stretch).finds(&row::raw(row)?))
    }
}

/// Has SQLite check its own file: a row that an index hides would be missing from lists.
fn check_file(connection: &Connection, verified: &mut Verified) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
    let mut answers = statement.query([])?;
    while let Some(answer) = answers.next()? {
        let what: String = answer.get(0)?;
        if what != "ok" {
            verified.add(Problem::Damaged { what });
        }
    }
    Ok(())
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

const DOING: &str = "reading the audit to check it";

#[cfg(test)]
mod tests;
