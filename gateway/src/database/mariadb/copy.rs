//! A database into another one, as it is at one moment. The two may be on different servers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::rows::{self, Lost, Rows};
use super::schema::{Code, Object, Schema, Tabled};
use super::server::{Served, name};
use super::snapshot;
use super::statement::{Changes, rewrite};
use super::trouble;
use super::wire::{Connection, Wrong};
use crate::crash;
use crate::database::{Copying, Events, Filled, Trouble};
use crate::fault::Fault;
use crate::pattern;

/// So many tables are copied at once.
const AT_ONCE: usize = 2;
/// Tables up to this size are counted once more after they were loaded.
const COUNTED: u64 = 64 << 20;

/// What loading begins with: no checks that held when the rows were made, and no waiting for locks.
pub(super) const LOADING: &str =
    "SET SESSION unique_checks = 0, foreign_key_checks = 0, innodb_lock_wait_timeout = 3600";
const LOADING_MARIADB: &str = "SET SESSION check_constraint_checks = 0";

/// The source's structure changed under the snapshot.
const DEFINITION_CHANGED: [u16; 3] = [1412, 1146, 1051];
/// A server that logs its statements wants more rights for triggers and functions than an owner has.
const NEEDS_RIGHTS: [u16; 3] = [1227, 1418, 1419];
/// What a view fails with while a view or function that it uses is not there yet.
const NOT_YET: [u16; 4] = [1146, 1305, 1356, 1054];

pub(super) fn copy(
    source: &Served<'_>,
    target: &Served<'_>,
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    let doing = || format!("copying the database {}", source.name);
    let wrong = |wrong| trouble(wrong, doing);
    let mut asking = source
        .as_gateway(Some(source.name), Some(how.watcher))
        .map_err(wrong)?;
    let mut making = target.as_owner(Some(how.watcher)).map_err(wrong)?;
    prepare(&mut making).map_err(wrong)?;

    let snapshot = snapshot::take(source, AT_ONCE, how.watcher).map_err(wrong)?;
    tracing::debug!(
        "writers of {} were held for {:?}",
        source.name,
        snapshot.held
    );
    crash::point("database copy: the moment is taken");
    let schema = Schema::read(&mut asking, source.name).map_err(wrong)?;
    let maker = Maker {
        source: source.name,
        target,
        how,
    };
    maker.tables(&mut making, &schema).map_err(wrong)?;
    crash::point("database copy: tables are made");

    let copied = rows_of_all(source, target, &schema, snapshot.readers, how)?;
    crash::point("database copy: rows are there");
    maker.code(&mut making, &schema).map_err(wrong)?;

    let mut filled = Filled {
        tables: schema.tables.len() as u64,
        rows: copied.rows,
        bytes: copied.bytes,
        replaced: copied.replaced,
        notes: schema.notes,
    };
    if how.events == Events::Off && !schema.events.is_empty() {
        let events = schema.events.len();
        filled
            .notes
            .push(format!("{events} events are switched off"));
    }
    Ok(filled)
}

/// Sets what a connection that loads begins with.
fn prepare(server: &mut Connection<'_>) -> Result<(), Wrong> {
    server.run(LOADING)?;
    match server.run(LOADING_MARIADB) {
        // MySQL has no such setting.
        Err(wrong) if wrong.code() == 1193 => Ok(()),
        other => other.map(drop),
    }
}

