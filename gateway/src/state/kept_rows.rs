//! Everything that the state has of an environment, taken out and put back whole: its own row, and
//! those of whatever other tables there are about environments.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use policy::{Environment, SiteName};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Transaction, params_from_iter};
use serde::{Deserialize, Serialize};

use super::model::rows;
use crate::fault::{Fault, OrFault};

/// What bytes are kept under, since JSON has none.
const BYTES: &str = "bytes";

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
                ValueRef::Blob(bytes) => serde_json::json!({ BYTES: HEXLOWER.encode(bytes) }),
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
                serde_json::Value::Object(bytes) => {
                    let text = bytes.get(BYTES).and_then(|text| text.as_str());
                    let text = text.unwrap_or_default().as_bytes();
                    Value::Blob(HEXLOWER.decode(text).or_fault(doing)?)
                }
                serde_json::Value::Bool(_)
                | serde_json::Value::Array(_)
                | serde_json::Value::Null => Value::Null,
            };
            Ok((name, value))
        })
        .collect::<Result<_, Fault>>()?;
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

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn all_that_is_known_of_an_environment_comes_back() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON;
                 CREATE TABLE environment (site TEXT, name TEXT, generation INTEGER, mode TEXT,
                     PRIMARY KEY (site, name));
                 CREATE TABLE later (number INTEGER, environment TEXT, site TEXT, share REAL,
                     secret BLOB, gone TEXT,
                     FOREIGN KEY (site, environment) REFERENCES environment(site, name)
                         ON DELETE CASCADE);
                 CREATE TABLE other (site TEXT, environment TEXT);
                 INSERT INTO environment VALUES ('acme', 'x', 7, NULL), ('acme', 'y', 8, 'git');
                 INSERT INTO later VALUES (1, 'x', 'acme', 0.5, x'00ff', 'a'), (2, 'y', 'acme', 1, NULL, 'b');
                 INSERT INTO other VALUES ('acme', 'x');",
            )
            .unwrap();
        let shown = |connection: &Connection| -> Vec<String> {
            let query = "SELECT site || name || generation || ifnull(mode, '-') FROM environment
                 UNION SELECT number || environment || share || ifnull(hex(secret), '-') FROM later
                 UNION SELECT 'other' || count(*) FROM other ORDER BY 1";
            rows(connection, query, |row| row.get(0)).unwrap()
        };
        let before = shown(&connection);
        let transaction = connection.transaction().unwrap();
        let (site, environment) = ("acme".parse().unwrap(), "x".parse().unwrap());
        let kept = rows_about(&transaction, &site, &environment).unwrap();
        let kept = serde_json::to_string(&kept).unwrap();
        transaction
            .execute_batch(
                "DELETE FROM environment WHERE name = 'x'; ALTER TABLE later DROP COLUMN gone;",
            )
            .unwrap();
        let left: i64 = transaction
            .query_row("SELECT count(*) FROM later", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 1);
        let kept: Vec<KeptRow> = serde_json::from_str(&kept).unwrap();
        for row in kept {
            put_back(&transaction, row).unwrap();
        }
        transaction.commit().unwrap();
        assert_eq!(shown(&connection), before);
    }
}
