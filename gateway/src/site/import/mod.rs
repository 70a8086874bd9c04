//! Makes the repository of a new site: empty, or from a folder, a repository or a bundle.

mod files;
mod history;
mod source;

pub(super) use files::code_of;

use std::fs;
use std::path::PathBuf;

use git2::{Oid, Repository};
use policy::SitePath;

use super::folder::Folder;
use super::layout::SiteLayout;
use super::repository::{forbidden_path, open, tree_has_path};
use super::{Author, covers};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;

/// What a new site's code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nothing: one commit with a page that says so.
    Empty,
    /// A folder on this machine: a git repository with its history, or plain files.
    Directory(PathBuf),
    /// A repository elsewhere.
    Url(String),
    /// A file made by `git bundle`.
    Bundle(PathBuf),
}

/// A repository that has been made.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The branch that Dev runs.
    pub trunk: String,
    /// Its newest commit.
    pub commit: Oid,
    /// What the person should know: what was left out, which branch became trunk.
    pub notes: Vec<String>,
}

/// Why there is no repository; nothing is left behind.
#[derive(Debug)]
pub enum ImportError {
    /// What is wrong with the source, in sentences for the person.
    Unsuitable(String),
    /// A failure of ours.
    Fault(Fault),
}

impl From<Fault> for ImportError {
    fn from(fault: Fault) -> Self {
        ImportError::Fault(fault)
    }
}

/// Makes a site's repository. A `trunk` that was asked for must be there; if none was, it is
/// `main`, or else the branch that the source has checked out.
///
/// # Errors
/// [`ImportError`].
pub fn create_repository(
    permit: &Permit,
    site: &SiteLayout,
    trunk: Option<&str>,
    files_path: Option<&SitePath>,
    from: &Source,
    author: &Author,
) -> Result<Imported, ImportError> {
    covers(permit, site.name())?;
    let doing = || format!("making the repository of {}", site.name());
    if site.repository().exists() {
        return Err(Fault::new(format!("{}: there is one already", doing())).into());
    }
    if let Some(name) = trunk.filter(|name| !is_branch(name)) {
        let name = policy::escape(name.as_bytes());
        return Err(unsuitable(format!("'{name}' is no name for a branch.")));
    }
    fs::create_dir_all(site.folder()).or_fault(doing)?;
    let folder = Folder::open(site.folder()).or_fault(doing)?;
    // What a crash left of an earlier attempt.
    folder.remove_all(FRESH.as_bytes()).or_fault(doing)?;
    let path = site.folder().join(FRESH);
    let made = match source::plain(from) {
        Source::Empty => files::first_page(permit, site.name(), &path, trunk, author),
        Source::Directory(directory) => {
            source::directory(site, &directory).and_then(|place| match place {
                source::Place::Files(directory) => {
                    files::first_commit(permit, &directory, &path, trunk, files_path, author)
                }
                source::Place::Repository(place) => history::fetch(permit, &place, &path, trunk),
            })
        }
        Source::Url(url) => {
            source::url(&url).and_then(|place| history::fetch(permit, &place, &path, trunk))
        }
        Source::Bundle(bundle) => source::bundle(site, &bundle)
            .and_then(|place| history::fetch(permit, &place, &path, trunk)),
    };
    let checked = made.and_then(|made| {
        check(&open(&path)?, made.commit, files_path)?;
        folder.sync_file_system().or_fault(doing)?;
        folder
            .rename(FRESH.as_bytes(), &folder, b"repository.git")
            .and_then(|()| folder.sync())
            .or_fault(doing)?;
        Ok(made)
    });
    for left_over in [FRESH, TRUSTING] {
        if let Err(error) = folder.remove_all(left_over.as_bytes()) {
            tracing::warn!("{}: {left_over} could not be removed: {error}", doing());
        }
    }
    checked
}

/// Looks for what no release may hold.
fn check(
    repository: &Repository,
    commit: Oid,
    files_path: Option<&SitePath>,
) -> Result<(), ImportError> {
    if let Some(path) = forbidden_path(repository, commit, None)? {
        return Err(unsuitable(format!(
            "The source holds '{path}', which no release may hold. Remove that path from the \
             source, commit, and try again."
        )));
    }
    let Some(files_path) = files_path else {
        return Ok(());
    };
    if let Some(path) = tree_has_path(repository, commit, files_path)? {
        return Err(unsuitable(format!(
            "The source holds '{path}' as code, but '{files_path}' is to be where uploads live. \
             Take it out of the source (git rm -r --cached {files_path}), commit, and try again; \
             upload the files over SFTP to /files."
        )));
    }
    Ok(())
}

fn unsuitable(sentence: impl Into<String>) -> ImportError {
    ImportError::Unsuitable(sentence.into())
}

fn is_branch(name: &str) -> bool {
    !name.starts_with('-') && git2::Reference::is_valid_name(&format!("refs/heads/{name}"))
}

