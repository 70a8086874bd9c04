//! Lengths, counts, flags, ids and handles that are wrong, each by itself: answered under the request's
//! own id, and the next request is understood.

use super::Field::{Long, Nothing, Short, Text};
use super::bad_input::requests;
use super::*;

#[test]
fn each_number_of_each_request_may_be_as_large_as_can_be() {
    let mut desk = Desk::dev();
    for whole in requests() {
        let id = u32::from_be_bytes(whole[5..9].try_into().unwrap());
        for at in 9..whole.len().saturating_sub(3) {
            for number in [u32::MAX, 257 << 10] {
                let mut wrong = whole.clone();
                wrong[at..at + 4].copy_from_slice(&number.to_be_bytes());
                desk.send(&wrong).unwrap();
                desk.send(&request(16, 9999, &[Text(b"/")])).unwrap();
                let replies = desk.replies();
                assert_eq!(replies.len(), 2, "{wrong:?}: {replies:?}");
                assert_eq!(replies[0].0, id, "{wrong:?}");
                assert!(matches!(replies[1], (9999, Reply::Names(_))), "{wrong:?}");
            }
        }
    }
}

#[test]
fn bytes_after_a_request_change_nothing_about_it() {
    for whole in requests() {
        let answer = |bytes: &[u8]| {
            let mut desk = Desk::dev();
            std::fs::write(desk.disk("tmp/x"), "x").unwrap();
            desk.send(bytes).unwrap();
            let replies = desk.replies();
            assert_eq!(replies.len(), 1);
            match replies.into_iter().next().unwrap() {
                (id, Reply::Status(code, _)) => format!("{id} {code}"),
                (id, Reply::Extended(_)) => format!("{id} extended"),
                (id, reply) => format!("{id} {:?}", std::mem::discriminant(&reply)),
            }
        };
        // A WRITE says how long it is twice; one that says two things is malformed.
        if whole[4] == 6 {
            continue;
        }
        let mut long = whole.clone();
        long.extend([0xff; 100]);
        let length = u32::try_from(long.len() - 4).unwrap();
        long[..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(answer(&long), answer(&whole), "{whole:?}");
    }
}

#[test]
fn every_combination_of_flags_is_answered() {
    let mut desk = Desk::dev();
    for bit in 0..32 {
        for others in [0, READ, WRITE | CREATE, u32::MAX] {
            let opened = desk.open(b"/files/flags", others | 1 << bit);
            match opened {
                Reply::Handle(handle) => assert_eq!(desk.close(&handle), OK),
                Reply::Status(code, _) => assert_ne!(code, OK),
                other => panic!("{other:?}"),
            }
        }
        for (kind, place) in [(9, &b"/files/flags"[..]), (14, b"/files/folder")] {
            let fields = [Text(place), Short(1 << bit), Long(0), Long(0), Long(0)];
            assert!(matches!(desk.ask(kind, &fields), Reply::Status(..)));
        }
    }
    // So many extended attributes are claimed, and one is there.
    for count in [1, 2, u32::MAX] {
        let fields = [
            Text(b"/files/flags"),
            Short(0x8000_0000),
            Short(count),
            Text(b"a"),
            Text(b"b"),
        ];
        let code = desk.code_of(9, &fields);
        assert_eq!(code == BAD_MESSAGE, count > 1, "{count}");
    }
}

#[test]
fn handles_of_another_kind_session_or_time_are_none() {
    let mut desk = Desk::dev();
    desk.put(b"/files/a", b"content");
    let reading = desk.handle(b"/files/a", READ);
    let writing = desk.handle(b"/files/b", WRITE | CREATE);
    std::fs::create_dir(desk.disk("files/folder")).unwrap();
    let Reply::Handle(folder) = desk.ask(11, &[Text(b"/files/folder")]) else {
        panic!("no handle");
    };
    let closed = desk.handle(b"/files/a", READ);
    assert_eq!(desk.close(&closed), OK);
    let mut next = u32::from_be_bytes(folder.clone().try_into().unwrap());
    next += 1;
    let none = [
        closed,
        next.to_be_bytes().to_vec(),
        vec![0; 4],
        vec![0xff; 4],
        Vec::new(),
        vec![b'h'; 256],
        vec![b'h'; 100_000],
        reading[..3].to_vec(),
        [reading.as_slice(), b"x"].concat(),
    ];
    for handle in &none {
        let handle = || Text(handle);
        for (kind, fields) in [
            (4, vec![handle()]),
            (5, vec![handle(), Long(0), Short(10)]),
            (6, vec![handle(), Long(0), Text(b"x")]),
            (8, vec![handle()]),
            (10, vec![handle(), Nothing]),
            (12, vec![handle()]),
            (200, vec![Text(b"fsync@openssh.com"), handle()]),
            (200, vec![Text(b"fstatvfs@openssh.com"), handle()]),
            (
                200,
                vec![
                    Text(b"copy-data"),
                    handle(),
                    Long(0),
                    Long(0),
                    handle(),
                    Long(0),
                ],
            ),
        ] {
            assert_eq!(desk.code_of(kind, &fields), FAILURE, "{kind}");
        }
    }
    // Of the wrong kind: not read as a folder, not written as what is only read.
    for (kind, fields) in [
        (12, vec![Text(&reading)]),
        (12, vec![Text(&writing)]),
        (5, vec![Text(&folder), Long(0), Short(10)]),
        (5, vec![Text(&writing), Long(0), Short(10)]),
        (6, vec![Text(&folder), Long(0), Text(b"x")]),
        (6, vec![Text(&reading), Long(0), Text(b"x")]),
        (10, vec![Text(&folder), Short(1), Long(0)]),
        (
            200,
            vec![
                Text(b"copy-data"),
                Text(&folder),
                Long(0),
                Long(0),
                Text(&writing),
                Long(0),
            ],
        ),
        (
            200,
            vec![
                Text(b"copy-data"),
                Text(&reading),
                Long(0),
                Long(0),
                Text(&reading),
                Long(0),
            ],
        ),
    ] {
        let code = desk.code_of(kind, &fields);
        assert!([FAILURE, DENIED].contains(&code), "{kind}: {code}");
    }
    // Another session's handle, which the other has closed by its end.
    desk.again();
    for handle in [&reading, &writing, &folder] {
        assert_eq!(desk.close(handle), FAILURE);
    }
    assert_eq!(desk.get(b"/files/a"), b"content");
}

#[test]
fn a_second_init_changes_nothing() {
    let mut desk = Desk::dev();
    desk.put(b"/files/a", b"content");
    let handle = desk.handle(b"/files/a", READ);
    for version in [0, 3, 6, u32::MAX] {
        let mut init = vec![0, 0, 0, 5, 1];
        init.extend(version.to_be_bytes());
        desk.send(&init).unwrap();
        assert!(matches!(
            desk.replies().as_slice(),
            [(3, Reply::Version(_))]
        ));
    }
    assert_eq!(desk.read(&handle, 0, 100), Reply::Data(b"content".to_vec()));
}

#[test]
fn one_id_for_many_requests_gets_as_many_answers() {
    let mut desk = Desk::dev();
    let all = [
        request(16, 7, &[Text(b"/code")]),
        request(17, 7, &[Text(b"/nothing")]),
        request(16, 7, &[Text(b"/files")]),
    ];
    desk.send(&all.concat()).unwrap();
    let replies = desk.replies();
    assert!(
        matches!(
            replies.as_slice(),
            [
                (7, Reply::Names(_)),
                (7, Reply::Status(..)),
                (7, Reply::Names(_))
            ]
        ),
        "{replies:?}"
    );
}
