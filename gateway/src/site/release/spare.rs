//! The spare: a generation that nobody needs any more, kept to become the next one. Only what
//! differs is written then, so that a small change of a large site takes no link and no removal of
//! each of its files.
//!
//! Nothing points to it and no rollback returns to it: retention would have removed it. Before it is
//! changed it takes the name of a half-built generation, so that a crash leaves what is removed.

use std::collections::BTreeSet;
use std::io;

use policy::SitePath;

use super::build::{must_hold, shareable};
use super::fill::{Place, Plan, make_folders};
use super::record::Record;
use super::{Origin, ReleaseKind, Reuse};
use crate::crash;
use crate::fault::{Fault, OrFault};
use crate::site::differing::{Changes, changes};
use crate::site::folder::{Folder, gone, split};
use crate::site::layout::uploads_link;

/// The spare's name among the generations, which are numbers.
const SPARE: &[u8] = b"spare";

/// Keeps a generation as the spare if there is none and it can be one; returns whether it was kept.
pub(super) fn keep(generations: &Folder, generation: &[u8]) -> io::Result<bool> {
    let fit = generations.stat(SPARE).is_err_and(|error| gone(&error))
        && generations.below(generation).is_ok_and(|folder| {
            Record::read(&folder).is_ok_and(|record| {
                record.kind == ReleaseKind::ReadOnly && record.entries.is_some()
            })
        });
    if fit {
        generations.rename(generation, generations, SPARE)?;
        crash::point("spare-kept");
    }
    Ok(fit)
}

/// Makes the generation `half` of the spare, if there is one; returns how many entries it has and how
/// many of them are shared or were there. What a fault leaves of it is to be removed.
pub(super) fn change(
    generations: &Folder,
    half: &[u8],
    origin: &Origin<'_>,
    files_path: Option<&SitePath>,
    reuse: Option<Reuse<'_>>,
) -> Result<Option<(usize, usize)>, Fault> {
    let doing = || "changing the spare generation";
    match generations.rename(SPARE, generations, half) {
        Err(error) if gone(&error) => return Ok(None),
        taken => taken.or_fault(doing)?,
    }
    crash::point("spare-taken");
    let folder = generations.below(half).or_fault(doing)?;
    let record = Record::read(&folder)?;
    let (ReleaseKind::ReadOnly, Some(before)) = (record.kind, record.entries) else {
        return Err(Fault::new("the spare generation is no whole release"));
    };
    let changes = changes(origin.repository, record.commit, origin.commit)?;
    let code = folder.below(b"code").or_fault(doing)?;
    must_lead_to_uploads(&code, files_path)?;
    clear(&code, &changes).or_fault(doing)?;
    crash::point("spare-cleared");
    make_folders(&code, &changes.come, None).or_fault(doing)?;
    let entries = (before + changes.come.len())
        .checked_sub(changes.gone.len())
        .ok_or_else(|| Fault::new("the spare generation had too few files"))?;
    let shareable = match reuse {
        Some(reuse) => shareable(origin, reuse)?,
        None => None,
    };
    let plan = Plan {
        code: &code,
        entries: &changes.come,
        kind: ReleaseKind::ReadOnly,
        shareable,
    };
    let written = changes.come.len() - plan.carry_out(origin)?;
    let record = Record {
        commit: origin.commit,
        entries: Some(entries),
        ..record
    };
    crash::point("spare-filled");
    record.write(&folder)?;
    crash::point("spare-described");
    must_hold(&code, entries, files_path)?;
    Ok(Some((entries, entries - written)))
}

/// A site may have told its uploads another place meanwhile.
fn must_lead_to_uploads(code: &Folder, files_path: Option<&SitePath>) -> Result<(), Fault> {
    let Some(path) = files_path else {
        return Ok(());
    };
    let target = code
        .parent_of(path.as_bytes())
        .and_then(|(folder, name)| folder.link_target(name))
        .or_fault(|| "finding the link to the uploads in the spare generation")?;
    if target == uploads_link(path) {
        Ok(())
    } else {
        Err(Fault::new("the spare generation has its uploads elsewhere"))
    }
}

/// Removes what is to go, and the folders that are empty then: a commit has none.
fn clear(code: &Folder, changes: &Changes) -> io::Result<()> {
    let mut place = Place::new(code);
    let mut left = BTreeSet::new();
    for path in &changes.gone {
        let (above, name) = split(path);
        place.at(above)?.remove(name)?;
        left.insert(above);
    }
    // The innermost come last in order, and are to go first.
    while let Some(path) = left.pop_last() {
        if path.is_empty() {
            continue;
        }
        let (above, name) = split(path);
        // One that is not empty stays.
        if code.below(above)?.remove_folder(name).is_ok() {
            left.insert(above);
        }
    }
    Ok(())
}
