//! No half state: whoever visits while content is cloned, imported, restored, wiped and brought back sees
//! what was there before or all that comes, on each engine; and the same visitor does see the fault where a
//! dump is loaded into a database in use.

use std::collections::BTreeMap;

use support::Shared;

use crate::content_reader::Looping;
use crate::content_scene::{Scene, Server};

static SHARED: Shared = Shared::new();

#[test]
fn sqlite_never_shows_a_half_state() {
    watch(&Scene::sqlite(&SHARED.gateway(), "cw-sqlite"), 6000);
}

#[test]
fn mariadb_never_shows_a_half_state() {
    let scene = Scene::mariadb("cw-mariadb");
    watch(&scene, 8000);
    plain_load_shows_it(&scene);
}

/// All that puts other content in the place of Dev's, under the eyes of a visitor.
fn watch(scene: &Scene, rows: usize) {
    scene.fill("live", rows);
    scene.fill("dev", rows / 2);
    let dump = scene.dump("dev", "dev", "dump");
    let (at_first, live) = (scene.seen("dev"), scene.seen("live"));
    let visitor = Looping::reader(scene, "dev");
    // Live is in use all the time.
    let visitor_of_live = Looping::reader(scene, "live");
    let writer = Looping::writer(scene, "live", 50);
    let mut expected = vec![at_first.clone()];
    // What was kept is the former content only: who is slow gets time to end what they began.
    let mut step = |words: &[&str], input: &[u8], state: &str| {
        let from = visitor.times();
        scene.lead_does(words).input(input).run().ok();
        let now = scene.seen("dev");
        assert_eq!(now, state, "after {words:?}");
        visitor.goes_on(3);
        let seen = visitor.since(from);
        let last = seen.last();
        assert!(
            seen.contains(&now),
            "{words:?}: nobody has seen {now:?}; the last was {last:?}"
        );
        expected.push(now);
    };
    let of =
        |state: &str, files: &str| format!("{} | {files}", state.rsplit_once(" | ").unwrap().0);
    let dumped = at_first.replacen("| dev |", "| dump |", 1);
    let empty = "0 | no files";
    step(&["env:clone-content", "SITE.live", "dev"], b"", &live);
    step(
        &["import:database", "SITE.dev", "-"],
        &dump,
        &of(&dumped, "files of live"),
    );
    let backup = scene
        .lead_does(&["backup:create", "SITE.dev", "--element", "all"])
        .run()
        .ok();
    let backup = backup_id(scene, &backup.screen());
    step(&["env:clone-content", "SITE.live", "dev"], b"", &live);
    step(
        &[
            "backup:restore",
            "SITE.dev",
            &backup,
            "--element",
            "database",
        ],
        b"",
        &of(&dumped, "files of live"),
    );
    step(&["env:wipe", "SITE.dev"], b"", empty);
    step(
        &["env:undo-content", "SITE.dev"],
        b"",
        &of(&dumped, "files of live"),
    );
    writer.end();
    let seen = visitor.end();
    println!("{}: a visitor of dev saw {seen:#?}", scene.engine());
    let strange: BTreeMap<_, _> = seen
        .iter()
        .filter(|(state, _)| !expected.contains(state))
        .collect();
    assert!(
        strange.is_empty(),
        "states that nobody may see: {strange:#?}"
    );
    let of_live = visitor_of_live.end();
    println!("{}: a visitor of live saw {of_live:#?}", scene.engine());
    assert!(of_live.keys().all(|state| *state == live), "{of_live:#?}");
}

fn backup_id(scene: &Scene, told: &str) -> String {
    let listed = scene
        .site
        .must(&["backup:list", "SITE.dev", "--format", "json"])
        .out();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let newest = listed.as_array().and_then(|rows| rows.first());
    let id = newest.and_then(|row| row["id"].as_str());
    id.unwrap_or_else(|| panic!("no backup is listed after {told}: {listed}"))
        .to_owned()
}

/// What is done elsewhere: the dump is loaded into the database that the site uses.
fn plain_load_shows_it(scene: &Scene) {
    let Server::Mariadb(server) = &scene.server else {
        return;
    };
    let whole = scene.seen("dev");
    let dump = scene.dump("dev", "dump", "dump");
    let visitor = Looping::reader(scene, "dev");
    let name = scene.fact("dev", "DATABASE_NAME");
    let from = visitor.times();
    server.feed(&name, &dump).unwrap();
    visitor.goes_on(3);
    assert_eq!(scene.seen("dev"), whole, "in the end all is there again");
    let seen = visitor.since(from);
    visitor.end();
    let faults: Vec<_> = seen.iter().filter(|state| **state != whole).collect();
    println!(
        "mariadb < dump: {} of {} passes met a fault, such as {:?}",
        faults.len(),
        seen.len(),
        faults.first()
    );
    assert!(
        !faults.is_empty(),
        "the plain way showed no fault, so nothing was tested"
    );
}
