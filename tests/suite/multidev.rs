//! Multidevs: made from an environment or a branch, at once there for SFTP and git, with the same
//! rules as Dev for what may reach them and how.

use std::fs;

use support::clone::hint;
use support::{Clone, Person, Role, Shared, Site};

use crate::deploys::{refs, rows, runs};

pub(crate) static SHARED: Shared = Shared::new();

#[test]
fn one_is_there_for_sftp_and_git_at_once() {
    let (site, dana, clone) = site("m-once");
    let trunk = clone.ask(&["rev-parse", "HEAD"]);
    let made = site
        .console(&dana, &["multidev:create", "SITE.dev", "feature-x"])
        .run()
        .ok();
    made.says("feature-x").says("Git mode");
    assert_eq!(runs(&site, "feature-x"), trunk);
    site.must(&["env:list", "SITE"]).says("feature-x");
    site.must(&["workflow:list", "SITE"])
        .says("multidev_create");
    let audited = last_row(&site, "feature-x");
    assert_eq!(audited["action"], "multidev-create");
    assert_eq!(audited["person"], "dana");
    assert_eq!(audited["outcome"], "done");
    let flow = rows(&site, &["workflow:list", "SITE"]);
    let id = flow[0]["id"].as_str().unwrap();
    assert_eq!(id, audited["incident"]);
    site.must(&["workflow:logs", id]).says("Preparing");

    let greeted = dana.openssh("ssh").args(["-T", "console@gateway"]).run();
    greeted.says("feature-x.m-once@");

    // SFTP: its own files, and code to read.
    let upload = put(&dana, "m-once", "photo");
    let there = format!("put {upload} /files/photo\nls /\nget /code/index.php {upload}.back\n");
    let listed = site.sftp(&dana, "feature-x", there).run().ok();
    listed.says("/logs");
    assert_eq!(
        site.tree("feature-x", "files").content("photo"),
        Some(&b"photo"[..])
    );
    assert!(site.tree("dev", "files").content("photo").is_none());
    let refused = site
        .sftp(&dana, "feature-x", format!("put {upload} /code/photo\n"))
        .run()
        .fails();
    refused.says("Git mode");

    // git: its branch is there to fetch, and what is pushed to it runs there and nowhere else.
    clone.must(&["fetch", "--quiet", "feature-x"]);
    clone.must(&[
        "checkout",
        "--quiet",
        "--track",
        "-b",
        "feature-x",
        "feature-x/feature-x",
    ]);
    let commit = clone.commit("index.php", "<?php echo 'feature';\n");
    let pushed = clone.must(&["push", "feature-x", "feature-x"]);
    assert!(pushed.err().contains("remote: Deployed"), "{pushed}");
    assert_eq!(runs(&site, "feature-x"), commit);
    assert!(index(&site, "feature-x").contains("feature"));
    assert_eq!(runs(&site, "dev"), trunk);
    assert!(index(&site, "dev").contains("first"));

    // A branch of one's own may be pushed by force; nobody deploys from it.
    clone.must(&[
        "commit",
        "--quiet",
        "--amend",
        "--message",
        "Another message",
    ]);
    clone.git(&["push", "feature-x", "feature-x"]).run().fails();
    clone.must(&["push", "--force", "feature-x", "feature-x"]);
    assert_eq!(
        runs(&site, "feature-x"),
        clone.ask(&["rev-parse", "feature-x"])
    );
    site.must(&["connection:info", "SITE.feature-x"])
        .says("sftp -P")
        .says("feature-x.m-once@");
}

#[test]
fn it_begins_with_what_the_named_environment_runs() {
    let (site, dana, clone) = site("m-from");
    site.deploy_all();
    let live = runs(&site, "live");
    clone.commit("index.php", "<?php echo 'newer';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    for (from, name) in [
        ("live", "of-live"),
        ("dev", "of-dev"),
        ("of-live", "of-that"),
    ] {
        let place = format!("SITE.{from}");
        let words = ["multidev:create", &place, name, "--no-db", "--no-files"];
        if from == "live" {
            // Live's content is not a developer's; its code is.
            let refused = site.console(&dana, &words[..3]).run().code(3);
            refused
                .says("is not for the role developer")
                .says("--no-db --no-files");
            site.console(&dana, &words).run().ok();
        } else {
            site.console(&dana, &words[..3]).run().ok();
        }
        assert_eq!(runs(&site, name), runs(&site, from));
    }
    assert_eq!(runs(&site, "of-that"), live);
    assert!(index(&site, "of-live").contains("first"));
    assert!(index(&site, "of-dev").contains("newer"));
    site.console(&dana, &["multidev:create", "SITE.absent", "other"])
        .run()
        .fails()
        .says("no environment 'absent'");
}

