//! The daemon is killed at each point of each operation that changes an environment. It leaves the
//! old state or the new one, ends at its next start what had been begun, and says so; what is
//! served meanwhile is always a whole release.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::crash_operations::{Operation, Wanted};
use crate::crash_points::{Point, chosen, rounds};
use crate::crash_reader::Reader;
use crate::crash_site::{Scene, State};

/// Kills the daemon at each point of an operation; what the points are is seen by running it once.
pub(crate) fn kill_at_each(operation: &Operation) {
    let scene = Scene::new(&format!("crash-{}", operation.place));
    let points = recorded(&scene, operation);
    let reader = Reader::of(&scene, watched(operation));
    let (mut tried, mut after_turn) = (0, None);
    for round in 0..rounds().unwrap_or(1) {
        after_turn = None;
        for (number, point) in chosen(&points, operation.place, operation.step(5))
            .iter()
            .enumerate()
        {
            let what = format!("k{round}-{number}");
            let Some(is_new) = one_kill(&scene, operation, point, &what) else {
                continue;
            };
            tried += 1;
            if point.is_aside() {
                continue;
            }
            match after_turn {
                None if is_new => after_turn = Some(point.clone()),
                Some(ref turned) => {
                    assert!(is_new, "{turned} leads to the new state, {point} back")
                }
                None => {}
            }
        }
    }
    let turned = after_turn.expect("late enough, a crash leaves the new state");
    // A change of mode moves no ref, so the pointer decides.
    let expected = match operation.name {
        "sftp_mode" | "git_mode" => "pointer-renamed",
        _ if operation.turns_content() => "content-pointer-renamed",
        _ => "move-refs-after",
    };
    assert_eq!(turned.name, expected, "the first that leaves the new state");
    if operation.place == 0 || rounds().is_some() {
        tried += kill_repairs(&scene, operation);
    }
    let passes = reader.end(&scene);
    println!(
        "{}: the daemon was killed at {tried} points (it has {}), 0 failures; {passes} passes of the reader",
        operation.name,
        points.len(),
    );
}

/// What the reader watches: code that is being edited over SFTP is no release.
pub(crate) fn watched(operation: &Operation) -> &'static [&'static str] {
    match operation.name {
        "commit" => &["test", "live"],
        _ => &["dev", "test", "live"],
    }
}

/// Returns the points that an operation passes.
pub(crate) fn recorded(scene: &Scene, operation: &Operation) -> Vec<Point> {
    // Until nothing is new any more: at first there are no old releases to collect, and no spare one
    // to build the next of.
    for number in 0..4 {
        let what = format!("before-{}-{number}", operation.place);
        (operation.begin)(scene, &what);
        (operation.act)(scene, &what).run().ok();
    }
    let what = format!("recorded-{}", operation.place);
    (operation.begin)(scene, &what);
    scene.settle();
    scene.faults.record();
    (operation.act)(scene, &what).run().ok();
    scene.settle();
    let points = scene.faults.recorded();
    scene.state();
    let pointer = match operation.turns_content() {
        true => "content-pointer-renamed",
        false => "pointer-renamed",
    };
    for needed in [pointer, "state-after: completing a workflow"] {
        let has = points.iter().any(|point| point.name == needed);
        let turns_nothing = ["commit", "multidev_delete"].contains(&operation.name);
        assert!(has || turns_nothing, "{needed} is not in {points:?}");
    }
    points
}

/// Kills the daemon at one point and looks at what that leaves. Returns whether it is the new
/// state; none if the point was not passed, as may be with what goes on in the background.
fn one_kill(scene: &Scene, operation: &Operation, point: &Point, what: &str) -> Option<bool> {
    let wanted = (operation.begin)(scene, what);
    let before = scene.state();
    scene.faults.kill(point);
    let finished = (operation.act)(scene, what).run();
    let limit = match (point.is_aside(), finished.code) {
        (true, Some(0)) => Duration::from_secs(2),
        _ => Duration::from_secs(30),
    };
    let ended = scene.gateway.ended_within(limit);
    scene.faults.clear();
    let Some(ended) = ended else {
        assert!(point.is_aside(), "{point} was not reached: {finished}");
        finished.ok();
        return None;
    };
    assert_eq!(ended.signal(), Some(9), "{point}: {finished}");
    let said = scene.recover();
    let is_new = look(
        scene,
        operation,
        &wanted,
        &before,
        &said,
        &point.to_string(),
    );
    if finished.code == Some(0) {
        assert!(
            is_new,
            "{point}: success was told and taken back: {finished}"
        );
    }
    if !is_new {
        (operation.act)(scene, what).run().ok();
        let again = scene.state();
        let arrived = wanted.is_there(operation.environment, &before, &again);
        assert!(arrived, "{point}: the next try leads to {again:?}");
    }
    Some(is_new)
}

/// Checks that the state is the old one or the new one, and that what repair says fits; returns
/// whether it is the new one.
#[track_caller]
fn look(
    scene: &Scene,
    operation: &Operation,
    wanted: &Wanted,
    before: &State,
    said: &str,
    point: &str,
) -> bool {
    let after = scene.state();
    let is_new = wanted.is_there(operation.environment, before, &after);
    if is_new {
        for (name, found) in &after.environments {
            if *name != operation.environment {
                assert_eq!(found, &before.environments[name], "{point} changed {name}");
            }
        }
    } else {
        assert_eq!(*before, after, "{point} left something of the new state");
    }
    let unfit: &[&str] = if is_new {
        &["Dropped"]
    } else {
        &["Completed", "Recorded"]
    };
    for word in unfit {
        assert!(!said.contains(word), "{point}: new: {is_new}, and:\n{said}");
    }
    is_new
}

/// Kills the daemon in the middle of an operation, and then at each point of the repair of that;
/// the start after that ends it. Returns how many kills there were.
fn kill_repairs(scene: &Scene, operation: &Operation) -> usize {
    let mut tried = 0;
    for (number, at) in ["pointer-renamed", "move-refs-after"].iter().enumerate() {
        let crash = |what: &str| {
            let wanted = (operation.begin)(scene, what);
            let before = scene.state();
            scene.faults.kill(&Point {
                name: (*at).to_owned(),
                time: 1,
            });
            let _ = (operation.act)(scene, what).run();
            scene.gateway.ended();
            scene.faults.clear();
            (wanted, before)
        };
        let what = format!("r{number}");
        let (wanted, before) = crash(&what);
        scene.faults.record();
        let said = scene.recover();
        let points = scene.faults.recorded();
        let is_new = look(scene, operation, &wanted, &before, &said, at);
        for (inner, point) in points.iter().filter(|point| !point.is_aside()).enumerate() {
            let (wanted, before) = crash(&format!("{what}-{inner}"));
            scene.faults.kill(point);
            let died = scene.serve_to_die();
            scene.faults.clear();
            let said = scene.recover();
            let told = format!("{at}, then {point} in its repair (died: {died})");
            let now = look(scene, operation, &wanted, &before, &said, &told);
            assert_eq!(now, is_new, "{told}");
            tried += 1;
        }
    }
    tried
}

#[test]
fn the_daemon_is_killed_by_nobody_in_between() {
    // The harness itself: without an order nothing happens, and one that names no point neither.
    let scene = Scene::new("crash-none");
    scene.faults.kill(&Point {
        name: "no such point".to_owned(),
        time: 1,
    });
    let commit = scene.change("untouched");
    scene.push().run().ok();
    assert_eq!(scene.runs("dev"), commit);
    assert!(!scene.faults.reached());
    assert_eq!(scene.gateway.stop(Signal::SIGTERM), Some(0));
}
