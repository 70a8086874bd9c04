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

/// Returns the longest file that may come: one of holes alone takes no room on the disk, and is as long
/// as it likes before it is seen.
pub(super) fn longest_file(transfer: &Transfer) -> Option<u64> {
    let receives = !transfer.arguments.sends;
    receives
        .then(|| transfer.tree.quota(transfer.place.area).bytes)
        .flatten()
}

/// Refuses what rsync could not write, where a quota may be why: rsync itself only says that the file
/// is too large.
pub(super) fn too_long(run: &Run, transfer: &Transfer) -> Option<Denied> {
    let most = longest_file(transfer)?;
    let refusal = Refusal {
        rule: "quota",
        message: format!(
            "rsync could not write a file. None may be longer than the environment's quota, which \
             is {most} bytes."
        ),
        hint: "Leave the file out (--max-size), or ask an administrator for a larger quota \
               (quota:set)."
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
