//! Brings code of a backup back: as a commit on the branch of Dev or a Multidev whose tree is that of
//! what ran then. Nothing of the history is lost, and Test and Live get it as they get all code.

use std::fs;
use std::sync::PoisonError;

use git2::{Oid, Repository as Git};

use super::aside::Aside;
use super::repository::Nobody;
use super::{archive, existing, undone};
use crate::database::Trouble;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::content;
use crate::site::multidev::{self, Brought};
use crate::site::workflow::Undone;
use crate::site::{Author, Run, Sites, git, repository};
use crate::state::{Backup, CodeBackup};

/// Restores it to the permit's environment. Returns what the person should know.
///
/// # Errors
/// [`Undone`]; nothing has then changed.
pub(super) fn restore(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    backup: &Backup,
) -> Result<Vec<String>, Undone> {
    let environment = permit.environment()?.clone();
    let there = run.step("restore_code", || {
        have(sites, backup).map_err(|trouble| undone(Some(run), trouble))
    });
    let commit = match there {
        Ok(commit) => commit,
        Err(undone) => return Err(content::end(permit, undone)),
    };
    let name: String = commit.to_string().chars().take(10).collect();
    permit.describe(format!(
        "code {name} of the backup {} of {}",
        backup.id, backup.environment
    ));
    let message = format!(
        "Restore code of {}.{} as of {}\n\nThis is the code of commit {commit}, as the backup {} has it.\n",
        backup.site,
        backup.environment,
        crate::state::for_people(backup.time),
        backup.id
    );
    let brought = Brought {
        kind: "restore_code",
        message: &message,
        make: |permit: &Permit, repository: &Git, ours, author: &Author| {
            repository::return_to(permit, repository, ours, commit, &message, author)
        },
        nothing: format!("\"{environment}\" has the code of this backup already."),
    };
    let made = multidev::bring(sites, run, permit, brought)?;
    let made: String = made.to_string().chars().take(10).collect();
    Ok(vec![format!(
        "Restored code of the backup {} to \"{environment}\": {made} has the code of {name}.",
        backup.id
    )])
}

/// Sees to it that the repository has the commit of a backup; where it has lost it, it is taken from
/// the backup's bundle.
fn have(sites: &Sites, backup: &Backup) -> Result<Oid, Trouble> {
    let kept: &CodeBackup = backup
        .elements
        .as_ref()
        .and_then(|elements| elements.code.as_ref())
        .ok_or_else(|| Fault::new("a backup without code"))?;
    let commit = Oid::from_str(&kept.commit).or_fault(|| "reading a backup's commit")?;
    let folder = sites.layout.site(&backup.site).repository();
    let is_there =
        || repository::open(&folder).map(|repository| repository.find_commit(commit).is_ok());
    if is_there()? {
        return Ok(commit);
    }
    let turn = sites.backups.turn(&backup.site);
    let _shared = turn.read().unwrap_or_else(PoisonError::into_inner);
    let from = existing(sites, &backup.site)?;
    let doing = || "taking code from a backup";
    let aside = Aside::new(&from)?;
    let bundle = aside.path().join("code.bundle");
    let mut file = fs::File::create(&bundle).or_fault(doing)?;
    let place = (kept.snapshot.as_str(), "/code.bundle");
    archive::plain(&from, place, &mut file, &Nobody)?;
    let mut command = git::command(&folder);
    command.args(["bundle", "unbundle"]).arg(&bundle);
    git::succeed(git::run(command, b"", doing())?, doing())?;
    match is_there()? {
        true => Ok(commit),
        false => Err(Fault::new("a backup's bundle without its commit").into()),
    }
}
