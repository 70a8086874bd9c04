//! Workflows: what is being done to an environment, with the intent that start-up repair reads.

use std::str::FromStr;

use git2::Oid;
use jiff::Timestamp;
use policy::{ConnectionMode, Environment, HotfixName, PersonName, SiteName};
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::deployments::{self, Deployment, DeploymentKind};
use super::model::{Hotfix, HotfixStatus, parse, rows};
use super::{State, sites};
use crate::fault::{Fault, OrFault};

/// One operation that changes an environment.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// The incident id of its audit row.
    pub id: String,
    /// The site.
    pub site: SiteName,
    /// The environment.
    pub environment: Environment,
    /// What is done: `sync_code`, `deploy`, `hotfix`, `rollback` …
    pub kind: String,
    /// Who does it.
    pub person: PersonName,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How it stands.
    pub status: WorkflowStatus,
    /// What it is about to change; present once everything is prepared.
    pub intent: Option<Intent>,
    /// What came of it, in words.
    pub result: Option<String>,
}

/// How a workflow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkflowStatus {
    /// Under way, or cut off by a crash.
    Running,
    /// Done.
    Succeeded,
    /// Not done; nothing was changed.
    Failed,
}

impl WorkflowStatus {
    /// Returns the word for tables and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkflowStatus::Running => "running",
            WorkflowStatus::Succeeded => "succeeded",
            WorkflowStatus::Failed => "failed",
        }
    }
}

impl FromStr for WorkflowStatus {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "running" => Ok(WorkflowStatus::Running),
            "succeeded" => Ok(WorkflowStatus::Succeeded),
            "failed" => Ok(WorkflowStatus::Failed),
            other => Err(Fault::new(format!("'{other}' is no status of a workflow"))),
        }
    }
}

/// Everything that the last step of a workflow changes, written down before it begins. Repair
/// completes it if a ref has moved, and drops it if none has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Intent {
    /// Refs to move, all or none.
    pub refs: Vec<RefMove>,
    /// The commit that the environment will run; absent when no environment changes.
    pub commit: Option<String>,
    /// The generation that was prepared for it; absent when the tree is already right.
    pub generation: Option<u64>,
    /// The connection mode that the environment will have; absent when it stays.
    pub mode: Option<ConnectionMode>,
    /// N of the deploy tag, for Test and Live.
    pub number: Option<u64>,
    /// How the deploy came about.
    pub kind: Option<DeploymentKind>,
    /// The note of the deploy.
    pub note: String,
    /// Numbers of deploys that a rollback calls bad.
    pub rolled_back: Vec<u64>,
    /// A hotfix that Live then runs.
    pub hotfix: Option<HotfixName>,
    /// Hotfixes that trunk then contains.
    pub merged: Vec<HotfixName>,
}

/// One ref of an intent. Object ids are hexadecimal; absent means that the ref does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefMove {
    /// The full name.
    pub name: String,
    /// What it must be before.
    pub old: Option<String>,
    /// What it becomes.
    pub new: Option<String>,
}

