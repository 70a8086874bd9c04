//! The audit under attack: a flood cannot fill it, and it shows who tampers with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Gateway, Role, clients, wait_for};

use crate::audits::{SHARED, rows};

#[test]
fn a_flood_of_refusals_is_a_handful_of_rows() {
    const WRITES: u32 = 5000;
    let site = SHARED.gateway().site("a-flood");
    site.set_mode("git");
    site.deploy_all();
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "live");
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
    let mut sent = 0;
    while sent < WRITES {
        let ids: Vec<u32> = (0..100).map(|_| raw.id()).collect();
        for id in &ids {
            raw.send(&Request::open(
                *id,
                format!("/code/flood-{sent}.php"),
                flags,
            ));
            sent += 1;
        }
        for (_, reply) in raw.answers(ids) {
            reply.must_be(packets::PERMISSION_DENIED);
        }
    }
    let filter = ["--site", "SITE", "--decision", "refuse", "--limit", "6000"];
    let counted = |found: &[Value]| {
        found
            .iter()
            .filter_map(|row| row["count"].as_u64())
            .sum::<u64>()
    };
    let found = wait_for(
        "all refusals to be counted",
        Duration::from_secs(90),
        || {
            let found = rows(&site, &filter);
            (counted(&found) >= u64::from(WRITES)).then_some(found)
        },
    );
    assert_eq!(counted(&found), u64::from(WRITES));
    assert!(found.len() < 40, "{} rows", found.len());
    drop(raw);
    site.must(&["audit:verify"]);
}

#[test]
fn tampering_shows() {
    let gateway = Arc::new(Gateway::start());
    drop(gateway.site("a-tamper"));
    let gateway = Arc::into_inner(gateway).expect("nobody else holds it");
    gateway
        .must(&["audit:verify"])
        .says("each as it was written");
    assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
    let files: Vec<_> = ["audit.db", "audit.head"]
        .map(|name| gateway.data().join(name))
        .into();
    let kept: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    for (what, change) in [
        (
            "a changed letter",
            "update record set detail = replace(detail, 'tom', 'tim') where detail like '%tom%'",
        ),
        (
            "a changed person",
            "update record set person = 'mallory' where seq = 5",
        ),
        (
            "a changed byte of a hash",
            "update record set hash = zeroblob(32) where seq = 4",
        ),
        ("a removed row", "delete from record where seq = 3"),
        ("a removed first row", "delete from record where seq = 1"),
        (
            "a removed last row",
            "delete from record where seq = (select max(seq) from record)",
        ),
        (
            "two rows that changed places",
            "update record set seq = -3 where seq = 3; \
            update record set seq = 3 where seq = 4; update record set seq = 4 where seq = -3",
        ),
        ("all rows removed", "delete from record"),
    ] {
        edit(&files[0], change);
        gateway.serve();
        let found = gateway.command(&["audit:verify"]).run();
        assert!(
            found.code.is_some_and(|code| code != 0),
            "{what} was not found: {found}"
        );
        assert!(
            found.screen().contains("not all is as it was written"),
            "{what}: {found}"
        );
        assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
        for (file, content) in files.iter().zip(&kept) {
            std::fs::write(file, content).unwrap();
        }
    }
    gateway.serve();
    gateway
        .must(&["audit:verify"])
        .says("each as it was written");
}

fn edit(database: &Path, change: &str) {
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.executescript(sys.argv[2])\n\
                  c.commit()\nassert c.total_changes > 0\nc.execute('pragma wal_checkpoint(truncate)')\nc.close()";
    clients::python("sqlite3", script)
        .arg(database)
        .arg(change)
        .run()
        .ok();
}
