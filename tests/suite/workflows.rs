//! Workflows as their users meet them: followed, waited for, queued, cancelled, kept.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use support::{Gateway, Role, wait_for};

fn started(line: &str) -> bool {
    line.contains("started")
}

#[test]
fn each_workflow_is_kept_with_its_steps_and_its_log() {
    let gateway = Arc::new(Gateway::start());
    let site = gateway.site("kept");
    site.set_mode("git");
    site.deploy_all();
    let tom = site.person(Role::TeamMember).clone();
    let listed = site
        .must(&["workflow:list", "SITE", "--format", "json"])
        .out();
    let rows: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let deploy = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["workflow"] == "deploy" && row["env"] == "live")
        .unwrap_or_else(|| panic!("{listed}"));
    let id = deploy["id"].as_str().unwrap();
    assert_eq!(deploy["status"], "succeeded");

    let info = site.must(&["workflow:info", id, "--format", "json"]).out();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let steps: Vec<&str> = info["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["prepare", "switch", "record"], "{info}");
    assert!(info["from"].as_str().is_some_and(|from| !from.is_empty()));

    let logs = site.must(&["workflow:logs", id]).out();
    assert!(logs.lines().next().is_some_and(started), "{logs}");
    assert!(logs.contains("prepare    done after"), "{logs}");
    assert!(logs.trim_end().ends_with("succeeded: done"), "{logs}");
    // The same file over SFTP, under the id of the audit's row.
    let copy = tom.desk("log").join("copy");
    let get = format!("get /logs/workflows/{id}.log {}\n", copy.display());
    site.sftp(&tom, "live", get).run().ok();
    assert_eq!(fs::read(copy).unwrap(), logs.as_bytes());
    let audited = site
        .must(&["audit:list", "--site", "SITE", "--format", "json"])
        .out();
    assert!(audited.contains(id), "{audited}");

    site.console(&tom, &["workflow:wait", id]).run().ok();
    let cancelled = site.console(&tom, &["workflow:cancel", id]).run().ok();
    assert!(cancelled.err().contains("already ended"), "{cancelled}");
    let missing = site.console(&tom, &["workflow:info", "01NOTTHERE"]).run();
    assert_eq!(missing.code, Some(1), "{missing}");
}

#[test]
fn who_comes_second_waits_is_refused_or_cancelled() {
    let gateway = Arc::new(Gateway::start());
    let site = gateway.site("queued");
    let tom = site.person(Role::TeamMember).clone();
    site.sftp(&tom, "dev", "put /etc/hostname /code/new.txt\n")
        .run()
        .ok();
    // A question that nobody answers holds the environment.
    let mut holder = site
        .console(&tom, &["env:discard", "SITE.dev"])
        .start_piped();
    let running = |status: &str| {
        let listed = site
            .must(&["workflow:list", "SITE", "--format", "json"])
            .out();
        let rows: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let found = rows
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["status"] == status);
        found.map(|row| row["id"].as_str().unwrap().to_owned())
    };
    let soon = Duration::from_secs(20);
    let first = wait_for("the first to run", soon, || running("running"));

    let commit = ["env:commit", "SITE.dev", "-m", "Second"];
    let refused = site
        .console(&tom, &[&commit[..], &["--no-wait"]].concat())
        .run()
        .code(1);
    assert!(
        refused.err().contains("busy with discard by tom"),
        "{refused}"
    );

    let second = site.console(&tom, &commit).start();
    let queued = wait_for("the second to wait", soon, || running("queued"));
    let timed_out = site
        .console(&tom, &["workflow:wait", &queued, "--max", "0"])
        .run()
        .code(1);
    assert!(timed_out.err().contains("still under way"), "{timed_out}");
    let viewer = site.person(Role::Viewer).clone();
    let denied = site
        .console(&viewer, &["workflow:cancel", &queued])
        .run()
        .code(3);
    assert!(denied.err().contains("not for the role viewer"), "{denied}");
    site.console(&tom, &["workflow:cancel", &queued]).run().ok();
    let second = second.finish().code(1);
    assert!(second.err().contains("number 1 in the queue"), "{second}");
    assert!(second.err().contains("tom has cancelled this"), "{second}");

    // The next one waits and goes on when the first has ended.
    let third = site.console(&tom, &commit).start();
    wait_for("the third to wait", soon, || running("queued"));
    let mut answer = holder.child().stdin.take().unwrap();
    answer.write_all(b"no\n").unwrap();
    drop(answer);
    holder.wait(soon);
    third.finish().ok();
    let info = site.console(&tom, &["workflow:info", &first]).run();
    assert_eq!(info.code, Some(1), "one that did nothing is none: {info}");
}