#[test]
fn work_over_sftp_is_committed_to_its_branch() {
    let (site, dana, clone) = site("m-work");
    create(&site, "feature-x");
    site.console(&dana, &["connection:set", "SITE.feature-x", "sftp"])
        .run()
        .ok();
    let upload = put(&dana, "m-work", "work");
    site.sftp(&dana, "feature-x", format!("put {upload} /code/work.php\n"))
        .run()
        .ok();
    let commit = |place: &str| {
        site.console(&dana, &["env:commit", place, "-m", "the work"])
            .run()
    };
    commit("SITE.feature-x").ok();
    let tip = clone.ask(&["ls-remote", "dev", "refs/heads/feature-x"]);
    assert!(tip.starts_with(&runs(&site, "feature-x")), "{tip}");
    assert_ne!(runs(&site, "feature-x"), runs(&site, "dev"));
    assert!(!site.tree("dev", "code").holds("work.php"));
    // What is discarded there comes back there.
    fs::write(&upload, "more").unwrap();
    site.sftp(&dana, "feature-x", format!("put {upload} /code/work.php\n"))
        .run()
        .ok();
    site.console(&dana, &["env:discard", "SITE.feature-x", "--yes"])
        .run()
        .ok();
    let work = || {
        let tree = site.tree("feature-x", "code");
        String::from_utf8_lossy(tree.content("work.php").unwrap()).into_owned()
    };
    assert_eq!(work(), "work");
    site.console(&dana, &["env:restore-work", "SITE.feature-x"])
        .run()
        .ok();
    assert_eq!(work(), "more");
}

#[test]
fn names_keep_to_the_rule_for_labels_and_to_what_is_free() {
    let (site, dana, _) = site("m-names");
    let before = held(&site);
    let long = "a".repeat(64);
    let wrong = [
        "dev", "test", "live", "main", "master", "settings", "team", "support", "multidev",
        "debug", "files", "tags", "billing", "Feature", "-x", "x-", "a.b", "a/b", "..", "ä",
        "hotfix", &long,
    ];
    for (number, name) in wrong.into_iter().enumerate() {
        let words = ["multidev:create", "SITE.dev", "--", name];
        let refused = site.console(&dana, &words).run().code(3);
        // Refusals of one kind are counted in one row after the third.
        if number < 3 {
            let screen = refused.err();
            let (_, incident) = screen.split_once("[incident ").expect("an incident");
            let incident = incident.split(']').next().unwrap();
            let found = rows(&site, &["audit:list", "--incident", incident]);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert_eq!(found[0]["rule"], "name-not-allowed", "{name}");
            assert_eq!(found[0]["action"], "multidev-create", "{name}");
        }
    }
    assert_eq!(held(&site), before);
    let longest = "a".repeat(63);
    for name in [longest.as_str(), "7", "a-1"] {
        create(&site, name);
        assert!(index(&site, name).contains("first"), "{name}");
    }
    site.console(&dana, &["multidev:create", "SITE.dev", "a-1"])
        .run()
        .code(3)
        .says("already");
    // Of whatever name the trunk is.
    let gateway = SHARED.gateway();
    gateway.must(&["site:create", "m-trunk", "--trunk", "develop"]);
    let ada = gateway.person(Role::Administrator);
    for _ in 0..2 {
        let words = ["multidev:create", "m-trunk.dev", "develop"];
        ada.console(&words)
            .run()
            .code(3)
            .says("Dev of m-trunk runs");
    }
    gateway
        .must(&["multidev:list", "m-trunk"])
        .says_not("develop");
}

