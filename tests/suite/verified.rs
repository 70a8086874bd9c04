//! A release is tried where it runs. One that fails is turned back, its push or deploy refused, and
//! it stays away until somebody allows it.

use support::{Role, Site, Web};

use crate::deploys::{code, push, refs, rows, runs, site};

/// What a visitor of an environment gets: its front page as it is on the disk, or 500 when that
/// cannot be read.
fn visitors(site: &Site, environment: &str) -> Web {
    let page = site
        .gateway
        .data()
        .join(format!("sites/{}/environments/{environment}", site.name))
        .join("current/code/index.php");
    let web = Web::start(move |_| match std::fs::read_to_string(&page) {
        Ok(page) if page.contains("fatal") => (500, page),
        Ok(page) => (200, page),
        Err(error) => (500, error.to_string()),
    });
    let place = format!("SITE.{environment}");
    site.must(&["env:set", &place, "url", &web.url()])
        .says("is http://127.0.0.1:");
    web
}

/// A question to the front page of one environment.
fn asks(environment: &str) -> String {
    format!(
        "[[probe]]\nname = \"front page\"\nstage = \"after\"\nenvironments = [\"{environment}\"]\n\
         path = \"/\"\nmarker = \"healthy\"\ntimeout = 20\n"
    )
}

#[test]
fn a_deploy_that_fails_after_the_switch_is_turned_back() {
    let (site, tom, clone) = site("v-deploy");
    clone.commit("funicular.toml", &asks("test"));
    let good = push(&clone, "healthy, the first");
    let _web = visitors(&site, "test");
    let deploy = || site.console(&tom, &["env:deploy", "SITE.test"]).run();
    deploy().ok().says("Asking 'front page'").says("test_1");
    for (page, why) in [
        ("ill", "the page lacks the marker 'healthy'"),
        ("healthy but fatal", "it answered 500 instead of 200"),
    ] {
        let bad = push(&clone, page);
        let before = refs(&site);
        let failed = deploy().code(1);
        failed
            .says("failed after the switch")
            .says(why)
            .says(&format!("v-deploy.test runs {} again", &good[..10]))
            .says("release:allow v-deploy.test");
        assert_eq!(refs(&site), before);
        assert!(code(&site, "test").contains("the first"));
        assert_eq!(runs(&site, "test"), good);
        let listed = rows(&site, &["release:list", "SITE.test"]);
        let kept = listed.iter().find(|row| row["commit"] == bad.as_str());
        assert_eq!(
            kept.expect("it is listed")["status"],
            "failed",
            "{listed:?}"
        );
    }

    // Nobody deploys it again by mistake.
    let refused = deploy().code(3);
    refused
        .says("failed on v-deploy.test")
        .says("release:allow v-deploy.test");
    let audited = rows(
        &site,
        &["audit:list", "--site", "SITE", "--decision", "refuse"],
    );
    let last = audited.last().expect("a row");
    assert_eq!(last["rule"], "release-has-failed", "{last}");
    let bad = runs(&site, "dev");
    let allow = |by: Role, commit: &str| {
        let words = ["release:allow", "SITE.test", commit];
        site.console(site.person(by), &words).run()
    };
    allow(Role::Developer, &bad)
        .code(3)
        .says("not for the role");
    allow(Role::TeamMember, "0123456789")
        .code(1)
        .says("has failed");
    allow(Role::TeamMember, &bad[..10]).ok();
    // It is as bad as before.
    deploy().code(1).says("it answered 500");
    deploy().code(3);
    push(&clone, "healthy again");
    deploy().ok().says("test_2");
    assert!(code(&site, "test").contains("healthy again"));
}

