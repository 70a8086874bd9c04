//! The database: whether it is there, and whether its engine is healthy.

use super::{Check, sized, some, told};
use crate::database::{Database, Engine, Table};
use crate::fault::Fault;

/// What is asked of a database; its tests have another one.
pub(super) trait Ask {
    fn engine(&self) -> Engine;
    fn tables(&self) -> Result<Vec<Table>, Fault>;
    /// The rows of a query of one column, as text.
    fn query(&self, sql: &str) -> Result<Vec<String>, Fault>;
}

impl Ask for Database {
    fn engine(&self) -> Engine {
        Database::engine(self)
    }

    fn tables(&self) -> Result<Vec<Table>, Fault> {
        Database::tables(self)
    }

    fn query(&self, sql: &str) -> Result<Vec<String>, Fault> {
        Database::query(self, sql)
    }
}

/// A database that could be reached, with its tables.
pub(super) struct Data<'a> {
    ask: &'a dyn Ask,
    pub engine: Engine,
    pub tables: Vec<Table>,
}

impl<'a> Data<'a> {
    pub(super) fn of(ask: &'a dyn Ask) -> Result<Self, Fault> {
        let mut tables = ask.tables()?;
        for table in &mut tables {
            // Where SQLite has several files, each is named with its own; a query finds it in any.
            if let Some((_file, name)) = table.name.rsplit_once(": ") {
                table.name = name.to_owned();
            }
        }
        Ok(Self {
            engine: ask.engine(),
            tables,
            ask,
        })
    }

    pub(super) fn query(&self, sql: &str) -> Result<Vec<String>, Fault> {
        self.ask.query(sql)
    }

    /// The first value of a query as a number; 0 if there is none.
    pub(super) fn number(&self, sql: &str) -> Result<u64, Fault> {
        let rows = self.query(sql)?;
        Ok(rows
            .first()
            .and_then(|value| value.split('.').next()?.parse().ok())
            .unwrap_or(0))
    }

    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Finds what stands before the names of a system's tables: the shortest with which all are there. Only
    /// one that needs no quotes.
    pub(super) fn prefix(&self, names: &[&str]) -> Option<String> {
        let first = names.first()?;
        let mut prefixes: Vec<&str> = self
            .tables
            .iter()
            .filter_map(|table| table.name.strip_suffix(first))
            .filter(|prefix| {
                prefix
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_')
                    && names
                        .iter()
                        .all(|name| self.table(&format!("{prefix}{name}")).is_some())
            })
            .collect();
        prefixes.sort_by_key(|prefix| prefix.len());
        prefixes.first().map(|prefix| (*prefix).to_owned())
    }

    /// Joins two expressions to one text with a colon between them.
    pub(super) fn joined(&self, one: &str, other: &str) -> String {
        match self.engine {
            Engine::Mariadb => format!("CONCAT({one}, ':', {other})"),
            Engine::Sqlite | Engine::Postgresql => format!("{one} || ':' || {other}"),
        }
    }
}

/// Returns the database that the gateway keeps for an environment, or tells that there is none.
pub(super) fn known(
    database: Result<Option<Database>, Fault>,
    checks: &mut Vec<Check>,
) -> Option<Database> {
    const NAME: &str = "database";
    match database {
        Ok(Some(database)) => return Some(database),
        Ok(None) => checks.push(Check::skipped(
            NAME,
            "The gateway keeps no database for this environment.",
        )),
        Err(fault) => checks.push(told(NAME, Err(fault))),
    }
    None
}

pub(super) fn look<'a>(ask: &'a dyn Ask, checks: &mut Vec<Check>) -> Option<Data<'a>> {
    let data = match Data::of(ask) {
        Ok(data) => data,
        Err(fault) => {
            tracing::warn!("env:status, database: {fault}");
            checks.push(Check::failure(
                "database",
                format!("It cannot be reached: {}.", fault.for_person()),
                "Look whether its server runs; the gateway's log has the cause.",
            ));
            return None;
        }
    };
    let bytes = data.tables.iter().map(|table| table.bytes).sum();
    checks.push(if data.tables.is_empty() {
        Check::warning(
            "database",
            "It can be reached and is empty.",
            "Bring content: env:clone-content, import:database, or the site's own installer.",
        )
    } else {
        Check::ok(
            "database",
            format!(
                "{}: {} table(s), {}.",
                data.engine.as_str(),
                data.tables.len(),
                sized(bytes)
            ),
        )
    });
    match data.engine {
        Engine::Mariadb => {
            checks.push(storage_engines(&data));
            checks.push(told("collations", collations(&data)));
            checks.push(told(
                "primary-keys",
                primary_keys(&data, KEYLESS_IN_MARIADB),
            ));
        }
        Engine::Postgresql => {
            checks.push(told(
                "primary-keys",
                primary_keys(&data, KEYLESS_IN_POSTGRESQL),
            ));
            checks.push(told("indexes", invalid_indexes(&data)));
        }
        Engine::Sqlite => checks.push(told("integrity", integrity(&data))),
    }
    Some(data)
}

