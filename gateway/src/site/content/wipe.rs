//! Takes the content of an environment away: it gets an empty one, and what it had is kept for a while.

use super::Parts;
use super::collect::WIPED;
use super::fresh::{Fresh, end};
use crate::gate::Permit;
use crate::site::workflow::{Run, Undone};
use crate::site::{Sites, backup};
use crate::steps_file::Event;

/// Gives an environment empty files and an empty database; its code stays. Returns what the person
/// should know.
///
/// # Errors
/// [`Undone`]; the environment has the content that it had.
pub fn wipe(sites: &Sites, run: &Run, permit: Permit, parts: Parts) -> Result<Vec<String>, Undone> {
    run.perform(parts.words(), || {
        let environment = permit.environment()?.clone();
        if let Err(undone) = backup::snapshot_before(sites, run, &permit, "before it was wiped") {
            return Err(end(permit, undone));
        }
        let fresh = run.step("empty", || {
            Fresh::begin(sites, &permit, parts, format!("{} {WIPED}", parts.words()))
        });
        let fresh = match fresh {
            Ok(fresh) => fresh,
            Err(undone) => return Err(end(permit, undone)),
        };
        fresh.switch_to(sites, run, permit, Event::Wipe)?;
        Ok(vec![format!(
            "Wiped {} in \"{environment}\".",
            parts.words()
        )])
    })
}
