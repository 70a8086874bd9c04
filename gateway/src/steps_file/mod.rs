//! What a site wants done around its events: the steps and probes of its `funicular.toml`, and
//! those of the administrator, which are written in the same words. Reads a text; runs nothing.
//! docs/steps.md tells the format to users.

mod fields;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use policy::{Environment, SitePath};

pub use read::{LARGEST, NAME, too_large};

/// The steps and probes of one file, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// The steps; one that is for several events is here once for each.
    pub steps: Vec<Step>,
    /// The probes.
    pub probes: Vec<Probe>,
}

/// A command that is run before or after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What people are told that runs.
    pub name: String,
    /// Around what it is run.
    pub event: Event,
    /// Whether it is run before or after.
    pub stage: Stage,
    /// Where; empty means everywhere.
    pub environments: Vec<Place>,
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// The time it has.
    pub timeout: Duration,
    /// The folder of the code that it runs in; absent means the code's own.
    pub directory: Option<SitePath>,
    /// What its failure means.
    pub on_failure: OnFailure,
}

/// A question to a release: before the switch (pre-flight) or after it (verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What people are told that is asked.
    pub name: String,
    /// Before: a script of the release is run over FastCGI. After: a page of the environment is
    /// fetched. A command may be either.
    pub stage: Stage,
    /// Where; empty means everywhere.
    pub environments: Vec<Place>,
    /// The page (after) or the script (before); absent when there is a command.
    pub path: Option<String>,
    /// The program and its arguments; absent when there is a path.
    pub command: Option<Vec<String>>,
    /// The HTTP status that is right (RFC 9110 §15).
    pub status: u16,
    /// What the answer must contain.
    pub marker: Option<String>,
    /// The time that the answer may take.
    pub timeout: Duration,
}

/// What happens to an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Code reaches Dev or a Multidev.
    SyncCode,
    /// Code reaches Test or Live, also as a hotfix or a rollback.
    Deploy,
    /// Content comes from another environment.
    CloneContent,
    /// Content comes from outside.
    Import,
    /// Content is removed.
    Wipe,
    /// A backup is made.
    Backup,
    /// A backup is put back.
    Restore,
    /// A Multidev is made.
    MultidevCreate,
    /// The connection mode changes.
    ModeChange,
    /// The site's own updates of its database, on request.
    UpdateDatabase,
    /// The site's caches are cleared, on request.
    ClearCaches,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 11] = [
        Event::SyncCode,
        Event::Deploy,
        Event::CloneContent,
        Event::Import,
        Event::Wipe,
        Event::Backup,
        Event::Restore,
        Event::MultidevCreate,
        Event::ModeChange,
        Event::UpdateDatabase,
        Event::ClearCaches,
    ];

    /// Returns the word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::SyncCode => "sync_code",
            Event::Deploy => "deploy",
            Event::CloneContent => "clone_content",
            Event::Import => "import",
            Event::Wipe => "wipe",
            Event::Backup => "backup",
            Event::Restore => "restore",
            Event::MultidevCreate => "multidev_create",
            Event::ModeChange => "mode_change",
            Event::UpdateDatabase => "updatedb",
            Event::ClearCaches => "cache_clear",
        }
    }
}

/// Before an event, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Before: what fails here stops the event.
    Before,
    /// After.
    After,
}

impl Stage {
    /// Both.
    pub const ALL: [Stage; 2] = [Stage::Before, Stage::After];

    /// Returns the word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Before => "before",
            Stage::After => "after",
        }
    }
}

/// What the failure of a step means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The event fails: before the switch nothing has changed, after it the release is turned back.
    Stop,
    /// It is told, and that is all.
    Continue,
}

impl OnFailure {
    /// Both.
    pub const ALL: [OnFailure; 2] = [OnFailure::Stop, OnFailure::Continue];

    /// Returns the word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            OnFailure::Stop => "stop",
            OnFailure::Continue => "continue",
        }
    }
}

/// Where a step or probe is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// One environment.
    Named(Environment),
    /// Every Multidev.
    AnyMultidev,
}

impl Place {
    fn is(&self, environment: &Environment) -> bool {
        match self {
            Place::Named(name) => name == environment,
            Place::AnyMultidev => matches!(environment, Environment::Multidev(_)),
        }
    }
}

impl Step {
    /// Returns whether it is run there, then.
    pub fn is_for(&self, event: Event, stage: Stage, environment: &Environment) -> bool {
        self.event == event && self.stage == stage && includes(&self.environments, environment)
    }
}

impl Probe {
    /// Returns whether it asks there, then.
    pub fn is_for(&self, stage: Stage, environment: &Environment) -> bool {
        self.stage == stage && includes(&self.environments, environment)
    }
}

fn includes(places: &[Place], environment: &Environment) -> bool {
    places.is_empty() || places.iter().any(|place| place.is(environment))
}

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// A whole sentence.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistake {
            line,
            column,
            message,
        } = self;
        write!(f, "line {line}, column {column}: {message}")
    }
}

impl std::error::Error for Mistake {}
