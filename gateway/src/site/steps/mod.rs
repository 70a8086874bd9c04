//! Reads what a site wants done around its events, in the version that is being deployed.

use git2::{ObjectType, Oid, Repository};

pub use crate::steps_file::{File, Mistake, NAME};

use crate::fault::{Fault, OrFault};

/// Reads the steps of a commit; one without a file has none.
///
/// # Errors
/// When the commit cannot be read. What is wrong in the file is no fault but a [`Mistake`].
pub fn of_commit(repository: &Repository, commit: Oid) -> Result<Result<File, Mistake>, Fault> {
    let doing = || format!("reading {NAME} of {commit}");
    let tree = repository
        .find_commit(commit)
        .and_then(|commit| commit.tree())
        .or_fault(doing)?;
    let Some(entry) = tree.get_name(NAME) else {
        return Ok(Ok(File::default()));
    };
    if entry.kind() != Some(ObjectType::Blob) {
        return Ok(Err(Mistake {
            line: 1,
            column: 1,
            message: "It must be a file.".to_owned(),
        }));
    }
    let blob = repository.find_blob(entry.id()).or_fault(doing)?;
    Ok(File::from_bytes(blob.content()))
}
