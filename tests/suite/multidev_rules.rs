//! Who may do what to a Multidev, which way its branch goes, and what `explain` foretells of both.

use support::Role;
use support::clone::hint;

use crate::deploys::rows;
use crate::git_client::has_remote_sentence;
use crate::multidev::{create, held, index, site};

#[test]
fn viewers_and_strangers_make_and_delete_none() {
    let (site, _, _) = site("m-roles");
    create(&site, "feature-x");
    let before = held(&site);
    let viewer = site.person(Role::Viewer);
    for words in [
        &["multidev:create", "SITE.dev", "other"][..],
        &["multidev:delete", "SITE.feature-x", "--yes"],
        &["multidev:restore", "SITE.other"],
        &["multidev:merge-to-dev", "SITE.feature-x"],
        &["multidev:merge-from-dev", "SITE.feature-x"],
        &["env:revert", "SITE.feature-x", "HEAD"],
    ] {
        site.console(viewer, words).run().code(3).says("viewer");
        let row = rows(
            &site,
            &["audit:list", "--site", "SITE", "--user", &viewer.name],
        );
        let row = row.last().expect("a row");
        assert_eq!(row["outcome"], "refused", "{words:?}");
        assert_eq!(row["rule"], "viewer-reads-only", "{words:?}");
        for role in [Role::Stranger, Role::Attacker] {
            site.console(site.person(role), words)
                .run()
                .code(3)
                .says("no site")
                .says_not("feature-x");
        }
    }
    site.console(viewer, &["multidev:list", "SITE"])
        .run()
        .ok()
        .says("feature-x");
    assert_eq!(held(&site), before);
    site.sftp(viewer, "feature-x", "ls /code\n").run().ok();
    site.sftp(site.person(Role::Stranger), "feature-x", "ls /\n")
        .run()
        .fails();
}

#[test]
fn each_branch_goes_over_the_remote_of_its_environment() {
    let (site, dana, clone) = site("m-routes");
    create(&site, "one");
    create(&site, "two");
    clone.must(&["remote", "add", "one", &site.url("one")]);
    clone.must(&["remote", "add", "two", &site.url("two")]);
    clone.commit("index.php", "<?php echo 'wrong way';\n");
    let before = held(&site);
    for (remote, branch) in [
        ("one", "main"),
        ("one", "two"),
        ("two", "one"),
        ("dev", "one"),
        ("test", "one"),
        ("live", "one"),
    ] {
        let refused = clone
            .git(&["push", remote, &format!("HEAD:{branch}")])
            .run()
            .fails();
        has_remote_sentence(&refused);
    }
    for (remote, branch) in [("one", "one"), ("dev", "one"), ("one", "main")] {
        let refused = clone
            .git(&["push", remote, &format!(":refs/heads/{branch}")])
            .run()
            .fails();
        has_remote_sentence(&refused);
    }
    assert_eq!(held(&site), before);
    // A branch that no environment runs is stored over any of them.
    clone.must(&["push", "--quiet", "one", "HEAD:topic"]);
    // The hint of a wrong push is the right one.
    let refused = clone.git(&["push", "one", "HEAD:two"]).run().fails();
    clone.paste(&hint(&refused, "git push")).run().ok();
    assert!(index(&site, "two").contains("wrong way"));
    assert!(index(&site, "one").contains("first"));

    // In SFTP mode it takes none, and says who set it; the other goes on.
    site.console(&dana, &["connection:set", "SITE.one", "sftp"])
        .run()
        .ok();
    let refused = clone.git(&["push", "one", "HEAD:one"]).run().fails();
    has_remote_sentence(&refused);
    let refused = refused.says("SFTP mode").says("dana");
    assert!(index(&site, "one").contains("first"));
    clone.paste(&hint(&refused, "ssh -p")).run().ok();
    clone.must(&["push", "--quiet", "one", "HEAD:one"]);
    assert!(index(&site, "one").contains("wrong way"));
    site.console(&dana, &["env:deploy", "SITE.one"])
        .run()
        .code(3);
}

#[test]
fn it_is_foretold() {
    let (site, _, _) = site("m-foretold");
    create(&site, "there");
    let explain = |person: Role, action: &str, target: &str| {
        let words = [
            "explain",
            person.person(),
            action,
            target,
            "--field",
            "rule",
        ];
        site.must(&words).out().trim().to_owned()
    };
    for (person, action, target, rule) in [
        (
            Role::Developer,
            "multidev-create",
            "SITE.new",
            "member-makes-multidev",
        ),
        (
            Role::Developer,
            "multidev-create",
            "SITE.there",
            "environment-exists",
        ),
        (
            Role::Viewer,
            "multidev-create",
            "SITE.new",
            "viewer-reads-only",
        ),
        (
            Role::Stranger,
            "multidev-create",
            "SITE.new",
            "no-such-site",
        ),
        (
            Role::Developer,
            "multidev-delete",
            "SITE.there",
            "member-deletes-multidev",
        ),
        (
            Role::Administrator,
            "multidev-delete",
            "SITE.live",
            "not-a-multidev",
        ),
        (
            Role::Developer,
            "multidev-restore",
            "SITE.new",
            "member-restores-multidev",
        ),
        (Role::Developer, "merge", "SITE.dev", "member-merges"),
        (
            Role::Developer,
            "merge",
            "SITE.live",
            "only-where-code-enters",
        ),
        (Role::Developer, "revert", "SITE.there", "member-reverts"),
        (
            Role::Developer,
            "update-ref",
            "SITE.there:refs/heads/there",
            "git-mode-push",
        ),
        (
            Role::Developer,
            "update-ref",
            "SITE.dev:refs/heads/there",
            "branch-of-another-environment",
        ),
        (
            Role::Developer,
            "write",
            "SITE.there:/code/x",
            "git-mode-code-is-read-only",
        ),
    ] {
        let found = explain(person, action, target);
        assert_eq!(found, rule, "{person:?} {action} {target}");
    }
}
