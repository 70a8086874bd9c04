//! The rows of workflows, and who holds which environment.

use git2::Oid;
use jiff::Timestamp;
use policy::SiteName;
use rusqlite::params;

use super::approvals;
use super::deliveries::announce;
use super::deployments::{self, Deployment};
use super::model::{Hotfix, HotfixStatus, parse, rows};
use super::told::Told;
use super::workflows::{Lease, Step, Workflow, WorkflowStatus};
use super::{State, contents, multidevs, sites};
use crate::fault::{Fault, OrFault};

impl State {
    /// Writes down that a workflow begins, and who holds its environment meanwhile. Each holder of
    /// an environment has a generation of its own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin_workflow(&self, workflow: &Workflow, lease: &Lease) -> Result<(), Fault> {
        let doing = "beginning a workflow";
        let intent = intent(workflow)?;
        let (site, environment) = (workflow.site.as_str(), workflow.environment.as_str());
        self.change(doing, |transaction| {
            // Whoever begins has its turn, so what still counts as running has ended without
            // being able to say so; its intent must not be taken up again.
            transaction
                .execute(
                    "UPDATE workflow SET status = 'failed', result = 'its end could not be written down'
                     WHERE site = ?1 AND environment = ?2 AND status = 'running'",
                    [site, environment],
                )
                .or_fault(|| doing)?;
            transaction
                .execute(
                    "INSERT INTO lease (site, environment, generation, owner, workflow, reason, since)
                     VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)
                     ON CONFLICT (site, environment) DO UPDATE SET
                         generation = generation + 1, owner = ?3, workflow = ?4, reason = ?5, since = ?6",
                    params![
                        site,
                        environment,
                        lease.owner,
                        workflow.id,
                        lease.reason,
                        workflow.started.to_string()
                    ],
                )
                .or_fault(|| doing)?;
            transaction
                .execute(
                    "INSERT INTO workflow
                         (id, site, environment, kind, person, origin, note, started, status, intent)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'running', ?9)",
                    params![
                        workflow.id,
                        site,
                        environment,
                        workflow.kind,
                        workflow.person.as_str(),
                        workflow.origin,
                        workflow.note,
                        workflow.started.to_string(),
                        intent,
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Writes down what a workflow is about to change.
    ///
    /// # Errors
    /// When it cannot be written, or when the workflow no longer holds its environment.
    pub fn intend(&self, workflow: &Workflow) -> Result<(), Fault> {
        let doing = "writing down what a workflow changes";
        let intent = intent(workflow)?;
        self.change(doing, |transaction| {
            let changed = transaction
                .execute(
                    "UPDATE workflow SET intent = ?2, kind = ?3
                     WHERE id = ?1 AND status = 'running'
                         AND id = (SELECT workflow FROM lease
                             WHERE lease.site = workflow.site
                                 AND lease.environment = workflow.environment)",
                    params![workflow.id, intent, workflow.kind],
                )
                .or_fault(|| doing)?;
            if changed == 1 {
                Ok(())
            } else {
                Err(Fault::new("a workflow has lost its lease"))
            }
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
        steps: &[Step],
    ) -> Result<(), Fault> {
        let doing = "ending a workflow";
        let steps = serde_json::to_string(steps).or_fault(|| doing)?;
        self.change(doing, |transaction| {
            end(transaction, id, status, result).or_fault(|| doing)?;
            transaction
                .execute("UPDATE workflow SET steps = ?2 WHERE id = ?1", [id, &steps])
                .or_fault(|| doing)?;
            transaction
                .execute(
                    "UPDATE lease SET owner = NULL, workflow = NULL, reason = NULL, since = NULL
                     WHERE workflow = ?1",
                    [id],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Ends a workflow whose intent has been carried out, and keeps all that follows from it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn complete_workflow(&self, workflow: &Workflow, result: &str) -> Result<(), Fault> {
        let doing = "completing a workflow";
        let Some(intent) = &workflow.intent else {
            return self.end_workflow(&workflow.id, WorkflowStatus::Succeeded, result, &[]);
        };
        let now = Timestamp::now();
        self.change(doing, |transaction| {
            let old = sites::commit_of(transaction, &workflow.site, &workflow.environment)?;
            if let Some(change) = &intent.multidev {
                multidevs::apply(transaction, workflow, change)?;
            }
            if let Some(change) = &intent.content {
                contents::apply(transaction, workflow, change)?;
            }
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
                    approvals::consume(transaction, workflow, kind, commit)?;
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
            if let Some(told) = Told::of(workflow, intent, old) {
                announce(transaction, &workflow.site, &workflow.environment, &told)?;
            }
            end(transaction, &workflow.id, WorkflowStatus::Succeeded, result).or_fault(|| doing)
        })
    }

    /// Takes over what an earlier run of the gateway held when it ended: it can hold nothing any
    /// more, since this run has the data folder to itself. Returns what it was, in words.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_over_leases(&self) -> Result<Vec<String>, Fault> {
        let doing = "taking over leases";
        self.change(doing, |transaction| {
            let held = rows(
                transaction,
                "SELECT site, environment, reason, since FROM lease WHERE owner IS NOT NULL",
                |row| {
                    Ok(format!(
                        "{}.{}, held for {} since {}",
                        row.get::<_, String>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, Option<String>>(2)?.unwrap_or_default(),
                        row.get::<_, Option<String>>(3)?.unwrap_or_default()
                    ))
                },
            )?;
            transaction
                .execute(
                    "UPDATE lease SET generation = generation + 1, owner = NULL, workflow = NULL,
                         reason = NULL, since = NULL
                     WHERE owner IS NOT NULL",
                    [],
                )
                .or_fault(|| doing)?;
            Ok(held)
        })
    }

    /// Returns one workflow.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn workflow(&self, id: &str) -> Result<Option<Workflow>, Fault> {
        // An id is of an alphabet without quotes.
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        Ok(self.some_workflows(&format!("id = '{id}'"))?.pop())
    }

    /// Returns workflows: those of a site, the newest first, or all that are still running.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn workflows(&self, site: Option<&SiteName>) -> Result<Vec<Workflow>, Fault> {
        // A site's name is of an alphabet without quotes, so it may stand in the query.
        self.some_workflows(&site.map_or_else(
            || "status = 'running' ORDER BY started".to_owned(),
            |site| format!("site = '{site}' ORDER BY started DESC LIMIT 100"),
        ))
    }

    fn some_workflows(&self, which: &str) -> Result<Vec<Workflow>, Fault> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let query = format!(
            "SELECT id, site, environment, kind, person, origin, note, started, status, steps, \
             finished, intent, result FROM workflow WHERE {which}"
        );
        let found = rows(&connection, &query, |row| {
            let texts = (0..10)
                .map(|place| row.get::<_, String>(place))
                .collect::<Result<Vec<_>, _>>()?;
            let optional = |place| row.get::<_, Option<String>>(place);
            Ok((texts, [optional(10)?, optional(11)?, optional(12)?]))
        })?;
        found
            .into_iter()
            .map(|(texts, [finished, intent, result])| {
                let Ok(
                    [
                        id,
                        site,
                        environment,
                        kind,
                        person,
                        origin,
                        note,
                        started,
                        status,
                        steps,
                    ],
                ) = <[String; 10]>::try_from(texts)
                else {
                    return Err(Fault::new("a row of another width"));
                };
                Ok(Workflow {
                    id,
                    site: parse(&site)?,
                    environment: parse(&environment)?,
                    kind,
                    person: parse(&person)?,
                    origin,
                    note,
                    started: parse(&started)?,
                    finished: finished.map(|time| parse(&time)).transpose()?,
                    status: parse(&status)?,
                    intent: intent
                        .map(|text| serde_json::from_str(&text))
                        .transpose()
                        .or_fault(|| "reading the intent of a workflow")?,
                    result,
                    steps: serde_json::from_str(&steps)
                        .or_fault(|| "reading the steps of a workflow")?,
                })
            })
            .collect()
    }
}

fn intent(workflow: &Workflow) -> Result<Option<String>, Fault> {
    workflow
        .intent
        .as_ref()
        .map(serde_json::to_string)
        .transpose()
        .or_fault(|| "writing down what a workflow changes")
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
