//! What is refused changes nothing, says why, and is refused by the area really reached.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ::policy::{ConnectionMode, Environment, Role};

use super::Field::{Mode, Nothing, Text};
use super::*;

/// All that can be seen of a tree.
fn picture(path: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let stat = fs::symlink_metadata(&path).unwrap();
        let content = if stat.is_file() {
            format!("{:?}", fs::read(&path).unwrap())
        } else {
            String::new()
        };
        let seen = format!(
            "{:o} {} {} {content}",
            stat.mode(),
            stat.ino(),
            stat.mtime_nsec()
        );
        all.insert(path.display().to_string(), seen);
        if stat.is_dir() {
            all.extend(picture(&path));
        }
    }
    all
}

/// Every way to change something at `path`, beside `other`, which may be changed.
fn changes(
    desk: &mut Desk,
    path: &[u8],
    missing: &[u8],
    other: &[u8],
) -> Vec<(&'static str, Reply)> {
    let mut replies = Vec::new();
    for flags in [
        WRITE,
        WRITE | CREATE,
        WRITE | CREATE | TRUNCATE,
        READ | WRITE,
        READ | CREATE,
        READ | TRUNCATE,
        APPEND,
        CREATE,
        TRUNCATE,
        EXCLUSIVE,
    ] {
        replies.push(("open", desk.open(path, flags)));
        replies.push(("open missing", desk.open(missing, flags | CREATE)));
    }
    replies.push(("setstat", desk.ask(9, &[Text(path), Mode(0o600)])));
    replies.push(("remove", desk.ask(13, &[Text(path)])));
    replies.push(("mkdir", desk.ask(14, &[Text(missing), Nothing])));
    replies.push(("rmdir", desk.ask(15, &[Text(path)])));
    replies.push((
        "rename from",
        desk.ask(18, &[Text(path), Text(b"/tmp/taken")]),
    ));
    replies.push(("rename to", desk.ask(18, &[Text(other), Text(missing)])));
    replies.push((
        "symlink",
        desk.ask(20, &[Text(b"index.php"), Text(missing)]),
    ));
    for (name, one, two) in [
        ("posix-rename@openssh.com", path, &b"/tmp/taken"[..]),
        ("posix-rename@openssh.com", other, path),
        ("hardlink@openssh.com", path, b"/tmp/taken"),
        ("hardlink@openssh.com", other, missing),
    ] {
        replies.push((name, desk.extended(name, vec![Text(one), Text(two)])));
    }
    replies.push((
        "lsetstat",
        desk.extended("lsetstat@openssh.com", vec![Text(path), Mode(0o600)]),
    ));
    if let Reply::Handle(handle) = desk.open(path, READ) {
        replies.push(("fsetstat", desk.ask(10, &[Text(&handle), Mode(0o600)])));
        desk.close(&handle);
    }
    replies
}

#[track_caller]
fn assert_refused(desk: &mut Desk, path: &[u8], missing: &[u8], words: &str) {
    desk.again();
    fs::write(desk.disk("tmp/other"), "other").unwrap();
    let before = picture(&desk.root());
    for (name, reply) in changes(desk, path, missing, b"/tmp/other") {
        let Reply::Status(DENIED, message) = &reply else {
            panic!("{name}: {reply:?}");
        };
        assert!(message.contains(words), "{name}: {message}");
        assert!(message.contains(" [incident 0"), "{name}: {message}");
    }
    assert_eq!(picture(&desk.root()), before);
    assert!(desk.screen.lines.iter().any(|line| line.contains(words)));
}

#[test]
fn code_of_live_and_test_is_never_written() {
    for environment in [Environment::Live, Environment::Test] {
        let mut desk = Desk::new(environment, Role::Administrator);
        assert_refused(&mut desk, b"/code/index.php", b"/code/new", "read-only");
        assert_eq!(desk.get(b"/code/index.php"), b"<?php // 1");
        assert_eq!(desk.put(b"/files/a", b"x"), OK);
        assert_eq!(desk.put(b"/code/wp-content/uploads/b", b"y"), OK);
        assert_eq!(fs::read(desk.disk("files/b")).unwrap(), b"y");
    }
}

#[test]
fn code_of_dev_in_git_mode_is_read_only() {
    let mut desk = Desk::dev();
    desk.set_mode(ConnectionMode::Git);
    assert_refused(
        &mut desk,
        b"/code/index.php",
        b"/code/new",
        "Git mode (set by alice at ",
    );
    desk.set_mode(ConnectionMode::Sftp);
    assert_eq!(desk.put(b"/code/index.php", b"new"), OK);
}

#[test]
fn logs_backups_and_the_root_are_never_written() {
    let mut desk = Desk::new(Environment::Dev, Role::Administrator);
    fs::write(desk.disk("logs/x"), "log").unwrap();
    fs::write(desk.disk("backups/x"), "backup").unwrap();
    assert_refused(&mut desk, b"/logs/x", b"/logs/y", "read-only");
    assert_refused(&mut desk, b"/backups/x", b"/backups/y", "read-only");
    assert_refused(&mut desk, b"/x", b"/y", "was refused");
    assert_eq!(desk.get(b"/logs/x"), b"log");
}

