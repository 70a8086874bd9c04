//! Deploys at some hours only: refused outside with when the next begin, repairs at any hour.

use std::time::{SystemTime, UNIX_EPOCH};

use support::{Person, Role};

use crate::deploys::{push, refs, rows, runs, site};
use crate::freezes::refused;

#[test]
fn outside_its_hours_live_takes_no_deploy() {
    let (site, tom, clone) = site("h-closed");
    site.deploy_all();
    let commit = push(&clone, "second");
    site.must(&["env:deploy", "SITE.test"]);
    let ada = site.person(Role::Administrator);
    let run = |who: &Person, words: &[&str]| site.console(who, words).run();
    let closed = hours(2, 3);
    let set = ["window:set", "SITE.live", &closed];
    run(&tom, &set).code(3).says("not for the role team_member");
    run(ada, &set)
        .ok()
        .says("Deploys go to h-closed.live at these hours only")
        .says("(closed, opens ");
    let before = refs(&site);
    let opens = clock(2);
    run(&tom, &["env:deploy", "SITE.live"])
        .code(3)
        .says(&format!(
            "takes deploys at these hours only: {closed}. The next begin "
        ))
        .says(&format!(" {opens} UTC."))
        .says("In an emergency push a hotfix, roll back");
    run(ada, &["env:deploy", "SITE.live"])
        .code(3)
        .says("these hours only");
    run(&tom, &["env:deploy", "SITE.live", "--override", "urgent"])
        .code(3)
        .says("not for the role team_member");
    assert_eq!(refs(&site), before);
    refused(&site, "deploy", "outside-deploy-window");
    refused(&site, "deploy", "override-is-for-administrators");
    let shown = ["env:info", "SITE.live", "--field", "deploy_windows"];
    run(&tom, &shown).ok().says(&closed).says("closed, opens");
    run(&tom, &["window:list", "SITE"])
        .ok()
        .says(&closed)
        .says("closed");
    run(&tom, &[]).ok().says("Live takes no deploys now");
    let words = ["explain", "tom", "deploy", "SITE.live", "--field", "rule"];
    site.must(&words).says("outside-deploy-window");
    // Test has hours of its own, here none.
    push(&clone, "third");
    run(&tom, &["env:deploy", "SITE.test"]).ok();

    run(
        ada,
        &["env:deploy", "SITE.live", "--override", "the shop is down"],
    )
    .ok();
    assert_ne!(runs(&site, "live"), commit);
    let audited = rows(&site, &["audit:list", "--site", "SITE", "--env", "live"]);
    let row = audited.last().unwrap();
    assert_eq!(row["rule"], "administrator-overrides-window", "{row}");
    let detail = row["detail"].as_str().unwrap();
    assert!(detail.contains("overridden: the shop is down"), "{row}");
}

#[test]
fn repairs_go_at_any_hour() {
    let (site, tom, clone) = site("h-repair");
    site.deploy_all();
    site.must(&["window:set", "SITE.live", &hours(2, 3)]);
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-b", "hotfix/typo", "live_1"]);
    let fix = clone.commit("lib/menu.php", "<?php // fixed\n");
    clone.must(&["push", "-o", "reason=typo", "live", "hotfix/typo"]);
    assert_eq!(runs(&site, "live"), fix);
    site.console(&tom, &["env:rollback", "SITE.live"])
        .run()
        .ok();
    assert_ne!(runs(&site, "live"), fix);
}

#[test]
fn within_one_of_its_hours_live_takes_a_deploy() {
    let (site, tom, clone) = site("h-open");
    site.deploy_all();
    let commit = push(&clone, "second");
    site.must(&["env:deploy", "SITE.test"]);
    let (closed, open) = (hours(3, 4), hours(-1, 2));
    site.must(&["window:set", "SITE.live", &closed, &open])
        .says(&format!("{closed}; {open} (open now)"));
    let deploy = || site.console(&tom, &["env:deploy", "SITE.live"]).run();
    deploy().ok();
    assert_eq!(runs(&site, "live"), commit);

    push(&clone, "third");
    site.must(&["env:deploy", "SITE.test"]);
    site.must(&["window:set", "SITE.live", &closed]);
    deploy().code(3);
    site.must(&["window:clear", "SITE.live"])
        .says("at any hour");
    deploy().ok();
    site.must(&["window:list", "SITE"]).says("at any hour");
    let audited = rows(&site, &["audit:list", "--site", "SITE"]);
    let set = audited.iter().filter(|row| row["action"] == "window-set");
    let told: Vec<&str> = set.map(|row| row["detail"].as_str().unwrap()).collect();
    assert_eq!(told, [&format!("{closed}; {open}"), &closed, "at any hour"]);
}

#[test]
fn what_are_no_hours_is_told() {
    let (site, _tom, _) = site("h-odd");
    for (odd, why) in [
        ("mon-thu 09:00-16:00", "three parts"),
        ("mon 9-16 UTC", "HH:MM"),
        ("someday 09:00-16:00 UTC", "a day is mon"),
        ("mon 09:00-16:00 Mars/Olympus", "no such time zone"),
    ] {
        site.command(&["window:set", "SITE.live", odd])
            .run()
            .code(1)
            .says(why)
            .says("mon-thu 09:00-16:00 Europe/Berlin");
    }
    site.command(&["window:set", "SITE.live"]).run().code(2);
    site.command(&["window:set", "SITE.dev", "daily 09:00-16:00 UTC"])
        .run()
        .code(3)
        .says("has no deploys");
    site.must(&[
        "window:set",
        "SITE.live",
        "mon-thu 09:00-16:00 Europe/Berlin",
    ]);
    site.must(&["window:list", "SITE"]).says("Europe/Berlin");
}

/// Hours from so many full hours after this one's beginning, every day.
fn hours(from: i64, to: i64) -> String {
    format!("daily {}-{} UTC", clock(from), clock(to))
}

fn clock(ahead: i64) -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let hour = i64::try_from(seconds / 3600).unwrap() + ahead;
    format!("{:02}:00", hour.rem_euclid(24))
}
