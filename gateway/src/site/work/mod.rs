//! The writable code tree of an environment in SFTP mode, compared with the commit that the
//! environment runs: what has changed, committing it, keeping it, putting it back.
//!
//! People change the tree at the same time, so nothing in it is trusted: no link is followed, a
//! planted `.git` is no repository, special files do not exist, names are bytes.

mod cache;
mod compare;
mod keep;
mod memo;
mod put;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use git2::{MergeOptions, Oid, Repository};
use jiff::Timestamp;
use policy::{Environment, SitePath};

use super::contents::{Kind, contents};
use super::layout::EnvironmentLayout;
use super::repository::conflicts;
use super::store::files_of;
use super::tree::Inode;
use super::{Author, covers};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use compare::{compare, site_path};
use put::{put, steps_between};

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

/// Says whether a file, by its device and number, is being written.
pub type BeingWritten<'a> = &'a dyn Fn(Inode) -> bool;

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
    /// Somebody is writing these files.
    Changing(Vec<SitePath>),
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
        compare(self, false)?.describe(self.repository)
    }

    /// Returns what differs from the commit, and also files that exist and are ignored, and so are never
    /// committed, and folders that hold nothing else; both in the order of paths.
    ///
    /// # Errors
    /// When the tree or the commit cannot be read.
    pub fn status(&self) -> Result<(Vec<Change>, Vec<SitePath>), Fault> {
        let compared = compare(self, false)?;
        let ignored = compared
            .ignored
            .iter()
            .map(|path| site_path(path))
            .collect::<Result<_, Fault>>()?;
        Ok((compared.describe(self.repository)?, ignored))
    }

    /// Makes one commit of what differs, or of the part of it at or below `paths`; none if nothing
    /// does. No ref is moved. Files that are `being_written`, told by device and number, stay at
    /// their committed state.
    ///
    /// # Errors
    /// [`WorkError`].
    pub fn commit(
        &self,
        permit: &Permit,
        paths: Option<&[SitePath]>,
        being_written: BeingWritten<'_>,
        message: &str,
        author: &Author,
    ) -> Result<Option<Committed>, WorkError> {
        covers(permit, self.environment.site())?;
        let mut compared = compare(self, false)?;
        compared.select(paths)?;
        keep::commit(self, &compared, being_written, message, author)
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
        covers(permit, self.environment.site())?;
        let mut compared = compare(self, ignored)?;
        compared.select(paths)?;
        keep::save(permit, self, &compared, why, author)
    }

    /// Saves what differs and puts it back to the commit; none if nothing does.
    ///
    /// # Errors
    /// [`WorkError`]. What was saved stays saved.
    pub fn discard(
        &self,
        permit: &Permit,
        paths: Option<&[SitePath]>,
        why: &str,
        author: &Author,
    ) -> Result<Option<Saved>, WorkError> {
        let Some(saved) = self.save(permit, paths, false, why, author)? else {
            return Ok(None);
        };
        // Only what has been saved is put back, and only while it is as it was saved.
        let kept = files_of(&contents(self.repository, saved.commit)?);
        let committed = files_of(&contents(self.repository, self.commit)?);
        put(self, &steps_between(&kept, &committed))?;
        Ok(Some(saved))
    }

    /// Puts saved work back into the tree, merged with what was committed since. Returns the files
    /// that it changed. The hidden ref stays.
    ///
    /// # Errors
    /// [`WorkError`].
    pub fn restore(&self, permit: &Permit, id: &str) -> Result<Vec<SitePath>, WorkError> {
        covers(permit, self.environment.site())?;
        let saved = keep::find_saved(self.repository, self.environment.name(), id)?
            .ok_or_else(|| WorkError::NoSuchWork(id.to_owned()))?;
        let merged = self.merged(&saved)?;
        let committed = files_of(&contents(self.repository, self.commit)?);
        put(self, &steps_between(&committed, &merged))
    }

    /// Returns the files of the commit with saved work merged in.
    fn merged(&self, saved: &Saved) -> Result<BTreeMap<Vec<u8>, (Oid, Kind)>, WorkError> {
        let doing = || "merging saved work with what was committed since";
        let tree = |commit| {
            self.repository
                .find_commit(commit)
                .and_then(|commit| commit.tree())
                .or_fault(doing)
        };
        let mut options = MergeOptions::new();
        options.find_renames(true);
        let (base, ours, theirs) = (tree(saved.base)?, tree(self.commit)?, tree(saved.commit)?);
        let index = self
            .repository
            .merge_trees(&base, &ours, &theirs, Some(&options))
            .or_fault(doing)?;
        let conflicts = conflicts(&index)?;
        if !conflicts.is_empty() {
            return Err(WorkError::Conflicts(conflicts));
        }
        let kind = |mode: u32| match mode {
            0o120_000 => Kind::Link,
            mode if mode & 0o100 != 0 => Kind::Executable,
            _file => Kind::File,
        };
        Ok(index
            .iter()
            .map(|entry| (entry.path, (entry.id, kind(entry.mode))))
            .collect())
    }
}

/// Returns the saved work of an environment, the newest first.
///
/// # Errors
/// When it cannot be read.
pub fn saved(repository: &Repository, environment: &Environment) -> Result<Vec<Saved>, Fault> {
    keep::saved(repository, environment)
}
