//! Where a push may go: each row of the table with the wrong push, the hint that it prints, copied
//! and run, and the right push.

use support::clone::{Clone, hint};
use support::{Person, Role, Site};

use crate::git_client::{SHARED, git_site, has_remote_sentence};

#[test]
fn dev_in_sftp_mode_refuses_and_says_who_set_it() {
    let (site, tom) = deployed("r-mode");
    let clone = Clone::new(&site, &tom);
    site.console(&tom, &["connection:set", "SITE.dev", "sftp", "--yes"])
        .run()
        .ok();
    clone.commit("index.php", "<?php echo 'pushed';\n");
    let refused = clone.git(&["push", "dev", "main"]).run().fails();
    has_remote_sentence(&refused);
    let refused = refused.says("SFTP mode").says("tom");
    assert!(refused.err().contains("20"), "since when? {refused}");
    assert_eq!(code(&site, "dev"), "<?php echo 'first';\n");

    clone.paste(&hint(&refused, "ssh -p")).run().ok();
    clone.must(&["push", "dev", "main"]);
    assert_eq!(code(&site, "dev"), "<?php echo 'pushed';\n");
}

#[test]
fn a_branch_without_an_environment_is_stored_and_not_deployed() {
    let (site, tom) = deployed("r-plain");
    let clone = Clone::new(&site, &tom);
    let commit = clone.commit("index.php", "<?php echo 'topic';\n");
    let pushed = clone.must(&["push", "dev", "HEAD:refs/heads/topic"]);
    assert!(
        pushed.err().to_lowercase().contains("nothing is deployed"),
        "{pushed}"
    );
    assert!(
        clone
            .ask(&["ls-remote", "dev", "refs/heads/topic"])
            .starts_with(&commit)
    );
    assert_eq!(code(&site, "dev"), "<?php echo 'first';\n");
    clone.must(&["tag", "v1.0"]);
    clone.must(&["push", "dev", "v1.0"]);
    clone.must(&["push", "dev", ":refs/heads/topic"]);
    assert_eq!(clone.ask(&["ls-remote", "dev", "refs/heads/topic"]), "");
}

#[test]
fn test_and_live_take_no_trunk() {
    let (site, tom) = deployed("r-above");
    let clone = Clone::new(&site, &tom);
    clone.commit("index.php", "<?php echo 'for all';\n");
    for environment in ["test", "live"] {
        for wrong in ["HEAD:main", "HEAD:topic", "HEAD:refs/tags/v2"] {
            let refused = clone.git(&["push", environment, wrong]).run().fails();
            has_remote_sentence(&refused);
        }
        assert_eq!(code(&site, environment), "<?php echo 'first';\n");
    }
    assert!(!clone.ask(&["ls-remote", "dev"]).contains("topic"));

    let refused = clone.git(&["push", "live", "HEAD:main"]).run().fails();
    clone.paste(&hint(&refused, "git push")).run().ok();
    assert_eq!(code(&site, "dev"), "<?php echo 'for all';\n");
    assert_eq!(code(&site, "live"), "<?php echo 'first';\n");
    let refused = clone.git(&["push", "test", "HEAD:topic"]).run().fails();
    clone.paste(&hint(&refused, "env:deploy")).run().ok();
    assert_eq!(code(&site, "test"), "<?php echo 'for all';\n");
    let refused = clone.git(&["push", "live", "HEAD:topic"]).run().fails();
    clone.paste(&hint(&refused, "env:deploy")).run().ok();
    assert_eq!(code(&site, "live"), "<?php echo 'for all';\n");
}

