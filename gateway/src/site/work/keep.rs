//! Makes commits of work: for the environment's branch, or for a hidden ref.

use std::collections::BTreeMap;

use git2::{ErrorCode, Oid, Repository};
use jiff::Timestamp;
use policy::{Environment, SitePath, escape};

use super::compare::{Compared, Difference, site_path};
use super::{BeingWritten, Committed, Saved, WorkError, WorkTree};
use crate::audit::IncidentId;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::Author;
use crate::site::contents::Kind;
use crate::site::repository::{MoveError, make_durable, move_refs, unfit_name};
use crate::site::store::{Stored, files_of, store, write_tree};
use crate::state::RefMove;

/// Makes a commit of the selected differences.
pub(super) fn commit(
    work: &WorkTree<'_>,
    compared: &Compared,
    being_written: BeingWritten<'_>,
    message: &str,
    author: &Author,
) -> Result<Option<Committed>, WorkError> {
    let unfit: Vec<String> = compared
        .changes
        .iter()
        .filter(|change| change.after.is_some())
        .filter_map(|change| {
            let why = change
                .path
                .split(|byte| *byte == b'/')
                .find_map(unfit_name)?;
            Some(format!("{} ({why})", escape(&change.path)))
        })
        .collect();
    if !unfit.is_empty() {
        return Err(WorkError::Unfit(unfit));
    }
    let mut stored = store_all(work, compared, being_written)?;
    stored.left_out.append(&mut stored.changing);
    if stored.kept.is_empty() {
        return if stored.left_out.is_empty() {
            Ok(None)
        } else {
            Err(WorkError::Changing(stored.left_out))
        };
    }
    let message = format!("{}\n", message.replace('\0', " ").trim());
    let commit = make(work, &stored.files, &message, author)?;
    Ok(Some(Committed {
        commit,
        files: stored.kept,
        left_out: stored.left_out,
    }))
}

/// Keeps the selected differences on a hidden ref.
pub(super) fn save(
    permit: &Permit,
    work: &WorkTree<'_>,
    compared: &Compared,
    why: &str,
    author: &Author,
) -> Result<Option<Saved>, WorkError> {
    let stored = store_all(work, compared, &|_| false)?;
    if !stored.changing.is_empty() {
        return Err(WorkError::Changing(stored.changing));
    }
    if stored.kept.is_empty() {
        return Ok(None);
    }
    let now = Timestamp::now();
    let environment = work.environment.name();
    let why = why.replace(['\0', '\n', '\r'], " ").trim().to_owned();
    let message = format!(
        "{why}\n\nUncommitted work in {environment} on {}, kept for {} at {now}.\n",
        work.commit, author.name
    );
    let commit = make(work, &stored.files, &message, author)?;
    let id = unused_id(permit, work.repository, environment)?;
    let hidden = RefMove {
        name: ref_name(environment, &id),
        old: None,
        new: Some(commit.to_string()),
    };
    match move_refs(permit, work.repository, &[hidden]) {
        Ok(()) => {}
        Err(MoveError::Fault(fault)) => return Err(fault.into()),
        Err(MoveError::Moved { name }) => {
            return Err(Fault::new(format!("keeping work: {name} is taken")).into());
        }
    }
    Ok(Some(Saved {
        id,
        commit,
        base: work.commit,
        time: now,
        person: author.name.clone(),
        why,
        files: stored.kept.len(),
    }))
}

/// Returns the saved work of an environment, the newest first.
pub(super) fn saved(
    repository: &Repository,
    environment: &Environment,
) -> Result<Vec<Saved>, Fault> {
    let doing = || format!("listing the saved work of {environment}");
    let prefix = ref_name(environment, "");
    let mut saved = Vec::new();
    for name in repository
        .references_glob(&format!("{prefix}*"))
        .or_fault(doing)?
        .names()
    {
        let name = name.or_fault(doing)?;
        let id = name.strip_prefix(&prefix).unwrap_or_default();
        saved.extend(find_saved(repository, environment, id)?);
    }
    saved.sort_by(|one, other| (other.time, &other.id).cmp(&(one.time, &one.id)));
    Ok(saved)
}

/// Finds saved work by its id, which comes from a person.
pub(super) fn find_saved(
    repository: &Repository,
    environment: &Environment,
    id: &str,
) -> Result<Option<Saved>, Fault> {
    let doing = || "reading saved work";
    let name = ref_name(environment, id);
    let right = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !right || !git2::Reference::is_valid_name(&name) {
        return Ok(None);
    }
    let commit = match repository.find_reference(&name) {
        Ok(reference) => reference.peel_to_commit().or_fault(doing)?,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error).or_fault(doing),
    };
    let base = commit.parent(0).or_fault(doing)?;
    let (old, new) = (base.tree().or_fault(doing)?, commit.tree().or_fault(doing)?);
    let files = repository
        .diff_tree_to_tree(Some(&old), Some(&new), None)
        .or_fault(doing)?
        .deltas()
        .len();
    Ok(Some(Saved {
        id: id.to_owned(),
        commit: commit.id(),
        base: base.id(),
        time: Timestamp::from_second(commit.time().seconds()).or_fault(doing)?,
        person: String::from_utf8_lossy(commit.author().name_bytes()).into_owned(),
        why: commit
            .summary_bytes()
            .map(|why| String::from_utf8_lossy(why).into_owned())
            .unwrap_or_default(),
        files,
    }))
}