/// Copies the rows of all tables, so many at once.
fn rows_of_all(
    source: &Served<'_>,
    target: &Served<'_>,
    schema: &Schema,
    readers: Vec<Connection<'_>>,
    how: &Copying<'_>,
) -> Result<Rows, Trouble> {
    let wanted = |table: &&Tabled| has_rows_to_copy(table, how);
    let queue = Mutex::new(schema.tables.iter().filter(wanted));
    let sum = Mutex::new(Rows::default());
    let failed: Mutex<Option<Trouble>> = Mutex::new(None);
    let bytes = AtomicU64::new(0);
    let work = |mut reader: Connection<'_>| {
        let result = (|| {
            let mut writer = target
                .as_owner_who_loads(Some(how.watcher))
                .map_err(|wrong| trouble(wrong, || format!("loading into {}", target.name)))?;
            prepare(&mut writer)
                .map_err(|wrong| trouble(wrong, || format!("loading into {}", target.name)))?;
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let over = failed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .is_some();
                let (Some(table), false) = (next, over) else {
                    return Ok(());
                };
                let told = |more: u64| {
                    let all = bytes.fetch_add(more, Ordering::Relaxed) + more;
                    how.watcher.at(all, &table.name);
                };
                let copied = rows::copy(
                    &mut reader,
                    &mut writer,
                    table,
                    how.replacement,
                    how.watcher,
                    &told,
                )
                .map_err(|lost| blame(lost, source, table))?;
                index(&mut writer, table)?;
                counted(&mut writer, table, copied.rows)?;
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                sum.rows += copied.rows;
                sum.bytes += copied.bytes;
                sum.replaced += copied.replaced;
            }
        })();
        if let Err(trouble) = result {
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(trouble);
        }
    };
    thread::scope(|scope| {
        for reader in readers {
            scope.spawn(|| work(reader));
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(trouble) => Err(trouble),
        None => Ok(sum.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn has_rows_to_copy(table: &Tabled, how: &Copying<'_>) -> bool {
    let mut skipped = how.without_rows.iter();
    let skipped = skipped.any(|skip| pattern::matches(skip.as_bytes(), table.name.as_bytes()));
    table.has_rows && !table.columns.is_empty() && !skipped
}

/// Makes the indexes that waited for the table's rows.
fn index(writer: &mut Connection<'_>, table: &Tabled) -> Result<(), Trouble> {
    let Some(later) = &table.later else {
        return Ok(());
    };
    let adding = later.keys.join(", ADD ");
    writer
        .run(format!("ALTER TABLE {} ADD {adding}", name(&table.name)))
        .map_err(|wrong| trouble(wrong, || format!("making the indexes of {}", table.name)))?;
    Ok(())
}

/// Sees that the target has as many rows as were read.
fn counted(writer: &mut Connection<'_>, table: &Tabled, rows: u64) -> Result<(), Trouble> {
    if table.bytes > COUNTED {
        return Ok(());
    }
    let doing = || format!("counting the rows of {}", table.name);
    let there = writer
        .one(format!("SELECT COUNT(*) FROM {}", name(&table.name)))
        .map_err(|wrong| trouble(wrong, doing))?;
    if there.as_deref() == Some(rows.to_string().as_str()) {
        return Ok(());
    }
    Err(Trouble::Fault(Fault::new(format!(
        "of the {rows} rows of {} not all arrived",
        table.name
    ))))
}

fn blame(lost: Lost, source: &Served<'_>, table: &Tabled) -> Trouble {
    let table = &table.name;
    match lost {
        Lost::Read(wrong) if DEFINITION_CHANGED.contains(&wrong.code()) => {
            Trouble::Refused(format!(
                "the table {table} was altered while it was being copied; try again when that is over"
            ))
        }
        Lost::Read(wrong) => trouble(wrong, || format!("reading {table} of {}", source.name)),
        Lost::Load(wrong) => trouble(wrong, || format!("loading {table}")),
        Lost::Differs(what) => Trouble::Fault(Fault::new(format!(
            "copying the table {table}, {what}, and"
        ))),
    }
}

/// Makes in one database what another is made of.
struct Maker<'a> {
    source: &'a str,
    target: &'a Served<'a>,
    how: &'a Copying<'a>,
}

impl Maker<'_> {
    fn tables(&self, making: &mut Connection<'_>, schema: &Schema) -> Result<(), Wrong> {
        let database = name(self.target.name);
        making.run(format!("ALTER DATABASE {database} {}", schema.defaults))?;
        for sequence in &schema.sequences {
            making.run(sequence)?;
        }
        // A table over others comes after them.
        let (own, leading): (Vec<&Tabled>, Vec<&Tabled>) =
            schema.tables.iter().partition(|table| table.has_rows);
        for table in own.into_iter().chain(leading) {
            let made = match &table.later {
                Some(later) if has_rows_to_copy(table, self.how) => &later.made,
                _ => &table.made,
            };
            let (made, _) = rewrite(made.as_bytes(), &self.changes(""));
            making.run(made)?;
        }
        Ok(())
    }

    /// Makes what runs as somebody: as the target's own user, whoever it was in the source.
    fn code(&self, making: &mut Connection<'_>, schema: &Schema) -> Result<(), Wrong> {
        let mut gateway = None;
        for routine in &schema.routines {
            self.one(making, &mut gateway, routine)?;
        }
        // A view may use another: those whose turn has not come yet are tried again.
        let mut left: Vec<&Code> = schema.views.iter().collect();
        while !left.is_empty() {
            let before = left.len();
            let mut last = None;
            let mut still = Vec::new();
            for view in left {
                match self.one(making, &mut gateway, view) {
                    Ok(()) => {}
                    Err(wrong) if NOT_YET.contains(&wrong.code()) => {
                        still.push(view);
                        last = Some(wrong);
                    }
                    Err(wrong) => return Err(wrong),
                }
            }
            if let Some(wrong) = last
                && still.len() == before
            {
                return Err(wrong);
            }
            left = still;
        }
        for code in schema.triggers.iter().chain(&schema.events) {
            self.one(making, &mut gateway, code)?;
        }
        Ok(())
    }

    fn one(
        &self,
        making: &mut Connection<'_>,
        gateway: &mut Option<(Connection<'static>, String)>,
        code: &Code,
    ) -> Result<(), Wrong> {
        let (made, _) = rewrite(code.made.as_bytes(), &self.changes_of(code, ""));
        making.run(format!("SET {}", code.settings))?;
        match making.run(made) {
            Err(wrong) if NEEDS_RIGHTS.contains(&wrong.code()) => {}
            other => return other.map(drop),
        }
        if gateway.is_none() {
            let mut server = self.target.as_gateway(Some(self.target.name), None)?;
            server.run(LOADING)?;
            let owner = making.one("SELECT CURRENT_USER()")?.unwrap_or_default();
            let (user, host) = owner.rsplit_once('@').unwrap_or((&owner, "%"));
            *gateway = Some((server, format!("DEFINER={}@{} ", name(user), name(host))));
        }
        let Some((server, definer)) = gateway else {
            return Ok(());
        };
        let (made, _) = rewrite(code.made.as_bytes(), &self.changes_of(code, definer));
        server.run(format!("SET {}", code.settings))?;
        server.run(made).map(drop)
    }

    fn changes<'c>(&'c self, definer: &'c str) -> Changes<'c> {
        Changes {
            database: Some((self.source, self.target.name)),
            definer,
            event_off: false,
        }
    }

    fn changes_of<'c>(&'c self, code: &Code, definer: &'c str) -> Changes<'c> {
        Changes {
            event_off: code.object == Object::Event && self.how.events == Events::Off,
            ..self.changes(definer)
        }
    }
}
