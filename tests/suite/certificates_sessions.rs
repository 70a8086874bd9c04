//! What a certificate makes of a session: forced commands, roles of visitors, and ends.

use std::fs;
use std::time::Duration;

use support::authority::{newcomer, try_to_enter};
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Role, wait_for};

use crate::certificates::{audit, refused, site};

#[test]
fn a_forced_command_takes_the_place_of_what_was_asked_for() {
    let (site, authority) = site("c-forced", &[]);
    site.must(&["ca:add", &authority.public_key().display().to_string()]);
    let tom = site.person(Role::TeamMember).clone();
    let robot = newcomer(&site.gateway, "robot");
    let force = |command: &str| {
        let option = format!("force-command={command}");
        authority.sign(&robot, &["-I", "ci", "-n", &tom.name, "-O", &option]);
    };
    force("env:deploy c-forced.test --note nightly");
    let asked = site.console(&robot, &["user:add", "evil"]).run().ok();
    assert!(!asked.screen().contains("evil"), "{asked}");
    site.must(&["workflow:list", "SITE"]).says("deploy");
    site.must(&["user:list"]).says_not("evil");
    // Not SFTP either, nor git.
    site.sftp(&robot, "dev", "put /etc/hostname /code/evil\n")
        .run()
        .fails();
    assert!(!site.tree("dev", "code").holds("evil"));
    robot
        .client("git")
        .args(["ls-remote", &site.url("dev")])
        .run()
        .fails();

    force("internal-sftp");
    site.sftp(&robot, "dev", "ls /code\n")
        .run()
        .ok()
        .says("index.php");
    site.console(&robot, &["site:list"])
        .run()
        .code(1)
        .says("Your certificate allows SFTP only")
        .says("[incident ");
    robot
        .client("git")
        .args(["ls-remote", &site.url("dev")])
        .run()
        .fails()
        .says("Your certificate allows SFTP only")
        .says("[incident ");

    // Read-only: an option that must not be lost.
    force("internal-sftp -R");
    site.sftp(&robot, "dev", "put /etc/hostname /code/evil\n")
        .run()
        .fails();
    assert!(!site.tree("dev", "code").holds("evil"));
    force("/bin/sh -c id");
    site.console(&robot, &["site:list"])
        .run()
        .fails()
        .says("not run here");
    force("git-upload-pack '/repository.git'");
    robot
        .client("git")
        .args(["ls-remote", &site.url("dev")])
        .run()
        .ok()
        .says("refs/heads/");
}

#[test]
fn principals_stand_for_people_and_for_roles_on_sites() {
    let (site, authority) = site(
        "c-roles",
        &[
            ("identity", "role_principals", "\"site:{site}/{role}\""),
            ("identity.principals", "\"tom@example.org\"", "\"tom\""),
            (
                "identity.principals",
                "\"builders\"",
                "\"c-roles:developer\"",
            ),
        ],
    );
    site.must(&["ca:add", &authority.public_key().display().to_string()]);
    let guest = newcomer(&site.gateway, "gus");
    let sign = |id: &str, principals: &str| {
        authority.sign(&guest, &["-I", id, "-n", principals]);
    };
    sign("x", "tom@example.org");
    try_to_enter(&guest).code(0).says("Hello, tom!");

    sign("gus", "builders,something-else");
    try_to_enter(&guest)
        .code(0)
        .says("Hello, gus!")
        .says("c-roles");
    site.console(&guest, &["site:list"])
        .run()
        .ok()
        .says("developer");
    site.sftp(&guest, "dev", "put /etc/hostname /code/by-gus.txt\n")
        .run()
        .ok();
    assert!(site.tree("dev", "code").holds("by-gus.txt"));
    site.console(&guest, &["env:deploy", "SITE.test"])
        .run()
        .code(3)
        .says("developer");
    site.console(&guest, &["user:list"]).run().code(3);
    assert_eq!(
        audit(&site, &["--user", "gus", "--path", "by-gus.txt"])[0]["person"],
        "gus"
    );

    sign("gus", "site:c-roles/team_member");
    site.console(&guest, &["env:deploy", "SITE.test"])
        .run()
        .ok();
    sign("gus", "site:c-other/team_member");
    site.console(&guest, &["site:info", "c-other"])
        .run()
        .code(3)
        .says("There is no site 'c-other'");
    site.console(&guest, &["site:info", "SITE"])
        .run()
        .code(3)
        .says("There is no site");
    // A visitor does not go by the name of one of the server.
    sign("ada", "builders");
    refused(&site, &guest, "but not the principal ada");
    sign("gus", "c-roles:developer");
    refused(&site, &guest, "No principal of your certificate");
    // When somebody of that name comes to the server, the visitor is another.
    sign("gus", "builders");
    try_to_enter(&guest).code(0);
    site.must(&["user:add", "gus"]);
    refused(&site, &guest, "but not the principal gus");
}

