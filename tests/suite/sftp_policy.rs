//! What may be changed over SFTP: each write that is allowed somewhere and its forbidden twin, on the
//! wire, on the screen and on the gateway's disk.

use std::time::Duration;

use support::packets::{self, Reply, Request};
use support::raw::Raw;
use support::{Role, Shared, Site, Tree};

pub(crate) static SHARED: Shared = Shared::new();

const PLACES: [(&str, &str); 4] = [("dev", "sftp"), ("dev", "git"), ("test", ""), ("live", "")];
const MEMBERS: [Role; 4] = [
    Role::Administrator,
    Role::TeamMember,
    Role::Developer,
    Role::Viewer,
];
const AREAS: [&str; 5] = ["code", "files", "tmp", "logs", "backups"];

/// The design's table, written down once more, so that a slip in either shows.
fn may_write(role: Role, environment: &str, mode: &str, area: &str) -> bool {
    match area {
        "code" => environment == "dev" && mode == "sftp" && role != Role::Viewer,
        "files" | "tmp" => may_read_content(role, environment),
        _ => false,
    }
}

fn may_read_content(role: Role, environment: &str) -> bool {
    match role {
        Role::Administrator | Role::TeamMember => true,
        Role::Developer => environment == "dev",
        Role::Viewer | Role::Stranger | Role::Attacker => false,
    }
}

#[test]
fn each_role_writes_where_the_table_says_and_nowhere_else() {
    let site = deployed("p-matrix");
    for (environment, mode) in PLACES {
        if !mode.is_empty() {
            site.set_mode(mode);
        }
        for role in MEMBERS {
            let mut raw = Raw::open(&site, site.person(role), environment);
            for area in AREAS {
                let place = format!("{role:?} in /{area} of {environment} {mode}");
                let name = format!("/{area}/by-{role:?}-{environment}-{mode}");
                let before = site.tree(environment, "code");
                let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
                let opened = raw.ask(|id| Request::open(id, &name, flags));
                if may_write(role, environment, mode, area) {
                    assert_eq!(opened.kind, packets::HANDLE, "{place}: {opened:?}");
                    let handle = opened.handle();
                    let reply = raw.ask(|id| Request::write(id, &handle, 0, b"text"));
                    reply.must_be(packets::OK);
                    raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
                        .must_be(packets::OK);
                    assert_eq!(raw.read_file(&name), b"text", "{place}");
                } else {
                    refused(&opened, &place);
                    site.tree(environment, "code").must_equal(&before);
                }
            }
            for area in AREAS {
                let listed = raw.ask(|id| Request::of(packets::OPENDIR, id, format!("/{area}")));
                if area == "code" || may_read_content(role, environment) {
                    assert_eq!(
                        listed.kind,
                        packets::HANDLE,
                        "{role:?} lists {area} of {environment}"
                    );
                } else {
                    refused(&listed, &format!("{role:?} lists /{area} of {environment}"));
                }
            }
        }
    }
}

#[test]
fn each_way_to_change_code_works_in_dev_and_nowhere_else() {
    let site = deployed("p-ways");
    let tom = site.person(Role::TeamMember);
    for environment in ["live", "test"] {
        let before = site.tree(environment, "code");
        let mut raw = Raw::open(&site, tom, environment);
        for (way, change) in WAYS {
            let reply = change(&mut raw);
            let message = refused(&reply, &format!("{way} in {environment}"));
            assert!(message.contains("p-ways"), "which site? {message}");
        }
        site.tree(environment, "code").must_equal(&before);
    }
    site.set_mode("git");
    let before = site.tree("dev", "code");
    let mut raw = Raw::open(&site, tom, "dev");
    for (way, change) in WAYS {
        refused(&change(&mut raw), &format!("{way} in Dev in Git mode"));
    }
    site.tree("dev", "code").must_equal(&before);
    drop(raw);

    site.set_mode("sftp");
    let mut raw = Raw::open(&site, tom, "dev");
    for (way, change) in WAYS {
        let reply = change(&mut raw);
        assert!(
            reply.kind == packets::HANDLE
                || reply.status().is_some_and(|(code, _)| code == packets::OK),
            "{way} in Dev in SFTP mode: {reply:?}"
        );
    }
    let code = site.tree("dev", "code");
    assert!(code.holds("moved.php") && code.holds("renamed.php"));
    // Its handle is still open, so that it is there for who writes it alone.
    assert!(!code.holds("copied.php"));
    assert!(!raw.read_file("/code/copied.php").is_empty());
    assert_eq!(
        code.content("index.php"),
        Some(&b"<?ph"[..]),
        "truncated by its size"
    );
}

