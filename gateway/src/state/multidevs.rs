//! Multidev environments: how they come, go, and come back.

use std::collections::BTreeMap;

use git2::Oid;
use jiff::Timestamp;
use policy::{ConnectionMode, Environment, MultidevName, PersonName, SiteName};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Transaction, params, params_from_iter};
use serde::{Deserialize, Serialize};

use super::State;
use super::model::{parse, rows};
use super::sites::for_people;
use super::workflows::Workflow;
use crate::fault::{Fault, OrFault};

/// Multidevs that were deleted and can be brought back; whether a hotfix has to run on Test first.
pub(super) const TABLE: &str = "
CREATE TABLE deleted_multidev (
    id TEXT PRIMARY KEY,
    site TEXT NOT NULL REFERENCES site(name) ON DELETE CASCADE,
    name TEXT NOT NULL,
    commit_id TEXT,
    mode TEXT,
    branch_kept INTEGER NOT NULL,
    person TEXT NOT NULL,
    time TEXT NOT NULL,
    rows TEXT NOT NULL
) STRICT;
ALTER TABLE site ADD COLUMN hotfix_require_test INTEGER NOT NULL DEFAULT 0;
";

/// What a workflow does to the list of environments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MultidevChange {
    /// Its environment comes into being.
    Create {
        /// The connection mode that it begins with.
        mode: ConnectionMode,
    },
    /// Its environment goes, and is kept under the workflow's id.
    Delete {
        /// Whether its branch stays.
        branch_kept: bool,
    },
    /// Its environment comes back.
    Restore {
        /// What it was kept under.
        id: String,
    },
}

/// A Multidev that was deleted and can be brought back.
#[derive(Debug, Clone)]
pub struct DeletedMultidev {
    /// What it is kept under: the id of the workflow that deleted it.
    pub id: String,
    /// The site.
    pub site: SiteName,
    /// The name it had.
    pub name: MultidevName,
    /// What it ran.
    pub commit: Option<Oid>,
    /// The connection mode it had.
    pub mode: Option<ConnectionMode>,
    /// Whether its branch was kept.
    pub branch_kept: bool,
    /// Who deleted it.
    pub person: PersonName,
    /// When.
    pub time: Timestamp,
}

/// A row of any table about an environment.
#[derive(Debug, Serialize, Deserialize)]
struct KeptRow {
    table: String,
    columns: BTreeMap<String, serde_json::Value>,
}

impl State {
    /// Returns the deleted Multidevs that are still kept, of one site or of all, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn deleted_multidevs(
        &self,
        site: Option<&SiteName>,
    ) -> Result<Vec<DeletedMultidev>, Fault> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let query = "SELECT id, site, name, commit_id, branch_kept, person, time, mode \
                     FROM deleted_multidev ORDER BY time DESC, id DESC";
        let found = rows(&connection, query, |row| {
            let texts: [String; 5] = [
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(5)?,
                row.get(6)?,
            ];
            let absent: [Option<String>; 2] = [row.get(3)?, row.get(7)?];
            Ok((texts, absent, row.get(4)?))
        })?;
        let all = found
            .into_iter()
            .map(|(texts, [commit, mode], branch_kept)| {
                let [id, site, name, person, time] = texts;
                Ok(DeletedMultidev {
                    id,
                    site: parse(&site)?,
                    name: parse(&name)?,
                    commit: commit.map(|commit| parse(&commit)).transpose()?,
                    mode: mode.map(|mode| parse(&mode)).transpose()?,
                    branch_kept,
                    person: parse(&person)?,
                    time: parse(&time)?,
                })
            });
        let all = all.collect::<Result<Vec<_>, Fault>>()?;
        Ok(all
            .into_iter()
            .filter(|one| site.is_none_or(|site| one.site == *site))
            .collect())
    }

    /// Forgets a deleted Multidev: it cannot be brought back any more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget_multidev(&self, id: &str) -> Result<(), Fault> {
        let doing = "forgetting a deleted Multidev";
        self.change(doing, |transaction| {
            transaction
                .execute("DELETE FROM deleted_multidev WHERE id = ?1", [id])
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Says whether a hotfix has to run on Test before it goes to Live.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_hotfix_require_test(&self, site: &SiteName, required: bool) -> Result<(), Fault> {
        let doing = "changing a site";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE site SET hotfix_require_test = ?2 WHERE name = ?1",
                    params![site.as_str(), required],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }
}

/// Does what a workflow does to the list of environments, inside its completion. Its generation and
/// commit are set afterwards, as with any other workflow.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    workflow: &Workflow,
    change: &MultidevChange,
) -> Result<(), Fault> {
    match change {
        MultidevChange::Create { mode } => create(transaction, workflow, *mode),
        MultidevChange::Delete { branch_kept } => delete(transaction, workflow, *branch_kept),
        MultidevChange::Restore { id } => restore(transaction, id),
    }
}

fn create(
    transaction: &Transaction<'_>,
    workflow: &Workflow,
    mode: ConnectionMode,
) -> Result<(), Fault> {
    let now = Timestamp::now();
    transaction
        .execute(
            "INSERT INTO environment (site, name, mode, mode_set_by, mode_set_at, created)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                workflow.site.as_str(),
                workflow.environment.as_str(),
                mode.as_str(),
                workflow.person.as_str(),
                for_people(now),
                now.to_string()
            ],
        )
        .or_fault(|| "adding an environment")?;
    Ok(())
}

fn delete(
    transaction: &Transaction<'_>,
    workflow: &Workflow,
    branch_kept: bool,
) -> Result<(), Fault> {
    let doing = "deleting an environment";
    let kept = rows_about(transaction, &workflow.site, &workflow.environment)?;
    let word = |column: &str| {
        let value = kept.first()?.columns.get(column)?;
        value.as_str().map(str::to_owned)
    };
    let (commit, mode) = (word("commit_id"), word("mode"));
    let rows = serde_json::to_string(&kept).or_fault(|| doing)?;
    let place = [workflow.site.as_str(), workflow.environment.as_str()];
    transaction
        .execute(
            "INSERT INTO deleted_multidev
                 (id, site, name, commit_id, mode, branch_kept, person, time, rows)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                workflow.id,
                place[0],
                place[1],
                commit,
                mode,
                branch_kept,
                workflow.person.as_str(),
                Timestamp::now().to_string(),
                rows
            ],
        )
        .or_fault(|| doing)?;
    // What is said of it in other tables goes along.
    transaction
        .execute(
            "DELETE FROM environment WHERE site = ?1 AND name = ?2",
            place,
        )
        .or_fault(|| doing)?;
    Ok(())
}

fn restore(transaction: &Transaction<'_>, id: &str) -> Result<(), Fault> {
    let doing = || "bringing back an environment";
    let kept: String = transaction
        .query_row(
            "SELECT rows FROM deleted_multidev WHERE id = ?1",
            [id],
            |row| row.get(0),
        )
        .or_fault(doing)?;
    let kept: Vec<KeptRow> = serde_json::from_str(&kept).or_fault(doing)?;
    for row in kept {
        put_back(transaction, row)?;
    }
    transaction
        .execute("DELETE FROM deleted_multidev WHERE id = ?1", [id])
        .or_fault(doing)?;
    Ok(())
}

/// Reads an environment's row, and after it all rows of other tables that go with it, whatever
/// tables there are: what is set about an environment comes back with it.
fn rows_about(
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
    let names: Vec<String> = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
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
fn put_back(transaction: &Transaction<'_>, row: KeptRow) -> Result<(), Fault> {
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
