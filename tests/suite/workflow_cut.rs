//! A client that goes away orphans nothing: what it began goes to its end, and the log tells how.
//! The gateway that goes away itself: its leases are taken over by rule.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::gates::{Gates, INTENDED, MOVED, PREPARED};
use support::screen::Screen;
use support::{Clone, Gateway, Role, Site, wait_for};

use crate::deploys::{refs, rows, runs};
use crate::workflow_follow::under_way;

#[test]
fn a_push_goes_to_its_end_without_its_client() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("c-push");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember);
    let clone = Clone::new(&site, tom);
    for gate in [PREPARED, INTENDED, MOVED] {
        for victim in ["git", "ssh", "both, by Ctrl-C"] {
            let commit = clone.commit("index.php", &format!("<?php // {victim} at {gate}\n"));
            gates.close(gate);
            let push = Screen::start(clone.git(&["push", "dev", "main"]));
            gates.reached(gate);
            let id = under_way(&site, "running");
            match victim {
                "git" => push.process.signal(Signal::SIGKILL),
                "ssh" => push.signal(push.started("ssh"), Signal::SIGKILL),
                _both => push.process.signal_group(Signal::SIGINT),
            }
            push.died();
            gates.open(gate);
            let info = ended(&site, &id);
            assert_eq!(info["status"], "succeeded", "{victim} at {gate}: {info}");
            assert_eq!(info["result"], "done", "{info}");
            assert_eq!(runs(&site, "dev"), commit);
            assert!(refs(&site).contains(&commit));
            let page = site.tree("dev", "code");
            let page = String::from_utf8_lossy(page.content("index.php").unwrap()).into_owned();
            assert!(page.contains(&format!("{victim} at {gate}")), "{page}");
            let log = log(&site, "dev", &id);
            assert!(log.trim_end().ends_with("succeeded: done"), "{log}");
            assert!(log.contains("switch     done after"), "{log}");
        }
    }
    // Nothing is held any more.
    let commit = clone.commit("index.php", "<?php // at last\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    assert_eq!(runs(&site, "dev"), commit);
    site.must(&["audit:verify"]);
}

#[test]
fn a_deploy_goes_to_its_end_without_its_client() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("c-deploy");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember);
    let deploy = ["env:deploy", "SITE.test"];
    let rollback = ["env:rollback", "SITE.test"];
    let clone = Clone::new(&site, tom);
    let first = runs(&site, "dev");
    let cut = |client: support::Client, signal: Signal| {
        gates.close(PREPARED);
        let screen = Screen::start(client);
        gates.reached(PREPARED);
        let id = under_way(&site, "running");
        screen.process.signal(signal);
        screen.ends();
        gates.open(PREPARED);
        let info = ended(&site, &id);
        assert_eq!(info["status"], "succeeded", "{info}");
        let log = log(&site, "test", &id);
        assert!(log.trim_end().ends_with("succeeded: done"), "{log}");
    };
    cut(site.console(tom, &deploy), Signal::SIGINT);
    assert_eq!(runs(&site, "test"), first);
    let second = crate::deploys::push(&clone, "second");
    cut(site.command(&deploy), Signal::SIGKILL);
    assert_eq!(runs(&site, "test"), second);
    cut(site.console(tom, &rollback), Signal::SIGKILL);
    assert_eq!(runs(&site, "test"), first);
}

#[test]
fn the_lease_of_a_gateway_that_died_is_taken_over() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("c-lease");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember);
    // Before anything was changed, and when all was written down.
    for (gate, tags) in [(PREPARED, 0), (MOVED, 1)] {
        gates.close(gate);
        let deploy = Screen::start(site.console(tom, &["env:deploy", "SITE.test"]));
        gates.reached(gate);
        let id = under_way(&site, "running");
        assert_eq!(gateway.stop(Signal::SIGKILL), None);
        deploy.ends();
        gates.open(gate);
        gates.serve(&gateway);
        let logged = gateway.logged();
        let taken_over = "c-lease.test, held for deploy by tom since ";
        assert_eq!(logged.matches(taken_over).count(), tags + 1, "{logged}");
        let info = ended(&site, &id);
        let expected = if tags == 0 { "failed" } else { "succeeded" };
        assert_eq!(info["status"], expected, "{info}");
        let list = refs(&site);
        assert_eq!(list.matches("refs/tags/test_").count(), tags, "{list}");
    }
    // It holds nothing: nobody waits, also not with --no-wait.
    site.set_mode("git");
    let clone = Clone::new(&site, tom);
    let commit = crate::deploys::push(&clone, "next");
    site.console(tom, &["env:deploy", "SITE.test", "--no-wait"])
        .run()
        .ok();
    assert_eq!(runs(&site, "test"), commit);
}

/// Waits for the end of a workflow, and returns what is known of it.
#[track_caller]
fn ended(site: &Site, id: &str) -> serde_json::Value {
    let what = format!("the end of {id}");
    wait_for(&what, Duration::from_secs(60), || {
        let all = rows(site, &["workflow:list", "SITE"]);
        let row = all.iter().find(|row| row["id"] == id)?.clone();
        (row["status"] != "running").then_some(row)
    })
}

/// Returns the log file of a workflow that has ended, from the disk.
fn log(site: &Site, environment: &str, id: &str) -> String {
    let gateway: &Gateway = &site.gateway;
    let file = gateway.data().join(format!(
        "sites/{}/environments/{environment}/logs/workflows/{id}.log",
        site.name
    ));
    fs::read_to_string(file).unwrap()
}
