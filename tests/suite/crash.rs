//! The daemon is killed at each step of each operation that changes an environment. It leaves the
//! old state or the new one, repairs at its next start what had been begun, and says so.

use support::Client;

use crate::crash_site::{Scene, State};

#[test]
fn a_push_to_dev() {
    let scene = Scene::new("crash-push");
    let begin = |point: &str| scene.change(point);
    let act = |_: &str| scene.push();
    at_each(&scene, "dev", &POINTS, begin, act);
}

#[test]
fn a_deploy_to_test() {
    let scene = Scene::new("crash-test");
    let begin = |point: &str| {
        let commit = scene.change(point);
        scene.push().run().ok();
        commit
    };
    let act = |_: &str| scene.console(&["env:deploy", "SITE.test", "--note", "to test"]);
    at_each(&scene, "test", &POINTS, begin, act);
}

#[test]
fn a_deploy_to_live() {
    let scene = Scene::new("crash-live");
    let begin = |point: &str| {
        let commit = scene.change(point);
        scene.push().run().ok();
        scene.site.must(&["env:deploy", "SITE.test"]);
        commit
    };
    let act = |_: &str| scene.console(&["env:deploy", "SITE.live", "--note", "to live"]);
    at_each(&scene, "live", &POINTS, begin, act);
}

#[test]
fn a_hotfix_to_live() {
    let scene = Scene::new("crash-hotfix");
    let begin = |point: &str| scene.change(point);
    let act = |point: &str| {
        let branch = format!("HEAD:refs/heads/hotfix/{point}");
        scene
            .clone
            .git(&["push", "-o", "reason=a test", "live", &branch])
    };
    at_each(&scene, "live", &POINTS, begin, act);
    // What was repaired is a hotfix like any other.
    scene.site.must(&["hotfix:merge", "SITE", "refs-moved"]);
    scene.state();
}

#[test]
fn a_rollback_of_live() {
    let scene = Scene::new("crash-rollback");
    let begin = |point: &str| {
        let live = scene.state().environments["live"].commit.clone();
        scene.change(point);
        scene.push().run().ok();
        scene.site.must(&["env:deploy", "SITE.test"]);
        scene.site.must(&["env:deploy", "SITE.live"]);
        live.expect("Live is deployed")
    };
    let act = |_: &str| scene.console(&["env:rollback", "SITE.live", "--note", "back"]);
    at_each(&scene, "live", &POINTS, begin, act);
}

#[test]
fn a_switch_of_the_mode() {
    let scene = Scene::new("crash-mode");
    // No ref moves, so the pointer says what is to be.
    let points = POINTS
        .iter()
        .filter(|point| !point.0.starts_with("move-refs"));
    let points: Vec<Point> = points
        .map(|&(name, leaves)| match name {
            "switch-after" | "switched" | "verified" => (name, Leaves::New),
            _ => (name, leaves),
        })
        .collect();
    let act = |mode: &'static str| {
        let scene = &scene;
        move |_: &str| scene.console(&["connection:set", "SITE.dev", mode, "--yes"])
    };
    // Test runs an older commit, or there would be nothing to write for Git mode.
    scene.change("newer");
    scene.push().run().ok();
    for (from, to) in [("git", "sftp"), ("sftp", "git")] {
        let begin = |_: &str| {
            act(from)("").run().ok();
            to.to_owned()
        };
        at_each(&scene, "dev", &points, begin, act(to));
    }
}

/// A step, and what a crash there leaves.
type Point = (&'static str, Leaves);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaves {
    /// The old state; what had been begun is dropped.
    Old,
    /// The new state; what had been begun is completed.
    New,
    /// The new state; the audit lacks its row, which is added.
    Unrecorded,
}

/// The steps in their order. A release that has been switched to is turned back as long as no ref
/// says that it is to stay.
const POINTS: [Point; 12] = [
    ("prepare-middle", Leaves::Old),
    ("prepare-end", Leaves::Old),
    ("intent-written", Leaves::Old),
    ("switch-before", Leaves::Old),
    ("switch-after", Leaves::Old),
    ("switched", Leaves::Old),
    ("verified", Leaves::Old),
    ("move-refs-before", Leaves::Old),
    ("move-refs-after", Leaves::New),
    ("refs-moved", Leaves::New),
    ("completed", Leaves::Unrecorded),
    ("recorded", Leaves::Unrecorded),
];

/// Kills the daemon at each point of what `act` does. `begin` makes something to do, and returns
/// the commit or the mode that `environment` then has.
fn at_each(
    scene: &Scene,
    environment: &'static str,
    points: &[Point],
    begin: impl Fn(&str) -> String,
    act: impl Fn(&str) -> Client,
) {
    for &(point, leaves) in points {
        let wanted = begin(point);
        let before = scene.state();
        let rows = scene.rows(environment);
        scene.restart_to_die_at(point);
        let finished = act(point).run();
        assert_ne!(finished.code, Some(0), "{point}: {finished}");
        let ended = scene.gateway.ended();
        let signal = std::os::unix::process::ExitStatusExt::signal(&ended);
        assert_eq!(signal, Some(9), "{point} was not reached: {finished}");

        let said = scene.recover();
        let after = scene.state();
        let (word, is_new) = match leaves {
            Leaves::Old => ("Dropped", false),
            Leaves::New => ("Completed", true),
            Leaves::Unrecorded => ("Recorded", true),
        };
        for one in ["Dropped", "Completed", "Recorded"] {
            let expected = word == one;
            assert_eq!(
                said.contains(one),
                expected,
                "{point}: the log says\n{said}"
            );
        }
        if is_new {
            runs(&after, environment, &wanted, point);
            unchanged_elsewhere(&before, &after, environment);
            let now = scene.rows(environment);
            assert!(now > rows, "{point}: no row of the audit tells of it");
            continue;
        }
        assert_eq!(before, after, "{point} left something of the new state");
        act(point).run().ok();
        let again = scene.state();
        runs(&again, environment, &wanted, point);
        unchanged_elsewhere(&before, &again, environment);
    }
    let _ = begin("at-the-end");
    act("at-the-end").run().ok();
    scene.state();
}

#[track_caller]
fn runs(state: &State, environment: &str, wanted: &str, point: &str) {
    let found = &state.environments[environment];
    let wanted = Some(wanted.to_owned());
    assert!(
        found.commit == wanted || found.mode == wanted,
        "{point} should lead to {wanted:?}: {found:?}"
    );
}

#[track_caller]
fn unchanged_elsewhere(before: &State, after: &State, environment: &str) {
    for (name, found) in &after.environments {
        if *name != environment {
            assert_eq!(
                found, &before.environments[name],
                "{name} has nothing to do with it"
            );
        }
    }
}
