//! Those that wait for an environment: told their place, refused, cancelled; and who goes away while
//! they wait has left the queue.

use std::time::Duration;

use nix::sys::signal::Signal;
use support::gates::{Gates, INTENDED, PREPARED};
use support::screen::Screen;
use support::{Clone, Role, Site, wait_for};

use crate::deploys::{refs, rows, runs};
use crate::workflow_follow::under_way;

#[test]
fn a_push_that_waits_is_told_its_place() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("q-push");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember);
    let dana = site.person(Role::Developer);
    let (clone, other) = (Clone::new(&site, tom), Clone::new(&site, dana));
    let commit = clone.commit("index.php", "<?php echo 'first in line';\n");
    gates.close(PREPARED);
    let first = Screen::start(clone.git(&["push", "dev", "main"]));
    gates.reached(PREPARED);
    let second = Screen::start(other.git(&["push", "dev", "HEAD:refs/heads/second"]));
    second
        .shows("remote: q-push.dev is busy with sync_code by tom; waiting, number 1 in the queue.");
    let third = Screen::start(other.git(&["push", "dev", "HEAD:refs/heads/third"]));
    third.shows("waiting, number 2 in the queue.");
    // The command line does not wait if it is not to.
    let words = ["connection:set", "SITE.dev", "sftp", "--no-wait"];
    site.console(dana, &words)
        .run()
        .code(1)
        .says("q-push.dev is busy with sync_code by tom, and --no-wait was asked for");
    let queued = rows(&site, &["workflow:list", "SITE"]);
    let queued = queued.iter().filter(|row| row["status"] == "queued");
    assert_eq!(queued.count(), 2);
    gates.open(PREPARED);
    for push in [first, second, third] {
        let (code, shown) = push.ends();
        assert_eq!(code, Some(0), "{shown}");
    }
    assert_eq!(runs(&site, "dev"), commit);
}

#[test]
fn a_workflow_is_cancelled_between_two_steps() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("q-cancel");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember);
    let clone = Clone::new(&site, tom);
    let generations = |environment: &str| {
        let folder = site.gateway.data().join(format!(
            "sites/q-cancel/environments/{environment}/generations"
        ));
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    };
    let deploy = || Screen::start(site.console(tom, &["env:deploy", "SITE.test"]));
    let (before, kept) = (refs(&site), generations("test"));
    gates.close(PREPARED);
    let first = deploy();
    gates.reached(PREPARED);
    let id = under_way(&site, "running");
    site.console(tom, &["workflow:cancel", &id])
        .run()
        .ok()
        .says("ends before its next step");
    gates.open(PREPARED);
    let (code, shown) = first.ends();
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("tom has cancelled this; nothing was changed."),
        "{shown}"
    );
    assert_eq!((refs(&site), generations("test")), (before, kept));
    let info = site.must(&["workflow:info", &id, "--format", "json"]).out();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["status"], "cancelled", "{info}");
    let steps = info["steps"].as_array().unwrap();
    assert!(steps.len() == 1 && steps[0]["name"] == "prepare", "{info}");

    // A push, by somebody else of the team.
    clone.commit("index.php", "<?php echo 'second';\n");
    let (before, kept) = (refs(&site), generations("dev"));
    let tree = site.tree("dev", "code");
    gates.close(PREPARED);
    let push = Screen::start(clone.git(&["push", "dev", "main"]));
    gates.reached(PREPARED);
    let id = under_way(&site, "running");
    site.must(&["workflow:cancel", &id]);
    gates.open(PREPARED);
    let (code, shown) = push.ends();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("local has cancelled this"), "{shown}");
    assert_eq!((refs(&site), generations("dev")), (before, kept));
    site.tree("dev", "code").must_equal(&tree);

    // When it has begun to switch it goes to its end.
    gates.close(INTENDED);
    let last = deploy();
    gates.reached(INTENDED);
    let id = under_way(&site, "running");
    site.console(tom, &["workflow:cancel", &id])
        .run()
        .code(1)
        .says("goes to its end");
    gates.open(INTENDED);
    let (code, shown) = last.ends();
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn who_goes_away_has_left_the_queue() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("q-leave");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember);
    let dana = site.person(Role::Developer);
    let (clone, other) = (Clone::new(&site, tom), Clone::new(&site, dana));
    let before = refs(&site);
    clone.commit("index.php", "<?php echo 'the first';\n");
    gates.close(PREPARED);
    let first = Screen::start(clone.git(&["push", "dev", "main"]));
    gates.reached(PREPARED);

    let switch = ["connection:set", "SITE.dev", "sftp"];
    let push = || other.git(&["push", "dev", "HEAD:refs/heads/never"]);
    let ways: [(&str, Screen); 5] = [
        ("ssh, by Ctrl-C", Screen::start(site.console(dana, &switch))),
        (
            "ssh without input, killed",
            Screen::start_without_input(site.console(dana, &switch)),
        ),
        (
            "on the server",
            Screen::start_without_input(site.command(&switch)),
        ),
        ("a push, by Ctrl-C", Screen::start(push())),
        ("a push whose ssh is killed", Screen::start(push())),
    ];
    for (_, screen) in &ways {
        screen.shows("in the queue.");
    }
    let last = Screen::start(other.git(&["push", "dev", "HEAD:refs/heads/last"]));
    last.shows("waiting, number 6 in the queue.");
    let mut left = 6;
    for (way, screen) in ways {
        match way {
            "ssh, by Ctrl-C" => screen.process.signal(Signal::SIGINT),
            "a push, by Ctrl-C" => screen.process.signal_group(Signal::SIGINT),
            "a push whose ssh is killed" => screen.signal(screen.started("ssh"), Signal::SIGKILL),
            _killed => screen.process.signal(Signal::SIGKILL),
        }
        left -= 1;
        wait_for(way, Duration::from_secs(60), || {
            (queued(&site) == left).then_some(())
        });
        last.shows(&format!("waiting, number {left} in the queue."));
        screen.ends();
    }
    // All that while the first one holds the environment.
    assert_eq!(refs(&site), before);
    gates.open(PREPARED);
    for push in [first, last] {
        let (code, shown) = push.ends();
        assert_eq!(code, Some(0), "{shown}");
    }
    assert!(!refs(&site).contains("refs/heads/never"));
    let mode = site.must(&["env:info", "SITE.dev", "--field", "connection_mode"]);
    assert_eq!(mode.out(), "git\n");
    let flows = rows(&site, &["workflow:list", "SITE"]);
    // The test's own switch, and the two pushes that stayed.
    assert_eq!(flows.len(), 3, "{flows:?}");
}

fn queued(site: &Site) -> usize {
    let all = rows(site, &["workflow:list", "SITE"]);
    all.iter().filter(|row| row["status"] == "queued").count()
}
