//! The environment's quota, which rsync itself knows nothing of.

use std::path::{Path, PathBuf};

use policy::Refusal;

use super::{NAME, Transfer};
use crate::blocking;
use crate::gate::Denied;
use crate::protocol::exec::Run;

/// Refuses to go on where the environment's quota is used up, with what is on its way in the folders
/// of files that have not come whole.
pub(super) fn over(arriving: &[PathBuf], run: &Run, transfer: &Transfer) -> Option<Denied> {
    if transfer.arguments.sends || transfer.arguments.dry_run {
        return None;
    }
    let message = blocking::wait(|| {
        let pending = arriving.iter().map(|folder| lengths(folder)).sum();
        transfer.tree.over_quota(transfer.place.area, pending)
    })?;
    let refusal = Refusal {
        rule: "quota",
        message,
        hint: "What rsync had finished is in its place; run it again to go on from there."
            .to_owned(),
    };
    Some(run.refuse(NAME, transfer.place.path.as_bytes(), refusal))
}

/// Returns the lengths of all files right in a folder, holes too.
fn lengths(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter_map(|file| Some(file.metadata().ok()?.len()))
        .sum()
}
