//! Who may not move content, and which way it does not go: told on the client's own screen, kept in the
//! audit, and nothing is changed.

use std::fs;

use support::{Person, Role};

use crate::content_stage::*;

#[test]
fn developers_move_no_content_of_test_and_live() {
    let site = filled("cr-developer");
    let dana = site.person(Role::Developer);
    for above in ["test", "live"] {
        let place = format!("SITE.{above}");
        let name = format!("cr-developer.{above}");
        let before = content(&site, above);
        for (words, action) in [
            (
                &["env:clone-content", "SITE.dev", above][..],
                "content-clone",
            ),
            (&["env:undo-content", &place], "content-undo"),
            (&["env:wipe", &place], "content-wipe"),
            (&["import:database", &place, "-"], "content-import"),
            (&["import:files", &place, "/tmp/x.tar"], "content-import"),
            (&["export:database", &place], "content-export"),
            (
                &["export:files", &place, "--to", "x.tar.gz"],
                "content-export",
            ),
            (&["backup:create", &place], "backup-create"),
            (&["backup:list", &place], "backup-view"),
            (&["backup:info", &place], "backup-view"),
            (&["backup:get", &place, "--element", "files"], "backup-view"),
            (&["backup:restore", &place], "backup-view"),
            (&["backup:automatic:enable", &place], "backup-schedule"),
            (&["backup:automatic:disable", &place], "backup-schedule"),
            (&["env:rotate-password", &place], "password-rotate"),
        ] {
            let words = match action {
                "content-undo" | "content-wipe" | "content-import" => {
                    [words, &["--confirm", &name]].concat()
                }
                _other => words.to_vec(),
            };
            let client = site.console(dana, &words).input(DUMP);
            let done = client.run().code(3);
            let done = done
                .says("is not for the role developer")
                .says("[incident ");
            assert_eq!(done.out(), "", "{words:?}");
            audited(&site, &done, action, "developer-stays-below-test");
        }
        assert_eq!(content(&site, above), before, "{above}");
        assert_eq!(
            fs::read_dir(site.disk(above, "backups")).unwrap().count(),
            0
        );
    }
    // Nor does a copy of it come down to where they read.
    let before = content(&site, "dev");
    for words in [
        &["env:clone-content", "SITE.live", "dev"][..],
        &["env:clone-content", "SITE.test", "dev", "--files-only"],
    ] {
        let done = site.console(dana, words).run().code(3);
        let done = done.says("is not for the role developer, nor is a copy of it.");
        audited(&site, &done, "content-clone", "source-not-for-developers");
    }
    assert_eq!(content(&site, "dev"), before);
    // Below, they do all of it.
    let done = site.console(dana, &["export:database", "SITE.dev"]).run();
    assert!(!done.ok().stdout.is_empty());
    site.console(dana, &["import:database", "SITE.dev", "-"])
        .input(DUMP)
        .run()
        .ok();
}

#[test]
fn viewers_and_strangers_move_nothing() {
    let site = filled("cr-viewer");
    let before = content(&site, "dev");
    let commands = [
        (&["env:wipe", "SITE.dev"][..], "content-wipe"),
        (&["env:undo-content", "SITE.dev"], "content-undo"),
        (&["import:database", "SITE.dev", "-"], "content-import"),
        (&["export:database", "SITE.dev"], "content-export"),
        (&["backup:create", "SITE.dev"], "backup-create"),
        (&["site:launch", "SITE"], "site-launch"),
    ];
    for (words, action) in commands {
        let vera = site.person(Role::Viewer);
        let done = site.console(vera, words).input(DUMP).run().code(3);
        let rule = match action {
            "site-launch" => "site-administrators-only",
            _content => "viewer-reads-code-only",
        };
        audited(&site, &done, action, rule);
        let sten = site.person(Role::Stranger);
        let done = site.console(sten, words).input(DUMP).run().code(3);
        done.says("There is no site 'cr-viewer' that you have a part in.");
    }
    assert_eq!(content(&site, "dev"), before);
}

#[test]
fn what_a_site_says_of_its_content_is_for_its_administrators() {
    let site = filled("cr-settings");
    let tom = site.person(Role::TeamMember);
    let shown = || site.must(&["site:info", "SITE", "--format", "json"]).out();
    let before = shown();
    for (words, action) in [
        (&["site:launch", "SITE"][..], "site-launch"),
        (&["site:launch", "SITE", "--undo"], "site-launch"),
        (&["site:set", "SITE", "database", "none"], "content-set"),
        (
            &["site:set", "SITE", "skip-tables", "drupal"],
            "content-set",
        ),
        (
            &[
                "domain:map",
                "SITE",
                "live",
                "dev",
                "www.example.org=dev.example.org",
            ],
            "content-set",
        ),
        (&["domain:unmap", "SITE", "live", "dev"], "content-set"),
        (&["quota:set", "SITE.dev", "20G", "1000"], "content-set"),
    ] {
        let done = site.console(tom, words).run().code(3);
        let done = done.says("is not for the role team_member");
        audited(&site, &done, action, "site-administrators-only");
    }
    assert_eq!(shown(), before);
    let ada = site.person(Role::Administrator);
    for (words, said) in [
        (
            &["site:set", "SITE", "database", "oracle"][..],
            "'oracle' is no engine",
        ),
        (&["site:set", "SITE", "skip-tables", "*"], "every table"),
        (&["site:set", "SITE", "force-push", "maybe"], "is yes or no"),
        (
            &["domain:map", "SITE", "live", "dev", "nonsense"],
            "is no pair of names",
        ),
        (
            &["site:set", "SITE", "database", "none"],
            "repeat with --yes",
        ),
    ] {
        site.console(ada, words).run().code(1).says(said);
    }
    assert_eq!(shown(), before);
    site.console(ada, &["quota:set", "SITE.dev", "much"])
        .run()
        .code(1)
        .says("is no size");
    site.console(ada, &["quota:set", "SITE.dev", "20G", "1000"])
        .run()
        .ok()
        .says("1000 files and folders");
    let map = "www.example.org=dev.example.org";
    site.console(ada, &["domain:map", "SITE", "live", "dev", map])
        .run()
        .ok();
    site.console(ada, &["domain:list", "SITE"])
        .run()
        .ok()
        .says("dev.example.org");
    site.console(
        ada,
        &["site:set", "SITE", "skip-tables", "wordpress", "my_log"],
    )
    .run()
    .ok();
    site.must(&["site:info", "SITE", "--field", "skip_tables"])
        .says("wordpress,my_log");
}

