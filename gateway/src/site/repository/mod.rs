//! A site's bare repository: opening and reading it. What changes it is in the files beside.

mod create;
mod durable;
mod inspect;
mod merge;
mod refs;
mod revert;

use std::path::Path;

use git2::{ErrorCode, Oid, Repository};
use jiff::Timestamp;

pub use create::create;
pub(super) use durable::make_durable;
pub(super) use inspect::unfit_name;
pub use inspect::{forbidden_path, tree_has_path};
pub(super) use merge::conflicts;
pub use merge::{MergeError, merge};
pub use refs::{MoveError, move_refs, sweep, write_tag};
pub use revert::{return_to, revert};

use crate::fault::{Fault, OrFault};

/// One commit in a log.
#[derive(Debug, Clone)]
pub struct LogRow {
    /// The commit.
    pub commit: Oid,
    /// The author's name; from a client, so to be escaped before it is shown.
    pub author: String,
    /// The author's e-mail address; from a client.
    pub email: String,
    /// When it was committed.
    pub time: Timestamp,
    /// The first line of the message; from a client.
    pub summary: String,
}

/// Opens a site's repository.
///
/// # Errors
/// When it is missing, damaged, or uses an extension of git's format that libgit2 cannot read.
pub fn open(path: &Path) -> Result<Repository, Fault> {
    let doing = || format!("opening the repository {}", path.display());
    Repository::open_bare(path).or_fault(doing)
}

/// Opens a site's repository together with the objects that a push has brought and that are not
/// part of it yet.
///
/// # Errors
/// As [`open`]; and when `objects` is no folder of objects.
pub fn open_in_quarantine(path: &Path, objects: &Path) -> Result<Repository, Fault> {
    let doing = || "opening the objects of a push";
    let repository = open(path)?;
    let objects = objects
        .to_str()
        .ok_or_else(|| Fault::new("opening the objects of a push: their path is not UTF-8"))?;
    repository
        .odb()
        .and_then(|odb| odb.add_disk_alternate(objects))
        .or_fault(doing)?;
    Ok(repository)
}

/// Returns true if `commit` has `of` among its ancestors; a commit is not its own descendant.
///
/// # Errors
/// When the history cannot be read.
pub fn is_descendant(repository: &Repository, commit: Oid, of: Oid) -> Result<bool, Fault> {
    repository
        .graph_descendant_of(commit, of)
        .or_fault(|| "reading the history of a commit")
}

/// Returns true if `tip` is `commit` or descends from it.
///
/// # Errors
/// When the history cannot be read.
pub fn contains(repository: &Repository, tip: Oid, commit: Oid) -> Result<bool, Fault> {
    Ok(tip == commit || is_descendant(repository, tip, commit)?)
}

/// Returns the commits that `new` has and `old` has not, the newest first, at most `limit`.
///
/// # Errors
/// When the history cannot be read.
pub fn commits_between(
    repository: &Repository,
    old: Option<Oid>,
    new: Oid,
    limit: usize,
) -> Result<Vec<LogRow>, Fault> {
    let doing = || "reading the log of commits";
    let mut walk = repository.revwalk().or_fault(doing)?;
    walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::TIME)
        .or_fault(doing)?;
    walk.push(new).or_fault(doing)?;
    if let Some(old) = old {
        walk.hide(old).or_fault(doing)?;
    }
    let mut rows = Vec::new();
    for commit in walk.take(limit) {
        let commit = repository
            .find_commit(commit.or_fault(doing)?)
            .or_fault(doing)?;
        let author = commit.author();
        rows.push(LogRow {
            commit: commit.id(),
            author: lossy(author.name_bytes()),
            email: lossy(author.email_bytes()),
            time: Timestamp::from_second(commit.time().seconds()).unwrap_or_default(),
            summary: commit.summary_bytes().map(lossy).unwrap_or_default(),
        });
    }
    Ok(rows)
}

/// Returns the commit that a ref points to, through an annotated tag.
///
/// # Errors
/// When the ref points to something else, or cannot be read.
pub fn commit_of_ref(repository: &Repository, name: &str) -> Result<Option<Oid>, Fault> {
    let doing = || format!("reading the ref {}", policy::escape(name.as_bytes()));
    match repository.find_reference(name) {
        Ok(reference) => Ok(Some(reference.peel_to_commit().or_fault(doing)?.id())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error).or_fault(doing),
    }
}

/// Returns true if the object exists and is a commit.
///
/// # Errors
/// When the objects cannot be read.
pub fn is_commit(repository: &Repository, object: Oid) -> Result<bool, Fault> {
    match repository.find_commit(object) {
        Ok(_) => Ok(true),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
        Err(error) => Err(error).or_fault(|| "reading an object"),
    }
}

