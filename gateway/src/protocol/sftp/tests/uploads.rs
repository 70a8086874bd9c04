//! Files on their way up: nobody but who writes them sees them before they are whole.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::Field::{Mode, Short, Size, Text};
use super::*;

pub(super) const UP: u32 = WRITE | CREATE | TRUNCATE;

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
    assert_eq!(size_listed(&mut desk, "index.php"), Some(11));
    assert_eq!(desk.get(b"/code/index.php"), b"new content");
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"new content");
    assert_eq!(
        fs::metadata(desk.code("index.php")).unwrap().mode() & 0o777,
        0o640
    );
    assert_eq!(parts(&desk), 0);
}

#[test]
fn a_new_file_is_nowhere_but_for_its_writer() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/new", UP);
    assert_eq!(desk.write(&handle, 0, b"12345"), OK);
    assert!(!desk.code("new").exists());
    assert_eq!(desk.stat(b"/code/new").unwrap().size, 5);
    assert_eq!(size_listed(&mut desk, "new"), Some(5));
    assert_eq!(desk.get(b"/code/new"), b"12345");

    // The same person elsewhere, then somebody else.
    let mut first = desk.besides("alice");
    assert_eq!(desk.get(b"/code/new"), b"12345");
    desk.besides("bob").close();
    assert_eq!(desk.stat(b"/code/new"), Err(NO_SUCH_FILE));
    assert_eq!(size_listed(&mut desk, "new"), None);
    let up = desk.handle(b"/code/index.php", UP);
    assert_eq!(desk.write(&up, 0, b"of bob"), OK);
    desk.swap(&mut first);
    assert_eq!(desk.get(b"/code/index.php"), b"<?php // 1");
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("new")).unwrap(), b"12345");
    desk.swap(&mut first);
    assert_eq!(desk.get(b"/code/new"), b"12345");
    assert_eq!(desk.close(&up), OK);
    assert_eq!(parts(&desk), 0);
}

#[test]
fn the_last_close_of_two_uploads_wins_and_each_is_whole() {
    let mut desk = Desk::dev();
    let one = desk.handle(b"/code/page", UP);
    assert_eq!(desk.write(&one, 0, b"one is longer"), OK);
    let two = desk.handle(b"/code/page", UP);
    assert_eq!(desk.write(&two, 0, b"two"), OK);
    assert_eq!(desk.write(&one, 13, b"!"), OK);
    assert_eq!(desk.close(&two), OK);
    assert_eq!(fs::read(desk.code("page")).unwrap(), b"two");
    assert_eq!(desk.close(&one), OK);
    assert_eq!(fs::read(desk.code("page")).unwrap(), b"one is longer!");
}

/// As sshfs does, whose CLOSE comes late and which gives rights of 0 to what is there.
#[test]
fn what_is_opened_anew_before_its_close_keeps_its_rights() {
    let mut desk = Desk::dev();
    let open = |desk: &mut Desk, mode| {
        let fields = [Text(b"/code/f"), Short(UP), Mode(mode)];
        match desk.ask(3, &fields) {
            Reply::Handle(handle) => handle,
            other => panic!("{other:?}"),
        }
    };
    let first = open(&mut desk, 0o644);
    let second = open(&mut desk, 0);
    assert_eq!(desk.write(&second, 0, b"again"), OK);
    assert_eq!(desk.close(&first), OK);
    assert_eq!(desk.close(&second), OK);
    let mode = fs::metadata(desk.code("f")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let third = open(&mut desk, 0);
    assert_eq!(desk.close(&third), OK);
}

#[test]
fn a_second_handle_joins_and_the_last_close_counts() {
    let mut desk = Desk::dev();
    let one = desk.handle(b"/code/page", UP);
    assert_eq!(desk.write(&one, 0, b"one"), OK);
    let two = desk.handle(b"/code/page", WRITE | CREATE | APPEND);
    assert_eq!(desk.write(&two, 0, b" two"), OK);
    assert_eq!(desk.close(&one), OK);
    assert!(!desk.code("page").exists());
    assert_eq!(desk.close(&two), OK);
    assert_eq!(fs::read(desk.code("page")).unwrap(), b"one two");
}

#[test]
fn what_is_done_to_the_name_is_done_to_the_part() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/index.php", UP);
    assert_eq!(desk.write(&handle, 0, b"newer"), OK);
    assert_eq!(
        desk.code_of(9, &[Text(b"/code/index.php"), Mode(0o600)]),
        OK
    );
    assert_eq!(desk.code_of(9, &[Text(b"/code/index.php"), Size(3)]), OK);
    assert_eq!(desk.get(b"/code/index.php"), b"new");
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
    assert_eq!(
        desk.code_of(14, &[Text(b"/code/index.php"), Field::Nothing]),
        FAILURE
    );
    // As sshfs does it: the rename overtakes the close.
    assert_eq!(
        desk.code_of(18, &[Text(b"/code/index.php"), Text(b"/code/moved.php")]),
        OK
    );
    assert_eq!(desk.stat(b"/code/index.php"), Err(NO_SUCH_FILE));
    assert_eq!(desk.get(b"/code/moved.php"), b"new");
    assert_eq!(fs::read(desk.code("moved.php")).unwrap(), b"<?php // 1");
    assert_eq!(desk.write(&handle, 3, b"!"), OK);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("moved.php")).unwrap(), b"new!");
    assert_eq!(
        fs::metadata(desk.code("moved.php")).unwrap().mode() & 0o777,
        0o600
    );
    assert!(!desk.code("index.php").exists());

    let handle = desk.handle(b"/code/moved.php", UP);
    assert_eq!(desk.write(&handle, 0, b"gone"), OK);
    assert_eq!(desk.code_of(13, &[Text(b"/code/moved.php")]), OK);
    assert_eq!(desk.stat(b"/code/moved.php"), Err(NO_SUCH_FILE));
    assert_eq!(desk.close(&handle), OK);
    assert!(!desk.code("moved.php").exists());
    assert_eq!(parts(&desk), 0);
}

