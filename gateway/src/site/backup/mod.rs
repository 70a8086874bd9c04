//! Backups: files, database and code of an environment, kept in a repository of restic's, one for all
//! environments of a site, so that what they share is stored once.
//!
//! `create` makes them, `read` hands them out, `restore` brings them back, `schedule` and `retain` say
//! when and for how long, `upkeep` does by itself what they say. `repository` is what restic is asked,
//! `restic` and `child` are how it is run.

mod archive;
mod aside;
mod bundle;
mod child;
mod content;
mod create;
mod filling;
mod founding;
mod lines;
mod read;
mod repository;
mod restic;
mod restore;
mod restore_code;
mod retain;
mod schedule;
#[cfg(test)]
mod tests;
mod times;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use policy::{Elements, Environment, SiteName};

pub use create::{Making, create, snapshot_before};
pub use read::{Health, file_name, find, get, get_into, health};
pub use restore::{Plan, plan, restore};
pub use times::{Switched, disable, enable, schedule};
pub use upkeep::run_by_itself;

use super::layout::SiteLayout;
use super::workflow::Undone;
use super::{Run, Sites};
use crate::config;
use crate::database::{Trouble, Watcher};
use crate::fault::Fault;
use crate::state::Backup;
use repository::Repository;

/// What is shared by all that has to do with backups.
#[derive(Debug)]
pub struct Backups {
    settings: config::Backups,
    turns: Mutex<HashMap<SiteName, Arc<RwLock<()>>>>,
    making: Mutex<HashSet<Name>>,
    failed: Mutex<HashMap<(SiteName, Environment), (Timestamp, u32)>>,
}

/// What tells one backup from all others.
type Name = (SiteName, Environment, String);

/// A part of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Code.
    Code,
    /// Uploads.
    Files,
    /// The database.
    Database,
}

impl Element {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Element::Code => "code",
            Element::Files => "files",
            Element::Database => "database",
        }
    }

    /// Returns it as all that is asked for.
    pub fn alone(self) -> Elements {
        Elements {
            code: self == Element::Code,
            files: self == Element::Files,
            database: self == Element::Database,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Element {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        [Element::Code, Element::Files, Element::Database]
            .into_iter()
            .find(|one| one.as_str() == text)
            .ok_or_else(|| Fault::new("the parts of a backup are code, files and database"))
    }
}

/// All that a backup can have.
pub const ALL: Elements = Elements {
    code: true,
    database: true,
    files: true,
};

/// What comes down: files and database.
pub const CONTENT: Elements = Elements {
    code: false,
    database: true,
    files: true,
};

impl Backups {
    /// Makes it; nothing is running yet.
    pub fn new(settings: config::Backups) -> Self {
        Self {
            settings,
            turns: Mutex::default(),
            making: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// For how long a backup is kept that somebody asks for without saying, in days.
    pub fn keep_days(&self) -> u32 {
        self.settings.keep_days
    }

    /// Why no backup can be made on this server, if so.
    pub fn unavailable(&self) -> Option<String> {
        let program = &self.settings.program;
        (!restic::is_there(program)).then(|| restic::missing(program))
    }

    fn repository(&self, site: &SiteLayout) -> Repository {
        Repository {
            program: self.settings.program.clone(),
            above: site.folder().to_owned(),
            keep_free: self.settings.keep_free_bytes,
        }
    }

    /// Shared by those who read a site's repository or add to it; who removes from it has it alone,
    /// as restic wants it as well.
    fn turn(&self, site: &SiteName) -> Arc<RwLock<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(site.clone()).or_default())
    }

    fn is_being_made(&self, backup: &Backup) -> bool {
        let making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        making.contains(&name(backup))
    }
}

fn name(backup: &Backup) -> Name {
    (
        backup.site.clone(),
        backup.environment.clone(),
        backup.id.clone(),
    )
}

/// The marks of a backup's snapshots, by which they are found without our own records.
fn tags(backup: &Backup) -> Vec<String> {
    vec![
        format!("environment={}", backup.environment),
        format!("backup={}", backup.id),
    ]
}

/// Tells a workflow how far something is, now and then, and asks it whether to go on.
struct Followed<'a> {
    run: &'a Run,
    told: Mutex<std::time::Instant>,
}

/// The time between two words about how far something is.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

impl<'a> Followed<'a> {
    fn new(run: &'a Run) -> Self {
        Self {
            run,
            told: Mutex::new(std::time::Instant::now()),
        }
    }
}

impl Watcher for Followed<'_> {
    fn at(&self, bytes: u64, what: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= PAUSE {
            *told = std::time::Instant::now();
            self.run
                .say(&format!("{what}: {} so far", restic::bytes(bytes)));
        }
    }

    fn stopped(&self) -> bool {
        self.run.live().cancelled_by().is_some()
    }
}

/// Returns what a person is told of something that came to nothing.
fn undone(run: Option<&Run>, trouble: Trouble) -> Undone {
    match trouble {
        Trouble::Refused(sentence) => Undone::Impossible(sentence),
        Trouble::Stopped => match run.and_then(|run| run.live().cancelled_by()) {
            Some(person) => Undone::Cancelled(person.to_string()),
            None => Undone::Impossible("This was stopped; nothing was changed.".to_owned()),
        },
        Trouble::Fault(fault) => Undone::Fault(fault),
    }
}

/// The repository of a site that has backups.
fn existing(sites: &Sites, site: &SiteName) -> Result<Repository, Trouble> {
    let repository = sites.backups.repository(&sites.layout.site(site));
    if repository.exists() {
        Ok(repository)
    } else {
        Err(Trouble::Refused(format!(
            "The backups of {site} are gone from the server: {} has none.",
            repository
                .folder()
                .file_name()
                .unwrap_or_default()
                .display()
        )))
    }
}
