//! The disk is full from one point of an operation on. Whoever waits is told so, or of success; what
//! had been begun is ended when there is room again, with no restart.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Gateway, wait_for};

use crate::crash;
use crate::crash_books;
use crate::crash_disk::{gateway_on_a_small_disk, writes_again};
use crate::crash_disks::{Disks, Kind};
use crate::crash_operations::Operation;
use crate::crash_points::{Point, chosen, rounds};
use crate::crash_reader::Reader;
use crate::crash_site::Scene;

/// Fills the disk at each point of an operation.
pub(crate) fn fill_at_each(operation: &Operation) {
    // Where all is tried, on a file system that people have; tmpfs has the smallest blocks. Content wants
    // more room than tests may take of the memory.
    if rounds().is_some() || operation.brings_content() {
        let Some(disks) = Disks::new() else {
            return;
        };
        let image = disks.image(Kind::Ext4);
        let gateway = Gateway::start_on(&crate::crash_site::WITHOUT_BACKUPS, |data| {
            disks.mount(&image, data)
        });
        fill_on(&Scene::on(gateway, "full"), operation);
    } else if let Some((_disk, gateway)) = gateway_on_a_small_disk() {
        fill_on(&Scene::on(gateway, "full"), operation);
    }
}

fn fill_on(scene: &Scene, operation: &Operation) {
    let points = crash::recorded(scene, operation);
    let reader = Reader::of(scene, crash::watched(operation));
    let (mut tried, mut succeeded) = (0, 0);
    for round in 0..rounds().unwrap_or(1) {
        for (number, point) in chosen(&points, operation.place, operation.step(7))
            .iter()
            .enumerate()
        {
            let what = format!("f{round}-{number}");
            if let Some(told) = one_fill(scene, operation, point, &what) {
                tried += 1;
                succeeded += usize::from(told);
            }
        }
    }
    let passes = reader.end(scene);
    // Nothing was left for a restart to end.
    let before = scene.state();
    assert_eq!(scene.gateway.stop(Signal::SIGTERM), Some(0));
    let said = scene.recover();
    for word in ["Dropped", "Completed"] {
        assert!(!said.contains(word), "left for the restart:\n{said}");
    }
    assert_eq!(before, scene.state());
    let kept = scene.gateway.logged();
    let kept = kept.matches("a change could not be undone").count();
    println!(
        "{}: the disk was full at {tried} points (it has {}); {succeeded} too late to matter, {kept} \
         undone when there was room again; 0 failures; {passes} passes of the reader",
        operation.name,
        points.len(),
    );
}

/// Fills the disk at one point. Returns whether success was told; none if the point was not passed.
fn one_fill(scene: &Scene, operation: &Operation, point: &Point, what: &str) -> Option<bool> {
    let ballast = scene.gateway.data().join("ballast");
    let wanted = (operation.begin)(scene, what);
    let before = scene.state();
    scene.faults.fill(point, &ballast);
    let finished = (operation.act)(scene, what).run();
    let reached = scene.faults.reached();
    scene.faults.clear();
    let told = finished.code == Some(0);
    if !reached {
        assert!(point.is_aside(), "{point} was not reached: {finished}");
        return None;
    }
    if !told {
        let screen = finished.screen().to_lowercase();
        let why = [
            "no space",
            "disk i/o error",
            "full",
            "do not fit on the server's disk",
        ];
        assert!(
            why.iter().any(|why| screen.contains(why)),
            "{point}: the reason is not told: {finished}"
        );
    }
    let_go(&ballast);
    writes_again(scene);
    let mut wrong = Vec::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    wait_for(
        "what was begun to end by itself",
        Duration::from_secs(60),
        || {
            wrong = mistakes(scene);
            (wrong.is_empty() || std::time::Instant::now() > deadline).then_some(())
        },
    );
    assert!(wrong.is_empty(), "{point}: {wrong:#?}\n{finished}");
    let after = scene.state();
    let is_new = wanted.is_there(operation.environment, &before, &after);
    assert_eq!(is_new, told, "{point}: what was told is not so: {finished}");
    if !is_new {
        assert_eq!(before, after, "{point} left something of the new state");
        (operation.act)(scene, what).run().ok();
        let again = scene.state();
        let arrived = wanted.is_there(operation.environment, &before, &again);
        assert!(arrived, "{point}: the next try leads to {again:?}");
    }
    Some(told)
}

fn let_go(ballast: &Path) {
    fs::remove_file(ballast).unwrap();
}

/// Returns in what the books, the pointers and the disk do not agree yet.
fn mistakes(scene: &Scene) -> Vec<String> {
    let mut wrong = crash_books::mistakes(scene);
    for name in ["dev", "test", "live"] {
        let folder = scene.folder(name);
        let pointer = fs::read_link(folder.join("current")).unwrap();
        let info = scene.json(&["env:info", &format!("SITE.{name}")]);
        let stated = format!("generations/{}", info["release"]);
        if pointer != Path::new(&stated) {
            wrong.push(format!(
                "{name} serves {}, and says {stated}",
                pointer.display()
            ));
        }
    }
    wrong
}