impl State {
    /// Writes down that a workflow begins.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin_workflow(&self, workflow: &Workflow) -> Result<(), Fault> {
        let doing = "beginning a workflow";
        let intent = workflow
            .intent
            .as_ref()
            .map(serde_json::to_string)
            .transpose()
            .or_fault(|| doing)?;
        self.change(doing, |transaction| {
            // Whoever begins holds the lease, so what still counts as running has ended without
            // being able to say so; its intent must not be taken up again.
            transaction
                .execute(
                    "UPDATE workflow SET status = 'failed', result = 'its end could not be written down'
                     WHERE site = ?1 AND environment = ?2 AND status = 'running'",
                    [workflow.site.as_str(), workflow.environment.as_str()],
                )
                .or_fault(|| doing)?;
            transaction
                .execute(
                    "INSERT INTO workflow (id, site, environment, kind, person, started, status, intent)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', ?7)",
                    params![
                        workflow.id,
                        workflow.site.as_str(),
                        workflow.environment.as_str(),
                        workflow.kind,
                        workflow.person.as_str(),
                        workflow.started.to_string(),
                        intent
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Ends a workflow without changing anything else.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_workflow(
        &self,
        id: &str,
        status: WorkflowStatus,
        result: &str,
    ) -> Result<(), Fault> {
        let doing = "ending a workflow";
        self.change(doing, |transaction| {
            end(transaction, id, status, result).or_fault(|| doing)
        })
    }

    /// Ends a workflow whose intent has been carried out, and keeps all that follows from it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn complete_workflow(&self, workflow: &Workflow, result: &str) -> Result<(), Fault> {
        let doing = "completing a workflow";
        let Some(intent) = &workflow.intent else {
            return self.end_workflow(&workflow.id, WorkflowStatus::Succeeded, result);
        };
        let now = Timestamp::now();
        self.change(doing, |transaction| {
            if let Some(generation) = intent.generation {
                sites::set_generation(
                    transaction,
                    &workflow.site,
                    &workflow.environment,
                    generation,
                )?;
            }
            if let Some(mode) = intent.mode {
                sites::set_mode(transaction, workflow, mode)?;
            }
            if let Some(commit) = &intent.commit {
                let commit: Oid = parse(commit)?;
                sites::set_commit(transaction, &workflow.site, &workflow.environment, commit)?;
                if let (Some(number), Some(kind)) = (intent.number, intent.kind) {
                    let deployment = Deployment {
                        number,
                        commit,
                        kind,
                        note: intent.note.clone(),
                        person: workflow.person.clone(),
                        time: now,
                        rolled_back: false,
                    };
                    deployments::add(
                        transaction,
                        &workflow.site,
                        &workflow.environment,
                        &deployment,
                        &intent.rolled_back,
                    )?;
                }
                if let Some(name) = &intent.hotfix {
                    let hotfix = Hotfix {
                        name: name.clone(),
                        commit,
                        reason: intent.note.clone(),
                        person: workflow.person.clone(),
                        time: now,
                        status: HotfixStatus::Open,
                    };
                    sites::put_hotfix(transaction, &workflow.site, &hotfix)?;
                }
            }
            for name in &intent.merged {
                transaction
                    .execute(
                        "UPDATE hotfix SET status = 'merged' WHERE site = ?1 AND name = ?2",
                        [workflow.site.as_str(), name.as_str()],
                    )
                    .or_fault(|| doing)?;
            }
            end(transaction, &workflow.id, WorkflowStatus::Succeeded, result).or_fault(|| doing)
        })
    }

    /// Returns workflows: those of a site, the newest first, or all that are still running.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn workflows(&self, site: Option<&SiteName>) -> Result<Vec<Workflow>, Fault> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // A site's name is of an alphabet without quotes, so it may stand in the query.
        let which = site.map_or_else(
            || "status = 'running' ORDER BY started".to_owned(),
            |site| format!("site = '{site}' ORDER BY started DESC LIMIT 100"),
        );
        let query = format!(
            "SELECT id, site, environment, kind, person, started, finished, status, intent, result \
             FROM workflow WHERE {which}"
        );
        let found = rows(&connection, &query, |row| {
            let text = |place| row.get::<_, String>(place);
            Ok((
                [
                    text(0)?,
                    text(1)?,
                    text(2)?,
                    text(3)?,
                    text(4)?,
                    text(5)?,
                    text(7)?,
                ],
                row.get::<_, Option<String>>(6)?,
                row.get::<_, Option<String>>(8)?,
                row.get::<_, Option<String>>(9)?,
            ))
        })?;
        found
            .into_iter()
            .map(
                |(
                    [id, site, environment, kind, person, started, status],
                    finished,
                    intent,
                    result,
                )| {
                    Ok(Workflow {
                        id,
                        site: parse(&site)?,
                        environment: parse(&environment)?,
                        kind,
                        person: parse(&person)?,
                        started: parse(&started)?,
                        finished: finished.map(|time| parse(&time)).transpose()?,
                        status: parse(&status)?,
                        intent: intent
                            .map(|text| serde_json::from_str(&text))
                            .transpose()
                            .or_fault(|| "reading the intent of a workflow")?,
                        result,
                    })
                },
            )
            .collect()
    }
}

fn end(
    transaction: &rusqlite::Transaction<'_>,
    id: &str,
    status: WorkflowStatus,
    result: &str,
) -> Result<(), rusqlite::Error> {
    transaction.execute(
        "UPDATE workflow SET status = ?2, finished = ?3, result = ?4 WHERE id = ?1",
        params![id, status.as_str(), Timestamp::now().to_string(), result],
    )?;
    Ok(())
}
