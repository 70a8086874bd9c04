//! Writes sites, teams, environments and hotfixes.

use git2::Oid;
use jiff::Timestamp;
use policy::{ConnectionMode, Environment, HotfixName, PersonName, Role, SiteName, SitePath};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::State;
use super::model::{Hotfix, HotfixStatus, parse, rows};
use super::workflows::Workflow;
use crate::fault::{Fault, OrFault};

/// What a new site is made of.
#[derive(Debug, Clone)]
pub struct NewSite {
    /// The name.
    pub name: SiteName,
    /// The branch that Dev runs.
    pub trunk: String,
    /// The path in code that leads to uploads.
    pub files_path: Option<SitePath>,
    /// What Dev runs at first.
    pub commit: Oid,
    /// The generation that Dev points to at first.
    pub generation: u64,
    /// Who makes it; Dev's mode is set in their name.
    pub person: PersonName,
}

impl State {
    /// Adds a site with its Dev, Test and Live.
    ///
    /// # Errors
    /// When there is one of that name, or it cannot be written.
    pub fn add_site(&self, site: &NewSite) -> Result<(), Fault> {
        let doing = "adding a site";
        let now = Timestamp::now().to_string();
        self.change(doing, |transaction| {
            let files_path = site
                .files_path
                .as_ref()
                .map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned());
            transaction
                .execute(
                    "INSERT INTO site (name, trunk, files_path, created) VALUES (?1, ?2, ?3, ?4)",
                    params![site.name.as_str(), site.trunk, files_path, now],
                )
                .or_fault(|| doing)?;
            transaction
                .execute(
                    "INSERT INTO environment
                         (site, name, mode, mode_set_by, mode_set_at, commit_id, generation, created)
                     VALUES (?1, 'dev', 'sftp', ?2, ?3, ?4, ?5, ?6)",
                    params![
                        site.name.as_str(),
                        site.person.as_str(),
                        for_people(Timestamp::now()),
                        site.commit.to_string(),
                        site.generation.cast_signed(),
                        now
                    ],
                )
                .or_fault(|| doing)?;
            for environment in [Environment::Test, Environment::Live] {
                transaction
                    .execute(
                        "INSERT INTO environment (site, name, created) VALUES (?1, ?2, ?3)",
                        params![site.name.as_str(), environment.as_str(), now],
                    )
                    .or_fault(|| doing)?;
            }
            Ok(())
        })
    }

    /// Lets trunk be force-pushed, or not.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_force_push(&self, site: &SiteName, allowed: bool) -> Result<(), Fault> {
        let doing = "changing a site";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE site SET force_push = ?2 WHERE name = ?1",
                    params![site.as_str(), allowed],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Gives a person a role on a site.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_member(
        &self,
        site: &SiteName,
        person: &PersonName,
        role: Role,
    ) -> Result<(), Fault> {
        let doing = "changing a team";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO member (site, person, role) VALUES (?1, ?2, ?3)
                     ON CONFLICT (site, person) DO UPDATE SET role = ?3",
                    params![site.as_str(), person.as_str(), role.as_str()],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Takes a person out of a team.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_member(&self, site: &SiteName, person: &PersonName) -> Result<(), Fault> {
        let doing = "changing a team";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "DELETE FROM member WHERE site = ?1 AND person = ?2",
                    [site.as_str(), person.as_str()],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Returns all hotfixes of a site, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn hotfixes(&self, site: &SiteName) -> Result<Vec<Hotfix>, Fault> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let all = hotfixes(&connection, "ORDER BY time DESC")?;
        Ok(all
            .into_iter()
            .filter(|(owner, _)| owner == site)
            .map(|(_, hotfix)| hotfix)
            .collect())
    }

    /// Ends an open hotfix.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close_hotfix(
        &self,
        site: &SiteName,
        name: &HotfixName,
        status: HotfixStatus,
    ) -> Result<(), Fault> {
        let doing = "closing a hotfix";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE hotfix SET status = ?3 WHERE site = ?1 AND name = ?2",
                    [site.as_str(), name.as_str(), status.as_str()],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }
}