#[test]
fn content_goes_up_by_an_administrator_before_the_launch_only() {
    let site = filled("cr-up");
    let (ada, tom) = (
        site.person(Role::Administrator),
        site.person(Role::TeamMember),
    );
    let before = content(&site, "live");
    let up = ["env:clone-content", "SITE.dev", "live"];
    let named = [&up[..], &["--confirm", "cr-up.live"]].concat();
    let refused = |who: &Person, words: &[&str], rule: &str, said: &str| {
        let done = site.console(who, words).run().code(3).says(said);
        audited(&site, &done, "content-clone", rule);
        assert_eq!(content(&site, "live"), before, "{words:?}");
    };
    refused(
        tom,
        &named,
        "upward-is-for-administrators",
        "is not for the role team_member",
    );
    for words in [
        up.to_vec(),
        [&up[..], &["--yes"]].concat(),
        [&up[..], &["--confirm", "live"]].concat(),
        [&up[..], &["--confirm", "cr-up.test"]].concat(),
    ] {
        refused(
            ada,
            &words,
            "name-not-typed",
            "If you mean it, repeat with --confirm cr-up.live.",
        );
    }
    refused(
        ada,
        &["env:clone-content", "SITE.live", "live"],
        "same-environment",
        "both source and target",
    );
    site.console(ada, &["site:launch", "SITE"])
        .run()
        .ok()
        .says("none goes up any more");
    site.must(&["site:info", "SITE", "--field", "launched"])
        .says("20");
    site.console(ada, &["site:launch", "SITE"])
        .run()
        .code(0)
        .says("is launched already");
    refused(
        ada,
        &named,
        "content-goes-down",
        "Content comes down: env:clone-content cr-up.live dev",
    );
    let test = [
        "env:clone-content",
        "SITE.dev",
        "test",
        "--confirm",
        "cr-up.test",
    ];
    refused(ada, &test, "content-goes-down", "cr-up is launched");
    // Down it goes as ever, for who may see it.
    let down = ["env:clone-content", "SITE.live", "dev"];
    site.console(tom, &down)
        .run()
        .ok()
        .says("Cloned files and database");
}

#[test]
fn live_is_overwritten_by_who_types_its_name() {
    let site = filled("cr-live");
    let (ada, tom) = (
        site.person(Role::Administrator),
        site.person(Role::TeamMember),
    );
    let before = content(&site, "live");
    for (words, action) in [
        (&["env:wipe", "SITE.live"][..], "content-wipe"),
        (&["env:undo-content", "SITE.live"], "content-undo"),
        (&["import:database", "SITE.live", "-"], "content-import"),
        (
            &["import:files", "SITE.live", "/tmp/x.tar"],
            "content-import",
        ),
    ] {
        let named = [words, &["--confirm", "cr-live.live"]].concat();
        let done = site.console(tom, &named).input(DUMP).run().code(3);
        audited(&site, &done, action, "live-content-is-for-administrators");
        for more in [&["--yes"][..], &["--confirm", "cr-live.test"]] {
            let words = [words, more].concat();
            let done = site.console(ada, &words).input(DUMP).run().code(3);
            let done = done.says("repeat with --confirm cr-live.live");
            audited(&site, &done, action, "name-not-typed");
        }
        assert_eq!(content(&site, "live"), before, "{words:?}");
    }
    // A person at a terminal is asked, and types it.
    let wrong = asked(&site, ada, "live\r");
    assert!(wrong.1.contains("has to be typed"), "{}", wrong.1);
    assert_eq!(wrong.0, Some(3));
    assert_eq!(content(&site, "live"), before);
    let right = asked(&site, ada, "cr-live.live\r");
    assert_eq!(right.0, Some(0), "{}", right.1);
    assert_ne!(content(&site, "live"), before);
    // What was there comes back.
    let words = ["env:undo-content", "SITE.live", "--confirm", "cr-live.live"];
    site.console(ada, &words).run().ok();
    assert_eq!(exported(&site, "live"), exported(&site, "test"));
}
