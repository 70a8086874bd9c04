//! Other web hosts get each release in two phases, over real SSH servers with real rsync: all or
//! none of them switch, and what each serves is whole at all times.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::hearer::Hearer;
use support::web_host::WebHost;
use support::{Tree, wait_for};

use crate::deliveries::{self, add, wait_until, wait_until_told};
use crate::deploys::{rows, runs};
use crate::target_scene::{Readers, Scene, version};

#[test]
fn hosts_follow_each_release() {
    let scene = Scene::new("th-follow", 2, &["--keep", "3"]);
    let (site, clone) = (&scene.site, &scene.clone);
    // Before it was tried a host takes no part, so a key that is not let in yet refuses no push.
    let third = WebHost::start(site.gateway.folder(), "web3");
    let added = scene.add(&third, "web3", &[]);
    added.says("restrict ssh-ed25519 ").says_not("PRIVATE");
    let shown = rows(site, &["target:list", "SITE.dev"]);
    assert_eq!(shown[2]["state"], "not tried yet");
    assert!(
        shown[2]["key"]
            .as_str()
            .unwrap()
            .starts_with("ssh-ed25519 "),
        "{shown:?}"
    );
    site.command(&["target:test", "SITE.dev", "web3"])
        .run()
        .code(1)
        .says("Permission denied");
    fs::write(clone.folder().join("tool"), "#!/bin/sh\n").unwrap();
    clone.must(&["update-index", "--add", "--chmod=+x", "tool"]);
    let mut before = None;
    for number in 1..5 {
        let pushed = scene.push(number).ok();
        pushed
            .says("Host web1")
            .says("Hosts web1, web2 switched too.");
        let here = site.tree("dev", "code");
        for host in &scene.hosts {
            here.must_equal(&Tree::read(host.code()));
            assert_eq!(
                fs::read(host.code().join("files/../../files/.x")).ok(),
                None
            );
            assert_eq!(
                fs::read_link(host.site().join("current/files")).unwrap(),
                Path::new("../../files")
            );
        }
        // What has not changed is the same file on the disk.
        let menu = fs::metadata(scene.hosts[0].code().join("lib/menu.php")).unwrap();
        if let Some(before) = before.replace(menu.ino()) {
            assert_eq!(before, menu.ino());
            assert!(menu.nlink() > 1);
        }
        assert!(
            scene.hosts[0].releases().len() <= 4,
            "{:?}",
            scene.hosts[0].releases()
        );
    }
    assert!(!third.site().join("current").exists());
    // Once it has been tried it gets what runs, and the next release with the others.
    scene.let_in(&third, "web3");
    site.must(&["target:test", "SITE.dev", "web3"])
        .says("takes part now");
    wait_until_told(site, "dev");
    site.tree("dev", "code")
        .must_equal(&Tree::read(third.code()));
    let flows = rows(site, &["workflow:list", "SITE"]);
    assert!(
        flows.iter().any(|flow| flow["workflow"] == "sync_hosts"),
        "{flows:?}"
    );
    scene.push(7).ok();
    site.tree("dev", "code")
        .must_equal(&Tree::read(third.code()));
    // To SFTP mode and back, too.
    site.set_mode("sftp");
    site.set_mode("git");
    site.tree("dev", "code")
        .must_equal(&Tree::read(third.code()));
    // The private key is the gateway's alone, and gone with the target.
    let keys = site.gateway.data().join("targets");
    let found: Vec<_> = fs::read_dir(&keys)
        .unwrap()
        .map(|one| one.unwrap().path())
        .collect();
    assert_eq!(found.len(), 3);
    for folder in &found {
        assert_eq!(fs::metadata(folder.join("key")).unwrap().mode() & 0o77, 0);
        assert_eq!(fs::metadata(folder).unwrap().mode() & 0o77, 0);
    }
    for name in ["web1", "web2", "web3"] {
        site.must(&["target:remove", "SITE.dev", name]);
    }
    assert_eq!(fs::read_dir(&keys).unwrap().count(), 0);
}

#[test]
fn a_host_that_cannot_prepare_refuses_the_push() {
    let scene = Scene::new("th-prepare", 2, &[]);
    scene.push(1).ok();
    let before = scene.everything();
    let releases = || {
        scene
            .hosts
            .iter()
            .map(WebHost::releases)
            .collect::<Vec<_>>()
    };
    let had = releases();
    let refused = |number: usize, why: &[&str]| {
        let push = scene.push(number).fails();
        let screen = push.screen();
        for words in [&["! [remote rejected] main -> main", "web2"], why].concat() {
            assert!(screen.contains(words), "{words}: {push}");
        }
        assert_eq!(scene.everything(), before, "{push}");
    };
    scene.hosts[1].behaves("no-prepare");
    refused(2, &["no space left on device"]);
    assert_eq!(releases()[0], had[0], "nothing is left on the others");
    let audited = rows(
        &scene.site,
        &["audit:list", "--site", "SITE", "--env", "dev"],
    );
    let last = audited.last().expect("a row");
    assert_eq!(last["outcome"], "failed", "{last}");
    scene.hosts[1].behaves("well");
    scene.site.must(&["target:remove", "SITE.dev", "web2"]);
    scene.add(&scene.hosts[1], "web2", &["--timeout", "20"]);
    scene.let_in(&scene.hosts[1], "web2");
    scene.site.must(&["target:test", "SITE.dev", "web2"]);
    wait_until_told(&scene.site, "dev");
    let had = releases();
    scene.hosts[1].behaves("slow");
    refused(3, &["took longer than 20 s"]);
    scene.hosts[1].stop();
    refused(4, &["Connection refused"]);
    assert_eq!(releases()[0], had[0], "nothing is left on the others");
    // A host that shows another key is somebody else.
    scene.hosts[1].new_key();
    scene.hosts[1].serve();
    scene.hosts[1].behaves("well");
    refused(5, &["Host key verification failed"]);
    scene.site.must(&["target:remove", "SITE.dev", "web2"]);
    scene.push(6).ok();
    assert_eq!(version(&scene.hosts[0]), Some(6));
    assert_eq!(version(&scene.hosts[1]), Some(1));
}

