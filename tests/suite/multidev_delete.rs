//! A Multidev that is deleted is gone at once for all who use it, and comes back as it was.

use std::fs;
use std::sync::Arc;

use nix::sys::signal::Signal;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Gateway, Role, Site};

use crate::deploys::{refs, rows, runs};
use crate::multidev::{create, held, index, last_row, put, site};

const UP: u32 = packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE;

#[test]
fn open_sessions_are_refused_at_once_and_reach_no_successor() {
    let (site, dana, clone) = site("del-open");
    create(&site, "feature-x");
    site.console(&dana, &["connection:set", "SITE.feature-x", "sftp"])
        .run()
        .ok();
    let mut raw = Raw::open(&site, &dana, "feature-x");
    let code = raw.open_file("/code/new.php", UP);
    let photo = raw.open_file("/files/photo", UP);
    let listing = raw
        .ask(|id| Request::of(packets::OPENDIR, id, "/files"))
        .handle();
    for handle in [&code, &photo] {
        raw.ask(|id| Request::write(id, handle, 0, b"some"))
            .must_be(packets::OK);
    }
    site.console(&dana, &["multidev:delete", "SITE.feature-x"])
        .run()
        .ok()
        .says("its branch stays")
        .says("multidev:restore");
    let refused = |raw: &mut Raw| {
        for handle in [&code, &photo] {
            let said = raw
                .ask(|id| Request::write(id, handle, 4, b"more"))
                .must_be(packets::PERMISSION_DENIED);
            assert!(said.contains("[incident "), "{said}");
        }
        for path in ["/", "/files", "/code/index.php"] {
            raw.ask(|id| Request::of(packets::STAT, id, path))
                .must_be(packets::PERMISSION_DENIED);
        }
        raw.ask(|id| Request::open(id, "/files/other", UP))
            .must_be(packets::PERMISSION_DENIED);
        raw.ask(|id| Request::of(packets::READDIR, id, &listing))
            .must_be(packets::PERMISSION_DENIED);
    };
    refused(&mut raw);
    clone.git(&["fetch", "feature-x"]).run().fails();
    clone
        .git(&["push", "feature-x", "HEAD:feature-x"])
        .run()
        .fails();
    site.sftp(&dana, "feature-x", "ls /\n")
        .run()
        .fails()
        .says("no environment");
    for words in [
        &["env:info", "SITE.feature-x"][..],
        &["env:commit", "SITE.feature-x", "-m", "x"],
        &["connection:set", "SITE.feature-x", "git"],
        &["multidev:merge-to-dev", "SITE.feature-x"],
        &["multidev:delete", "SITE.feature-x"],
    ] {
        site.console(&dana, words)
            .run()
            .fails()
            .says("no environment");
    }
    // Another of that name is another: who is still on the first one does not reach it.
    let words = [
        "multidev:create",
        "SITE.dev",
        "feature-x",
        "--from-branch",
        "feature-x",
    ];
    site.console(&dana, &words).run().ok();
    refused(&mut raw);
    drop(raw);
    assert!(site.tree("feature-x", "files").paths().next().is_none());
    let mut raw = Raw::open(&site, &dana, "feature-x");
    raw.open_file("/files/photo", UP);
}

