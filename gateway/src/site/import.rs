//! Makes the repository of a new site: empty, or from a folder, a repository or a bundle.

use std::path::PathBuf;

use git2::Oid;
use policy::SitePath;

use super::Author;
use super::layout::SiteLayout;
use crate::fault::Fault;
use crate::gate::Permit;

/// What a new site's code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nothing: one commit with a page that says so.
    Empty,
    /// A folder on this machine: a git repository with its history, or plain files.
    Directory(PathBuf),
    /// A repository elsewhere.
    Url(String),
    /// A file made by `git bundle`.
    Bundle(PathBuf),
}

/// A repository that has been made.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The branch that Dev runs.
    pub trunk: String,
    /// Its newest commit.
    pub commit: Oid,
    /// What the person should know: what was left out, which branch became trunk.
    pub notes: Vec<String>,
}

/// Why there is no repository; nothing is left behind.
#[derive(Debug)]
pub enum ImportError {
    /// What is wrong with the source, in sentences for the person.
    Unsuitable(String),
    /// A failure of ours.
    Fault(Fault),
}

impl From<Fault> for ImportError {
    fn from(fault: Fault) -> Self {
        ImportError::Fault(fault)
    }
}

/// Makes a site's repository. A `trunk` that was asked for must be there; if none was, it is
/// `main`, or else the branch that the source has checked out.
///
/// # Errors
/// [`ImportError`].
pub fn create_repository(
    permit: &Permit,
    site: &SiteLayout,
    trunk: Option<&str>,
    files_path: Option<&SitePath>,
    from: &Source,
    author: &Author,
) -> Result<Imported, ImportError> {
    let _ = (permit, site, trunk, files_path, from, author);
    Err(ImportError::Fault(Fault::new("not built yet")))
}
