//! Deletes a Multidev: nobody reaches it any more, and it is kept aside for a while.

use git2::Oid;
use policy::Environment;

use super::create::multidev;
use super::{branch, kept_ref, tidy};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::mode::{self, with_work};
use crate::site::workflow::{self, Change, Undone};
use crate::site::{Author, Run, Sites, crash, repository};
use crate::state::{Intent, MultidevChange, RefMove};

/// A Multidev that was deleted.
#[derive(Debug)]
pub struct Deleted {
    /// What it is kept under.
    pub id: String,
    /// Files of work that was not committed, which is kept with it and on a hidden ref.
    pub uncommitted: usize,
}

/// Deletes a Multidev, its branch only if `branch_too`. The caller holds its lease.
///
/// # Errors
/// [`Undone`]; nothing has then changed.
pub fn delete(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    branch_too: bool,
) -> Result<Deleted, Undone> {
    let note = if branch_too { "with its branch" } else { "" };
    run.perform(note, || delete_now(sites, run, permit, branch_too))
}

fn delete_now(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    branch_too: bool,
) -> Result<Deleted, Undone> {
    let site = permit.site()?.clone();
    let name = multidev(&permit)?;
    let environment = Environment::Multidev(name.clone());
    let id = run.id().to_string();
    permit.describe(format!(
        "kept as {id}, {}",
        if branch_too {
            "with its branch"
        } else {
            "its branch stays"
        }
    ));
    // What is written after the work was kept would be on no hidden ref.
    let _frozen = sites.parts(&site, &environment)?.freeze_code();
    let author = Author::of(&permit, &sites.state);
    let saved = run.step("keep", || {
        with_work(sites, &site, &environment, |work| match work {
            Some(work) => work
                .save(&permit, None, true, "the deletion of the Multidev", &author)
                .map_err(mode::undone),
            None => Ok(None),
        })
    });
    let saved = match saved {
        Ok(saved) => saved,
        Err(undone) => {
            permit.describe(undone.to_string());
            permit.finish(Outcome::Failed)?;
            return Err(undone);
        }
    };
    let layout = sites.layout.site(&site);
    let repository = repository::open(&layout.repository())?;
    let tip = repository::commit_of_ref(&repository, &branch(&name))?
        .ok_or_else(|| Fault::new("a Multidev without its branch"))?;
    let change = Change {
        kind: super::DELETE,
        permits: vec![permit],
        intent: Intent {
            refs: refs(&name, &id, tip, branch_too),
            multidev: Some(MultidevChange::Delete {
                branch_kept: !branch_too,
            }),
            note: format!("deleted {name}"),
            ..Intent::default()
        },
        release: None,
    };
    workflow::carry_out(sites, run, change)?;
    crash::point("multidev-deleted");
    workflow::outlive(&layout, &layout.environment(&environment), &id);
    sites.forget_parts(&site, &environment);
    // It is deleted; what has not moved now moves at the next start, or before its name is used.
    if let Err(fault) = tidy(sites, &site, &name) {
        tracing::error!("the folder of a deleted Multidev was not put aside: {fault}");
    }
    crash::point("multidev-put-aside");
    Ok(Deleted {
        id,
        uncommitted: saved.map_or(0, |saved| saved.files),
    })
}

fn refs(name: &policy::MultidevName, id: &str, tip: Oid, branch_too: bool) -> Vec<RefMove> {
    let mut refs = vec![RefMove {
        name: kept_ref(name, id),
        old: None,
        new: Some(tip.to_string()),
    }];
    if branch_too {
        refs.push(RefMove {
            name: branch(name),
            old: Some(tip.to_string()),
            new: None,
        });
    }
    refs
}
