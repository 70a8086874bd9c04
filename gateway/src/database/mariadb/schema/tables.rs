//! Tables: how they are made, which of their columns are copied, and how.

use std::collections::{HashMap, HashSet};

use super::keys::{self, Later};
use super::{Connection, Wrong, name};

/// From this size on, in bytes, a table's indexes are made after its rows.
const WORTH_SORTING: u64 = 1 << 20;

/// How a column's values are read and loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database::mariadb) enum How {
    /// As the bytes they are; replacements apply where it is text.
    Text,
    /// Spelled in quotes, and nothing in it is replaced.
    Plain,
    /// Spelled without quotes.
    Number,
    /// A number whose text would lose digits: it is read as a wider one.
    Float,
    /// Bytes that a statement spells in hexadecimal digits.
    Binary,
    /// A type whose text would be taken for its bytes when it happens to be as long.
    Spelled,
}

/// A column that holds values of its own.
#[derive(Debug)]
pub(in crate::database::mariadb) struct Column {
    pub(in crate::database::mariadb) name: String,
    pub(in crate::database::mariadb) how: How,
}

/// A table.
#[derive(Debug)]
pub(in crate::database::mariadb) struct Tabled {
    pub(in crate::database::mariadb) name: String,
    /// The statement that makes it.
    pub(in crate::database::mariadb) made: String,
    /// How it is made where its rows come before its indexes; none where that gains nothing.
    pub(in crate::database::mariadb) later: Option<Later>,
    /// Its storage engine.
    pub(in crate::database::mariadb) engine: String,
    /// Bytes of its rows, as the server estimates them.
    pub(in crate::database::mariadb) bytes: u64,
    /// The columns that are copied: not those that are computed from others.
    pub(in crate::database::mariadb) columns: Vec<Column>,
    /// The columns of its primary key.
    pub(in crate::database::mariadb) primary: Vec<String>,
    /// Whether its rows are its own: those of a table that only leads to others are not copied.
    pub(in crate::database::mariadb) has_rows: bool,
}

impl Tabled {
    /// The query that reads its rows, in the order of its primary key where it has one.
    pub(in crate::database::mariadb) fn select(&self) -> String {
        let column = |column: &Column| {
            let spelled = name(&column.name);
            match column.how {
                How::Float => format!("CAST({spelled} AS DOUBLE)"),
                How::Text | How::Plain | How::Number | How::Binary | How::Spelled => spelled,
            }
        };
        let columns: Vec<_> = self.columns.iter().map(column).collect();
        let mut select = format!("SELECT {} FROM {}", columns.join(", "), name(&self.name));
        if self.is_transactional() && !self.primary.is_empty() {
            let primary: Vec<_> = self.primary.iter().map(|column| name(column)).collect();
            select.push_str(" FORCE INDEX (PRIMARY) ORDER BY ");
            select.push_str(&primary.join(", "));
        }
        select
    }

    /// Whether a snapshot holds it.
    pub(in crate::database::mariadb) fn is_transactional(&self) -> bool {
        ["InnoDB", "ROCKSDB", "TokuDB"]
            .iter()
            .any(|engine| engine.eq_ignore_ascii_case(&self.engine))
    }
}

/// Engines whose tables hold no rows of their own.
const LEADING_ELSEWHERE: [&str; 7] = [
    "MRG_MyISAM",
    "MRG_MYISAM",
    "FEDERATED",
    "CONNECT",
    "SPIDER",
    "BLACKHOLE",
    "S3",
];