/// Returns the commit that a person means by a hash, a short hash, a tag or a branch. None of
/// git's expressions are understood, and the gateway's own refs are not found.
///
/// # Errors
/// When the repository cannot be read.
pub fn resolve(repository: &Repository, text: &str) -> Result<Option<Oid>, Fault> {
    let doing = || format!("looking up '{}'", policy::escape(text.as_bytes()));
    let hexadecimal =
        (4..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for name in [format!("refs/tags/{text}"), format!("refs/heads/{text}")] {
        if text.len() == 40 && hexadecimal || !git2::Reference::is_valid_name(&name) {
            continue;
        }
        match repository.find_reference(&name) {
            Ok(reference) => return Ok(reference.peel_to_commit().ok().map(|commit| commit.id())),
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(error) => return Err(error).or_fault(doing),
        }
    }
    if !hexadecimal {
        return Ok(None);
    }
    match repository.find_commit_by_prefix(text) {
        Ok(commit) => Ok(Some(commit.id())),
        Err(error) => match error.code() {
            ErrorCode::NotFound | ErrorCode::Ambiguous | ErrorCode::InvalidSpec => Ok(None),
            _other => Err(error).or_fault(doing),
        },
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing::{Bench, commit_all, git, write};

    #[test]
    fn a_repository_is_set_up_for_serving() {
        let bench = Bench::new();
        let path = bench.site().repository();
        let repository = create(&bench.permit(), &path, "trunk").unwrap();
        assert!(repository.is_bare());
        assert_eq!(git(&path, &["symbolic-ref", "HEAD"]), "refs/heads/trunk\n");
        assert_eq!(git(&path, &["config", "receive.fsckObjects"]), "true\n");
        assert_eq!(
            git(&path, &["config", "transfer.hideRefs"]),
            "refs/funicular\n"
        );
        assert!(!path.join("hooks").exists());
        assert!(create(&bench.permit(), &path, "trunk").is_err());
        assert!(create(&bench.permit_for("other"), &path, "trunk").is_err());
    }

    #[test]
    fn formats_that_libgit2_does_not_know_are_refused_in_words() {
        let bench = Bench::new();
        let (repository, _) = bench.repository(&[("a", "a")]);
        for (name, value) in [("partialClone", "origin"), ("refStorage", "reftable")] {
            git(
                repository.path(),
                &["config", "core.repositoryFormatVersion", "1"],
            );
            git(
                repository.path(),
                &["config", &format!("extensions.{name}"), value],
            );
            let fault = open(&bench.site().repository()).err().unwrap().to_string();
            assert!(
                fault.to_lowercase().contains(&name.to_lowercase()),
                "{fault}"
            );
            git(
                repository.path(),
                &["config", "--unset", &format!("extensions.{name}")],
            );
        }
        assert!(open(&bench.site().repository()).is_ok());
    }

    #[test]
    fn what_a_push_brings_can_be_read_before_it_is_kept() {
        let bench = Bench::new();
        let (_, first) = bench.repository(&[("a", "a")]);
        let clone = bench.clone();
        write(&clone.join("a"), "b");
        let second = commit_all(&clone, "Second");
        let path = bench.site().repository();
        let repository = open(&path).unwrap();
        assert!(!is_commit(&repository, second).unwrap());
        let repository = open_in_quarantine(&path, &clone.join(".git/objects")).unwrap();
        assert!(is_commit(&repository, second).unwrap());
        assert!(is_descendant(&repository, second, first).unwrap());
        assert!(!is_descendant(&repository, first, first).unwrap());
        assert!(contains(&repository, first, first).unwrap());
        assert!(!contains(&repository, first, second).unwrap());
        let rows = commits_between(&repository, Some(first), second, 10).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].summary.as_str(), rows[0].author.as_str()),
            ("Second", "Bob")
        );
        assert_eq!(
            commits_between(&repository, None, second, 1).unwrap().len(),
            1
        );
    }

    #[test]
    fn names_of_commits_are_no_expressions() {
        let bench = Bench::new();
        let (repository, first) = bench.repository(&[("a", "a")]);
        let path = repository.path();
        git(path, &["tag", "-a", "v1", "-m", "v1", "main"]);
        git(path, &["branch", "face", "main"]);
        git(path, &["update-ref", "refs/funicular/work/dev/1", "main"]);
        let text = first.to_string();
        for right in ["v1", "main", "face", &text, &text[..7]] {
            assert_eq!(resolve(&repository, right).unwrap(), Some(first), "{right}");
        }
        let tree = repository.find_commit(first).unwrap().tree_id().to_string();
        for wrong in [
            "",
            "--all",
            "-n1",
            "main~0",
            "main^{tree}",
            ":/Begin",
            "@",
            "HEAD",
            "../heads/main",
            "refs/funicular/work/dev/1",
            "heads/main/../main",
            "abc",
            "0000000",
            "main\n",
            &tree,
        ] {
            assert_eq!(resolve(&repository, wrong).unwrap(), None, "{wrong}");
        }
    }
}
