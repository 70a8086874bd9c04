//! Work in a code tree, with git itself as the judge.

mod keeping;
mod rounds;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use policy::Environment;

use super::*;
use crate::site::release::{Origin, ReleaseKind, prepare, switch, verify};
use crate::site::testing::{Bench, author, git, git_changes, write};

/// A site in SFTP mode.
struct Site {
    bench: Bench,
    repository: Repository,
    commit: Oid,
    environment: EnvironmentLayout,
    uploads: SitePath,
    code: PathBuf,
}

impl Site {
    fn new(files: &[(&str, &str)]) -> Self {
        let bench = Bench::new();
        let (repository, commit) = bench.repository(files);
        let environment = bench.environment(Environment::Dev);
        let mut site = Self {
            bench,
            repository,
            commit,
            environment,
            uploads: path("wp-content/uploads"),
            code: PathBuf::new(),
        };
        site.deploy(commit);
        site
    }

    fn deploy(&mut self, commit: Oid) {
        let origin = Origin {
            repository: &self.repository,
            quarantine: None,
            commit,
            progress: None,
        };
        let permit = self.bench.permit();
        let kind = ReleaseKind::Writable;
        let uploads = Some(&self.uploads);
        let prepared = prepare(&permit, &self.environment, &origin, kind, uploads, None).unwrap();
        switch(&permit, &self.environment, prepared.generation).unwrap();
        self.code = self.environment.code(prepared.generation);
        self.commit = commit;
    }

    fn work(&self) -> WorkTree<'_> {
        WorkTree {
            environment: &self.environment,
            repository: &self.repository,
            commit: self.commit,
            files_path: Some(&self.uploads),
        }
    }

    /// What we say differs, as `git diff --numstat` and `--name-status` would.
    fn changes(&self) -> Vec<String> {
        let changes = self.work().diffstat().unwrap();
        let word = |status| match status {
            Status::Added => 'A',
            Status::Modified => 'M',
            Status::Deleted => 'D',
            Status::TypeChanged => 'T',
        };
        changes
            .iter()
            .map(|change| {
                let Change {
                    path,
                    status,
                    additions,
                    deletions,
                } = change;
                format!("{} {additions} {deletions} {path}", word(*status))
            })
            .collect()
    }

    fn commit(&self, paths: Option<&[SitePath]>) -> Result<Option<Committed>, WorkError> {
        let permit = self.bench.permit();
        self.work()
            .commit(&permit, paths, &|_| false, "Work", &author())
    }

    fn discard(&self, paths: Option<&[SitePath]>) -> Result<Option<Saved>, WorkError> {
        let permit = self.bench.permit();
        self.work()
            .discard(&permit, paths, "before a discard", &author())
    }

    fn restore(&self, id: &str) -> Result<Vec<SitePath>, WorkError> {
        self.work().restore(&self.bench.permit(), id)
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.code.join(path), text);
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.code.join(path)).unwrap()
    }

    fn remove(&self, path: &str) {
        let path = self.code.join(path);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    fn listed(&self, commit: Oid) -> String {
        let commit = commit.to_string();
        let arguments = ["ls-tree", "-r", "--format=%(objectmode) %(path)", &commit];
        git(self.repository.path(), &arguments)
    }
}

fn path(text: &str) -> SitePath {
    SitePath::normalize(text.as_bytes()).unwrap()
}

