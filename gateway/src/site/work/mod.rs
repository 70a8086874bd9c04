//! The writable code tree of an environment in SFTP mode, compared with the commit that the
//! environment runs: what has changed, committing it, keeping it, putting it back.
//!
//! People change the tree at the same time, so nothing in it is trusted: no link is followed, a
//! planted `.git` is no repository, special files do not exist, names are bytes.

use git2::{Oid, Repository};
use jiff::Timestamp;
use policy::{Environment, SitePath};

use super::Author;
use super::layout::EnvironmentLayout;
use crate::fault::Fault;
use crate::gate::Permit;

/// A writable code tree, and what it is compared with.
#[derive(Clone, Copy)]
pub struct WorkTree<'a> {
    /// The environment; its current generation is writable.
    pub environment: &'a EnvironmentLayout,
    /// The site's repository.
    pub repository: &'a Repository,
    /// The commit that the environment runs.
    pub commit: Oid,
    /// Where uploads lie in code; no part of it.
    pub files_path: Option<&'a SitePath>,
}

/// A file that differs from the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path; its bytes come from a client.
    pub path: SitePath,
    /// How it differs.
    pub status: Status,
    /// Lines added; 0 for binary files.
    pub additions: usize,
    /// Lines removed; 0 for binary files.
    pub deletions: usize,
}

/// How a file differs from the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The commit has it not.
    Added,
    /// Its content or its executable bit.
    Modified,
    /// It is gone.
    Deleted,
    /// It was a file and is a link, or the other way round.
    TypeChanged,
}

/// A commit made of work.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The commit; no ref points to it yet.
    pub commit: Oid,
    /// The files in it.
    pub files: Vec<SitePath>,
    /// Files that were left at their committed state, since somebody was writing them.
    pub left_out: Vec<SitePath>,
}

/// Work that was kept on a hidden ref.
#[derive(Debug, Clone)]
pub struct Saved {
    /// The last part of the ref's name.
    pub id: String,
    /// The commit that keeps it.
    pub commit: Oid,
    /// The commit that it was work on.
    pub base: Oid,
    /// When.
    pub time: Timestamp,
    /// Who had it kept.
    pub person: String,
    /// Why.
    pub why: String,
    /// How many files it changes.
    pub files: usize,
}

/// Why work could not be committed, discarded or restored; nothing was changed.
#[derive(Debug)]
pub enum WorkError {
    /// Neither the tree nor the commit has this path.
    NoSuchPath(SitePath),
    /// Code may not hold these names; the text names each with its reason.
    Unfit(Vec<String>),
    /// These files cannot be read, by their own permissions.
    Unreadable(Vec<SitePath>),
    /// These files hold uncommitted changes that would be lost, or stand in the way.
    InTheWay(Vec<SitePath>),
    /// The saved work and what was committed since change the same lines of these files.
    Conflicts(Vec<String>),
    /// There is no saved work of this id.
    NoSuchWork(String),
    /// A failure of ours.
    Fault(Fault),
}

impl From<Fault> for WorkError {
    fn from(fault: Fault) -> Self {
        WorkError::Fault(fault)
    }
}

impl WorkTree<'_> {
    /// Returns what differs from the commit, in the order of paths.
    ///
    /// # Errors
    /// When the tree or the commit cannot be read.
    pub fn diffstat(&self) -> Result<Vec<Change>, Fault> {
        Err(Fault::new("not built yet"))
    }

    /// Returns files and folders that exist and are ignored, and so are never committed.
    ///
    /// # Errors
    /// When the tree or the commit cannot be read.
    pub fn ignored(&self) -> Result<Vec<SitePath>, Fault> {
        Err(Fault::new("not built yet"))
    }

    /// Makes one commit of what differs, or of the part of it at or below `paths`; none if nothing
    /// does. No ref is moved. Files in `being_written` stay at their committed state.
    ///
    /// # Errors
    /// [`WorkError`].
    pub fn commit(
        &self,
        permit: &Permit,
        paths: Option<&[SitePath]>,
        being_written: &[SitePath],
        message: &str,
        author: &Author,
    ) -> Result<Option<Committed>, WorkError> {
        let _ = (permit, paths, being_written, message, author);
        Err(WorkError::Fault(Fault::new("not built yet")))
    }

    /// Keeps what differs on a hidden ref, changing nothing in the tree; none if nothing does.
    /// With `ignored`, ignored files too: for when the tree itself goes away.
    ///
    /// # Errors
    /// [`WorkError`].
    pub fn save(
        &self,
        permit: &Permit,
        paths: Option<&[SitePath]>,
        ignored: bool,
        why: &str,
        author: &Author,
    ) -> Result<Option<Saved>, WorkError> {
        let _ = (permit, paths, ignored, why, author);
        Err(WorkError::Fault(Fault::new("not built yet")))
    }

    /// Saves what differs and puts it back to the commit; none if nothing does.
    ///
    /// # Errors
    /// [`WorkError`].
    pub fn discard(
        &self,
        permit: &Permit,
        paths: Option<&[SitePath]>,
        why: &str,
        author: &Author,
    ) -> Result<Option<Saved>, WorkError> {
        let _ = (permit, paths, why, author);
        Err(WorkError::Fault(Fault::new("not built yet")))
    }

    /// Puts saved work back into the tree, merged with what was committed since. Returns the files
    /// that it changed. The hidden ref stays.
    ///
    /// # Errors
    /// [`WorkError`].
    pub fn restore(&self, permit: &Permit, id: &str) -> Result<Vec<SitePath>, WorkError> {
        let _ = (permit, id);
        Err(WorkError::Fault(Fault::new("not built yet")))
    }
}

/// Returns the saved work of an environment, the newest first.
///
/// # Errors
/// When it cannot be read.
pub fn saved(repository: &Repository, environment: &Environment) -> Result<Vec<Saved>, Fault> {
    let _ = (repository, environment);
    Err(Fault::new("not built yet"))
}
