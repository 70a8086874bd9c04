//! What the audit keeps: one row for each finished or refused change.

use std::fs;

use super::Field::{Mode, Nothing, Text};
use super::*;
use crate::audit::{Decided, Outcome};

/// What matters of a row, in words.
fn words(record: &Record) -> String {
    assert_eq!(record.who.person.as_deref(), Some("alice"));
    assert_eq!(record.site.as_deref(), Some("acme"));
    let decided = match record.decision {
        Decided::Permit => "permit",
        Decided::Refuse => "refuse",
    };
    let outcome = match record.outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
    };
    format!(
        "{decided} {} /{}/{} {outcome} {} {}",
        record.action,
        record.area.as_deref().unwrap_or_default(),
        record.object.as_deref().unwrap_or_default(),
        record.bytes,
        record.detail.as_deref().unwrap_or_default(),
    )
    .trim_end()
    .to_owned()
}

#[test]
fn each_finished_change_has_one_row() {
    let mut desk = Desk::dev();
    assert_eq!(desk.put(b"/code/new", b"12345"), OK);
    assert_eq!(desk.put(b"/code/index.php", b"123"), OK);
    assert_eq!(desk.code_of(14, &[Text(b"/code/d"), Nothing]), OK);
    assert_eq!(
        desk.code_of(18, &[Text(b"/code/new"), Text(b"/code/d/moved")]),
        OK
    );
    assert_eq!(
        desk.code_of(18, &[Text(b"/code/d/moved"), Text(b"/tmp/moved")]),
        OK
    );
    assert_eq!(
        desk.code_of(20, &[Text(b"index.php"), Text(b"/code/link")]),
        OK
    );
    assert_eq!(
        desk.code_of(9, &[Text(b"/code/index.php"), Mode(0o4644)]),
        OK
    );
    let hard = vec![Text(b"/code/index.php"), Text(b"/code/hard\xff")];
    assert_eq!(
        desk.extended("hardlink@openssh.com", hard),
        Reply::Status(OK, String::new())
    );
    assert_eq!(desk.code_of(13, &[Text(b"/code/link")]), OK);
    assert_eq!(desk.code_of(15, &[Text(b"/code/d")]), OK);
    assert_eq!(desk.put(b"/code/wp-content/uploads/photo", b"p"), OK);
    let rows: Vec<String> = desk.rows().iter().map(words).collect();
    assert_eq!(
        rows,
        [
            "permit write /code/new done 5",
            "permit write /code/index.php done 3",
            "permit mkdir /code/d done 0",
            "permit rename-to /code/d/moved done 0 from /code/new",
            "permit rename-from /code/d/moved done 0 to /tmp/moved",
            "permit rename-to /tmp/moved done 0 from /code/d/moved",
            "permit symlink /code/link done 0 leads to index.php",
            "permit setstat /code/index.php done 0 permissions 644",
            "permit hardlink /code/hard\\xff done 0 of /code/index.php",
            "permit remove /code/link done 0",
            "permit rmdir /code/d done 0",
            "permit write /files/photo done 1",
        ]
    );
}

#[test]
fn reading_and_what_could_not_be_done_have_none() {
    let mut desk = Desk::dev();
    desk.get(b"/code/index.php");
    desk.names(b"/code");
    assert_eq!(desk.code_of(13, &[Text(b"/code/none")]), NO_SUCH_FILE);
    assert_eq!(
        desk.code_of(14, &[Text(b"/code/wp-content"), Nothing]),
        FAILURE
    );
    assert_eq!(
        desk.code_of(18, &[Text(b"/code/none"), Text(b"/code/x")]),
        NO_SUCH_FILE
    );
    assert!(matches!(
        desk.open(b"/code/none", WRITE),
        Reply::Status(NO_SUCH_FILE, _)
    ));
    assert!(desk.rows().is_empty());
}

#[test]
fn what_was_begun_and_not_finished_is_told_apart() {
    let mut desk = Desk::dev();
    let left_open = desk.handle(b"/code/left", WRITE | CREATE);
    assert_eq!(desk.write(&left_open, 0, b"12"), OK);
    let failed = desk.handle(b"/code/failed", WRITE | CREATE);
    assert_eq!(desk.write(&failed, i64::MAX as u64, b"x"), FAILURE);
    assert_eq!(desk.close(&failed), FAILURE);
    let rows: Vec<String> = desk.rows().iter().map(words).collect();
    assert_eq!(
        rows,
        [
            "permit write /code/failed failed 0",
            "permit write /code/left interrupted 2",
        ]
    );
}

