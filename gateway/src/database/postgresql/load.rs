//! Runs the statements of a dump as the owner of a database. The owner's rights are what keeps a dump
//! within the database; what is refused here besides is refused to say so in plain words.

use std::io::{Read, Write};

use postgres::Client;

use super::connect::{self, wrong, wrong_rows};
use super::statements::{Ending, Statement, Statements};
use super::words;
use crate::database::{Copying, Filled, Trouble};
use crate::fault::OrFault;

/// What is done with a statement.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Run,
    /// It is run, and nothing is lost where the server does not know what it is about.
    Tolerant,
    /// An extension, which the owner may or may not make.
    Extension(String),
    /// Rows follow.
    Rows,
    PassOver,
    /// Left out, and said so.
    LeaveOut(&'static str),
    Begin,
    Commit,
    Refuse(String),
}

/// Makes an extension as the statement says.
pub(super) type Making<'a> = dyn Fn(&str) -> Result<(), Trouble> + 'a;

/// What runs the statements of a stream.
pub(super) struct Loading<'a> {
    pub(super) client: &'a mut Client,
    pub(super) how: &'a Copying<'a>,
    pub(super) filled: &'a mut Filled,
    /// Makes an extension that the owner may not make; none where a dump asks for it.
    pub(super) extension: Option<&'a Making<'a>>,
}

impl Loading<'_> {
    /// Runs all; in one transaction, so that nothing is left of one that fails.
    pub(super) fn dump(&mut self, dump: &mut dyn Read) -> Result<(), Trouble> {
        let doing = || "importing into a database";
        self.client.batch_execute("BEGIN").or_fault(doing)?;
        let mut statements = Statements::new(dump);
        let mut open: Option<u64> = None;
        loop {
            self.going_on()?;
            let Some(statement) = statements.next().map_err(ended)? else {
                break;
            };
            let line = statement.line;
            self.how
                .watcher
                .at(statements.read(), &format!("line {line}"));
            let sql = text(statement)?;
            match kind(&sql) {
                Kind::Begin => open = Some(line),
                Kind::Commit => open = None,
                Kind::Rows => self.rows(&mut statements, &sql, line)?,
                kind => self.one(kind, &sql, line, true)?,
            }
        }
        if let Some(line) = open {
            return Err(Trouble::Refused(format!(
                "the dump is cut off: it begins a transaction in line {line} and never ends it"
            )));
        }
        self.filled.bytes += statements.read();
        crate::crash::point("a dump is loaded and not yet committed");
        self.client
            .batch_execute("COMMIT")
            .map_err(|error| wrong(error, "COMMIT", 0))
    }

    /// Runs one statement that pg_dump has written for us.
    pub(super) fn ours(&mut self, sql: &str) -> Result<(), Trouble> {
        self.one(kind(sql), sql, 0, false)
    }

    fn one(&mut self, kind: Kind, sql: &str, line: u64, whole: bool) -> Result<(), Trouble> {
        match kind {
            Kind::PassOver | Kind::Begin | Kind::Commit | Kind::Rows => Ok(()),
            Kind::LeaveOut(what) => {
                self.note(what.to_owned());
                Ok(())
            }
            Kind::Refuse(why) => Err(Trouble::Refused(format!("line {line}: {why}"))),
            Kind::Run => self
                .client
                .batch_execute(sql)
                .map_err(|error| wrong(error, sql, line)),
            Kind::Tolerant | Kind::Extension(_) => {
                let doing = || "importing into a database";
                if whole {
                    self.client
                        .batch_execute("SAVEPOINT funicular")
                        .or_fault(doing)?;
                }
                let run = self.client.batch_execute(sql);
                if whole {
                    let after = if run.is_ok() {
                        ""
                    } else {
                        "ROLLBACK TO funicular; "
                    };
                    self.client
                        .batch_execute(&format!("{after}RELEASE funicular"))
                        .or_fault(doing)?;
                }
                match (run, kind) {
                    (Ok(()), _) => Ok(()),
                    (Err(error), Kind::Extension(name)) => match self.extension {
                        _ if error.code().is_none() => Err(wrong(error, sql, line)),
                        Some(make) => make(sql),
                        None => {
                            self.note(format!(
                                "the extension {name} was not made: {}",
                                error.as_db_error().map_or("", |told| told.message())
                            ));
                            Ok(())
                        }
                    },
                    (Err(error), _) if is_missing(&error) => Ok(()),
                    (Err(error), _) => Err(wrong(error, sql, line)),
                }
            }
        }
    }

    /// Hands the rows that follow a statement to the server.
    fn rows(
        &mut self,
        statements: &mut Statements<&mut dyn Read>,
        sql: &str,
        line: u64,
    ) -> Result<(), Trouble> {
        let how = self.how;
        let begin = statements.begin_rows().map_err(ended)?;
        let what = format!("rows from line {begin}");
        let mut writer = self
            .client
            .copy_in(sql)
            .map_err(|error| wrong(error, sql, line))?;
        let mut failed = None;
        while let Some(part) = statements.rows().map_err(ended)? {
            if let Err(error) = writer.write_all(part) {
                failed = Some(error);
                break;
            }
            if how.watcher.stopped() {
                return Err(Trouble::Stopped);
            }
            how.watcher.at(statements.read(), &what);
        }
        if let Some(error) = failed {
            return Err(match connect::from_stream(error) {
                Ok(error) if !error.is_closed() => wrong_rows(error, &what),
                _ => match writer.finish() {
                    Err(error) => wrong_rows(error, &what),
                    Ok(_) => crate::fault::Fault::new("importing rows").into(),
                },
            });
        }
        self.filled.rows += writer.finish().map_err(|error| wrong_rows(error, &what))?;
        Ok(())
    }

    fn note(&mut self, note: String) {
        if !self.filled.notes.contains(&note) {
            self.filled.notes.push(note);
        }
    }

    fn going_on(&self) -> Result<(), Trouble> {
        if self.how.watcher.stopped() {
            return Err(Trouble::Stopped);
        }
        Ok(())
    }
}