#[test]
fn what_was_not_committed_is_asked_about_and_comes_back() {
    let (site, dana, clone) = site("del-work");
    create(&site, "feature-x");
    site.console(&dana, &["connection:set", "SITE.feature-x", "sftp"])
        .run()
        .ok();
    let upload = put(&dana, "del-work", "work");
    let batch = format!("put {upload} /code/work.php\nput {upload} /files/photo\n");
    site.sftp(&dana, "feature-x", batch).run().ok();
    site.must(&["env:set", "SITE.feature-x", "database", "127.0.0.1:3306"]);
    let info = |field: &str| {
        let words = ["env:info", "SITE.feature-x", "--field", field];
        site.must(&words).out()
    };
    let known = ["created", "connection_mode", "mode_set_by", "commit"];
    let (before, held_before) = (known.map(info), held(&site));
    let delete = ["multidev:delete", "SITE.feature-x"];
    site.console(&dana, &delete)
        .input("no\n")
        .run()
        .code(3)
        .says("uncommitted");
    assert_eq!(held(&site), held_before);

    let deleted = site.console(&dana, &delete).input("yes\n").run().ok();
    deleted.says("work that was not committed");
    let folder = site.gateway.data().join("sites/del-work");
    assert!(!folder.join("environments/feature-x").exists());
    let row = last_row(&site, "feature-x");
    assert_eq!(row["action"], "multidev-delete");
    let id = row["incident"].as_str().unwrap();
    assert!(
        row["detail"].as_str().unwrap().contains(id),
        "the row names what it is kept as: {row}"
    );
    let kept = rows(&site, &["multidev:list", "SITE", "--deleted"]);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        (&kept[0]["name"], &kept[0]["branch"]),
        (&"feature-x".into(), &"kept".into())
    );
    assert_eq!(kept[0]["deleted_by"], "dana");
    site.must(&["workflow:logs", id]).says("switch");
    // Its hidden ref is nobody's to see.
    assert!(!clone.ask(&["ls-remote", "dev"]).contains("funicular"));

    site.console(&dana, &["multidev:restore", "SITE.feature-x"])
        .run()
        .ok();
    assert_eq!(known.map(info), before);
    site.must(&["connection:info", "SITE.feature-x"])
        .says("3306:database:3306");
    assert_eq!(
        site.tree("feature-x", "code").content("work.php"),
        Some(&b"work"[..])
    );
    assert_eq!(
        site.tree("feature-x", "files").content("photo"),
        Some(&b"work"[..])
    );
    site.must(&["env:diffstat", "SITE.feature-x"])
        .says("work.php");
    assert_eq!(
        rows(&site, &["multidev:list", "SITE", "--deleted"]).len(),
        0
    );
    site.console(&dana, &["env:commit", "SITE.feature-x", "-m", "the work"])
        .run()
        .ok();
    site.sftp(&dana, "feature-x", "ls /code/work.php\n")
        .run()
        .ok();
}

#[test]
fn its_branch_goes_and_comes_with_it_if_asked() {
    let (site, dana, clone) = site("del-branch");
    create(&site, "feature-x");
    clone.must(&["fetch", "--quiet", "feature-x"]);
    clone.must(&[
        "checkout",
        "--quiet",
        "-b",
        "feature-x",
        "feature-x/feature-x",
    ]);
    let commit = clone.commit("index.php", "<?php echo 'mine';\n");
    clone.must(&["push", "--quiet", "feature-x", "feature-x"]);
    let before = refs(&site);
    site.console(
        &dana,
        &["multidev:delete", "SITE.feature-x", "--delete-branch"],
    )
    .run()
    .ok()
    .says("and its branch");
    assert_eq!(clone.ask(&["ls-remote", "dev", "refs/heads/feature-x"]), "");
    site.console(&dana, &["multidev:restore", "SITE.feature-x"])
        .run()
        .ok();
    assert_eq!(runs(&site, "feature-x"), commit);
    assert!(index(&site, "feature-x").contains("mine"));
    assert_eq!(refs(&site), before);
    // And on it goes.
    clone.commit("index.php", "<?php echo 'on';\n");
    clone.must(&["push", "--quiet", "feature-x", "feature-x"]);
    assert!(index(&site, "feature-x").contains("on"));
}

#[test]
fn it_comes_back_with_what_its_branch_is_by_then() {
    let (site, dana, clone) = site("del-moved");
    create(&site, "feature-x");
    site.console(&dana, &["connection:set", "SITE.feature-x", "sftp"])
        .run()
        .ok();
    let upload = put(&dana, "del-moved", "work");
    site.sftp(&dana, "feature-x", format!("put {upload} /code/work.php\n"))
        .run()
        .ok();
    site.console(&dana, &["multidev:delete", "SITE.feature-x", "--yes"])
        .run()
        .ok();
    // No environment runs it now, so it is a branch like any other.
    let commit = clone.commit("index.php", "<?php echo 'moved';\n");
    clone.must(&["push", "--quiet", "dev", "HEAD:feature-x"]);
    site.console(&dana, &["multidev:restore", "SITE.feature-x"])
        .run()
        .ok()
        .says("gone on since");
    assert_eq!(runs(&site, "feature-x"), commit);
    assert!(index(&site, "feature-x").contains("moved"));
    assert!(!site.tree("feature-x", "code").holds("work.php"));
    site.console(&dana, &["env:restore-work", "SITE.feature-x"])
        .run()
        .ok();
    assert!(site.tree("feature-x", "code").holds("work.php"));
    assert!(index(&site, "feature-x").contains("moved"));
}

