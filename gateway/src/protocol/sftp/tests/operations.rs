//! Each operation, where it is allowed.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::Field::{Long, Mode, Nothing, Short, Size, Text, Times};
use super::*;

#[test]
fn the_version_names_what_works() {
    let mut desk = Desk::dev();
    desk.send(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).unwrap();
    let replies = desk.replies();
    let [(3, Reply::Version(extensions))] = replies.as_slice() else {
        panic!("{replies:?}");
    };
    assert_eq!(extensions.len(), 14);
    let limits = desk.extended("limits@openssh.com", vec![]);
    assert_eq!(
        limits,
        Reply::Extended(vec![262_144, 261_120, 261_120, 1024])
    );
    let other = desk.extended("check-everything", vec![]);
    assert!(matches!(other, Reply::Status(UNSUPPORTED, _)));
}

#[test]
fn the_root_holds_the_areas() {
    let mut desk = Desk::dev();
    assert_eq!(
        desk.names(b"/"),
        ["backups", "code", "files", "logs", "tmp"]
    );
    assert_eq!(desk.names(b""), ["backups", "code", "files", "logs", "tmp"]);
    assert_eq!(desk.stat(b"/").unwrap().mode & 0o170_000, 0o040_000);
    assert_eq!(desk.lstat(b"/code").unwrap().mode & 0o170_000, 0o040_000);
    assert_eq!(desk.stat(b"/uploads"), Err(NO_SUCH_FILE));
    assert_eq!(desk.stat(b"/generations"), Err(NO_SUCH_FILE));
}

#[test]
fn paths_are_made_whole_by_name() {
    let mut desk = Desk::dev();
    for (path, whole) in [
        (&b"."[..], &b"/"[..]),
        (b"", b"/"),
        (b"code/../files/./x", b"/files/x"),
        (b"/../../etc", b"/etc"),
        (b"/files/\xff\xfe", b"/files/\xff\xfe"),
    ] {
        let reply = desk.ask(16, &[Text(path)]);
        assert_eq!(reply, Reply::Names(vec![(whole.to_vec(), Seen::default())]));
    }
    for (path, whole) in [
        (&b"~"[..], &b"/"[..]),
        (b"~/code", b"/code"),
        (b"tmp", b"/tmp"),
    ] {
        let reply = desk.extended("expand-path@openssh.com", vec![Text(path)]);
        assert_eq!(reply, Reply::Names(vec![(whole.to_vec(), Seen::default())]));
    }
    let home = desk.extended("home-directory", vec![Text(b"alice")]);
    assert_eq!(home, Reply::Names(vec![(b"/".to_vec(), Seen::default())]));
    let other = desk.extended("expand-path@openssh.com", vec![Text(b"~bob/x")]);
    assert!(matches!(other, Reply::Status(FAILURE, _)));
}

#[test]
fn files_go_up_and_come_down_exactly() {
    let mut desk = Desk::dev();
    let content: Vec<u8> = (0..700_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let handle = desk.handle(b"/code/big", WRITE | CREATE | TRUNCATE);
    for (number, part) in content.chunks(200_000).enumerate() {
        assert_eq!(desk.write(&handle, number as u64 * 200_000, part), OK);
    }
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("big")).unwrap(), content);
    assert_eq!(desk.get(b"/code/big"), content);
    assert_eq!(desk.put(b"/files/empty", b""), OK);
    assert_eq!(desk.get(b"/files/empty"), b"");
}

#[test]
fn reads_end_where_the_file_ends_even_if_it_grows() {
    let mut desk = Desk::dev();
    fs::write(desk.disk("files/log"), "0123456789").unwrap();
    let handle = desk.handle(b"/files/log", READ);
    assert_eq!(desk.read(&handle, 4, 3), Reply::Data(b"456".to_vec()));
    assert_eq!(desk.read(&handle, 8, 100), Reply::Data(b"89".to_vec()));
    assert!(matches!(desk.read(&handle, 10, 100), Reply::Status(EOF, _)));
    assert!(matches!(
        desk.read(&handle, u64::MAX, 1),
        Reply::Status(EOF | FAILURE, _)
    ));
    fs::write(desk.disk("files/log"), [b'x'; 5000]).unwrap();
    assert_eq!(desk.read(&handle, 0, 9999), Reply::Data(vec![b'x'; 5000]));
    assert_eq!(desk.read(&handle, 0, 0), Reply::Data(vec![]));
}

