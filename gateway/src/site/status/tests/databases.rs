//! Databases as SQLite in memory; what only MariaDB and PostgreSQL can be asked has set answers here.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{Score, is};
use crate::database::{Engine, Table};
use crate::fault::{Fault, OrFault};
use crate::site::status::Check;
use crate::site::status::data::{self, Ask};

/// SQLite that says it is another engine, or is away.
pub(super) struct Fake {
    engine: Engine,
    connection: Connection,
    away: bool,
    tables: Vec<Table>,
    /// Answers to queries that hold these words.
    pub(super) said: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Fake {
    pub(super) fn new(engine: Engine, sql: &str) -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let tables = {
            let mut statement = connection
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
                .unwrap();
            let names = statement
                .query_map([], |row| row.get::<_, String>(0))
                .unwrap();
            names
                .map(|name| Table {
                    name: name.unwrap(),
                    engine: (engine == Engine::Mariadb).then(|| "InnoDB".to_owned()),
                    rows: 1,
                    bytes: 1024,
                })
                .collect()
        };
        Self {
            engine,
            connection,
            away: false,
            tables,
            said: BTreeMap::new(),
        }
    }

    pub(super) fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }

    pub(super) fn change(&mut self, table: &str, change: impl FnOnce(&mut Table)) {
        change(
            self.tables
                .iter_mut()
                .find(|one| one.name == table)
                .unwrap(),
        );
    }
}

impl Ask for Fake {
    fn engine(&self) -> Engine {
        self.engine
    }

    fn tables(&self) -> Result<Vec<Table>, Fault> {
        if self.away {
            return Err(Fault::new("asking the server"));
        }
        Ok(self.tables.clone())
    }

    fn query(&self, sql: &str) -> Result<Vec<String>, Fault> {
        if let Some((_, rows)) = self.said.iter().find(|(words, _)| sql.contains(**words)) {
            return Ok(rows.iter().map(|row| (*row).to_owned()).collect());
        }
        let doing = || "asking";
        let mut statement = self.connection.prepare(sql).or_fault(doing)?;
        let rows = statement
            .query_map([], |row| {
                let value: rusqlite::types::Value = row.get(0)?;
                Ok(match value {
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                })
            })
            .or_fault(doing)?;
        rows.collect::<Result<_, _>>().or_fault(doing)
    }
}

#[track_caller]
pub(super) fn find<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks
        .iter()
        .find(|check| check.check == name)
        .unwrap_or_else(|| panic!("no check {name} in {checks:?}"))
}

fn looked(fake: &Fake) -> Vec<Check> {
    let mut checks = Vec::new();
    let _ = data::look(fake, &mut checks);
    checks
}

#[test]
fn engines_are_asked_for_their_health() {
    let mut fake = Fake::new(Engine::Sqlite, "");
    is(find(&looked(&fake), "database"), Score::Warning, "empty");
    fake = Fake::new(Engine::Sqlite, "CREATE TABLE a (id INTEGER);");
    is(find(&looked(&fake), "database"), Score::Ok, "1 table(s)");
    is(find(&looked(&fake), "integrity"), Score::Ok, "whole");
    fake.said
        .insert("quick_check", vec!["row 1 missing from index x"]);
    is(
        find(&looked(&fake), "integrity"),
        Score::Failure,
        "row 1 missing",
    );
    fake.away = true;
    is(
        find(&looked(&fake), "database"),
        Score::Failure,
        "cannot be reached",
    );

    let mut fake = Fake::new(
        Engine::Mariadb,
        "CREATE TABLE a (id INTEGER); CREATE TABLE b (id INTEGER);",
    );
    fake.said
        .insert("table_collation", vec!["utf8mb4_unicode_ci"]);
    fake.said.insert("index_name = 'PRIMARY'", vec![]);
    let checks = looked(&fake);
    for name in ["database", "storage-engine", "collations", "primary-keys"] {
        assert_eq!(find(&checks, name).score, Score::Ok, "{checks:?}");
    }
    fake.change("b", |table| table.engine = Some("MyISAM".to_owned()));
    fake.said.insert(
        "table_collation",
        vec!["utf8mb4_unicode_ci", "utf8mb4_general_ci"],
    );
    fake.said.insert("index_name = 'PRIMARY'", vec!["b"]);
    let checks = looked(&fake);
    is(
        find(&checks, "storage-engine"),
        Score::Failure,
        "b (MyISAM)",
    );
    is(
        find(&checks, "collations"),
        Score::Warning,
        "different ways",
    );
    is(find(&checks, "primary-keys"), Score::Warning, ": b.");
    fake.said.insert(
        "table_collation",
        vec!["latin1_swedish_ci", "utf8mb4_general_ci"],
    );
    is(
        find(&looked(&fake), "collations"),
        Score::Warning,
        "latin1_swedish_ci",
    );

    let mut fake = Fake::new(Engine::Postgresql, "CREATE TABLE a (id INTEGER);");
    fake.said.insert("indisprimary", vec![]);
    fake.said.insert("indisvalid", vec![]);
    is(find(&looked(&fake), "indexes"), Score::Ok, "whole");
    fake.said.insert("indisvalid", vec!["a_idx"]);
    is(find(&looked(&fake), "indexes"), Score::Failure, "a_idx");
}