/// Returns a moment as people read it.
pub fn for_people(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Returns which commit an environment runs, inside a larger change.
pub(super) fn commit_of(
    transaction: &Transaction<'_>,
    site: &SiteName,
    environment: &Environment,
) -> Result<Option<String>, Fault> {
    transaction
        .query_row(
            "SELECT commit_id FROM environment WHERE site = ?1 AND name = ?2",
            [site.as_str(), environment.as_str()],
            |row| row.get(0),
        )
        .optional()
        .map(Option::flatten)
        .or_fault(|| "reading what an environment runs")
}

/// Sets which commit an environment runs, inside a larger change.
pub(super) fn set_commit(
    transaction: &Transaction<'_>,
    site: &SiteName,
    environment: &Environment,
    commit: Oid,
) -> Result<(), Fault> {
    transaction
        .execute(
            "UPDATE environment SET commit_id = ?3 WHERE site = ?1 AND name = ?2",
            [site.as_str(), environment.as_str(), &commit.to_string()],
        )
        .or_fault(|| "setting what an environment runs")?;
    Ok(())
}

/// Sets the generation that an environment points to, inside a larger change.
pub(super) fn set_generation(
    transaction: &Transaction<'_>,
    site: &SiteName,
    environment: &Environment,
    generation: u64,
) -> Result<(), Fault> {
    transaction
        .execute(
            "UPDATE environment SET generation = ?3 WHERE site = ?1 AND name = ?2",
            params![
                site.as_str(),
                environment.as_str(),
                generation.cast_signed()
            ],
        )
        .or_fault(|| "setting the generation of an environment")?;
    Ok(())
}

/// Sets the connection mode of a workflow's environment in its person's name, inside a larger
/// change.
pub(super) fn set_mode(
    transaction: &Transaction<'_>,
    workflow: &Workflow,
    mode: ConnectionMode,
) -> Result<(), Fault> {
    transaction
        .execute(
            "UPDATE environment SET mode = ?3, mode_set_by = ?4, mode_set_at = ?5
             WHERE site = ?1 AND name = ?2",
            params![
                workflow.site.as_str(),
                workflow.environment.as_str(),
                mode.as_str(),
                workflow.person.as_str(),
                for_people(Timestamp::now())
            ],
        )
        .or_fault(|| "setting a connection mode")?;
    Ok(())
}

/// Adds or renews a hotfix, inside a larger change.
pub(super) fn put_hotfix(
    transaction: &Transaction<'_>,
    site: &SiteName,
    hotfix: &Hotfix,
) -> Result<(), Fault> {
    transaction
        .execute(
            "INSERT INTO hotfix (site, name, commit_id, reason, person, time, status)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (site, name) DO UPDATE SET
                 commit_id = ?3, reason = ?4, person = ?5, time = ?6, status = ?7",
            params![
                site.as_str(),
                hotfix.name.as_str(),
                hotfix.commit.to_string(),
                hotfix.reason,
                hotfix.person.as_str(),
                hotfix.time.to_string(),
                hotfix.status.as_str()
            ],
        )
        .or_fault(|| "keeping a hotfix")?;
    Ok(())
}

/// Reads hotfixes of all sites; `rest` ends the query and holds no text from outside.
pub(super) fn hotfixes(
    connection: &Connection,
    rest: &str,
) -> Result<Vec<(SiteName, Hotfix)>, Fault> {
    let query =
        format!("SELECT site, name, commit_id, reason, person, time, status FROM hotfix {rest}");
    let found = rows(connection, &query, |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, String>(3)?,
            row.get::<_, String>(4)?,
            row.get::<_, String>(5)?,
            row.get::<_, String>(6)?,
        ))
    })?;
    found
        .into_iter()
        .map(|(site, name, commit, reason, person, time, status)| {
            let hotfix = Hotfix {
                name: parse(&name)?,
                commit: parse(&commit)?,
                reason,
                person: parse(&person)?,
                time: parse(&time)?,
                status: parse(&status)?,
            };
            Ok((parse(&site)?, hotfix))
        })
        .collect()
}
