//! The daemon's beginning and end: making its folder once, its configuration, a folder of a newer
//! version, and how it lets work under way finish.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::raw::Raw;
use support::{Client, Gateway, Role, Tree, clients, programs, tree, wait_for};

#[test]
fn a_folder_is_made_once() {
    let gateway = Gateway::start();
    let before = Tree::read(gateway.data().join("host_keys"));
    let config = fs::read(gateway.config()).unwrap();
    let init = |data: &Path, key: &Path| {
        Client::new(programs::funicular())
            .args(["init", "--admin", "eve", "--admin-key"])
            .arg(key)
            .arg("--data")
            .arg(data)
            .run()
    };
    let key = gateway.person(Role::Attacker).public_key();
    init(&gateway.data(), &key)
        .code(1)
        .says("nothing was changed");
    Tree::read(gateway.data().join("host_keys")).must_equal(&before);
    assert_eq!(fs::read(gateway.config()).unwrap(), config);
    gateway.must(&["user:list"]).says_not("eve");

    let other = gateway.folder().join("other");
    init(&other, &gateway.folder().join("nowhere")).code(1);
    init(&other, &gateway.person(Role::Attacker).key()).code(1);
    assert!(!other.exists());
    let made = init(&other, &key).ok();
    let known = made.out();
    assert!(
        known.contains("SHA256:") && known.contains("ssh-ed25519") && known.contains("ssh-rsa"),
        "{made}"
    );
    Client::new(programs::funicular())
        .arg("check-config")
        .arg(other.join("funicular.toml"))
        .run()
        .ok();
}

#[test]
fn a_slip_in_the_configuration_is_shown_with_its_place() {
    let gateway = Gateway::start();
    let text = fs::read_to_string(gateway.config()).unwrap();
    let file = gateway.folder().join("wrong.toml");
    for (right, wrong, column) in [
        ("drain_seconds = 30", "drain_secnds = 30", 1),
        ("drain_seconds = 30", "drain_seconds = \"soon\"", 17),
        ("drain_seconds = 30", "drain_seconds = -1", 17),
        ("drain_seconds = 30", "drain_seconds = ", 17),
        ("[git]", "[gti]", 2),
    ] {
        assert!(text.contains(right), "{right} is in the example");
        fs::write(&file, text.replacen(right, wrong, 1)).unwrap();
        let line = 1 + text
            .lines()
            .position(|line| line.starts_with(right))
            .expect("it is there");
        // systemd is told by the status of `serve` that starting again would not help.
        for (command, status) in [(&["check-config"][..], 1), (&["serve", "--config"], 2)] {
            let refused = Client::new(programs::funicular())
                .args(command)
                .arg(&file)
                .limit(Duration::from_secs(20))
                .run()
                .code(status);
            let said = refused.err();
            assert!(said.contains("wrong.toml"), "{refused}");
            assert!(
                said.contains(&format!("line {line}")),
                "line {line} of {wrong}: {refused}"
            );
            assert!(
                said.contains(&format!("column {column}")),
                "column {column} of {wrong}: {refused}"
            );
        }
    }
    Client::new(programs::funicular())
        .arg("check-config")
        .arg(gateway.config())
        .run()
        .code(0);
    Client::new(programs::funicular())
        .arg("check-config")
        .arg(gateway.folder().join("nowhere"))
        .run()
        .code(1);
}

#[test]
fn a_wrong_level_is_shown_with_its_place() {
    let gateway = Gateway::start();
    let text = fs::read_to_string(gateway.config()).unwrap();
    let file = gateway.folder().join("wrong.toml");
    fs::write(&file, text.replace("level = \"info\"", "level = \"loud\"")).unwrap();
    let check = Client::new(programs::funicular())
        .arg("check-config")
        .arg(&file);
    check.run().code(1).says("line ").says("column 9");
}

