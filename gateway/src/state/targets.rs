//! Who is told of an environment's switches.

use std::fmt;

use jiff::Timestamp;
use policy::{Environment, SiteName};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::State;
use super::model::{parse, rows};
use crate::fault::{Fault, OrFault};

/// Targets, and what they are to be told. Neither outlives its environment.
pub(super) const TABLES: &str = "
CREATE TABLE target (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    secret TEXT,
    follows INTEGER NOT NULL,
    active INTEGER NOT NULL,
    created TEXT NOT NULL,
    UNIQUE (site, environment, name),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
CREATE TABLE delivery (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    target INTEGER NOT NULL REFERENCES target(id) ON DELETE CASCADE,
    event TEXT NOT NULL,
    told TEXT NOT NULL,
    created TEXT NOT NULL,
    since TEXT NOT NULL,
    next TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL,
    result TEXT
) STRICT;
CREATE INDEX delivery_by_target ON delivery (target, status, number);
";

/// Somebody who is told of the switches of one environment.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its number, which no other target has had.
    pub id: i64,
    /// The site.
    pub site: SiteName,
    /// The environment.
    pub environment: Environment,
    /// Its name, the only one in its environment.
    pub name: String,
    /// What it is.
    pub kind: TargetKind,
    /// What signs its messages.
    pub secret: Option<Secret>,
    /// Whether it takes part; a host does not before it has been tested.
    pub active: bool,
    /// When it was added.
    pub created: Timestamp,
}

/// What a target is, with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum TargetKind {
    /// A program on this server.
    Command {
        /// Its absolute path and its arguments.
        command: Vec<String>,
        /// How long it may run, in seconds.
        seconds: u64,
    },
    /// A place that takes messages over HTTP.
    Webhook {
        /// Its address, which may be a secret in itself.
        url: String,
        /// How long it may take to answer, in seconds.
        seconds: u64,
    },
    /// Another web host.
    Rsync(Host),
    /// A server program on this server that reads its code or its settings anew.
    Reload(Reload),
}

/// Another web host, reached by SSH.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The account there.
    pub user: String,
    /// Its name or address.
    pub host: String,
    /// The port of its SSH server.
    pub port: u16,
    /// The folder there that holds the site.
    pub path: String,
    /// How long each of its phases may take, in seconds.
    pub seconds: u64,
    /// How many releases are kept there.
    pub keep: usize,
    /// The key that the gateway logs in with, in OpenSSH's one-line form.
    pub public_key: String,
}

/// How a server program is told to reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reload {
    /// A signal to the process in a file.
    Signal {
        /// The file that holds its number.
        file: String,
        /// The signal's name without SIG.
        signal: String,
    },
    /// `systemctl reload`.
    Unit(String),
}

impl TargetKind {
    /// Returns the word for tables and rows.
    pub fn as_str(&self) -> &'static str {
        match self {
            TargetKind::Command { .. } => "command",
            TargetKind::Webhook { .. } => "webhook",
            TargetKind::Rsync(_) => "rsync",
            TargetKind::Reload(_) => "reload",
        }
    }

    /// Whether it holds a copy of the code, rather than being told of it.
    fn follows(&self) -> bool {
        matches!(self, TargetKind::Rsync(_))
    }
}

/// What must not be shown to anybody; also not by a debugger's print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps it.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// Returns it, for who signs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A target that is being added.
#[derive(Debug, Clone)]
pub struct NewTarget {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: TargetKind,
    /// What signs its messages.
    pub secret: Option<Secret>,
    /// Whether it takes part from now on.
    pub active: bool,
}

impl State {
    /// Adds a target; returns its number.
    ///
    /// # Errors
    /// When the environment has one of that name, or is gone, or it cannot be written.
    pub fn add_target(
        &self,
        site: &SiteName,
        environment: &Environment,
        new: &NewTarget,
    ) -> Result<i64, Fault> {
        let doing = "adding a target";
        let settings = serde_json::to_string(&new.kind).or_fault(|| doing)?;
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO target
                         (site, environment, name, settings, secret, follows, active, created)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        site.as_str(),
                        environment.as_str(),
                        new.name,
                        settings,
                        new.secret.as_ref().map(Secret::reveal),
                        new.kind.follows(),
                        new.active,
                        Timestamp::now().to_string()
                    ],
                )
                .or_fault(|| doing)?;
            Ok(transaction.last_insert_rowid())
        })
    }

    /// Changes a target's settings, once they are known in full.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_target_kind(&self, id: i64, kind: &TargetKind) -> Result<(), Fault> {
        let doing = "changing a target";
        let settings = serde_json::to_string(kind).or_fault(|| doing)?;
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE target SET settings = ?2 WHERE id = ?1",
                    params![id, settings],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Has a target take part from now on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn activate_target(&self, id: i64) -> Result<(), Fault> {
        let doing = "activating a target";
        self.note(doing, |transaction| {
            transaction
                .execute("UPDATE target SET active = 1 WHERE id = ?1", [id])
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Removes a target with all that it was told and was to be told.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_target(&self, id: i64) -> Result<(), Fault> {
        let doing = "removing a target";
        self.note(doing, |transaction| {
            transaction
                .execute("DELETE FROM target WHERE id = ?1", [id])
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Returns the targets of an environment by their names.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn targets(
        &self,
        site: &SiteName,
        environment: &Environment,
    ) -> Result<Vec<Target>, Fault> {
        // Names are of an alphabet without quotes, so they may stand in the query.
        self.some_targets(&format!(
            "site = '{site}' AND environment = '{environment}' ORDER BY name"
        ))
    }

    /// Returns a target by its number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn target(&self, id: i64) -> Result<Option<Target>, Fault> {
        Ok(self.some_targets(&format!("id = {id}"))?.pop())
    }

    /// Returns all targets.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn all_targets(&self) -> Result<Vec<Target>, Fault> {
        self.some_targets("1 = 1 ORDER BY id")
    }

    fn some_targets(&self, which: &str) -> Result<Vec<Target>, Fault> {
        let connection = self.reading();
        let query = format!(
            "SELECT id, site, environment, name, settings, secret, active, created \
             FROM target WHERE {which}"
        );
        let found = rows(&connection, &query, |row| {
            Ok((row.get(0)?, texts(row)?, row.get(5)?, row.get(6)?))
        })?;
        found
            .into_iter()
            .map(|(id, texts, secret, active)| {
                let [site, environment, name, settings, created] = texts;
                Ok(Target {
                    id,
                    site: parse(&site)?,
                    environment: parse(&environment)?,
                    name,
                    kind: serde_json::from_str(&settings).or_fault(|| "reading a target")?,
                    secret: Option::map(secret, Secret),
                    active,
                    created: parse(&created)?,
                })
            })
            .collect()
    }
}

fn texts(row: &Row<'_>) -> Result<[String; 5], rusqlite::Error> {
    Ok([
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(7)?,
    ])
}
