//! What content cannot do as things are, what a freeze holds of it, and what `explain` foretells.

use support::Role;

use crate::content_stage::*;

#[test]
fn what_cannot_be_done_says_what_to_do_instead() {
    let site = SHARED.gateway().site("cr-cannot");
    site.must(&["env:deploy", "SITE.test"]);
    let tom = site.person(Role::TeamMember);
    let refused = |words: &[&str], action: &str, rule: &str, said: &str| {
        let done = site
            .console(tom, words)
            .input(DUMP)
            .run()
            .code(3)
            .says(said);
        audited(&site, &done, action, rule);
    };
    refused(
        &["env:undo-content", "SITE.dev"],
        "content-undo",
        "nothing-to-undo",
        "backup:list cr-cannot.dev",
    );
    refused(
        &["env:clone-content", "SITE.test", "dev"],
        "content-clone",
        "source-empty",
        "env:wipe cr-cannot.dev",
    );
    refused(
        &["env:clone-content", "SITE.live", "dev"],
        "content-clone",
        "source-uninitialised",
        "env:list cr-cannot",
    );
    refused(
        &["env:clone-content", "SITE.live", "nowhere"],
        "content-clone",
        "no-such-environment",
        "cr-cannot has no environment 'nowhere'",
    );
    refused(
        &["env:rotate-password", "SITE.dev"],
        "password-rotate",
        "no-database-password",
        "no database on a server",
    );
    refused(
        &["env:deploy", "SITE.test", "--sync-content"],
        "deploy",
        "source-uninitialised",
        "cr-cannot.live",
    );
    let ada = site.person(Role::Administrator);
    let words = [
        "import:database",
        "SITE.live",
        "-",
        "--confirm",
        "cr-cannot.live",
    ];
    let done = site.console(ada, &words).input(DUMP).run().code(3);
    let done = done.says("Deploy to it first: env:deploy cr-cannot.live.");
    audited(&site, &done, "content-import", "target-uninitialised");

    site.must(&["site:set", "SITE", "database", "none", "--yes"]);
    for (words, action) in [
        (&["import:database", "SITE.dev", "-"][..], "content-import"),
        (&["export:database", "SITE.dev"], "content-export"),
        (
            &["backup:create", "SITE.dev", "--element", "database"],
            "backup-create",
        ),
    ] {
        refused(
            words,
            action,
            "no-database-engine",
            "site:set cr-cannot database sqlite",
        );
    }
    for words in [
        &[
            "env:clone-content",
            "SITE.live",
            "dev",
            "--db-only",
            "--files-only",
        ][..],
        &["backup:get", "SITE.dev"],
    ] {
        site.console(tom, words).run().code(2);
    }
    for file in ["/code/index.php", "dump.sql", "/etc/passwd", "../../x"] {
        let words = ["import:files", "SITE.dev", file];
        let done = site.console(tom, &words).run().code(1);
        done.says("is no place to import from");
    }
}

#[test]
fn a_freeze_with_content_holds_all_of_it() {
    let site = filled("cr-frozen");
    let (ada, tom) = (
        site.person(Role::Administrator),
        site.person(Role::TeamMember),
    );
    let words = [
        "lock:enable",
        "SITE.dev",
        "--reason",
        "an audit",
        "--content",
    ];
    site.console(ada, &words).run().ok();
    let before = content(&site, "dev");
    for (words, action) in [
        (
            &["env:clone-content", "SITE.live", "dev"][..],
            "content-clone",
        ),
        (&["env:undo-content", "SITE.dev"], "content-undo"),
        (&["env:wipe", "SITE.dev"], "content-wipe"),
        (&["import:database", "SITE.dev", "-"], "content-import"),
    ] {
        let done = site.console(tom, words).input(DUMP).run().code(3);
        let done = done.says("cr-frozen.dev is frozen by ada").says("an audit");
        audited(&site, &done, action, "environment-frozen");
    }
    assert_eq!(content(&site, "dev"), before);
    site.console(tom, &["export:database", "SITE.dev"])
        .run()
        .ok();
}

#[test]
fn commands_on_content_are_foretold() {
    let site = filled("cr-foretold");
    for (person, action, place, rule) in [
        (
            "dana",
            "content-clone",
            "SITE.dev",
            "source-not-for-developers",
        ),
        ("tom", "content-clone", "SITE.dev", "member-clones-content"),
        (
            "tom",
            "content-clone",
            "SITE.live",
            "upward-is-for-administrators",
        ),
        ("ada", "content-clone", "SITE.live", "name-not-typed"),
        ("tom", "content-wipe", "SITE.test", "member-wipes-content"),
        (
            "tom",
            "content-wipe",
            "SITE.live",
            "live-content-is-for-administrators",
        ),
        (
            "dana",
            "content-export",
            "SITE.live",
            "developer-stays-below-test",
        ),
        ("dana", "backup-create", "SITE.dev", "member-makes-backup"),
        ("vera", "status-view", "SITE.live", "member-views-status"),
        ("vera", "backup-view", "SITE.dev", "viewer-reads-code-only"),
        ("tom", "site-launch", "SITE", "site-administrators-only"),
        ("tom", "password-rotate", "SITE.dev", "no-database-password"),
    ] {
        let words = ["explain", person, action, place, "--field", "rule"];
        assert_eq!(
            site.must(&words).out().trim(),
            rule,
            "{person} {action} {place}"
        );
    }
}
