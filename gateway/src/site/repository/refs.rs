//! Moves refs, all or none, and writes tags.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid, Repository};
use policy::escape;

use super::durable::make_objects_durable;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::folder::Folder;
use crate::site::{Author, covers_repository, crash, git};
use crate::state::RefMove;

/// Why no ref was moved.
#[derive(Debug)]
pub enum MoveError {
    /// This ref is not what it was when the move was decided.
    Moved {
        /// Its full name.
        name: String,
    },
    /// A failure of ours.
    Fault(Fault),
}

impl From<Fault> for MoveError {
    fn from(fault: Fault) -> Self {
        MoveError::Fault(fault)
    }
}

/// Moves refs, all or none, if each is still what its move says. Names are full and objects exist.
/// May be repeated: refs that have all moved already are right.
///
/// # Errors
/// [`MoveError`]; no ref has then moved.
pub fn move_refs(
    permit: &Permit,
    repository: &Repository,
    moves: &[RefMove],
) -> Result<(), MoveError> {
    covers_repository(permit, repository.path())?;
    if moves.is_empty() {
        return Ok(());
    }
    crash::point("move-refs-before");
    let first = transaction(permit, repository.path(), moves)?;
    if let Err(complaint) = first {
        finish_interrupted(permit, repository, moves, complaint)?;
    }
    crash::point("move-refs-after");
    Ok(())
}

/// Writes an annotated tag, but no ref to it.
///
/// # Errors
/// When it cannot be written.
pub fn write_tag(
    permit: &Permit,
    repository: &Repository,
    name: &str,
    target: Oid,
    tagger: &Author,
    message: &str,
) -> Result<Oid, Fault> {
    covers_repository(permit, repository.path())?;
    let doing = || format!("writing the tag {}", escape(name.as_bytes()));
    let target = repository.find_object(target, None).or_fault(doing)?;
    let signature = tagger.signature()?;
    let message = format!("{}\n", message.trim_end());
    let tag = repository
        .tag_annotation_create(name, &target, &signature, &message)
        .or_fault(doing)?;
    crash::point("tag-made");
    make_objects_durable(repository, &HashSet::from([tag]))?;
    crash::point("tag-durable");
    Ok(tag)
}

/// Removes what git leaves behind when it is killed: locks of refs, halves of packs. To be called
/// when nobody works on the repository. Returns what it removed.
///
/// # Errors
/// When it cannot be removed.
pub fn sweep(permit: &Permit, repository: &Path) -> Result<Vec<String>, Fault> {
    covers_repository(permit, repository)?;
    let mut removed = Vec::new();
    sweep_folder(repository, false, &mut removed)?;
    Ok(removed
        .into_iter()
        .map(|path| path.display().to_string())
        .collect())
}

/// Runs one transaction of `git update-ref`; the inner error is what git complained of.
fn transaction(
    permit: &Permit,
    repository: &Path,
    moves: &[RefMove],
) -> Result<Result<(), String>, Fault> {
    let doing = "moving refs";
    let mut input = b"start\0".to_vec();
    for step in moves {
        if !git2::Reference::is_valid_name(&step.name) || !step.name.starts_with("refs/") {
            let name = escape(step.name.as_bytes());
            return Err(Fault::new(format!("{doing}: '{name}' is no name of a ref")));
        }
        let (verb, values) = match (&step.old, &step.new) {
            (Some(old), Some(new)) => ("update", format!("{new}\0{old}")),
            (None, Some(new)) => ("create", new.clone()),
            (Some(old), None) => ("delete", old.clone()),
            (None, None) => ("verify", String::new()),
        };
        input.extend_from_slice(format!("{verb} {}\0{values}\0", step.name).as_bytes());
    }
    input.extend_from_slice(b"prepare\0commit\0");
    let person = permit.who().person.as_str();
    let mut command = git::command(repository);
    command
        .env("GIT_COMMITTER_NAME", person)
        .env("GIT_COMMITTER_EMAIL", person)
        // A push that is being written may hold a lock for a moment.
        .args(["-c", "core.filesRefLockTimeout=3000"])
        .args(["-c", "core.packedRefsTimeout=3000"])
        .args(["update-ref", "--stdin", "-z", "--no-deref", "-m"])
        .arg(permit.action().as_str());
    let output = git::run(command, &input, doing)?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    if output.status.code().is_none() {
        remove_own_locks(repository, moves)?;
    }
    Ok(Err(git::complaint(&output)))
}