#[test]
fn a_refusal_has_a_row_that_its_incident_finds() {
    let mut desk = Desk::live();
    let reply = desk.open(b"/code/x", WRITE | CREATE | TRUNCATE);
    let Reply::Status(DENIED, message) = reply else {
        panic!("{reply:?}");
    };
    std::os::unix::fs::symlink("/etc/passwd", desk.disk("files/out")).unwrap();
    assert_eq!(desk.stat(b"/files/out"), Err(DENIED));
    let rows = desk.rows();
    assert_eq!(rows.len(), 2);
    assert!(message.contains(&format!("[incident {}]", rows[0].incident)));
    assert_eq!(rows[0].rule, "code-goes-up-by-deploy");
    assert_eq!(rows[1].rule, "link-leaves-its-area");
    assert!(words(&rows[0]).starts_with("refuse write /code/x refused 0 Code of acme's Live"));
    assert!(words(&rows[1]).starts_with("refuse read /files/out refused 0"));
}

type Ask = Box<dyn Fn(&mut Desk) -> Reply>;

#[test]
fn what_stands_in_the_way_is_refused_aloud_and_kept() {
    let pipe = |path| {
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    };
    let mut desk = Desk::dev();
    pipe(desk.disk("files/pipe"));
    fs::create_dir(desk.disk("files/folder")).unwrap();
    pipe(desk.disk("files/folder/pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(desk.disk("files/socket")).unwrap();
    fs::write(desk.disk("outside"), "kept").unwrap();
    fs::hard_link(desk.disk("outside"), desk.disk("files/hard")).unwrap();
    fs::write(desk.disk("files/own"), "own").unwrap();
    std::os::unix::fs::symlink("own", desk.disk("files/soft")).unwrap();
    let hard_link = |desk: &mut Desk, from: &[u8], to: &[u8]| {
        desk.extended("hardlink@openssh.com", vec![Text(from), Text(to)])
    };
    let special = "only-files-and-folders";
    let linked = "hard-link-leaves-its-area";
    let forbidden: [(&str, &str, Ask); 10] = [
        ("read /files/pipe", special, {
            Box::new(|desk| desk.open(b"/files/pipe", READ))
        }),
        ("write /files/pipe", special, {
            Box::new(|desk| desk.open(b"/files/pipe", WRITE | CREATE | TRUNCATE))
        }),
        ("write /files/socket", special, {
            Box::new(|desk| desk.open(b"/files/socket", WRITE))
        }),
        ("setstat /files/pipe", special, {
            Box::new(|desk| desk.ask(9, &[Text(b"/files/pipe"), Mode(0o600)]))
        }),
        ("rename-to /tmp/folder", special, {
            Box::new(|desk| desk.ask(18, &[Text(b"/files/folder"), Text(b"/tmp/folder")]))
        }),
        ("hardlink /files/harder", special, {
            Box::new(move |desk| hard_link(desk, b"/files/soft", b"/files/harder"))
        }),
        ("hardlink /tmp/own", linked, {
            Box::new(move |desk| hard_link(desk, b"/files/own", b"/tmp/own"))
        }),
        ("write /files/hard", linked, {
            Box::new(|desk| desk.open(b"/files/hard", WRITE))
        }),
        ("write /files/hard", linked, {
            Box::new(|desk| desk.open(b"/files/hard", WRITE | APPEND))
        }),
        ("setstat /files/hard", linked, {
            Box::new(|desk| desk.ask(9, &[Text(b"/files/hard"), Mode(0o600)]))
        }),
    ];
    let mut messages = Vec::new();
    for (told, _, ask) in &forbidden {
        match ask(&mut desk) {
            Reply::Status(DENIED, message) => messages.push(message),
            other => panic!("{told}: {other:?}"),
        }
    }
    assert_eq!(fs::read(desk.disk("outside")).unwrap(), b"kept");
    for path in ["tmp/folder", "tmp/own", "files/harder"] {
        assert!(!desk.disk(path).exists(), "{path}");
    }
    let screen = desk.screen.lines.clone();
    let rows = desk.rows();
    assert_eq!(rows.len(), forbidden.len());
    for (((told, rule, _), message), row) in forbidden.iter().zip(&messages).zip(&rows) {
        assert_eq!(row.rule, *rule, "{told}");
        let sentence = row.detail.as_deref().unwrap();
        assert!(words(row).starts_with(&format!("refuse {told} refused 0 /")));
        assert!(message.starts_with(sentence), "{told}: {message}");
        assert!(message.ends_with(&format!("[incident {}]", row.incident)));
        assert!(screen.iter().any(|line| line.contains(sentence)), "{told}");
    }
}

#[test]
fn a_permit_that_is_lost_in_mid_file_leaves_both_rows() {
    let mut desk = Desk::dev();
    let handle = desk.handle(b"/code/new", WRITE | CREATE);
    assert_eq!(desk.write(&handle, 0, b"12"), OK);
    desk.set_mode(::policy::ConnectionMode::Git);
    assert_eq!(desk.write(&handle, 2, b"34"), DENIED);
    assert_eq!(desk.close(&handle), DENIED);
    let rows: Vec<String> = desk.rows().iter().map(words).collect();
    // Of the write, of the close by which the file would have taken its place, of the whole.
    assert_eq!(rows.len(), 3);
    assert!(rows[0].starts_with("refuse write /code/new refused"));
    assert!(rows[1].starts_with("refuse write /code/new refused"));
    assert_eq!(rows[2], "permit write /code/new refused 2");
}
