//! Releases: building a generation beside the current one, switching by one rename, verifying,
//! collecting.

use std::path::Path;

use git2::{Oid, Repository};
use policy::SitePath;

use super::layout::EnvironmentLayout;
use crate::fault::Fault;
use crate::gate::Permit;

/// Whether people may write in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseKind {
    /// Nobody writes; files may be shared with other read-only releases.
    ReadOnly,
    /// SFTP mode: files of its own.
    Writable,
}

/// A read-only release of the same site that unchanged files can be shared with.
#[derive(Debug, Clone, Copy)]
pub struct Reuse<'a> {
    /// Its code folder.
    pub code: &'a Path,
    /// The commit it was built from.
    pub commit: Oid,
}

/// A generation that is complete, verified and durable, and that nobody points to yet.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    /// Its number.
    pub generation: u64,
    /// Files and links in its code.
    pub entries: usize,
    /// Those of them that are shared with the reused release.
    pub shared: usize,
}

/// A place where a code folder is not what its commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path; its bytes come from a client.
    pub path: SitePath,
    /// What is wrong.
    pub kind: DifferenceKind,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The commit has it, the folder has not.
    Missing,
    /// The folder has it, the commit has not.
    Added,
    /// Its content, its kind or its executable bit differs.
    Changed,
}

/// Builds the next generation of an environment from a commit.
///
/// # Errors
/// When it cannot be built; what was built of it is removed.
pub fn prepare(
    permit: &Permit,
    environment: &EnvironmentLayout,
    repository: &Repository,
    commit: Oid,
    kind: ReleaseKind,
    files_path: Option<&SitePath>,
    reuse: Option<Reuse<'_>>,
) -> Result<Prepared, Fault> {
    let _ = (permit, environment, repository, commit, kind, files_path, reuse);
    Err(Fault::new("not built yet"))
}

/// Removes a generation that is not wanted after all.
///
/// # Errors
/// When it cannot be removed.
pub fn discard(
    permit: &Permit,
    environment: &EnvironmentLayout,
    prepared: Prepared,
) -> Result<(), Fault> {
    let _ = (permit, environment, prepared);
    Err(Fault::new("not built yet"))
}

/// Points the environment to a generation, durably. May be repeated.
///
/// # Errors
/// When there is no such generation, or the pointer cannot be turned.
pub fn switch(
    permit: &Permit,
    environment: &EnvironmentLayout,
    generation: u64,
) -> Result<(), Fault> {
    let _ = (permit, environment, generation);
    Err(Fault::new("not built yet"))
}

/// Returns the generation that the environment points to; none before its first deploy.
///
/// # Errors
/// When the pointer cannot be read.
pub fn current(environment: &EnvironmentLayout) -> Result<Option<u64>, Fault> {
    let _ = environment;
    Err(Fault::new("not built yet"))
}

/// Removes all generations but the current one and the two before it, and what is left of
/// half-built ones. To be called when nothing is being prepared for this environment.
///
/// # Errors
/// When one cannot be removed.
pub fn collect(permit: &Permit, environment: &EnvironmentLayout) -> Result<Vec<u64>, Fault> {
    let _ = (permit, environment);
    Err(Fault::new("not built yet"))
}

/// Compares a code folder with a commit, byte by byte.
///
/// # Errors
/// When either cannot be read.
pub fn verify(
    repository: &Repository,
    commit: Oid,
    code: &Path,
    files_path: Option<&SitePath>,
) -> Result<Vec<Difference>, Fault> {
    let _ = (repository, commit, code, files_path);
    Err(Fault::new("not built yet"))
}
