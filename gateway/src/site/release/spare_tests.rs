//! The spare generation: what is made of it is what its commit says, and whatever is wrong with it
//! costs only time.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use git2::{Oid, Repository};
use policy::{Environment, SitePath};

use super::*;
use crate::site::folder::Folder;
use crate::site::layout::EnvironmentLayout;
use crate::site::testing::{Bench, commit_all, git, git_changes, write};

struct Releases {
    bench: Bench,
    repository: Repository,
    environment: EnvironmentLayout,
    uploads: Option<SitePath>,
    newest: Oid,
}

impl Releases {
    fn new() -> Self {
        let bench = Bench::new();
        let (repository, newest) =
            bench.repository(&[("a/b/c", "c"), ("a/d", "d"), ("keep/x", "x"), ("run", "r")]);
        bench.clone();
        let environment = bench.environment(Environment::Live);
        Self {
            bench,
            repository,
            environment,
            uploads: Some(SitePath::normalize(b"wp/uploads").unwrap()),
            newest,
        }
    }

    fn clone(&self) -> PathBuf {
        self.bench.temporary.path().join("clone")
    }

    fn commit(&mut self, change: impl FnOnce(&std::path::Path)) {
        change(&self.clone());
        self.newest = commit_all(&self.clone(), "Next");
        git(&self.clone(), &["push", "-q", "origin", "HEAD:main"]);
    }

    /// Deploys the newest commit as a change does, and compares it with that.
    fn deploy(&self) -> Prepared {
        let permit = self.bench.permit();
        let origin = Origin {
            repository: &self.repository,
            quarantine: None,
            commit: self.newest,
            progress: None,
        };
        let running = current(&self.environment).unwrap();
        let code = running.map(|number| self.environment.code(number));
        let reuse = code.as_deref().map(|code| Reuse {
            code,
            commit: built_from(code).unwrap().unwrap().0,
        });
        let kind = ReleaseKind::ReadOnly;
        let uploads = self.uploads.as_ref();
        let prepared = prepare(&permit, &self.environment, &origin, kind, uploads, reuse).unwrap();
        let code = self.environment.code(prepared.generation);
        let differences = verify(&self.repository, self.newest, &code, uploads).unwrap();
        assert_eq!(differences, []);
        if let Some(uploads) = uploads {
            let link = code.join(uploads.to_string());
            let target = fs::read_link(&link).unwrap();
            fs::remove_file(&link).unwrap();
            let changes = git_changes(&self.repository, self.newest, &code);
            symlink(target, link).unwrap();
            assert_eq!(changes, [""; 0]);
        }
        let record = built_from(&code).unwrap();
        assert_eq!(record, Some((self.newest, ReleaseKind::ReadOnly)));
        switch(&permit, &self.environment, prepared.generation).unwrap();
        collect(&permit, &self.environment).unwrap();
        prepared
    }

    fn spare(&self) -> PathBuf {
        self.environment.generations().join("spare")
    }

    fn with_a_spare() -> Self {
        let mut releases = Self::new();
        for number in 0..4 {
            assert!(!releases.spare().exists());
            releases.commit(|clone| write(&clone.join("a/d"), &format!("{number}")));
            let _ = releases.deploy();
        }
        assert!(releases.spare().is_dir());
        releases
    }
}

fn inode(path: PathBuf) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

