//! What becomes of hotfixes after they have reached Live.

use policy::{ConnectionMode, Environment, HotfixName, SiteName};

use super::push::short;
use super::release::{Origin, ReleaseKind};
use super::repository::{self, MergeError};
use super::workflow::{self, Change, Undone};
use super::{Author, Run, Sites, deploy, mode};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::state::{Hotfix, HotfixStatus, Intent, RefMove};
use crate::steps_file::Event;

/// Returns an open hotfix.
///
/// # Errors
/// [`Undone::Impossible`] when there is none of that name.
pub fn open(sites: &Sites, site: &SiteName, name: &HotfixName) -> Result<Hotfix, Undone> {
    sites
        .state
        .model()
        .sites
        .get(site)
        .and_then(|site| {
            site.open_hotfixes
                .iter()
                .find(|hotfix| hotfix.name == *name)
                .cloned()
        })
        .ok_or_else(|| Undone::Impossible(format!("{site} has no open hotfix '{name}'.")))
}

/// Merges a hotfix into trunk and brings the merge to Dev. The caller holds Dev's lease and has
/// seen that no uncommitted work is in the way.
///
/// # Errors
/// [`Undone::Conflicts`] with the files; nothing has then changed.
pub fn merge(sites: &Sites, run: &Run, permit: Permit, hotfix: &Hotfix) -> Result<(), Undone> {
    run.perform(&format!("hotfix/{}", hotfix.name), || {
        merge_now(sites, run, permit, hotfix)
    })
}

fn merge_now(sites: &Sites, run: &Run, mut permit: Permit, hotfix: &Hotfix) -> Result<(), Undone> {
    let name = permit.site()?.clone();
    let model = sites.state.model();
    let site = model
        .sites
        .get(&name)
        .ok_or_else(|| Fault::new("the site is gone"))?;
    let dev = model
        .environment(&name, &Environment::Dev)
        .ok_or_else(|| Fault::new("Dev is gone"))?;
    let trunk = format!("refs/heads/{}", site.trunk);
    let repository = repository::open(&sites.layout.site(&name).repository())?;
    let _held = match mode::hold_work(sites, &name, &Environment::Dev) {
        Ok(held) => held,
        Err(undone) => {
            permit.describe(undone.to_string());
            permit.finish(Outcome::Failed)?;
            return Err(undone);
        }
    };
    let ours = repository::commit_of_ref(&repository, &trunk)?
        .ok_or_else(|| Fault::new("the site's trunk is gone"))?;
    permit.describe(format!("hotfix/{} {}", hotfix.name, short(hotfix.commit)));
    let message = format!("Merge hotfix/{}\n\n{}", hotfix.name, hotfix.reason);
    let author = Author::of(&permit, &sites.state);
    let merged = repository::merge(&permit, &repository, ours, hotfix.commit, &message, &author);
    let merged = match merged {
        Ok(merged) => merged,
        Err(error) => {
            let undone = match error {
                MergeError::Conflicts(files) => Undone::Conflicts(
                    files
                        .iter()
                        .map(|file| policy::escape(file.as_bytes()))
                        .collect(),
                ),
                MergeError::Fault(fault) => Undone::Fault(fault),
            };
            permit.describe(undone.to_string());
            permit.finish(Outcome::Failed)?;
            return Err(undone);
        }
    };
    let kind = match dev.mode.as_ref().map(|facts| facts.mode) {
        Some(ConnectionMode::Sftp) => ReleaseKind::Writable,
        Some(ConnectionMode::Git) | None => ReleaseKind::ReadOnly,
    };
    let origin = Origin {
        repository: &repository,
        quarantine: None,
        commit: merged,
    };
    let also_merged = deploy::merged_hotfixes(sites, &repository, &name, merged)?;
    let (release, permit) = workflow::prepare(sites, run, permit, Event::SyncCode, &origin, kind)?;
    let intent = Intent {
        refs: vec![RefMove {
            name: trunk,
            old: Some(ours.to_string()),
            new: Some(merged.to_string()),
        }],
        commit: Some(merged.to_string()),
        generation: Some(release.generation()),
        merged: also_merged,
        note: message,
        ..Intent::default()
    };
    let change = Change {
        kind: "hotfix_merge",
        permits: vec![permit],
        intent,
        release: Some(release),
    };
    workflow::carry_out(sites, run, change)?;
    run.say(&format!(
        "Merged hotfix/{} into {} as {}; Dev runs it.",
        hotfix.name,
        site.trunk,
        short(merged)
    ));
    Ok(())
}

/// Gives up a hotfix: the next deploy may take it off Live. The branch itself stays.
///
/// # Errors
/// When it cannot be written.
pub fn drop_by_name(
    sites: &Sites,
    mut permit: Permit,
    hotfix: &Hotfix,
    reason: &str,
) -> Result<(), Undone> {
    let site = permit.site()?.clone();
    permit.describe(format!("hotfix/{}, reason: {reason}", hotfix.name));
    sites
        .state
        .close_hotfix(&site, &hotfix.name, HotfixStatus::Dropped)?;
    permit.finish(Outcome::Done)?;
    Ok(())
}
