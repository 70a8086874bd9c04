//! The daemon is killed at each step of making, deleting, bringing back and merging a Multidev, and
//! of taking code back. The Multidev is there or not there afterwards, whole, with its branch and its
//! folder; what had been begun is completed or dropped at the next start, which says so.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use support::Client;

use crate::crash_site::{Scene, State};

#[test]
fn making_one() {
    let scene = Scene::new("crash-make");
    let points = [
        ("multidev-begun", Leaves::Old),
        ("multidev-folders", Leaves::Old),
        ("prepare-middle", Leaves::Old),
        ("prepare-end", Leaves::Old),
        ("intent-written", Leaves::Old),
        ("switch-before", Leaves::Old),
        ("switch-after", Leaves::Old),
        ("switched", Leaves::Old),
        ("move-refs-before", Leaves::Old),
        ("move-refs-after", Leaves::New),
        ("refs-moved", Leaves::New),
        ("completed", Leaves::Unrecorded),
        ("recorded", Leaves::Unrecorded),
    ];
    // What a release is not shared with, or there would be nothing to write.
    scene.change("newer");
    scene.push().run().ok();
    let act = || scene.console(&["multidev:create", "SITE.dev", "feature-x"]);
    let undo = || {
        scene
            .site
            .must(&["multidev:delete", "SITE.feature-x", "--delete-branch"]);
    };
    at_each(&scene, &points, || {}, act, undo);
}

#[test]
fn making_one_of_a_branch() {
    let scene = Scene::new("crash-branch");
    // Its branch is there already, so no ref moves and what counts is the pointer.
    let points = [
        ("multidev-folders", Leaves::Old),
        ("intent-written", Leaves::Old),
        ("switch-before", Leaves::Old),
        ("switch-after", Leaves::New),
        ("switched", Leaves::New),
        ("refs-moved", Leaves::New),
        ("completed", Leaves::Unrecorded),
    ];
    scene
        .clone
        .must(&["push", "--quiet", "dev", "HEAD:feature-x"]);
    let words = [
        "multidev:create",
        "SITE.dev",
        "feature-x",
        "--from-branch",
        "feature-x",
    ];
    let act = || scene.console(&words);
    let undo = || {
        scene.site.must(&["multidev:delete", "SITE.feature-x"]);
    };
    at_each(&scene, &points, || {}, act, undo);
}

#[test]
fn deleting_one() {
    let scene = Scene::new("crash-delete");
    create(&scene);
    for branch in [&["--delete-branch"][..], &[]] {
        let words = [&["multidev:delete", "SITE.feature-x"], branch].concat();
        let act = || scene.console(&words);
        let undo = || {
            scene.site.must(&["multidev:restore", "SITE.feature-x"]);
        };
        at_each(&scene, &GOING, || {}, act, undo);
    }
}

#[test]
fn bringing_one_back() {
    let scene = Scene::new("crash-back");
    create(&scene);
    let delete = || {
        scene
            .site
            .must(&["multidev:delete", "SITE.feature-x", "--delete-branch"]);
    };
    delete();
    let points = [
        ("multidev-folder-back", Leaves::Nothing),
        ("intent-written", Leaves::Old),
        ("switched", Leaves::Old),
        ("move-refs-before", Leaves::Old),
        ("move-refs-after", Leaves::New),
        ("refs-moved", Leaves::New),
        ("completed", Leaves::Unrecorded),
        ("recorded", Leaves::Unrecorded),
    ];
    let act = || scene.console(&["multidev:restore", "SITE.feature-x"]);
    at_each(&scene, &points, || {}, act, delete);
}

#[test]
fn merging_one() {
    let scene = Scene::new("crash-merge");
    create(&scene);
    let number = std::cell::Cell::new(0);
    let begin = || {
        number.set(number.get() + 1);
        let name = format!("merged-{}", number.get());
        scene.clone.must(&["fetch", "--quiet", "dev"]);
        scene
            .clone
            .must(&["checkout", "--quiet", "-B", "feature-x", "dev/feature-x"]);
        fs::write(scene.clone.folder().join(&name), &name).unwrap();
        scene.clone.commit("lib/footer.php", &name);
        let remote = scene.site.url("feature-x");
        scene.clone.must(&["push", "--quiet", &remote, "feature-x"]);
    };
    let act = || scene.console(&["multidev:merge-to-dev", "SITE.feature-x"]);
    at_each(&scene, &CHANGING, begin, act, || {});
}

#[test]
fn taking_code_back() {
    let scene = Scene::new("crash-revert");
    let wrong = std::cell::RefCell::new(String::new());
    let number = std::cell::Cell::new(0);
    let begin = || {
        number.set(number.get() + 1);
        scene.clone.must(&["fetch", "--quiet", "dev"]);
        scene
            .clone
            .must(&["reset", "--quiet", "--hard", "dev/main"]);
        wrong.replace(scene.change(&format!("wrong-{}", number.get())));
        scene.push().run().ok();
    };
    let act = || scene.console(&["env:revert", "SITE.dev", &wrong.borrow()]);
    at_each(&scene, &CHANGING, begin, act, || {});
}