#[test]
fn a_host_that_cannot_switch_turns_all_back() {
    let scene = Scene::new("th-switch", 3, &["--keep", "50"]);
    let hearer = Hearer::start();
    add(&scene.site, "dev", "ci", &hearer.url("/"));
    scene.push(1).ok();
    let before = scene.everything();
    let readers = Readers::start(&scene);
    for number in 2..6 {
        scene.hosts[1].behaves("no-switch");
        let push = scene.push(number).fails();
        push.says("! [remote rejected] main -> main")
            .says("read-only file system");
        assert_eq!(scene.everything(), before);
        scene.hosts[1].behaves("well");
    }
    // And on the way with a deploy to nowhere: nobody is told of what has not happened.
    let heard = hearer.hears(5);
    let events: Vec<String> = heard
        .iter()
        .map(|one| one.header("funicular-event").to_owned())
        .collect();
    assert_eq!(events[0], "switch");
    assert!(
        events[1..].iter().all(|event| event == "turned_back"),
        "{events:?}"
    );
    let last = heard[4].json();
    assert_eq!(last["new_commit"], runs(&scene.site, "dev"));
    assert_ne!(last["old_commit"], last["new_commit"]);
    scene.push(9).ok();
    for host in &scene.hosts {
        assert_eq!(version(host), Some(9));
    }
    let looks = readers.stop();
    assert!(looks > 100, "only {looks} looks");
}

#[test]
fn a_host_that_was_lost_on_the_way_is_brought_back_later() {
    let scene = Scene::new("th-lost", 2, &[]);
    scene.push(1).ok();
    // It has switched, but cannot say so, nor be turned back.
    scene.hosts[1].behaves("lost-after-switch");
    scene.push(2).fails().says("web2");
    assert_eq!(version(&scene.hosts[0]), Some(1));
    assert_eq!(version(&scene.hosts[1]), Some(2));
    wait_until(&scene.site, |rows| {
        rows[0]["event"] == "sync" && rows[0]["attempts"].as_u64() > Some(0)
    });
    scene.hosts[1].behaves("well");
    wait_until_told(&scene.site, "dev");
    assert_eq!(version(&scene.hosts[1]), Some(1));
    scene.push(3).ok();
    assert_eq!(version(&scene.hosts[1]), Some(3));
}

#[test]
fn after_a_crash_hosts_run_what_the_environment_runs() {
    let scene = Scene::new("th-crash", 2, &[]);
    scene.push(1).ok();
    for (number, point, completed) in [
        (2, "intent-written", false),
        (3, "switched", false),
        (4, "hosts-switched", false),
        (5, "refs-moved", true),
        (6, "completed", true),
    ] {
        let gateway = &scene.site.gateway;
        let before = version(&scene.hosts[0]);
        gateway.stop(Signal::SIGTERM);
        gateway.serve_with(&[("FUNICULAR_CRASH_AT", point)]);
        scene.push(number).fails();
        gateway.ended();
        gateway.serve();
        wait_until_told(&scene.site, "dev");
        let wanted = if completed { Some(number) } else { before };
        for host in &scene.hosts {
            assert_eq!(version(host), wanted, "{point}");
            scene
                .site
                .tree("dev", "code")
                .must_equal(&Tree::read(host.code()));
        }
    }
    scene.push(7).ok();
    assert_eq!(version(&scene.hosts[1]), Some(7));
}

#[test]
fn a_change_can_be_cancelled_while_hosts_prepare() {
    let scene = Scene::new("th-cancel", 2, &[]);
    scene.push(1).ok();
    let before = scene.everything();
    scene.hosts[1].behaves("slow");
    scene.write(2);
    let push = scene.clone.git(&["push", "dev", "main"]).start();
    let id = wait_for("the copy", Duration::from_secs(60), || {
        let flows = rows(&scene.site, &["workflow:list", "SITE"]);
        let running = flows.iter().find(|flow| flow["status"] == "running")?;
        let id = running["id"].as_str()?.to_owned();
        let steps = scene
            .site
            .must(&["workflow:info", &id, "--field", "steps"])
            .out();
        steps.contains("hosts: prepare").then_some(id)
    });
    scene.site.must(&["workflow:cancel", &id]);
    push.finish().fails().says("has cancelled this");
    scene.hosts[1].behaves("well");
    assert_eq!(scene.everything(), before);
    scene.push(3).ok();
}

#[test]
fn the_keys_of_a_host_are_compared_before_they_are_taken() {
    let site = deliveries::site("th-pin", &[]);
    let host = WebHost::start(site.gateway.folder(), "web1");
    let words = [
        "target:add",
        "SITE.dev",
        "web1",
        "rsync",
        &host.destination(),
    ];
    let wrong = [&words[..], &["--fingerprint", "SHA256:nonsense"]].concat();
    site.command(&wrong)
        .run()
        .code(1)
        .says(&host.fingerprint())
        .says("somebody may be in between");
    site.command(&words)
        .input("no\n")
        .run()
        .code(1)
        .says(&host.fingerprint());
    assert!(rows(&site, &["target:list", "SITE.dev"]).is_empty());
    site.command(&words).input("yes\n").run().ok();
    host.stop();
    site.command(&[
        "target:add",
        "SITE.dev",
        "web2",
        "rsync",
        &host.destination(),
    ])
    .run()
    .code(1)
    .says("No SSH server answers");
}
