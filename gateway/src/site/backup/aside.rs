//! A folder beside a repository for what is on its way in or out, removed when it is dropped; one whose
//! gateway was killed, when the next begins.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::repository::Repository;
use crate::fault::{Fault, OrFault};

/// The folder.
#[derive(Debug)]
pub(super) struct Aside(PathBuf);

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Aside {
    /// Makes one that nobody else reads.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(repository: &Repository) -> Result<Self, Fault> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = repository.scratch().join(format!("{}{number}", ours()));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .or_fault(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what gateways have left that were killed.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn sweep(repository: &Repository) -> Result<(), Fault> {
    let scratch = repository.scratch();
    let doing = || format!("clearing {}", scratch.display());
    if !scratch.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(&scratch).or_fault(doing)? {
        let entry = entry.or_fault(doing)?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(&ours());
        if !is_ours && entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).or_fault(doing)?;
        }
    }
    Ok(())
}

fn ours() -> String {
    format!("{}-", std::process::id())
}
