//! Which content each environment has, and what a site says of its content: its engine, what is left
//! out of copies, which names of hosts become which, and whether it is launched.

use std::collections::BTreeMap;

use jiff::Timestamp;
use policy::{Environment, SiteName};
use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use super::State;
use super::model::{Model, parse, rows};
use super::workflows::Workflow;
use crate::database::Engine;
use crate::fault::{Fault, OrFault};

pub(super) const TABLES: &str = "
CREATE TABLE content (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    current TEXT NOT NULL,
    address TEXT,
    former TEXT,
    former_until TEXT,
    origin TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (site, environment),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
CREATE TABLE site_content (
    site TEXT PRIMARY KEY REFERENCES site(name) ON DELETE CASCADE,
    engine TEXT,
    server TEXT,
    skipping TEXT NOT NULL DEFAULT '',
    launched TEXT
) STRICT;
CREATE TABLE domain (
    site TEXT NOT NULL REFERENCES site(name) ON DELETE CASCADE,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    old TEXT NOT NULL,
    new TEXT NOT NULL,
    PRIMARY KEY (site, source, target, old)
) STRICT;
";

/// One content of an environment: a number of its own, and where its two halves are. A change of one
/// half leaves the other where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Content {
    /// Its number.
    pub number: u64,
    /// The store of its files.
    pub files: u64,
    /// The store of its database; 0 is none.
    pub database: u64,
}

impl Content {
    /// What an environment begins with.
    pub const FIRST: Self = Self {
        number: 1,
        files: 1,
        database: 1,
    };
}

/// A change of the content of an environment, as it is intended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentChange {
    /// What it will be.
    pub new: Content,
    /// What it is before.
    pub before: Content,
    /// Until when what it is before can be brought back; absent for not at all.
    pub keep_until: Option<Timestamp>,
    /// Where its database is reached, as `HOST:PORT`, if it is on a server.
    #[serde(default)]
    pub address: Option<String>,
    /// What it came from, in words.
    pub origin: String,
}