type Way = fn(&mut Raw) -> Reply;

/// Each request that changes something, in an order in which all can succeed. A request that names no
/// path changes what a handle stands for.
const WAYS: [(&str, Way); 22] = [
    ("open to write", |raw| {
        open(
            raw,
            "/code/new.php",
            packets::FLAG_WRITE | packets::FLAG_CREATE,
        )
    }),
    ("open to append", |raw| {
        open(
            raw,
            "/code/index.php",
            packets::FLAG_WRITE | packets::FLAG_APPEND,
        )
    }),
    ("open to truncate", |raw| {
        open(
            raw,
            "/code/new.php",
            packets::FLAG_WRITE | packets::FLAG_TRUNCATE,
        )
    }),
    ("open to read and create", |raw| {
        open(
            raw,
            "/code/new-too.php",
            packets::FLAG_READ | packets::FLAG_WRITE | packets::FLAG_CREATE,
        )
    }),
    ("open exclusively", |raw| {
        open(
            raw,
            "/code/new-three.php",
            packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_EXCLUSIVE,
        )
    }),
    ("truncate by setstat", |raw| {
        raw.ask(|id| Request::of(packets::SETSTAT, id, "/code/index.php").size(4))
    }),
    ("chmod by setstat", |raw| {
        raw.ask(|id| Request::of(packets::SETSTAT, id, "/code/index.php").permissions(0o755))
    }),
    ("times by setstat", |raw| {
        raw.ask(|id| {
            Request::of(packets::SETSTAT, id, "/code/index.php")
                .number(packets::ATTRIBUTE_TIMES)
                .number(1)
                .number(2)
        })
    }),
    ("chmod by fsetstat", |raw| {
        let handle = raw.open_file("/code/lib/menu.php", packets::FLAG_READ);
        raw.ask(|id| Request::of(packets::FSETSTAT, id, handle).permissions(0o755))
    }),
    ("chmod by lsetstat", |raw| {
        raw.ask(|id| {
            Request::extended(id, "lsetstat@openssh.com")
                .text("/code/lib/menu.php")
                .permissions(0o644)
        })
    }),
    ("mkdir", |raw| {
        raw.ask(|id| Request::of(packets::MKDIR, id, "/code/made").number(0))
    }),
    ("rmdir", |raw| {
        raw.ask(|id| Request::of(packets::RMDIR, id, "/code/made"))
    }),
    ("symlink", |raw| {
        raw.ask(|id| Request::of(packets::SYMLINK, id, "index.php").text("/code/linked.php"))
    }),
    ("hard link", |raw| {
        raw.ask(|id| {
            Request::extended(id, "hardlink@openssh.com")
                .text("/code/index.php")
                .text("/code/hard.php")
        })
    }),
    ("rename", |raw| {
        raw.ask(|id| {
            Request::of(packets::RENAME, id, "/code/lib/footer.php").text("/code/renamed.php")
        })
    }),
    ("posix-rename", |raw| {
        raw.ask(|id| {
            Request::extended(id, "posix-rename@openssh.com")
                .text("/code/lib/menu.php")
                .text("/code/moved.php")
        })
    }),
    ("rename over another", |raw| {
        raw.ask(|id| {
            Request::extended(id, "posix-rename@openssh.com")
                .text("/code/hard.php")
                .text("/code/linked.php")
        })
    }),
    ("rename a folder", |raw| {
        raw.ask(|id| Request::of(packets::RENAME, id, "/code/theme").text("/code/skin"))
    }),
    ("remove", |raw| {
        raw.ask(|id| Request::of(packets::REMOVE, id, "/code/bin/tool"))
    }),
    ("open by a path with ..", |raw| {
        open(
            raw,
            "/files/../code/dots.php",
            packets::FLAG_WRITE | packets::FLAG_CREATE,
        )
    }),
    ("open by a path with //", |raw| {
        open(
            raw,
            "//code//./slashes.php",
            packets::FLAG_WRITE | packets::FLAG_CREATE,
        )
    }),
    ("copy-data", |raw| {
        let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
        let opened = open(raw, "/code/copied.php", flags);
        if opened.kind != packets::HANDLE {
            return opened;
        }
        let to = opened.handle();
        let from = raw.open_file("/code/index.php", packets::FLAG_READ);
        raw.ask(|id| {
            Request::extended(id, "copy-data")
                .text(from)
                .long(0)
                .long(0)
                .text(to)
                .long(0)
        })
    }),
];

