//! Makes a bare repository that is set up as a site needs it.

use std::path::Path;

use git2::Repository;

use crate::fault::Fault;
use crate::gate::Permit;

/// Makes an empty bare repository whose HEAD is the branch `trunk`.
///
/// # Errors
/// When there is one, or it cannot be made.
pub fn create(permit: &Permit, path: &Path, trunk: &str) -> Result<Repository, Fault> {
    let _ = (permit, path, trunk);
    Err(Fault::new("not built yet"))
}
