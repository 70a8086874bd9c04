//! Links: what may be made, what is followed, and where uploads lie.

use std::fs;
use std::os::unix::fs::symlink;

use super::Field::{Mode, Text, Times};
use super::*;

#[test]
fn links_inside_an_area_are_made_read_and_followed() {
    let mut desk = Desk::dev();
    fs::create_dir(desk.code("sub")).unwrap();
    assert_eq!(
        desk.code_of(20, &[Text(b"../index.php"), Text(b"/code/sub/link")]),
        OK
    );
    assert_eq!(
        fs::read_link(desk.code("sub/link")).unwrap().to_str(),
        Some("../index.php")
    );
    assert_eq!(
        desk.ask(19, &[Text(b"/code/sub/link")]),
        Reply::Names(vec![(b"../index.php".to_vec(), Seen::default())])
    );
    assert_eq!(desk.get(b"/code/sub/link"), b"<?php // 1");
    assert_eq!(desk.lstat(b"/code/sub/link").unwrap().mode, 0o120_777);
    assert_eq!(
        desk.stat(b"/code/sub/link").unwrap().mode & 0o170_000,
        0o100_000
    );
    let times = vec![Text(b"/code/sub/link"), Times(5, 5)];
    assert!(matches!(
        desk.extended("lsetstat@openssh.com", times),
        Reply::Status(OK, _)
    ));
    assert_eq!(desk.lstat(b"/code/sub/link").unwrap().modified, 5);
    assert_ne!(desk.stat(b"/code/sub/link").unwrap().modified, 5);
    let rights = vec![Text(b"/code/sub/link"), Mode(0o600)];
    assert!(matches!(
        desk.extended("lsetstat@openssh.com", rights),
        Reply::Status(OK, _)
    ));
    assert_ne!(desk.stat(b"/code/index.php").unwrap().mode & 0o777, 0o600);
}

#[test]
fn links_that_lead_out_are_not_made() {
    let mut desk = Desk::dev();
    fs::create_dir_all(desk.code("p/q/r")).unwrap();
    symlink("..", desk.code("p/q/r/up")).unwrap();
    for (content, link) in [
        (&b"/etc/passwd"[..], &b"/code/link"[..]),
        (b"/code/index.php", b"/code/link"),
        (b"../../../../state.db", b"/code/link"),
        (b"..", b"/code/link"),
        (b"../../../../x", b"/code/p/q/r/link"),
        (b"up/../../../..", b"/code/p/q/r/link"),
        (b"none/../../../../../x", b"/code/p/q/r/link"),
        (b"../../code/index.php", b"/files/link"),
        (b"wp-content/uploads/x", b"/code/link"),
        (b".git/config", b"/code/link"),
        (b"../.GIT", b"/code/p/link"),
    ] {
        let reply = desk.ask(20, &[Text(content), Text(link)]);
        let Reply::Status(DENIED, message) = &reply else {
            panic!("{}: {reply:?}", String::from_utf8_lossy(content));
        };
        assert!(message.contains("[incident "), "{message}");
    }
    for link in ["link", "p/link", "p/q/r/link"] {
        assert!(fs::symlink_metadata(desk.code(link)).is_err(), "{link}");
    }
    assert_eq!(
        desk.code_of(
            20,
            &[Text(b"up/../../index.php"), Text(b"/code/p/q/r/fine")]
        ),
        OK
    );
}

#[test]
fn links_that_lead_out_are_not_followed() {
    let mut desk = Desk::dev();
    fs::write(desk.disk("secret"), "secret").unwrap();
    fs::write(desk.disk("logs/log"), "log").unwrap();
    let secret = desk.disk("secret");
    symlink(&secret, desk.code("absolute")).unwrap();
    symlink("../../../secret", desk.code("climbing")).unwrap();
    symlink("../logs", desk.disk("files/logs")).unwrap();
    symlink("../generations/1/code", desk.disk("files/code")).unwrap();
    symlink("/proc/self/root", desk.disk("files/root")).unwrap();
    for path in [
        &b"/code/absolute"[..],
        b"/code/climbing",
        b"/files/logs/log",
        b"/files/code/index.php",
        b"/files/root/etc/passwd",
    ] {
        assert_eq!(desk.stat(path), Err(DENIED), "{path:?}");
        for flags in [READ, WRITE, WRITE | CREATE | TRUNCATE, WRITE | APPEND] {
            assert!(
                matches!(desk.open(path, flags), Reply::Status(DENIED, _)),
                "{path:?}"
            );
        }
        assert_eq!(desk.code_of(9, &[Text(path), Mode(0o600)]), DENIED);
    }
    for path in [&b"/files/logs/x"[..], b"/files/code/x"] {
        assert_eq!(desk.put(path, b"x"), DENIED);
        assert_eq!(
            desk.code_of(14, &[Text(path), super::Field::Nothing]),
            DENIED
        );
        assert_eq!(
            desk.code_of(18, &[Text(b"/files/root"), Text(path)]),
            DENIED
        );
        assert_eq!(desk.code_of(13, &[Text(path)]), DENIED);
    }
    assert_eq!(desk.code_of(13, &[Text(b"/files/logs/log")]), DENIED);
    assert_eq!(fs::read(desk.disk("secret")).unwrap(), b"secret");
    assert_eq!(fs::read(desk.disk("logs/log")).unwrap(), b"log");
    assert!(
        desk.screen
            .lines
            .iter()
            .any(|line| line.contains("through a link"))
    );
    // The link itself may be seen, read and removed.
    assert_eq!(desk.lstat(b"/code/absolute").unwrap().mode, 0o120_777);
    assert_eq!(desk.code_of(13, &[Text(b"/code/absolute")]), OK);
    assert!(desk.disk("secret").exists());
}

