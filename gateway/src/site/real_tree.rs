//! Takes a real site through all effects and prints how long each took:
//! `FUNICULAR_TREE=/path cargo test real_tree -- --ignored --nocapture`.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use policy::{Environment, SitePath};

use super::import::{Source, create_repository};
use super::release::{Origin, ReleaseKind, Reuse, collect, prepare, switch, verify};
use super::repository::{forbidden_path, open};
use super::testing::{Bench, author, git, git_changes};
use super::work::WorkTree;

fn timed<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let value = act();
    println!(
        "{what:<40} {:>8.1} ms",
        begin.elapsed().as_secs_f64() * 1000.0
    );
    value
}

#[test]
#[ignore = "needs a tree of one's own"]
fn times_of_a_real_tree() {
    let tree = PathBuf::from(std::env::var_os("FUNICULAR_TREE").unwrap());
    let bench = Bench::new();
    let permit = bench.permit();
    let uploads = SitePath::normalize(b"wp-content/uploads").unwrap();
    let source = Source::Directory(tree);
    let made = timed("import", || {
        create_repository(
            &permit,
            &bench.site(),
            None,
            Some(&uploads),
            &source,
            &author(),
        )
        .unwrap()
    });
    let repository = open(&bench.site().repository()).unwrap();
    timed("forbidden_path, whole", || {
        forbidden_path(&repository, made.commit, None).unwrap()
    });
    let origin = Origin {
        repository: &repository,
        quarantine: None,
        commit: made.commit,
        progress: None,
    };
    let dev = bench.environment(Environment::Dev);
    let live = bench.environment(Environment::Live);
    let build = |what: &str, environment, origin: &Origin<'_>, kind, reuse| {
        let built = timed(what, || {
            prepare(&permit, environment, origin, kind, Some(&uploads), reuse).unwrap()
        });
        println!("    {built:?}");
        built.generation
    };
    let writable = build(
        "prepare, writable",
        &dev,
        &origin,
        ReleaseKind::Writable,
        None,
    );
    let first = build(
        "prepare, read-only",
        &live,
        &origin,
        ReleaseKind::ReadOnly,
        None,
    );
    timed("switch", || switch(&permit, &dev, writable).unwrap());
    switch(&permit, &live, first).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let code = dev.code(writable);
    let work = WorkTree {
        environment: &dev,
        repository: &repository,
        commit: made.commit,
        files_path: Some(&uploads),
    };
    assert!(timed("diffstat, cold", || work.diffstat().unwrap()).is_empty());
    for _ in 0..3 {
        assert!(timed("diffstat, warm", || work.diffstat().unwrap()).is_empty());
    }
    let mut changed = 0;
    for entry in fs::read_dir(&code).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let mut text = fs::read(&path).unwrap();
            text.extend_from_slice(b"// one line more\n");
            fs::write(path, text).unwrap();
            changed += 1;
        }
    }
    fs::write(code.join("added.php"), "<?php\n").unwrap();
    let differ = timed("diffstat, some files changed", || work.diffstat().unwrap()).len();
    assert_eq!(differ, changed + 1);
    let committed = timed("commit", || {
        work.commit(&permit, None, &|_| false, "Work", &author())
            .unwrap()
            .unwrap()
    });
    timed("forbidden_path, since the last", || {
        forbidden_path(&repository, committed.commit, Some(made.commit)).unwrap()
    });
    let saved = timed("discard", || {
        work.discard(&permit, None, "x", &author())
            .unwrap()
            .unwrap()
    });
    assert!(work.diffstat().unwrap().is_empty());
    timed("restore", || work.restore(&permit, &saved.id).unwrap());
    let next = Origin {
        commit: committed.commit,
        ..origin
    };
    let reuse = live.code(first);
    let reuse = Some(Reuse {
        code: &reuse,
        commit: made.commit,
    });
    let mut last = first;
    for _ in 0..3 {
        last = build(
            "prepare, linked",
            &live,
            &next,
            ReleaseKind::ReadOnly,
            reuse,
        );
    }
    let code = live.code(last);
    let differences = timed("verify", || {
        verify(&repository, committed.commit, &code, Some(&uploads)).unwrap()
    });
    assert_eq!(differences, []);
    switch(&permit, &live, last).unwrap();
    timed("collect", || collect(&permit, &live).unwrap());
    fs::remove_file(code.join("wp-content/uploads")).unwrap();
    assert_eq!(git_changes(&repository, committed.commit, &code), [""; 0]);
    timed("git fsck", || {
        git(repository.path(), &["fsck", "--strict", "--no-dangling"])
    });
}
