//! What holds the code of a site's environments where it is: freezes, hours of deploys, and whether
//! a second person has to approve.

use std::collections::BTreeMap;

use jiff::Timestamp;
use policy::{Environment, PersonName, SiteName};
use rusqlite::{Connection, params};

use super::approvals::{self, Request, Subject};
use super::deploy_windows::DeployWindow;
use super::model::{Model, parse, rows};
use super::{State, for_people};
use crate::fault::{Fault, OrFault};

/// Added with freezes, windows and approvals.
pub(super) const TABLES: &str = "
CREATE TABLE freeze (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    person TEXT NOT NULL,
    administrator INTEGER NOT NULL,
    reason TEXT NOT NULL,
    since TEXT NOT NULL,
    until TEXT,
    content INTEGER NOT NULL,
    PRIMARY KEY (site, environment),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
CREATE TABLE deploy_window (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    place INTEGER NOT NULL,
    hours TEXT NOT NULL,
    PRIMARY KEY (site, environment, place),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
CREATE TABLE approval_rule (
    site TEXT NOT NULL REFERENCES site(name) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    PRIMARY KEY (site, subject)
) STRICT;
CREATE TABLE approval (
    id TEXT PRIMARY KEY,
    site TEXT NOT NULL REFERENCES site(name) ON DELETE CASCADE,
    environment TEXT NOT NULL,
    subject TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    person TEXT NOT NULL,
    asked TEXT NOT NULL,
    note TEXT NOT NULL,
    expires TEXT NOT NULL,
    status TEXT NOT NULL,
    answered_by TEXT,
    answered TEXT,
    reason TEXT
) STRICT;
CREATE INDEX approval_by_site ON approval (site, asked);
";

/// What holds the code of one site.
#[derive(Debug, Clone, Default)]
pub struct Holds {
    /// Freezes, also those that have ended by themselves.
    pub freezes: BTreeMap<Environment, Freeze>,
    /// Hours of deploys, where there are any.
    pub windows: BTreeMap<Environment, Vec<DeployWindow>>,
    /// What a second person has to approve.
    pub approved: Vec<Subject>,
    /// Requests that are open or approved, also those that have expired.
    pub requests: Vec<Request>,
}

/// A freeze of an environment.
#[derive(Debug, Clone)]
pub struct Freeze {
    /// Who froze it.
    pub person: PersonName,
    /// Whether they were an administrator.
    pub administrator: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// Whether content is frozen as well as code.
    pub content: bool,
}

impl Freeze {
    /// Says who froze what, since and until when, and why, for people.
    pub fn told(&self) -> String {
        let until = match self.until {
            Some(until) => format!(" until {}", for_people(until)),
            None => String::new(),
        };
        let what = if self.content { ", content too" } else { "" };
        format!(
            "by {} since {}{until}{what}: {}",
            self.person,
            for_people(self.since),
            self.reason
        )
    }
}

impl Holds {
    /// What holds a site that nobody has said anything about.
    pub(super) const NOTHING: Self = Self {
        freezes: BTreeMap::new(),
        windows: BTreeMap::new(),
        approved: Vec::new(),
        requests: Vec::new(),
    };

    /// Returns the freeze of an environment that is in force at a moment.
    pub fn frozen(&self, environment: &Environment, now: Timestamp) -> Option<&Freeze> {
        let freeze = self.freezes.get(environment)?;
        freeze
            .until
            .is_none_or(|until| until > now)
            .then_some(freeze)
    }

    /// Returns the hours of deploys as text, whether they are now, and when they begin next.
    pub fn hours(&self, environment: &Environment, now: Timestamp) -> Option<policy::Hours> {
        let windows = self.windows.get(environment)?;
        let texts: Vec<String> = windows.iter().map(ToString::to_string).collect();
        let opens = windows
            .iter()
            .filter_map(|window| window.opens_after(now))
            .min();
        Some(policy::Hours {
            text: texts.join("; "),
            open: windows.iter().any(|window| window.is_open(now)),
            opens: opens.map(|opens| opens.strftime("%A %Y-%m-%d %H:%M %Z").to_string()),
        })
    }
}

impl State {
    /// Freezes an environment.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn freeze(
        &self,
        site: &SiteName,
        environment: &Environment,
        freeze: &Freeze,
    ) -> Result<(), Fault> {
        let doing = "freezing an environment";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO freeze
                         (site, environment, person, administrator, reason, since, until, content)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        site.as_str(),
                        environment.as_str(),
                        freeze.person.as_str(),
                        freeze.administrator,
                        freeze.reason,
                        freeze.since.to_string(),
                        freeze.until.map(|until| until.to_string()),
                        freeze.content
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Ends a freeze.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_freeze(&self, site: &SiteName, environment: &Environment) -> Result<(), Fault> {
        let doing = "ending a freeze";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "DELETE FROM freeze WHERE site = ?1 AND environment = ?2",
                    [site.as_str(), environment.as_str()],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Says in which hours deploys go to an environment; none means at any.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_windows(
        &self,
        site: &SiteName,
        environment: &Environment,
        windows: &[DeployWindow],
    ) -> Result<(), Fault> {
        let doing = "setting the hours of deploys";
        self.change(doing, |transaction| {
            let (site, environment) = (site.as_str(), environment.as_str());
            transaction
                .execute(
                    "DELETE FROM deploy_window WHERE site = ?1 AND environment = ?2",
                    [site, environment],
                )
                .or_fault(|| doing)?;
            for (place, window) in (1_i64..).zip(windows) {
                transaction
                    .execute(
                        "INSERT INTO deploy_window (site, environment, place, hours)
                         VALUES (?1, ?2, ?3, ?4)",
                        params![site, environment, place, window.to_string()],
                    )
                    .or_fault(|| doing)?;
            }
            Ok(())
        })
    }
}

pub(super) fn load(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    for (site, environment, person, administrator, reason, since, until, content) in rows(
        connection,
        "SELECT site, environment, person, administrator, reason, since, until, content FROM freeze",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, bool>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, String>(5)?,
                row.get::<_, Option<String>>(6)?,
                row.get::<_, bool>(7)?,
            ))
        },
    )? {
        let freeze = Freeze {
            person: parse(&person)?,
            administrator,
            reason,
            since: parse(&since)?,
            until: until.map(|until| parse(&until)).transpose()?,
            content,
        };
        let holds = model.holds.entry(parse(&site)?).or_default();
        holds.freezes.insert(parse(&environment)?, freeze);
    }
    for (site, environment, hours) in rows(
        connection,
        "SELECT site, environment, hours FROM deploy_window ORDER BY place",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
            ))
        },
    )? {
        let holds = model.holds.entry(parse(&site)?).or_default();
        let windows = holds.windows.entry(parse(&environment)?).or_default();
        windows.push(parse(&hours)?);
    }
    approvals::load(connection, model)
}
