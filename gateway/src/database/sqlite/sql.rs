//! Runs a dump of SQL statements on a new database. What it may do is written down here; the rest is
//! refused, with its line.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, ErrorCode};

use super::open::{self, Mode, Opened};
use super::schema;
use super::statements::{self, Ending, Statements};
use crate::database::{Copying, Filled, Trouble};
use crate::fault::OrFault;

/// How long one statement may take.
const LONGEST: Duration = Duration::from_secs(1800);

/// Settings that a dump may make.
const TAKEN: [&str; 5] = [
    "encoding",
    "user_version",
    "application_id",
    "auto_vacuum",
    "page_size",
];
/// Settings that a dump may ask for, without an effect: they are those of a connection, or the
/// gateway's to choose.
const PASSED_OVER: [&str; 18] = [
    "foreign_keys",
    "writable_schema",
    "journal_mode",
    "synchronous",
    "cache_size",
    "temp_store",
    "locking_mode",
    "defer_foreign_keys",
    "legacy_alter_table",
    "legacy_file_format",
    "recursive_triggers",
    "ignore_check_constraints",
    "count_changes",
    "secure_delete",
    "wal_autocheckpoint",
    "journal_size_limit",
    "busy_timeout",
    "optimize",
];

/// What is to be done with a statement.
enum Kind {
    Run,
    /// It begins a transaction of the dump's.
    Begin,
    /// It ends it.
    Commit,
    /// A setting, which counts outside of transactions only.
    Setting,
    PassOver,
    /// A virtual table that a dump writes into the schema by hand: how it is made.
    Virtual {
        name: String,
        sql: String,
    },
    Refuse(String),
}

/// Whether a transaction is open, and whose it is.
#[derive(PartialEq, Eq)]
enum Transaction {
    None,
    Ours,
    Theirs,
}

/// Fills a database, which is not there yet.
pub(super) fn run(
    path: &Path,
    dump: &mut dyn Read,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    let doing = || "importing into an SQLite database";
    let mut virtuals = Vec::new();
    {
        let mut connection = open::database(path, Mode::Making)?;
        connection
            .execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY")
            .or_fault(doing)?;
        connection.authorizer(Some(allow)).or_fault(doing)?;
        let mut statements = Statements::new(dump);
        let mut transaction = Transaction::None;
        loop {
            super::copy::going_on(how)?;
            let read = statements.read();
            let statement = match statements.next() {
                Ok(Some(statement)) => statement,
                Ok(None) => break,
                Err(ending) => return Err(ended(ending)),
            };
            let line = statement.line;
            how.watcher.at(read, &format!("line {line}"));
            let sql = std::str::from_utf8(statement.sql).map_err(|_error| {
                Trouble::Refused(format!(
                    "line {line}: this statement is not UTF-8. Import the SQLite file itself instead."
                ))
            })?;
            step(&mut connection, sql, line, &mut transaction, &mut virtuals)?;
        }
        filled.bytes += statements.read();
        if transaction == Transaction::Theirs {
            return Err(Trouble::Refused(
                "the dump is cut off: it begins a transaction (BEGIN) and never ends it (COMMIT)"
                    .into(),
            ));
        }
        if transaction == Transaction::Ours {
            connection.execute_batch("COMMIT").or_fault(doing)?;
        }
    }
    write_virtuals(path, &virtuals)
}

fn step(
    connection: &mut Opened,
    sql: &str,
    line: u64,
    transaction: &mut Transaction,
    virtuals: &mut Vec<(String, String)>,
) -> Result<(), Trouble> {
    let doing = || format!("line {line} of the dump");
    match kind(sql) {
        Kind::PassOver => {}
        Kind::Refuse(why) => return Err(Trouble::Refused(format!("line {line}: {why}"))),
        Kind::Virtual { name, sql } => virtuals.push((name, sql)),
        Kind::Begin => {
            if *transaction == Transaction::Ours {
                connection.execute_batch("COMMIT").or_fault(doing)?;
            }
            if *transaction == Transaction::Theirs {
                return Err(Trouble::Refused(format!(
                    "line {line}: a transaction begins within another"
                )));
            }
            connection.execute_batch("BEGIN").or_fault(doing)?;
            *transaction = Transaction::Theirs;
        }
        Kind::Commit => {
            if *transaction != Transaction::None {
                connection.execute_batch("COMMIT").or_fault(doing)?;
            }
            *transaction = Transaction::None;
        }
        Kind::Setting => {
            if *transaction == Transaction::Ours {
                connection.execute_batch("COMMIT").or_fault(doing)?;
                *transaction = Transaction::None;
            }
            run_one(connection, sql, line)?;
        }
        Kind::Run => {
            if *transaction == Transaction::None {
                connection.execute_batch("BEGIN").or_fault(doing)?;
                *transaction = Transaction::Ours;
            }
            run_one(connection, sql, line)?;
        }
    }
    Ok(())
}

