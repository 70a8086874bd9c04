//! Workflows as they are followed while they run: by who began them, by others, by programs.

use serde_json::Value;
use support::gates::{Gates, PREPARED};
use support::screen::Screen;
use support::{Person, Role, Site};

use crate::deploys::rows;

#[test]
fn a_workflow_is_seen_live_by_all_who_follow_it() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("w-live");
    site.set_mode("git");
    let (tom, vera) = (site.person(Role::TeamMember), site.person(Role::Viewer));
    let console = |who: &Person, words: &[&str]| site.console(who, words);
    // With its input at an end, as in a script.
    let watch = Screen::start_without_input(console(vera, &["workflow:watch", "SITE"]));
    let json = Screen::start(console(
        tom,
        &["workflow:watch", "SITE", "--format", "json"],
    ));
    gates.close(PREPARED);
    let deploy =
        Screen::start_without_input(console(tom, &["env:deploy", "SITE.test", "--note", "why"]));
    gates.reached(PREPARED);
    deploy.shows("Preparing ");
    watch.shows("w-live.test: deploy by tom");
    watch.shows("prepare    started");
    json.shows(r#""event":"step_started""#);
    let id = under_way(&site, "running");
    let logs = Screen::start_without_input(console(vera, &["workflow:logs", &id, "--follow"]));
    logs.shows("prepare    started");
    // Without --follow it shows what there is.
    let so_far = console(vera, &["workflow:logs", &id]).run().ok();
    assert!(
        so_far.out().trim_end().ends_with("prepare    started"),
        "{so_far}"
    );
    let late = console(tom, &["workflow:wait", &id, "--max", "0"]).run();
    late.code(1).says("still under way after 0 seconds");
    let wait = Screen::start_without_input(console(tom, &["workflow:wait", &id]));

    gates.open(PREPARED);
    let (code, shown) = deploy.ends();
    assert_eq!(code, Some(0), "{shown}");
    for line in ["prepare: done after ", "switch: done after ", "as test_1."] {
        assert!(shown.contains(line), "{shown}");
    }
    let (code, shown) = logs.ends();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.trim_end().ends_with("succeeded: done"), "{shown}");
    let kept = console(vera, &["workflow:logs", &id]).run().ok();
    assert_eq!(kept.out(), shown, "the log is what was followed");
    let (code, shown) = wait.ends();
    assert_eq!(
        (code, shown),
        (Some(0), format!("Workflow {id} (deploy) succeeded.\n"))
    );

    // Who watches a site sees the next one as well.
    watch.shows("succeeded: done");
    console(tom, &["env:deploy", "SITE.live"]).run().ok();
    watch.shows("w-live.live: deploy by tom");
    json.shows("for w-live.live");
    for screen in [watch, json] {
        screen.process.signal(nix::sys::signal::Signal::SIGINT);
        screen.ends();
    }
}

#[test]
fn a_program_gets_a_line_of_json_for_all_that_happens() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("w-json");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember);
    gates.close(PREPARED);
    let words = ["env:deploy", "SITE.test", "--format", "json"];
    let deploy = Screen::start_without_input(site.console(tom, &words));
    // While it runs, not at its end.
    gates.reached(PREPARED);
    deploy.shows(r#""event":"output""#);
    assert!(!deploy.text().contains("step_ended"), "{}", deploy.text());
    gates.open(PREPARED);
    let (code, shown) = deploy.ends();
    assert_eq!(code, Some(0), "{shown}");
    let entries: Vec<Value> = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?} is no JSON")))
        .collect();
    let events: Vec<&str> = entries
        .iter()
        .map(|one| one["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "started",
            "output",
            "step_started",
            "step_ended",
            "step_started",
            "step_ended",
            "step_started",
            "step_ended",
            "ended"
        ]
    );
    let id = rows(&site, &["workflow:list", "SITE"])[0]["id"].clone();
    assert!(entries.iter().all(|one| one["workflow"] == id), "{shown}");
    let last = entries.last().unwrap();
    assert_eq!(
        (&last["status"], &last["result"]),
        (&"succeeded".into(), &"done".into())
    );
    let ended = entries.iter().filter(|one| one["event"] == "step_ended");
    assert!(
        ended
            .clone()
            .all(|one| one["milliseconds"].is_u64() && one["status"] == "done")
    );
    let steps: Vec<&Value> = ended.map(|one| &one["step"]).collect();
    assert_eq!(steps, ["prepare", "switch", "record"]);
}

#[test]
fn waiting_for_what_fails_is_a_failure() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("w-fail");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember);
    gates.close(PREPARED);
    let words = ["env:deploy", "SITE.test", "--format", "json"];
    let deploy = Screen::start_without_input(site.console(tom, &words));
    gates.reached(PREPARED);
    let id = under_way(&site, "running");
    let wait = Screen::start_without_input(site.console(tom, &["workflow:wait", &id]));
    site.console(tom, &["workflow:cancel", &id]).run().ok();
    gates.open(PREPARED);
    let (code, shown) = wait.ends();
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("cancelled: tom has cancelled this"),
        "{shown}"
    );
    let (code, shown) = deploy.ends();
    assert_eq!(code, Some(1), "{shown}");
    let last = shown
        .lines()
        .find(|line| line.contains(r#""event":"ended""#))
        .unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["status"], "cancelled");
    site.console(tom, &["workflow:wait", &id])
        .run()
        .code(1)
        .says("cancelled");
}

#[test]
fn a_person_at_a_terminal_ends_watching_with_ctrl_c() {
    let site = crate::deploys::SHARED.gateway().site("w-keys");
    let tom = site.person(Role::TeamMember).at_another_computer("w-keys");
    let words = ["-tt", "console@gateway", "workflow:watch", "w-keys"];
    let mut watch = Screen::start(tom.openssh("ssh").args(words));
    site.must(&["connection:set", "SITE.dev", "git"]);
    watch.shows("succeeded: done");
    watch.types(b"\x03");
    let (code, shown) = watch.ends();
    assert_eq!(code, Some(0), "{shown}");
}

/// Returns the workflow of a site that has this status.
pub(crate) fn under_way(site: &Site, status: &str) -> String {
    let what = format!("a workflow that is {status}");
    support::wait_for(&what, std::time::Duration::from_secs(60), || {
        let all = rows(site, &["workflow:list", "SITE"]);
        let found = all.iter().find(|row| row["status"] == status)?;
        Some(found["id"].as_str().unwrap().to_owned())
    })
}
