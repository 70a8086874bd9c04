//! What the audit holds after the gateway was killed in a stream of writes: all refusals and
//! workflows that were answered, all but the last moments of the writes, and a chain that verifies.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Gateway, Role, Site};

/// What a row of a stream of writes may lag behind its answer. The audit promises a tenth of a
/// second; the rest is for a machine that is busy with other tests.
const LAG: Duration = Duration::from_millis(600);

/// How long the stream lasts before the kill.
const STREAM: Duration = Duration::from_secs(2);

#[test]
fn what_was_answered_before_a_kill_is_there_after_it() {
    let gateway = Arc::new(Gateway::start());
    let site = gateway.site("a-kill");
    site.deploy_all();
    let tom = site.person(Role::TeamMember).clone();
    let mut raw = Raw::open(&site, &tom, "dev");
    let mut on_live = Raw::open(&site, &tom, "live");
    for round in 0..3 {
        // Of a kind of their own each, so that none is counted with another.
        let refused = refusal(&mut on_live, round);
        site.must(&[
            "env:deploy",
            "SITE.test",
            "--note",
            &format!("note {round}"),
        ]);
        let written = stream(&mut raw, round);
        // Answered just now, and durable before it was.
        let late = refusal(&mut on_live, round + 100);
        gateway.signal(Signal::SIGKILL);
        let killed = Instant::now();
        gateway.ended();
        gateway.serve();
        gateway
            .must(&["audit:verify"])
            .says("each as it was written");

        let rows = rows(&site);
        let of = |action: &str| -> HashSet<String> {
            rows.iter()
                .filter(|row| row["action"] == action)
                .filter_map(|row| Some(row["object"].as_str()?.to_owned()))
                .collect()
        };
        let writes = of("write");
        for (path, answered) in &written {
            if killed.duration_since(*answered) > LAG {
                assert!(writes.contains(path), "{path} was answered and has no row");
            }
        }
        let incidents: HashSet<_> = rows
            .iter()
            .filter_map(|row| row["incident"].as_str())
            .collect();
        for incident in [&refused, &late] {
            assert!(incidents.contains(incident.as_str()), "refusal {incident}");
        }
        let deploys = rows.iter().filter(|row| row["action"] == "deploy");
        assert!(deploys.count() >= round + 3, "{rows:#?}");
        raw = Raw::open(&site, &tom, "dev");
        on_live = Raw::open(&site, &tom, "live");
    }
}

/// Writes file after file; returns each path with when its close was answered.
fn stream(raw: &mut Raw, round: usize) -> Vec<(String, Instant)> {
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
    let mut written = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < STREAM {
        let path = format!("stream/{round}-{}.php", written.len());
        let handle = raw.open_file(format!("/files/{}", path.replace('/', "-")), flags);
        raw.ask(|id| Request::write(id, &handle, 0, b"<?php // stream\n"));
        raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
            .must_be(packets::OK);
        written.push((path.replace('/', "-"), Instant::now()));
    }
    assert!(written.len() > 20, "{} writes", written.len());
    written
}

/// Is refused, and returns the incident that the answer names.
fn refusal(raw: &mut Raw, number: usize) -> String {
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
    let said = raw
        .ask(|id| Request::open(id, format!("/code/{number}/no.php"), flags))
        .must_be(packets::PERMISSION_DENIED);
    let (_, after) = said.split_once("[incident ").expect("an incident");
    after.trim_end_matches(']').to_owned()
}

fn rows(site: &Site) -> Vec<Value> {
    let listed = site.must(&[
        "audit:list",
        "--site",
        "SITE",
        "--limit",
        "100000",
        "--format",
        "json",
    ]);
    serde_json::from_str::<Vec<Value>>(&listed.out()).expect("a list")
}
