//! Targets are told of each switch: in order, signed, again until they take it, over restarts and
//! crashes, and without holding anybody up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::gateway::Setting;
use support::hearer::{Hearer, Manner};
use support::{Client, Clone, Gateway, Role, Site, wait_for};

use crate::deploys::{push, rows};

#[test]
fn a_webhook_is_told_of_each_switch_and_each_rollback() {
    let site = site("dl-told", &[]);
    let hearer = Hearer::start();
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    let secret = add(&site, "live", "ci", &hearer.url("/hook?token=t0ken"));
    let first = clone.ask(&["rev-parse", "HEAD"]);
    site.must(&["env:deploy", "SITE.test"]);
    site.must(&["env:deploy", "SITE.live", "--note", "The \"first\""]);
    let second = push(&clone, "second");
    site.must(&["env:deploy", "SITE.test"]);
    let tom = site.person(Role::TeamMember);
    site.console(tom, &["env:deploy", "SITE.live"]).run().ok();
    site.console(tom, &["env:rollback", "SITE.live", "--note", "it broke"])
        .run()
        .ok();
    let heard = hearer.hears(3);
    let told: Vec<Value> = heard.iter().map(|one| one.json()).collect();
    let field = |place: usize, name: &str| told[place][name].as_str().unwrap_or("").to_owned();
    assert_eq!(field(0, "note"), "The \"first\"");
    for (place, event, kind, actor, old, new, release) in [
        (0, "switch", "deploy", "local", "", &first, "live_1"),
        (
            1,
            "switch",
            "deploy",
            "tom",
            first.as_str(),
            &second,
            "live_2",
        ),
        (
            2,
            "rollback",
            "rollback",
            "tom",
            second.as_str(),
            &first,
            "live_3",
        ),
    ] {
        let is = |name: &str, value: &str| assert_eq!(field(place, name), value, "{told:?}");
        is("event", event);
        is("kind", kind);
        is("actor", actor);
        is("site", &site.name);
        is("environment", "live");
        is("old_commit", old);
        is("new_commit", new);
        is("release", release);
        let code = std::path::PathBuf::from(field(place, "path"));
        assert!(code.join("index.php").exists(), "{told:?}");
        assert!(field(place, "time").ends_with('Z'), "{told:?}");
        let workflow = site.must(&[
            "workflow:info",
            &field(place, "workflow"),
            "--field",
            "note",
        ]);
        assert_eq!(workflow.out().trim(), field(place, "note"));
    }
    for one in &heard {
        assert_eq!(one.line, "POST /hook?token=t0ken HTTP/1.1");
        assert_eq!(one.header("idempotency-key"), one.json()["id"]);
        assert_eq!(one.header("funicular-event"), one.json()["event"]);
        assert_eq!(one.header("content-type"), "application/json");
        let (time, code) = one
            .header("funicular-signature")
            .strip_prefix("t=")
            .and_then(|text| text.split_once(",v1="))
            .unwrap();
        assert_eq!(hmac(&secret, &format!("{time}.{}", one.body)), code);
    }
    // Pushes to Dev, with nobody to tell, have told nobody.
    assert!(rows(&site, &["delivery:list", "SITE.dev"]).is_empty());
}