#[test]
fn of_several_the_newest_comes_back_or_the_one_that_is_named() {
    let (site, dana, _) = site("del-several");
    let photo = |content: &str| {
        create_again(&site);
        let upload = put(&dana, "del-several", content);
        site.sftp(&dana, "feature-x", format!("put {upload} /files/photo\n"))
            .run()
            .ok();
        site.console(&dana, &["multidev:delete", "SITE.feature-x"])
            .run()
            .ok();
    };
    photo("first");
    photo("second");
    photo("third");
    let kept = rows(&site, &["multidev:list", "SITE", "--deleted"]);
    assert_eq!(kept.len(), 3, "{kept:?}");
    let restore = |id: &[&str]| {
        let words = [&["multidev:restore", "SITE.feature-x"], id].concat();
        site.console(&dana, &words).run()
    };
    let shown = || {
        let tree = site.tree("feature-x", "files");
        String::from_utf8_lossy(tree.content("photo").unwrap()).into_owned()
    };
    restore(&["NOSUCHID"]).code(1).says("No deleted");
    restore(&["../dev"]).code(1).says("No deleted");
    let oldest = kept[2]["id"].as_str().unwrap();
    restore(&[oldest]).ok();
    assert_eq!(shown(), "first");
    restore(&[]).code(3).says("already");
    site.console(&dana, &["multidev:delete", "SITE.feature-x"])
        .run()
        .ok();
    restore(&[]).ok();
    assert_eq!(shown(), "first", "it was deleted last");
    let words = ["multidev:restore", "SITE.other"];
    site.console(&dana, &words).run().code(1).says("No deleted");
}

#[test]
fn dev_test_and_live_stay() {
    let (site, tom, _) = site("del-never");
    let before = held(&site);
    for environment in ["dev", "test", "live"] {
        let place = format!("SITE.{environment}");
        for words in [
            &["multidev:delete", &place, "--yes"][..],
            &["multidev:restore", &place],
        ] {
            site.console(site.person(Role::Administrator), words)
                .run()
                .code(3)
                .says("only Multidevs come and go");
        }
    }
    for words in [
        &["multidev:delete", "SITE.absent"][..],
        &["multidev:merge-to-dev", "SITE.absent"],
        &["multidev:merge-to-dev", "SITE.dev"],
        &["multidev:merge-from-dev", "SITE.live"],
    ] {
        site.console(&tom, words).run().fails();
    }
    assert_eq!(held(&site), before);
}

#[test]
fn after_its_time_it_is_gone_for_good() {
    let gateway = Arc::new(Gateway::start_with(&[(
        "multidev",
        "keep_deleted_seconds",
        "1",
    )]));
    let site = gateway.site("del-time");
    let dana = site.person(Role::Developer);
    site.set_mode("git");
    for name in ["old", "there"] {
        create(&site, name);
    }
    site.console(dana, &["multidev:delete", "SITE.old", "--delete-branch"])
        .run()
        .ok();
    let folder = gateway.data().join("sites/del-time/deleted");
    // Looks are far apart; one is at each start.
    support::wait_for(
        "the end of its time",
        std::time::Duration::from_secs(60),
        || {
            assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
            gateway.serve();
            let listed = rows(&site, &["multidev:list", "SITE", "--deleted"]);
            (listed.is_empty() && fs::read_dir(&folder).unwrap().next().is_none()).then_some(())
        },
    );
    assert!(!refs(&site).contains("refs/funicular/deleted"));
    site.console(dana, &["multidev:restore", "SITE.old"])
        .run()
        .code(1)
        .says("No deleted");
    site.sftp(dana, "there", "ls /code\n").run().ok();
    create(&site, "old");
    let audited = rows(&site, &["audit:list", "--site", "SITE", "--env", "old"]);
    assert!(
        audited.iter().any(|row| row["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("its time is over"))),
        "{audited:?}"
    );
}

/// Makes `feature-x`, whose branch may be there from the last time.
fn create_again(site: &Site) {
    let dana = site.person(Role::Developer);
    let has = refs(site).contains("refs/heads/feature-x");
    let from: &[&str] = if has {
        &["--from-branch", "feature-x"]
    } else {
        &[]
    };
    let words = [&["multidev:create", "SITE.dev", "feature-x"], from].concat();
    site.console(dana, &words).run().ok();
}
