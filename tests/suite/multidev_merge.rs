//! Merges between Multidevs and Dev: by the person who asks, whole or not at all.

use std::fs;

use support::{Clone, Person, Role, Site};

use crate::deploys::{code, refs, rows, runs};
use crate::multidev::{create, held, index, last_row, put, site};

#[test]
fn a_merge_is_a_commit_by_who_asks() {
    let (site, dana, clone) = site("mm-both");
    create(&site, "feature-x");
    let theirs = on_feature(&clone, "lib/menu.php", "<?php // feature\n");
    clone.must(&["checkout", "--quiet", "main"]);
    let ours = clone.commit("index.php", "<?php echo 'trunk';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    assert_eq!(distance(&site), (1, 1));
    let merged = site
        .console(&dana, &["multidev:merge-to-dev", "SITE.feature-x"])
        .run()
        .ok();
    merged.says("Merged the feature-x environment into dev");
    let merge = runs(&site, "dev");
    assert_eq!(
        described(&site, &merge),
        format!("{ours} {theirs}|dana|dana@example.org|Merge feature-x into main")
    );
    assert!(code(&site, "dev").contains("trunk"));
    assert_eq!(
        site.tree("dev", "code").content("lib/menu.php"),
        Some(&b"<?php // feature\n"[..])
    );
    assert!(
        clone
            .ask(&["ls-remote", "dev", "refs/heads/main"])
            .starts_with(&merge)
    );
    assert_eq!(runs(&site, "feature-x"), theirs, "the other stays");
    let row = last_row(&site, "dev");
    assert_eq!(
        (&row["action"], &row["person"]),
        (&"merge".into(), &"dana".into())
    );
    assert_eq!(distance(&site), (0, 2));
    site.console(&dana, &["multidev:merge-to-dev", "SITE.feature-x"])
        .run()
        .ok()
        .says("nothing to merge");
    assert_eq!(runs(&site, "dev"), merge);

    site.console(&dana, &["multidev:merge-from-dev", "SITE.feature-x"])
        .run()
        .ok()
        .says("Merged the dev environment into feature-x");
    let back = runs(&site, "feature-x");
    assert_eq!(
        described(&site, &back),
        format!("{theirs} {merge}|dana|dana@example.org|Merge main into feature-x")
    );
    assert!(index(&site, "feature-x").contains("trunk"));
    assert_eq!(runs(&site, "dev"), merge);
    assert_eq!(distance(&site), (1, 0));
    // As git counts them.
    let counted = git(
        &site,
        &["rev-list", "--count", "--left-right", "main...feature-x"],
    );
    assert_eq!(counted, "0\t1");
    site.deploy_all();
    assert_eq!(runs(&site, "live"), merge);
}

#[test]
fn a_conflict_lists_the_files_and_changes_nothing() {
    let (site, dana, clone) = site("mm-conflict");
    create(&site, "feature-x");
    on_feature(&clone, "index.php", "<?php echo 'feature';\n");
    clone.commit("theme/style.css", "body { color: red }\n");
    clone.must(&["push", "--quiet", "feature-x", "feature-x"]);
    clone.must(&["checkout", "--quiet", "main"]);
    clone.commit("index.php", "<?php echo 'trunk';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    let before = (
        held(&site),
        site.tree("dev", "code"),
        site.tree("feature-x", "code"),
    );
    for command in ["multidev:merge-to-dev", "multidev:merge-from-dev"] {
        site.console(&dana, &[command, "SITE.feature-x"])
            .run()
            .code(1)
            .says("conflicts")
            .says("index.php")
            .says_not("style.css");
        let flow = &rows(&site, &["workflow:list", "SITE"])[0];
        assert_eq!(
            (&flow["workflow"], &flow["status"]),
            (&"multidev_merge".into(), &"failed".into())
        );
    }
    assert_eq!(held(&site), before.0);
    site.tree("dev", "code").must_equal(&before.1);
    site.tree("feature-x", "code").must_equal(&before.2);
    let row = last_row(&site, "dev");
    assert_eq!(
        (&row["action"], &row["outcome"]),
        (&"merge".into(), &"failed".into())
    );
}

#[test]
fn a_target_with_pending_work_is_refused_and_a_source_is_told_of() {
    let (site, dana, clone) = site("mm-work");
    create(&site, "feature-x");
    on_feature(&clone, "lib/menu.php", "<?php // feature\n");
    site.set_mode("sftp");
    upload(&site, &dana, "mm-work", "dev", "work.php");
    let before = (held(&site), site.tree("dev", "code"));
    let merge = || {
        site.console(&dana, &["multidev:merge-to-dev", "SITE.feature-x"])
            .run()
    };
    merge()
        .code(3)
        .says("uncommitted work in 1 file")
        .says("env:commit");
    assert_eq!(held(&site), before.0);
    site.tree("dev", "code").must_equal(&before.1);
    let refused = rows(
        &site,
        &[
            "audit:list",
            "--site",
            "SITE",
            "--rule",
            "uncommitted-work-in-the-way",
        ],
    );
    assert_eq!(refused.len(), 1, "{refused:?}");
    // It may go the other way: what is not committed is not merged.
    site.console(&dana, &["multidev:merge-from-dev", "SITE.feature-x"])
        .run()
        .ok()
        .says("not merged")
        .says("nothing to merge");
    site.console(&dana, &["env:commit", "SITE.dev", "-m", "work"])
        .run()
        .ok();
    merge().ok();
    // Dev is in SFTP mode still: the merge is there to work on, and its branch is where it is.
    let tree = site.tree("dev", "code");
    assert!(tree.holds("work.php"));
    assert_eq!(
        tree.content("lib/menu.php"),
        Some(&b"<?php // feature\n"[..])
    );
    upload(&site, &dana, "mm-work", "dev", "more.php");
    site.console(&dana, &["env:diffstat", "SITE.dev"])
        .run()
        .ok()
        .says("more.php")
        .says_not("menu.php");
}

#[test]
fn a_branch_and_its_environment_never_part() {
    let (site, dana, clone) = site("mm-race");
    clone.must(&["checkout", "--quiet", "-b", "topic"]);
    clone.must(&["push", "--quiet", "dev", "topic"]);
    for round in 0..6 {
        let commit = clone.commit("index.php", &format!("<?php echo 'round {round}';\n"));
        // The branch is pushed as one that no environment runs, while it becomes one that does.
        let push = clone.git(&["push", "dev", "topic"]).start();
        let words = [
            "multidev:create",
            "SITE.dev",
            "topic",
            "--from-branch",
            "topic",
        ];
        let create = site.console(&dana, &words).start();
        let (pushed, created) = (push.finish(), create.finish());
        assert!(
            created.code == Some(0) || created.code == Some(1),
            "{created}"
        );
        let tip = git(&site, &["rev-parse", "topic"]);
        assert_eq!(tip == commit, pushed.code == Some(0), "{pushed}");
        if created.code == Some(0) {
            assert_eq!(
                runs(&site, "topic"),
                tip,
                "round {round}: {pushed}{created}"
            );
            site.must(&["multidev:delete", "SITE.topic"]);
        }
        clone.must(&["push", "--quiet", "dev", "topic"]);
    }
}

#[test]
fn a_merge_closes_the_hotfix_that_it_brings() {
    let (site, _, clone) = site("mm-hotfix");
    site.deploy_all();
    let tom = site
        .person(Role::TeamMember)
        .at_another_computer("mm-hotfix");
    let his = Clone::new(&site, &tom);
    his.must(&["checkout", "--quiet", "-b", "hotfix/typo"]);
    his.commit("index.php", "<?php echo 'fixed';\n");
    his.must(&[
        "push",
        "--quiet",
        "-o",
        "reason=a typo",
        "live",
        "hotfix/typo",
    ]);
    create(&site, "feature-x");
    clone.must(&["fetch", "--quiet", "dev"]);
    clone.must(&["checkout", "--quiet", "-b", "feature-x", "dev/hotfix/typo"]);
    clone.must(&["push", "--quiet", "feature-x", "feature-x"]);
    site.must(&["hotfix:list", "SITE"]).says("open");
    site.must(&["multidev:merge-to-dev", "SITE.feature-x"]);
    site.must(&["hotfix:list", "SITE"]).says("merged");
}

/// Commits to `feature-x` in the clone, and pushes it.
fn on_feature(clone: &Clone, file: &str, content: &str) -> String {
    clone.must(&["fetch", "--quiet", "feature-x"]);
    clone.must(&[
        "checkout",
        "--quiet",
        "-B",
        "feature-x",
        "feature-x/feature-x",
    ]);
    let commit = clone.commit(file, content);
    clone.must(&["push", "--quiet", "feature-x", "feature-x"]);
    commit
}

/// How far `feature-x` is ahead of trunk, and behind it.
fn distance(site: &Site) -> (u64, u64) {
    let listed = rows(site, &["multidev:list", "SITE"]);
    let row = &listed[0];
    assert_eq!(row["id"], "feature-x");
    (
        row["ahead"].as_u64().unwrap(),
        row["behind"].as_u64().unwrap(),
    )
}

fn described(site: &Site, commit: &str) -> String {
    git(site, &["show", "-s", "--format=%P|%an|%ae|%s", commit])
}

fn git(site: &Site, words: &[&str]) -> String {
    let ada = site.person(Role::Administrator);
    let asked = ada.client("git").folder(site.repository()).args(words);
    asked.run().ok().out().trim().to_owned()
}

fn upload(site: &Site, person: &Person, desk: &str, environment: &str, name: &str) {
    let path = put(person, desk, name);
    site.sftp(person, environment, format!("put {path} /code/{name}\n"))
        .run()
        .ok();
    fs::remove_file(path).unwrap();
    assert!(refs(site).contains("refs/heads/main"));
}
