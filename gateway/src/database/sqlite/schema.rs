//! What a database says that it holds.

use std::collections::HashMap;

use rusqlite::Connection;

/// A table.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The module of a virtual one.
    pub(super) module: Option<String>,
    /// How it was made.
    pub(super) sql: String,
    /// It has no number for each row.
    pub(super) keyed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ordinary,
    Virtual,
    /// A virtual table keeps its own in it.
    Shadow,
}

/// Modules of virtual tables that are part of SQLite as sites have it, and that read nothing but the
/// database.
const MODULES: [&str; 9] = [
    "fts3",
    "fts4",
    "fts5",
    "fts4aux",
    "fts5vocab",
    "rtree",
    "rtree_i32",
    "geopoly",
    "dbstat",
];

/// Functions that reach outside of the database, in one program or another that speaks SQLite.
const REACHING_OUT: [&str; 5] = [
    "load_extension",
    "readfile",
    "writefile",
    "fts3_tokenizer",
    "fsdir",
];

/// Whether a module may be named by a dump.
pub(super) fn may_use(module: &str) -> bool {
    MODULES
        .iter()
        .any(|known| module.eq_ignore_ascii_case(known))
}

/// Whether a function may be named by a dump.
pub(super) fn may_call(function: &str) -> bool {
    !REACHING_OUT
        .iter()
        .any(|known| function.eq_ignore_ascii_case(known))
}

/// Lists the tables, without those of SQLite's own.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<Known>> {
    let mut made: HashMap<String, String> = connection
        .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE type = 'table'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut statement = connection.prepare(
        "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' \
         AND type IN ('table', 'virtual', 'shadow') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| {
        let name: String = row.get(0)?;
        let kind: String = row.get(1)?;
        let sql = made.remove(&name).unwrap_or_default();
        let kind = match kind.as_str() {
            "virtual" => Kind::Virtual,
            "shadow" => Kind::Shadow,
            _ => Kind::Ordinary,
        };
        Ok(Known {
            module: (kind == Kind::Virtual).then(|| module(&sql)).flatten(),
            keyed: row.get(2)?,
            name,
            kind,
            sql,
        })
    })?;
    rows.collect()
}

/// Returns the module in `CREATE VIRTUAL TABLE name USING module`.
pub(super) fn module(sql: &str) -> Option<String> {
    let words = super::statements::words(sql, 64);
    let using = words
        .iter()
        .position(|word| word.eq_ignore_ascii_case("using"))?;
    words.get(using + 1).cloned()
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its place in the primary key, from 1; 0 outside of it.
    pub(super) key: u32,
    /// It is reckoned from others, or none that a query shows by itself.
    pub(super) hidden: bool,
}

pub(super) fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    connection
        .prepare("SELECT name, pk, hidden FROM pragma_table_xinfo(?1)")?
        .query_map([table], |row| {
            Ok(Column {
                name: row.get(0)?,
                key: row.get(1)?,
                hidden: row.get::<_, i64>(2)? != 0,
            })
        })?
        .collect()
}

/// Returns the name by which the number of a row is known, if it has one that no column takes.
pub(super) fn rowid(
    connection: &Connection,
    table: &Known,
) -> rusqlite::Result<Option<&'static str>> {
    if table.keyed {
        return Ok(None);
    }
    let columns = columns(connection, &table.name)?;
    Ok(["rowid", "_rowid_", "oid"].into_iter().find(|name| {
        !columns
            .iter()
            .any(|column| column.name.eq_ignore_ascii_case(name))
    }))
}

/// Quotes a name.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Looks through what a foreign database says of itself; returns what may not be in it.
pub(super) fn forbidden(connection: &Connection) -> rusqlite::Result<Option<String>> {
    for table in tables(connection)? {
        if let Some(module) = &table.module
            && !may_use(module)
        {
            return Ok(Some(format!(
                "the virtual table {} of the module {module}",
                table.name
            )));
        }
    }
    let mut statement =
        connection.prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let words = super::statements::words(&sql, usize::MAX);
        let called = words.windows(2).find_map(|pair| match pair {
            [function, open] if open == "(" && !may_call(function) => Some(function),
            _ => None,
        });
        if let Some(called) = called {
            return Ok(Some(format!("the {kind} {name}, which calls {called}")));
        }
    }
    Ok(None)
}