fn open(raw: &mut Raw, path: &str, flags: u32) -> Reply {
    raw.ask(|id| Request::open(id, path, flags))
}

#[test]
fn a_handle_for_reading_writes_nothing() {
    let site = deployed("p-reading");
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let before = site.tree("dev", "code");
    let handle = raw.open_file("/code/index.php", packets::FLAG_READ);
    let other = raw.open_file("/code/lib/menu.php", packets::FLAG_READ);
    let write = raw.ask(|id| Request::write(id, &handle, 0, b"evil"));
    assert!(
        write.status().is_some_and(|(code, _)| code != packets::OK),
        "{write:?}"
    );
    let copy = raw.ask(|id| {
        Request::extended(id, "copy-data")
            .text(&other)
            .long(0)
            .long(0)
            .text(&handle)
            .long(0)
    });
    assert!(
        copy.status().is_some_and(|(code, _)| code != packets::OK),
        "{copy:?}"
    );
    site.tree("dev", "code").must_equal(&before);
}

#[test]
fn an_open_handle_does_not_outlive_the_right_to_write() {
    let site = deployed("p-outlive");
    let dana = site.person(Role::Developer);
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
    let mut raw = Raw::open(&site, dana, "dev");
    let handle = raw.open_file("/code/open.php", flags);
    raw.ask(|id| Request::write(id, &handle, 0, b"before"))
        .must_be(packets::OK);

    // The mode changes under it.
    site.set_mode("git");
    let before = site.tree("dev", "code");
    refused(
        &raw.ask(|id| Request::write(id, &handle, 6, b"after")),
        "write after the mode changed",
    );
    let chmod = |id| Request::of(packets::FSETSTAT, id, &handle).size(0);
    refused(&raw.ask(chmod), "truncate after the mode changed");
    refused(
        &open(&mut raw, "/code/open.php", flags),
        "open after the mode changed",
    );
    site.tree("dev", "code").must_equal(&before);

    // The role changes under it.
    site.set_mode("sftp");
    let handle = raw.open_file("/code/second.php", flags);
    raw.ask(|id| Request::write(id, &handle, 0, b"before"))
        .must_be(packets::OK);
    site.must(&["site:team:role", "SITE", "dana", "viewer"]);
    refused(
        &raw.ask(|id| Request::write(id, &handle, 6, b"after")),
        "write as a viewer",
    );
    assert!(!site.tree("dev", "code").holds("second.php"));
    assert_eq!(raw.read_file("/code/second.php"), b"before");
    assert!(raw.read_file("/code/lib/menu.php").starts_with(b"<?php"));

    // And then there is no role at all.
    site.must(&["site:team:remove", "SITE", "dana"]);
    raw.try_send_bytes(&Request::open(7, "/code/index.php", packets::FLAG_READ).bytes())
        .ok();
    match raw.try_receive(Duration::from_secs(20)) {
        Ok(reply) => assert_ne!(reply.kind, packets::HANDLE, "a stranger opened a file"),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {}
        Err(timeout) => panic!("neither an answer nor an end: {timeout}"),
    }
}

/// Requires a refusal for policy's reasons, told in a sentence with an incident id; returns it.
#[track_caller]
pub(crate) fn refused(reply: &Reply, what: &str) -> String {
    let Some((packets::PERMISSION_DENIED, message)) = reply.status() else {
        panic!("{what} should have been refused: {reply:?}");
    };
    assert!(
        message.contains("[incident "),
        "{what}: no incident id in {message:?}"
    );
    assert!(
        message.split_whitespace().count() > 6,
        "{what}: no sentence in {message:?}"
    );
    message
}

/// A site in SFTP mode whose Test and Live run what it began with.
pub(crate) fn deployed(name: &str) -> Site {
    let site = SHARED.gateway().site(name);
    site.deploy_all();
    for environment in ["test", "live"] {
        assert_eq!(
            site.tree(environment, "code"),
            support::gateway::sample_tree(),
            "{environment}"
        );
    }
    assert!(site.tree("dev", "code") != Tree::default());
    site
}
