//! Multidev environments: how they come, go, and come back.

use git2::Oid;
use jiff::Timestamp;
use policy::{ConnectionMode, MultidevName, PersonName, SiteName};
use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};

use super::State;
use super::kept_rows::{KeptRow, put_back, rows_about};
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