#[test]
fn every_kind_of_change_is_seen_counted_and_committed() {
    let site = Site::new(&[
        ("a.php", "1\n2\n3\n"),
        ("b.php", "b\n"),
        ("c.php", "c\n"),
        ("d/e.php", "e\n"),
        ("f", "f\n"),
        ("run", "#!\n"),
        ("same", "same\n"),
    ]);
    assert_eq!(site.changes(), [""; 0]);
    site.write("a.php", "1\n2!\n3\n4\n");
    site.remove("b.php");
    site.remove("c.php");
    symlink("/etc/passwd", site.code.join("c.php")).unwrap();
    site.remove("d");
    site.write("d", "now a file\n");
    site.remove("f");
    site.write("f/g", "now a folder\n");
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(site.code.join("run"), executable).unwrap();
    site.write("binary", "\0\n\n");
    site.write("no-end", "no end of line");
    let latin = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(site.code.join(latin), "latin\n").unwrap();
    // None of these is code.
    site.write(".git/config", "planted");
    site.write("lib/.GIT/config", "planted");
    nix::unistd::mkfifo(&site.code.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(site.environment.files().join("cat.jpg"), "cat").unwrap();
    site.write("same", "same\n");
    assert_eq!(
        site.changes(),
        [
            "M 2 1 a.php",
            "D 0 1 b.php",
            "A 0 0 binary",
            "T 1 1 c.php",
            "A 1 0 caf\\xe9",
            "A 1 0 d",
            "D 0 1 d/e.php",
            "D 0 1 f",
            "A 1 0 f/g",
            "A 1 0 no-end",
            "M 0 0 run",
        ]
    );
    let committed = site.commit(None).unwrap().unwrap();
    assert_eq!(committed.files.len(), 11);
    assert_eq!(
        site.listed(committed.commit),
        "100644 a.php\n100644 binary\n120000 c.php\n100644 caf\u{fffd}\n100644 d\n100644 f/g\n\
         100644 no-end\n100755 run\n100644 same\n"
    );
    let name = committed.commit.to_string();
    let shown = git(
        site.repository.path(),
        &["show", "-s", "--format=%an|%ae|%B|%P", &name],
    );
    assert_eq!(
        shown,
        format!("Alice|alice@example.com|Work\n|{}\n", site.commit)
    );
    git(
        site.repository.path(),
        &["fsck", "--strict", "--no-dangling"],
    );
    let main = git(site.repository.path(), &["rev-parse", "main"]);
    assert_eq!(main.trim(), site.commit.to_string());
    fs::remove_dir_all(site.code.join(".git")).unwrap();
    fs::remove_dir_all(site.code.join("lib")).unwrap();
    fs::remove_file(site.code.join("pipe")).unwrap();
    let differences = verify(
        &site.repository,
        committed.commit,
        &site.code,
        Some(&site.uploads),
    )
    .unwrap();
    assert_eq!(differences, []);
}

/// Changes a tree by chance many times and asks git each time.
#[test]
fn ignored_files_are_no_work_but_are_kept_when_the_tree_goes() {
    let mut site = Site::new(&[
        ("a", "a\n"),
        ("cache/kept", "tracked\n"),
        (".gitignore", "*.log\n"),
    ]);
    site.write(".gitignore", "*.log\ncache/\n.env\n");
    site.write("x.log", "log\n");
    site.write("cache/big", "big\n");
    site.write("cache/kept", "changed\n");
    site.write("vendor/cache/y", "y\n");
    site.write(".env", "secret\n");
    assert_eq!(site.changes(), ["M 2 0 .gitignore", "M 1 1 cache/kept"]);
    let ignored: Vec<_> = site.work().status().unwrap().1;
    assert_eq!(
        ignored,
        [
            path(".env"),
            path("cache/big"),
            path("vendor/cache"),
            path("x.log")
        ]
    );
    let permit = site.bench.permit();
    let saved = site
        .work()
        .save(&permit, None, true, "before a switch", &author())
        .unwrap()
        .unwrap();
    assert_eq!(saved.files, 6);
    assert_eq!(site.read(".env"), "secret\n");
    site.deploy(site.commit);
    assert!(!site.code.join(".env").exists());
    assert_eq!(site.restore(&saved.id).unwrap().len(), 6);
    assert_eq!(site.read(".env"), "secret\n");
    assert_eq!(site.work().status().unwrap().1, ignored);
}

#[test]
fn a_part_can_be_committed_and_open_files_wait() {
    let site = Site::new(&[("a", "a\n"), ("d/b", "b\n"), ("d/c", "c\n"), ("e", "e\n")]);
    for name in ["a", "d/b", "d/c", "new"] {
        site.write(name, "changed\n");
    }
    site.remove("e");
    let part = site.commit(Some(&[path("d"), path("e")])).unwrap().unwrap();
    assert_eq!(part.files, [path("d/b"), path("d/c"), path("e")]);
    let one = site.commit(Some(&[path("d/c")])).unwrap().unwrap();
    assert_eq!(one.files, [path("d/c")]);
    assert!(site.commit(Some(&[path("wp-content")])).unwrap().is_none());
    assert!(matches!(
        site.commit(Some(&[path("d"), path("typo")])),
        Err(WorkError::NoSuchPath(wrong)) if wrong == path("typo")
    ));
    let writing = [path("a"), path("new")];
    let open = ["a", "new"].map(|name| {
        let found = fs::metadata(site.code.join(name)).unwrap();
        (found.dev(), found.ino())
    });
    let permit = site.bench.permit();
    let all = site
        .work()
        .commit(&permit, None, &|file| open.contains(&file), "x", &author())
        .unwrap()
        .unwrap();
    assert_eq!(all.left_out, writing);
    assert_eq!(
        site.listed(all.commit),
        "100644 a\n100644 d/b\n100644 d/c\n"
    );
    let work = WorkTree {
        commit: all.commit,
        ..site.work()
    };
    let left = work.diffstat().unwrap();
    assert_eq!(
        left.iter()
            .map(|change| change.path.clone())
            .collect::<Vec<_>>(),
        writing
    );
    let other = site.bench.permit_for("other");
    assert!(
        site.work()
            .commit(&other, None, &|_| false, "x", &author())
            .is_err()
    );
    site.write("back\\slash", "x");
    match site.commit(None) {
        Err(WorkError::Unfit(names)) => assert!(names[0].contains("backslash"), "{names:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_that_hide_themselves_are_named() {
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let site = Site::new(&[("a", "a\n"), ("b", "b\n"), ("d/c", "c\n")]);
    fs::remove_file(site.code.join("a")).unwrap();
    site.write("a", "hidden\n");
    fs::set_permissions(site.code.join("a"), fs::Permissions::from_mode(0)).unwrap();
    assert_eq!(site.changes(), ["M 0 0 a"]);
    for outcome in [site.commit(None).err(), site.discard(None).err()] {
        assert!(matches!(outcome, Some(WorkError::Unreadable(paths)) if paths == [path("a")]));
    }
    // A folder that hides its files has not lost them.
    fs::set_permissions(site.code.join("d"), fs::Permissions::from_mode(0)).unwrap();
    assert!(site.work().diffstat().is_err());
    fs::set_permissions(site.code.join("d"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_warm_comparison_reads_no_file_and_misses_no_change() {
    let site = Site::new(&[("a", "a\n"), ("b", "b\n")]);
    site.write("c", "c\n");
    assert_eq!(site.changes(), ["A 1 0 c"]);
    // Young files are not trusted by their description.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(site.changes(), ["A 1 0 c"]);
    let index = site.environment.index();
    let output = crate::site::git::command(site.repository.path())
        .env("GIT_INDEX_FILE", &index)
        .args(["ls-files", "--stage"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().lines().count(),
        3,
        "git can read it"
    );
    let written = fs::metadata(&index).unwrap().ino();
    assert_eq!(site.changes(), ["A 1 0 c"]);
    assert_eq!(
        fs::metadata(&index).unwrap().ino(),
        written,
        "nothing new to remember"
    );
    // The same size, and the old time put back.
    let file = site.code.join("a");
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, "x\n").unwrap();
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_eq!(site.changes(), ["M 1 1 a", "A 1 0 c"]);
    fs::write(&index, "damaged").unwrap();
    assert_eq!(site.changes(), ["M 1 1 a", "A 1 0 c"]);
}
