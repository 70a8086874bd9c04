//! Copies a database as one snapshot shows it: pg_dump writes what there is, and the rows go from
//! connection to connection, two tables at a time.

use std::io::Read;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use postgres::Client;

use super::connect::{Served, as_gateway, as_owner, literal, served};
use super::export::LEFT_OUT;
use super::load::{self, Loading};
use super::programs::{self, Running};
use super::rows::{self, Handed};
use super::schema::{self, Source};
use super::statements::Statements;
use super::words;
use super::{quoted, version};
use crate::database::{Copying, Database, Filled, Trouble};
use crate::fault::{Fault, OrFault};

/// How many tables, and then indexes, are worked on at once.
const TOGETHER: usize = 2;
/// A part of a large object.
const PART: i64 = 4 << 20;

pub(in crate::database) fn copy(
    source: &Database,
    target: &Database,
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    let (from, to) = (served(source)?, served(target)?);
    let doing = || "copying a database";
    let mut filled = Filled::default();
    // Whose snapshot it is; it has to stay open until all have taken it over.
    let mut lead = as_owner(from)?;
    let snapshot = begin(&mut lead, None)?;
    let tables = schema::tables(&mut lead)?;
    for table in &tables {
        // Nobody may empty or change it before its rows are read.
        lead.batch_execute(&format!(
            "LOCK TABLE ONLY {} IN ACCESS SHARE MODE",
            table.qualified()
        ))
        .or_fault(doing)?;
    }
    let version = version(&mut lead)?;
    let mut client = as_owner(to)?;
    let before = dumped(from, version, "pre-data", &snapshot)?;
    crate::crash::point("a copy of a database is begun");
    run(&mut client, to, &before, how, &mut filled)?;
    hand_over(from, to, &snapshot, tables, how, &mut filled)?;
    crate::crash::point("the rows of a database are copied");
    large_objects(&mut lead, &mut client, how)?;
    sequences(&mut lead, &mut client)?;
    let after = dumped(from, version, "post-data", &snapshot)?;
    let (indexes, after): (Vec<_>, Vec<_>) = after.into_iter().partition(|sql| is_index(sql));
    in_turns(&indexes, to, how)?;
    run(&mut client, to, &after, how, &mut filled)?;
    settings(&mut lead, &mut client, to)?;
    compare(&mut lead, &mut client, &mut filled)?;
    lead.batch_execute("ROLLBACK").or_fault(doing)?;
    filled.tables = schema::count_tables(&mut client)?;
    Ok(filled)
}

/// Begins to read at a snapshot, or at one that is made, and returned.
fn begin(client: &mut Client, snapshot: Option<&str>) -> Result<String, Fault> {
    let doing = || "taking a snapshot of a database";
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .or_fault(doing)?;
    if let Some(snapshot) = snapshot {
        client
            .batch_execute(&format!("SET TRANSACTION SNAPSHOT {}", literal(snapshot)))
            .or_fault(doing)?;
        return Ok(snapshot.to_owned());
    }
    let row = client
        .query_one("SELECT pg_catalog.pg_export_snapshot()", &[])
        .or_fault(doing)?;
    Ok(row.get(0))
}

/// Has pg_dump write a section, and returns its statements.
fn dumped(
    from: Served<'_>,
    version: u32,
    section: &str,
    snapshot: &str,
) -> Result<Vec<String>, Trouble> {
    let mut command = programs::connecting(from, "pg_dump", version)?;
    command.args(LEFT_OUT).args([
        format!("--section={section}"),
        format!("--snapshot={snapshot}"),
        "--encoding=UTF8".to_owned(),
    ]);
    let (running, mut output) = Running::start(command, "pg_dump")?;
    let mut text = Vec::new();
    output
        .read_to_end(&mut text)
        .or_fault(|| "reading from pg_dump")?;
    programs::done(running)?;
    let mut statements = Statements::new(text.as_slice());
    let mut found = Vec::new();
    while let Some(statement) = statements.next().map_err(load::ended)? {
        found.push(load::text(statement)?);
    }
    Ok(found)
}

/// Runs statements of pg_dump's one after another.
fn run(
    client: &mut Client,
    to: Served<'_>,
    statements: &[String],
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    // One that the owner may not make was made in the source by the administrator.
    let extension = |sql: &str| {
        as_gateway(to.server, to.name)?
            .batch_execute(sql)
            .or_fault(|| "making an extension that the source has")?;
        Ok(())
    };
    let mut loading = Loading {
        client,
        how,
        filled,
        extension: Some(&extension),
    };
    for sql in statements {
        if how.watcher.stopped() {
            return Err(Trouble::Stopped);
        }
        loading.ours(sql)?;
    }
    Ok(())
}

/// Copies the rows of all tables.
fn hand_over(
    from: Served<'_>,
    to: Served<'_>,
    snapshot: &str,
    tables: Vec<Source>,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    let wanted: Vec<Source> = tables
        .into_iter()
        .filter(|table| !table.without_rows(how))
        .collect();
    let workers = TOGETHER.min(wanted.len());
    let left = Mutex::new(wanted.into_iter());
    let handed = Handed::default();
    together(workers, || {
        let mut source = as_owner(from)?;
        begin(&mut source, Some(snapshot))?;
        let mut target = as_owner(to)?;
        while let Some(table) = next(&left) {
            rows::hand_over(&mut source, &mut target, &table, how, &handed)?;
        }
        Ok(())
    })?;
    filled.rows += handed.rows.load(Ordering::Relaxed);
    filled.bytes += handed.bytes.load(Ordering::Relaxed);
    filled.replaced += handed.replaced.load(Ordering::Relaxed);
    Ok(())
}