#[test]
fn it_is_told_again_until_it_is_taken_with_the_same_key_and_in_order() {
    let site = site("dl-again", &[]);
    let refusing = Hearer::start();
    let address = refusing.address();
    drop(refusing);
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    add(&site, "dev", "ci", &format!("http://{address}/"));
    push(&clone, "one");
    push(&clone, "two");
    let waiting = wait_until(&site, |rows| {
        rows.len() == 2 && rows[1]["attempts"].as_u64() >= Some(2)
    });
    assert_eq!(waiting[1]["status"], "waiting");
    assert!(
        text(&waiting[1], "result").contains("refused"),
        "{waiting:?}"
    );
    assert_eq!(waiting[0]["attempts"], 0, "the second waits for the first");
    // A restart forgets nothing.
    assert_eq!(site.gateway.stop(Signal::SIGTERM), Some(0));
    let hearer = Hearer::at(address);
    for manner in [
        Manner::status("500 Oh no"),
        Manner::Drops,
        Manner::Says(
            "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        Manner::Says("rubbish\r\n\r\n".into()),
    ] {
        let before = hearer.heard().len();
        hearer.answers(manner.clone());
        if before == 0 {
            site.gateway.serve();
        }
        let heard = hearer.hears(before + 1);
        assert!(
            heard.iter().all(|one| one.line.starts_with("POST / ")),
            "{manner:?}: {heard:?}"
        );
    }
    // Headers and a body without end do no harm.
    let endless = format!(
        "HTTP/1.1 500 Oh\r\nContent-Length: 99999999\r\n\r\n{}",
        "x".repeat(1 << 20)
    );
    hearer.answers(Manner::Says(endless));
    hearer.hears(hearer.heard().len() + 1);
    hearer.answers(Manner::status("204 Fine"));
    let told = wait_until(&site, |rows| {
        rows.iter().all(|row| row["status"] == "delivered")
    });
    let heard = hearer.heard();
    let keys: Vec<&str> = heard
        .iter()
        .map(|one| one.header("idempotency-key"))
        .collect();
    let (last, others) = keys.split_last().unwrap();
    assert!(
        others.iter().all(|key| key == &text(&told[1], "id")),
        "{keys:?}"
    );
    assert_eq!(*last, text(&told[0], "id"), "in their order: {keys:?}");
    let bodies: BTreeSet<&String> = heard.iter().map(|one| &one.body).collect();
    assert_eq!(bodies.len(), 2, "each attempt says the same: {bodies:?}");
}

#[test]
fn what_was_given_up_is_listed_and_can_be_told_again() {
    let site = site("dl-failed", &[("targets", "give_up_after_seconds", "0")]);
    let hearer = Hearer::start();
    hearer.answers(Manner::status("503 Later"));
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    add(&site, "dev", "ci", &hearer.url("/"));
    push(&clone, "one");
    let failed = wait_until(&site, |rows| {
        rows.len() == 1 && rows[0]["status"] == "failed"
    });
    assert!(text(&failed[0], "result").contains("503"), "{failed:?}");
    assert_eq!(failed[0]["next_at"], Value::Null);
    // The next is not held up by it.
    hearer.answers(Manner::status("200 OK"));
    push(&clone, "two");
    wait_until(&site, |rows| {
        rows.len() == 2 && rows[0]["status"] == "delivered"
    });
    let listed = |status: &str| {
        rows(&site, &["delivery:list", "SITE", "--status", status])
            .iter()
            .map(|row| text(row, "id").to_owned())
            .collect::<Vec<_>>()
    };
    let id = text(&failed[0], "id").to_owned();
    assert_eq!(listed("failed").concat(), id);
    site.must(&["target:list", "SITE.dev"]).says("ci");
    let shown = ["env:info", "SITE.dev", "--field", "targets"];
    assert_eq!(site.must(&shown).out().trim(), "ci (1 not delivered)");
    site.must(&["delivery:retry", &id]).says("told again");
    wait_until(&site, |rows| {
        rows.iter().all(|row| row["status"] == "delivered")
    });
    assert_eq!(listed("failed"), [""; 0]);
    let heard = hearer.heard();
    assert_eq!(heard.len(), 3);
    assert_eq!(heard[2].header("idempotency-key"), id);
    assert_eq!(heard[2].body, heard[0].body);
    site.command(&["delivery:retry", "nonsense-1"])
        .run()
        .code(1)
        .says("There is no delivery");
}

#[test]
fn a_dead_target_holds_up_neither_deploys_nor_others() {
    let site = site("dl-dead", &[]);
    let (dead, well) = (Hearer::start(), Hearer::start());
    dead.answers(Manner::Hangs);
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    // Nothing here would end if anybody waited for it.
    let words = [
        "target:add",
        "SITE.dev",
        "a-dead-one",
        "webhook",
        "--timeout",
        "3600",
    ];
    site.must(&[&words[..], &[&dead.url("/")]].concat());
    add(&site, "dev", "well", &well.url("/"));
    for content in ["one", "two", "three"] {
        push(&clone, content);
    }
    well.hears(3);
    assert_eq!(dead.hears(1).len(), 1, "one at a time");
    site.must(&["target:remove", "SITE.dev", "a-dead-one"]);
    assert!(
        rows(&site, &["delivery:list", "SITE.dev"])
            .iter()
            .all(|row| row["target"] == "well")
    );
}

#[test]
fn a_crash_after_the_switch_still_tells() {
    let site = site("dl-crash", &[]);
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    let hearer = Hearer::start();
    add(&site, "test", "ci", &hearer.url("/"));
    let mut told = 0;
    // Before the change is complete the next start completes it; after "told" the target has heard
    // of it, but that was not written down.
    for point in ["refs-moved", "completed", "told"] {
        push(&clone, point);
        site.gateway.stop(Signal::SIGTERM);
        site.gateway.serve_with(&[("FUNICULAR_CRASH_AT", point)]);
        let deploy = site
            .command(&["env:deploy", "SITE.test", "--note", point])
            .run();
        let ended = site.gateway.ended();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&ended),
            Some(9),
            "{deploy}"
        );
        let heard_before = hearer.heard().len();
        assert_eq!(heard_before, told + usize::from(point == "told"), "{point}");
        site.gateway.serve();
        let heard = hearer.hears(heard_before + 1);
        let last = heard.last().unwrap().json();
        assert_eq!(last["event"], "switch", "{point}");
        assert_eq!(last["note"], point);
        assert_eq!(last["new_commit"], clone.ask(&["rev-parse", "HEAD"]));
        wait_until_told(&site, "test");
        assert_eq!(hearer.heard().len(), heard_before + 1, "{point}");
        told = hearer.heard().len();
    }
    let heard = hearer.heard();
    let keys: BTreeSet<&str> = heard
        .iter()
        .map(|one| one.header("idempotency-key"))
        .collect();
    assert_eq!(
        (heard.len(), keys.len()),
        (4, 3),
        "the one that came twice has one key: {keys:?}"
    );
    assert_eq!(heard[2].body, heard[3].body);
    // What a crash drops is told to nobody.
    push(&clone, "dropped");
    site.gateway.stop(Signal::SIGTERM);
    site.gateway
        .serve_with(&[("FUNICULAR_CRASH_AT", "hosts-switched")]);
    site.command(&["env:deploy", "SITE.test"]).run();
    site.gateway.ended();
    site.gateway.serve();
    assert_eq!(rows(&site, &["delivery:list", "SITE.test"]).len(), 3);
}