pub(super) fn text(statement: Statement) -> Result<String, Trouble> {
    let line = statement.line;
    String::from_utf8(statement.sql).map_err(|_error| {
        Trouble::Refused(format!(
            "line {line}: this statement is not UTF-8. Write the dump with pg_dump --encoding=UTF8."
        ))
    })
}

pub(super) fn ended(ending: Ending) -> Trouble {
    Trouble::Refused(match ending {
        Ending::CutOff(line) => {
            format!("the dump is cut off: it ends within the statement that begins in line {line}")
        }
        Ending::CutOffInRows(line) => {
            format!("the dump is cut off: it ends within rows, in line {line}")
        }
        Ending::WithoutEnd => "the dump is cut off: pg_dump began it and the line \
             “PostgreSQL database dump complete” is missing"
            .into(),
        Ending::Command(line, name) => format!(
            "line {line}: {name} is a command for the program psql, and no SQL. Write the dump with pg_dump without --create."
        ),
        Ending::TooLong(line) => {
            format!("the statement or row that begins in line {line} is longer than 256 MiB")
        }
        Ending::Input(error) => return super::import::unreadable(error),
    })
}

/// Whether something is not there that was to be removed or set.
fn is_missing(error: &postgres::Error) -> bool {
    use postgres::error::SqlState as Is;
    error.code().is_some_and(|code| {
        [
            Is::UNDEFINED_TABLE,
            Is::UNDEFINED_OBJECT,
            Is::UNDEFINED_FUNCTION,
            Is::UNDEFINED_COLUMN,
            Is::INVALID_SCHEMA_NAME,
            Is::DUPLICATE_SCHEMA,
            Is::INSUFFICIENT_PRIVILEGE,
            Is::CANT_CHANGE_RUNTIME_PARAM,
        ]
        .contains(code)
    })
}

const OWNERS: &str =
    "who owns what (OWNER TO) was left out: all belongs to the user of the database";
const RIGHTS: &str = "rights (GRANT, REVOKE) were left out: the database has one user";
const OUTSIDE: &str =
    "publications, subscriptions and event triggers were left out: they are not the site's to make";

