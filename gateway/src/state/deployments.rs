//! The list of deploys of each environment.

use std::str::FromStr;

use git2::Oid;
use jiff::Timestamp;
use policy::{Environment, PersonName, SiteName};
use rusqlite::{Transaction, params};

use super::State;
use super::model::{parse, rows};
use crate::fault::{Fault, OrFault};

/// One deploy to Test or Live.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// N of the tag `test_N` or `live_N`.
    pub number: u64,
    /// What was deployed.
    pub commit: Oid,
    /// How it came about.
    pub kind: DeploymentKind,
    /// The note, which is also the tag's message.
    pub note: String,
    /// Who did it.
    pub person: PersonName,
    /// When.
    pub time: Timestamp,
    /// Whether a rollback has since called it bad.
    pub rolled_back: bool,
}

/// How a deploy came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeploymentKind {
    /// By `env:deploy`.
    Deploy,
    /// By a hotfix push.
    Hotfix,
    /// By `env:rollback`.
    Rollback,
}

impl DeploymentKind {
    /// Returns the word for tables and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            DeploymentKind::Deploy => "deploy",
            DeploymentKind::Hotfix => "hotfix",
            DeploymentKind::Rollback => "rollback",
        }
    }
}

impl FromStr for DeploymentKind {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "deploy" => Ok(DeploymentKind::Deploy),
            "hotfix" => Ok(DeploymentKind::Hotfix),
            "rollback" => Ok(DeploymentKind::Rollback),
            other => Err(Fault::new(format!("'{other}' is no kind of deploy"))),
        }
    }
}

impl State {
    /// Returns the deploys of an environment, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn deployments(
        &self,
        site: &SiteName,
        environment: &Environment,
    ) -> Result<Vec<Deployment>, Fault> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // Names are of an alphabet without quotes, so they may stand in the query.
        let query = format!(
            "SELECT number, commit_id, kind, note, person, time, rolled_back FROM deployment \
             WHERE site = '{site}' AND environment = '{environment}' ORDER BY number DESC"
        );
        let found = rows(&connection, &query, |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, String>(5)?,
                row.get::<_, bool>(6)?,
            ))
        })?;
        found
            .into_iter()
            .map(|(number, commit, kind, note, person, time, rolled_back)| {
                Ok(Deployment {
                    number: number.unsigned_abs(),
                    commit: parse(&commit)?,
                    kind: parse(&kind)?,
                    note,
                    person: parse(&person)?,
                    time: parse(&time)?,
                    rolled_back,
                })
            })
            .collect()
    }
}

/// Adds a deploy, inside a larger change; a rollback marks what it returns from.
pub(super) fn add(
    transaction: &Transaction<'_>,
    site: &SiteName,
    environment: &Environment,
    deployment: &Deployment,
    rolled_back: &[u64],
) -> Result<(), Fault> {
    let doing = || "adding a deploy";
    transaction
        .execute(
            "INSERT OR REPLACE INTO deployment
                 (site, environment, number, commit_id, kind, note, person, time)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                site.as_str(),
                environment.as_str(),
                deployment.number.cast_signed(),
                deployment.commit.to_string(),
                deployment.kind.as_str(),
                deployment.note,
                deployment.person.as_str(),
                deployment.time.to_string()
            ],
        )
        .or_fault(doing)?;
    for number in rolled_back {
        transaction
            .execute(
                "UPDATE deployment SET rolled_back = 1
                 WHERE site = ?1 AND environment = ?2 AND number = ?3",
                params![site.as_str(), environment.as_str(), number.cast_signed()],
            )
            .or_fault(doing)?;
    }
    Ok(())
}