/// The selected differences, in the repository's objects.
#[derive(Default)]
struct AllStored {
    /// All files of the commit to be.
    files: BTreeMap<Vec<u8>, (Oid, Kind)>,
    /// Those that differ.
    kept: Vec<SitePath>,
    /// Those that were to be left out.
    left_out: Vec<SitePath>,
    /// Those that changed while they were read.
    changing: Vec<SitePath>,
}

fn store_all(
    work: &WorkTree<'_>,
    compared: &Compared,
    being_written: BeingWritten<'_>,
) -> Result<AllStored, WorkError> {
    let mut all = AllStored {
        files: files_of(&compared.entries),
        ..AllStored::default()
    };
    let mut unreadable = Vec::new();
    for change in &compared.changes {
        let path = site_path(&change.path)?;
        let stored = store_one(work, compared, change)?;
        // Asked after it was read: whoever ended before that had written all, and whoever began
        // since has changed it while it was read, or is still there.
        if is_being_written(compared, change, being_written) {
            all.left_out.push(path);
            continue;
        }
        match stored {
            Stored::Kept(oid, kind) if change.before == Some((oid, kind)) => {}
            Stored::Kept(oid, kind) => {
                make_room(&mut all.files, &change.path);
                all.files.insert(change.path.clone(), (oid, kind));
                all.kept.push(path);
            }
            Stored::Gone => {
                if all.files.remove(&change.path).is_some() || change.before.is_some() {
                    all.kept.push(path);
                }
            }
            Stored::Changing => all.changing.push(path),
            Stored::Unreadable => unreadable.push(path),
        }
    }
    if unreadable.is_empty() {
        Ok(all)
    } else {
        Err(WorkError::Unreadable(unreadable))
    }
}

fn is_being_written(
    compared: &Compared,
    change: &Difference,
    being_written: BeingWritten<'_>,
) -> bool {
    let stat = compared
        .root
        .parent_of(&change.path)
        .and_then(|(folder, name)| folder.stat(name));
    change.after.is_some() && stat.is_ok_and(|stat| being_written((stat.st_dev, stat.st_ino)))
}

fn store_one(
    work: &WorkTree<'_>,
    compared: &Compared,
    change: &Difference,
) -> Result<Stored, Fault> {
    let Some(after) = change.after else {
        return Ok(Stored::Gone);
    };
    let mut stored = Stored::Changing;
    for _ in 0..ATTEMPTS {
        stored = store(work.repository, &compared.root, &change.path, after.kind)?;
        if stored != Stored::Changing {
            break;
        }
    }
    Ok(stored)
}

/// Takes away files that stand where a folder is to be, and the other way round: of a partial
/// commit, only the one half may have been selected.
fn make_room(files: &mut BTreeMap<Vec<u8>, (Oid, Kind)>, path: &[u8]) {
    for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        files.remove(path.get(..at).unwrap_or_default());
    }
    let below = [path, b"/"].concat();
    let inside: Vec<Vec<u8>> = files
        .range(below.clone()..)
        .map(|(path, _)| path.clone())
        .take_while(|path| path.starts_with(&below))
        .collect();
    for path in inside {
        files.remove(&path);
    }
}

fn make(
    work: &WorkTree<'_>,
    files: &BTreeMap<Vec<u8>, (Oid, Kind)>,
    message: &str,
    author: &Author,
) -> Result<Oid, Fault> {
    let doing = || "making a commit of work";
    let tree = write_tree(work.repository, files)?;
    let tree = work.repository.find_tree(tree).or_fault(doing)?;
    let parent = work.repository.find_commit(work.commit).or_fault(doing)?;
    let signature = author.signature()?;
    let commit = work
        .repository
        .commit(None, &signature, &signature, message, &tree, &[&parent])
        .or_fault(doing)?;
    make_durable(work.repository, commit)?;
    Ok(commit)
}

/// The id by which the audit has the request, so that the two are found together.
fn unused_id(
    permit: &Permit,
    repository: &Repository,
    environment: &Environment,
) -> Result<String, Fault> {
    let id = permit
        .incident()
        .cloned()
        .unwrap_or_else(|| IncidentId::new(Timestamp::now()));
    for number in 1_u32.. {
        let id = match number {
            1 => id.to_string(),
            more => format!("{id}-{more}"),
        };
        if find_saved(repository, environment, &id)?.is_none() {
            return Ok(id);
        }
    }
    Err(Fault::new("keeping work: there is no id left"))
}

fn ref_name(environment: &Environment, id: &str) -> String {
    format!("refs/funicular/work/{environment}/{id}")
}

/// A file that still changes after so many looks is being written.
const ATTEMPTS: usize = 3;