#[test]
fn names_are_bytes() {
    let mut desk = Desk::dev();
    assert_eq!(desk.put(b"/files/caf\xe9 \xff\n", b"x"), OK);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9 \xff\n");
    assert!(desk.disk("files").join(name).exists());
    assert_eq!(desk.list(b"/files")[0].0, b"caf\xe9 \xff\n");
    assert_eq!(desk.get(b"/files/caf\xe9 \xff\n"), b"x");
}

#[test]
fn open_flags_mean_what_they_say() {
    let mut desk = Desk::dev();
    fs::write(desk.disk("files/a"), "old").unwrap();
    assert!(matches!(
        desk.open(b"/files/b", WRITE),
        Reply::Status(NO_SUCH_FILE, _)
    ));
    assert!(matches!(
        desk.open(b"/files/b", WRITE | TRUNCATE),
        Reply::Status(NO_SUCH_FILE, _)
    ));
    assert!(matches!(
        desk.open(b"/files/a", WRITE | CREATE | EXCLUSIVE),
        Reply::Status(FAILURE, _)
    ));
    assert!(matches!(
        desk.open(b"/files/a", WRITE | CREATE | TRUNCATE | EXCLUSIVE),
        Reply::Status(FAILURE, _)
    ));
    assert!(matches!(
        desk.open(b"/files", WRITE | CREATE),
        Reply::Status(DENIED, _)
    ));
    assert!(matches!(
        desk.open(b"/files", READ),
        Reply::Status(FAILURE, _)
    ));
    let handle = desk.handle(b"/files/a", WRITE | APPEND);
    assert_eq!(desk.write(&handle, 0, b"+1"), OK);
    assert_eq!(desk.write(&handle, 0, b"+2"), OK);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.disk("files/a")).unwrap(), b"old+1+2");
    let handle = desk.handle(b"/files/a", READ | WRITE);
    assert_eq!(desk.write(&handle, 0, b"new"), OK);
    assert_eq!(desk.read(&handle, 0, 99), Reply::Data(b"new+1+2".to_vec()));
    assert_eq!(desk.close(&handle), OK);
    let only_to_write = desk.handle(b"/files/a", WRITE);
    assert!(matches!(
        desk.read(&only_to_write, 0, 1),
        Reply::Status(FAILURE, _)
    ));
    let only_to_read = desk.handle(b"/files/a", READ);
    assert_eq!(desk.write(&only_to_read, 0, b"x"), FAILURE);
}

#[test]
fn folders_are_made_listed_and_removed() {
    let mut desk = Desk::dev();
    assert_eq!(desk.code_of(14, &[Text(b"/code/a"), Mode(0o750)]), OK);
    assert_eq!(fs::metadata(desk.code("a")).unwrap().mode() & 0o777, 0o750);
    assert_eq!(desk.code_of(14, &[Text(b"/code/a"), Nothing]), FAILURE);
    assert_eq!(desk.code_of(14, &[Text(b"/code"), Nothing]), FAILURE);
    assert_eq!(desk.put(b"/code/a/b", b"1"), OK);
    assert_eq!(desk.names(b"/code/a"), ["b"]);
    assert_eq!(desk.code_of(15, &[Text(b"/code/a")]), FAILURE);
    assert_eq!(desk.code_of(13, &[Text(b"/code/a")]), FAILURE);
    assert_eq!(desk.code_of(13, &[Text(b"/code/a/b")]), OK);
    assert_eq!(desk.code_of(13, &[Text(b"/code/a/b")]), NO_SUCH_FILE);
    assert_eq!(desk.code_of(15, &[Text(b"/code/a")]), OK);
    assert!(!desk.code("a").exists());
}

#[test]
fn a_large_folder_comes_in_portions() {
    let mut desk = Desk::dev();
    fs::create_dir(desk.disk("files/many")).unwrap();
    for number in 0..3000 {
        fs::write(desk.disk(&format!("files/many/{number:05}")), "").unwrap();
    }
    let names = desk.names(b"/files/many");
    assert_eq!(names.len(), 3000);
    assert_eq!(names[2999], "02999");
}