/// Other engines of MariaDB lock whole tables, and lose what was being written in a crash.
fn storage_engines(data: &Data<'_>) -> Check {
    const NAME: &str = "storage-engine";
    let others: Vec<String> = data
        .tables
        .iter()
        .filter_map(|table| {
            let engine = table.engine.as_deref().filter(|name| !name.is_empty())?;
            let known = engine.eq_ignore_ascii_case("innodb")
                // Has no rows of its own.
                || engine.eq_ignore_ascii_case("sequence");
            (!known).then(|| format!("{} ({engine})", table.name))
        })
        .collect();
    if others.is_empty() {
        return Check::ok(NAME, "All tables are InnoDB's.");
    }
    Check::failure(
        NAME,
        format!(
            "{} table(s) are not InnoDB's: {}.",
            others.len(),
            some(&others)
        ),
        "ALTER TABLE … ENGINE=InnoDB, for each, on Dev first.",
    )
}

const COLLATIONS: &str = "SELECT DISTINCT table_collation FROM information_schema.tables \
    WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND table_collation IS NOT NULL ORDER BY 1";

fn collations(data: &Data<'_>) -> Result<Check, Fault> {
    const NAME: &str = "collations";
    let found = data.query(COLLATIONS)?;
    let short: Vec<&String> = found
        .iter()
        .filter(|name| {
            !name.starts_with("utf8mb4") && *name != "ascii_bin" && *name != "ascii_general_ci"
        })
        .collect();
    let action =
        "ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4 COLLATE …, the same for all, on Dev first.";
    Ok(if !short.is_empty() {
        Check::warning(
            NAME,
            format!(
                "Not every character can be kept (emoji, some names) with {}.",
                some(&short)
            ),
            action,
        )
    } else if found.len() > 1 {
        Check::warning(
            NAME,
            format!(
                "Tables compare text in different ways, so joins may fail or be slow: {}.",
                some(&found)
            ),
            action,
        )
    } else {
        Check::ok(
            NAME,
            format!(
                "All tables have {}.",
                found.first().map_or("no text", |name| name)
            ),
        )
    })
}

const KEYLESS_IN_MARIADB: &str = "SELECT t.table_name FROM information_schema.tables t \
    WHERE t.table_schema = DATABASE() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND NOT EXISTS \
    (SELECT 1 FROM information_schema.statistics s WHERE s.table_schema = t.table_schema \
     AND s.table_name = t.table_name AND s.index_name = 'PRIMARY') ORDER BY 1";

const KEYLESS_IN_POSTGRESQL: &str = "SELECT c.relname::text FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') \
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%' \
    AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) ORDER BY 1";

fn primary_keys(data: &Data<'_>, sql: &str) -> Result<Check, Fault> {
    const NAME: &str = "primary-keys";
    let without = data.query(sql)?;
    Ok(if without.is_empty() {
        Check::ok(NAME, "All tables have a primary key.")
    } else {
        Check::warning(
            NAME,
            format!(
                "{} table(s) have no primary key: {}.",
                without.len(),
                some(&without)
            ),
            "Give them one: replication, online changes and copies in parts need it.",
        )
    })
}

const INVALID_INDEXES: &str =
    "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1";

fn invalid_indexes(data: &Data<'_>) -> Result<Check, Fault> {
    const NAME: &str = "indexes";
    let invalid = data.query(INVALID_INDEXES)?;
    Ok(if invalid.is_empty() {
        Check::ok(NAME, "All indexes are whole.")
    } else {
        Check::failure(
            NAME,
            format!(
                "Indexes whose making broke off are not used: {}.",
                some(&invalid)
            ),
            "REINDEX INDEX CONCURRENTLY, or drop them.",
        )
    })
}

fn integrity(data: &Data<'_>) -> Result<Check, Fault> {
    const NAME: &str = "integrity";
    if data.tables.is_empty() {
        return Ok(Check::skipped(NAME, "There is nothing to look at."));
    }
    let said = data.query("PRAGMA quick_check(5)")?;
    Ok(if said.iter().all(|line| line == "ok") {
        Check::ok(NAME, "SQLite finds it whole.")
    } else {
        Check::failure(
            NAME,
            format!("SQLite finds it damaged: {}.", some(&said)),
            "Bring back a backup (backup:restore), or recover what is left (.recover of sqlite3).",
        )
    })
}