#[test]
fn authorities_are_for_administrators_and_act_on_open_sessions() {
    let (site, authority) = site("c-authorities", &[]);
    let file = authority.public_key();
    let tom = site.person(Role::TeamMember);
    let key = fs::read_to_string(&file).unwrap();
    for command in [
        &["ca:add", "-", "--name", "mine"][..],
        &["ca:list"],
        &["ca:remove", "mine"],
    ] {
        tom.console(command)
            .input(&key)
            .run()
            .code(3)
            .says("for its administrators");
    }
    site.must(&["ca:list"]).says("No authority is trusted");
    let ada = site.person(Role::Administrator);
    ada.console(&["ca:add", "-", "--name", "mine"])
        .input(&key)
        .run()
        .ok();
    ada.console(&["ca:add", "-", "--name", "again"])
        .input(&key)
        .run()
        .code(1)
        .says("trusted already");
    let own = fs::read_to_string(tom.public_key()).unwrap();
    ada.console(&["ca:add", "-", "--name", "toms"])
        .input(&own)
        .run()
        .code(1)
        .says("somebody's own key");
    assert!(
        audit(&site, &["--user", "ada"])
            .iter()
            .any(|row| row["detail"].to_string().contains("trusted"))
    );

    let robot = newcomer(&site.gateway, "robot");
    authority.sign(&robot, &["-I", "x", "-n", "tom"]);
    let mut raw = Raw::open(&site, &robot, "dev");
    let handle = raw.open_file("/code/x", packets::FLAG_WRITE | packets::FLAG_CREATE);
    raw.ask(|id| Request::write(id, &handle, 0, b"a"))
        .must_be(packets::OK);
    site.must(&["ca:remove", "mine"]);
    let told = raw
        .ask(|id| Request::write(id, &handle, 1, b"b"))
        .must_be(packets::PERMISSION_DENIED);
    assert!(told.contains("no longer trusted"), "{told}");
    try_to_enter(&robot).code(255);
}

#[test]
fn a_certificate_that_runs_out_ends_the_session_s_rights() {
    let (site, authority) = site("c-ends", &[]);
    site.must(&["ca:add", &authority.public_key().display().to_string()]);
    let robot = newcomer(&site.gateway, "robot");
    authority.sign(&robot, &["-I", "x", "-n", "tom", "-V", "-1m:+5s"]);
    let mut raw = Raw::open(&site, &robot, "dev");
    let handle = raw.open_file("/code/x", packets::FLAG_WRITE | packets::FLAG_CREATE);
    let reading = raw.open_file("/code/index.php", packets::FLAG_READ);
    raw.ask(|id| Request::write(id, &handle, 0, b"a"))
        .must_be(packets::OK);
    let told = wait_for("the certificate's end", Duration::from_secs(10), || {
        let answer = raw.ask(|id| Request::write(id, &handle, 0, b"a"));
        answer
            .status()
            .filter(|(code, _)| *code == packets::PERMISSION_DENIED)
    });
    assert!(
        told.1
            .contains("certificate that tom logged in with has expired"),
        "{told:?}"
    );
    raw.ask(|id| Request::read(id, &reading, 0, 10))
        .must_be(packets::PERMISSION_DENIED);
    assert_eq!(
        audit(&site, &["--rule", "certificate-expired"])[0]["person"],
        "tom"
    );
    refused(&site, &robot, "has expired");
}