fn next<T>(left: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    left.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// Does the same on several threads; when one fails, that is what is told.
fn together(workers: usize, work: impl Fn() -> Result<(), Trouble> + Sync) -> Result<(), Trouble> {
    std::thread::scope(|scope| {
        let working: Vec<_> = (0..workers).map(|_| scope.spawn(&work)).collect();
        let mut all = Ok(());
        for one in working {
            let done = one
                .join()
                .unwrap_or_else(|_panic| Err(Fault::new("copying a database").into()));
            if all.is_ok() {
                all = done;
            }
        }
        all
    })
}

/// Whether a statement makes an index, which waits for no other index.
fn is_index(sql: &str) -> bool {
    let words = words::words(sql, 24);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["CREATE", "INDEX", ..] | ["CREATE", "UNIQUE", "INDEX", ..] => true,
        ["ALTER", "TABLE", "ONLY", rest @ ..] => {
            rest.windows(2)
                .any(|pair| matches!(pair, ["PRIMARY", "KEY"] | [_, "UNIQUE"]))
                && rest.contains(&"CONSTRAINT")
                && !rest.contains(&"REFERENCES")
        }
        _ => false,
    }
}

/// Makes indexes, several at once.
fn in_turns(indexes: &[String], to: Served<'_>, how: &Copying<'_>) -> Result<(), Trouble> {
    let left = Mutex::new(indexes.iter());
    together(TOGETHER.min(indexes.len()), || {
        let mut client = as_owner(to)?;
        while let Some(sql) = next(&left) {
            if how.watcher.stopped() {
                return Err(Trouble::Stopped);
            }
            client
                .batch_execute(sql)
                .map_err(|error| super::connect::wrong(error, sql, 0))?;
        }
        Ok(())
    })
}

/// Copies what sites keep as large objects; pg_dump has made them, with their numbers.
fn large_objects(lead: &mut Client, client: &mut Client, how: &Copying<'_>) -> Result<(), Trouble> {
    let doing = || "copying large objects";
    let objects = lead
        .query("SELECT oid FROM pg_catalog.pg_largeobject_metadata", &[])
        .or_fault(doing)?;
    for object in objects {
        let number: u32 = object.get(0);
        let mut at = 0_i64;
        loop {
            if how.watcher.stopped() {
                return Err(Trouble::Stopped);
            }
            let part = i32::try_from(PART).unwrap_or(i32::MAX);
            let row = lead
                .query_one(
                    "SELECT pg_catalog.lo_get($1, $2, $3)",
                    &[&number, &at, &part],
                )
                .or_fault(doing)?;
            let bytes: Vec<u8> = row.get(0);
            if !bytes.is_empty() {
                client
                    .execute(
                        "SELECT pg_catalog.lo_put($1, $2, $3)",
                        &[&number, &at, &bytes],
                    )
                    .or_fault(doing)?;
            }
            at += PART;
            if (bytes.len() as u64) < PART.cast_unsigned() {
                break;
            }
        }
    }
    Ok(())
}

/// Sets sequences to where they are.
fn sequences(lead: &mut Client, client: &mut Client) -> Result<(), Trouble> {
    let doing = || "copying sequences";
    let found = lead
        .query(
            "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND c.relpersistence <> 't' \
             AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                             AND d.objid = c.oid AND d.deptype = 'e')",
            &[],
        )
        .or_fault(doing)?;
    for row in found {
        let name = format!(
            "{}.{}",
            quoted(row.get::<_, &str>(0)),
            quoted(row.get::<_, &str>(1))
        );
        let at = lead
            .query_one(&format!("SELECT last_value, is_called FROM {name}"), &[])
            .or_fault(doing)?;
        let (last, called): (i64, bool) = (at.get(0), at.get(1));
        client
            .batch_execute(&format!(
                "SELECT pg_catalog.setval({}, {last}, {called})",
                literal(&name)
            ))
            .or_fault(doing)?;
    }
    Ok(())
}

/// Copies the settings of the database itself, such as its search_path.
fn settings(lead: &mut Client, client: &mut Client, to: Served<'_>) -> Result<(), Trouble> {
    let doing = || "copying the settings of a database";
    let found = lead
        .query(
            "SELECT unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d \
             ON d.oid = s.setdatabase WHERE d.datname = pg_catalog.current_database() AND s.setrole = 0",
            &[],
        )
        .or_fault(doing)?;
    for row in found {
        let setting: String = row.get(0);
        let Some((name, value)) = setting.split_once('=') else {
            continue;
        };
        // What the owner may not set is the administrator's, who set it there.
        let _ = client.batch_execute(&format!(
            "SELECT pg_catalog.set_config({}, {}, false); ALTER DATABASE {} SET {} FROM CURRENT",
            literal(name),
            literal(value),
            quoted(to.name),
            quoted(name)
        ));
    }
    client
        .batch_execute("SET search_path = ''")
        .or_fault(doing)?;
    Ok(())
}

/// Compares what there is of each kind.
fn compare(lead: &mut Client, client: &mut Client, filled: &mut Filled) -> Result<(), Trouble> {
    let (wanted, found) = (schema::counts(lead)?, schema::counts(client)?);
    for (kind, number) in &wanted {
        let arrived = found.get(kind).copied().unwrap_or(0);
        if arrived == *number {
            continue;
        }
        let what = format!("{arrived} of {number} have arrived of the kind: {kind}");
        if [
            "table",
            "partitioned table",
            "index",
            "constraint",
            "view",
            "sequence",
        ]
        .contains(&kind.as_str())
        {
            return Err(Fault::new(format!("copying a database: {what}")).into());
        }
        filled.notes.push(what);
    }
    Ok(())
}