#[test]
fn only_so_much_is_remembered() {
    let site = site("dl-kept", &[("targets", "keep_deliveries", "2")]);
    let hearer = Hearer::start();
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    add(&site, "dev", "ci", &hearer.url("/"));
    for content in ["one", "two", "three", "four"] {
        push(&clone, content);
        wait_until_told(&site, "dev");
    }
    let kept = wait_until(&site, |rows| rows.len() == 2);
    assert_eq!(kept[0]["id"], hearer.heard()[3].json()["id"]);
}

#[test]
fn work_on_the_server_is_told_of_too() {
    let site = site("dl-work", &[]);
    let hearer = Hearer::start();
    add(&site, "dev", "ci", &hearer.url("/"));
    site.set_mode("sftp");
    let tom = site.person(Role::TeamMember);
    site.sftp(
        tom,
        "dev",
        "mkdir /code/new\nput /etc/hostname /code/new/x\n",
    )
    .run()
    .ok();
    site.must(&["env:commit", "SITE.dev", "--message", "By hand"]);
    let heard = hearer.hears(2);
    let (switched, committed) = (heard[0].json(), heard[1].json());
    assert_eq!(switched["event"], "switch");
    assert_eq!(switched["kind"], "enable_on_server_development");
    assert_eq!(switched["old_commit"], switched["new_commit"]);
    assert_eq!(committed["event"], "commit");
    assert_eq!(committed["note"], "By hand");
    assert_eq!(committed["path"], Value::Null);
    assert_ne!(committed["old_commit"], committed["new_commit"]);
}

/// A site in Git mode on a gateway of its own, which tries again each second.
pub(crate) fn site(name: &str, settings: &[Setting]) -> Site {
    let quick = [("targets", "longest_retry_seconds", "1")];
    let gateway = Arc::new(Gateway::start_with(&[&quick[..], settings].concat()));
    let site = gateway.site(name);
    site.set_mode("git");
    site
}

/// Adds a webhook, and returns its secret.
#[track_caller]
pub(crate) fn add(site: &Site, environment: &str, name: &str, url: &str) -> String {
    let place = format!("SITE.{environment}");
    let added = site.must(&["target:add", &place, name, "webhook", url]);
    added.out().lines().last().expect("the secret").to_owned()
}

/// Waits until what all targets of the site were told is as it should be.
#[track_caller]
pub(crate) fn wait_until(site: &Site, mut so: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
    let mut last = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if Instant::now() > deadline {
            panic!("the deliveries stay so: {last:#?}");
        }
        last = rows(site, &["delivery:list", "SITE"]);
        if so(&last) {
            return last;
        }
    }
}

/// Waits until an environment's targets were told everything.
#[track_caller]
pub(crate) fn wait_until_told(site: &Site, environment: &str) {
    wait_for("all to be told", Duration::from_secs(60), || {
        let place = format!("SITE.{environment}");
        let rows = rows(site, &["delivery:list", &place]);
        rows.iter()
            .all(|row| row["status"] == "delivered")
            .then_some(())
    });
}

pub(crate) fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or("")
}

fn hmac(secret: &str, text: &str) -> String {
    let script = "import hashlib, hmac, sys\n\
        print(hmac.new(sys.argv[1].encode(), sys.stdin.buffer.read(), hashlib.sha256).hexdigest())";
    let made = Client::new("python3")
        .args(["-c", script, secret])
        .input(text)
        .run()
        .ok();
    made.out().trim().to_owned()
}
