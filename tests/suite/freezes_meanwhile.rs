//! A freeze, a role that is lost, and the end of a freeze, while something is under way.

use std::time::{Duration, Instant};

use support::gates::{Gates, PREPARED};
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Clone, Role, wait_for};

use crate::deploys::{refs, rows, site};
use crate::freezes::{freeze, refused};

const UP: u32 = packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE;

#[test]
fn a_freeze_refuses_the_next_write_of_an_open_session() {
    let (site, tom, _) = site("f-open");
    site.set_mode("sftp");
    let mut raw = Raw::open(&site, &tom, "dev");
    let part = raw.open_file("/code/index.php", UP);
    let content = raw.open_file("/files/photo", UP);
    for handle in [&part, &content] {
        raw.ask(|id| Request::write(id, handle, 0, b"some"))
            .must_be(packets::OK);
    }
    let before = site.tree("dev", "code");
    site.must(&["lock:enable", "SITE.dev", "--reason", "an audit"]);
    let frozen = Instant::now();
    let said = raw
        .ask(|id| Request::write(id, &part, 4, b"more"))
        .must_be(packets::PERMISSION_DENIED);
    assert!(
        said.contains("is frozen by local") && said.contains("an audit"),
        "{said}"
    );
    assert!(frozen.elapsed() < Duration::from_secs(1));
    raw.ask(|id| Request::of(packets::CLOSE, id, &part))
        .must_be(packets::PERMISSION_DENIED);
    site.tree("dev", "code").must_equal(&before);
    raw.ask(|id| Request::write(id, &content, 4, b" photo"))
        .must_be(packets::OK);
    raw.ask(|id| Request::of(packets::CLOSE, id, &content))
        .must_be(packets::OK);
    // The same session goes on when the freeze has ended.
    site.must(&["lock:disable", "SITE.dev"]);
    let again = raw.open_file("/code/index.php", UP);
    raw.ask(|id| Request::write(id, &again, 0, b"new"))
        .must_be(packets::OK);
    raw.ask(|id| Request::of(packets::CLOSE, id, &again))
        .must_be(packets::OK);
    assert_eq!(
        site.tree("dev", "code").content("index.php"),
        Some(&b"new"[..])
    );
}

#[test]
fn a_freeze_ends_by_itself() {
    let (site, tom, _) = site("f-until");
    let words = [
        "lock:enable",
        "SITE.test",
        "--reason",
        "lunch",
        "--until",
        "3s",
    ];
    site.console(&tom, &words)
        .run()
        .ok()
        .says("is frozen until");
    let deploy = || site.console(&tom, &["env:deploy", "SITE.test"]).run();
    let first = deploy();
    if first.code != Some(0) {
        first.code(3).says("It ends by itself at ");
    }
    wait_for("the end of the freeze", Duration::from_secs(60), || {
        (deploy().code == Some(0)).then_some(())
    });
    site.must(&["lock:list", "SITE"]).says("Nothing is frozen");
    // What has ended by itself is in nobody's way.
    freeze(&site, &tom, "test", "again");
}

#[test]
fn a_deploy_that_was_prepared_before_a_freeze_does_not_switch() {
    let (gateway, gates) = Gates::start(&[]);
    let site = gateway.site("f-race");
    let tom = site.person(Role::TeamMember);
    site.set_mode("git");
    let before = refs(&site);
    gates.close(PREPARED);
    let deploy = site.console(tom, &["env:deploy", "SITE.test"]).start();
    gates.reached(PREPARED);
    site.must(&["lock:enable", "SITE.test", "--reason", "the sale is on"])
        .says("deploy by tom is under way there");
    gates.open(PREPARED);
    deploy
        .finish()
        .code(1)
        .says("f-race.test is frozen by local")
        .says("the sale is on");
    assert_eq!(refs(&site), before);
    assert!(!site.disk("test", "code").join("index.php").exists());
    let flows = rows(&site, &["workflow:list", "SITE"]);
    assert_eq!(flows[0]["status"], "failed", "{flows:?}");
    refused(&site, "deploy", "environment-frozen");
    site.must(&["lock:disable", "SITE.test"]);
    site.console(tom, &["env:deploy", "SITE.test"]).run().ok();

    // A push as well, and here it is the role that is lost.
    let clone = Clone::new(&site, tom);
    clone.commit("index.php", "<?php echo 'second';\n");
    let (before, tree) = (refs(&site), site.tree("dev", "code"));
    gates.close(PREPARED);
    let push = clone.git(&["push", "dev", "main"]).start();
    gates.reached(PREPARED);
    site.must(&["site:team:role", "SITE", "tom", "viewer"]);
    gates.open(PREPARED);
    push.finish()
        .fails()
        .says("The role viewer reads code only");
    assert_eq!(refs(&site), before);
    site.tree("dev", "code").must_equal(&tree);
    let flows = rows(&site, &["workflow:list", "SITE"]);
    assert_eq!(flows[0]["status"], "failed", "{flows:?}");
}
