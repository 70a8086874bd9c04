//! Code up to Test and Live: in order, as tags with notes, back again, and never half.

use serde_json::Value;
use support::{Clone, Finished, Person, Role, Shared, Site};

pub(crate) static SHARED: Shared = Shared::new();

#[test]
fn code_goes_up_in_order() {
    let (site, tom, clone) = site("d-order");
    site.console(&tom, &["env:deploy", "SITE.live", "--note", "too early"])
        .run()
        .code(3)
        .says("Test of d-order runs nothing yet");
    site.console(&tom, &["env:deploy", "SITE.dev"])
        .run()
        .code(3);
    assert_eq!(tags(&site), "");
    let deploy = |environment: &str, note: &str| {
        let place = format!("SITE.{environment}");
        site.console(&tom, &["env:deploy", &place, "--note", note])
            .run()
    };
    deploy("test", "The \"first\" note").ok().says("test_1");
    assert!(code(&site, "test").contains("first"));
    assert!(!site.disk("live", "code").join("index.php").exists());
    deploy("live", "and live").ok().says("live_1");
    assert!(code(&site, "live").contains("first"));
    assert_eq!(
        tags(&site),
        "live_1 tag tom <tom@example.org> and live\ntest_1 tag tom <tom@example.org> The \"first\" note\n"
    );
    for environment in ["test", "live"] {
        deploy(environment, "again")
            .code(0)
            .says("nothing to deploy");
    }
    assert_eq!(tags(&site).lines().count(), 2);

    let commit = push(&clone, "second");
    assert!(code(&site, "dev").contains("second"));
    assert!(code(&site, "test").contains("first"));
    deploy("live", "Test is still old")
        .code(0)
        .says("nothing to deploy");
    deploy("test", "second").ok().says("test_2");
    assert!(code(&site, "live").contains("first"));
    deploy("live", "second").ok().says("live_2");
    assert!(code(&site, "live").contains("second"));
    assert_eq!(runs(&site, "live"), commit);
    assert_eq!(
        git(&site, &["rev-parse", "live_2^{commit}"]).out().trim(),
        commit
    );
    site.must(&["env:info", "SITE.live", "--field", "deployed_as"])
        .says("live_2");
    let flows = rows(&site, &["workflow:list", "SITE"]);
    let deploys = flows.iter().filter(|flow| {
        flow["workflow"]
            .as_str()
            .is_some_and(|kind| kind.contains("deploy"))
    });
    assert_eq!(
        deploys.filter(|flow| flow["user"] == "tom").count(),
        4,
        "{flows:?}"
    );
}

#[test]
fn an_older_commit_of_trunk_goes_to_test() {
    let (site, tom, clone) = site("d-ref");
    let older = push(&clone, "older");
    push(&clone, "newer");
    clone.must(&["checkout", "--quiet", "-b", "topic"]);
    let topic = clone.commit("index.php", "<?php echo 'topic';\n");
    clone.must(&["push", "--quiet", "dev", "topic"]);
    let deploy = |environment: &str, reference: &str| {
        let place = format!("SITE.{environment}");
        site.console(&tom, &["env:deploy", &place, "--ref", reference])
            .run()
    };
    deploy("test", &older[..10]).ok();
    assert!(code(&site, "test").contains("older"));
    assert_eq!(runs(&site, "test"), older);
    let before = refs(&site);
    deploy("test", &topic).code(3).says("trunk");
    deploy("test", "topic").code(3).says("trunk");
    for nonsense in [
        "0123456789",
        "no such",
        "--all",
        "",
        "main:index.php",
        "HEAD^{tree}",
    ] {
        deploy("test", nonsense).fails();
    }
    deploy("live", &older).fails().says("Test only");
    assert_eq!(refs(&site), before);
    assert!(code(&site, "test").contains("older"));
    deploy("test", "main").ok();
    assert!(code(&site, "test").contains("newer"));
}

