//! What goes wrong with backups: the gateway is killed, the disk is full, restic is missing, what it has
//! kept is damaged. None is half made, none half restored, and the person is told.

use std::fs;

use nix::sys::signal::Signal;

use crate::backups::{Scene, until};

#[test]
fn a_gateway_that_is_killed_leaves_no_half_backup_and_no_half_restore() {
    let scene = Scene::new("bk-killed");
    let id = scene.make("live");
    let whole = scene.snapshots();
    let gateway = &scene.site.gateway;
    let (tree, rows) = (scene.tree("live"), scene.rows("live"));
    let cut_off = |point: &str, words: &[&str]| {
        gateway.stop(Signal::SIGKILL);
        gateway.serve_with(&[("FUNICULAR_CRASH_AT", point)]);
        scene.site.command(words).run().fails();
        gateway.ended();
        gateway.serve();
        tree.must_equal(&scene.tree("live"));
        assert_eq!(scene.rows("live"), rows, "{point}");
    };
    for point in [
        "backup-begun",
        "backup-files",
        "backup-database",
        "backup-stored",
    ] {
        cut_off(point, &["backup:create", "SITE.live"]);
        assert_eq!(scene.ids("live"), std::slice::from_ref(&id), "{point}");
        until("leftovers go", || scene.snapshots() == whole);
    }
    cut_off("backup-listed", &["backup:create", "SITE.live"]);
    assert_eq!(scene.ids("live").len(), 2, "what is listed is whole");
    let restore = [
        "backup:restore",
        "SITE.live",
        &id,
        "--confirm",
        "bk-killed.live",
    ];
    for point in ["restored-files", "restored-database"] {
        cut_off(point, &restore);
    }
    scene.restore("live", &id, &[]).run().ok();
    tree.must_equal(&scene.tree("live"));
}

#[test]
fn a_full_disk_and_a_server_without_restic_are_told_and_stop_nothing_else() {
    for (name, setting, told) in [
        (
            "bk-full",
            ("backups", "keep_free_bytes", "9000000000000000000"),
            "No space is left",
        ),
        (
            "bk-none",
            ("backups", "program", "\"/nonexistent/restic\""),
            "apt-get install restic",
        ),
    ] {
        let scene = Scene::with(name, &[setting]);
        let before = scene.tree("live");
        scene
            .site
            .command(&["backup:create", "SITE.live"])
            .run()
            .code(1)
            .says(told);
        assert!(scene.ids("live").is_empty());
        let named = format!("{name}.live");
        scene
            .site
            .command(&["env:wipe", "SITE.live", "--confirm", &named])
            .run()
            .code(1)
            .says(told);
        before.must_equal(&scene.tree("live"));
        scene
            .site
            .must(&["env:deploy", "SITE.test", "--note", "goes on"]);
    }
}

#[test]
fn damage_is_told_and_nothing_is_changed() {
    let scene = Scene::new("bk-damage");
    let id = scene.make("live");
    let data = scene
        .site
        .gateway
        .data()
        .join("sites/bk-damage/backups.restic/data");
    for folder in fs::read_dir(&data).unwrap() {
        for pack in fs::read_dir(folder.unwrap().path()).unwrap() {
            fs::remove_file(pack.unwrap().path()).unwrap();
        }
    }
    fs::write(scene.files("live").join("now"), "now").unwrap();
    let (tree, rows) = (scene.tree("live"), scene.rows("live"));
    scene.restore("live", &id, &[]).run().fails();
    tree.must_equal(&scene.tree("live"));
    assert_eq!(scene.rows("live"), rows);
    let words = ["backup:get", "SITE.live", &id, "--element", "database"];
    scene.site.command(&words).run().fails();
}
