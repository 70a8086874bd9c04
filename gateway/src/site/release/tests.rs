//! Releases, with git itself as the judge.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use git2::{Oid, Repository};
use policy::{Environment, SitePath};

use super::*;
use crate::site::repository::open_in_quarantine;
use crate::site::testing::{Bench, commit_all, git, git_changes, write};

fn origin(repository: &Repository, commit: Oid) -> Origin<'_> {
    Origin {
        repository,
        quarantine: None,
        commit,
        progress: None,
    }
}

/// A site of all that git can keep, in two commits, pushed.
fn site(bench: &Bench) -> (Repository, Oid, Oid) {
    let (repository, _) = bench.repository(&[("a/b", "b"), ("a/c", "c"), ("index.php", "one")]);
    let clone = bench.clone();
    write(&clone.join("run"), "#!/bin/sh");
    fs::set_permissions(clone.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", clone.join("link")).unwrap();
    symlink("a", clone.join("folder-link")).unwrap();
    write(&clone.join("empty"), "");
    for number in 0..200 {
        write(
            &clone.join(format!("many/{number}/file")),
            &"x".repeat(number),
        );
    }
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(clone.join("a").join(name), "latin").unwrap();
    let large = vec![b'L'; crate::site::blobs::IN_MEMORY + 1];
    fs::write(clone.join("large"), large).unwrap();
    let one = commit_all(&clone, "One");
    write(&clone.join("index.php"), "two");
    fs::remove_file(clone.join("a/c")).unwrap();
    fs::set_permissions(clone.join("run"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(clone.join("folder-link")).unwrap();
    write(&clone.join("folder-link/inside"), "now a folder");
    let two = commit_all(&clone, "Two");
    git(&clone, &["push", "-q", "origin", "main"]);
    (repository, one, two)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_release_is_what_its_commit_says() {
    let bench = Bench::new();
    let (repository, one, two) = site(&bench);
    let environment = bench.environment(Environment::Live);
    let uploads = SitePath::normalize(b"wp-content/uploads").unwrap();
    let permit = bench.permit();
    for (commit, kind) in [(one, ReleaseKind::ReadOnly), (two, ReleaseKind::Writable)] {
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |done, all| told.lock().unwrap().push((done, all));
        let origin = Origin {
            progress: Some(&tell),
            ..origin(&repository, commit)
        };
        let prepared = prepare(&permit, &environment, &origin, kind, Some(&uploads), None).unwrap();
        assert_eq!(prepared.shared, 0);
        let code = environment.code(prepared.generation);
        let listed = git(repository.path(), &["ls-tree", "-r", &commit.to_string()]);
        assert_eq!(prepared.entries, listed.lines().count());
        let (all, told) = (prepared.entries, told.into_inner().unwrap());
        assert!(told.contains(&(all, all)), "{told:?}");
        assert_eq!(
            verify(&repository, commit, &code, Some(&uploads)).unwrap(),
            []
        );
        let link = code.join("wp-content/uploads");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("../../files"));
        fs::remove_file(link).unwrap();
        assert_eq!(git_changes(&repository, commit, &code), [""; 0]);
        let expected = match kind {
            ReleaseKind::ReadOnly => (0o444, 0o555),
            ReleaseKind::Writable => (0o644, 0o644),
        };
        assert_eq!(
            (mode(&code.join("index.php")), mode(&code.join("run"))),
            expected
        );
        assert_eq!(mode(&code.join("many/1")), 0o755);
        let files = environment.generation(prepared.generation).join("files");
        assert_eq!(
            fs::canonicalize(files).unwrap(),
            fs::canonicalize(environment.files()).unwrap()
        );
    }
    assert_eq!(fs::read_dir(environment.generations()).unwrap().count(), 2);
}

#[test]
fn unchanged_files_are_shared_between_read_only_releases_alone() {
    let bench = Bench::new();
    let (repository, one, two) = site(&bench);
    let permit = bench.permit();
    let live = bench.environment(Environment::Live);
    let test = bench.environment(Environment::Test);
    let build = |environment, commit, kind, reuse| {
        let origin = origin(&repository, commit);
        prepare(&permit, environment, &origin, kind, None, reuse).unwrap()
    };
    let first = build(&test, one, ReleaseKind::ReadOnly, None);
    let code = test.code(first.generation);
    let reuse = Some(Reuse {
        code: &code,
        commit: one,
    });
    let second = build(&live, two, ReleaseKind::ReadOnly, reuse);
    let linked = live.code(second.generation);
    // All but three changes, one new file and the link.
    assert_eq!(second.shared, second.entries - 4);
    assert_eq!(verify(&repository, two, &linked, None).unwrap(), []);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&code.join("a/b")), inode(&linked.join("a/b")));
    for changed in ["index.php", "run"] {
        assert_ne!(inode(&code.join(changed)), inode(&linked.join(changed)));
    }
    assert_eq!(fs::read(code.join("index.php")).unwrap(), b"one");
    let writable = build(&live, one, ReleaseKind::Writable, reuse);
    assert_eq!(writable.shared, 0);
    let written = live.code(writable.generation);
    assert_eq!(fs::metadata(written.join("a/b")).unwrap().nlink(), 1);
    let reuse = Some(Reuse {
        code: &written,
        commit: one,
    });
    assert_eq!(build(&live, one, ReleaseKind::ReadOnly, reuse).shared, 0);
    let wrong = Some(Reuse {
        code: &code,
        commit: two,
    });
    assert_eq!(build(&live, two, ReleaseKind::ReadOnly, wrong).shared, 0);
    assert_eq!(
        built_from(&code).unwrap(),
        Some((one, ReleaseKind::ReadOnly))
    );
    assert_eq!(
        built_from(&written).unwrap(),
        Some((one, ReleaseKind::Writable))
    );
    assert_eq!(built_from(&live.code(99)).unwrap(), None);
    assert_eq!(fs::metadata(written.join("a/b")).unwrap().nlink(), 1);
    discard(&permit, &live, second).unwrap();
    assert!(!linked.exists());
    assert_eq!(verify(&repository, one, &code, None).unwrap(), []);
}

#[test]
fn a_push_can_be_built_before_its_objects_are_kept() {
    let bench = Bench::new();
    let (kept, first) = bench.repository(&[("a", "a")]);
    let clone = bench.clone();
    write(&clone.join("b"), "b");
    let large = vec![b'L'; crate::site::blobs::IN_MEMORY + 1];
    fs::write(clone.join("large"), large).unwrap();
    let second = commit_all(&clone, "Second");
    let environment = bench.environment(Environment::Dev);
    let objects = clone.join(".git/objects");
    let repository = open_in_quarantine(kept.path(), &objects).unwrap();
    let origin = Origin {
        repository: &repository,
        quarantine: Some(&objects),
        commit: second,
        progress: None,
    };
    let kind = ReleaseKind::ReadOnly;
    let prepared = prepare(&bench.permit(), &environment, &origin, kind, None, None).unwrap();
    let code = environment.code(prepared.generation);
    assert_eq!(verify(&repository, second, &code, None).unwrap(), []);
    assert!(kept.find_commit(second).is_err());
    assert!(kept.find_commit(first).is_ok());
}

#[test]
fn a_release_that_cannot_be_built_leaves_nothing() {
    let bench = Bench::new();
    let (repository, commit) = bench.repository(&[("a/b", "b"), ("c", "c"), ("d", "d")]);
    let environment = bench.environment(Environment::Live);
    let kind = ReleaseKind::ReadOnly;
    let fails = |files_path: Option<&[u8]>, commit| {
        let files_path = files_path.map(|path| SitePath::normalize(path).unwrap());
        let origin = origin(&repository, commit);
        let built = prepare(
            &bench.permit(),
            &environment,
            &origin,
            kind,
            files_path.as_ref(),
            None,
        );
        let fault = built.unwrap_err().to_string();
        assert_eq!(fs::read_dir(environment.generations()).unwrap().count(), 0);
        fault
    };
    for taken in [&b"a"[..], b"a/b", b"c/d"] {
        fails(Some(taken), commit);
    }
    let odb = repository.odb().unwrap();
    let write = |kind, bytes: &[u8]| odb.write(kind, bytes).unwrap();
    let blob = write(git2::ObjectType::Blob, b"x");
    let commit_of = |entries: &[(&str, &str, Oid)]| {
        let mut tree = Vec::new();
        for (mode, name, oid) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            tree.extend_from_slice(oid.as_bytes());
        }
        let tree = write(git2::ObjectType::Tree, &tree);
        let text = format!("tree {tree}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n");
        write(git2::ObjectType::Commit, text.as_bytes())
    };
    fails(None, commit_of(&[("160000", "sub", commit)]));
    let folder = write(
        git2::ObjectType::Tree,
        &[b"100644 evil\0", blob.as_bytes()].concat(),
    );
    let outside = write(git2::ObjectType::Blob, b"../..");
    // A name that is both a link and a folder would lead out of the release.
    fails(
        None,
        commit_of(&[("120000", "a", outside), ("40000", "a", folder)]),
    );
    assert!(!environment.generations().join("evil").exists());
    fails(None, commit_of(&[("100644", "..", blob)]));
    fails(None, commit_of(&[("100644", "x/y", blob)]));
    fails(None, commit_of(&[("40000", "..", folder)]));
    fails(
        None,
        "1234567890123456789012345678901234567890".parse().unwrap(),
    );
    // A file that the repository has lost.
    let object = blob.to_string();
    let (first, rest) = object.split_at(2);
    let lost = commit_of(&[("100644", "a", blob), ("100644", "b", blob)]);
    fs::remove_file(repository.path().join("objects").join(first).join(rest)).unwrap();
    fails(None, lost);
    let permit = bench.permit_for("other");
    let origin = origin(&repository, commit);
    assert!(prepare(&permit, &environment, &origin, kind, None, None).is_err());
}
