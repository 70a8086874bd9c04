//! The tree of one environment, as people see it over SFTP: the only opener of site paths.

use std::path::Path;

use crate::fault::Fault;

/// The tree of one environment, open.
#[derive(Debug)]
pub struct Tree {}

impl Tree {
    /// Opens the tree of the environment whose folder is `directory` (`…/environments/dev`).
    ///
    /// # Errors
    /// When the folder, or one of its areas, cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, Fault> {
        let _ = directory;
        Ok(Self {})
    }
}
