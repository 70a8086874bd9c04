//! What `explain` foretells is what then happens.

use serde_json::Value;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Clone, Role, Shared, Site};

pub(crate) static SHARED: Shared = Shared::new();

const MEMBERS: [Role; 4] = [
    Role::Administrator,
    Role::TeamMember,
    Role::Developer,
    Role::Viewer,
];

#[test]
fn writes_over_sftp_are_foretold() {
    let site = SHARED.gateway().site("x-write");
    site.must(&["env:deploy", "SITE.test"]);
    site.must(&["env:deploy", "SITE.live"]);
    for (environment, mode) in [("dev", "sftp"), ("dev", "git"), ("live", "")] {
        if !mode.is_empty() {
            site.set_mode(mode);
        }
        for role in MEMBERS {
            let mut raw = Raw::open(&site, site.person(role), environment);
            for path in [
                "/code/new.php",
                "/files/new.txt",
                "/tmp/new",
                "/logs/new",
                "/backups/new",
            ] {
                let place = format!("SITE.{environment}:{path}");
                let (foretold, sentence) = explain(&site, role.person(), "write", &place);
                let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
                let opened = raw.ask(|id| Request::open(id, path, flags));
                let happened = opened.kind == packets::HANDLE;
                assert_eq!(
                    foretold, happened,
                    "{role:?} {environment} {mode} {path}: {opened:?}"
                );
                if !happened {
                    let message = opened.must_be(packets::PERMISSION_DENIED);
                    assert!(message.contains(&sentence), "{sentence:?} / {message:?}");
                }
            }
        }
        let (foretold, _) = explain(
            &site,
            "sten",
            "write",
            &format!("SITE.{environment}:/code/new.php"),
        );
        assert!(!foretold);
    }
    site.sftp(site.person(Role::Stranger), "dev", "ls\n")
        .run()
        .fails();
}

#[test]
fn commands_and_pushes_are_foretold() {
    let site = SHARED.gateway().site("x-command");
    let commands = [
        ("deploy", "SITE.test", &["env:deploy", "SITE.test"][..]),
        ("deploy", "SITE.live", &["env:deploy", "SITE.live"]),
        ("rollback", "SITE.live", &["env:rollback", "SITE.live"]),
        ("commit", "SITE.dev", &["env:commit", "SITE.dev", "-m", "x"]),
        (
            "connection-mode",
            "SITE.live",
            &["connection:set", "SITE.live", "git"],
        ),
        (
            "connection-mode",
            "SITE.dev",
            &["connection:set", "SITE.dev", "git"],
        ),
        ("commit", "SITE.dev", &["env:commit", "SITE.dev", "-m", "x"]),
        (
            "team",
            "SITE",
            &["site:team:add", "SITE", "mallory", "viewer"],
        ),
        ("audit", "SITE", &["audit:list", "--site", "SITE"]),
        ("view", "SITE", &["site:info", "SITE"]),
        ("people", "server", &["user:list"]),
    ];
    for role in [
        Role::Stranger,
        Role::Viewer,
        Role::Developer,
        Role::TeamMember,
        Role::Administrator,
    ] {
        for (action, target, command) in commands {
            let (foretold, sentence) = explain(&site, role.person(), action, target);
            let done = site.console(site.person(role), command).run();
            assert_eq!(
                foretold,
                done.code != Some(3),
                "{role:?} {action} {target}: {done}"
            );
            if !foretold {
                assert!(done.err().contains(&sentence), "{sentence:?}: {done}");
            }
        }
    }
    site.set_mode("git");
    for role in MEMBERS {
        let clone = Clone::new(&site, site.person(role));
        for name in ["refs/heads/topic", "refs/tags/live_9", "refs/heads/main"] {
            let name = if name.ends_with("topic") {
                format!("{name}-{role:?}")
            } else {
                name.to_owned()
            };
            let (foretold, _) = explain(
                &site,
                role.person(),
                "update-ref",
                &format!("SITE.dev:{name}"),
            );
            clone.must(&["pull", "--quiet", "--rebase", "dev", "main"]);
            clone.commit("index.php", &format!("{role:?} {name}\n"));
            let pushed = clone.git(&["push", "dev", &format!("HEAD:{name}")]).run();
            assert_eq!(
                foretold,
                pushed.code == Some(0),
                "{role:?} {name}: {pushed}"
            );
        }
    }
}

#[test]
fn others_are_explained_to_those_who_may_know() {
    let site = SHARED.gateway().site("x-others");
    let words = ["explain", "ada", "write", "SITE.dev:/code/index.php"];
    site.console(site.person(Role::Developer), &words)
        .run()
        .code(3);
    site.console(site.person(Role::Stranger), &words)
        .run()
        .code(3);
    site.console(site.person(Role::Administrator), &words)
        .run()
        .ok()
        .says("permit");
    let own = ["explain", "dana", "deploy", "SITE.live"];
    site.console(site.person(Role::Developer), &own)
        .run()
        .code(0)
        .says("developer-stays-below-test");
    site.command(&["explain", "ada", "fly", "SITE.dev"])
        .run()
        .code(1)
        .says("deploy");
    site.command(&["explain", "ada", "write", "nonsense!"])
        .run()
        .code(1)
        .says("/code/index.php");
}

/// Whether it would be permitted, and the sentence if not.
#[track_caller]
fn explain(site: &Site, person: &str, action: &str, target: &str) -> (bool, String) {
    let explained = site.must(&[
        "explain",
        person,
        action,
        &target.replace("SITE", &site.name),
        "--format",
        "json",
    ]);
    let value: Value = serde_json::from_slice(&explained.stdout).unwrap();
    let sentence = value["sentence"].as_str().expect("a sentence").to_owned();
    (value["decision"] == "permit", sentence)
}