/// The branch of a new site, unless it says otherwise.
const TRUNK: &str = "main";
/// The repository before it takes its place.
const FRESH: &str = "repository.git.new";
/// Configuration for reading a repository of another owner, beside it.
const TRUSTING: &str = "repository.git.import";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing::{Bench, author, commit_all, git, write};

    fn make(bench: &Bench, trunk: Option<&str>, from: Source) -> Result<Imported, String> {
        let uploads = SitePath::normalize(b"wp-content/uploads").unwrap();
        let site = bench.site();
        let made = create_repository(
            &bench.permit(),
            &site,
            trunk,
            Some(&uploads),
            &from,
            &author(),
        );
        let left: Vec<_> = fs::read_dir(site.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        if made.is_ok() {
            assert_eq!(left, ["repository.git"]);
            git(&site.repository(), &["fsck", "--strict", "--no-dangling"]);
        } else {
            assert_eq!(left, [""; 0], "a failed import leaves nothing behind");
        }
        made.map_err(|error| match error {
            ImportError::Unsuitable(sentence) => sentence,
            ImportError::Fault(fault) => panic!("{fault}"),
        })
    }

    fn work_tree(bench: &Bench) -> PathBuf {
        let folder = bench.temporary.path().join("work");
        fs::create_dir(&folder).unwrap();
        git(&folder, &["init", "-q"]);
        write(&folder.join("index.php"), "<?php\n");
        commit_all(&folder, "One");
        folder
    }

    #[test]
    fn a_new_site_has_a_page() {
        let bench = Bench::new();
        let made = make(&bench, None, Source::Empty).unwrap();
        assert_eq!(made.trunk, "main");
        let clone = bench.clone();
        assert!(
            fs::read_to_string(clone.join("index.html"))
                .unwrap()
                .contains("<h1>acme</h1>")
        );
        assert_eq!(
            git(&clone, &["log", "--format=%an %ae"]),
            "Alice alice@example.com\n"
        );
        assert_eq!(git(&clone, &["branch", "--show-current"]), "main\n");
    }

    #[test]
    fn a_folder_becomes_the_first_commit() {
        let bench = Bench::new();
        let from = bench.temporary.path().join("from");
        write(&from.join("a/b.txt"), "text");
        write(&from.join("run"), "#!");
        write(&from.join(".gitignore"), "*.log\n");
        write(&from.join("x.log"), "log");
        write(&from.join("wp-content/uploads/cat.jpg"), "cat");
        write(&from.join("lib/.git/config"), "planted");
        write(&from.join("lib/lib.php"), "lib");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(from.join("run"), executable).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("link")).unwrap();
        let made = make(&bench, Some("trunk"), Source::Directory(from.clone())).unwrap();
        assert_eq!(made.trunk, "trunk");
        assert_eq!(made.notes.len(), 2, "{:?}", made.notes);
        let listed = git(
            &bench.site().repository(),
            &["ls-tree", "-r", "--format=%(objectmode) %(path)", "trunk"],
        );
        assert_eq!(
            listed,
            "100644 .gitignore\n100644 a/b.txt\n100644 lib/lib.php\n120000 link\n100755 run\n"
        );
        let empty = bench.temporary.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let bench = Bench::new();
        assert!(
            make(&bench, None, Source::Directory(empty))
                .unwrap_err()
                .contains("no files")
        );
    }

    #[test]
    fn a_repository_brings_its_history() {
        for from in ["work", "bare", "bundle", "url"] {
            let bench = Bench::new();
            let folder = work_tree(&bench);
            git(&folder, &["checkout", "-q", "-b", "feature/x"]);
            write(&folder.join("index.php"), "<?php two();\n");
            let tip = commit_all(&folder, "Two");
            git(&folder, &["tag", "-a", "v1", "-m", "v1"]);
            git(&folder, &["tag", "live_7"]);
            write(&folder.join("uncommitted"), "x");
            let root = bench.temporary.path();
            git(root, &["clone", "-q", "--bare", "work", "bare"]);
            git(
                &folder,
                &["bundle", "create", "-q", "../bundle", "HEAD", "--all"],
            );
            let path = root.join(from);
            let source = match from {
                "bundle" => Source::Bundle(path),
                "url" => Source::Url(format!("file://{}", root.join("bare").display())),
                _folder => Source::Directory(path),
            };
            let made = make(&bench, Some("feature/x"), source).unwrap();
            assert_eq!(made.commit, tip);
            let repository = bench.site().repository();
            assert_eq!(
                git(&repository, &["for-each-ref", "--format=%(refname)"]),
                "refs/heads/feature/x\nrefs/heads/main\nrefs/tags/v1\n"
            );
            assert_eq!(
                git(&repository, &["symbolic-ref", "HEAD"]),
                "refs/heads/feature/x\n"
            );
            assert!(made.notes.iter().any(|note| note.contains("live_N")));
            let uncommitted = made.notes.iter().any(|note| note.contains("uncommitted"));
            assert_eq!(uncommitted, from == "work");
        }
    }

    #[test]
    fn the_branch_that_is_checked_out_is_trunk_where_there_is_no_main() {
        let bench = Bench::new();
        let folder = work_tree(&bench);
        git(&folder, &["branch", "-m", "master"]);
        let sentence = make(&bench, Some("main"), Source::Directory(folder.clone())).unwrap_err();
        assert!(
            sentence.contains("no branch 'main'") && sentence.contains("master"),
            "{sentence}"
        );
        let made = make(&bench, None, Source::Directory(folder)).unwrap();
        assert_eq!(made.trunk, "master");
        assert_eq!(made.notes.len(), 1);
    }

    #[test]
    fn what_no_release_may_hold_is_not_imported() {
        let bench = Bench::new();
        let folder = work_tree(&bench);
        let refused = |words: &str| {
            let sentence = make(&bench, None, Source::Directory(folder.clone())).unwrap_err();
            assert!(sentence.contains(words), "{sentence}");
        };
        write(&folder.join("wp-content/uploads/2024/cat.jpg"), "cat");
        commit_all(&folder, "Uploads");
        refused("'wp-content/uploads/2024/cat.jpg' as code");
        git(&folder, &["reset", "-q", "--hard", "HEAD~1"]);
        let head = git(&folder, &["rev-parse", "HEAD"]);
        let link = format!("160000,{},lib/sub", head.trim());
        git(&folder, &["update-index", "--add", "--cacheinfo", &link]);
        git(&folder, &["commit", "-q", "-m", "Submodule"]);
        refused("lib/sub (a submodule)");
        git(&folder, &["reset", "-q", "--hard", "HEAD~1"]);
        write(&folder.join("a\\b"), "x");
        commit_all(&folder, "Backslash");
        refused("backslash");
        git(&folder, &["reset", "-q", "--hard", "HEAD~1"]);
        fs::write(folder.join(".git/shallow"), head).unwrap();
        refused("shallow");
        fs::remove_file(folder.join(".git/shallow")).unwrap();
        git(&folder, &["config", "core.repositoryFormatVersion", "1"]);
        git(&folder, &["config", "extensions.partialClone", "origin"]);
        refused("partial clone");
    }

    #[test]
    fn bad_sources_are_told_apart() {
        let bench = Bench::new();
        let root = bench.temporary.path();
        let refused = |from: Source, words: &str| {
            let sentence = make(&bench, None, from).unwrap_err();
            assert!(sentence.contains(words), "{sentence}");
        };
        refused(
            Source::Directory(root.join("nowhere")),
            "There is no folder",
        );
        refused(Source::Directory("relative".into()), "begin with a slash");
        refused(
            Source::Directory(bench.site().folder().into()),
            "gateway's own data",
        );
        refused(Source::Directory(root.into()), "gateway's own data");
        refused(
            Source::Url(format!("file://{}/data/sites", root.display())),
            "gateway's own data",
        );
        write(&root.join("text"), "text");
        refused(Source::Bundle(root.join("text")), "not a bundle");
        refused(Source::Directory(root.join("text")), "not a folder");
        fs::create_dir(root.join("empty")).unwrap();
        git(&root.join("empty"), &["init", "-q"]);
        refused(Source::Directory(root.join("empty")), "is empty");
        git(root, &["init", "-q", "--object-format=sha256", "new"]);
        refused(Source::Directory(root.join("new")), "SHA-256");
        let folder = work_tree(&bench);
        commit_all(&folder, "Two");
        git(
            &folder,
            &["bundle", "create", "-q", "../part", "HEAD~1..main"],
        );
        refused(Source::Bundle(root.join("part")), "only a part");
        git(&folder, &["bundle", "create", "-q", "../cut", "--all"]);
        let whole = fs::read(root.join("cut")).unwrap();
        fs::write(root.join("cut"), &whole[..whole.len() - 30]).unwrap();
        refused(Source::Bundle(root.join("cut")), "could not be taken over");
        for bad in [
            "ext::sh -c touch% /tmp/x",
            "--upload-pack=touch",
            "ssh://-oProxyCommand=touch/x",
            "-oProxyCommand=x:path",
            "ftp://host/x",
            "host::path",
            "https://a b/",
            "/etc",
        ] {
            refused(Source::Url(bad.to_owned()), "not an address");
        }
        let url = "https://bob:secret@127.0.0.1:1/x.git".to_owned();
        let sentence = make(&bench, None, Source::Url(url)).unwrap_err();
        assert!(sentence.contains("cannot be read"), "{sentence}");
        assert!(!sentence.contains("secret"), "{sentence}");
    }

    #[test]
    fn a_permit_for_another_site_makes_nothing() {
        let bench = Bench::new();
        let permit = bench.permit_for("other");
        let made = create_repository(
            &permit,
            &bench.site(),
            None,
            None,
            &Source::Empty,
            &author(),
        );
        assert!(matches!(made, Err(ImportError::Fault(_))));
        assert!(!bench.site().repository().exists());
    }
}
