//! Replaces names in every text of a database: a table at a time, some rows at a time; what does not
//! change is not written.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, params_from_iter};

use super::open;
use super::schema::{self, Column, Kind, Known};
use crate::database::replace::Replacement;
use crate::database::{Copying, Filled, Trouble};
use crate::fault::OrFault;

/// How many rows are read before what has changed in them is written.
const ROWS: i64 = 2000;

/// A value as it is in the database; text need not be UTF-8.
enum Bytes {
    Text(Vec<u8>),
    Value(Value),
}

impl ToSql for Bytes {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Bytes::Text(bytes) => ValueRef::Text(bytes),
            Bytes::Value(value) => ValueRef::from(value),
        }))
    }
}

impl From<ValueRef<'_>> for Bytes {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Text(bytes) => Bytes::Text(bytes.to_vec()),
            ValueRef::Null => Bytes::Value(Value::Null),
            ValueRef::Integer(number) => Bytes::Value(Value::Integer(number)),
            ValueRef::Real(number) => Bytes::Value(Value::Real(number)),
            ValueRef::Blob(bytes) => Bytes::Value(Value::Blob(bytes.to_vec())),
        }
    }
}

/// The key of a row, and what its columns become.
type Change = (Vec<Bytes>, Vec<(usize, Vec<u8>)>);

/// Goes through all tables.
pub(super) fn replace(
    connection: &Connection,
    replacement: &Replacement,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    let doing = || "replacing names in an SQLite database";
    let mut indexes = Vec::new();
    for table in schema::tables(connection).or_fault(doing)? {
        super::copy::going_on(how)?;
        how.watcher.at(filled.bytes, &table.name);
        match table.kind {
            Kind::Shadow => continue,
            Kind::Ordinary => {}
            Kind::Virtual => match search(&table) {
                Some(Search::Own) => {}
                Some(Search::Others) => {
                    indexes.push(table);
                    continue;
                }
                Some(Search::Nothing) => {
                    filled.notes.push(format!(
                        "in the virtual table {} nothing was replaced: it does not keep its text",
                        table.name
                    ));
                    continue;
                }
                None => continue,
            },
        }
        match in_table(connection, &table, replacement, how, filled) {
            Ok(()) => {}
            Err(Trouble::Fault(fault)) if open::is_foreign(&fault.to_string()) => {
                filled.notes.push(format!(
                    "in the table {} nothing was replaced, as only the site's own program knows what it uses: {fault}",
                    table.name
                ));
            }
            Err(trouble) => return Err(trouble),
        }
    }
    for table in indexes {
        let name = schema::quoted(&table.name);
        let sql = format!("INSERT INTO {name}({name}) VALUES('rebuild')");
        if let Err(error) = connection.execute(&sql, []) {
            filled.notes.push(format!(
                "the full-text index {} could not be built anew: {error}",
                table.name
            ));
        }
    }
    Ok(())
}

/// Where a full-text index has its text.
enum Search {
    Own,
    Others,
    Nothing,
}

fn search(table: &Known) -> Option<Search> {
    let module = table.module.as_deref()?;
    if !["fts3", "fts4", "fts5"]
        .iter()
        .any(|known| module.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let squeezed: String = table
        .sql
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    Some(match squeezed.split_once("content=") {
        Some((before, _)) if !before.ends_with(['(', ',']) => Search::Own,
        Some((_, after)) => {
            let source = after.split([',', ')']).next().unwrap_or_default();
            if source.trim_matches(['\'', '"']).is_empty() {
                Search::Nothing
            } else {
                Search::Others
            }
        }
        None => Search::Own,
    })
}

fn in_table(
    connection: &Connection,
    table: &Known,
    replacement: &Replacement,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Trouble> {
    let doing = || format!("replacing names in the table {}", table.name);
    let columns: Vec<Column> = schema::columns(connection, &table.name).or_fault(doing)?;
    let keys: Vec<String> = match schema::rowid(connection, table).or_fault(doing)? {
        Some(rowid) => vec![rowid.to_owned()],
        None => {
            let mut keys: Vec<_> = columns.iter().filter(|column| column.key > 0).collect();
            keys.sort_by_key(|column| column.key);
            keys.iter()
                .map(|column| schema::quoted(&column.name))
                .collect()
        }
    };
    let values: Vec<String> = columns
        .iter()
        .filter(|column| !column.hidden)
        .map(|column| schema::quoted(&column.name))
        .collect();
    if keys.is_empty() || values.is_empty() {
        if !values.is_empty() {
            filled.notes.push(format!(
                "in the table {} nothing was replaced: its rows cannot be told apart",
                table.name
            ));
        }
        return Ok(());
    }
    let name = schema::quoted(&table.name);
    let (keys_text, count) = (keys.join(", "), keys.len());
    let marks = vec!["?"; count].join(", ");
    let query = |after: bool| {
        let from = if after {
            format!("WHERE ({keys_text}) > ({marks})")
        } else {
            String::new()
        };
        format!(
            "SELECT {keys_text}, {} FROM {name} {from} ORDER BY {keys_text} LIMIT {ROWS}",
            values.join(", ")
        )
    };
    let same = keys
        .iter()
        .map(|key| format!("{key} IS ?"))
        .collect::<Vec<_>>()
        .join(" AND ");
    let (mut begin, mut go_on) = (
        connection.prepare(&query(false)).or_fault(doing)?,
        connection.prepare(&query(true)).or_fault(doing)?,
    );
    let mut last: Vec<Bytes> = Vec::new();
    let mut kept = 0_u64;
    loop {
        super::copy::going_on(how)?;
        let mut changes: Vec<Change> = Vec::new();
        let mut read = 0;
        {
            let mut rows = if last.is_empty() {
                begin.query([])
            } else {
                go_on.query(params_from_iter(&last))
            }
            .or_fault(doing)?;
            last = Vec::new();
            while let Some(row) = rows.next().or_fault(doing)? {
                read += 1;
                let mut changed = Vec::new();
                for at in 0..values.len() {
                    let value = row.get_ref(count + at).or_fault(doing)?;
                    if let ValueRef::Text(bytes) = value
                        && let Some(other) = replacement.apply(bytes)
                    {
                        changed.push((at, other));
                    }
                }
                let is_last = read == ROWS;
                if is_last || !changed.is_empty() {
                    let key = || -> rusqlite::Result<Vec<Bytes>> {
                        (0..count)
                            .map(|at| row.get_ref(at).map(Bytes::from))
                            .collect()
                    };
                    if is_last {
                        last = key().or_fault(doing)?;
                    }
                    if !changed.is_empty() {
                        changes.push((key().or_fault(doing)?, changed));
                    }
                }
            }
        }
        for (key, changed) in changes {
            let sets: Vec<String> = changed
                .iter()
                .filter_map(|(at, _)| Some(format!("{} = ?", values.get(*at)?)))
                .collect();
            let sql = format!("UPDATE {name} SET {} WHERE {same}", sets.join(", "));
            let number = changed.len() as u64;
            let bound = changed
                .into_iter()
                .map(|(_, bytes)| Bytes::Text(bytes))
                .chain(key);
            let mut update = connection.prepare_cached(&sql).or_fault(doing)?;
            match update.execute(params_from_iter(bound)) {
                Ok(_) => filled.replaced += number,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    kept += number;
                }
                Err(error) => return Err(error).or_fault(doing)?,
            }
        }
        if read < ROWS {
            break;
        }
    }
    if kept > 0 {
        filled.notes.push(format!(
            "{kept} values of the table {} stayed as they were: what they would become breaks a rule of it",
            table.name
        ));
    }
    Ok(())
}