/// Decides by the words that a statement begins with.
fn kind(sql: &str) -> Kind {
    let words = words::words(sql, 48);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refuse = |why: &str| Kind::Refuse(why.to_owned());
    match words.as_slice() {
        [] => Kind::PassOver,
        ["BEGIN", ..] | ["START", "TRANSACTION", ..] => Kind::Begin,
        ["COMMIT" | "END", "PREPARED", ..] | ["PREPARE", "TRANSACTION", ..] => {
            refuse("prepared transactions are not allowed in a dump")
        }
        ["COMMIT" | "END", ..] => Kind::Commit,
        ["ROLLBACK" | "ABORT", ..] => refuse("the dump takes itself back (ROLLBACK)"),
        // It names all columns of a table before it says what is done with them.
        ["COPY", ..] => {
            let words = words::words(sql, usize::MAX);
            copy(&words.iter().map(String::as_str).collect::<Vec<_>>())
        }
        ["SET" | "RESET", "SESSION" | "LOCAL", "AUTHORIZATION", ..]
        | ["SET" | "RESET", "ROLE", ..]
        | ["SET", "SESSION" | "LOCAL", "ROLE" | "SESSION", ..] => {
            refuse("a dump may not take on another user. Write it with pg_dump --no-owner.")
        }
        ["SET", rest @ ..] => set(rest, sql),
        ["ALTER", .., "OWNER", "TO", _] => Kind::LeaveOut(OWNERS),
        ["GRANT" | "REVOKE", ..] | ["ALTER", "DEFAULT", "PRIVILEGES", ..] => Kind::LeaveOut(RIGHTS),
        ["CREATE" | "ALTER" | "DROP", "ROLE" | "USER" | "GROUP", ..]
        | ["DROP" | "REASSIGN", "OWNED", ..] => {
            refuse("users are not a dump's to make, change or remove")
        }
        ["CREATE" | "ALTER" | "DROP", "DATABASE", ..] => refuse(
            "the dump names a database; it is loaded into the environment's. Write it with pg_dump without --create.",
        ),
        ["CREATE" | "ALTER" | "DROP", "TABLESPACE", ..]
        | ["ALTER", "SYSTEM", ..]
        | [
            "LOAD" | "CHECKPOINT" | "VACUUM" | "DISCARD" | "LISTEN" | "NOTIFY",
            ..,
        ]
        | ["CREATE" | "ALTER" | "DROP", "SERVER" | "FOREIGN", ..]
        | ["IMPORT", "FOREIGN", ..]
        | ["SECURITY", "LABEL", ..] => refuse(&format!(
            "{} {} is not allowed in a dump",
            words.first().copied().unwrap_or_default(),
            words.get(1).copied().unwrap_or_default()
        )),
        [
            "CREATE" | "ALTER" | "DROP",
            "PUBLICATION" | "SUBSCRIPTION" | "EVENT",
            ..,
        ]
        | [
            "COMMENT",
            "ON",
            "PUBLICATION" | "SUBSCRIPTION" | "EVENT",
            ..,
        ] => Kind::LeaveOut(OUTSIDE),
        ["CREATE", "EXTENSION", "IF", "NOT", "EXISTS", name, ..]
        | ["CREATE", "EXTENSION", name, ..] => Kind::Extension(name.to_lowercase()),
        ["DROP", "EXTENSION", ..]
        | ["COMMENT", "ON", "EXTENSION" | "DATABASE" | "LANGUAGE", ..]
        | ["CREATE", "SCHEMA", "PUBLIC" | "public"]
        | ["CREATE", "SCHEMA", "IF", "NOT", "EXISTS", ..]
        | ["COMMENT", "ON", "SCHEMA", ..]
        | ["CREATE", "LANGUAGE", ..]
        | ["CREATE", "OR", "REPLACE", "LANGUAGE", ..]
        | ["SELECT", "PG_CATALOG", ".", "LO_UNLINK", ..]
        | ["DROP", ..] => Kind::Tolerant,
        // `pg_dump --clean` takes away what may not be there.
        ["ALTER", "TABLE", rest @ ..] if rest.contains(&"DROP") => Kind::Tolerant,
        _ => Kind::Run,
    }
}

fn copy(words: &[&str]) -> Kind {
    let from = words.iter().position(|word| *word == "FROM");
    match from.and_then(|from| words.get(from + 1..)) {
        Some(["STDIN", rest @ ..]) if !rest.contains(&"BINARY") => Kind::Rows,
        Some(["STDIN", ..]) => Kind::Refuse("rows in binary are not allowed in a dump".into()),
        Some(["PROGRAM", ..]) => {
            Kind::Refuse("COPY … FROM PROGRAM would run a program on the server".into())
        }
        Some(_) => Kind::Refuse("COPY … FROM a file would read a file of the server".into()),
        None => Kind::Refuse("COPY … TO would write outside of the database".into()),
    }
}

fn set(words: &[&str], sql: &str) -> Kind {
    let words = match words {
        ["SESSION" | "LOCAL", rest @ ..] => rest,
        rest => rest,
    };
    let value = || sql.split(['=', '\'']).nth_back_word().to_ascii_uppercase();
    match words {
        // These are the gateway's.
        [
            "STATEMENT_TIMEOUT"
            | "LOCK_TIMEOUT"
            | "IDLE_IN_TRANSACTION_SESSION_TIMEOUT"
            | "IDLE_SESSION_TIMEOUT"
            | "TRANSACTION_TIMEOUT"
            | "CLIENT_MIN_MESSAGES"
            | "SYNCHRONOUS_COMMIT"
            | "ESCAPE_STRING_WARNING",
            ..,
        ] => Kind::PassOver,
        ["CLIENT_ENCODING", ..] | ["NAMES", ..] => match value().as_str() {
            "UTF8" | "UTF-8" | "UNICODE" => Kind::PassOver,
            other => Kind::Refuse(format!(
                "the dump is in {other}. Write it with pg_dump --encoding=UTF8."
            )),
        },
        ["STANDARD_CONFORMING_STRINGS", ..] => match value().as_str() {
            "ON" => Kind::PassOver,
            _ => Kind::Refuse("standard_conforming_strings must be on in a dump".into()),
        },
        _ => Kind::Tolerant,
    }
}

/// The last word that is one.
trait LastWord {
    fn nth_back_word(self) -> String;
}

impl<'a, I: Iterator<Item = &'a str>> LastWord for I {
    fn nth_back_word(self) -> String {
        self.map(str::trim)
            .filter(|part| !part.is_empty())
            .last()
            .and_then(|part| part.split_whitespace().last())
            .unwrap_or_default()
            .to_owned()
    }
}