#[test]
fn attributes_are_set_as_far_as_they_mean_something() {
    let mut desk = Desk::dev();
    fs::write(desk.disk("files/a"), "0123456789").unwrap();
    let path = Text(b"/files/a");
    assert_eq!(desk.code_of(9, &[path, Mode(0o107_755)]), OK);
    assert_eq!(
        fs::metadata(desk.disk("files/a")).unwrap().mode() & 0o7777,
        0o755
    );
    assert_eq!(desk.code_of(9, &[Text(b"/files/a"), Times(1000, 2000)]), OK);
    assert_eq!(desk.stat(b"/files/a").unwrap().modified, 2000);
    assert_eq!(desk.code_of(9, &[Text(b"/files/a"), Size(3)]), OK);
    assert_eq!(fs::read(desk.disk("files/a")).unwrap(), b"012");
    // Flags 2: an owner, which is accepted and changes nothing.
    let owner = [Text(b"/files/a"), Short(2), Short(12345), Short(12345)];
    assert_eq!(desk.code_of(9, &owner), OK);
    let before = fs::metadata(desk.disk("files/a")).unwrap().uid();
    assert_ne!(before, 12345);
    assert_eq!(desk.code_of(9, &[Text(b"/files"), Mode(0)]), OK);
    assert_ne!(fs::metadata(desk.disk("files")).unwrap().mode() & 0o777, 0);
    assert_eq!(
        desk.code_of(9, &[Text(b"/files/none"), Mode(0o600)]),
        NO_SUCH_FILE
    );
    fs::create_dir(desk.disk("files/d")).unwrap();
    assert_eq!(desk.code_of(9, &[Text(b"/files/d"), Mode(0o42_700)]), OK);
    assert_eq!(
        fs::metadata(desk.disk("files/d")).unwrap().mode() & 0o7777,
        0o700
    );

    let handle = desk.handle(b"/files/a", WRITE);
    assert_eq!(desk.code_of(10, &[Text(&handle), Times(1, 77)]), OK);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(desk.stat(b"/files/a").unwrap().modified, 77);
    let handle = desk.handle(b"/files/a", READ);
    assert_eq!(desk.code_of(10, &[Text(&handle), Mode(0o640)]), OK);
    assert_eq!(seen(desk.ask(8, &[Text(&handle)])).unwrap().mode, 0o100_640);
}

