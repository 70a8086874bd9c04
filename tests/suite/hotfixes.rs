//! What becomes of a hotfix: merged into trunk, merged by hand after a conflict, or given up.

use support::{Clone, Person, Role, Site};

use crate::deploys::{code, push, refs, rows, runs, site};

#[test]
fn a_hotfix_is_dropped_with_a_reason_only() {
    let (site, tom, clone) = site("d-drop");
    hotfix(&site, &clone, "index.php", "fixed");
    let commit = clone.commit("lib/menu.php", "<?php // news\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    site.must(&["env:deploy", "SITE.test"]);
    let deploy = || site.console(&tom, &["env:deploy", "SITE.live"]).run();
    deploy().code(3).says("hotfix typo").says("hotfix:drop");
    let drop = |by: &Person, more: &[&str]| {
        let words = [&["hotfix:drop", "SITE", "typo"], more].concat();
        site.console(by, &words).run()
    };
    drop(&tom, &[]).code(2);
    drop(site.person(Role::Developer), &["--reason", "mine"]).code(3);
    deploy().code(3);
    assert!(code(&site, "live").contains("fixed"));
    drop(&tom, &["--reason", "fixed otherwise"]).ok();
    let row = rows(&site, &["audit:list", "--site", "SITE"]);
    assert!(
        row.iter().any(|row| row["action"] == "hotfix-drop"
            && row["decision"] == "permit"
            && row["detail"]
                .as_str()
                .is_some_and(|text| text.contains("fixed otherwise"))),
        "{row:?}"
    );
    deploy().ok();
    assert!(code(&site, "live").contains("first"));
    assert_eq!(runs(&site, "live"), commit);
    site.must(&["hotfix:list", "SITE"]).says("dropped");
    drop(&tom, &["--reason", "again"])
        .code(1)
        .says("no open hotfix");
}

#[test]
#[ignore = "fault: an empty reason is taken for one"]
fn an_empty_reason_is_none() {
    let (site, tom, clone) = site("d-reason");
    hotfix(&site, &clone, "index.php", "fixed");
    for reason in ["", "  "] {
        site.console(&tom, &["hotfix:drop", "SITE", "typo", "--reason", reason])
            .run()
            .fails();
    }
}

#[test]
fn a_hotfix_that_conflicts_lists_the_files_and_changes_nothing() {
    let (site, tom, clone) = site("d-conflict");
    hotfix(&site, &clone, "index.php", "fixed");
    clone.commit("lib/menu.php", "<?php // mine alone\n");
    push(&clone, "otherwise");
    let (before, tree) = (refs(&site), site.tree("dev", "code"));
    let merge = |by: &Person| site.console(by, &["hotfix:merge", "SITE", "typo"]).run();
    merge(&tom)
        .code(1)
        .says("conflicts")
        .says("index.php")
        .says_not("lib/menu.php");
    merge(site.person(Role::Developer)).code(3);
    assert_eq!(refs(&site), before);
    site.tree("dev", "code").must_equal(&tree);
    site.must(&["hotfix:list", "SITE"]).says("open");

    // Solved by hand, in a clone.
    clone.git(&["merge", "hotfix/typo"]).run().fails();
    clone.commit("index.php", "<?php echo 'both';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    site.must(&["hotfix:list", "SITE"]).says("merged");
    site.deploy_all();
    assert!(code(&site, "live").contains("both"));
}

#[test]
fn a_merge_waits_for_uncommitted_work() {
    let (site, tom, clone) = site("d-work");
    hotfix(&site, &clone, "index.php", "fixed");
    site.set_mode("sftp");
    let upload = tom.desk("d-work").join("upload");
    std::fs::write(&upload, "work\n").unwrap();
    site.sftp(
        &tom,
        "dev",
        format!("put {} /code/lib/menu.php\n", upload.display()),
    )
    .run()
    .ok();
    let (before, tree) = (refs(&site), site.tree("dev", "code"));
    site.console(&tom, &["hotfix:merge", "SITE", "typo"])
        .run()
        .code(3)
        .says("env:commit");
    assert_eq!(refs(&site), before);
    site.tree("dev", "code").must_equal(&tree);
    site.console(&tom, &["env:commit", "SITE.dev", "-m", "work"])
        .run()
        .ok();
    site.console(&tom, &["hotfix:merge", "SITE", "typo"])
        .run()
        .ok();
    assert!(code(&site, "dev").contains("fixed"));
    assert_eq!(
        site.tree("dev", "code").content("lib/menu.php"),
        Some(&b"work\n"[..])
    );
}

/// Deploys everything and brings the hotfix `typo` to Live; the clone is on main again.
fn hotfix(site: &Site, clone: &Clone, file: &str, content: &str) {
    site.deploy_all();
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-b", "hotfix/typo", "live_1"]);
    clone.commit(file, &format!("<?php echo '{content}';\n"));
    clone.must(&[
        "push",
        "--quiet",
        "-o",
        "reason=a test",
        "live",
        "hotfix/typo",
    ]);
    clone.must(&["checkout", "--quiet", "main"]);
}
