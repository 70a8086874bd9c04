//! Brings back a deleted Multidev: its folder, what was set about it, and its branch.

use std::path::Path;
use std::sync::PoisonError;

use git2::{Oid, Repository};
use policy::{ConnectionMode, Environment, MultidevName, SiteName};

use super::{branch, kept_ref, tidy};
use crate::audit::Outcome;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::push::short;
use crate::site::release::{self, Origin, ReleaseKind};
use crate::site::workflow::{self, Change, Release, Undone};
use crate::site::{Run, Sites, content, crash, repository};
use crate::state::{ContentChange, DeletedMultidev, Intent, MultidevChange, RefMove};
use crate::steps_file::Event;

/// Finds a deleted Multidev: the newest of that name, or the one that is named by its id.
///
/// # Errors
/// [`Undone::Impossible`] when there is none.
pub fn find(
    sites: &Sites,
    site: &SiteName,
    name: &MultidevName,
    id: Option<&str>,
) -> Result<DeletedMultidev, Undone> {
    let kept = sites.state.deleted_multidevs(Some(site))?;
    kept.into_iter()
        .find(|one| one.name == *name && id.is_none_or(|id| one.id == id))
        .ok_or_else(|| {
            Undone::Impossible(format!(
                "No deleted '{name}' of {site} is kept{}; multidev:list {site} --deleted shows what is.",
                id.map_or_else(String::new, |id| format!(
                    " as {}",
                    policy::escape(id.as_bytes())
                ))
            ))
        })
}

/// Brings back a deleted Multidev. Where its branch has gone on since, it comes back with what the
/// branch is now. Returns what it runs. The caller holds the lease of its name.
///
/// # Errors
/// [`Undone`]; it is then kept as before.
pub fn restore(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    kept: &DeletedMultidev,
) -> Result<Oid, Undone> {
    permit.describe(format!("kept as {}", kept.id));
    let site = permit.site()?.clone();
    let environment = Environment::Multidev(kept.name.clone());
    sites.forget_parts(&site, &environment);
    // Before the workflow begins, since its log lies in the folder.
    let (layout, aside) = (
        sites.layout.site(&site),
        sites.layout.site(&site).deleted(&kept.id),
    );
    let folder = layout.environment(&environment);
    if let Err(fault) = move_folder(&aside, folder.folder()) {
        permit.describe(fault.to_string());
        permit.finish(Outcome::Failed)?;
        return Err(fault.into());
    }
    crash::point("multidev-folder-back");
    let restored = run.perform(&format!("kept as {}", kept.id), || {
        let restored = bring_back(sites, run, permit, kept);
        if restored.is_err() {
            workflow::outlive(&layout, &folder, run.id().as_str());
        }
        restored
    });
    if restored.is_err() {
        tidy(sites, &site, &kept.name)?;
    }
    restored
}

fn bring_back(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    kept: &DeletedMultidev,
) -> Result<Oid, Undone> {
    let site = permit.site()?.clone();
    let repository = repository::open(&sites.layout.site(&site).repository())?;
    let branches = sites.workflows.branches(&site);
    let _still = branches.write().unwrap_or_else(PoisonError::into_inner);
    let hidden = kept_ref(&kept.name, &kept.id);
    let was = repository::commit_of_ref(&repository, &hidden)?
        .ok_or_else(|| Fault::new("a deleted Multidev whose commit was not kept"))?;
    let now = repository::commit_of_ref(&repository, &branch(&kept.name))?;
    let commit = now.unwrap_or(was);
    let environment = Environment::Multidev(kept.name.clone());
    let folder = sites.layout.site(&site).environment(&environment);
    let has = content::current(&folder)?;
    let (release, generation, permit) = if commit == was {
        (None, release::current(&folder)?, permit)
    } else {
        run.say(&format!(
            "Its branch has gone on since, from {} to {}.",
            short(was),
            short(commit)
        ));
        let (release, permit) = rebuilt(sites, run, permit, kept, &repository, commit)?;
        let generation = release.generation();
        (Some(release), Some(generation), permit)
    };
    let mut refs = vec![RefMove {
        name: hidden,
        old: Some(was.to_string()),
        new: None,
    }];
    refs.extend(now.is_none().then(|| RefMove {
        name: branch(&kept.name),
        old: None,
        new: Some(commit.to_string()),
    }));
    let change = Change {
        kind: super::RESTORE,
        permits: vec![permit],
        intent: Intent {
            refs,
            commit: Some(commit.to_string()),
            generation,
            content: Some(ContentChange {
                new: has,
                before: has,
                keep_until: None,
                address: content::address_of(sites, &folder, has)?,
                origin: "as it was deleted".to_owned(),
            }),
            multidev: Some(MultidevChange::Restore {
                id: kept.id.clone(),
            }),
            note: format!("brought back {}", kept.name),
            ..Intent::default()
        },
        release,
    };
    workflow::carry_out(sites, run, change)?;
    Ok(commit)
}

/// Builds what the branch is now, beside what the Multidev ran; in the mode that it had.
fn rebuilt(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    kept: &DeletedMultidev,
    repository: &Repository,
    commit: Oid,
) -> Result<(Release, Permit), Undone> {
    let kind = match kept.mode {
        Some(ConnectionMode::Sftp) => ReleaseKind::Writable,
        Some(ConnectionMode::Git) | None => ReleaseKind::ReadOnly,
    };
    let origin = Origin {
        repository,
        quarantine: None,
        commit,
        progress: None,
    };
    workflow::prepare(sites, run, permit, Event::MultidevCreate, &origin, kind)
}

/// Moves an environment's folder as a whole, durably; it may have moved already.
pub(super) fn move_folder(from: &Path, to: &Path) -> Result<(), Fault> {
    let doing = || format!("moving {} to {}", from.display(), to.display());
    for above in [from.parent(), to.parent()].into_iter().flatten() {
        std::fs::create_dir_all(above).or_fault(doing)?;
    }
    if !from.exists() && to.exists() {
        return Ok(());
    }
    std::fs::rename(from, to).or_fault(doing)?;
    for above in [from.parent(), to.parent()].into_iter().flatten() {
        std::fs::File::open(above)
            .and_then(|folder| folder.sync_all())
            .or_fault(doing)?;
    }
    Ok(())
}
