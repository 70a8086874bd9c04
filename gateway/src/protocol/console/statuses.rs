//! `env:status`: what was found, for people and for programs.

use policy::{Action, Area, Decision, SitePath, Target};
use serde_json::Value;

use super::site_environment::SiteEnvironment;
use super::status_command::StatusCommand;
use super::table::{Format, Table};
use super::{Done, Run, Stop};
use crate::gate::Evidence;
use crate::site::blocking;
use crate::site::status::{self, Report, Score};

impl Run<'_> {
    pub(super) async fn env_status(&mut self, command: StatusCommand) -> Done {
        let StatusCommand::Status {
            environment,
            fail_on,
        } = command;
        let target = Target::Environment(environment.site.clone(), environment.environment.clone());
        self.permit(Action::ViewStatus, &target)?.forget();
        self.environment(&environment)?;
        let names = self.may_read_files(&environment)?;
        let report = {
            let (sites, place) = (self.console.sites.clone(), environment.clone());
            blocking(move || status::look(&sites, &place.site, &place.environment, names)).await?
        };
        self.show_status(&environment, &report).await?;
        let limit = match fail_on.as_deref() {
            Some("warning") => Score::Warning,
            Some(_failure) => Score::Failure,
            None => return Ok(()),
        };
        if report.score() >= limit {
            return Err(Stop::Failed(format!(
                "The status of {environment} is {}.",
                report.score().as_str()
            )));
        }
        Ok(())
    }

    /// Whether the names of uploads may be told.
    fn may_read_files(&self, place: &SiteEnvironment) -> Result<bool, Stop> {
        let top = SitePath::normalize(b"/")
            .map_err(|_| Stop::Failed("The top of /files is no path.".to_owned()))?;
        let target = Target::Tree(
            place.site.clone(),
            place.environment.clone(),
            Area::Files,
            top,
        );
        let gate = &self.console.gate;
        let decision = gate.explain(self.who, Action::ReadTree, &target, &Evidence::default());
        Ok(matches!(decision, Decision::Permit(_)))
    }

    async fn show_status(&mut self, place: &SiteEnvironment, report: &Report) -> Done {
        if self.reply.format == Format::Json {
            let checks = serde_json::to_value(&report.checks)
                .map_err(|error| format!("The checks cannot be written as JSON: {error}."))?;
            let table = Table::record(vec![
                ("site", place.site.as_str().into()),
                ("environment", place.environment.as_str().into()),
                ("score", report.score().as_str().into()),
                ("failures", report.count(Score::Failure).into()),
                ("warnings", report.count(Score::Warning).into()),
                ("ok", report.count(Score::Ok).into()),
                ("skipped", report.count(Score::Skipped).into()),
                ("checks", checks),
            ]);
            self.reply.print(&table).await?;
            return Ok(());
        }
        let mut table = Table::new(&["check", "score", "finding"]);
        // The worst first; within a score in the order of the checks.
        let mut checks: Vec<_> = report.checks.iter().collect();
        checks.sort_by_key(|check| std::cmp::Reverse(check.score));
        for check in &checks {
            table.push(vec![
                check.check.into(),
                check.score.as_str().into(),
                Value::from(check.finding.as_str()),
            ]);
        }
        self.reply.print(&table).await?;
        if self.reply.field.is_some() {
            return Ok(());
        }
        let mut text = String::new();
        for check in checks.iter().filter(|check| !check.action.is_empty()) {
            if text.is_empty() {
                text.push_str("\nWhat to do:\n");
            }
            text.push_str(&format!("  {}: {}\n", check.check, check.action));
        }
        text.push_str(&format!(
            "\n{place}: {}. {} failure(s), {} warning(s), {} ok, {} skipped.\n",
            report.score().as_str(),
            report.count(Score::Failure),
            report.count(Score::Warning),
            report.count(Score::Ok),
            report.count(Score::Skipped)
        ));
        let _ = self.reply.out(&text).await;
        Ok(())
    }
}
