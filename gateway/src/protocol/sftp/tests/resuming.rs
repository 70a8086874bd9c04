//! Uploads that break off: the old file stays, the part is kept, and its person goes on with it.

use std::fs;
use std::time::Duration;

use super::Field::{Size, Text};
use super::uploads::{UP, parts};
use super::*;

#[test]
fn a_client_that_goes_away_leaves_the_old_file_and_its_part() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/index.php", UP);
    assert_eq!(desk.write(&handle, 0, b"half"), OK);
    desk.again();
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
    assert_eq!(desk.stat(b"/code/index.php").unwrap().size, 4);
    let told = desk.parts.unfinished();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].person.as_str(), "alice");
    assert_eq!(told[0].path.to_string(), "index.php");
    assert_eq!(told[0].size, 4);
    assert!(told[0].idle_since.is_some());

    // Others see the old one, and may replace it meanwhile.
    let mut alice = desk.besides("bob");
    assert_eq!(desk.get(b"/code/index.php"), b"<?php // 1");
    assert_eq!(desk.put(b"/code/index.php", b"of bob"), OK);
    desk.swap(&mut alice);
    let handle = desk.handle(b"/code/index.php", WRITE | CREATE);
    assert_eq!(desk.write(&handle, 4, b" and half"), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"of bob");
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"half and half");
    assert_eq!(parts(&desk), 0);
    assert!(desk.parts.unfinished().is_empty());
}

#[test]
fn a_part_is_appended_to_cut_and_begun_anew() {
    let mut desk = Desk::dev();
    let broken = |desk: &mut Desk| {
        let handle = desk.handle(b"/code/new", UP);
        assert_eq!(desk.write(&handle, 0, b"12345"), OK);
        desk.again();
        assert!(!desk.code("new").exists());
    };
    broken(&mut desk);
    let handle = desk.handle(b"/code/new", WRITE | CREATE | APPEND);
    assert_eq!(desk.write(&handle, 0, b"678"), OK);
    assert_eq!(desk.code_of(10, &[Text(&handle), Size(7)]), OK);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("new")).unwrap(), b"1234567");
    assert_eq!(desk.code_of(13, &[Text(b"/code/new")]), OK);

    broken(&mut desk);
    assert_eq!(desk.put(b"/code/new", b"anew"), OK);
    assert_eq!(fs::read(desk.code("new")).unwrap(), b"anew");
    assert_eq!(parts(&desk), 0);

    let handle = desk.handle(b"/code/new", UP);
    assert_eq!(desk.write(&handle, 0, b"12345"), OK);
    desk.again();
    assert_eq!(desk.code_of(13, &[Text(b"/code/new")]), OK);
    assert_eq!(desk.stat(b"/code/new"), Err(NO_SUCH_FILE));
    assert!(!desk.code("new").exists());
    assert_eq!(parts(&desk), 0);
}

#[test]
fn an_upload_of_nothing_leaves_nothing() {
    let mut desk = Desk::dev();
    let _ = desk.handle(b"/code/index.php", UP);
    assert_eq!(parts(&desk), 1);
    desk.again();
    assert_eq!(parts(&desk), 0);
    assert_eq!(desk.get(b"/code/index.php"), b"<?php // 1");
}

#[test]
fn a_line_that_is_dead_unnoticed_does_not_hold_a_resumed_upload_back() {
    let mut desk = Desk::dev();
    let dead = desk.handle(b"/code/big", UP);
    assert_eq!(desk.write(&dead, 0, b"half"), OK);
    let first = desk.besides("alice");
    let handle = desk.handle(b"/code/big", WRITE);
    assert_eq!(desk.write(&handle, 4, b" and half"), OK);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(fs::read(desk.code("big")).unwrap(), b"half and half");
    first.close();
    assert_eq!(fs::read(desk.code("big")).unwrap(), b"half and half");
    assert_eq!(parts(&desk), 0);
}

#[test]
fn of_two_that_write_one_part_the_loss_of_one_is_told_to_the_other() {
    let mut desk = Desk::dev();
    let one = desk.handle(b"/code/big", UP);
    assert_eq!(desk.write(&one, 0, b"1"), OK);
    let mut first = desk.besides("alice");
    let two = desk.handle(b"/code/big", WRITE);
    desk.swap(&mut first);
    assert_eq!(desk.write(&one, 1, b"2"), OK);
    desk.swap(&mut first);
    first.close();
    assert_eq!(desk.close(&two), FAILURE);
    assert!(
        desk.screen.lines[0].contains("not whole"),
        "{:?}",
        desk.screen.lines
    );
    assert!(!desk.code("big").exists());
    let two = desk.handle(b"/code/big", WRITE);
    assert_eq!(desk.close(&two), OK);
    assert_eq!(fs::read(desk.code("big")).unwrap(), b"12");
}

#[test]
fn a_write_that_failed_keeps_the_old_file_and_the_part() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/index.php", UP);
    assert_eq!(desk.write(&handle, 0, b"new"), OK);
    // No file can be that long.
    assert_eq!(desk.write(&handle, i64::MAX as u64, b"x"), FAILURE);
    assert_eq!(desk.close(&handle), FAILURE);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
    assert_eq!(desk.get(b"/code/index.php"), b"new");
}

