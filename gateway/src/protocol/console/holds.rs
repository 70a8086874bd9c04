//! Freezes and hours of deploys.

use jiff::Timestamp;
use policy::{Action, Environment, Role, SiteName, Target};
use serde_json::Value;

use super::command::SiteEnvironment;
use super::hold_command::HoldCommand;
use super::key_limits::later;
use super::table::Table;
use super::{Done, Run, Stop};
use crate::audit::{self};
use crate::site::holds;
use crate::state::{DeployWindow, Freeze, NotAWindow, for_people};

/// The longest reason, in characters.
const LONGEST_REASON: usize = 500;

/// The most hours that an environment may have.
const MOST_WINDOWS: usize = 50;

impl Run<'_> {
    pub(super) async fn hold(&mut self, command: HoldCommand) -> Done {
        match command {
            HoldCommand::LockEnable {
                environment,
                reason,
                until,
                content,
            } => {
                let until = until.as_deref();
                self.lock_enable(environment, &reason, until, content).await
            }
            HoldCommand::LockDisable { environment } => self.lock_disable(environment).await,
            HoldCommand::LockList { site } => self.lock_list(site).await,
            HoldCommand::WindowSet { environment, hours } => {
                self.window_set(environment, &hours).await
            }
            HoldCommand::WindowClear { environment } => self.window_set(environment, &[]).await,
            HoldCommand::WindowList { site } => self.window_list(site).await,
            HoldCommand::Approve { id } => self.deploy_approve(&id).await,
            HoldCommand::Deny { id, reason } => self.deploy_deny(&id, &reason).await,
            HoldCommand::Requests { site } => self.deploy_requests(site).await,
        }
    }

    async fn lock_enable(
        &mut self,
        place: SiteEnvironment,
        reason: &str,
        until: Option<&str>,
        content: bool,
    ) -> Done {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let permit = self.permit(Action::Freeze, &target)?;
        let now = Timestamp::now();
        let asked = reason_of(reason).and_then(|reason| {
            let until = until.map(|text| end(text, now)).transpose()?;
            Ok((reason, until))
        });
        let (reason, until) = match asked {
            Ok(asked) => asked,
            Err(stop) => {
                permit.forget();
                return Err(stop);
            }
        };
        let standing = self.console.gate.standing(self.who, &place.site);
        let freeze = Freeze {
            person: self.who.person.clone(),
            administrator: standing.role() == Some(Role::Administrator),
            reason,
            since: now,
            until,
            content,
        };
        holds::freeze(&self.console.state, permit, &freeze)?;
        let live = self.console.sites.workflows.of_site(&place.site);
        for one in live
            .iter()
            .filter(|live| live.asked.environment == place.environment)
        {
            let line = format!(
                "{} is under way there (workflow {}); it is refused when it comes to its switch, unless it is past that.",
                one.described(),
                one.id
            );
            self.reply.tell(&line).await;
        }
        let end = match freeze.until {
            Some(until) => format!("until {}", for_people(until)),
            None => format!("until somebody ends that: lock:disable {place}"),
        };
        let text = format!("{place} is frozen {end}.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    async fn lock_disable(&mut self, place: SiteEnvironment) -> Done {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let permit = self.permit(Action::EndFreeze, &target)?;
        let model = self.console.state.model();
        let holds = model.holds(&place.site);
        let Some(freeze) = holds.frozen(&place.environment, Timestamp::now()) else {
            permit.forget();
            return Err(Stop::Nothing(format!("{place} is not frozen.")));
        };
        holds::end_freeze(&self.console.state, permit, freeze)?;
        let text = format!("{place} is no longer frozen.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    async fn lock_list(&mut self, site: SiteName) -> Done {
        self.view(&site)?;
        let model = self.console.state.model();
        let holds = model.holds(&site);
        let now = Timestamp::now();
        let mut table = Table::new(&["env", "user", "since", "until", "content", "reason"]);
        for environment in holds.freezes.keys() {
            let Some(freeze) = holds.frozen(environment, now) else {
                continue;
            };
            table.push(vec![
                environment.as_str().into(),
                freeze.person.as_str().into(),
                for_people(freeze.since).into(),
                freeze
                    .until
                    .map_or(Value::Null, |until| for_people(until).into()),
                freeze.content.into(),
                freeze.reason.as_str().into(),
            ]);
        }
        if table.is_empty() {
            self.reply.tell("Nothing is frozen.").await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    async fn window_set(&mut self, place: SiteEnvironment, hours: &[String]) -> Done {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let permit = self.permit(Action::SetWindows, &target)?;
        let read: Result<Vec<DeployWindow>, NotAWindow> =
            hours.iter().map(|text| text.parse()).collect();
        let windows = match read {
            Ok(windows) if windows.len() <= MOST_WINDOWS => windows,
            Ok(_) => {
                permit.forget();
                return Err(Stop::Failed(format!(
                    "An environment has {MOST_WINDOWS} such hours at the most."
                )));
            }
            Err(error) => {
                permit.forget();
                return Err(Stop::Failed(error.to_string()));
            }
        };
        holds::set_windows(&self.console.state, permit, &windows)?;
        let told = self.hours(&place.site, &place.environment);
        let text = match told {
            Some(hours) => format!("Deploys go to {place} at these hours only: {hours}.\n"),
            None => format!("Deploys go to {place} at any hour.\n"),
        };
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    async fn window_list(&mut self, site: SiteName) -> Done {
        self.view(&site)?;
        let model = self.console.state.model();
        let holds = model.holds(&site);
        let mut table = Table::new(&["env", "hours", "now", "opens"]);
        for environment in holds.windows.keys() {
            let Some(hours) = holds.hours(environment, Timestamp::now()) else {
                continue;
            };
            table.push(vec![
                environment.as_str().into(),
                hours.text.into(),
                if hours.open { "open" } else { "closed" }.into(),
                hours.opens.map_or(Value::Null, Value::from),
            ]);
        }
        if table.is_empty() {
            self.reply.tell("Deploys go at any hour.").await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    /// Says at which hours deploys go to an environment, if not at all.
    pub(super) fn hours(&self, site: &SiteName, environment: &Environment) -> Option<String> {
        let model = self.console.state.model();
        let hours = model.holds(site).hours(environment, Timestamp::now())?;
        Some(match (hours.open, hours.opens) {
            (true, _) => format!("{} (open now)", hours.text),
            (false, Some(opens)) => format!("{} (closed, opens {opens})", hours.text),
            (false, None) => hours.text,
        })
    }

    /// Says who has frozen an environment, since when and why.
    pub(super) fn frozen(&self, site: &SiteName, environment: &Environment) -> Option<String> {
        let model = self.console.state.model();
        let holds = model.holds(site);
        Some(holds.frozen(environment, Timestamp::now())?.told())
    }

    /// Says what holds the environments of a site, a line each, for the greeting.
    pub(super) fn held(&self, site: &SiteName) -> Vec<String> {
        let model = self.console.state.model();
        let holds = model.holds(site);
        let now = Timestamp::now();
        let mut lines: Vec<String> = holds
            .freezes
            .keys()
            .filter_map(|environment| {
                let freeze = holds.frozen(environment, now)?;
                Some(format!(
                    "{} is frozen {}",
                    environment.title(),
                    freeze.told()
                ))
            })
            .collect();
        for environment in holds.windows.keys() {
            if let Some(hours) = holds.hours(environment, now).filter(|hours| !hours.open) {
                let opens = hours.opens.unwrap_or_default();
                lines.push(format!(
                    "{} takes no deploys now; its hours begin {opens}",
                    environment.title()
                ));
            }
        }
        match self.waiting_requests(site, None) {
            0 => {}
            1 => lines.push(format!(
                "1 request waits for approval: deploy:requests {site}"
            )),
            several => lines.push(format!(
                "{several} requests wait for approval: deploy:requests {site}"
            )),
        }
        lines
    }
}

/// Reads a reason, which must say something.
pub(super) fn reason_of(text: &str) -> Result<String, Stop> {
    let reason: String = text.trim().chars().take(LONGEST_REASON).collect();
    if reason.is_empty() {
        return Err(Stop::Failed(
            "This needs a reason, for those who look at it afterwards: --reason \"why\"."
                .to_owned(),
        ));
    }
    Ok(policy::escape(reason.as_bytes()))
}

/// Reads when a freeze ends: a length of time from now, a day, a moment.
fn end(text: &str, now: Timestamp) -> Result<Timestamp, Stop> {
    let bare = text.strip_suffix(" UTC").unwrap_or(text);
    let end = later(text, now)
        .or_else(|_| audit::parse_until(bare, now).map_err(|error| error.to_string()))
        .map_err(|_| {
            Stop::Failed(format!(
                "'{}' is no end: write 2026-11-22 (its end), \"2026-11-22 14:00\", \
                 2026-11-22T14:00:00Z (all UTC unless an offset is given), or how long: 30m, 2h, 7d.",
                policy::escape(text.as_bytes())
            ))
        })?;
    if end <= now {
        return Err(Stop::Failed(
            "This end lies in the past, so nothing would be frozen.".to_owned(),
        ));
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_ends_at_a_moment_a_day_or_after_a_while() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        for (text, ends) in [
            ("2h", Some("2026-11-23T12:00:00Z")),
            ("7d", Some("2026-11-30T10:00:00Z")),
            ("2026-11-24", Some("2026-11-24T23:59:59.999999Z")),
            ("2026-11-24 14:00", Some("2026-11-24T14:00:00Z")),
            ("2026-11-24 14:00 UTC", Some("2026-11-24T14:00:00Z")),
            ("2026-11-24T14:00:00+01:00", Some("2026-11-24T13:00:00Z")),
            ("2026-11-22", None),
            ("soon", None),
            ("-2h", None),
            ("", None),
        ] {
            let read = end(text, now).ok().map(|end| end.to_string());
            assert_eq!(read.as_deref(), ends, "{text}");
        }
    }
}
