//! The life of a hotfix: on Test first where the site asks for it, then on Live, shown wherever
//! somebody looks until trunk has it; and what a deploy or rollback would take away, commit by commit.

use serde_json::Value;
use support::{Clone, Finished, Person, Role};

use crate::deploys::{code, refs, rows, runs, site};
use crate::git_client::has_remote_sentence;

#[test]
fn test_comes_first_where_the_site_says_so() {
    let (site, tom, clone) = site("h-first");
    site.deploy_all();
    let set = |by: &Person, value: &str| {
        let words = ["site:set", "SITE", "hotfix-require-test", value];
        site.console(by, &words).run()
    };
    set(&tom, "yes").code(3);
    set(site.person(Role::Administrator), "yes")
        .ok()
        .says("Test");
    site.must(&["site:info", "SITE", "--field", "hotfix_require_test"])
        .says("true");

    grow(&clone, "hotfix/typo");
    let fix = clone.commit("index.php", "<?php echo 'fixed';\n");
    let before = (refs(&site), site.tree("live", "code"));
    let to_live = || push(&clone, "live", "hotfix/typo");
    let refused = to_live().fails();
    has_remote_sentence(&refused);
    refused
        .says("runs on Test before")
        .says("git push ssh://test.h-first@");
    assert_eq!(refs(&site), before.0);
    site.tree("live", "code").must_equal(&before.1);
    let row = rows(&site, &["audit:list", "--site", "SITE", "--env", "live"]);
    assert_eq!(row.last().unwrap()["rule"], "hotfix-goes-to-test-first");
    let explain = || {
        let target = "SITE.live:refs/heads/hotfix/typo";
        let words = [
            "explain",
            "tom",
            "update-ref",
            target,
            "--reason",
            "x",
            "--field",
            "rule",
        ];
        site.must(&words).out().trim().to_owned()
    };
    assert_eq!(explain(), "hotfix-goes-to-test-first");

    push(&clone, "test", "hotfix/typo").ok();
    assert!(code(&site, "test").contains("fixed"));
    assert!(!code(&site, "live").contains("fixed"));
    // Another commit than the one that was tried.
    clone.must(&["commit", "--quiet", "--amend", "--message", "Other words"]);
    to_live().fails().says("runs on Test before");
    clone.must(&["reset", "--quiet", "--hard", &fix]);
    // One that Test was rolled back from does not count.
    site.must(&["env:rollback", "SITE.test"]);
    to_live().fails().says("runs on Test before");
    push(&clone, "test", "hotfix/typo").ok();
    to_live().ok();
    assert!(code(&site, "live").contains("fixed"));
    assert_eq!(runs(&site, "live"), fix);

    set(site.person(Role::Administrator), "no").ok();
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.commit("index.php", "<?php echo 'at once';\n");
    to_live().ok();
    assert!(code(&site, "live").contains("at once"));
}

#[test]
fn an_open_hotfix_is_shown_wherever_somebody_looks() {
    let (site, tom, clone) = site("h-shown");
    site.deploy_all();
    grow(&clone, "hotfix/typo");
    clone.commit("index.php", "<?php echo 'fixed';\n");
    push(&clone, "live", "hotfix/typo").ok().says("stays open");
    let greeting = || tom.openssh("ssh").args(["-T", "console@gateway"]).run();
    let merge = "hotfix:merge h-shown typo";
    for environment in ["dev", "test", "live"] {
        let words = [
            "env:info",
            &format!("SITE.{environment}"),
            "--field",
            "open_hotfixes",
        ];
        assert_eq!(site.must(&words).out().trim(), "typo", "{environment}");
    }
    assert!(greeting().screen().contains(merge));
    clone.must(&["checkout", "--quiet", "main"]);
    clone.commit("lib/menu.php", "<?php // news\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    let deploy = |environment: &str| {
        let place = format!("SITE.{environment}");
        site.console(&tom, &["env:deploy", &place]).run()
    };
    deploy("test").ok().says(merge);
    deploy("live").code(3).says("hotfix typo").says(merge);
    site.console(&tom, &["hotfix:merge", "SITE", "typo"])
        .run()
        .ok();
    deploy("test").ok().says_not("is open");
    deploy("live").ok().says_not("is open");
    assert!(code(&site, "live").contains("fixed"));
    let words = ["env:info", "SITE.live", "--field", "open_hotfixes"];
    assert!(!site.must(&words).out().contains("typo"));
    assert!(!greeting().screen().contains(merge));
}

