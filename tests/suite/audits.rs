//! What the audit keeps: a row for each act with all that is asked of it later, and how rows are
//! searched and followed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Clone, Finished, Person, Role, Shared, Site, personas, wait_for};

pub(crate) static SHARED: Shared = Shared::new();

#[test]
fn each_act_has_one_row() {
    let site = SHARED.gateway().site("a-acts");
    let tom = site.person(Role::TeamMember).at_another_computer("a-acts");
    let upload = tom.desk("a-acts").join("upload");
    std::fs::write(&upload, "12345").unwrap();
    let put = |to: &str| format!("put {} {to}\n", upload.display());
    site.sftp(&tom, "dev", put("/code/put.php")).run().ok();
    site.console(&tom, &["env:commit", "SITE.dev", "-m", "committed"])
        .run()
        .ok();
    site.console(&tom, &["connection:set", "SITE.dev", "git"])
        .run()
        .ok();
    site.sftp(&tom, "dev", put("/code/refused.php"))
        .run()
        .fails();
    let clone = Clone::new(&site, &tom);
    clone.commit("index.php", "<?php echo 'pushed';\n");
    clone.must(&["push", "dev", "main"]);
    clone
        .git(&["push", "dev", "main:refs/tags/live_9"])
        .run()
        .fails();
    site.console(&tom, &["env:deploy", "SITE.test", "--note", "the note"])
        .run()
        .ok();
    site.console(&tom, &["env:deploy", "SITE.dev"])
        .run()
        .code(3);
    let ada = site.person(Role::Administrator);
    site.console(ada, &["site:team:role", "SITE", "vera", "developer"])
        .run()
        .ok();
    site.console(&tom, &["site:team:role", "SITE", "tom", "administrator"])
        .run()
        .code(3);

    let fingerprint = fingerprint(&tom.public_key());
    for (act, filter, expected) in [
        (
            "write",
            &["--path", "put.php", "--env", "dev"][..],
            &[
                ("area", "code"),
                ("object", "put.php"),
                ("mode", "sftp"),
                ("bytes", "5"),
                ("decision", "permit"),
                ("outcome", "done"),
                ("rule", "sftp-mode-code"),
            ][..],
        ),
        (
            "commit",
            &[],
            &[
                ("mode", "sftp"),
                ("decision", "permit"),
                ("outcome", "done"),
            ],
        ),
        (
            "connection-mode",
            &["--decision", "permit"],
            &[("environment", "dev"), ("outcome", "done")],
        ),
        (
            "write",
            &["--path", "refused.php"],
            &[
                ("area", "code"),
                ("mode", "git"),
                ("decision", "refuse"),
                ("outcome", "refused"),
                ("rule", "git-mode-code-is-read-only"),
                ("bytes", "0"),
            ],
        ),
        (
            "update-ref",
            &["--path", "refs/heads/main"],
            &[
                ("environment", "dev"),
                ("decision", "permit"),
                ("outcome", "done"),
                ("rule", "git-mode-push"),
            ],
        ),
        (
            "update-ref",
            &["--path", "refs/tags/live_9"],
            &[("decision", "refuse"), ("outcome", "refused")],
        ),
        (
            "deploy",
            &["--env", "test"],
            &[
                ("decision", "permit"),
                ("outcome", "done"),
                ("rule", "team-member-deploys"),
            ],
        ),
        (
            "deploy",
            &["--env", "dev"],
            &[("decision", "refuse"), ("outcome", "refused")],
        ),
        (
            "team",
            &["--user", "tom"],
            &[("decision", "refuse"), ("outcome", "refused")],
        ),
    ] {
        let found = rows(&site, &[&["--site", "SITE"], filter].concat());
        let mut found = found.iter().filter(|row| row["action"] == act);
        let row = found
            .next()
            .unwrap_or_else(|| panic!("no row for {act} {filter:?}"));
        assert_eq!(found.next(), None, "a second row for {act} {filter:?}");
        for (name, value) in expected {
            assert_eq!(&plain(&row[*name]), value, "{name} of {row}");
        }
        assert_eq!(row["person"], "tom", "{row}");
        assert_eq!(plain(&row["fingerprint"]), fingerprint, "{row}");
        assert!(plain(&row["address"]).starts_with("127.0.0.1"), "{row}");
        assert!(plain(&row["client"]).contains("OpenSSH"), "{row}");
        assert_eq!(row["site"], "a-acts", "{row}");
        assert!(plain(&row["incident"]).len() > 15, "{row}");
        assert!(plain(&row["time"]).len() > 15, "{row}");
    }
    let team = rows(&site, &["--site", "SITE", "--user", "ada"]);
    assert_eq!(team.len(), 1, "{team:?}");
    assert!(plain(&team[0]["detail"]).contains("vera"), "{team:?}");
    let noted = rows(&site, &["--site", "SITE", "--rule", "team-member-deploys"]);
    assert!(plain(&noted[0]["detail"]).contains("the note"), "{noted:?}");
}

