//! A process is killed at the points of a deploy, and git in the middle of moving refs.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;

use policy::Environment;

use crate::site::layout::Layout;
use crate::site::release::{Origin, ReleaseKind, collect, current, prepare, switch, verify};
use crate::site::repository::{commit_of_ref, move_refs, open, sweep};
use crate::site::testing::{Bench, commit_all, git, write};
use crate::state::RefMove;

/// The steps of a deploy, in a process that another test kills among them.
#[test]
#[ignore = "is run by crashes_leave_the_old_or_the_new"]
fn deploys_in_a_process_of_its_own() {
    let mut bench = Bench::new();
    let data = std::env::var_os("FUNICULAR_TEST_DATA").unwrap();
    bench.layout = Layout::new(PathBuf::from(data));
    let permit = bench.permit();
    let repository = open(&bench.site().repository()).unwrap();
    let environment = bench.environment(Environment::Live);
    let new = commit_of_ref(&repository, "refs/heads/new")
        .unwrap()
        .unwrap();
    let old = commit_of_ref(&repository, "refs/heads/main")
        .unwrap()
        .unwrap();
    let origin = Origin {
        repository: &repository,
        quarantine: None,
        commit: new,
        progress: None,
    };
    let kind = ReleaseKind::ReadOnly;
    let prepared = prepare(&permit, &environment, &origin, kind, None, None).unwrap();
    let step = |name: &str, old: Option<git2::Oid>| RefMove {
        name: name.to_owned(),
        old: old.map(|old| old.to_string()),
        new: Some(new.to_string()),
    };
    let moves = [
        step("refs/heads/main", Some(old)),
        step("refs/tags/live_1", None),
    ];
    move_refs(&permit, &repository, &moves).unwrap();
    switch(&permit, &environment, prepared.generation).unwrap();
}

#[test]
fn crashes_leave_the_old_or_the_new() {
    for (at, moved, switched) in [
        ("prepare-middle", false, false),
        ("prepare-end", false, false),
        ("move-refs-before", false, false),
        ("move-refs-after", true, false),
        ("switch-before", true, false),
        ("switch-after", true, true),
        ("", true, true),
    ] {
        let bench = Bench::new();
        let permit = bench.permit();
        let (repository, old) = bench.repository(&[("a", "old")]);
        let clone = bench.clone();
        for number in 0..100 {
            write(&clone.join(format!("d/{number}")), "new");
        }
        let new = commit_all(&clone, "New");
        git(&clone, &["push", "-q", "origin", "HEAD:new"]);
        let environment = bench.environment(Environment::Live);
        let origin = Origin {
            repository: &repository,
            quarantine: None,
            commit: old,
            progress: None,
        };
        let kind = ReleaseKind::ReadOnly;
        let first = prepare(&permit, &environment, &origin, kind, None, None).unwrap();
        switch(&permit, &environment, first.generation).unwrap();
        let deploy = |at: &str| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--ignored"])
                .arg("site::crash_tests::deploys_in_a_process_of_its_own")
                .env("FUNICULAR_TEST_DATA", bench.temporary.path().join("data"))
                .env("FUNICULAR_CRASH_AT", at)
                .output()
                .unwrap()
        };
        let output = deploy(at);
        let killed = (!at.is_empty()).then_some(9);
        assert_eq!(output.status.signal(), killed, "{at}: {output:?}");
        let is_new = |switched| if switched { new } else { old };
        let main = commit_of_ref(&repository, "refs/heads/main").unwrap();
        assert_eq!(main, Some(is_new(moved)), "{at}");
        let tag = commit_of_ref(&repository, "refs/tags/live_1").unwrap();
        assert_eq!(tag.is_some(), moved, "{at}");
        let runs = current(&environment).unwrap().unwrap();
        assert_eq!(runs != first.generation, switched, "{at}");
        let whole = || {
            let runs = current(&environment).unwrap().unwrap();
            let commit = is_new(runs != first.generation);
            let differences = verify(&repository, commit, &environment.code(runs), None).unwrap();
            assert_eq!(differences, [], "{at}");
        };
        whole();
        git(repository.path(), &["fsck", "--strict", "--no-dangling"]);
        collect(&permit, &environment).unwrap();
        sweep(&permit, repository.path()).unwrap();
        whole();
        if !moved {
            assert!(deploy("").status.success(), "{at}: the next deploy");
            assert_ne!(current(&environment).unwrap().unwrap(), first.generation);
            whole();
        }
    }
}

/// Takes git's place: begins the transaction, and dies with git when the locks are taken.
const DYING_GIT: &str = r#"#!/bin/sh
PATH=${PATH#*:}
case " $* " in
*" update-ref "*)
    exec 3<&0
    { sed -z '/^commit$/d' <&3; sleep 2; } 2>/dev/null | git "$@" &
    sleep 1
    ls "$GIT_DIR/refs/heads" >"$0.seen"
    kill -9 $!
    kill -9 $$
    ;;
esac
exec git "$@"
"#;

#[test]
fn a_killed_git_holds_no_lock_for_ever() {
    let bench = Bench::new();
    let (repository, old) = bench.repository(&[("a", "old")]);
    let clone = bench.clone();
    write(&clone.join("a"), "new");
    let new = commit_all(&clone, "New");
    git(&clone, &["push", "-q", "origin", "HEAD:new"]);
    let dying = bench.temporary.path().join("dying/git");
    write(&dying, DYING_GIT);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&dying, executable).unwrap();
    let path = std::env::var("PATH").unwrap();
    let dying_path = format!("{}:{path}", dying.parent().unwrap().display());
    let deploy = |path: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored"])
            .arg("site::crash_tests::deploys_in_a_process_of_its_own")
            .env("FUNICULAR_TEST_DATA", bench.temporary.path().join("data"))
            .env("PATH", path)
            .output()
            .unwrap()
    };
    let output = deploy(&dying_path);
    assert_eq!(output.status.code(), Some(101), "{output:?}");
    let seen = std::fs::read_to_string(dying.with_file_name("git.seen")).unwrap();
    assert!(seen.contains("main.lock"), "{seen}");
    let main = || commit_of_ref(&repository, "refs/heads/main").unwrap();
    assert_eq!(main(), Some(old));
    assert!(deploy(&path).status.success(), "with nothing swept");
    assert_eq!(main(), Some(new));
}