#[test]
fn what_a_deploy_takes_away_is_listed_commit_by_commit() {
    let (site, tom, clone) = site("h-lost");
    site.deploy_all();
    grow(&clone, "hotfix/typo");
    let first = clone.commit("index.php", "<?php echo 'half';\n");
    let second = clone.commit("index.php", "<?php echo 'fixed';\n");
    push(&clone, "live", "hotfix/typo").ok();
    clone.must(&["checkout", "--quiet", "main"]);
    let news = clone.commit("lib/menu.php", "<?php // news\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    site.must(&["env:deploy", "SITE.test"]);
    let before = (refs(&site), site.tree("live", "code"));

    let refused = site
        .console(&tom, &["env:deploy", "SITE.live"])
        .run()
        .code(3);
    let refused = refused
        .says("takes away from h-lost.live")
        .says("2 commit(s)");
    for commit in [&first, &second] {
        assert!(refused.err().contains(&commit[..10]), "{refused}");
    }
    assert!(!refused.err().contains(&news[..10]), "{refused}");

    let plan = |words: &[&str], code: i32| {
        let words = [words, &["--dry-run", "--format", "json"]].concat();
        let shown = site.console(&tom, &words).run().code(code);
        let list: Vec<Value> = serde_json::from_slice(&shown.stdout).unwrap();
        list.into_iter()
            .map(|row| {
                let word = |field: &str| row[field].as_str().unwrap().to_owned();
                (word("change"), word("hash"))
            })
            .collect::<Vec<_>>()
    };
    let takes = |commit: &str| ("takes away".to_owned(), commit.to_owned());
    let brings = |commit: &str| ("brings".to_owned(), commit.to_owned());
    let planned = plan(&["env:deploy", "SITE.live"], 3);
    assert_eq!(planned, [takes(&second), takes(&first), brings(&news)]);
    // A rollback of Live would take the hotfix off as well, and says so.
    let planned = plan(&["env:rollback", "SITE.live"], 0);
    assert_eq!(planned, [takes(&second), takes(&first)]);
    assert_eq!(refs(&site), before.0, "a plan changes nothing");
    site.tree("live", "code").must_equal(&before.1);

    site.console(&tom, &["hotfix:merge", "SITE", "typo"])
        .run()
        .ok();
    site.must(&["env:deploy", "SITE.test"]);
    let planned = plan(&["env:deploy", "SITE.live"], 0);
    assert!(
        planned.iter().all(|(change, _)| change == "brings"),
        "{planned:?}"
    );
    assert_eq!(planned.len(), 2, "the news and the merge: {planned:?}");
    site.must(&["env:deploy", "SITE.live"])
        .says_not("takes away");
    let back = site
        .console(&tom, &["env:rollback", "SITE.live"])
        .run()
        .ok();
    let back = back.says("takes away").says(&news[..10]);
    let flow = rows(&site, &["workflow:list", "SITE"]);
    let id = flow[0]["id"].as_str().unwrap();
    site.must(&["workflow:logs", id]).says(&news[..10]);
    drop(back);
    // Who may not deploy gets the same answer to a plan.
    let dana = site.person(Role::Developer);
    site.console(dana, &["env:deploy", "SITE.live", "--dry-run"])
        .run()
        .code(3);
    site.console(
        site.person(Role::Stranger),
        &["env:deploy", "SITE.live", "--dry-run"],
    )
    .run()
    .code(3)
    .says_not(&news[..10]);
}

/// Begins a branch at what Live runs.
fn grow(clone: &Clone, branch: &str) {
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-b", branch, "live_1"]);
}

fn push(clone: &Clone, environment: &str, branch: &str) -> Finished {
    let target = format!("HEAD:refs/heads/{branch}");
    clone
        .git(&[
            "push",
            "--force",
            "-o",
            "reason=a test",
            environment,
            &target,
        ])
        .run()
}