#[test]
fn a_hotfix_goes_to_live_with_a_reason_and_stays_open() {
    let (site, tom) = deployed("r-hotfix");
    let clone = Clone::new(&site, &tom);
    // Live has gone on since the first commit, and trunk has gone on since Live.
    let first = clone.ask(&["rev-parse", "HEAD"]);
    clone.commit("theme/style.css", "body { color: green }\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    site.deploy_all();
    clone.commit("lib/menu.php", "<?php // work in progress\n");
    clone.must(&["push", "--quiet", "dev", "main"]);

    // Grown from trunk: it would take undeployed work along.
    clone.must(&["checkout", "--quiet", "-b", "hotfix/sneaky"]);
    clone.commit("index.php", "<?php echo 'sneaky';\n");
    has_remote_sentence(
        &clone
            .git(&["push", "-o", "reason=sneaky", "live", "hotfix/sneaky"])
            .run()
            .fails(),
    );

    // Grown from what Live ran before: no hotfix of what it runs now.
    clone.must(&["checkout", "--quiet", "-b", "hotfix/typo", &first]);
    clone.commit("index.php", "<?php echo 'fixed';\n");
    let refused = clone
        .git(&["push", "-o", "reason=typo", "live", "hotfix/typo"])
        .run()
        .fails();
    has_remote_sentence(&refused);
    refused.says("descend").says("live_");

    // As the hint says: from the newest live_N.
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-B", "hotfix/typo", "live_2"]);
    let fix = clone.commit("index.php", "<?php echo 'fixed';\n");

    // Over Dev it would reach no visitor; without a reason it is refused; a developer may not.
    let refused = clone.git(&["push", "dev", "hotfix/typo"]).run().fails();
    has_remote_sentence(&refused);
    let refused_without = clone.git(&["push", "live", "hotfix/typo"]).run().fails();
    has_remote_sentence(&refused_without);
    let dana = Clone::new(&site, site.person(Role::Developer));
    dana.must(&["fetch", "--quiet", "--tags", "live"]);
    dana.must(&["checkout", "--quiet", "-b", "hotfix/hers", "live_2"]);
    dana.commit("index.php", "<?php echo 'hers';\n");
    has_remote_sentence(
        &dana
            .git(&["push", "-o", "reason=mine", "live", "hotfix/hers"])
            .run()
            .fails(),
    );
    assert_eq!(code(&site, "live"), "<?php echo 'first';\n");

    // To Test first, to try it.
    clone.must(&["push", "test", "hotfix/typo"]);
    assert_eq!(code(&site, "test"), "<?php echo 'fixed';\n");
    assert_eq!(code(&site, "live"), "<?php echo 'first';\n");

    clone.paste(&hint(&refused_without, "git push")).run().ok();
    assert_eq!(code(&site, "live"), "<?php echo 'fixed';\n");
    assert_eq!(
        code(&site, "dev"),
        "<?php echo 'first';\n",
        "Dev does not have it yet"
    );
    let tags = clone.ask(&["ls-remote", "--tags", "live"]);
    assert!(tags.contains("refs/tags/live_3"), "{tags}");
    assert!(
        tags.contains(&format!("{fix}\trefs/tags/live_3^{{}}")),
        "an annotated tag: {tags}"
    );
    site.must(&["hotfix:list", "SITE"]).says("typo");
}

#[test]
fn a_hint_over_dev_leads_a_hotfix_to_live() {
    let (site, tom) = deployed("r-hotfix-dev");
    let clone = Clone::new(&site, &tom);
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-b", "hotfix/urgent", "live_1"]);
    clone.commit("index.php", "<?php echo 'urgent';\n");
    let refused = clone.git(&["push", "dev", "hotfix/urgent"]).run().fails();
    clone.paste(&hint(&refused, "git push")).run().ok();
    assert_eq!(code(&site, "live"), "<?php echo 'urgent';\n");
}

#[test]
fn a_deploy_that_would_lose_a_hotfix_is_refused_until_it_is_merged() {
    let (site, tom) = deployed("r-guard");
    let clone = Clone::new(&site, &tom);
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-b", "hotfix/guarded", "live_1"]);
    clone.commit("index.php", "<?php echo 'guarded';\n");
    clone.must(&["push", "-o", "reason=a test", "live", "hotfix/guarded"]);
    clone.must(&["checkout", "--quiet", "main"]);
    clone.commit("lib/menu.php", "<?php // news\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    site.must(&["env:deploy", "SITE.test", "--note", "news"]);
    let refused = site
        .command(&["env:deploy", "SITE.live", "--note", "news"])
        .run()
        .code(3);
    refused.says("guarded").says("hotfix:merge");
    assert_eq!(code(&site, "live"), "<?php echo 'guarded';\n");

    site.must(&["hotfix:merge", "SITE", "guarded"]);
    assert_eq!(code(&site, "dev"), "<?php echo 'guarded';\n");
    site.must(&["env:deploy", "SITE.test", "--note", "both"]);
    site.must(&["env:deploy", "SITE.live", "--note", "both"]);
    assert_eq!(code(&site, "live"), "<?php echo 'guarded';\n");
    let live = site.tree("live", "code");
    assert_eq!(live.content("lib/menu.php"), Some(&b"<?php // news\n"[..]));
    site.must(&["hotfix:list", "SITE"]).says("merged");
}

#[test]
fn deploy_tags_and_trunk_are_out_of_reach() {
    let (site, tom) = deployed("r-never");
    let clone = Clone::new(&site, &tom);
    clone.must(&["fetch", "--quiet", "--tags", "dev"]);
    let before = clone.ask(&["ls-remote", "dev"]);
    clone.commit("index.php", "<?php echo 'never';\n");
    let ada = Clone::new(&site, site.person(Role::Administrator));
    for environment in ["dev", "test", "live"] {
        for wrong in [
            "HEAD:refs/tags/test_1",
            "HEAD:refs/tags/live_1",
            "HEAD:refs/tags/live_7",
            "HEAD:refs/tags/test_0",
            ":refs/tags/test_1",
            ":refs/tags/live_1",
            ":refs/heads/main",
        ] {
            for by in [&clone, &ada] {
                let refused = by
                    .git(&["push", "--force", environment, wrong])
                    .run()
                    .fails();
                has_remote_sentence(&refused);
            }
        }
    }
    assert_eq!(clone.ask(&["ls-remote", "dev"]), before);
}

#[test]
fn a_force_push_to_trunk_is_a_setting_and_never_loses_what_is_deployed() {
    let (site, tom) = deployed("r-force");
    let clone = Clone::new(&site, &tom);
    let head = || clone.ask(&["ls-remote", "dev", "refs/heads/main"]);
    let rewrite = |content: &str| {
        clone.must(&["reset", "--quiet", "--hard", "HEAD~1"]);
        clone.commit("index.php", content)
    };
    clone.commit("index.php", "<?php echo 'one';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);

    // What only Dev runs may be taken back, unless the site's setting says no.
    site.must(&["site:set", "SITE", "force-push", "no"]);
    let before = head();
    rewrite("<?php echo 'two';\n");
    has_remote_sentence(&clone.git(&["push", "--force", "dev", "main"]).run().fails());
    assert_eq!(head(), before);
    site.must(&["site:set", "SITE", "force-push", "yes"]);
    let commit = rewrite("<?php echo 'three';\n");
    clone.must(&["push", "--force", "dev", "main"]);
    assert!(head().starts_with(&commit));
    assert_eq!(code(&site, "dev"), "<?php echo 'three';\n");
    site.must(&["audit:list", "--site", "SITE", "--format", "json"])
        .says("force-push");

    // What Test and Live run is never lost.
    clone.must(&["checkout", "--quiet", "--orphan", "unrelated"]);
    clone.commit("index.php", "<?php echo 'unrelated';\n");
    has_remote_sentence(
        &clone
            .git(&["push", "--force", "dev", "unrelated:main"])
            .run()
            .fails(),
    );
    assert!(head().starts_with(&commit));
    assert_eq!(code(&site, "dev"), "<?php echo 'three';\n");
}

#[track_caller]
fn code(site: &Site, environment: &str) -> String {
    let tree = site.tree(environment, "code");
    String::from_utf8_lossy(tree.content("index.php").expect("index.php is there")).into_owned()
}

/// A site in Git mode whose Test and Live run what it began with.
fn deployed(name: &str) -> (Site, Person) {
    let _keep = SHARED.gateway();
    let (site, tom) = git_site(name);
    site.deploy_all();
    (site, tom)
}
