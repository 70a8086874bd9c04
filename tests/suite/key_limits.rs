//! Keys that end, and keys that may do only a part of what their owner may.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use support::authority::try_to_enter;
use support::guest::{self, SecurityKey, TOUCHED};
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Clone, Person, Role, Site, personas, wait_for};

use crate::certificates::{audit, refused, site};

#[test]
fn a_key_for_one_site_and_environment_opens_no_other() {
    let (site, _) = site("k-place", &[]);
    let other = site.gateway.site("k-other");
    site.deploy_all();
    let robot = with_key(
        &site,
        "place",
        &["--site", "k-place", "--environment", "dev"],
    );
    site.sftp(&robot, "dev", "put /etc/hostname /code/mine.txt\n")
        .run()
        .ok();
    assert!(site.tree("dev", "code").holds("mine.txt"));

    let before = (site.tree("live", "files"), other.tree("dev", "code"));
    site.sftp(&robot, "live", "put /etc/hostname /files/evil\n")
        .run()
        .fails()
        .says("This key is limited to the site k-place and the environment dev; 'read' on Live was refused.");
    other
        .sftp(&robot, "dev", "put /etc/hostname /code/evil\n")
        .run()
        .fails()
        .says("'read' on k-other was refused");
    site.console(&robot, &["env:deploy", "SITE.test"])
        .run()
        .code(3)
        .says("'deploy' on Test was refused");
    site.console(&robot, &["user:list"])
        .run()
        .code(3)
        .says("changes no people and no keys");
    before.0.must_equal(&site.tree("live", "files"));
    before.1.must_equal(&other.tree("dev", "code"));
    assert_eq!(
        audit(&site, &["--rule", "key-limited-to-environment"])[0]["person"],
        "tom"
    );
    assert_eq!(
        audit(&site, &["--rule", "key-limited-to-site"])[0]["site"],
        "k-other"
    );

    // It tells nothing of what exists, and makes no key without limits.
    let unknown = site
        .console(&robot, &["site:info", "k-nowhere"])
        .run()
        .code(3);
    unknown.says("'view' on k-nowhere was refused");
    let free = fs::read_to_string(site.person(Role::Attacker).public_key()).unwrap();
    robot
        .console(&["ssh-key:add", "-"])
        .input(&free)
        .run()
        .code(3)
        .says("changes no people and no keys");
    site.console(&robot, &["site:list"])
        .run()
        .ok()
        .says("k-place")
        .says_not("k-other");
}

#[test]
fn a_key_for_pushing_only_pushes() {
    let (site, _) = site("k-push", &[]);
    let robot = with_key(&site, "push", &["--action", "push", "--site", "k-push"]);
    site.set_mode("git");
    let clone = Clone::new(&site, &robot);
    clone.commit("pushed.php", "<?php // by the robot\n");
    clone.git(&["push", "dev", "main"]).run().ok();
    assert!(site.tree("dev", "code").holds("pushed.php"));
    site.sftp(&robot, "dev", "ls /code\n").run().fails().says(
        "This key is limited to the site k-push and the action push; 'read' is none of that.",
    );
    site.console(&robot, &["env:deploy", "SITE.test"])
        .run()
        .code(3)
        .says("'deploy' is none of that");
    site.console(&robot, &["env:list", "SITE"]).run().ok();

    let deployer = with_key(&site, "deploy", &["--action", "deploy"]);
    site.console(&deployer, &["env:deploy", "SITE.test"])
        .run()
        .ok();
    deployer
        .client("git")
        .args(["ls-remote", &site.url("dev")])
        .run()
        .fails()
        .says("'fetch' is none of that");

    let reader = with_key(&site, "read", &["--action", "read"]);
    site.sftp(&reader, "dev", "ls /code\n")
        .run()
        .ok()
        .says("pushed.php");
    let clone = Clone::new(&site, &reader);
    clone.commit("evil.php", "<?php // no\n");
    clone
        .git(&["push", "dev", "main"])
        .run()
        .fails()
        .says("'push' is none of that");
    assert!(!site.tree("dev", "code").holds("evil.php"));
    assert!(!audit(&site, &["--rule", "key-limited-to-action"]).is_empty());

    // The list, and `explain`, know it.
    let listed = site
        .must(&["ssh-key:list", "--user", "tom", "--format", "json"])
        .out();
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let row = listed
        .iter()
        .find(|row| row["actions"] == "push")
        .expect("the key for pushing");
    assert_eq!(row["sites"], "k-push");
    let id = row["id"].as_str().unwrap();
    let asked = ["explain", "tom", "deploy", "SITE.test"];
    site.must(&asked).says("permit");
    site.must(&[&asked[..], &["--key", id]].concat())
        .says("key-limited-to-action")
        .says("limited to the site k-push and the action push");
    site.command(&[
        "ssh-key:add",
        &robot.public_key().display().to_string(),
        "--action",
        "everything",
    ])
    .run()
    .code(2)
    .says("is nothing that a key can be limited to");
}

