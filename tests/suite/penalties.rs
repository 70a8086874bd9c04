//! Sources that misbehave before login are kept out for a while, and told so. Real clients from
//! several addresses of the loopback network.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::gateway::Setting;
use support::personas::{Person, make_key};
use support::raw::Raw;
use support::{Gateway, Role, Site, knocking, wait_for};

/// One offence is enough, and lasts longer than any test.
const HARSH: [Setting; 7] = [
    ("penalties", "exempt", "[]"),
    ("penalties", "failed_login_seconds", "100"),
    ("penalties", "no_login_seconds", "100"),
    ("penalties", "garbage_seconds", "100"),
    ("penalties", "grace_exceeded_seconds", "100"),
    ("penalties", "least_seconds", "100"),
    ("penalties", "longest_seconds", "100"),
];

#[test]
fn who_fails_to_log_in_is_kept_out_told_why_and_let_in_again() {
    let (_gateway, site) = gateway(&[
        ("penalties", "exempt", "[]"),
        ("penalties", "failed_login_seconds", "4"),
        ("penalties", "least_seconds", "4"),
    ]);
    let tom = site.person(Role::TeamMember);
    let near = tom.coming_from("127.0.0.9");
    let mut inside = Raw::open(&site, &near, "dev");
    let wrong = with_wrong_key(&near);
    site.sftp(&wrong, "dev", "ls\n")
        .run()
        .fails()
        .says("Permission denied");

    let told = "Connections from 127.0.0.9 are refused for another";
    let why = "seconds, since logins from it failed.";
    wait_for("the penalty", knocking::PATIENCE, || {
        site.sftp(&near, "dev", "ls\n")
            .run()
            .screen()
            .contains(told)
            .then_some(())
    });
    for program in ["sftp", "ssh", "git"] {
        let refused = match program {
            "sftp" => site.sftp(&near, "dev", "ls\n"),
            "ssh" => site.console(&near, &["site:list"]),
            _ => near.client("git").args(["ls-remote", &site.url("dev")]),
        };
        refused.run().fails().says(told).says(why);
    }
    // Somebody else, and who was in before, notice nothing.
    site.sftp(tom, "dev", "ls\n").run().ok();
    assert_eq!(
        inside.read_file("/code/index.php"),
        b"<?php echo 'first';\n"
    );
    // What is refused does not prolong the penalty.
    wait_for("the end of the penalty", knocking::PATIENCE, || {
        (site.sftp(&near, "dev", "ls\n").run().code == Some(0)).then_some(())
    });
}

#[test]
fn a_penalty_is_one_row_and_a_flood_a_few_lines() {
    let (gateway, site) = gateway(&HARSH);
    let near = site.person(Role::TeamMember).coming_from("127.0.0.9");
    let wrong = with_wrong_key(&near);
    site.sftp(&wrong, "dev", "ls\n").run().fails();
    wait_until_refused(&gateway, [127, 0, 0, 9]);
    for _ in 0..200 {
        let mut refused = knocking::from([127, 0, 0, 9], gateway.address()).unwrap();
        let heard = knocking::heard(&mut refused);
        assert!(heard.starts_with("SSH-2.0-Funicular"), "{heard}");
        assert!(heard.contains("since logins from it failed"), "{heard}");
    }
    let rows = gateway
        .must(&["audit:list", "--rule", "penalty", "--format", "json"])
        .out();
    assert_eq!(rows.matches("\"penalty\"").count(), 1, "{rows}");
    assert!(rows.contains("127.0.0.9"), "{rows}");
    let lines = gateway
        .logged()
        .lines()
        .filter(|line| line.contains("turned away"))
        .count();
    assert!(
        (1..=9).contains(&lines),
        "{lines} lines for 200 connections"
    );
}