#[test]
fn a_push_that_fails_after_the_switch_is_a_push_refused() {
    let (site, _tom, clone) = site("v-push");
    let _web = visitors(&site, "dev");
    clone.commit("funicular.toml", &asks("dev"));
    push(&clone, "healthy");
    let (before, good) = (refs(&site), runs(&site, "dev"));
    let bad = clone.commit("index.php", "<?php echo 'ill';\n");
    let pushed = clone.git(&["push", "dev", "main"]).run().fails();
    let screen = pushed.screen();
    assert!(
        screen
            .lines()
            .any(|line| line.contains("! [remote rejected] main -> main")
                && line.contains("lacks the marker")),
        "{screen}"
    );
    assert_eq!(refs(&site), before);
    assert_eq!(runs(&site, "dev"), good);
    assert!(code(&site, "dev").contains("healthy"));
    clone
        .git(&["push", "dev", "main"])
        .run()
        .fails()
        .says("release:allow v-push.dev");
    let listed = rows(&site, &["release:list", "SITE.dev"]);
    assert_eq!(listed[0]["commit"], bad.as_str(), "{listed:?}");
    push(&clone, "healthy as ever");
    assert!(code(&site, "dev").contains("as ever"));
}

#[test]
fn a_first_deploy_that_fails_leaves_nothing_deployed() {
    let (site, tom, clone) = site("v-first");
    let _web = visitors(&site, "test");
    clone.commit("funicular.toml", &asks("test"));
    push(&clone, "ill");
    site.console(&tom, &["env:deploy", "SITE.test"])
        .run()
        .code(1)
        .says("runs nothing again");
    let pointer = site
        .gateway
        .data()
        .join("sites/v-first/environments/test/current");
    assert!(pointer.symlink_metadata().is_err());
    site.must(&["env:info", "SITE.test", "--field", "initialized"])
        .says("false");
    push(&clone, "healthy");
    site.console(&tom, &["env:deploy", "SITE.test"]).run().ok();
}

#[test]
fn a_hotfix_that_fails_is_no_hotfix() {
    let (site, _tom, clone) = site("v-hotfix");
    clone.commit("funicular.toml", &asks("live"));
    push(&clone, "healthy");
    let _web = visitors(&site, "live");
    site.deploy_all();
    let before = refs(&site);
    clone.must(&["checkout", "--quiet", "-b", "hotfix/worse"]);
    clone.commit("index.php", "<?php echo 'worse';\n");
    clone
        .git(&["push", "-o", "reason=it is down", "live", "hotfix/worse"])
        .run()
        .fails()
        .says("lacks the marker");
    assert_eq!(refs(&site), before);
    assert!(code(&site, "live").contains("healthy"));
    assert_eq!(rows(&site, &["hotfix:list", "SITE"]).len(), 0);
}

#[test]
fn a_probe_that_cannot_ask_refuses_before_anything_is_done() {
    let (site, tom, clone) = site("v-unknown");
    clone.commit("funicular.toml", &asks("test"));
    push(&clone, "healthy");
    let before = refs(&site);
    site.console(&tom, &["env:deploy", "SITE.test"])
        .run()
        .code(1)
        .says("env:set v-unknown.test url");
    assert_eq!(refs(&site), before);
    for senseless in ["here", "ftp://x", "http://u@h/"] {
        site.command(&["env:set", "SITE.test", "url", senseless])
            .run()
            .code(1)
            .says("is no url");
    }
    // What it names is asked from the server's own network.
    site.console(&tom, &["env:set", "SITE.test", "url", "http://10.0.0.1"])
        .run()
        .code(3)
        .says("only the server's administrators");
}

#[test]
fn a_rollback_passes_over_what_has_failed() {
    let (site, tom, clone) = site("v-back");
    clone.commit("funicular.toml", &asks("test"));
    let web = visitors(&site, "test");
    let deploy = |page: &str| {
        push(&clone, page);
        site.console(&tom, &["env:deploy", "SITE.test"]).run()
    };
    deploy("healthy 1").ok();
    deploy("ill").code(1);
    deploy("healthy 2").ok();
    drop(web);
    let _web = visitors(&site, "test");
    site.console(&tom, &["env:rollback", "SITE.test"])
        .run()
        .ok();
    assert!(code(&site, "test").contains("healthy 1"));
}
