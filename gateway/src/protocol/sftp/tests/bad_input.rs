//! Malformed, cut, held back: never a panic, never an answer under a wrong id, never out of step.

use super::Field::{Long, Nothing, Short, Text};
use super::*;

/// One valid request of each kind, most of them about things that do not exist.
pub(super) fn requests() -> Vec<Vec<u8>> {
    let path = || Text(b"/tmp/x");
    let handle = || Text(b"\0\0\0\0");
    let mut all = vec![
        request(3, 1, &[path(), Short(READ), Nothing]),
        request(4, 2, &[handle()]),
        request(5, 3, &[handle(), Long(0), Short(10)]),
        request(6, 4, &[handle(), Long(0), Text(b"0123456789")]),
        request(
            9,
            5,
            &[
                path(),
                Short(15),
                Long(1),
                Short(1),
                Short(1),
                Short(1),
                Short(1),
                Short(1),
            ],
        ),
        request(10, 6, &[handle(), Nothing]),
        request(14, 7, &[path(), Nothing]),
        request(15, 8, &[path()]),
        request(18, 9, &[path(), path()]),
        request(20, 10, &[path(), path()]),
    ];
    for (number, kind) in [7, 8, 11, 12, 13, 16, 17, 19].into_iter().enumerate() {
        all.push(request(kind, 20 + number as u32, &[path()]));
    }
    for (number, name) in [
        "posix-rename@openssh.com",
        "statvfs@openssh.com",
        "fstatvfs@openssh.com",
        "hardlink@openssh.com",
        "fsync@openssh.com",
        "lsetstat@openssh.com",
        "limits@openssh.com",
        "expand-path@openssh.com",
        "home-directory",
        "copy-data",
        "nothing@example.com",
    ]
    .into_iter()
    .enumerate()
    {
        let fields = [
            Text(name.as_bytes()),
            path(),
            path(),
            Long(0),
            Text(b"x"),
            Long(0),
        ];
        all.push(request(200, 40 + number as u32, &fields));
    }
    all
}

/// A request cut short, with the length of what is left of it.
fn cut(request: &[u8], length: usize) -> Vec<u8> {
    let mut short = request[..length].to_vec();
    short[..4].copy_from_slice(&u32::try_from(length - 4).unwrap().to_be_bytes());
    short
}

#[test]
fn each_request_cut_anywhere_is_answered_under_its_own_id() {
    let mut desk = Desk::dev();
    for whole in requests() {
        let id = u32::from_be_bytes(whole[5..9].try_into().unwrap());
        for length in 9..=whole.len() {
            desk.send(&cut(&whole, length)).unwrap();
            let replies = desk.replies();
            assert_eq!(replies.len(), 1, "{replies:?}");
            assert_eq!(replies[0].0, id);
        }
        let kind = whole[4];
        desk.send(&cut(&whole, 9)).unwrap();
        let replies = desk.replies();
        assert!(
            matches!(replies[0].1, Reply::Status(BAD_MESSAGE, _)),
            "{kind}: {replies:?}"
        );
    }
}

#[test]
fn requests_in_any_pieces_are_the_same_requests() {
    let all: Vec<u8> = requests().concat();
    let mut desk = Desk::dev();
    desk.send(&all).unwrap();
    let ids =
        |replies: Vec<(u32, Reply)>| replies.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    let whole = ids(desk.replies());
    assert_eq!(whole.len(), requests().len());
    for piece in [1, 2, 3, 5, 7, 13, 64] {
        let mut desk = Desk::dev();
        for bytes in all.chunks(piece) {
            desk.send(bytes).unwrap();
        }
        assert_eq!(ids(desk.replies()), whole, "{piece}");
    }
}

#[test]
fn an_upload_in_any_pieces_is_the_same_file() {
    let content: Vec<u8> = (0..3000_u32).map(|n| n as u8).collect();
    for piece in [1, 3, 17, 29, 30, 1000] {
        let mut desk = Desk::dev();
        let handle = desk.handle(b"/code/f", WRITE | CREATE | TRUNCATE);
        let mut bytes = Vec::new();
        for (number, part) in content.chunks(700).enumerate() {
            let fields = [Text(&handle), Long(number as u64 * 700), Text(part)];
            bytes.extend(request(6, 100 + number as u32, &fields));
        }
        bytes.extend(request(4, 200, &[Text(&handle)]));
        for part in bytes.chunks(piece) {
            desk.send(part).unwrap();
        }
        let replies = desk.replies();
        assert!(
            replies
                .iter()
                .all(|(_, reply)| matches!(reply, Reply::Status(OK, _)))
        );
        let ids: Vec<u32> = replies.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [100, 101, 102, 103, 104, 200]);
        assert_eq!(std::fs::read(desk.code("f")).unwrap(), content);
    }
}