#[test]
fn a_key_that_expires_ends_open_sessions_and_logins() {
    let (site, _) = site("k-ends", &[]);
    let robot = with_key(&site, "ends", &["--valid-for", "5s"]);
    let lasting = fs::read_to_string(site.person(Role::Attacker).public_key()).unwrap();
    robot
        .console(&["ssh-key:add", "-"])
        .input(&lasting)
        .run()
        .code(3)
        .says("a new one would outlive it");
    let mut raw = Raw::open(&site, &robot, "dev");
    let handle = raw.open_file("/code/x", packets::FLAG_WRITE | packets::FLAG_CREATE);
    let reading = raw.open_file("/code/index.php", packets::FLAG_READ);
    raw.ask(|id| Request::write(id, &handle, 0, b"a"))
        .must_be(packets::OK);
    let (_, told) = wait_for("the key's end", Duration::from_secs(10), || {
        let answer = raw.ask(|id| Request::write(id, &handle, 0, b"a"));
        answer
            .status()
            .filter(|(code, _)| *code == packets::PERMISSION_DENIED)
    });
    assert!(
        told.contains("The key that tom logged in with has expired"),
        "{told}"
    );
    raw.ask(|id| Request::read(id, &reading, 0, 10))
        .must_be(packets::PERMISSION_DENIED);
    refused(&site, &robot, "expired at 20");
    assert!(!audit(&site, &["--rule", "key-expired"]).is_empty());
    site.must(&["ssh-key:list", "--user", "tom"])
        .says("(expired)");
    site.command(&[
        "ssh-key:add",
        &robot.public_key().display().to_string(),
        "--expires",
        "2020-01-01",
    ])
    .run()
    .code(1)
    .says("lies in the past");
}

#[test]
fn options_in_front_of_a_key_are_honoured_or_refused() {
    let (site, _) = site("k-options", &[]);
    let robot = unknown_key(&site, "options");
    let key = fs::read_to_string(robot.public_key()).unwrap();
    let add = |options: &str| {
        let command = site.gateway.command(&["ssh-key:add", "-", "--user", "tom"]);
        command.input(format!("{options} {key}")).run()
    };
    for (options, reason) in [
        ("command=\"ls\"", "The option 'command'"),
        ("restrict", "The option 'restrict'"),
        ("from=\"example.org\"", "names of hosts are not looked up"),
        ("expiry-time=\"20200101\"", "lies in the past"),
        ("no-touch-required", "cannot be checked here"),
    ] {
        add(options).code(1).says(reason);
        try_to_enter(&robot).code(255);
    }
    add("from=\"192.0.2.0/24,!192.0.2.7\",no-pty").ok();
    refused(
        &site,
        &robot,
        "may not be used from 127.0.0.1, only from 192.0.2.0/24,!192.0.2.7",
    );
    let id = key_id(&site, "192.0.2.0/24");
    site.must(&["ssh-key:remove", &id]);
    add("from=\"127.0.0.*\",expiry-time=\"20991231\"")
        .ok()
        .says("until 2099-12-31");
    try_to_enter(&robot).code(0).says("Hello, tom!");
}

#[tokio::test(flavor = "multi_thread")]
async fn security_keys_can_be_switched_off() {
    let (site, _) = site("k-fido", &[]);
    let tom = site.person(Role::TeamMember);
    let inner = tom.desk("fido").join("inner");
    personas::make_key(&inner, &["-t", "ed25519"], "inner");
    let mut key = SecurityKey::new(&inner);
    let public = key.public();
    let file = tom.desk("fido").join("sk.pub");
    fs::write(&file, format!("{}\n", public.to_openssh().unwrap())).unwrap();
    let add = site.command(&["ssh-key:add", &file.display().to_string(), "--user", "tom"]);
    add.run().ok();
    let mut handle = guest::connect(site.address()).await;
    let touched = |to_sign| Some(key.signed(TOUCHED, to_sign));
    assert!(guest::offer(&mut handle, "console", public.clone(), touched).await);

    drop(handle);
    site.gateway.stop(nix::sys::signal::Signal::SIGTERM);
    support::gateway::change_setting(
        &site.gateway.config(),
        "identity",
        "security_keys",
        "\"refuse\"",
    );
    site.gateway.serve();
    let mut handle = guest::connect(site.address()).await;
    let touched = |to_sign| Some(key.signed(TOUCHED, to_sign));
    assert!(!guest::offer(&mut handle, "console", public.clone(), touched).await);
    drop(handle);
    wait_for("the row of the login", Duration::from_secs(5), || {
        let rows = audit(&site, &["--rule", "login-failed"]);
        rows.iter()
            .any(|row| row["detail"].to_string().contains("switched off"))
            .then_some(())
    });
    let again = tom.desk("fido").join("again.pub");
    let other = tom.desk("fido").join("other");
    personas::make_key(&other, &["-t", "ed25519"], "other");
    let other = SecurityKey::new(&other).public();
    fs::write(&again, format!("{}\n", other.to_openssh().unwrap())).unwrap();
    site.command(&["ssh-key:add", &again.display().to_string(), "--user", "tom"])
        .run()
        .code(1)
        .says("switched off on this server");
}

/// Somebody at a new computer, with a key of tom's that has these limits.
fn with_key(site: &Site, name: &str, limits: &[&str]) -> Person {
    let robot = unknown_key(site, name);
    let file: PathBuf = robot.public_key();
    let file = file.display().to_string();
    site.gateway
        .must(&[&["ssh-key:add", &file, "--user", "tom"], limits].concat());
    robot
}

fn unknown_key(site: &Site, name: &str) -> Person {
    let robot = site.person(Role::TeamMember).at_another_computer(name);
    personas::make_key(&robot.key(), &["-t", "ed25519"], name);
    robot
}

/// Returns the id of tom's key whose row holds `text`.
fn key_id(site: &Site, text: &str) -> String {
    let listed = site
        .must(&["ssh-key:list", "--user", "tom", "--format", "json"])
        .out();
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let row = listed
        .iter()
        .find(|row| row.to_string().contains(text))
        .expect("the key");
    row["id"].as_str().unwrap().to_owned()
}