#[test]
fn keys_people_and_failed_logins_are_kept() {
    let site = SHARED.gateway().site("a-keys");
    let key = site.gateway.folder().join("a-key");
    personas::make_key(&key, &["-t", "ed25519"], "a key of tom's");
    let public = format!("{}.pub", key.display());
    let print = fingerprint(Path::new(&public));
    let tom = site.person(Role::TeamMember);
    let identity = format!("IdentityFile={}", key.display());
    let enter = || {
        let nobody = Person::new(site.gateway.folder(), "nobody");
        std::fs::copy(tom.config(), nobody.config()).unwrap();
        let config = std::fs::read_to_string(nobody.config()).unwrap();
        let lines = config.lines().filter(|line| !line.contains("IdentityFile"));
        std::fs::write(nobody.config(), lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        site.sftp_with(&nobody, "dev", &["-o", &identity], "ls\n")
            .run()
    };
    enter().fails();
    let failed = rows(&site, &["--rule", "login-failed", "--path", "dev.a-keys"]);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["action"], "login");
    assert_eq!(failed[0]["decision"], "refuse");
    assert!(
        plain(&failed[0]["address"]).starts_with("127.0.0.1"),
        "{failed:?}"
    );
    assert!(
        failed[0].to_string().contains(&print),
        "which key was tried: {failed:?}"
    );

    tom.console(&["ssh-key:add", "-"])
        .input(std::fs::read(&public).unwrap())
        .run()
        .ok();
    enter().ok();
    let id = tom
        .console(&["ssh-key:list", "--format", "json"])
        .run()
        .ok();
    let listed: Value = serde_json::from_slice(&id.stdout).unwrap();
    let listed = listed.as_array().expect("a list");
    let added = listed
        .iter()
        .find(|one| one["fingerprint"] == print.as_str());
    let id = plain(&added.expect("the key is listed")["id"]);
    tom.console(&["ssh-key:remove", &id]).run().ok();
    enter().fails();
    let changes = rows(&site, &["--user", "tom"]);
    let changes: Vec<&Value> = changes
        .iter()
        .filter(|row| row["action"] == "own-keys" && plain(&row["detail"]).contains(&print))
        .collect();
    assert_eq!(changes.len(), 2, "{changes:?}");
}

#[test]
fn rows_are_found_by_each_of_their_sides() {
    let site = SHARED.gateway().site("a-find");
    site.set_mode("git");
    site.deploy_all();
    let tom = site.person(Role::TeamMember);
    let dana = site.person(Role::Developer);
    let by_tom = Raw::open(&site, tom, "live");
    let by_dana = Raw::open(&site, dana, "dev");
    let mut sessions = [by_tom, by_dana];
    for (session, path) in [
        (0, "/code/one.php"),
        (0, "/files/two.txt"),
        (1, "/code/three.php"),
    ] {
        let raw: &mut Raw = &mut sessions[session];
        let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
        let opened = raw.ask(|id| Request::open(id, path, flags));
        if opened.kind == packets::HANDLE {
            let handle = opened.handle();
            raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
                .must_be(packets::OK);
        }
    }
    let all = wait_for("the rows", Duration::from_secs(10), || {
        let all = rows(&site, &["--site", "SITE"]);
        let objects: String = all.iter().map(|row| plain(&row["object"])).collect();
        ["one.php", "two.txt", "three.php"]
            .iter()
            .all(|name| objects.contains(name))
            .then_some(all)
    });
    let count = |holds: &dyn Fn(&Value) -> bool| all.iter().filter(|row| holds(row)).count();
    for (filter, expected) in [
        (
            &["--env", "live"][..],
            count(&|row| row["environment"] == "live"),
        ),
        (&["--user", "tom"], 2),
        (&["--user", "dana", "--env", "live"], 0),
        (&["--rule", "git-mode-code-is-read-only"], 1),
        (&["--decision", "refuse"], 2),
        (&["--decision", "permit"], all.len() - 2),
        (&["--path", "one.php"], 1),
        (
            &["--path", "t"],
            count(&|row| plain(&row["object"]).contains('t')),
        ),
        (&["--since", "1h"], all.len()),
        (&["--until", "1h"], 0),
        (&["--since", "2020-01-01", "--until", "2020-12-31"], 0),
        (&["--limit", "2"], 2),
        (&["--user", "nobody"], 0),
    ] {
        let words = [&["--site", "SITE"], filter].concat();
        let found = rows(&site, &words);
        assert_eq!(found.len(), expected, "{filter:?}");
        let table = site.must(&[&["audit:list"], &words[..]].concat()).out();
        assert_eq!(table.lines().count(), expected + 1, "{filter:?}: {table}");
        assert!(found.iter().all(|row| all.contains(row)), "{filter:?}");
    }
    for wrong in [["--since", "yesterday-ish"], ["--until", "99"]] {
        let refused = site
            .command(&[&["audit:list"], &wrong[..]].concat())
            .run()
            .fails();
        refused.says("2026-11-22");
    }
    site.command(&["audit:list", "--decision", "maybe"])
        .run()
        .code(2);
    site.console(dana, &["audit:list"]).run().code(3);
    site.console(
        site.person(Role::Stranger),
        &["audit:list", "--site", "SITE"],
    )
    .run()
    .code(3);
}