#[test]
fn a_write_whose_lengths_disagree_is_malformed_and_the_next_request_is_not() {
    for claimed in [0_u32, 5, 11, 1 << 20, u32::MAX] {
        let mut desk = Desk::dev();
        let handle = desk.handle(b"/code/f", WRITE | CREATE);
        let mut bytes = request(6, 7, &[Text(&handle), Long(0), Text(b"0123456789")]);
        let at = bytes.len() - 14;
        bytes[at..at + 4].copy_from_slice(&claimed.to_be_bytes());
        bytes.extend(request(16, 8, &[Text(b"/")]));
        for part in bytes.chunks(9) {
            desk.send(part).unwrap();
        }
        let replies = desk.replies();
        assert_eq!(replies.len(), 2, "{claimed}: {replies:?}");
        assert_eq!(replies[0].0, 7);
        assert_eq!(
            matches!(replies[0].1, Reply::Status(BAD_MESSAGE, _)),
            claimed > 10
        );
        assert!(matches!(replies[1], (8, Reply::Names(_))));
    }
}

#[test]
fn unknown_requests_are_answered() {
    let mut desk = Desk::dev();
    for kind in (0..=255_u8).filter(|kind| !(3..=20).contains(kind) && ![1, 200].contains(kind)) {
        let reply = desk.ask(kind, &[Text(b"x")]);
        assert!(
            matches!(reply, Reply::Status(UNSUPPORTED, _)),
            "{kind}: {reply:?}"
        );
    }
}

#[test]
fn a_length_that_cannot_be_ends_the_channel() {
    for length in [0_u32, (257 << 10) + 1, u32::MAX] {
        let mut desk = Desk::dev();
        let mut bytes = request(16, 1, &[Text(b"/")]);
        bytes.extend(length.to_be_bytes());
        let ended = desk.send(&bytes).unwrap_err();
        assert!(ended.to_string().contains("length"), "{ended}");
    }
    for bytes in [&[0, 0, 0, 1, 5][..], &[0, 0, 0, 4, 5, 0, 0, 0]] {
        assert!(Desk::dev().send(bytes).is_err());
    }
}

#[test]
fn nothing_comes_before_init() {
    let desk = Desk::dev();
    for first in requests() {
        let tree = Tree::open(&desk.root()).unwrap();
        let mut session = session(&desk.gate, &desk.state, &desk.environment, tree, "alice");
        let mut screen = Screen::default();
        assert!(session.receive(&first, &mut screen).is_err());
        assert!(screen.bytes.is_empty());
    }
}

#[test]
fn a_client_that_does_not_read_is_held_back_and_then_served() {
    let mut desk = Desk::dev();
    desk.put(b"/files/a", &[b'x'; 50_000]);
    let handle = desk.handle(b"/files/a", READ);
    desk.screen.full = true;
    for id in 0..1000 {
        let fields = [Text(&handle), Long(0), Short(50_000)];
        desk.send(&request(5, id, &fields)).unwrap();
    }
    let mut replies = desk.replies();
    assert!(replies.is_empty());
    desk.screen.full = false;
    while replies.len() < 1000 {
        desk.session.proceed(&mut desk.screen).unwrap();
        let more = desk.replies();
        assert!(!more.is_empty());
        replies.extend(more);
    }
    assert_eq!(replies.len(), 1000);
    assert!(
        replies
            .iter()
            .enumerate()
            .all(|(number, (id, _))| *id == number as u32)
    );
}

#[test]
fn one_call_answers_only_so_much() {
    let mut desk = Desk::dev();
    std::fs::write(desk.disk("files/a"), [b'x'; 300_000]).unwrap();
    let handle = desk.handle(b"/files/a", READ);
    let asked = request(5, 7, &[Text(&handle), Long(0), Short(261_120)]).repeat(1000);
    desk.screen.full = true;
    desk.send(&asked).unwrap();
    desk.screen.full = false;
    let mut served = 0;
    while served < 1000 {
        desk.session.proceed(&mut desk.screen).unwrap();
        assert!(desk.screen.bytes.len() < 17 << 20);
        let replies = desk.replies();
        assert!(!replies.is_empty());
        served += replies.len();
    }
}

#[test]
fn a_client_that_never_reads_is_ended() {
    let mut desk = Desk::dev();
    desk.screen.full = true;
    let flood = request(16, 1, &[Text(&[b'a'; 200])]).repeat(1000);
    let mut sent = 0;
    while desk.send(&flood).is_ok() {
        sent += flood.len();
        assert!(sent < 64 << 20);
    }
    assert!(sent > 16 << 20);
    assert!(desk.screen.bytes.is_empty());
}

#[test]
fn bytes_at_random_never_panic() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let valid = requests();
    let mut desk = Desk::dev();
    for _ in 0..20_000 {
        let mut packet = valid[next() as usize % valid.len()].clone();
        let id = packet[5..9].to_vec();
        for _ in 0..next() % 4 {
            let at = 9 + next() as usize % (packet.len() - 9);
            packet[at] = next() as u8;
        }
        if next() % 8 == 0 {
            packet[4] = next() as u8;
        }
        let begins_again = packet[4] == 1;
        desk.send(&packet).unwrap();
        let replies = desk.replies();
        assert_eq!(replies.len(), 1);
        assert!(begins_again || replies[0].0.to_be_bytes() == *id);
    }
    for _ in 0..300 {
        desk.again();
        let noise: Vec<u8> = (0..next() % 600).map(|_| next() as u8).collect();
        let mut packet = u32::try_from(noise.len()).unwrap().to_be_bytes().to_vec();
        packet.extend(noise);
        let _ = desk.send(&packet);
    }
}

#[test]
fn a_session_can_move_between_threads() {
    fn moves<T: Send + 'static>() {}
    moves::<Session>();
}