#[test]
fn a_rename_that_overtakes_the_close_replaces_at_the_close() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/.index.swp", WRITE | CREATE | EXCLUSIVE);
    assert_eq!(desk.write(&handle, 0, b"saved"), OK);
    // The plain rename replaces nothing, the other does.
    let names = || vec![Text(b"/code/.index.swp"), Text(b"/code/index.php")];
    assert_eq!(desk.code_of(18, &names()), FAILURE);
    let posix = desk.extended("posix-rename@openssh.com", names());
    assert!(matches!(posix, Reply::Status(OK, _)), "{posix:?}");
    assert_eq!(desk.get(b"/code/index.php"), b"saved");
    assert_eq!(desk.stat(b"/code/.index.swp"), Err(NO_SUCH_FILE));
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"saved");

    // A whole file that is renamed over one on its way takes its name from it.
    let handle = desk.handle(b"/code/index.php", UP);
    assert_eq!(desk.write(&handle, 0, b"late"), OK);
    assert_eq!(desk.put(b"/code/whole", b"whole"), OK);
    let names = vec![Text(b"/code/whole"), Text(b"/code/index.php")];
    let posix = desk.extended("posix-rename@openssh.com", names);
    assert!(matches!(posix, Reply::Status(OK, _)), "{posix:?}");
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"whole");
}

#[test]
fn a_hard_link_that_overtakes_the_close_is_made_at_the_close() {
    let mut desk = Desk::dev();
    fs::create_dir(desk.code("d")).unwrap();
    let handle = desk.handle(b"/code/tmp_obj", WRITE | CREATE | EXCLUSIVE);
    assert_eq!(desk.write(&handle, 0, b"object"), OK);
    let link = |desk: &mut Desk| {
        desk.extended(
            "hardlink@openssh.com",
            vec![Text(b"/code/tmp_obj"), Text(b"/code/d/object")],
        )
    };
    assert!(matches!(link(&mut desk), Reply::Status(OK, _)));
    assert!(matches!(link(&mut desk), Reply::Status(FAILURE, _)));
    assert_eq!(desk.code_of(13, &[Text(b"/code/tmp_obj")]), OK);
    assert_eq!(desk.get(b"/code/d/object"), b"object");
    assert!(!desk.code("d/object").exists());
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("d/object")).unwrap(), b"object");
    assert!(!desk.code("tmp_obj").exists());
}

#[test]
fn a_lock_file_locks_everybody_out() {
    let mut desk = Desk::dev();
    let lock = WRITE | CREATE | EXCLUSIVE;
    let handle = desk.handle(b"/code/index.lock", lock);
    assert!(matches!(
        desk.open(b"/code/index.lock", lock),
        Reply::Status(FAILURE, _)
    ));
    let mut first = desk.besides("bob");
    assert!(matches!(
        desk.open(b"/code/index.lock", lock),
        Reply::Status(FAILURE, _)
    ));
    // Who does not ask whether it is there may write it; then it is no longer free.
    assert_eq!(desk.put(b"/code/index.lock", b"bob"), OK);
    desk.swap(&mut first);
    assert_eq!(desk.write(&handle, 0, b"alice"), OK);
    assert_eq!(desk.close(&handle), FAILURE);
    assert_eq!(fs::read(desk.code("index.lock")).unwrap(), b"bob");
    assert_eq!(parts(&desk), 0);
    assert!(matches!(
        desk.open(b"/code/index.php", lock),
        Reply::Status(FAILURE, _)
    ));
}