#[test]
fn a_folder_of_a_newer_version_is_left_alone() {
    let gateway = Gateway::start();
    assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
    for name in ["state.db", "audit.db"] {
        let file = gateway.data().join(name);
        let kept = fs::read(&file).unwrap();
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
                      c.execute('pragma user_version = 99')\nc.commit()\nc.execute('pragma wal_checkpoint(truncate)')\nc.close()";
        clients::python("sqlite3", script).arg(&file).run().ok();
        let newer = fs::read(&file).unwrap();
        let refused = gateway
            .command(&["serve"])
            .limit(Duration::from_secs(20))
            .run()
            .code(1);
        let refused = refused.says(name).says("newer").says("99");
        assert!(!refused.out().contains("ready"), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), newer, "{name} was changed");
        fs::write(&file, kept).unwrap();
    }
    gateway.serve();
    gateway.must(&["audit:verify"]);
}

#[test]
fn without_a_daemon_commands_say_so() {
    let gateway = Gateway::start();
    // One at a time on one folder.
    let second = gateway
        .command(&["serve"])
        .limit(Duration::from_secs(20))
        .run()
        .code(1);
    assert!(!second.out().contains("ready"), "{second}");
    gateway.must(&["site:list"]);
    assert_eq!(gateway.stop(Signal::SIGINT), Some(0));
    gateway.command(&["site:list"]).run().code(1);
    gateway.serve();
    gateway.must(&["site:list"]);
}

#[test]
fn an_idle_session_does_not_hold_the_end_up() {
    let gateway = Arc::new(Gateway::start_with(&[("limits", "drain_seconds", "2")]));
    let site = gateway.site("l-idle");
    let _raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let follower = site.command(&["audit:list", "--follow"]).start();
    drop(site);
    let gateway = Arc::into_inner(gateway).expect("nobody else holds it");
    let began = Instant::now();
    assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(7), "the end took {took:?}");
    follower.finish();
    gateway.serve();
    gateway.must(&["audit:verify"]);
}

#[test]
fn a_transfer_under_way_is_let_finish() {
    const LENGTH: usize = 3_000_000;
    let gateway = Arc::new(Gateway::start_with(&[("limits", "drain_seconds", "60")]));
    let site = gateway.site("l-drain");
    let tom = site.person(Role::TeamMember).clone();
    let upload = tom.desk("l-drain").join("noise");
    let content = tree::noise(3, LENGTH);
    fs::write(&upload, &content).unwrap();
    let disk = site.disk("dev", "files");
    // 6 Mbit/s: about four seconds.
    let batch = format!("put {} /files/noise\n", upload.display());
    let transfer = site.sftp_with(&tom, "dev", &["-l", "6000"], batch).start();
    // Until it is whole, it is not where it will be.
    let uploads = gateway
        .data()
        .join("sites/l-drain/environments/dev/uploads");
    let arrived = || {
        let found = fs::read_dir(&uploads)
            .unwrap()
            .filter_map(|found| found.ok()?.metadata().ok());
        found.map(|found| found.len()).max().unwrap_or(0)
    };
    wait_for("the transfer's begin", Duration::from_secs(20), || {
        (arrived() > 0).then_some(())
    });
    drop(site);
    let gateway = Arc::into_inner(gateway).expect("nobody else holds it");
    let daemon = Pid::from_raw(gateway.process_id().try_into().unwrap());
    kill(daemon, Signal::SIGTERM).unwrap();
    let so_far = arrived();
    assert!(
        so_far > 0 && so_far < LENGTH as u64 && !disk.join("noise").exists(),
        "the transfer was over too soon for this test"
    );
    // Who comes now is not let in.
    wait_for("the door to close", Duration::from_secs(10), || {
        std::net::TcpStream::connect(gateway.address()).err()
    });
    transfer.finish().ok();
    assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
    assert!(
        fs::read(disk.join("noise")).unwrap() == content,
        "the file is not what was sent"
    );
}