#[test]
fn areas_themselves_stay() {
    let mut desk = Desk::dev();
    let before = picture(&desk.root());
    for path in [
        &b"/code"[..],
        b"/files",
        b"/tmp",
        b"/code/wp-content/uploads",
    ] {
        for kind in [13, 15] {
            assert_eq!(desk.code_of(kind, &[Text(path)]), DENIED);
        }
        assert_eq!(desk.code_of(18, &[Text(path), Text(b"/tmp/x")]), DENIED);
        assert_eq!(desk.code_of(20, &[Text(b"x"), Text(path)]), DENIED);
        assert!(matches!(
            desk.open(path, WRITE | CREATE | TRUNCATE),
            Reply::Status(DENIED, _)
        ));
    }
    assert_eq!(picture(&desk.root()), before);
}

#[test]
fn roles_read_and_write_what_is_theirs() {
    let mut viewer = Desk::new(Environment::Dev, Role::Viewer);
    assert_eq!(viewer.get(b"/code/index.php"), b"<?php // 1");
    assert_eq!(viewer.stat(b"/files"), Err(DENIED));
    assert_eq!(viewer.stat(b"/code/wp-content/uploads"), Err(DENIED));
    assert!(matches!(
        viewer.ask(11, &[Text(b"/files")]),
        Reply::Status(DENIED, _)
    ));
    assert_eq!(viewer.put(b"/code/x", b""), DENIED);

    let mut developer = Desk::new(Environment::Live, Role::Developer);
    fs::write(developer.disk("files/secret"), "s").unwrap();
    assert_eq!(developer.names(b"/").len(), 5);
    assert!(matches!(
        developer.open(b"/files/secret", READ),
        Reply::Status(DENIED, _)
    ));
    assert_eq!(developer.put(b"/files/x", b""), DENIED);
}

#[test]
fn a_lost_role_and_a_lost_key_act_at_once() {
    let mut desk = Desk::dev();
    let writes = desk.handle(b"/code/new", WRITE | CREATE | TRUNCATE);
    let reads = desk.handle(b"/code/index.php", READ);
    let Reply::Handle(lists) = desk.ask(11, &[Text(b"/code")]) else {
        panic!();
    };
    assert_eq!(desk.write(&writes, 0, b"a"), OK);
    desk.state
        .put_member(
            &"acme".parse().unwrap(),
            &"alice".parse().unwrap(),
            Role::Viewer,
        )
        .unwrap();
    assert_eq!(desk.write(&writes, 1, b"b"), DENIED);
    assert_eq!(desk.code_of(10, &[Text(&writes), Mode(0o600)]), DENIED);
    assert_eq!(desk.read(&reads, 0, 5), Reply::Data(b"<?php".to_vec()));
    desk.state.remove_key("SHA256:alice").unwrap();
    assert!(matches!(desk.read(&reads, 0, 5), Reply::Status(DENIED, _)));
    assert!(matches!(
        desk.ask(12, &[Text(&lists)]),
        Reply::Status(DENIED, _)
    ));
    assert_eq!(desk.stat(b"/"), Err(DENIED));
    for handle in [&writes, &reads, &lists] {
        assert_eq!(desk.code_of(8, &[Text(handle)]), DENIED);
        let space = desk.extended("fstatvfs@openssh.com", vec![Text(handle)]);
        assert!(matches!(space, Reply::Status(DENIED, _)), "{space:?}");
    }
    assert_eq!(desk.close(&writes), DENIED);
    assert!(!desk.code("new").exists());
}

#[test]
fn a_mode_switch_kills_open_handles() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/index.php", WRITE | TRUNCATE);
    assert_eq!(desk.write(&handle, 0, b"half"), OK);
    desk.set_mode(ConnectionMode::Git);
    assert_eq!(desk.write(&handle, 4, b"more"), DENIED);
    assert_eq!(desk.close(&handle), DENIED);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
    // What came up is kept, for when the mode is switched back.
    assert_eq!(desk.parts.unfinished().len(), 1);
}

#[test]
fn a_new_release_is_seen_at_once_and_the_old_one_is_not_written() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/index.php", WRITE);
    desk.deploy(2);
    assert_eq!(desk.get(b"/code/index.php"), b"<?php // 2");
    assert_eq!(desk.write(&handle, 0, b"old"), DENIED);
    assert_eq!(desk.put(b"/code/x", b"new"), OK);
    assert!(desk.disk("generations/2/code/x").exists());
    assert!(!desk.code("x").exists());
}

#[test]
fn code_is_empty_before_the_first_deploy() {
    let mut desk = Desk::live();
    settle(&desk.state, &Environment::Test, Some(1), None);
    desk.environment = Environment::Test;
    settle(&desk.state, &Environment::Test, Some(0), None);
    desk.again();
    assert_eq!(desk.names(b"/code"), Vec::<String>::new());
    assert_eq!(desk.stat(b"/code").unwrap().mode & 0o170_000, 0o040_000);
    assert_eq!(desk.stat(b"/code/index.php"), Err(NO_SUCH_FILE));
    assert_eq!(desk.put(b"/code/x", b""), DENIED);
    assert_eq!(desk.names(b"/").len(), 5);
}

#[test]
fn a_flood_of_refusals_is_not_a_flood_on_the_screen() {
    let mut desk = Desk::live();
    for number in 0..500 {
        assert_eq!(desk.put(format!("/code/{number}").as_bytes(), b""), DENIED);
    }
    assert_eq!(desk.screen.lines.len(), 21);
}
