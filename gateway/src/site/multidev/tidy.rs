//! What is left of Multidevs: folders that a crash left in the wrong place, and deleted ones whose
//! time is over.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use policy::{Environment, MultidevName, PersonName, SiteName};

use super::restore::move_folder;
use super::{exists, kept_ref};
use crate::audit::Outcome;
use crate::fault::{Fault, OrFault};
use crate::gate::Gate;
use crate::site::folder::Folder;
use crate::site::layout::EnvironmentLayout;
use crate::site::repository::{self, MoveError};
use crate::site::workflow::{self, Asked};
use crate::site::{Sites, blocking, content};
use crate::state::{DeletedMultidev, RefMove, Workflow};

/// The kind of workflow that makes a Multidev.
pub const CREATE: &str = "multidev_create";
/// The kind of workflow that deletes one.
pub const DELETE: &str = "multidev_delete";
/// The kind of workflow that brings one back.
pub const RESTORE: &str = "multidev_restore";

/// What follows the name of a folder that is being removed for good.
const HALF_REMOVED: &str = ".removing";

/// Puts the folders of deleted Multidevs of one name where such folders belong. To be called by who
/// holds the lease of the name.
pub(super) fn tidy(sites: &Sites, site: &SiteName, name: &MultidevName) -> Result<(), Fault> {
    if exists(sites, site, name) {
        return Ok(());
    }
    let layout = sites.layout.site(site);
    let folder = layout.environment(&Environment::Multidev(name.clone()));
    for kept in sites.state.deleted_multidevs(Some(site))? {
        let aside = layout.deleted(&kept.id);
        if kept.name == *name && !aside.exists() && folder.folder().exists() {
            move_folder(folder.folder(), &aside)?;
        }
    }
    Ok(())
}

/// Ends what a crash cut off, before anything is served: folders go where they belong, the folder of
/// a Multidev that never came to be goes, and so does the rest of what was being removed.
///
/// # Errors
/// When something can be neither moved nor removed.
pub(in crate::site) fn repair(
    sites: &Sites,
    gate: &Arc<Gate>,
    repaired: &[Workflow],
) -> Result<(), Fault> {
    for workflow in repaired.iter().filter(|one| one.kind == CREATE) {
        let Environment::Multidev(name) = &workflow.environment else {
            continue;
        };
        let site = sites.layout.site(&workflow.site);
        let layout = site.environment(&workflow.environment);
        if layout.folder().exists() && !exists(sites, &workflow.site, name) {
            workflow::outlive(&site, &layout, &workflow.id);
            remove_unborn(sites, &layout)?;
        }
    }
    for kept in sites.state.deleted_multidevs(None)? {
        tidy(sites, &kept.site, &kept.name)?;
        let aside = sites.layout.site(&kept.site).deleted(&kept.id);
        let half = aside.with_file_name(format!("{}{HALF_REMOVED}", kept.id));
        if half.exists() && !aside.exists() {
            remove(sites, gate, &kept)?;
        }
    }
    for site in sites.state.model().sites.keys() {
        let above = sites.layout.site(site).deleted("").clone();
        for name in names(&above)? {
            if name.ends_with(HALF_REMOVED.as_bytes()) {
                let doing = || format!("clearing {}", above.display());
                Folder::open(&above)
                    .and_then(|above| above.remove_all(&name))
                    .or_fault(doing)?;
            }
        }
    }
    Ok(())
}

/// Removes the folder of a Multidev that never came to be.
pub(super) fn remove_unborn(sites: &Sites, layout: &EnvironmentLayout) -> Result<(), Fault> {
    let doing = || format!("removing what was made of {}", layout.name());
    if layout.stores().exists() {
        content::take_away(sites, layout)?;
    }
    let Some(above) = layout.folder().parent() else {
        return Ok(());
    };
    Folder::open(above)
        .and_then(|above| above.remove_all(layout.name().as_str().as_bytes()))
        .or_fault(doing)
}

/// Removes deleted Multidevs that were kept for as long as `keep`. One whose name is in use is left
/// for the next time.
///
/// # Errors
/// When one cannot be removed.
pub async fn expire(sites: &Arc<Sites>, gate: &Arc<Gate>, keep: Duration) -> Result<(), Fault> {
    let kept = {
        let sites = Arc::clone(sites);
        blocking(move || sites.state.deleted_multidevs(None)).await?
    };
    for one in kept {
        let age = Timestamp::now().duration_since(one.time).unsigned_abs();
        if age < keep {
            continue;
        }
        let asked = Asked {
            site: one.site.clone(),
            environment: Environment::Multidev(one.name.clone()),
            kind: "multidev_expire",
            person: PersonName::local(),
            origin: "the gateway itself".to_owned(),
            waits: false,
        };
        let Ok(run) = sites.workflows.begin(asked, |_waiting| {}).await else {
            continue;
        };
        let (sites, gate) = (Arc::clone(sites), Arc::clone(gate));
        blocking(move || {
            let still = sites.state.deleted_multidevs(Some(&one.site))?;
            if still.iter().any(|kept| kept.id == one.id) {
                remove(&sites, &gate, &one)?;
            }
            drop(run);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Removes what is kept of a deleted Multidev: from then on it cannot be brought back.
fn remove(sites: &Sites, gate: &Arc<Gate>, kept: &DeletedMultidev) -> Result<(), Fault> {
    let environment = Environment::Multidev(kept.name.clone());
    let mut permit = gate.resume(&kept.site, &environment, None);
    permit.describe(format!(
        "the deleted Multidev kept as {} is removed, for its time is over",
        kept.id
    ));
    let layout = sites.layout.site(&kept.site);
    let doing = || format!("removing the deleted Multidev {}", kept.id);
    let aside = layout.deleted(&kept.id);
    let half = format!("{}{HALF_REMOVED}", kept.id);
    if aside.exists() {
        content::take_away(sites, &layout.deleted_environment(&kept.id, &environment))?;
        std::fs::rename(&aside, aside.with_file_name(&half)).or_fault(doing)?;
    }
    let repository = repository::open(&layout.repository())?;
    let hidden = kept_ref(&kept.name, &kept.id);
    if let Some(was) = repository::commit_of_ref(&repository, &hidden)? {
        let gone = RefMove {
            name: hidden,
            old: Some(was.to_string()),
            new: None,
        };
        match repository::move_refs(&permit, &repository, &[gone]) {
            Ok(()) => {}
            Err(MoveError::Fault(fault)) => return Err(fault),
            Err(MoveError::Moved { name }) => {
                return Err(Fault::new(format!("{}: {name} has moved", doing())));
            }
        }
    }
    sites.state.forget_multidev(&kept.id)?;
    if let Some(above) = aside.parent().filter(|above| above.exists()) {
        Folder::open(above)
            .and_then(|above| above.remove_all(half.as_bytes()))
            .or_fault(doing)?;
    }
    permit.finish(Outcome::Done)
}

fn names(folder: &std::path::Path) -> Result<Vec<Vec<u8>>, Fault> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    Folder::open(folder)
        .and_then(|folder| folder.names())
        .or_fault(|| format!("reading {}", folder.display()))
}