#[test]
fn the_oldest_release_becomes_the_next() {
    let mut releases = Releases::with_a_spare();
    let folder = inode(releases.spare().join("code/keep"));
    releases.commit(|clone| {
        fs::remove_file(clone.join("a/b/c")).unwrap();
        write(&clone.join("new/folder/file"), "new");
        fs::set_permissions(clone.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    let prepared = releases.deploy();
    let code = releases.environment.code(prepared.generation);
    assert_eq!(
        inode(code.join("keep")),
        folder,
        "the folder is the spare's"
    );
    assert!(!code.join("a/b").exists(), "a commit has no empty folders");
    // What changed between the spare and now is shared with what ran before.
    let before = releases.environment.code(prepared.generation - 1);
    assert_eq!(inode(code.join("a/d")), inode(before.join("a/d")));
    assert_eq!(prepared.entries - prepared.shared, 2);
    let mode = fs::metadata(code.join("new/folder/file")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o444);
    assert!(releases.spare().is_dir(), "the next one");
    releases.commit(|clone| {
        fs::remove_dir_all(clone.join("new")).unwrap();
        write(&clone.join("new"), "now a file");
        fs::remove_file(clone.join("run")).unwrap();
        write(&clone.join("run/now/a"), "folder");
    });
    let _ = releases.deploy();
    for _ in 0..4 {
        // The same commit again, and again.
        let _ = releases.deploy();
    }
    assert_eq!(
        fs::read_dir(releases.environment.generations())
            .unwrap()
            .count(),
        4
    );
}

#[test]
fn a_spare_that_is_not_what_it_was_is_not_used() {
    let writes: [fn(&std::path::Path); 7] = [
        |spare| write(&spare.join("code/added"), "x"),
        |spare| fs::remove_file(spare.join("code/a/b/c")).unwrap(),
        |spare| fs::remove_file(spare.join("code/a/d")).unwrap(),
        |spare| fs::remove_file(spare.join("built-from")).unwrap(),
        |spare| {
            fs::remove_file(spare.join("built-from")).unwrap();
            write(
                &spare.join("built-from"),
                "1234567890123456789012345678901234567890 read-only 4\n",
            );
        },
        |spare| fs::remove_file(spare.join("code/wp/uploads")).unwrap(),
        |spare| fs::remove_dir_all(spare.join("code")).unwrap(),
    ];
    for (number, spoil) in writes.into_iter().enumerate() {
        let mut releases = Releases::with_a_spare();
        write(&releases.spare().join("mark"), "the spare");
        spoil(&releases.spare());
        releases.commit(|clone| write(&clone.join("a/d"), "new"));
        let prepared = releases.deploy();
        let new = releases.environment.generation(prepared.generation);
        assert!(!new.join("mark").exists(), "{number}");
    }
}

#[test]
fn a_spare_does_not_outlive_a_change_of_the_uploads() {
    for uploads in [None, Some("media"), Some("a/media")] {
        let mut releases = Releases::with_a_spare();
        releases.uploads = uploads.map(|path| SitePath::normalize(path.as_bytes()).unwrap());
        releases.commit(|clone| write(&clone.join("a/d"), "new"));
        let prepared = releases.deploy();
        let code = releases.environment.code(prepared.generation);
        assert!(!code.join("wp").exists(), "{uploads:?}");
    }
}

#[test]
fn what_may_be_written_in_is_no_spare_and_comes_of_none() {
    let releases = Releases::with_a_spare();
    let origin = Origin {
        repository: &releases.repository,
        quarantine: None,
        commit: releases.newest,
        progress: None,
    };
    let (permit, uploads) = (releases.bench.permit(), releases.uploads.as_ref());
    let kind = ReleaseKind::Writable;
    let prepared = prepare(&permit, &releases.environment, &origin, kind, uploads, None).unwrap();
    assert!(releases.spare().is_dir(), "it was left");
    let code = releases.environment.code(prepared.generation);
    assert_eq!(fs::metadata(code.join("a/d")).unwrap().nlink(), 1);
    fs::remove_dir_all(releases.spare()).unwrap();
    let generations = Folder::open(&releases.environment.generations()).unwrap();
    let name = |number: u64| number.to_string().into_bytes();
    assert!(!spare::keep(&generations, &name(prepared.generation)).unwrap());
    assert!(spare::keep(&generations, &name(prepared.generation - 1)).unwrap());
    assert!(
        !spare::keep(&generations, &name(prepared.generation - 2)).unwrap(),
        "one is enough"
    );
}

#[test]
fn a_generation_that_never_ran_is_no_spare() {
    let mut releases = Releases::with_a_spare();
    fs::remove_dir_all(releases.spare()).unwrap();
    releases.commit(|clone| write(&clone.join("a/d"), "new"));
    let permit = releases.bench.permit();
    let origin = Origin {
        repository: &releases.repository,
        quarantine: None,
        commit: releases.newest,
        progress: None,
    };
    let kind = ReleaseKind::ReadOnly;
    let uploads = releases.uploads.as_ref();
    let prepared = prepare(&permit, &releases.environment, &origin, kind, uploads, None).unwrap();
    let removed = collect(&permit, &releases.environment).unwrap();
    assert_eq!(removed, [prepared.generation]);
    assert!(!releases.spare().exists());
}