#[test]
fn the_code_log_shows_what_runs_and_what_waits() {
    let (site, tom, clone) = site("d-log");
    let first = clone.ask(&["rev-parse", "HEAD"]);
    site.must(&["env:deploy", "SITE.test"]);
    site.must(&["env:deploy", "SITE.live"]);
    let second = push(&clone, "second");
    let third = push(&clone, "third");
    let log = |environment: &str| {
        let place = format!("SITE.{environment}");
        let rows = rows(&site, &["env:code-log", &place]);
        let field = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
        rows.iter()
            .map(|row| {
                (
                    field(row, "hash"),
                    field(row, "labels"),
                    field(row, "pending"),
                )
            })
            .collect::<Vec<_>>()
    };
    let row = |hash: &str, labels: &str, pending: &str| {
        (hash.to_owned(), labels.to_owned(), pending.to_owned())
    };
    assert_eq!(
        log("test"),
        [
            row(&third, "dev", "yes"),
            row(&second, "", "yes"),
            row(&first, "test live", "")
        ]
    );
    assert_eq!(log("live"), [row(&first, "test live", "")]);
    assert_eq!(
        log("dev"),
        [
            row(&third, "dev", ""),
            row(&second, "", ""),
            row(&first, "test live", "")
        ]
    );
    site.must(&["env:deploy", "SITE.test", "--ref", &second]);
    assert_eq!(
        log("live"),
        [row(&second, "test", "yes"), row(&first, "live", "")]
    );
    site.console(&tom, &["env:code-log", "SITE.dev", "--limit", "1"])
        .run()
        .ok()
        .says(&third)
        .says_not(&first);
}

#[test]
fn a_rollback_returns_to_the_last_good_release() {
    let (site, tom, clone) = site("d-back");
    let mut commits = Vec::new();
    for content in ["one", "two", "three"] {
        commits.push(push(&clone, content));
        site.deploy_all();
    }
    let rollback = || {
        site.console(&tom, &["env:rollback", "SITE.live", "--note", "it broke"])
            .run()
    };
    rollback().ok().says("live_4");
    assert!(code(&site, "live").contains("two"));
    assert_eq!(runs(&site, "live"), commits[1]);
    assert!(tags(&site).contains("live_4 tag tom <tom@example.org> it broke"));
    rollback().ok().says("live_5");
    assert!(code(&site, "live").contains("one"));
    let before = refs(&site);
    rollback().code(3).says("no earlier good release");
    assert_eq!(refs(&site), before);
    assert!(code(&site, "test").contains("three"), "Test is as it was");
    // And up again.
    site.must(&["env:deploy", "SITE.live"]).says("live_6");
    assert!(code(&site, "live").contains("three"));
    site.console(&tom, &["env:rollback", "SITE.dev"])
        .run()
        .code(3);
}