/// Looks at the refs after a transaction that did not succeed. Git moves them one after the other,
/// so if it was killed among them the rest is moved now.
fn finish_interrupted(
    permit: &Permit,
    repository: &Repository,
    moves: &[RefMove],
    complaint: String,
) -> Result<(), MoveError> {
    let mut left = Vec::new();
    let mut moved = None;
    for step in moves {
        let now = stands_at(repository, &step.name)?;
        if now == step.new {
            continue;
        }
        if now != step.old {
            moved = moved.or(Some(step.name.clone()));
        }
        left.push(step.clone());
    }
    match moved {
        Some(name) if left.len() == moves.len() => Err(MoveError::Moved { name }),
        Some(name) => Err(MoveError::Fault(Fault::new(format!(
            "moving refs: some have moved, but {name} is at neither place: {complaint}"
        )))),
        None if left.is_empty() => Ok(()),
        None if left.len() == moves.len() => {
            Err(Fault::new(format!("moving refs: {complaint}")).into())
        }
        None => transaction(permit, repository.path(), &left)?
            .map_err(|again| Fault::new(format!("moving the rest of some refs: {again}")).into()),
    }
}

fn stands_at(repository: &Repository, name: &str) -> Result<Option<String>, Fault> {
    match repository.find_reference(name) {
        Ok(reference) => Ok(reference.target().map(|target| target.to_string())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error).or_fault(|| format!("reading the ref {name}")),
    }
}

/// Removes the locks of a git that was killed. Those of the refs hold our values; that others hold
/// the other two at the same moment is next to impossible, and without this nobody could until the
/// next start.
fn remove_own_locks(repository: &Path, moves: &[RefMove]) -> Result<(), Fault> {
    let deletes = moves.iter().any(|step| step.new.is_none());
    let beside = ["HEAD.lock", "packed-refs.lock"]
        .into_iter()
        .take(if deletes { 2 } else { 1 })
        .map(|name| (name.to_owned(), None));
    let refs = moves
        .iter()
        .map(|step| (format!("{}.lock", step.name), step.new.as_deref()));
    for (name, value) in refs.chain(beside) {
        let lock = repository.join(&name);
        let ours = fs::read_to_string(&lock)
            .is_ok_and(|text| text.is_empty() || Some(text.trim_end()) == value);
        if ours {
            fs::remove_file(&lock).or_fault(|| format!("removing {name}"))?;
        }
    }
    Ok(())
}