#[test]
fn a_removal_for_good_that_was_cut_off_is_ended() {
    let scene = Scene::new("crash-removal");
    let before = seen(&scene);
    create(&scene);
    scene
        .site
        .must(&["multidev:delete", "SITE.feature-x", "--delete-branch"]);
    let kept = names(&scene, "deleted");
    let id = kept.first().unwrap();
    let folder = scene.gateway.data().join("sites/crash-removal/deleted");
    assert_eq!(scene.gateway.stop(Signal::SIGTERM), Some(0));
    fs::rename(folder.join(id), folder.join(format!("{id}.removing"))).unwrap();
    scene.gateway.serve();
    assert_eq!(seen(&scene), before);
}

/// A step, and what a crash there leaves.
type Point = (&'static str, Leaves);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaves {
    /// The old state, and no workflow had begun.
    Nothing,
    /// The old state; what had been begun is dropped.
    Old,
    /// The new state; what had been begun is completed.
    New,
    /// The new state; the audit lacks its row, which is added.
    Unrecorded,
}

/// The steps of what takes an environment away; its pointer does not turn.
const GOING: [Point; 8] = [
    ("intent-written", Leaves::Old),
    ("switched", Leaves::Old),
    ("move-refs-before", Leaves::Old),
    ("move-refs-after", Leaves::New),
    ("refs-moved", Leaves::New),
    ("completed", Leaves::Unrecorded),
    ("recorded", Leaves::Unrecorded),
    ("multidev-deleted", Leaves::Unrecorded),
];

/// The steps of what brings a commit to an environment.
const CHANGING: [Point; 9] = [
    ("prepare-end", Leaves::Old),
    ("intent-written", Leaves::Old),
    ("switch-before", Leaves::Old),
    ("switch-after", Leaves::Old),
    ("move-refs-before", Leaves::Old),
    ("move-refs-after", Leaves::New),
    ("refs-moved", Leaves::New),
    ("completed", Leaves::Unrecorded),
    ("recorded", Leaves::Unrecorded),
];

/// Kills the daemon at each point of what `act` does. `begin` makes something to do before, and
/// `undo` makes room for the next time.
fn at_each(
    scene: &Scene,
    points: &[Point],
    begin: impl Fn(),
    act: impl Fn() -> Client,
    undo: impl Fn(),
) {
    for &(point, leaves) in points {
        begin();
        let before = seen(scene);
        assert_eq!(scene.gateway.stop(Signal::SIGTERM), Some(0));
        scene.gateway.serve_with(&[("FUNICULAR_CRASH_AT", point)]);
        let finished = act().run();
        assert_ne!(finished.code, Some(0), "{point}: {finished}");
        let signal = scene.gateway.ended().signal();
        assert_eq!(signal, Some(9), "{point} was not reached: {finished}");
        let said = scene.recover();
        let after = seen(scene);
        let word = match leaves {
            Leaves::Nothing => "",
            Leaves::Old => "Dropped",
            Leaves::New => "Completed",
            Leaves::Unrecorded => "Recorded",
        };
        for one in ["Dropped", "Completed", "Recorded"] {
            assert_eq!(
                said.contains(one),
                one == word,
                "{point}: the log says\n{said}"
            );
        }
        match leaves {
            Leaves::Nothing | Leaves::Old => {
                assert_eq!(before, after, "{point} left something of the new state");
                act().run().ok();
                assert_ne!(before, seen(scene), "{point}: nothing was done");
            }
            Leaves::New | Leaves::Unrecorded => {
                assert_ne!(before, after, "{point} left the old state");
                // What is repaired needs no second time.
                act().run();
                assert_eq!(after, seen(scene), "{point}: it was half done");
            }
        }
        undo();
    }
}

/// All that may be seen of a site: `State`, its Multidevs, those that are kept, and what lies in the
/// folders of both.
type Seen = (State, BTreeSet<String>, BTreeSet<String>, BTreeSet<String>);

/// Reads it, after checking that it holds together.
#[track_caller]
fn seen(scene: &Scene) -> Seen {
    let state = scene.state();
    let environments = names(scene, "environments");
    let kept = names(scene, "deleted");
    let mut multidevs = BTreeSet::new();
    for row in scene.json(&["multidev:list", "SITE"]).as_array().unwrap() {
        let (name, commit) = (row["id"].as_str().unwrap(), row["commit"].as_str().unwrap());
        assert_eq!(
            state.reference(&format!("refs/heads/{name}")),
            Some(commit),
            "{name} and its branch"
        );
        let tree = scene.site.tree(name, "code");
        scene.tree_of(commit).must_equal(&tree);
        multidevs.insert(format!("{name} {commit}"));
    }
    let expected: BTreeSet<String> = multidevs
        .iter()
        .filter_map(|one| one.split(' ').next())
        .chain(["dev", "live", "test"])
        .map(str::to_owned)
        .collect();
    assert_eq!(environments, expected, "a folder without its environment");
    let deleted: BTreeSet<String> = scene
        .json(&["multidev:list", "SITE", "--deleted"])
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kept, deleted, "what is kept, and what is said to be");
    for id in &deleted {
        let hidden = format!("refs/funicular/deleted/feature-x/{id}");
        assert!(state.reference(&hidden).is_some(), "{hidden} is lost");
    }
    (state, multidevs, kept, deleted)
}

fn names(scene: &Scene, folder: &str) -> BTreeSet<String> {
    let site = scene.gateway.data().join("sites").join(&scene.site.name);
    fs::read_dir(site.join(folder))
        .into_iter()
        .flatten()
        .map(|found| found.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn create(scene: &Scene) {
    scene
        .site
        .must(&["multidev:create", "SITE.dev", "feature-x"]);
}