#[test]
fn the_new_file_goes_where_its_folder_went() {
    let mut desk = Desk::dev();
    fs::create_dir(desk.code("a")).unwrap();
    fs::write(desk.code("a/f"), "old").unwrap();
    let handle = desk.handle(b"/code/a/f", UP);
    assert_eq!(desk.write(&handle, 0, b"new"), OK);
    let fresh = desk.handle(b"/code/a/g", UP);
    assert_eq!(desk.write(&fresh, 0, b"fresh"), OK);
    assert_eq!(desk.code_of(18, &[Text(b"/code/a"), Text(b"/code/b")]), OK);
    assert_eq!(desk.get(b"/code/b/f"), b"new");
    assert_eq!(desk.get(b"/code/b/g"), b"fresh");
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("b/f")).unwrap(), b"new");
    // A folder that waits for a file is not empty, for who sends it.
    assert_eq!(desk.code_of(13, &[Text(b"/code/b/f")]), OK);
    assert_eq!(desk.code_of(15, &[Text(b"/code/b")]), FAILURE);
    fs::create_dir(desk.code("c")).unwrap();
    let over = [
        Text(b"posix-rename@openssh.com"),
        Text(b"/code/c"),
        Text(b"/code/b"),
    ];
    assert_eq!(desk.code_of(200, &over), FAILURE);
    assert_eq!(desk.close(&fresh), OK);
    assert_eq!(fs::read(desk.code("b/g")).unwrap(), b"fresh");
}

#[test]
fn what_a_link_leads_to_is_replaced_as_a_whole() {
    let mut desk = Desk::dev();
    fs::create_dir(desk.code("d")).unwrap();
    std::os::unix::fs::symlink("../index.php", desk.code("d/link")).unwrap();
    let handle = desk.handle(b"/code/d/link", UP);
    assert_eq!(desk.write(&handle, 0, b"through"), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
    assert_eq!(desk.stat(b"/code/d/link").unwrap().size, 7);
    assert_eq!(desk.get(b"/code/d/link"), b"through");
    assert_eq!(desk.get(b"/code/index.php"), b"through");
    assert_eq!(desk.close(&handle), OK);
    assert!(
        fs::symlink_metadata(desk.code("d/link"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"through");
    // One that leads nowhere yet makes what it names, as on any disk.
    std::os::unix::fs::symlink("later", desk.code("dangling")).unwrap();
    assert_eq!(desk.put(b"/code/dangling", b"made"), OK);
    assert_eq!(fs::read(desk.code("later")).unwrap(), b"made");
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
fn an_edit_in_place_stays_in_place_and_is_known() {
    let mut desk = Desk::dev();
    let inode = |desk: &Desk| {
        let found = fs::metadata(desk.code("index.php")).unwrap();
        (found.dev(), found.ino())
    };
    let before = inode(&desk);
    let one = desk.handle(b"/code/index.php", READ | WRITE);
    let two = desk.handle(b"/code/index.php", WRITE | APPEND);
    assert_eq!(desk.write(&one, 0, b"<!php"), OK);
    assert_eq!(desk.write(&two, 0, b"!"), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<!php // 1!");
    assert!(desk.parts.is_edited(before));
    assert_eq!(desk.close(&one), OK);
    assert!(desk.parts.is_edited(before));
    assert_eq!(desk.close(&two), OK);
    assert!(!desk.parts.is_edited(before));
    assert_eq!(inode(&desk), before);
}

#[test]
fn between_two_areas_only_whole_files_are_moved() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/tmp/page", UP);
    assert_eq!(desk.write(&handle, 0, b"half"), OK);
    let rename = [Text(b"/tmp/page"), Text(b"/code/page")];
    assert_eq!(desk.code_of(18, &rename), FAILURE);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(desk.code_of(18, &rename), OK);
    assert_eq!(fs::read(desk.code("page")).unwrap(), b"half");
}

pub(super) fn parts(desk: &Desk) -> usize {
    fs::read_dir(desk.disk("uploads")).unwrap().count()
}

fn size_listed(desk: &mut Desk, name: &str) -> Option<u64> {
    let listed = desk.list(b"/code");
    let mut found = listed.iter().filter(|(one, _)| one == name.as_bytes());
    let size = found.next().map(|(_, seen)| seen.size);
    assert!(found.next().is_none(), "{name} is listed twice");
    size
}