#[test]
fn a_file_that_may_not_be_read_can_still_be_given_rights() {
    let mut desk = Desk::dev();
    fs::write(desk.disk("files/a"), "x").unwrap();
    fs::set_permissions(desk.disk("files/a"), fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(desk.code_of(9, &[Text(b"/files/a"), Mode(0o644)]), OK);
    assert_eq!(desk.get(b"/files/a"), b"x");
}

#[test]
fn renames_keep_to_their_kind() {
    let mut desk = Desk::dev();
    fs::write(desk.disk("files/a"), "a").unwrap();
    fs::write(desk.disk("files/b"), "b").unwrap();
    assert_eq!(
        desk.code_of(18, &[Text(b"/files/a"), Text(b"/files/b")]),
        FAILURE
    );
    assert_eq!(
        desk.code_of(18, &[Text(b"/files/a"), Text(b"/files/c")]),
        OK
    );
    assert_eq!(fs::read(desk.disk("files/b")).unwrap(), b"b");
    let posix = desk.extended(
        "posix-rename@openssh.com",
        vec![Text(b"/files/c"), Text(b"/files/b")],
    );
    assert!(matches!(posix, Reply::Status(OK, _)));
    assert_eq!(fs::read(desk.disk("files/b")).unwrap(), b"a");
    assert_eq!(
        desk.code_of(18, &[Text(b"/files/c"), Text(b"/files/d")]),
        NO_SUCH_FILE
    );
    assert_eq!(
        desk.code_of(18, &[Text(b"/files"), Text(b"/tmp/x")]),
        DENIED
    );
}

#[test]
fn moves_between_areas_leave_no_file_in_both() {
    let mut desk = Desk::dev();
    fs::create_dir_all(desk.disk("tmp/theme/css")).unwrap();
    fs::write(desk.disk("tmp/theme/css/a.css"), "css").unwrap();
    fs::set_permissions(
        desk.disk("tmp/theme/css/a.css"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    std::os::unix::fs::symlink("css/a.css", desk.disk("tmp/theme/link")).unwrap();
    let old = fs::metadata(desk.disk("tmp/theme/css/a.css")).unwrap();
    assert_eq!(
        desk.code_of(18, &[Text(b"/tmp/theme"), Text(b"/code/theme")]),
        OK
    );
    assert!(!desk.disk("tmp/theme").exists());
    let new = fs::metadata(desk.code("theme/css/a.css")).unwrap();
    assert_ne!(new.ino(), old.ino());
    assert_eq!(new.mode() & 0o777, 0o640);
    assert_eq!(new.modified().unwrap(), old.modified().unwrap());
    assert_eq!(fs::read(desk.code("theme/link")).unwrap(), b"css");
    fs::write(desk.disk("tmp/f"), "1").unwrap();
    fs::write(desk.code("f"), "2").unwrap();
    assert_eq!(
        desk.code_of(18, &[Text(b"/tmp/f"), Text(b"/code/f")]),
        FAILURE
    );
    let posix = desk.extended(
        "posix-rename@openssh.com",
        vec![Text(b"/tmp/f"), Text(b"/code/f")],
    );
    assert!(matches!(posix, Reply::Status(OK, _)));
    assert_eq!(fs::read(desk.code("f")).unwrap(), b"1");
    assert_eq!(fs::read_dir(desk.disk("uploads")).unwrap().count(), 0);
}

#[test]
fn space_sync_and_copies() {
    let mut desk = Desk::dev();
    for path in [&b"/"[..], b"/code", b"/files"] {
        let Reply::Extended(space) = desk.extended("statvfs@openssh.com", vec![Text(path)]) else {
            panic!();
        };
        assert_eq!(space.len(), 11);
        assert!(space[2] > 0);
    }
    fs::write(desk.disk("files/a"), "0123456789").unwrap();
    let from = desk.handle(b"/files/a", READ);
    let to = desk.handle(b"/files/b", WRITE | CREATE | TRUNCATE);
    let copy =
        |offset, length, at| vec![Text(&from), Long(offset), Long(length), Text(&to), Long(at)];
    for fields in [copy(0, 0, 0), copy(2, 3, 10)] {
        assert!(matches!(
            desk.extended("copy-data", fields),
            Reply::Status(OK, _)
        ));
    }
    let space = desk.extended("fstatvfs@openssh.com", vec![Text(&to)]);
    assert!(matches!(space, Reply::Extended(_)));
    let sync = desk.extended("fsync@openssh.com", vec![Text(&to)]);
    assert!(matches!(sync, Reply::Status(OK, _)));
    assert_eq!(desk.close(&to), OK);
    assert_eq!(fs::read(desk.disk("files/b")).unwrap(), b"0123456789234");
    let same = desk.handle(b"/files/a", WRITE);
    let onto_itself = vec![Text(&from), Long(0), Long(0), Text(&same), Long(10)];
    assert!(matches!(
        desk.extended("copy-data", onto_itself),
        Reply::Status(FAILURE, _)
    ));
    assert_eq!(fs::read(desk.disk("files/a")).unwrap(), b"0123456789");
}

#[test]
fn a_handle_is_of_no_use_after_its_close() {
    let mut desk = Desk::dev();
    let first = desk.handle(b"/code/index.php", READ);
    assert_eq!(desk.close(&first), OK);
    let second = desk.handle(b"/code/index.php", READ);
    assert_ne!(first, second);
    for handle in [&first[..], b"", b"xx", &[255; 4], &[0; 4], &[0; 8]] {
        assert!(matches!(desk.read(handle, 0, 1), Reply::Status(FAILURE, _)));
        assert_eq!(desk.write(handle, 0, b"x"), FAILURE);
        assert_eq!(desk.close(handle), FAILURE);
        assert!(matches!(
            desk.ask(8, &[Text(handle)]),
            Reply::Status(FAILURE, _)
        ));
        assert!(matches!(
            desk.ask(12, &[Text(handle)]),
            Reply::Status(FAILURE, _)
        ));
    }
}

#[test]
fn there_is_an_end_to_open_handles() {
    let mut desk = Desk::dev();
    let handles: Vec<_> = (0..1024)
        .map(|_| desk.handle(b"/code/index.php", READ))
        .collect();
    assert!(matches!(
        desk.open(b"/code/index.php", READ),
        Reply::Status(FAILURE, _)
    ));
    assert!(matches!(
        desk.open(b"/code/new", WRITE | CREATE),
        Reply::Status(FAILURE, _)
    ));
    assert!(matches!(
        desk.ask(11, &[Text(b"/code")]),
        Reply::Status(FAILURE, _)
    ));
    assert!(!desk.code("new").exists());
    assert_eq!(desk.close(&handles[500]), OK);
    desk.handle(b"/code/index.php", READ);
}