#[test]
#[ignore = "fault: the time as rows show it, with UTC behind it, is not understood"]
fn the_time_that_a_row_shows_can_be_given_back() {
    let site = SHARED.gateway().site("a-time");
    let all = rows(&site, &["--site", "SITE"]);
    let last = all.last().expect("the team was made");
    let found = rows(&site, &["--site", "SITE", "--since", &plain(&last["time"])]);
    assert!(found.contains(last), "{found:?}");
}

#[test]
fn a_follower_sees_rows_as_they_come() {
    let site = SHARED.gateway().site("a-follow");
    let ada = site.person(Role::Administrator);
    let words = [
        "audit:list",
        "--site",
        "SITE",
        "--follow",
        "--format",
        "json",
    ];
    let followers = [site.command(&words), site.console(ada, &words)];
    let mut followers: Vec<_> = followers.map(|one| one.start_piped()).into();
    let told: Vec<_> = followers
        .iter_mut()
        .map(|process| {
            let stdout = process.child().stdout.take().expect("stdout is a pipe");
            let (tell, told) = channel();
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let _ = tell.send(line);
                }
            });
            told
        })
        .collect();
    let next = |who: usize, name: &str| loop {
        let line = told[who]
            .recv_timeout(Duration::from_secs(20))
            .unwrap_or_else(|_| panic!("follower {who} was not told of {name}"));
        let row: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if row["object"] == name {
            break row;
        }
        assert_ne!(
            row["action"], "write",
            "another write came before {name}: {row}"
        );
    };
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    for name in ["one.txt", "two.txt"] {
        let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
        let handle = raw.open_file(format!("/files/{name}"), flags);
        raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
            .must_be(packets::OK);
        for who in 0..told.len() {
            assert_eq!(next(who, name)["person"], "tom");
        }
    }
    for mut follower in followers {
        assert!(
            follower.wait(Duration::ZERO).is_none(),
            "a follower ended by itself"
        );
        follower.signal_group(Signal::SIGINT);
        assert!(
            follower.wait(Duration::from_secs(10)).is_some(),
            "a follower does not end"
        );
    }
}

fn fingerprint(public_key: &Path) -> String {
    let shown = support::Client::new("ssh-keygen")
        .arg("-lf")
        .arg(public_key)
        .run()
        .ok();
    shown
        .out()
        .split_whitespace()
        .nth(1)
        .expect("ssh-keygen prints it")
        .to_owned()
}

/// A value as a person reads it.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[track_caller]
pub(crate) fn rows(site: &Site, words: &[&str]) -> Vec<Value> {
    let printed = site.must(&[&["audit:list"], words, &["--format", "json"]].concat());
    list(&printed)
}

#[track_caller]
fn list(printed: &Finished) -> Vec<Value> {
    match serde_json::from_slice(&printed.stdout) {
        Ok(Value::Array(rows)) => rows,
        other => panic!("no list: {other:?}: {printed}"),
    }
}
