//! Where environments are served, and which of their releases have failed there.

use git2::Oid;
use jiff::Timestamp;
use policy::{Environment, FailedRelease, SiteName};
use rusqlite::{Connection, params};

use super::model::{Model, parse, rows};
use super::{State, for_people};
use crate::fault::{Fault, OrFault};

/// What releases are tried at before and after the switch, and what has failed.
pub(super) const TABLES: &str = "
CREATE TABLE front (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    url TEXT,
    fastcgi TEXT,
    PRIMARY KEY (site, environment),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
CREATE TABLE failed_release (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    workflow TEXT NOT NULL,
    reason TEXT NOT NULL,
    time TEXT NOT NULL,
    PRIMARY KEY (site, environment, commit_id),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
";

/// Where an environment is served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Front {
    /// The address that its visitors use, without a slash at the end.
    pub url: Option<String>,
    /// Where its FastCGI server listens: `HOST:PORT` or `unix:PATH`.
    pub fastcgi: Option<String>,
}

/// A release that failed its check and may not be deployed again until somebody allows it.
#[derive(Debug, Clone)]
pub struct Failed {
    /// What was deployed.
    pub commit: Oid,
    /// The workflow in which it failed.
    pub workflow: String,
    /// Why.
    pub reason: String,
    /// When.
    pub time: Timestamp,
}

impl Failed {
    /// Returns it as the policy asks for it.
    pub fn fact(&self) -> FailedRelease {
        FailedRelease {
            commit: self.commit.to_string().chars().take(10).collect(),
            reason: self.reason.clone(),
            when: for_people(self.time),
        }
    }
}

impl State {
    /// Says where an environment is served.
    ///
    /// # Errors
    /// When the environment does not exist or the change cannot be kept.
    pub fn set_front(
        &self,
        site: &SiteName,
        environment: &Environment,
        front: &Front,
    ) -> Result<(), Fault> {
        let doing = "saying where an environment is served";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO front (site, environment, url, fastcgi)
                     VALUES (?, ?, ?, ?)",
                    params![
                        site.as_str(),
                        environment.as_str(),
                        front.url,
                        front.fastcgi
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Writes down that a release has failed.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn add_failed(
        &self,
        site: &SiteName,
        environment: &Environment,
        failed: &Failed,
    ) -> Result<(), Fault> {
        let doing = "writing down that a release has failed";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO failed_release
                         (site, environment, commit_id, workflow, reason, time)
                     VALUES (?, ?, ?, ?, ?, ?)",
                    params![
                        site.as_str(),
                        environment.as_str(),
                        failed.commit.to_string(),
                        failed.workflow,
                        failed.reason,
                        failed.time.to_string()
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Lets a release that has failed be deployed again.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn remove_failed(
        &self,
        site: &SiteName,
        environment: &Environment,
        commit: Oid,
    ) -> Result<(), Fault> {
        let doing = "allowing a release again";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "DELETE FROM failed_release
                     WHERE site = ? AND environment = ? AND commit_id = ?",
                    [site.as_str(), environment.as_str(), &commit.to_string()],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }
}

pub(super) fn load(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    let fronts = rows(
        connection,
        "SELECT site, environment, url, fastcgi FROM front",
        |row| {
            let front = Front {
                url: row.get(2)?,
                fastcgi: row.get(3)?,
            };
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, front))
        },
    )?;
    for (site, environment, front) in fronts {
        if let Some(found) = model.environment_mut(&parse(&site)?, &parse(&environment)?) {
            found.front = front;
        }
    }
    let failed = rows(
        connection,
        "SELECT site, environment, commit_id, workflow, reason, time FROM failed_release
         ORDER BY time DESC",
        |row| {
            (0..6)
                .map(|place| row.get::<_, String>(place))
                .collect::<Result<Vec<_>, _>>()
        },
    )?;
    for row in failed {
        let Ok([site, environment, commit, workflow, reason, time]) = <[String; 6]>::try_from(row)
        else {
            return Err(Fault::new("a row of another width"));
        };
        let failed = Failed {
            commit: parse(&commit)?,
            workflow,
            reason,
            time: parse(&time)?,
        };
        if let Some(found) = model.environment_mut(&parse(&site)?, &parse(&environment)?) {
            found.failed.push(failed);
        }
    }
    Ok(())
}
