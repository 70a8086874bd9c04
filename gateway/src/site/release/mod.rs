//! Releases: building a generation beside the current one, switching by one rename, verifying,
//! collecting.

mod build;
mod fill;
mod pointer;
mod record;
mod spare;
#[cfg(test)]
mod spare_tests;
#[cfg(test)]
mod tests;
mod verify;

use std::path::Path;

use git2::{Oid, Repository};

pub use build::{discard, prepare};
pub use pointer::{collect, current, switch, switch_off};
pub use record::built_from;
pub use verify::{Difference, DifferenceKind, verify};

/// Where a release's bytes come from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The site's repository, opened with what `quarantine` holds.
    pub repository: &'a Repository,
    /// The objects that a push has brought and that are not part of the repository yet.
    pub quarantine: Option<&'a Path>,
    /// The commit to build.
    pub commit: Oid,
    /// Is told now and then how many of how many files have been written.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
}

/// Whether people may write in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseKind {
    /// Nobody writes; files may be shared with other read-only releases.
    ReadOnly,
    /// SFTP mode: files of its own.
    Writable,
}

impl ReleaseKind {
    /// Returns the word that the record of a release has.
    fn as_str(self) -> &'static str {
        match self {
            ReleaseKind::ReadOnly => "read-only",
            ReleaseKind::Writable => "writable",
        }
    }
}

/// A read-only release of the same site that unchanged files can be shared with.
#[derive(Debug, Clone, Copy)]
pub struct Reuse<'a> {
    /// Its code folder.
    pub code: &'a Path,
    /// The commit it was built from; if its record says otherwise, nothing is shared.
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
    /// Those of them that were not written anew: shared with the reused release, or in the spare.
    pub shared: usize,
}
