//! Moves refs, all or none, and writes tags.

use std::path::Path;

use git2::{Oid, Repository};

use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::Author;
use crate::state::RefMove;

/// Why no ref was moved.
#[derive(Debug)]
pub enum MoveError {
    /// This ref is not what it was when the move was decided.
    Moved {
        /// Its full name.
        name: String,
    },
    /// A failure of ours.
    Fault(Fault),
}

impl From<Fault> for MoveError {
    fn from(fault: Fault) -> Self {
        MoveError::Fault(fault)
    }
}

/// Moves refs, all or none, if each is still what its move says. Names are full and objects exist.
///
/// # Errors
/// [`MoveError`]; no ref has then moved.
pub fn move_refs(
    permit: &Permit,
    repository: &Repository,
    moves: &[RefMove],
) -> Result<(), MoveError> {
    let _ = (permit, repository, moves);
    Err(MoveError::Fault(Fault::new("not built yet")))
}

/// Writes an annotated tag, but no ref to it.
///
/// # Errors
/// When it cannot be written.
pub fn write_tag(
    permit: &Permit,
    repository: &Repository,
    name: &str,
    target: Oid,
    tagger: &Author,
    message: &str,
) -> Result<Oid, Fault> {
    let _ = (permit, repository, name, target, tagger, message);
    Err(Fault::new("not built yet"))
}

/// Removes what git leaves behind when it is killed: locks of refs, halves of packs. To be called
/// when nobody works on the repository. Returns what it removed.
///
/// # Errors
/// When it cannot be removed.
pub fn sweep(permit: &Permit, repository: &Path) -> Result<Vec<String>, Fault> {
    let _ = (permit, repository);
    Err(Fault::new("not built yet"))
}
