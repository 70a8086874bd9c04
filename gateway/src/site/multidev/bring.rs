//! Brings a commit that the gateway makes to Dev or a Multidev: merges, and commits that take others
//! back. Branch and environment move together, as with a push.

use git2::{Oid, Repository};
use policy::ConnectionMode;

use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::release::{Origin, ReleaseKind};
use crate::site::repository::MergeError;
use crate::site::workflow::{self, Bringing, Change, Undone};
use crate::site::{Author, Run, Sites, mode, repository};
use crate::state::{ContentChange, Intent, RefMove};
use crate::steps_file::Event;

/// What is brought.
pub(in crate::site) struct Brought<'a, M> {
    /// The kind of workflow.
    pub kind: &'static str,
    /// The commit's message.
    pub message: &'a str,
    /// Makes the commit from the branch's tip; the tip itself if there is nothing to do.
    pub make: M,
    /// What is said when there is nothing to do.
    pub nothing: String,
}

/// Makes the commit and brings it to the permit's environment, by the person of the permit. Returns
/// it. The caller holds the lease and runs this inside a workflow.
///
/// # Errors
/// [`Undone`]; nothing has then changed.
pub(in crate::site) fn bring<M>(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    brought: Brought<'_, M>,
) -> Result<Oid, Undone>
where
    M: FnOnce(&Permit, &Repository, Oid, &Author) -> Result<Oid, MergeError>,
{
    bring_with(sites, run, permit, brought, None)
}

/// The same, together with content that nobody is pointed to yet.
///
/// # Errors
/// [`Undone`]; nothing has then changed, and the content is collected.
pub(in crate::site) fn bring_with<M>(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    brought: Brought<'_, M>,
    content: Option<ContentChange>,
) -> Result<Oid, Undone>
where
    M: FnOnce(&Permit, &Repository, Oid, &Author) -> Result<Oid, MergeError>,
{
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let repository = repository::open(&sites.layout.site(&site).repository())?;
    let branch = mode::branch(sites, &site, &environment)?;
    let ours = repository::commit_of_ref(&repository, &branch)?
        .ok_or_else(|| Fault::new("an environment without its branch"))?;
    let made = mode::hold_work(sites, &site, &environment).and_then(|held| {
        let author = Author::of(&permit, &sites.state);
        let made = (brought.make)(&permit, &repository, ours, &author).map_err(undone)?;
        Ok((made, held))
    });
    let (made, _held) = match made {
        Ok((made, _)) if made == ours && content.is_none() => {
            permit.forget();
            return Err(Undone::Nothing(brought.nothing));
        }
        Ok(made) => made,
        Err(undone) => {
            permit.describe(undone.to_string());
            permit.finish(Outcome::Failed)?;
            return Err(undone);
        }
    };
    let sftp = sites
        .state
        .model()
        .environment(&site, &environment)
        .and_then(|state| state.mode.as_ref().map(|facts| facts.mode))
        == Some(ConnectionMode::Sftp);
    let kind = if sftp {
        ReleaseKind::Writable
    } else {
        ReleaseKind::ReadOnly
    };
    let origin = Origin {
        repository: &repository,
        quarantine: None,
        commit: made,
        progress: None,
    };
    let merged = mode::merged(sites, &repository, &site, &environment, made)?;
    let bringing = Bringing {
        content: content.as_ref().map(|change| change.new),
        more: Vec::new(),
    };
    let event = (Event::SyncCode, bringing);
    let (release, permit) = workflow::prepare_with(sites, run, permit, event, &origin, kind)?;
    let change = Change {
        kind: brought.kind,
        permits: vec![permit],
        intent: Intent {
            refs: Vec::from_iter((made != ours).then(|| RefMove {
                name: branch,
                old: Some(ours.to_string()),
                new: Some(made.to_string()),
            })),
            commit: Some(made.to_string()),
            generation: Some(release.generation()),
            merged,
            content,
            note: brought.message.to_owned(),
            ..Intent::default()
        },
        release: Some(release),
    };
    workflow::carry_out(sites, run, change)?;
    Ok(made)
}

fn undone(error: MergeError) -> Undone {
    match error {
        MergeError::Conflicts(files) => Undone::Conflicts(files),
        MergeError::Fault(fault) => Undone::Fault(fault),
    }
}
