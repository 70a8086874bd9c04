//! A frozen environment takes no code, by any way and from nobody, and says who ends that.

use support::{Person, Role, Site};

use crate::deploys::{push, refs, rows, runs, site};

#[test]
fn a_frozen_dev_takes_no_code_by_git() {
    let (site, tom, clone) = site("f-git");
    push(&clone, "before");
    freeze(&site, &tom, "dev", "the sale is on");
    let (before, tree) = (refs(&site), site.tree("dev", "code"));
    let commit = clone.commit("index.php", "<?php echo 'meanwhile';\n");
    for options in [
        &["push", "dev", "main"][..],
        &["push", "-o", "override=urgent", "dev", "main"],
    ] {
        clone
            .git(options)
            .run()
            .fails()
            .says("f-git.dev is frozen by tom since ")
            .says(": the sale is on; 'update-ref' was refused.")
            .says("A team member ends it: lock:disable f-git.dev.")
            .says("[incident ");
    }
    let switch = site.console(&tom, &["connection:set", "SITE.dev", "sftp"]);
    switch.run().code(3).says("frozen by tom");
    assert_eq!(refs(&site), before);
    site.tree("dev", "code").must_equal(&tree);
    // What no environment runs is none of the freeze's business.
    clone.must(&["push", "--quiet", "dev", "HEAD:refs/heads/topic"]);
    refused(&site, "update-ref", "environment-frozen");
    refused(&site, "connection-mode", "environment-frozen");

    let ended = site.console(&tom, &["lock:disable", "SITE.dev"]).run().ok();
    assert_eq!(ended.out(), "f-git.dev is no longer frozen.\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    assert_eq!(runs(&site, "dev"), commit);
}

#[test]
fn a_frozen_dev_takes_no_code_by_files_and_commits() {
    let (site, tom, _clone) = site("f-files");
    site.set_mode("sftp");
    let desk = tom.desk("f-files");
    let upload = desk.join("upload");
    std::fs::write(&upload, "<?php // new\n").unwrap();
    let put = |to: &str| site.sftp(&tom, "dev", format!("put {} {to}\n", upload.display()));
    put("/code/work.php").run().ok();
    freeze(&site, &tom, "dev", "an audit");
    let (before, tree) = (refs(&site), site.tree("dev", "code"));
    put("/code/index.php")
        .run()
        .fails()
        .says("frozen by tom")
        .says("an audit");
    for batch in [
        "rm /code/index.php\n",
        "rename /code/index.php /code/other.php\n",
        "rename /code/index.php /files/index.php\n",
        "mkdir /code/new\n",
        "chmod 600 /code/index.php\n",
        "ln -s index.php /code/link\n",
    ] {
        site.sftp(&tom, "dev", batch).run().fails();
    }
    let copied = tom
        .client("rsync")
        .args(["-e", &tom.ssh_command()])
        .arg(&upload)
        .arg(format!("{}:/code/index.php", site.destination("dev")));
    copied.run().fails().says("frozen by tom");
    let scp = tom
        .openssh("scp")
        .arg("-O")
        .arg(&upload)
        .arg(format!("{}:/code/index.php", site.destination("dev")));
    scp.run().fails().says("frozen by tom");
    for words in [
        &["env:commit", "SITE.dev", "-m", "work"][..],
        &["env:discard", "SITE.dev", "--yes"],
        &["connection:set", "SITE.dev", "git", "--yes"],
    ] {
        let done = site.console(&tom, words).run();
        done.code(3).says("f-files.dev is frozen by tom");
    }
    assert_eq!(refs(&site), before);
    site.tree("dev", "code").must_equal(&tree);
    for action in ["write", "commit", "discard", "connection-mode"] {
        refused(&site, action, "environment-frozen");
    }
    // Content goes on, and so does reading.
    put("/files/photo").run().ok();
    put("/tmp/scratch").run().ok();
    let get = format!("get /code/index.php {}\n", desk.join("down").display());
    site.sftp(&tom, "dev", get).run().ok();
    site.console(&tom, &["lock:disable", "SITE.dev"]).run().ok();

    let words = ["lock:enable", "SITE.dev", "--reason", "all", "--content"];
    site.console(&tom, &words).run().ok();
    put("/files/photo").run().fails().says("frozen by tom");
    put("/tmp/scratch").run().ok();
    assert_eq!(
        explained(&site, "tom", "write", "SITE.dev:/files/x"),
        "environment-frozen"
    );
}

#[test]
fn a_frozen_live_changes_by_a_repair_of_an_administrator_only() {
    let (site, tom, clone) = site("f-live");
    site.deploy_all();
    push(&clone, "second");
    site.deploy_all();
    push(&clone, "third");
    site.must(&["env:deploy", "SITE.test"]);
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-b", "hotfix/typo", "live_2"]);
    clone.commit("lib/menu.php", "<?php // fixed\n");
    let ada = site.person(Role::Administrator);
    freeze(&site, &tom, "live", "the sale is on");
    let (before, tree) = (refs(&site), site.tree("live", "code"));
    let run = |who: &Person, words: &[&str]| site.console(who, words).run();
    let hotfix = |options: &[&str]| {
        let words = [
            &["push", "-o", "reason=typo"],
            options,
            &["live", "hotfix/typo"],
        ]
        .concat();
        clone.git(&words).run()
    };
    run(&tom, &["env:deploy", "SITE.live"])
        .code(3)
        .says("f-live.live is frozen by tom")
        .says_not("--override");
    run(&tom, &["env:rollback", "SITE.live"])
        .code(3)
        .says("frozen by tom")
        .says("--override \"why\"");
    hotfix(&[])
        .fails()
        .says("frozen by tom")
        .says("-o override=\"why\"");
    // An override is an administrator's, and a deploy is no repair.
    run(
        &tom,
        &["env:rollback", "SITE.live", "--override", "shop down"],
    )
    .code(3)
    .says("not for the role team_member");
    hotfix(&["-o", "override=shop down"])
        .fails()
        .says("not for the role team_member");
    run(ada, &["env:deploy", "SITE.live", "--override", "I want it"])
        .code(3)
        .says("frozen by tom");
    run(ada, &["env:rollback", "SITE.live", "--override", " "])
        .code(3)
        .says("frozen by tom");
    assert_eq!(refs(&site), before);
    site.tree("live", "code").must_equal(&tree);
    for (action, rule) in [
        ("deploy", "environment-frozen"),
        ("rollback", "environment-frozen"),
        ("rollback", "override-is-for-administrators"),
        ("update-ref", "environment-frozen"),
        ("update-ref", "override-is-for-administrators"),
    ] {
        refused(&site, action, rule);
    }
    // Test is not frozen, and Live is read as ever.
    run(&tom, &["env:rollback", "SITE.test"]).ok();

    run(
        ada,
        &[
            "env:rollback",
            "SITE.live",
            "--override",
            "the shop is down",
        ],
    )
    .ok()
    .says("live_3");
    let overridden = rows(&site, &["audit:list", "--site", "SITE", "--env", "live"]);
    let row = overridden.last().unwrap();
    assert_eq!(row["rule"], "administrator-overrides-freeze", "{row}");
    let detail = row["detail"].as_str().unwrap();
    assert!(detail.contains("overridden: the shop is down"), "{row}");
    assert!(detail.contains("Rolled back to deploy 1"), "{row}");
}

#[test]
fn an_administrator_pushes_a_hotfix_through_a_freeze() {
    let (site, tom, _) = site("f-push");
    site.deploy_all();
    freeze(&site, &tom, "live", "the sale is on");
    let ada = site
        .person(Role::Administrator)
        .at_another_computer("f-push");
    let clone = support::Clone::new(&site, &ada);
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-b", "hotfix/typo", "live_1"]);
    let commit = clone.commit("lib/menu.php", "<?php // fixed\n");
    let push = |more: &[&str]| {
        let words = [
            &["push", "-o", "reason=typo"],
            more,
            &["live", "hotfix/typo"],
        ]
        .concat();
        clone.git(&words).run()
    };
    push(&[]).fails().says("frozen by tom");
    push(&["-o", "override=the shop is down"])
        .ok()
        .says("live_2");
    assert_eq!(runs(&site, "live"), commit);
    let audited = rows(&site, &["audit:list", "--site", "SITE", "--env", "live"]);
    let row = audited
        .iter()
        .find(|row| row["rule"] == "administrator-overrides-freeze")
        .unwrap_or_else(|| panic!("{audited:?}"));
    assert!(
        row["detail"]
            .as_str()
            .unwrap()
            .contains("overridden: the shop is down"),
        "{row}"
    );
}

#[test]
fn a_freeze_is_ended_by_who_may_and_seen_by_all() {
    let (site, tom, _) = site("f-who");
    let ada = site.person(Role::Administrator);
    let run = |who: &Person, words: &[&str]| site.console(who, words).run();
    let enable = ["lock:enable", "SITE.live", "--reason", "the sale is on"];
    for role in [Role::Developer, Role::Viewer] {
        run(site.person(role), &enable)
            .code(3)
            .says("not for the role");
        run(site.person(role), &["lock:disable", "SITE.live"]).code(3);
    }
    run(site.person(Role::Stranger), &enable)
        .code(3)
        .says("no site 'f-who'");
    run(&tom, &["lock:enable", "SITE.live"])
        .code(2)
        .says("--reason");
    run(&tom, &["lock:enable", "SITE.live", "--reason", " "])
        .code(1)
        .says("needs a reason");
    for (until, why) in [("2026-01-01", "in the past"), ("tomorrow", "is no end")] {
        let words = [&enable[..], &["--until", until]].concat();
        run(&tom, &words).code(1).says(why);
    }
    run(&tom, &["lock:disable", "SITE.live"])
        .ok()
        .says("is not frozen");
    run(&tom, &["lock:list", "SITE"])
        .ok()
        .says("Nothing is frozen");

    let words = [&enable[..], &["--until", "2096-12-24 20:00"]].concat();
    run(&tom, &words)
        .ok()
        .says("f-who.live is frozen until 2096-12-24 20:00:00 UTC.");
    run(ada, &enable).code(3).says("frozen already, by tom");
    let vera = site.person(Role::Viewer);
    let told = "the sale is on";
    run(vera, &["lock:list", "SITE"])
        .ok()
        .says(told)
        .says("2096-12-24");
    run(vera, &["env:info", "SITE.live", "--field", "frozen"])
        .ok()
        .says(told)
        .says("by tom");
    run(vera, &["site:info", "SITE", "--field", "held"])
        .ok()
        .says("Live is frozen by tom");
    run(vera, &[]).ok().says("Live is frozen by tom").says(told);
    assert_eq!(
        explained(&site, "tom", "deploy", "SITE.live"),
        "source-never-deployed"
    );
    run(&tom, &["lock:disable", "SITE.live"]).ok();

    // An administrator's freeze is not a team member's to end.
    run(ada, &enable).ok();
    run(&tom, &["lock:disable", "SITE.live"])
        .code(3)
        .says("ada, an administrator, has frozen f-who.live: the sale is on")
        .says("Ask one of the site's administrators.");
    refused(&site, "lock-disable", "freeze-of-an-administrator");
    site.must(&["env:deploy", "SITE.test"]);
    run(&tom, &["env:deploy", "SITE.live"])
        .code(3)
        .says("One of the site's administrators ends it: lock:disable f-who.live.");
    run(ada, &["lock:disable", "SITE.live"]).ok();
    site.deploy_all();
    let audited = rows(&site, &["audit:list", "--site", "SITE"]);
    let done = |action: &str| {
        let kept = |row: &&serde_json::Value| {
            row["action"] == action
                && row["outcome"] == "done"
                && row["detail"]
                    .as_str()
                    .is_some_and(|text| text.contains(told))
        };
        audited.iter().filter(kept).count()
    };
    assert_eq!(
        (done("lock-enable"), done("lock-disable")),
        (2, 2),
        "{audited:?}"
    );
}

pub(crate) fn freeze(site: &Site, who: &Person, environment: &str, why: &str) {
    let place = format!("SITE.{environment}");
    site.console(who, &["lock:enable", &place, "--reason", why])
        .run()
        .ok();
}

/// Requires a row of a refusal.
#[track_caller]
pub(crate) fn refused(site: &Site, action: &str, rule: &str) {
    let audited = rows(
        site,
        &["audit:list", "--site", "SITE", "--decision", "refuse"],
    );
    assert!(
        audited
            .iter()
            .any(|row| row["action"] == action && row["rule"] == rule),
        "no row of {action} refused by {rule}: {audited:?}"
    );
}

fn explained(site: &Site, person: &str, action: &str, target: &str) -> String {
    let words = ["explain", person, action, target, "--field", "rule"];
    site.must(&words).out().trim().to_owned()
}