#[test]
fn a_link_cannot_be_renamed_to_where_it_leads_out() {
    let mut desk = Desk::dev();
    fs::create_dir(desk.code("a")).unwrap();
    symlink("../index.php", desk.code("a/link")).unwrap();
    assert_eq!(
        desk.code_of(18, &[Text(b"/code/a/link"), Text(b"/code/link")]),
        DENIED
    );
    assert_eq!(
        desk.code_of(18, &[Text(b"/code/a/link"), Text(b"/files/link")]),
        DENIED
    );
    assert!(desk.code("a/link").exists());
    assert_eq!(
        desk.code_of(18, &[Text(b"/code/a/link"), Text(b"/code/a/other")]),
        OK
    );
}

#[test]
fn hard_links_stay_in_their_area() {
    let mut desk = Desk::dev();
    fs::write(desk.disk("files/a"), "x").unwrap();
    symlink("a", desk.disk("files/soft")).unwrap();
    let mut link = |from: &[u8], to: &[u8]| match desk
        .extended("hardlink@openssh.com", vec![Text(from), Text(to)])
    {
        Reply::Status(code, _) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(link(b"/files/a", b"/files/b"), OK);
    assert_eq!(link(b"/files/a", b"/code/b"), DENIED);
    assert_eq!(link(b"/files/a", b"/tmp/b"), DENIED);
    assert_eq!(link(b"/files/soft", b"/files/c"), DENIED);
    assert_eq!(link(b"/files/none", b"/files/c"), NO_SUCH_FILE);
    assert!(!desk.code("b").exists());
    assert_eq!(fs::read(desk.disk("files/b")).unwrap(), b"x");
}

#[test]
fn uploads_show_as_a_link_and_work_as_a_folder() {
    let mut desk = Desk::dev();
    fs::write(desk.disk("files/photo"), "p").unwrap();
    let listing = desk.list(b"/code/wp-content");
    assert_eq!(listing.len(), 1);
    assert_eq!(listing[0].0, b"uploads");
    assert_eq!(listing[0].1.mode, 0o120_777);
    assert_eq!(
        desk.lstat(b"/code/wp-content/uploads").unwrap().mode,
        0o120_777
    );
    assert_eq!(
        desk.stat(b"/code/wp-content/uploads").unwrap().mode & 0o170_000,
        0o040_000
    );
    assert_eq!(
        desk.ask(19, &[Text(b"/code/wp-content/uploads")]),
        Reply::Names(vec![(b"../../files".to_vec(), Seen::default())])
    );
    assert_eq!(desk.names(b"/code/wp-content/uploads"), ["photo"]);
    assert_eq!(desk.get(b"/code/wp-content/uploads/photo"), b"p");
    // It shows where the disk has none, and a folder in its place is never reached.
    fs::remove_file(desk.code("wp-content/uploads")).unwrap();
    fs::create_dir(desk.code("wp-content/uploads")).unwrap();
    assert_eq!(desk.list(b"/code/wp-content")[0].1.mode, 0o120_777);
    assert_eq!(desk.put(b"/code/wp-content/uploads/x", b"x"), OK);
    assert!(desk.disk("files/x").exists());
    assert!(!desk.code("wp-content/uploads/x").exists());
}

#[test]
fn git_does_not_exist() {
    let mut desk = Desk::dev();
    for name in [".git", ".GIT", "git~1", ".git "] {
        fs::create_dir(desk.code(name)).unwrap();
        fs::write(desk.code(name).join("config"), "x").unwrap();
    }
    fs::write(desk.code(".gitignore"), "x").unwrap();
    assert_eq!(
        desk.names(b"/code"),
        [".gitignore", "index.php", "wp-content"]
    );
    for name in [
        &b".git"[..],
        b".GIT/config",
        b"git~1",
        b".git /config",
        b"a/.git.",
    ] {
        let path = [b"/code/", name].concat();
        assert_eq!(desk.stat(&path), Err(NO_SUCH_FILE));
        assert!(matches!(
            desk.open(&path, READ),
            Reply::Status(NO_SUCH_FILE, _)
        ));
        assert_eq!(desk.put(&path, b"x"), DENIED);
        assert_eq!(
            desk.code_of(14, &[Text(&path), super::Field::Nothing]),
            DENIED
        );
        assert_eq!(
            desk.code_of(18, &[Text(b"/code/index.php"), Text(&path)]),
            DENIED
        );
        assert_eq!(desk.code_of(13, &[Text(&path)]), DENIED);
    }
}

#[test]
fn pipes_and_sockets_are_never_opened() {
    let mut desk = Desk::dev();
    let pipe = desk.disk("files/pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(desk.disk("files/socket")).unwrap();
    for path in [&b"/files/pipe"[..], b"/files/socket"] {
        for flags in [
            READ,
            WRITE,
            READ | WRITE,
            WRITE | CREATE | TRUNCATE,
            WRITE | APPEND,
        ] {
            let reply = desk.open(path, flags);
            assert!(matches!(reply, Reply::Status(DENIED, _)), "{reply:?}");
        }
        assert_eq!(desk.code_of(9, &[Text(path), Mode(0o600)]), DENIED);
    }
    assert_eq!(desk.names(b"/files"), ["pipe", "socket"]);
    assert_eq!(desk.code_of(13, &[Text(b"/files/pipe")]), OK);
}
