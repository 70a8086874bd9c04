//! Workflows: what is being done to environments and what was, followed, waited for, cancelled.

use std::sync::Arc;
use std::time::Duration;

use policy::{Action, SiteName, Target};
use serde_json::{Value, json};

use super::table::{Format, Table};
use super::workflow_command::WorkflowCommand;
use super::{Done, Run, Stop};
use crate::audit::Outcome;
use crate::gate::Evidence;
use crate::site::blocking;
use crate::site::workflow::{Cancelling, Live, PastLog, read_log};
use crate::state::{Step, Workflow, WorkflowStatus, for_people};

/// What is known of a workflow: it waits or runs, or it has ended.
enum Known {
    Live(Arc<Live>),
    Past(Box<Workflow>),
}

impl Run<'_> {
    pub(super) async fn workflow(&mut self, command: WorkflowCommand) -> Done {
        match command {
            WorkflowCommand::List { site } => self.workflow_list(site).await,
            WorkflowCommand::Info { id } => self.workflow_info(&id).await,
            WorkflowCommand::Logs { id, follow } => self.workflow_logs(&id, follow).await,
            WorkflowCommand::Watch { site } => self.workflow_watch(site).await,
            WorkflowCommand::Wait { id, max } => self.workflow_wait(&id, max).await,
            WorkflowCommand::Cancel { id } => self.workflow_cancel(&id).await,
        }
    }

    async fn workflow_list(&mut self, site: SiteName) -> Done {
        self.view(&site)?;
        let columns = [
            "id",
            "env",
            "workflow",
            "user",
            "status",
            "started_at",
            "finished_at",
            "result",
        ];
        let mut table = Table::new(&columns);
        let live = self.console.sites.workflows.of_site(&site);
        for one in live.iter().rev() {
            table.push(vec![
                one.id.as_str().into(),
                one.asked.environment.as_str().into(),
                one.kind().into(),
                one.asked.person.as_str().into(),
                live_status(one).into(),
                for_people(one.started().unwrap_or(one.asked_at)).into(),
                Value::Null,
                Value::Null,
            ]);
        }
        let shown: Vec<&str> = live.iter().map(|one| one.id.as_str()).collect();
        for one in self.console.state.workflows(Some(&site))? {
            if shown.contains(&one.id.as_str()) {
                continue;
            }
            table.push(vec![
                one.id.as_str().into(),
                one.environment.as_str().into(),
                one.kind.as_str().into(),
                one.person.as_str().into(),
                one.status.as_str().into(),
                for_people(one.started).into(),
                one.finished
                    .map_or(Value::Null, |finished| for_people(finished).into()),
                one.result.map_or(Value::Null, Value::from),
            ]);
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    async fn workflow_info(&mut self, id: &str) -> Done {
        let known = self.known(id)?;
        let one = match known {
            Known::Live(live) => Shown {
                status: live_status(&live).to_owned(),
                site: live.asked.site.to_string(),
                environment: live.asked.environment.to_string(),
                kind: live.kind().to_owned(),
                person: live.asked.person.to_string(),
                origin: live.asked.origin.clone(),
                note: live.note(),
                started: for_people(live.started().unwrap_or(live.asked_at)),
                finished: None,
                result: None,
                steps: live.steps(),
            },
            Known::Past(past) => Shown {
                status: past.status.as_str().to_owned(),
                site: past.site.to_string(),
                environment: past.environment.to_string(),
                kind: past.kind,
                person: past.person.to_string(),
                origin: past.origin,
                note: past.note,
                started: for_people(past.started),
                finished: past.finished.map(for_people),
                result: past.result,
                steps: past.steps,
            },
        };
        let table = one.table(id, matches!(self.reply.format, Format::Json));
        self.reply.print(&table).await?;
        Ok(())
    }

    async fn workflow_logs(&mut self, id: &str, follow: bool) -> Done {
        match self.known(id)? {
            Known::Live(live) => {
                let mut watch = live.watch();
                loop {
                    let entry = if follow {
                        watch.next().await
                    } else {
                        watch.ready()
                    };
                    let Some(entry) = entry else {
                        return Ok(());
                    };
                    let printed = match self.reply.format {
                        Format::Json => {
                            self.reply.tell_entry(id, &entry).await;
                            Ok(())
                        }
                        Format::Table => self.reply.out(&entry.logged()).await,
                    };
                    if printed.is_err() {
                        return Ok(());
                    }
                }
            }
            Known::Past(past) => {
                let site = self.console.sites.layout.site(&past.site);
                let read = move || read_log(&site, &past.environment, &past.id);
                match blocking(read).await? {
                    PastLog::Kept(text) => {
                        let _ = self.reply.out(&text).await;
                        Ok(())
                    }
                    PastLog::Gone => Err(Stop::Failed(
                        "The log of this workflow is no longer kept (or it had none).".to_owned(),
                    )),
                }
            }
        }
    }

    async fn workflow_watch(&mut self, site: SiteName) -> Done {
        self.view(&site)?;
        let mut begun = self.console.sites.workflows.begun();
        let mut last = String::new();
        loop {
            begun.mark_unchanged();
            let waiting = self.console.sites.workflows.of_site(&site);
            let next = waiting
                .into_iter()
                .find(|live| live.id.as_str() > last.as_str());
            let Some(live) = next else {
                tokio::select! {
                    _new = begun.changed() => {}
                    () = self.reply.gone() => return Ok(()),
                }
                continue;
            };
            last = live.id.to_string();
            let line = format!(
                "{} {}.{}: {}",
                live.id,
                live.asked.site,
                live.asked.environment,
                live.described()
            );
            self.reply.tell(&line).await;
            let mut watch = live.watch();
            loop {
                let entry = tokio::select! {
                    entry = watch.next() => entry,
                    () = self.reply.gone() => return Ok(()),
                };
                let Some(entry) = entry else {
                    break;
                };
                match self.reply.format {
                    Format::Json => self.reply.tell_entry(&last, &entry).await,
                    Format::Table => {
                        let _ = self.reply.out(&entry.logged()).await;
                    }
                }
            }
        }
    }

    async fn workflow_wait(&mut self, id: &str, seconds: u64) -> Done {
        if let Known::Live(live) = self.known(id)? {
            let mut watch = live.watch();
            let end = async { while watch.next().await.is_some() {} };
            if tokio::time::timeout(Duration::from_secs(seconds), end)
                .await
                .is_err()
            {
                return Err(Stop::Failed(format!(
                    "Workflow {id} is still under way after {seconds} seconds."
                )));
            }
        }
        match self.console.state.workflow(id)? {
            Some(ended) if ended.status == WorkflowStatus::Succeeded => {
                let text = format!("Workflow {id} ({}) succeeded.\n", ended.kind);
                let _ = self.reply.out(&text).await;
                Ok(())
            }
            Some(ended) => Err(Stop::Failed(format!(
                "Workflow {id} ({}) {}: {}",
                ended.kind,
                ended.status.as_str(),
                ended.result.unwrap_or_default()
            ))),
            None => Err(Stop::Failed(format!(
                "Workflow {id} ended without doing anything."
            ))),
        }
    }

    async fn workflow_cancel(&mut self, id: &str) -> Done {
        let Known::Live(live) = self.known(id)? else {
            return Err(Stop::Nothing(format!("Workflow {id} has already ended.")));
        };
        let target = Target::Environment(live.asked.site.clone(), live.asked.environment.clone());
        let evidence = Evidence {
            own_workflow: live.asked.person == self.who.person,
            detail: Some(format!("{id}: {}", live.described())),
            ..Evidence::default()
        };
        let permit =
            self.console
                .gate
                .authorize(self.who, Action::CancelWorkflow, &target, evidence)?;
        match live.cancel(&self.who.person) {
            Cancelling::Asked => {
                permit.finish(Outcome::Done)?;
                let text = format!("Workflow {id} ends before its next step.\n");
                let _ = self.reply.out(&text).await;
                Ok(())
            }
            Cancelling::TooLate => {
                permit.forget();
                Err(Stop::Failed(format!(
                    "Workflow {id} has switched the environment already and goes to its end; \
                     env:rollback takes a deploy back."
                )))
            }
        }
    }

    /// Finds a workflow of a site that the person may see; others do not exist for them.
    fn known(&self, id: &str) -> Result<Known, Stop> {
        let known = match self.console.sites.workflows.live(id) {
            Some(live) => Some(Known::Live(live)),
            None => self
                .console
                .state
                .workflow(id)?
                .map(|past| Known::Past(Box::new(past))),
        };
        let site = known.as_ref().map(|known| match known {
            Known::Live(live) => live.asked.site.clone(),
            Known::Past(past) => past.site.clone(),
        });
        if let Some(site) = &site {
            self.view(site)?;
        }
        known.ok_or_else(|| {
            Stop::Failed(format!(
                "There is no workflow '{}'; workflow:list SITE shows them.",
                policy::escape(id.as_bytes())
            ))
        })
    }
}

fn live_status(live: &Live) -> &'static str {
    match live.started() {
        Some(_) => "running",
        None => "queued",
    }
}

struct Shown {
    status: String,
    site: String,
    environment: String,
    kind: String,
    person: String,
    origin: String,
    note: String,
    started: String,
    finished: Option<String>,
    result: Option<String>,
    steps: Vec<Step>,
}

impl Shown {
    fn table(self, id: &str, for_programs: bool) -> Table {
        let steps = if for_programs {
            json!(self.steps)
        } else {
            let lines: Vec<String> = self
                .steps
                .iter()
                .map(|step| {
                    format!(
                        "{} {} ({} ms)",
                        step.name,
                        step.status.as_str(),
                        step.milliseconds
                    )
                })
                .collect();
            lines.join(", ").into()
        };
        Table::record(vec![
            ("id", id.into()),
            ("site", self.site.into()),
            ("env", self.environment.into()),
            ("workflow", self.kind.into()),
            ("user", self.person.into()),
            ("from", self.origin.into()),
            ("note", self.note.into()),
            ("status", self.status.into()),
            ("started_at", self.started.into()),
            (
                "finished_at",
                self.finished.map_or(Value::Null, Value::from),
            ),
            ("result", self.result.map_or(Value::Null, Value::from)),
            ("steps", steps),
        ])
    }
}