#[test]
fn keys_tried_before_the_right_one_cost_nothing() {
    let (_gateway, site) = gateway(&HARSH);
    let near = site.person(Role::TeamMember).coming_from("127.0.0.9");
    let mut many = vec!["-o".to_owned(), "IdentitiesOnly=yes".to_owned()];
    for number in 0..5 {
        let key = near.home().join(format!("other-{number}"));
        make_key(&key, &["-t", "ed25519"], "another");
        many.extend(["-i".to_owned(), key.display().to_string()]);
    }
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for _ in 0..4 {
        site.sftp_with(&near, "dev", &many, "ls\n").run().ok();
    }
    site.sftp(&near, "dev", "ls\n").run().ok();
}

#[test]
fn silence_garbage_and_leaving_are_each_paid_for() {
    let settings: Vec<Setting> = HARSH
        .into_iter()
        .chain([("limits", "login_grace_seconds", "2")])
        .collect();
    let (gateway, site) = gateway(&settings);
    let at = gateway.address();

    // Leaves without a word, as a scanner of ports does.
    drop(knocking::from([127, 0, 0, 21], at).unwrap());
    // Speaks another protocol.
    let mut web = knocking::from([127, 0, 0, 22], at).unwrap();
    web.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    knocking::heard(&mut web);
    // Says its version, then nonsense.
    let mut broken = knocking::from([127, 0, 0, 23], at).unwrap();
    broken.write_all(b"SSH-2.0-Broken\r\n").unwrap();
    broken.write_all(&[0xff; 64]).unwrap();
    knocking::heard(&mut broken);
    // Says nothing at all.
    let mut silent = knocking::from([127, 0, 0, 24], at).unwrap();
    knocking::heard(&mut silent);

    for (last, why) in [
        (21, "ended without a login"),
        (22, "did not speak SSH"),
        (23, "did not speak SSH"),
        (24, "did not log in in time"),
    ] {
        let heard = wait_until_refused(&gateway, [127, 0, 0, last]);
        assert!(heard.contains(why), "127.0.0.{last}: {heard}");
        let address = format!("127.0.0.{last}");
        let person = site.person(Role::TeamMember).coming_from(&address);
        site.sftp(&person, "dev", "ls\n").run().fails().says(why);
    }
    let far = site.person(Role::TeamMember).coming_from("127.0.0.25");
    site.sftp(&far, "dev", "ls\n").run().ok();
}

/// Who finds a way to make our session panic before login does not get to try it for long; whose
/// session breaks down after login is not to blame.
#[test]
fn a_session_that_breaks_down_before_login_is_paid_for() {
    const TRIGGER: &str = "please-panic-now";
    let settings: Vec<Setting> = HARSH
        .into_iter()
        .chain([("penalties", "crash_seconds", "100")])
        .collect();
    let gateway = Arc::new(Gateway::start_with(&settings));
    gateway.stop(Signal::SIGTERM);
    gateway.serve_with(&[("FUNICULAR_PANIC_ON", TRIGGER)]);
    let site = gateway.site("t-crash");
    let tom = site.person(Role::TeamMember);

    let inside = tom.coming_from("127.0.0.32");
    let file = inside.desk("crash").join("trigger");
    std::fs::write(&file, TRIGGER).unwrap();
    let put = format!("put {} /files/trigger\n", file.display());
    let broken = site.sftp(&inside, "dev", put).run();
    assert_ne!(broken.code, Some(0), "{broken}");
    wait_for("the panic after login", knocking::PATIENCE, || {
        gateway.logged().contains("ended this").then_some(())
    });
    site.sftp(&inside, "dev", "ls\n").run().ok();

    let near = tom.coming_from("127.0.0.31");
    let cut = near
        .openssh("ssh")
        .args(["-l", TRIGGER, &site.destination("dev")])
        .run();
    assert_ne!(cut.code, Some(0), "{cut}");
    let heard = wait_until_refused(&gateway, [127, 0, 0, 31]);
    let why = "since connections from it broke down the session that served them";
    assert!(heard.contains(why), "{heard}");
    site.sftp(&near, "dev", "ls\n").run().fails().says(why);
    site.sftp(&inside, "dev", "ls\n").run().ok();
    site.sftp(tom, "dev", "ls\n").run().ok();
    let rows = gateway
        .must(&["audit:list", "--rule", "penalty", "--format", "json"])
        .out();
    assert_eq!(rows.matches("\"penalty\"").count(), 1, "{rows}");
    assert!(
        rows.contains("127.0.0.31") && rows.contains("broke down"),
        "{rows}"
    );
}