#[test]
fn a_branch_is_taken_over_by_name_only() {
    let (site, dana, clone) = site("m-branch");
    clone.must(&["checkout", "--quiet", "-b", "topic"]);
    let topic = clone.commit("index.php", "<?php echo 'topic';\n");
    clone.must(&["push", "--quiet", "dev", "topic", "topic:wide/deep"]);
    let before = held(&site);
    let create = |name: &str, from: &[&str]| {
        let words = [&["multidev:create", "SITE.dev", name], from].concat();
        site.console(&dana, &words).run()
    };
    let refused = create("topic", &[]).code(3).says("branch 'topic' already");
    create("topic", &["--from-branch", "main"])
        .code(3)
        .says("branch 'topic' already");
    create("wide", &[]).code(3).says("wide/deep");
    for absent in ["absent", "", "../heads/main", "-x", "to pic"] {
        let from = format!("--from-branch={absent}");
        create("other", &[&from]).code(3).says("no branch");
    }
    site.console(&dana, &["multidev:create", "SITE.live", "other"])
        .run()
        .code(3)
        .says("runs nothing yet");
    assert_eq!(held(&site), before);

    // As the hint says.
    clone
        .paste(&hint(&refused, "multidev:create"))
        .run()
        .ok()
        .says("existing branch");
    assert_eq!(runs(&site, "topic"), topic);
    assert!(index(&site, "topic").contains("topic"));
    create(
        "other",
        &["--from-branch", "wide/deep", "--no-db", "--no-files"],
    )
    .ok()
    .says_not("start empty");
    assert_eq!(runs(&site, "other"), topic);
    assert!(
        clone
            .ask(&["ls-remote", "dev", "refs/heads/other"])
            .starts_with(&topic)
    );
    // The branch that was pushed as one without an environment has one now.
    clone.commit("index.php", "<?php echo 'later';\n");
    clone
        .git(&["push", "dev", "HEAD:topic"])
        .run()
        .fails()
        .says("topic");
    assert_eq!(runs(&site, "topic"), topic);
    clone.must(&["push", "--quiet", &site.url("topic"), "HEAD:topic"]);
    assert_ne!(runs(&site, "topic"), topic);
}

#[test]
fn a_branch_that_no_release_may_hold_makes_no_multidev() {
    let (site, dana, clone) = site("m-unfit");
    // As an import may bring it: past the gateway.
    clone.must(&["checkout", "--quiet", "-b", "nested"]);
    let head = clone.ask(&["rev-parse", "HEAD"]);
    let link = format!("160000,{head},module");
    clone.must(&["update-index", "--add", "--cacheinfo", &link]);
    clone.must(&["commit", "--quiet", "--message", "A submodule"]);
    let repository = site.repository().display().to_string();
    clone.must(&["push", "--quiet", &repository, "nested"]);
    let before = held(&site);
    let words = [
        "multidev:create",
        "SITE.dev",
        "nested",
        "--from-branch",
        "nested",
    ];
    site.console(&dana, &words).run().code(3).says("submodule");
    assert_eq!(held(&site), before);
}

/// A site with Dev in Git mode, its developer, and their clone, with a remote for `feature-x`.
pub(crate) fn site(name: &str) -> (Site, Person, Clone) {
    let site = SHARED.gateway().site(name);
    site.set_mode("git");
    let dana = site.person(Role::Developer).at_another_computer(name);
    let clone = Clone::new(&site, &dana);
    clone.must(&["remote", "add", "feature-x", &site.url("feature-x")]);
    (site, dana, clone)
}

/// Makes a Multidev from Dev, as the site's developer.
#[track_caller]
pub(crate) fn create(site: &Site, name: &str) {
    let dana = site.person(Role::Developer);
    site.console(dana, &["multidev:create", "SITE.dev", name])
        .run()
        .ok();
}

/// What a refused request must leave as it is: the refs, the environments, and their folders.
pub(crate) fn held(site: &Site) -> (String, Vec<String>, Vec<String>) {
    let environments = site.must(&["env:list", "SITE", "--format", "json"]).out();
    let folder = site.gateway.data().join("sites").join(&site.name);
    let mut folders: Vec<String> = fs::read_dir(folder.join("environments"))
        .unwrap()
        .map(|found| found.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    (
        refs(site),
        environments.lines().map(str::to_owned).collect(),
        folders,
    )
}

pub(crate) fn index(site: &Site, environment: &str) -> String {
    let tree = site.tree(environment, "code");
    String::from_utf8_lossy(tree.content("index.php").expect("index.php is there")).into_owned()
}

/// Writes a file on the person's desk, to upload it; returns its path.
pub(crate) fn put(person: &Person, desk: &str, content: &str) -> String {
    let path = person.desk(desk).join("upload");
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

/// The newest row of the audit about a permitted change of an environment.
pub(crate) fn last_row(site: &Site, environment: &str) -> serde_json::Value {
    let words = [
        "audit:list",
        "--site",
        "SITE",
        "--env",
        environment,
        "--decision",
        "permit",
    ];
    rows(site, &words).pop().expect("a row")
}
