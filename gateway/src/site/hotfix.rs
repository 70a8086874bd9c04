//! What becomes of hotfixes after they have reached Live.

use git2::{Oid, Repository};
use policy::{HotfixName, SiteName};

use super::multidev::{self, Brought};
use super::push::short;
use super::workflow::Undone;
use super::{Author, Run, Sites, repository};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::state::{Hotfix, HotfixStatus, Model};

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
    permit.describe(format!("hotfix/{} {}", hotfix.name, short(hotfix.commit)));
    let message = format!("Merge hotfix/{}\n\n{}", hotfix.name, hotfix.reason);
    let brought = Brought {
        kind: "hotfix_merge",
        message: &message,
        make: |permit: &Permit, repository: &Repository, ours, author: &Author| {
            repository::merge(permit, repository, ours, hotfix.commit, &message, author)
        },
        nothing: format!("Trunk contains hotfix/{} already.", hotfix.name),
    };
    let site = permit.site()?.clone();
    let merged = match multidev::bring(sites, run, permit, brought) {
        // Trunk came to it past the gateway, which has not seen it closed.
        Err(Undone::Nothing(sentence)) => {
            run.say(&sentence);
            let merged = HotfixStatus::Merged;
            sites.state.close_hotfix(&site, &hotfix.name, merged)?;
            return Ok(());
        }
        done => done?,
    };
    run.say(&format!(
        "Merged hotfix/{} into trunk as {}; Dev runs it.",
        hotfix.name,
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

/// Returns the open hotfixes that a commit of trunk contains.
pub(super) fn merged_hotfixes(
    sites: &Sites,
    repository: &Repository,
    site: &SiteName,
    commit: Oid,
) -> Result<Vec<HotfixName>, Fault> {
    let model = sites.state.model();
    open_hotfixes(&model, repository, site, commit, true)
}

/// Returns those that it does not.
pub(super) fn lost_hotfixes(
    model: &Model,
    repository: &Repository,
    site: &SiteName,
    commit: Oid,
) -> Result<Vec<HotfixName>, Fault> {
    open_hotfixes(model, repository, site, commit, false)
}

fn open_hotfixes(
    model: &Model,
    repository: &Repository,
    site: &SiteName,
    commit: Oid,
    contained: bool,
) -> Result<Vec<HotfixName>, Fault> {
    let mut names = Vec::new();
    let open = model
        .sites
        .get(site)
        .map(|site| site.open_hotfixes.as_slice())
        .unwrap_or_default();
    for hotfix in open {
        if repository::contains(repository, commit, hotfix.commit)? == contained {
            names.push(hotfix.name.clone());
        }
    }
    Ok(names)
}
