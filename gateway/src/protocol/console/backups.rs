//! Backups: made, listed, taken away, restored, and made by themselves.

use jiff::civil::Weekday;
use policy::{Action, Environment, Target};
use serde_json::Value;

use super::backup_command::{BackupCommand, DAYS};
use super::command::SiteEnvironment;
use super::content_command::Meant;
use super::contents::Replacing;
use super::table::Table;
use super::{Done, Run, Stop};
use crate::gate::Evidence;
use crate::site::backup::{self, Element, Making, Switched};
use crate::site::blocking;
use crate::site::content::Unwatched;
use crate::state::{Backup, BackupKind, for_people};

impl Run<'_> {
    pub(super) async fn backup(&mut self, command: BackupCommand) -> Done {
        match command {
            BackupCommand::Create {
                environment,
                element,
                keep_for,
            } => self.backup_create(environment, &element, keep_for).await,
            BackupCommand::List { environment } => self.backup_list(environment).await,
            BackupCommand::Info { environment, id } => self.backup_info(environment, &id).await,
            BackupCommand::Get {
                environment,
                id,
                element,
                to,
            } => self.backup_get(environment, &id, &element, to.to).await,
            BackupCommand::Restore {
                environment,
                id,
                element,
                from,
                meant,
            } => {
                let from = from.unwrap_or_else(|| environment.environment.clone());
                self.backup_restore(environment, from, (&id, element), meant)
                    .await
            }
            BackupCommand::Enable {
                environment,
                day,
                hour,
                keep_for,
            } => {
                let wished = Switched {
                    day: day.and_then(|day| weekday(&day)),
                    hour,
                    keep_weekly: keep_for,
                };
                self.backup_enable(environment, &wished).await
            }
            BackupCommand::Disable { environment } => self.backup_disable(environment).await,
            BackupCommand::Schedule { environment } => self.backup_schedule(environment).await,
        }
    }

    async fn backup_create(
        &mut self,
        place: SiteEnvironment,
        element: &str,
        keep_for: Option<u32>,
    ) -> Done {
        self.view(&place.site)?;
        let elements = match element {
            "all" => backup::ALL,
            word => part(word)?.alone(),
        };
        let run = self.begin(&place, "backup").await?;
        let facts = self.facts_of(&place, elements, None).await?;
        let evidence = Evidence {
            content: Some(facts),
            detail: Some(element.to_owned()),
            workflow: Some(run.id().clone()),
            ..Evidence::default()
        };
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let gate = &self.console.gate;
        let permit = gate.authorize(self.who, Action::CreateBackup, &target, evidence)?;
        let sites = self.console.sites.clone();
        let making = Making {
            elements,
            keep_days: keep_for.unwrap_or_else(|| sites.backups.keep_days()),
            kind: BackupKind::Manual,
            why: format!("asked for by {}", self.who.person),
        };
        let made = self
            .reply
            .during(run, move |run| backup::create(&sites, run, permit, &making))
            .await??;
        let text = format!(
            "Created a backup of the {} environment: {}, kept until {}.\n",
            place.environment,
            made.id,
            for_people(made.expires)
        );
        self.reply.conclude(&text).await;
        Ok(())
    }

    async fn backup_list(&mut self, place: SiteEnvironment) -> Done {
        self.may_see_backups(&place)?;
        let mut table = Table::new(&[
            "id",
            "date",
            "expiry",
            "kind",
            "initiator",
            "files",
            "database",
            "code",
            "added_bytes",
            "why",
        ]);
        for one in self
            .console
            .state
            .backups(&place.site, &place.environment)?
        {
            table.push(fields(&one).into_iter().map(|(_, value)| value).collect());
        }
        if table.is_empty() {
            let line = format!("There are no backups of {place}.");
            self.reply.tell(&line).await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    async fn backup_info(&mut self, place: SiteEnvironment, id: &str) -> Done {
        self.may_see_backups(&place)?;
        let state = &self.console.state;
        let found = backup::find(state, &place.site, &place.environment, id)?;
        self.reply.print(&Table::record(fields(&found))).await?;
        Ok(())
    }

    async fn backup_get(
        &mut self,
        place: SiteEnvironment,
        id: &str,
        element: &str,
        to: Option<String>,
    ) -> Done {
        self.may_see_backups(&place)?;
        let element = part(element)?;
        let state = &self.console.state;
        let found = backup::find(state, &place.site, &place.environment, id)?;
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        // What is taken away is of the backup, whatever the environment has now.
        let content = policy::ContentFacts {
            database: policy::DatabaseKind::Embedded,
            wanted: element.alone(),
            ..policy::ContentFacts::default()
        };
        let evidence = Evidence {
            content: Some(content),
            detail: Some(format!("{element} of backup {}", found.id)),
            ..Evidence::default()
        };
        let gate = &self.console.gate;
        let permit = gate.authorize(self.who, Action::ExportContent, &target, evidence)?;
        let sites = self.console.sites.clone();
        if let Some(name) = to {
            let written = blocking(move || {
                Ok(backup::get_into(
                    &sites,
                    permit,
                    &found,
                    element,
                    Some(&name),
                    &Unwatched,
                ))
            })
            .await??;
            let text = format!("Wrote /backups/{written} of {place}.\n");
            let _ = self.reply.out(&text).await;
            return Ok(());
        }
        self.stream(permit, move |permit, out| {
            backup::get(&sites, permit, &found, element, out, &Unwatched)
        })
        .await
    }

    async fn backup_restore(
        &mut self,
        place: SiteEnvironment,
        from: Environment,
        (id, element): (&str, Option<String>),
        meant: Meant,
    ) -> Done {
        // What backups there are of it is for those who may see them; the rest is asked below.
        let kept = SiteEnvironment {
            site: place.site.clone(),
            environment: from.clone(),
        };
        self.may_see_backups(&kept)?;
        let element = element.as_deref().map(part).transpose()?;
        let sites = self.console.sites.clone();
        let plan = backup::plan(&sites, &place.site, &from, id, element)?;
        let replacing = Replacing {
            place,
            kind: "restore",
            action: Action::RestoreBackup,
            wanted: plan.elements,
            source: Some(from),
            meant,
            reads: false,
            detail: Some(format!("{} of {}", plan.backup.id, plan.backup.environment)),
        };
        self.replace(replacing, move |sites, run, permit| {
            backup::restore(sites, run, permit, &plan)
        })
        .await
    }

    async fn backup_enable(&mut self, place: SiteEnvironment, wished: &Switched) -> Done {
        let permit = self.schedule_permit(&place)?;
        backup::enable(&self.console.sites, permit, wished)?;
        let _ = self.reply.out("Backup schedule successfully set.\n").await;
        self.backup_schedule(place).await
    }

    async fn backup_disable(&mut self, place: SiteEnvironment) -> Done {
        let permit = self.schedule_permit(&place)?;
        let known = backup::schedule(&self.console.sites, &place.site, &place.environment)?;
        if known.is_none() {
            permit.forget();
            return Err(Stop::Nothing(NOT_SCHEDULED.to_owned()));
        }
        backup::disable(&self.console.sites, permit)?;
        let text = "Backup schedule successfully canceled; what was made stays for its time.\n";
        let _ = self.reply.out(text).await;
        Ok(())
    }

    async fn backup_schedule(&mut self, place: SiteEnvironment) -> Done {
        self.may_see_backups(&place)?;
        let known = backup::schedule(&self.console.sites, &place.site, &place.environment)?;
        let Some((schedule, next, kind)) = known else {
            return Err(Stop::Nothing(NOT_SCHEDULED.to_owned()));
        };
        let day = usize::try_from(schedule.weekday.to_monday_zero_offset()).unwrap_or_default();
        let table = Table::record(vec![
            (
                "daily_at",
                format!("{:02}:{:02} UTC", schedule.hour, schedule.minute).into(),
            ),
            ("daily_kept_days", schedule.keep_daily.into()),
            (
                "weekly_day",
                DAYS.get(day).copied().unwrap_or_default().into(),
            ),
            ("weekly_kept_days", schedule.keep_weekly.into()),
            ("next", for_people(next).into()),
            ("next_kind", kind.as_str().into()),
            ("set_by", schedule.person.as_str().into()),
        ]);
        self.reply.print(&table).await?;
        Ok(())
    }

    fn may_see_backups(&self, place: &SiteEnvironment) -> Done {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        self.permit(Action::ReadBackups, &target)?.forget();
        Ok(())
    }

    fn schedule_permit(&self, place: &SiteEnvironment) -> Result<crate::gate::Permit, Stop> {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        self.permit(Action::ScheduleBackups, &target)
    }
}

const NOT_SCHEDULED: &str = "Backups are not currently scheduled to be run.";

fn part(word: &str) -> Result<Element, Stop> {
    let word = if word == "db" { "database" } else { word };
    Ok(word.parse::<Element>()?)
}

fn weekday(word: &str) -> Option<Weekday> {
    let at = DAYS.iter().position(|day| *day == word)?;
    Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok()
}

fn fields(one: &Backup) -> Vec<(&'static str, Value)> {
    let elements = one.elements.clone().unwrap_or_default();
    let commit = |commit: &str| commit.chars().take(10).collect::<String>();
    vec![
        ("id", one.id.as_str().into()),
        ("date", for_people(one.time).into()),
        ("expiry", for_people(one.expires).into()),
        ("kind", one.kind.as_str().into()),
        (
            "initiator",
            if one.kind.is_automatic() {
                "automated".into()
            } else {
                one.person.as_str().into()
            },
        ),
        (
            "files",
            elements
                .files
                .map_or(Value::Null, |files| files.files.into()),
        ),
        (
            "database",
            elements
                .database
                .map_or(Value::Null, |kept| kept.engine.as_str().into()),
        ),
        (
            "code",
            elements
                .code
                .map_or(Value::Null, |code| commit(&code.commit).into()),
        ),
        ("added_bytes", elements.added.into()),
        ("why", policy::escape(one.why.as_bytes()).into()),
    ]
}