#[test]
fn a_large_part_survives_a_gateway_that_is_killed() {
    let mut desk = Desk::dev();
    let portion = vec![7; 200_000];
    let handle = desk.handle(b"/files/big \xff\n", UP);
    let small = desk.handle(b"/files/small", UP);
    assert_eq!(desk.write(&small, 0, &portion), OK);
    for number in 0..6 {
        assert_eq!(desk.write(&handle, number * 200_000, &portion), OK);
    }
    fs::write(desk.disk("uploads/left"), "x").unwrap();
    fs::create_dir_all(desk.disk("uploads/folder/below")).unwrap();
    desk.killed();
    assert_eq!(parts(&desk), 2, "the part and its record");
    assert_eq!(desk.stat(b"/files/small"), Err(NO_SUCH_FILE));
    assert_eq!(desk.stat(b"/files/big \xff\n").unwrap().size, 1_200_000);
    let handle = desk.handle(b"/files/big \xff\n", WRITE | APPEND);
    assert_eq!(desk.write(&handle, 0, b"end"), OK);
    assert_eq!(desk.close(&handle), OK);
    assert_eq!(desk.get(b"/files/big \xff\n").len(), 1_200_003);
    assert_eq!(parts(&desk), 0);
}

#[test]
fn what_nobody_resumes_goes_in_time() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/new", UP);
    assert_eq!(desk.write(&handle, 0, b"12345"), OK);
    desk.again();
    let open = desk.handle(b"/code/open", UP);
    assert_eq!(desk.write(&open, 0, b"12345"), OK);
    assert_eq!(desk.parts.expire(Duration::from_secs(3600)), 0);
    assert_eq!(desk.parts.expire(Duration::ZERO), 1);
    assert_eq!(desk.stat(b"/code/new"), Err(NO_SUCH_FILE));
    assert_eq!(desk.close(&open), OK);
    assert_eq!(parts(&desk), 0);

    for number in 0..105 {
        let handle = desk.handle(format!("/files/{number}").as_bytes(), UP);
        assert_eq!(desk.write(&handle, 0, b"1"), OK);
    }
    desk.again();
    assert_eq!(desk.parts.unfinished().len(), 100);
}

#[test]
fn a_record_that_is_not_whole_is_worth_nothing() {
    let mut desk = Desk::dev();
    let records = [
        ("a", &b"alice\nfiles\nx"[..]),
        ("b", b"alice\nroot\nx\0"),
        ("c", b"alice\nfiles\n\0"),
        ("d", b"..\nfiles\nx\0"),
        ("e", b"alice\nfiles\n../../x\0"),
    ];
    for (name, record) in records {
        fs::write(desk.disk(&format!("uploads/{name}")), "content").unwrap();
        fs::write(desk.disk(&format!("uploads/{name}.part")), record).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", desk.disk("uploads/f")).unwrap();
    fs::write(desk.disk("uploads/f.part"), b"alice\nfiles\nf\0").unwrap();
    desk.killed();
    let told: Vec<String> = desk
        .parts
        .unfinished()
        .iter()
        .map(|one| format!("{}/{}", one.area, one.path))
        .collect();
    // A path that climbs is that of the area's own file: nothing is ever outside.
    assert_eq!(told, ["files/x"]);
    assert_eq!(desk.stat(b"/files/f"), Err(NO_SUCH_FILE));
}

#[test]
fn the_permit_must_hold_when_the_part_takes_its_place() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/index.php", UP);
    let fresh = desk.handle(b"/code/fresh", UP);
    assert_eq!(desk.write(&handle, 0, b"new"), OK);
    assert_eq!(desk.write(&fresh, 0, b"new"), OK);
    desk.set_mode(ConnectionMode::Git);
    assert_eq!(desk.close(&handle), DENIED);
    assert_eq!(desk.close(&fresh), DENIED);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
    assert!(!desk.code("fresh").exists());
    assert!(desk.screen.lines[0].contains("[incident "));
    // Back in SFTP mode it is resumed, into the code that is current then.
    desk.set_mode(ConnectionMode::Sftp);
    desk.deploy(2);
    let handle = desk.handle(b"/code/fresh", WRITE | CREATE);
    assert_eq!(desk.write(&handle, 3, b"er"), OK);
    assert_eq!(desk.close(&handle), OK);
    let second = desk.root().join("generations/2/code/fresh");
    assert_eq!(fs::read(second).unwrap(), b"newer");
    assert!(!desk.code("fresh").exists());
}

#[test]
fn no_code_changes_while_the_mode_is_being_switched() {
    let mut desk = Desk::dev();
    fs::create_dir(desk.code("d")).unwrap();
    let place = desk.handle(b"/code/index.php", WRITE);
    let whole = desk.handle(b"/code/whole", UP);
    assert_eq!(desk.write(&whole, 0, b"half"), OK);
    let frozen = desk.parts.freeze_code();
    assert_eq!(desk.write(&place, 0, b"edit"), FAILURE);
    assert!(
        desk.screen.lines[0].contains("is being switched"),
        "{:?}",
        desk.screen.lines
    );
    assert_eq!(desk.write(&whole, 4, b" and half"), OK);
    assert_eq!(desk.close(&whole), FAILURE);
    for (kind, path) in [(13, &b"/code/index.php"[..]), (15, b"/code/d")] {
        assert_eq!(desk.code_of(kind, &[Text(path)]), FAILURE);
    }
    assert_eq!(desk.put(b"/files/content", b"goes on"), OK);
    assert_eq!(fs::read(desk.code("index.php")).unwrap(), b"<?php // 1");
    assert!(!desk.code("whole").exists() && desk.code("d").exists());
    drop(frozen);
    assert_eq!(desk.write(&place, 0, b"edit"), OK);
    assert_eq!(desk.close(&place), OK);
    let whole = desk.handle(b"/code/whole", WRITE);
    assert_eq!(desk.close(&whole), OK);
    assert_eq!(fs::read(desk.code("whole")).unwrap(), b"half and half");
}