/// Decides by the words that a statement begins with; what it does within, `allow` decides.
fn kind(sql: &str) -> Kind {
    let words = statements::words(sql, 4);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let first = word(0).to_ascii_uppercase();
    match first.as_str() {
        // A semicolon alone.
        "" => Kind::PassOver,
        "BEGIN" => Kind::Begin,
        "COMMIT" | "END" => Kind::Commit,
        "PRAGMA" => {
            let name = word(1).to_ascii_lowercase();
            if TAKEN.contains(&name.as_str()) {
                Kind::Setting
            } else if PASSED_OVER.contains(&name.as_str()) {
                Kind::PassOver
            } else {
                Kind::Refuse(format!("PRAGMA {name} is not allowed in a dump"))
            }
        }
        "INSERT" if is_schema(word(2)) => match virtual_table(sql) {
            Some((name, sql)) => Kind::Virtual { name, sql },
            None => Kind::Refuse("a dump may not write the schema by hand".into()),
        },
        "VACUUM" if words.len() == 1 => Kind::PassOver,
        "ROLLBACK" => Kind::Refuse(
            "the dump takes itself back (ROLLBACK): whoever wrote it met an error".into(),
        ),
        "CREATE" | "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "DROP" | "ALTER" | "SELECT"
        | "WITH" | "VALUES" | "ANALYZE" | "REINDEX" | "SAVEPOINT" | "RELEASE" => Kind::Run,
        other => Kind::Refuse(format!("{other} is not allowed in a dump")),
    }
}

fn is_schema(name: &str) -> bool {
    name.eq_ignore_ascii_case("sqlite_schema") || name.eq_ignore_ascii_case("sqlite_master")
}

/// Reads what `sqlite3`'s `.dump` writes for a virtual table:
/// `INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','t','t',0,'CREATE …');`
fn virtual_table(sql: &str) -> Option<(String, String)> {
    let (_, values) = sql.split_once("VALUES('table',")?;
    let (name, rest) = string(values)?;
    let (table, rest) = string(rest.strip_prefix(',')?)?;
    let (made, rest) = string(rest.strip_prefix(",0,")?)?;
    let alone = rest.trim() == ");";
    let words = statements::words(&made, 3);
    let right = words
        .iter()
        .zip(["create", "virtual", "table"])
        .all(|(word, wanted)| word.eq_ignore_ascii_case(wanted));
    let module = schema::module(&made)?;
    (alone && right && words.len() == 3 && name == table && schema::may_use(&module))
        .then_some((name, made))
}

/// Reads a string in quotes; returns it and what follows.
fn string(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut read = String::new();
    loop {
        let (part, after) = rest.split_once('\'')?;
        read.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                read.push('\'');
                rest = more;
            }
            None => return Some((read, after)),
        }
    }
}

/// Writes virtual tables into the schema as a dump has them, now that what they keep is there.
fn write_virtuals(path: &Path, virtuals: &[(String, String)]) -> Result<(), Trouble> {
    if virtuals.is_empty() {
        return Ok(());
    }
    let doing = || "making the virtual tables of a dump";
    let connection = open::database(path, Mode::Writing)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)
        .or_fault(doing)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA writable_schema = ON",
        )
        .or_fault(doing)?;
    for (name, sql) in virtuals {
        connection
            .execute(
                "INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql) \
                 VALUES('table', ?1, ?1, 0, ?2)",
                [name, sql],
            )
            .or_fault(doing)?;
    }
    connection
        .execute_batch("PRAGMA writable_schema = RESET")
        .map_err(|error| Trouble::Refused(format!("the virtual tables of the dump: {error}")))
}

fn run_one(connection: &mut Opened, sql: &str, line: u64) -> Result<(), Trouble> {
    let until = Instant::now() + LONGEST;
    connection
        .progress_handler(100_000, Some(move || Instant::now() > until))
        .or_fault(|| "importing into an SQLite database")?;
    let done = drain(connection, sql);
    done.map_err(|error| wrong(&error, sql, line))
}

fn drain(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

fn wrong(error: &rusqlite::Error, sql: &str, line: u64) -> Trouble {
    if matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen)
    ) {
        let fault = crate::fault::Fault::new(format!("importing line {line}: {error}"));
        return Trouble::Fault(fault);
    }
    if let rusqlite::Error::SqlInputError { msg, offset, .. } = error {
        let offset = usize::try_from(*offset).unwrap_or(0);
        let before = sql.get(..offset).unwrap_or("");
        let line = line + before.bytes().filter(|byte| *byte == b'\n').count() as u64;
        let near: String = sql.get(offset..).unwrap_or(sql).chars().take(60).collect();
        return Trouble::Refused(format!("line {line}: {msg}, near “{}”", near.trim()));
    }
    let near: String = sql.chars().take(60).collect();
    let what = match error.sqlite_error_code() {
        Some(ErrorCode::AuthorizationForStatementDenied) => "this is not allowed in a dump".into(),
        Some(ErrorCode::OperationInterrupted) => "this statement takes too long".into(),
        _ => error.to_string(),
    };
    Trouble::Refused(format!("line {line}: {what}, near “{}”", near.trim()))
}

fn ended(ending: Ending) -> Trouble {
    match ending {
        Ending::CutOff(line) => Trouble::Refused(format!(
            "the dump is cut off: it ends within the statement that begins in line {line}"
        )),
        Ending::Dot(line) => Trouble::Refused(format!(
            "line {line} is a command for the program sqlite3 (it begins with a point), and no SQL"
        )),
        Ending::TooLong(line) => Trouble::Refused(format!(
            "the statement that begins in line {line} is longer than 256 MiB"
        )),
        Ending::Input(error) => super::import::unreadable(error),
    }
}

fn allow(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } | AuthAction::Recursive => false,
        AuthAction::Pragma { pragma_name, .. } => TAKEN
            .iter()
            .any(|name| pragma_name.eq_ignore_ascii_case(name)),
        AuthAction::CreateVtable { module_name, .. } => schema::may_use(module_name),
        AuthAction::Function { function_name } => schema::may_call(function_name),
        _ => true,
    };
    if allowed {
        Authorization::Allow
    } else {
        Authorization::Deny
    }
}