/// The content of an environment as it is known.
#[derive(Debug, Clone)]
pub struct ContentState {
    /// What it is.
    pub current: Content,
    /// Where its database is reached, as `HOST:PORT`, if it is on a server.
    pub address: Option<String>,
    /// What it was before, as long as it can be brought back.
    pub former: Option<(Content, Timestamp)>,
    /// What it came from, in words; empty for what the environment began with.
    pub origin: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Default for ContentState {
    fn default() -> Self {
        Self {
            current: Content::FIRST,
            address: None,
            former: None,
            origin: String::new(),
            since: None,
        }
    }
}

/// What a site says of its content.
#[derive(Debug, Clone)]
pub struct SiteContent {
    /// What its databases are; none for none.
    pub engine: Option<Engine>,
    /// The server they are on, by its name in the configuration.
    pub server: Option<String>,
    /// Which tables are copied without their rows: `drupal`, `wordpress`, or names.
    pub skipping: String,
    /// Since when Live is launched.
    pub launched: Option<Timestamp>,
    /// Names of hosts by the environments that content goes from and to: pairs of old and new.
    pub domains: BTreeMap<(Environment, Environment), Vec<(String, String)>>,
}

impl Default for SiteContent {
    fn default() -> Self {
        Self {
            engine: Some(Engine::Sqlite),
            server: None,
            skipping: String::new(),
            launched: None,
            domains: BTreeMap::new(),
        }
    }
}

impl State {
    /// Says what the databases of a site are.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn set_engine(
        &self,
        site: &SiteName,
        engine: Option<Engine>,
        server: Option<&str>,
    ) -> Result<(), Fault> {
        let doing = "saying what a site's databases are";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO site_content (site, engine, server) VALUES (?1, ?2, ?3)
                     ON CONFLICT (site) DO UPDATE SET engine = ?2, server = ?3",
                    params![site.as_str(), engine.map_or("none", Engine::as_str), server],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Says which tables of a site are copied without their rows.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn set_skipping(&self, site: &SiteName, skipping: &str) -> Result<(), Fault> {
        let doing = "saying which tables are copied without rows";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO site_content (site, engine, skipping) VALUES (?1, 'sqlite', ?2)
                     ON CONFLICT (site) DO UPDATE SET skipping = ?2",
                    params![site.as_str(), skipping],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Says that Live of a site is launched, or not.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn set_launched(&self, site: &SiteName, since: Option<Timestamp>) -> Result<(), Fault> {
        let doing = "saying whether a site is launched";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO site_content (site, engine, launched) VALUES (?1, 'sqlite', ?2)
                     ON CONFLICT (site) DO UPDATE SET launched = ?2",
                    params![site.as_str(), since.map(|since| since.to_string())],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Says which names of hosts become which when content goes from one environment to another;
    /// none for none.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn set_domains(
        &self,
        site: &SiteName,
        source: &Environment,
        target: &Environment,
        pairs: &[(String, String)],
    ) -> Result<(), Fault> {
        let doing = "saying which names of hosts become which";
        self.change(doing, |transaction| {
            let key = [site.as_str(), source.as_str(), target.as_str()];
            transaction
                .execute(
                    "DELETE FROM domain WHERE site = ? AND source = ? AND target = ?",
                    key,
                )
                .or_fault(|| doing)?;
            for (old, new) in pairs {
                transaction
                    .execute(
                        "INSERT INTO domain (site, source, target, old, new) VALUES (?, ?, ?, ?, ?)",
                        params![key[0], key[1], key[2], old, new],
                    )
                    .or_fault(|| doing)?;
            }
            Ok(())
        })
    }

    /// Forgets the former content of an environment: it cannot be brought back any more.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn forget_former(&self, site: &SiteName, environment: &Environment) -> Result<(), Fault> {
        let doing = "forgetting a former content";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE content SET former = NULL, former_until = NULL
                     WHERE site = ? AND environment = ?",
                    [site.as_str(), environment.as_str()],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }
}

/// Keeps a change of content that has been carried out.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    workflow: &Workflow,
    change: &ContentChange,
) -> Result<(), Fault> {
    let doing = || "keeping which content an environment has";
    let text = |content: &Content| serde_json::to_string(content).or_fault(doing);
    let former = change
        .keep_until
        .map(|until| Ok::<_, Fault>((text(&change.before)?, until.to_string())))
        .transpose()?;
    let (former, until) = former.unzip();
    transaction
        .execute(
            "INSERT OR REPLACE INTO content
             (site, environment, current, address, former, former_until, origin, since)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                workflow.site.as_str(),
                workflow.environment.as_str(),
                text(&change.new)?,
                change.address,
                former,
                until,
                change.origin,
                Timestamp::now().to_string()
            ],
        )
        .or_fault(doing)?;
    Ok(())
}

pub(super) fn load(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    for (site, environment, current, former, until, origin, since, address) in rows(
        connection,
        "SELECT site, environment, current, former, former_until, origin, since, address
         FROM content",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, Option<String>>(4)?,
                row.get::<_, String>(5)?,
                row.get::<_, String>(6)?,
                row.get::<_, Option<String>>(7)?,
            ))
        },
    )? {
        let read =
            |text: &str| serde_json::from_str(text).or_fault(|| "reading a content from the state");
        let former = match (former, until) {
            (Some(former), Some(until)) => Some((read(&former)?, parse(&until)?)),
            _absent => None,
        };
        let state = ContentState {
            current: read(&current)?,
            address,
            former,
            origin,
            since: Some(parse(&since)?),
        };
        if let Some(found) = model.environment_mut(&parse(&site)?, &parse(&environment)?) {
            found.content = state;
        }
    }
    load_sites(connection, model)
}

fn load_sites(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    for (site, engine, server, skipping, launched) in rows(
        connection,
        "SELECT site, engine, server, skipping, launched FROM site_content",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<String>>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, Option<String>>(4)?,
            ))
        },
    )? {
        let Some(found) = model.sites.get_mut(&parse::<SiteName>(&site)?) else {
            continue;
        };
        found.content = SiteContent {
            engine: match engine.as_str() {
                "none" => None,
                named => Some(named.parse()?),
            },
            server,
            skipping,
            launched: launched.map(|time| parse(&time)).transpose()?,
            domains: BTreeMap::new(),
        };
    }
    for (site, source, target, old, new) in rows(
        connection,
        "SELECT site, source, target, old, new FROM domain ORDER BY rowid",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
            ))
        },
    )? {
        if let Some(found) = model.sites.get_mut(&parse::<SiteName>(&site)?) {
            let pair = (parse(&source)?, parse(&target)?);
            found
                .content
                .domains
                .entry(pair)
                .or_default()
                .push((old, new));
        }
    }
    Ok(())
}
