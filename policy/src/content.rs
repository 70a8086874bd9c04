//! Facts about content: databases and files that are copied, filled, emptied, kept.

use crate::environment::Environment;

/// What the gateway knows when content is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentFacts {
    /// The database that the site's environments have.
    pub database: DatabaseKind,
    /// What is asked for.
    pub wanted: Elements,
    /// Whether the environment runs anything yet; content is checked with its code.
    pub initialised: bool,
    /// What the environment holds that would be replaced.
    pub held: Holdings,
    /// Where the content would come from: the source of a clone, the environment that a backup is
    /// of. None where it comes from outside, or from nowhere.
    pub source: Option<ContentSource>,
    /// Whether the site's Live has visitors, as its administrators have said.
    pub launched: bool,
    /// Whether the person has typed the name of the environment, as `SITE.ENV`.
    pub name_typed: bool,
    /// Whether the gateway makes a backup of the environment before it changes anything there.
    pub backed_up_first: bool,
    /// Whether former content is kept that could be brought back.
    pub former: bool,
}

/// The environment that content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentSource {
    /// Which.
    pub environment: Environment,
    /// Whether it exists and has content of its own, be it empty.
    pub ready: bool,
    /// What it holds.
    pub held: Holdings,
}

/// What an environment holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// At least one table in its database.
    pub tables: bool,
    /// At least one file among its uploads.
    pub files: bool,
}

/// Parts of an environment that may be asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Elements {
    /// The code.
    pub code: bool,
    /// The database.
    pub database: bool,
    /// The uploads.
    pub files: bool,
}

/// The database of an environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DatabaseKind {
    /// None.
    #[default]
    None,
    /// Files that the site opens by itself, so nobody logs in to it.
    Embedded,
    /// On a server, where the environment has a user with a password.
    Served,
}

impl DatabaseKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::None, Self::Embedded, Self::Served];
}