fn sweep_folder(folder: &Path, objects: bool, removed: &mut Vec<PathBuf>) -> Result<(), Fault> {
    let doing = || format!("sweeping {}", folder.display());
    let handle = Folder::open(folder).or_fault(doing)?;
    for entry in fs::read_dir(folder).or_fault(doing)? {
        let entry = entry.or_fault(doing)?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let inner = entry.file_type().or_fault(doing)?.is_dir();
        // No ref can end in `.lock`, but one can begin with `tmp_`.
        let left_over = if objects {
            name.starts_with(b"tmp_") || name.ends_with(b".lock")
        } else {
            !inner && name.ends_with(b".lock")
        };
        if left_over {
            handle.remove_all(name).or_fault(doing)?;
            removed.push(entry.path());
        } else if inner {
            sweep_folder(&entry.path(), objects || name == b"objects", removed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing::{Bench, author, git};

    fn step(name: &str, old: Option<&str>, new: Option<&str>) -> RefMove {
        RefMove {
            name: name.to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        }
    }

    fn refs(repository: &Repository) -> String {
        git(
            repository.path(),
            &["for-each-ref", "--format=%(refname) %(objecttype)"],
        )
    }

    #[test]
    fn refs_move_all_or_none() {
        let bench = Bench::new();
        let (repository, first) = bench.repository(&[("a", "a")]);
        let permit = bench.permit();
        let first = first.to_string();
        let target = first.parse().unwrap();
        let tag = write_tag(&permit, &repository, "live_1", target, &author(), "Note").unwrap();
        assert_eq!(refs(&repository), "refs/heads/main commit\n");
        let tag = tag.to_string();
        let moves = [
            step("refs/tags/live_1", None, Some(&tag)),
            step("refs/heads/x", None, Some(&first)),
            step("refs/heads/absent", None, None),
        ];
        move_refs(&permit, &repository, &moves).unwrap();
        let after = "refs/heads/main commit\nrefs/heads/x commit\nrefs/tags/live_1 tag\n";
        assert_eq!(refs(&repository), after);
        assert_eq!(
            git(repository.path(), &["tag", "-l", "-n1"]),
            "live_1          Note\n"
        );
        move_refs(&permit, &repository, &moves).unwrap();
        let moves = [
            step("refs/heads/y", None, Some(&first)),
            step("refs/heads/x", Some(&tag), None),
        ];
        match move_refs(&permit, &repository, &moves) {
            Err(MoveError::Moved { name }) => assert_eq!(name, "refs/heads/x"),
            other => panic!("{other:?}"),
        }
        let moves = [
            step("refs/heads/y", None, Some(&first)),
            step("refs/heads/main", None, None),
        ];
        assert!(matches!(
            move_refs(&permit, &repository, &moves),
            Err(MoveError::Moved { name }) if name == "refs/heads/main"
        ));
        let absent = "1234567890123456789012345678901234567890";
        for bad in [
            step("refs/heads/y", None, Some(absent)),
            step("refs/heads/../../x", None, Some(&first)),
            step("HEAD", Some(&first), Some(&first)),
            step("refs/heads/a b", None, Some(&first)),
        ] {
            let moves = [step("refs/heads/z", None, Some(&first)), bad];
            assert!(matches!(
                move_refs(&permit, &repository, &moves),
                Err(MoveError::Fault(_))
            ));
        }
        assert!(move_refs(&bench.permit_for("other"), &repository, &moves).is_err());
        assert_eq!(refs(&repository), after);
        move_refs(
            &permit,
            &repository,
            &[step("refs/heads/x", Some(&first), None)],
        )
        .unwrap();
        assert!(!refs(&repository).contains("heads/x"));
        git(repository.path(), &["fsck", "--strict"]);
    }

    #[test]
    fn a_move_that_was_cut_off_in_the_middle_is_finished() {
        let bench = Bench::new();
        let (repository, first) = bench.repository(&[("a", "a")]);
        let first = first.to_string();
        git(repository.path(), &["update-ref", "refs/heads/x", "main"]);
        let moves = [
            step("refs/heads/x", None, Some(&first)),
            step("refs/heads/y", None, Some(&first)),
        ];
        move_refs(&bench.permit(), &repository, &moves).unwrap();
        assert!(refs(&repository).contains("refs/heads/y commit"));
    }

    #[test]
    fn what_a_killed_git_leaves_is_swept_and_nothing_else() {
        let bench = Bench::new();
        let (repository, first) = bench.repository(&[("a", "a")]);
        git(
            repository.path(),
            &["update-ref", "refs/heads/tmp_x/tmp_y", "main"],
        );
        let before = refs(&repository);
        let path = repository.path();
        for left in [
            "refs/heads/main.lock",
            "packed-refs.lock",
            "objects/pack/tmp_pack_x",
            "objects/tmp_objdir-incoming-x/pack/x",
            "objects/12/tmp_obj_x",
        ] {
            crate::site::testing::write(&path.join(left), "");
        }
        let moves = [step("refs/heads/main", Some(&first.to_string()), None)];
        assert!(move_refs(&bench.permit(), &repository, &moves).is_err());
        let removed = sweep(&bench.permit(), path).unwrap();
        assert_eq!(removed.len(), 5, "{removed:?}");
        assert!(sweep(&bench.permit(), path).unwrap().is_empty());
        assert_eq!(refs(&repository), before);
        git(path, &["fsck", "--strict"]);
        move_refs(&bench.permit(), &repository, &moves).unwrap();
    }
}