#[test]
fn a_rollback_goes_to_the_release_that_is_named() {
    let (site, tom, clone) = site("d-named");
    for content in ["one", "two", "three"] {
        push(&clone, content);
        site.deploy_all();
    }
    let rollback = |to: &str| {
        site.console(&tom, &["env:rollback", "SITE.live", "--to", to])
            .run()
    };
    let before = refs(&site);
    for nothing in ["live_9", "test_1", "1", "", "live_1^{commit}"] {
        rollback(nothing).code(1).says("has had no release");
    }
    rollback("live_3").code(0).says("nothing to deploy");
    assert_eq!(refs(&site), before);
    rollback("live_1").ok().says("live_4");
    assert!(code(&site, "live").contains("one"));
    let status = |release: &str| {
        let releases = rows(&site, &["release:list", "SITE.live"]);
        let found = releases.iter().find(|row| row["release"] == release);
        found.map(|row| row["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(status("live_4").as_deref(), Some("running"));
    assert_eq!(status("live_3").as_deref(), Some("rolled back"));
    assert_eq!(status("live_2").as_deref(), Some("good"));
    assert_eq!(status("live_9"), None);
}

#[test]
fn a_developer_neither_deploys_nor_rolls_back() {
    let (site, _, clone) = site("d-developer");
    site.deploy_all();
    push(&clone, "second");
    let before = refs(&site);
    for role in [Role::Developer, Role::Viewer, Role::Stranger] {
        let person = site.person(role);
        for (action, command) in [("deploy", "env:deploy"), ("rollback", "env:rollback")] {
            for environment in ["test", "live"] {
                let place = format!("SITE.{environment}");
                let refused = site.console(person, &[command, &place]).run().code(3);
                if role == Role::Stranger {
                    continue;
                }
                let (_, incident) = refused.err().split_once("[incident ").map_or_else(
                    || panic!("no incident: {refused}"),
                    |(before, after)| (before.to_owned(), after.to_owned()),
                );
                let incident: String = incident.chars().take_while(|c| *c != ']').collect();
                let found = rows(&site, &["audit:list", "--incident", &incident]);
                assert_eq!(found.len(), 1, "{found:?}");
                let row = &found[0];
                assert_eq!(
                    (
                        &row["person"],
                        &row["action"],
                        &row["environment"],
                        &row["outcome"]
                    ),
                    (
                        &person.name.as_str().into(),
                        &action.into(),
                        &environment.into(),
                        &"refused".into()
                    )
                );
            }
        }
    }
    assert_eq!(refs(&site), before);
    assert!(code(&site, "test").contains("first"));
}

#[test]
fn a_deploy_that_cannot_be_prepared_moves_nothing() {
    let (site, tom, clone) = site("d-fails");
    site.deploy_all();
    push(&clone, "second");
    let environment = site.gateway.data().join("sites/d-fails/environments/test");
    let (generations, aside) = (environment.join("generations"), environment.join("aside"));
    let before = refs(&site);
    // Not even root can make a folder in a file.
    std::fs::rename(&generations, &aside).unwrap();
    std::fs::write(&generations, "").unwrap();
    let failed = site.console(&tom, &["env:deploy", "SITE.test"]).run();
    std::fs::remove_file(&generations).unwrap();
    std::fs::rename(&aside, &generations).unwrap();
    failed.code(1);
    assert_eq!(refs(&site), before);
    assert!(code(&site, "test").contains("first"));
    assert_ne!(runs(&site, "test"), runs(&site, "dev"));
    let audited = rows(&site, &["audit:list", "--site", "SITE", "--env", "test"]);
    let last = audited.last().expect("a row");
    assert_eq!(last["action"], "deploy");
    assert_ne!(last["outcome"], "done");
    site.console(&tom, &["env:deploy", "SITE.test"])
        .run()
        .ok()
        .says("test_2");
    assert!(code(&site, "test").contains("second"));
}

#[test]
fn a_deploy_that_cannot_be_prepared_is_kept_as_failed() {
    let (site, tom, _) = site("d-failed");
    let generations = site
        .gateway
        .data()
        .join("sites/d-failed/environments/test/generations");
    std::fs::remove_dir(&generations).unwrap();
    std::fs::write(&generations, "").unwrap();
    site.console(&tom, &["env:deploy", "SITE.test"])
        .run()
        .code(1);
    let audited = rows(&site, &["audit:list", "--site", "SITE", "--env", "test"]);
    assert_eq!(audited.last().expect("a row")["outcome"], "failed");
}

#[test]
fn two_deploys_at_once_make_one() {
    let (site, tom, _) = site("d-twice");
    let started: Vec<_> = (0..3)
        .map(|_| site.console(&tom, &["env:deploy", "SITE.test"]).start())
        .collect();
    let ended: Vec<Finished> = started.into_iter().map(|one| one.finish().ok()).collect();
    let deployed = ended.iter().filter(|one| one.out().contains("test_1"));
    assert_eq!(deployed.count(), 1, "{}", ended[0]);
    assert_eq!(tags(&site).lines().count(), 1);
}

/// A site in Git mode, and a clone of it.
pub(crate) fn site(name: &str) -> (Site, Person, Clone) {
    let site = SHARED.gateway().site(name);
    site.set_mode("git");
    let tom = site.person(Role::TeamMember).at_another_computer(name);
    let clone = Clone::new(&site, &tom);
    (site, tom, clone)
}

#[track_caller]
pub(crate) fn push(clone: &Clone, content: &str) -> String {
    let commit = clone.commit("index.php", &format!("<?php echo '{content}';\n"));
    clone.must(&["push", "--quiet", "dev", "main"]);
    commit
}

pub(crate) fn code(site: &Site, environment: &str) -> String {
    let tree = site.tree(environment, "code");
    String::from_utf8_lossy(tree.content("index.php").expect("index.php is there")).into_owned()
}

pub(crate) fn runs(site: &Site, environment: &str) -> String {
    let place = format!("SITE.{environment}");
    let shown = site.must(&["env:info", &place, "--field", "commit"]);
    shown.out().trim().to_owned()
}

#[track_caller]
fn git(site: &Site, args: &[&str]) -> Finished {
    let ada = site.person(Role::Administrator);
    ada.client("git")
        .folder(site.repository())
        .args(args)
        .run()
        .ok()
}

pub(crate) fn refs(site: &Site) -> String {
    git(site, &["for-each-ref"]).out()
}

fn tags(site: &Site) -> String {
    let format =
        "--format=%(refname:short) %(objecttype) %(taggername) %(taggeremail) %(contents:subject)";
    git(site, &["for-each-ref", format, "refs/tags"]).out()
}

#[track_caller]
pub(crate) fn rows(site: &Site, words: &[&str]) -> Vec<Value> {
    let printed = site.must(&[words, &["--format", "json"]].concat());
    match serde_json::from_slice(&printed.stdout) {
        Ok(Value::Array(rows)) => rows,
        other => panic!("no list: {other:?}: {printed}"),
    }
}