pub(super) fn read(
    server: &mut Connection<'_>,
    schema: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<Tabled>, Wrong> {
    let mut columns = columns(server, schema)?;
    let mut primaries: HashMap<String, Vec<String>> = HashMap::new();
    for row in server.texts(format!(
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = {schema} AND INDEX_NAME = 'PRIMARY' ORDER BY TABLE_NAME, SEQ_IN_INDEX"
    ))? {
        if let [table, column] = row.as_slice() {
            primaries
                .entry(table.clone())
                .or_default()
                .push(column.clone());
        }
    }
    // What a foreign key points to is found by an index, which is to be there before the key.
    let pointed_to = server.texts(format!(
        "SELECT DISTINCT LOWER(REFERENCED_TABLE_NAME) FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE UNIQUE_CONSTRAINT_SCHEMA = {schema}"
    ))?;
    let pointed_to: HashSet<String> = pointed_to.into_iter().flatten().collect();
    let listed = server.texts(format!(
        "SELECT TABLE_NAME, TABLE_TYPE, IFNULL(ENGINE, ''), IFNULL(DATA_LENGTH, 0) \
         FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} \
         AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME"
    ))?;
    let mut tables = Vec::new();
    for row in &listed {
        let [table, kind, engine, bytes] = row.as_slice() else {
            continue;
        };
        let made = server.texts(format!("SHOW CREATE TABLE {}", name(table)))?;
        let Some(made) = made
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1))
        else {
            return Err(Wrong::protocol("a table without a statement that makes it"));
        };
        let bytes = bytes.parse().unwrap_or(0);
        let is_waited_for = engine != "InnoDB" || pointed_to.contains(&table.to_lowercase());
        let later = match made.as_str() {
            made if bytes >= WORTH_SORTING && !is_waited_for => keys::later(made),
            _ => None,
        };
        let tabled = Tabled {
            name: table.clone(),
            made,
            later,
            engine: engine.clone(),
            bytes,
            columns: columns.remove(table).unwrap_or_default(),
            primary: primaries.remove(table).unwrap_or_default(),
            has_rows: !LEADING_ELSEWHERE.contains(&engine.as_str()),
        };
        if !tabled.has_rows {
            notes.push(format!(
                "{table} is a table of {engine}, which leads to rows elsewhere: only its structure is taken"
            ));
        } else if !tabled.is_transactional() {
            notes.push(format!(
                "{table} is a table of {engine}, which knows no transactions: its rows are as they were \
                 some moments after the others"
            ));
        }
        if kind == "SYSTEM VERSIONED" {
            notes.push(format!(
                "of {table} the rows of now are taken, not their history"
            ));
        }
        tables.push(tabled);
    }
    // The longest work begins first, so that all ends about the same time.
    tables.sort_by_key(|table| std::cmp::Reverse(table.bytes));
    Ok(tables)
}

fn columns(
    server: &mut Connection<'_>,
    schema: &str,
) -> Result<HashMap<String, Vec<Column>>, Wrong> {
    let mut columns: HashMap<String, Vec<Column>> = HashMap::new();
    for row in server.texts(format!(
        "SELECT TABLE_NAME, COLUMN_NAME, LOWER(DATA_TYPE), EXTRA FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = {schema} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    ))? {
        let [table, column, kind, extra] = row.as_slice() else {
            continue;
        };
        let extra = extra.to_ascii_uppercase();
        let computed = ["VIRTUAL GENERATED", "STORED GENERATED", "PERSISTENT"];
        if computed.iter().any(|word| extra.contains(word)) || extra == "VIRTUAL" {
            continue;
        }
        columns.entry(table.clone()).or_default().push(Column {
            name: column.clone(),
            how: how(kind),
        });
    }
    Ok(columns)
}

fn how(kind: &str) -> How {
    match kind {
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "json" => How::Text,
        // Sites keep serialised values in these too.
        "tinyblob" | "blob" | "mediumblob" | "longblob" | "binary" | "varbinary" => How::Binary,
        "bit" | "geometry" | "point" | "linestring" | "polygon" | "multipoint"
        | "multilinestring" | "multipolygon" | "geometrycollection" | "geomcollection"
        | "vector" => How::Binary,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "double" | "year" => {
            How::Number
        }
        "float" => How::Float,
        "inet4" | "inet6" | "uuid" => How::Spelled,
        _ => How::Plain,
    }
}
