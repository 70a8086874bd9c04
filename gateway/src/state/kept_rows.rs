//! Everything that the state has of an environment, taken out and put back whole: its own row, and
//! those of whatever other tables there are about environments.

use std::collections::BTreeMap;

use policy::{Environment, SiteName};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Transaction, params_from_iter};
use serde::{Deserialize, Serialize};

use super::model::rows;
use crate::fault::{Fault, OrFault};

/// A row of any table about an environment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptRow {
    /// The table.
    pub(super) table: String,
    /// What is in each column.
    pub(super) columns: BTreeMap<String, serde_json::Value>,
}

/// Reads an environment's row, and after it all rows of other tables that go with it, whatever
/// tables there are: what is set about an environment comes back with it.
pub(super) fn rows_about(
    transaction: &Transaction<'_>,
    site: &SiteName,
    environment: &Environment,
) -> Result<Vec<KeptRow>, Fault> {
    let doing = || "reading what is known of an environment";
    let mut kept = read_rows(
        transaction,
        "environment",
        ("site", "name"),
        site,
        environment,
    )?;
    let tables = rows(
        transaction,
        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
        |row| row.get::<_, String>(0),
    )?;
    for table in tables {
        let mut statement = transaction
            .prepare("SELECT \"from\", \"to\" FROM pragma_foreign_key_list(?1) WHERE \"table\" = 'environment'")
            .or_fault(doing)?;
        let links = statement
            .query_map([&table], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .and_then(Iterator::collect::<Result<BTreeMap<_, _>, _>>)
            .or_fault(doing)?;
        let column = |wanted: &str| {
            let found = links.iter().find(|(_, to)| to.as_str() == wanted);
            found.map(|(from, _)| from.clone())
        };
        if let (Some(of_site), Some(of_name)) = (column("site"), column("name")) {
            let columns = (of_site.as_str(), of_name.as_str());
            kept.extend(read_rows(transaction, &table, columns, site, environment)?);
        }
    }
    Ok(kept)
}

fn read_rows(
    transaction: &Transaction<'_>,
    table: &str,
    (of_site, of_name): (&str, &str),
    site: &SiteName,
    environment: &Environment,
) -> Result<Vec<KeptRow>, Fault> {
    let doing = || format!("reading what '{table}' has of an environment");
    // The names of tables and columns are our own.
    let query =
        format!("SELECT * FROM \"{table}\" WHERE \"{of_site}\" = ?1 AND \"{of_name}\" = ?2");
    let mut statement = transaction.prepare(&query).or_fault(doing)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = statement
        .query([site.as_str(), environment.as_str()])
        .or_fault(doing)?;
    let mut kept = Vec::new();
    while let Some(row) = found.next().or_fault(doing)? {
        let mut columns = BTreeMap::new();
        for (place, name) in names.iter().enumerate() {
            let value = match row.get_ref(place).or_fault(doing)? {
                ValueRef::Null => serde_json::Value::Null,
                ValueRef::Integer(number) => number.into(),
                ValueRef::Real(number) => number.into(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
                ValueRef::Blob(_) => {
                    return Err(Fault::new(format!("{}: it holds bytes", doing())));
                }
            };
            columns.insert(name.clone(), value);
        }
        kept.push(KeptRow {
            table: table.to_owned(),
            columns,
        });
    }
    Ok(kept)
}

/// Writes a row again, but for columns that there are no longer.
pub(super) fn put_back(transaction: &Transaction<'_>, row: KeptRow) -> Result<(), Fault> {
    let KeptRow { table, columns } = row;
    let doing = || format!("writing what '{table}' had of an environment");
    let mut statement = transaction
        .prepare("SELECT name FROM pragma_table_info(?1)")
        .or_fault(doing)?;
    let known = statement
        .query_map([&table], |row| row.get::<_, String>(0))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .or_fault(doing)?;
    let columns: Vec<(String, Value)> = columns
        .into_iter()
        .filter(|(name, _)| known.contains(name))
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::Number(number) => match number.as_i64() {
                    Some(number) => Value::Integer(number),
                    None => Value::Real(number.as_f64().unwrap_or_default()),
                },
                serde_json::Value::String(text) => Value::Text(text),
                _null => Value::Null,
            };
            (name, value)
        })
        .collect();
    if columns.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = columns
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let places = vec!["?"; columns.len()].join(", ");
    let query = format!(
        "INSERT INTO \"{table}\" ({}) VALUES ({places})",
        names.join(", ")
    );
    transaction
        .execute(
            &query,
            params_from_iter(columns.into_iter().map(|(_, value)| value)),
        )
        .or_fault(doing)?;
    Ok(())
}
