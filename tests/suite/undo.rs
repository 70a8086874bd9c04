//! Taking back: a commit or a whole deploy by a new commit on trunk, and discarded work.

use support::{Finished, Person, Role, Site};

use crate::deploys::{code, push, refs, rows, runs, site};

#[test]
fn a_commit_is_taken_back_by_a_commit() {
    let (site, tom, clone) = site("u-commit");
    let wrong = push(&clone, "wrong");
    clone.commit("lib/menu.php", "<?php // later\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    let tip = clone.ask(&["rev-parse", "main"]);
    revert(&site, &tom, "dev", &wrong[..10])
        .ok()
        .says(&wrong[..10]);
    let made = runs(&site, "dev");
    assert_eq!(
        described(&site, &made),
        format!("{tip}|tom|tom@example.org|Revert \"Change index.php\"")
    );
    assert!(body(&site, &made).contains(&format!("This reverts commit {wrong}.")));
    assert!(code(&site, "dev").contains("first"));
    let tree = site.tree("dev", "code");
    assert_eq!(tree.content("lib/menu.php"), Some(&b"<?php // later\n"[..]));
    // What git itself makes of it.
    clone.must(&["revert", "--no-edit", &wrong]);
    let by_git = clone.ask(&["rev-parse", "HEAD^{tree}"]);
    assert_eq!(git(&site, &["rev-parse", "main^{tree}"]), by_git);
    let row = rows(&site, &["audit:list", "--site", "SITE", "--env", "dev"]);
    let row = row.last().unwrap();
    assert_eq!(
        (&row["action"], &row["outcome"]),
        (&"revert".into(), &"done".into())
    );
    revert(&site, &tom, "dev", &wrong).ok().says("Nothing of");
    assert_eq!(runs(&site, "dev"), made);
    // And the taking back is taken back.
    revert(&site, &tom, "dev", &made).ok();
    assert!(code(&site, "dev").contains("wrong"));
}

#[test]
fn a_deploy_is_taken_back_whole_and_goes_up_like_any_commit() {
    let (site, tom, clone) = site("u-deploy");
    push(&clone, "good");
    site.deploy_all();
    push(&clone, "bad");
    clone.commit("lib/menu.php", "<?php // bad as well\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    site.deploy_all();
    clone.commit("theme/style.css", "body { color: green }\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    revert(&site, &tom, "dev", "live_2").ok().says("live_2");
    let tree = site.tree("dev", "code");
    assert!(code(&site, "dev").contains("good"));
    assert_eq!(
        tree.content("lib/menu.php"),
        Some(&b"<?php // the menu\n"[..])
    );
    let kept = Some(&b"body { color: green }\n"[..]);
    assert_eq!(tree.content("theme/style.css"), kept);
    let made = runs(&site, "dev");
    assert!(described(&site, &made).ends_with("|Revert deploy live_2"));
    let body = body(&site, &made);
    assert_eq!(body.matches("\n* ").count(), 2, "{body}");
    assert!(
        code(&site, "live").contains("bad"),
        "Live is for a deploy to change"
    );
    site.deploy_all();
    assert!(code(&site, "live").contains("good"));

    let before = refs(&site);
    for (what, why) in [
        ("live_1", "first release"),
        ("live_9", "has had no release"),
        ("test_0", "has had no release"),
        ("main", "no commit or release"),
        ("", "no commit or release"),
        ("live_2^{commit}", "no commit or release"),
        ("0123456789", "no commit or release"),
    ] {
        revert(&site, &tom, "dev", what).code(1).says(why);
    }
    let root = git(&site, &["rev-list", "--max-parents=0", "main"]);
    revert(&site, &tom, "dev", &root).code(1).says("begins");
    for environment in ["test", "live"] {
        let refused = revert(&site, &tom, environment, "live_2").code(3);
        refused.says("changes by deploys only").says("env:rollback");
    }
    assert_eq!(refs(&site), before);
}

#[test]
fn what_was_changed_since_conflicts_and_changes_nothing() {
    let (site, tom, clone) = site("u-conflict");
    let wrong = push(&clone, "wrong");
    push(&clone, "changed since");
    let (before, tree) = (refs(&site), site.tree("dev", "code"));
    revert(&site, &tom, "dev", &wrong)
        .code(1)
        .says("conflicts")
        .says("index.php");
    assert_eq!(refs(&site), before);
    site.tree("dev", "code").must_equal(&tree);
}

#[test]
fn a_merge_is_taken_back_as_seen_from_trunk() {
    let (site, tom, clone) = site("u-merge");
    site.must(&["multidev:create", "SITE.dev", "feature-x"]);
    clone.must(&["fetch", "--quiet", "dev"]);
    clone.must(&["checkout", "--quiet", "-b", "feature-x", "dev/feature-x"]);
    clone.commit("index.php", "<?php echo 'feature';\n");
    let second = clone.commit("lib/menu.php", "<?php // feature\n");
    clone.must(&["push", "--quiet", &site.url("feature-x"), "feature-x"]);
    let elsewhere = revert(&site, &tom, "dev", &second).code(1);
    elsewhere.says("does not have");
    site.must(&["multidev:merge-to-dev", "SITE.feature-x"]);
    let merge = runs(&site, "dev");
    assert!(code(&site, "dev").contains("feature"));
    revert(&site, &tom, "dev", &merge).ok();
    assert!(code(&site, "dev").contains("first"));
    let menu = site
        .tree("dev", "code")
        .content("lib/menu.php")
        .map(<[u8]>::to_vec);
    assert_eq!(menu.as_deref(), Some(&b"<?php // the menu\n"[..]));
    assert!(body(&site, &runs(&site, "dev")).contains("reversing"));
    // On the Multidev itself it is as it was; there one takes back what is there.
    assert!(code(&site, "feature-x").contains("feature"));
    revert(&site, site.person(Role::Developer), "feature-x", &second).ok();
    assert!(code(&site, "feature-x").contains("feature"));
    assert_ne!(runs(&site, "feature-x"), second);
}

#[test]
fn work_on_the_server_is_in_nobodys_way_and_is_never_lost() {
    let (site, tom, clone) = site("u-work");
    let wrong = push(&clone, "wrong");
    site.set_mode("sftp");
    let upload = tom.desk("u-work").join("upload");
    std::fs::write(&upload, "work\n").unwrap();
    let batch = format!("put {} /code/lib/menu.php\n", upload.display());
    site.sftp(&tom, "dev", batch).run().ok();
    let (before, tree) = (refs(&site), site.tree("dev", "code"));
    revert(&site, &tom, "dev", &wrong)
        .code(3)
        .says("env:commit");
    assert_eq!(refs(&site), before);
    site.tree("dev", "code").must_equal(&tree);

    site.console(&tom, &["env:discard", "SITE.dev", "--yes"])
        .run()
        .ok();
    revert(&site, &tom, "dev", &wrong).ok();
    assert!(code(&site, "dev").contains("first"));
    // The work was discarded from another commit; it comes back on this one.
    site.console(&tom, &["env:restore-work", "SITE.dev"])
        .run()
        .ok();
    let tree = site.tree("dev", "code");
    assert_eq!(tree.content("lib/menu.php"), Some(&b"work\n"[..]));
    assert!(code(&site, "dev").contains("first"));
    site.must(&["env:diffstat", "SITE.dev"])
        .says("lib/menu.php")
        .says_not("index.php");
    let viewer = site.person(Role::Viewer);
    revert(&site, viewer, "dev", &wrong).code(3).says("viewer");
    let stranger = site.person(Role::Stranger);
    revert(&site, stranger, "dev", &wrong)
        .code(3)
        .says("no site");
}

fn revert(site: &Site, person: &Person, environment: &str, what: &str) -> Finished {
    let place = format!("SITE.{environment}");
    site.console(person, &["env:revert", &place, what]).run()
}

fn described(site: &Site, commit: &str) -> String {
    git(site, &["show", "-s", "--format=%P|%an|%ae|%s", commit])
}

fn body(site: &Site, commit: &str) -> String {
    git(site, &["show", "-s", "--format=%B", commit])
}

fn git(site: &Site, words: &[&str]) -> String {
    let ada = site.person(Role::Administrator);
    let asked = ada.client("git").folder(site.repository()).args(words);
    asked.run().ok().out().trim().to_owned()
}
