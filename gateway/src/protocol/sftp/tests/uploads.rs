//! Files that replace others: the old one stays whole until the new one is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::Field::{Mode, Size, Text};
use super::*;

const UP: u32 = WRITE | CREATE | TRUNCATE;

#[test]
fn a_file_is_replaced_when_it_is_closed() {
    let mut desk = Desk::dev();
    fs::set_permissions(desk.code("index.php"), fs::Permissions::from_mode(0o640)).unwrap();
    let handle = desk.handle(b"/code/index.php", UP);
    assert_eq!(desk.write(&handle, 0, b"new content"), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
    assert_eq!(desk.stat(b"/code/index.php").unwrap().size, 11);
    assert_eq!(desk.lstat(b"/code/index.php").unwrap().size, 11);
    assert_eq!(seen(desk.ask(8, &[Text(&handle)])).unwrap().size, 11);
    let listed = desk
        .list(b"/code")
        .into_iter()
        .find(|(name, _)| name == b"index.php");
    assert_eq!(listed.unwrap().1.size, 11);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"new content");
    assert_eq!(
        fs::metadata(desk.code("index.php")).unwrap().mode() & 0o777,
        0o640
    );
    assert_eq!(fs::read_dir(desk.disk("uploads")).unwrap().count(), 0);
}

#[test]
fn a_client_that_goes_away_leaves_the_old_file() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/index.php", UP);
    assert_eq!(desk.write(&handle, 0, b"half"), OK);
    assert_eq!(fs::read_dir(desk.disk("uploads")).unwrap().count(), 1);
    desk.again();
    assert_eq!(fs::read_dir(desk.disk("uploads")).unwrap().count(), 0);
    assert_eq!(desk.get(b"/code/index.php"), b"<?php // 1");
}

#[test]
fn a_new_file_stays_as_far_as_it_came_and_can_be_resumed() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/new", UP);
    assert_eq!(desk.write(&handle, 0, b"12345"), OK);
    desk.again();
    assert_eq!(desk.get(b"/code/new"), b"12345");
    let handle = desk.handle(b"/code/new", WRITE | CREATE);
    assert_eq!(desk.write(&handle, 5, b"67890"), OK);
    assert_eq!(desk.code_of(10, &[Text(&handle), Size(10)]), OK);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(desk.get(b"/code/new"), b"1234567890");
}

#[test]
fn another_use_of_the_name_comes_after_the_new_file() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/index.php", UP);
    assert_eq!(desk.write(&handle, 0, b"new"), OK);
    assert_eq!(
        desk.code_of(9, &[Text(b"/code/index.php"), Mode(0o600)]),
        OK
    );
    assert_eq!(desk.write(&handle, 3, b"er"), OK);
    assert_eq!(desk.get(b"/code/index.php"), b"newer");
    assert_eq!(
        desk.code_of(18, &[Text(b"/code/index.php"), Text(b"/code/moved.php")]),
        OK
    );
    assert_eq!(desk.write(&handle, 5, b"!"), OK);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("moved.php")).unwrap(), b"newer!");
    assert!(!desk.code("index.php").exists());

    let handle = desk.handle(b"/code/moved.php", UP);
    assert_eq!(desk.code_of(13, &[Text(b"/code/moved.php")]), OK);
    assert_eq!(desk.close(&handle), OK);
    assert!(!desk.code("moved.php").exists());
}

#[test]
fn the_new_file_goes_where_its_folder_went() {
    let mut desk = Desk::dev();
    fs::create_dir(desk.code("a")).unwrap();
    fs::write(desk.code("a/f"), "old").unwrap();
    let handle = desk.handle(b"/code/a/f", UP);
    assert_eq!(desk.write(&handle, 0, b"new"), OK);
    assert_eq!(desk.code_of(18, &[Text(b"/code/a"), Text(b"/code/b")]), OK);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("b/f")).unwrap(), b"new");
}

#[test]
fn a_file_reached_through_a_link_is_written_in_place() {
    let mut desk = Desk::dev();
    std::os::unix::fs::symlink("index.php", desk.code("link")).unwrap();
    assert_eq!(desk.put(b"/code/link", b"through"), OK);
    assert!(
        fs::symlink_metadata(desk.code("link"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"through");
}

#[test]
fn a_replaced_file_shares_nothing_with_its_other_names() {
    let mut desk = Desk::dev();
    fs::hard_link(desk.code("index.php"), desk.disk("kept")).unwrap();
    assert_eq!(desk.put(b"/code/index.php", b"new"), OK);
    assert_eq!(fs::read(desk.disk("kept")).unwrap(), b"<?php // 1");
}

#[test]
fn a_file_that_is_not_to_be_written_is_not_replaced() {
    let mut desk = Desk::dev();
    fs::set_permissions(desk.code("index.php"), fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(desk.put(b"/code/index.php", b"new"), DENIED);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
}

#[test]
fn a_write_that_failed_keeps_the_old_file() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/index.php", UP);
    assert_eq!(desk.write(&handle, 0, b"new"), OK);
    // No file can be that long.
    assert_eq!(desk.write(&handle, i64::MAX as u64, b"x"), FAILURE);
    assert_eq!(desk.close(&handle), FAILURE);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
}

#[test]
fn what_a_crash_left_is_removed_at_the_start() {
    let desk = Desk::dev();
    fs::write(desk.disk("uploads/left"), "x").unwrap();
    fs::create_dir_all(desk.disk("uploads/folder/below")).unwrap();
    assert_eq!(
        Tree::open(&desk.root())
            .unwrap()
            .remove_leftovers()
            .unwrap(),
        2
    );
    assert_eq!(fs::read_dir(desk.disk("uploads")).unwrap().count(), 0);
}