#[test]
fn exempt_sources_are_never_kept_out() {
    let settings: Vec<Setting> = HARSH
        .into_iter()
        .skip(1)
        .chain([("penalties", "exempt", "[\"127.0.7.0/24\", \"127.0.0.1\"]")])
        .collect();
    let (gateway, site) = gateway(&settings);
    for source in [[127, 0, 7, 1], [127, 0, 0, 1], [127, 0, 8, 1]] {
        let mut web = knocking::from(source, gateway.address()).unwrap();
        web.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        knocking::heard(&mut web);
    }
    wait_until_refused(&gateway, [127, 0, 8, 1]);
    let tom = site.person(Role::TeamMember);
    site.sftp(&tom.coming_from("127.0.7.1"), "dev", "ls\n")
        .run()
        .ok();
    site.sftp(tom, "dev", "ls\n").run().ok();
}

#[test]
fn a_network_may_count_as_one_source() {
    let settings: Vec<Setting> = HARSH
        .into_iter()
        .chain([("limits", "source_bits_ipv4", "24")])
        .collect();
    let (gateway, site) = gateway(&settings);
    let mut web = knocking::from([127, 0, 9, 1], gateway.address()).unwrap();
    web.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    knocking::heard(&mut web);
    wait_until_refused(&gateway, [127, 0, 9, 1]);
    let tom = site.person(Role::TeamMember);
    site.sftp(&tom.coming_from("127.0.9.200"), "dev", "ls\n")
        .run()
        .fails()
        .says("Connections from 127.0.9.0/24 are refused");
    site.sftp(&tom.coming_from("127.0.10.1"), "dev", "ls\n")
        .run()
        .ok();
}

#[test]
fn penalties_may_be_switched_off() {
    let settings: Vec<Setting> = HARSH
        .into_iter()
        .chain([("penalties", "enabled", "false")])
        .collect();
    let (gateway, site) = gateway(&settings);
    for _ in 0..20 {
        let mut web = knocking::from([127, 0, 0, 9], gateway.address()).unwrap();
        web.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        knocking::heard(&mut web);
    }
    let near = site.person(Role::TeamMember).coming_from("127.0.0.9");
    site.sftp(&near, "dev", "ls\n").run().ok();
}

fn gateway(settings: &[Setting]) -> (Arc<Gateway>, Site) {
    let gateway = Arc::new(Gateway::start_with(settings));
    let site = gateway.site("t-penalty");
    (gateway, site)
}

/// The same person with a key that nobody knows.
fn with_wrong_key(person: &Person) -> Person {
    let person = person.at_another_computer("locked-out");
    make_key(&person.key(), &["-t", "ed25519"], "unknown");
    person
}

/// Waits until connections from a source are refused, and returns what they are told. The first
/// that is not says nothing that could be held against it for longer than it lasts already.
fn wait_until_refused(gateway: &Gateway, source: [u8; 4]) -> String {
    wait_for("a penalty", Duration::from_secs(30), || {
        gateway
            .logged()
            .contains(&format!("Connections from {}", shown(gateway, source)))
            .then_some(())
    });
    let mut refused = knocking::from(source, gateway.address()).unwrap();
    knocking::heard(&mut refused)
}

fn shown(gateway: &Gateway, source: [u8; 4]) -> String {
    let [a, b, c, d] = source;
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    if config.contains("source_bits_ipv4 = 24") {
        format!("{a}.{b}.{c}.0/24")
    } else {
        format!("{a}.{b}.{c}.{d}")
    }
}
