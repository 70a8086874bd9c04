//! Packets that no client sends: wrong lengths, unknown requests, handles that are none. The one who
//! sends them gets a clear error; the session, where it can, goes on.

use std::time::Duration;

use support::packets::{self, Reply, Request};
use support::raw::Raw;
use support::{Role, Shared, Site, tree};

pub(crate) static SHARED: Shared = Shared::new();

const READ: u32 = packets::FLAG_READ;
const CREATE: u32 = packets::FLAG_READ | packets::FLAG_WRITE | packets::FLAG_CREATE;

#[test]
fn unknown_requests_are_answered_under_their_own_id() {
    let (_site, mut raw) = open("w-unknown");
    for kind in [0, 21, 50, 99, 101, 104, 150, 199, 201, 255] {
        let id = raw.id();
        raw.send(&Request::new(kind, id).raw(b"some body"));
        let reply = raw.receive();
        assert_eq!(reply.id, id, "type {kind}: {reply:?}");
        reply.must_be(packets::OP_UNSUPPORTED);
    }
    for name in ["no-such@example.org", "", "vendor-id"] {
        raw.ask(|id| Request::extended(id, name).raw(b"rest"))
            .must_be(packets::OP_UNSUPPORTED);
    }
    still_serves(&mut raw);
}

#[test]
fn malformed_requests_are_bad_messages_and_no_more() {
    let (_site, mut raw) = open("w-malformed");
    let handle = raw.open_file("/files/whole", CREATE);
    raw.ask(|id| Request::write(id, &handle, 0, b"whole"))
        .must_be(packets::OK);
    let cut = |kind: u8, body: &[u8]| (kind, body.to_vec());
    for (kind, body) in [
        cut(packets::OPEN, b""),
        cut(packets::OPEN, b"\0\0\0\x10/code"),
        cut(packets::OPEN, b"\xff\xff\xff\xff/code"),
        cut(packets::OPEN, b"\0\0\0\x05/code\0\0"),
        cut(packets::OPEN, b"\0\0\0\x05/code\0\0\0\x01"),
        cut(packets::STAT, b"\0\0"),
        cut(packets::RENAME, b"\0\0\0\x05/code"),
        cut(
            packets::WRITE,
            b"\0\0\0\x01a\0\0\0\0\0\0\0\0\0\0\xff\xffshort",
        ),
        cut(packets::READ, b"\0\0\0\x01a\0\0"),
        cut(packets::SETSTAT, b"\0\0\0\x0c/files/whole\0\0\0\x01\0\0"),
        cut(
            packets::SETSTAT,
            b"\0\0\0\x0c/files/whole\x80\0\0\0\xff\xff\xff\xff",
        ),
        cut(packets::EXTENDED, b"\0\0\0\xffposix"),
        cut(packets::EXTENDED, b"\0\0\0\x18posix-rename@openssh.com\0\0"),
    ] {
        let reply = raw.ask(|id| Request::new(kind, id).raw(&body));
        let (code, message) = reply
            .status()
            .unwrap_or_else(|| panic!("type {kind}: {reply:?}"));
        assert_eq!(
            code,
            packets::BAD_MESSAGE,
            "type {kind} with {body:?}: {message}"
        );
    }
    assert_eq!(raw.read_file("/files/whole"), b"whole");
    still_serves(&mut raw);
}

#[test]
fn a_packet_with_an_impossible_length_ends_the_channel_alone() {
    let (site, mut other) = open("w-length");
    let tom = site.person(Role::TeamMember);
    for length in [0, 1, 4, 300 * 1024, 1 << 24, 0x7fff_ffff, 0xffff_ffff_u32] {
        let mut raw = Raw::open(&site, tom, "dev");
        let lie = Request::new(packets::STAT, 1).text("/code");
        // The server may hang up before all is written.
        let _ = raw.try_send_bytes(
            &lie.bytes_with_length(length)[..lie.bytes().len().min(4 + length as usize)],
        );
        if length > 1024 {
            let _ = raw.try_send_bytes(&tree::noise(1, 64 * 1024));
        }
        raw.must_end();
        still_serves(&mut other);
    }
}

#[test]
fn versions_are_agreed_on_once() {
    let (site, _raw) = open("w-version");
    let tom = site.person(Role::TeamMember);
    for version in [3, 4, 6, 0xffff_ffff] {
        let mut raw = Raw::connect(&site, tom, "dev");
        raw.send(&Request::init(version));
        let reply = raw.receive();
        assert_eq!(
            (reply.kind, reply.id),
            (packets::VERSION, 3),
            "INIT {version}"
        );
        still_serves(&mut raw);
    }
    // A request before INIT is nobody's.
    let mut raw = Raw::connect(&site, tom, "dev");
    raw.send(&Request::of(packets::STAT, 7, "/code"));
    if let Ok(reply) = raw.try_receive(Duration::from_secs(30)) {
        assert_ne!(reply.kind, packets::ATTRS, "served without INIT");
    }
}

#[test]
fn handles_that_are_none_are_refused_under_the_request_s_id() {
    let (site, mut raw) = open("w-handles");
    let mut other = Raw::open(&site, site.person(Role::Developer), "dev");
    let foreign = other.open_file("/files/foreign", CREATE);
    let closed = raw.open_file("/files/closed", CREATE);
    raw.ask(|id| Request::of(packets::CLOSE, id, &closed))
        .must_be(packets::OK);
    // Where handles are small numbers, the foreign one may be the name of one of ours as well; we
    // have none open now.
    for handle in [
        &foreign[..],
        &closed,
        b"",
        b"bogus",
        b"\0\0\0\0",
        &[0xff; 8],
        &[b'x'; 256],
        &[b'x'; 5000],
    ] {
        for request in [
            Request::read(1, handle, 0, 10),
            Request::write(2, handle, 0, b"evil"),
            Request::of(packets::FSTAT, 3, handle),
            Request::of(packets::FSETSTAT, 4, handle).size(0),
            Request::of(packets::READDIR, 5, handle),
            Request::of(packets::CLOSE, 6, handle),
            Request::extended(7, "fsync@openssh.com").text(handle),
            Request::extended(8, "fstatvfs@openssh.com").text(handle),
            Request::extended(9, "copy-data")
                .text(handle)
                .long(0)
                .long(0)
                .text(handle)
                .long(0),
        ] {
            raw.send(&request);
            let reply = raw.receive();
            let (code, _) = reply.status().unwrap_or_else(|| panic!("{reply:?}"));
            assert!(
                code != packets::OK && code != packets::EOF,
                "{reply:?} for {handle:?}"
            );
            assert_eq!(
                request.bytes()[5..9],
                reply.id.to_be_bytes(),
                "the answer's id"
            );
        }
    }
    let file = raw.open_file("/code/index.php", READ);
    let folder = raw
        .ask(|id| Request::of(packets::OPENDIR, id, "/code"))
        .handle();
    for reply in [
        raw.ask(|id| Request::of(packets::READDIR, id, &file)),
        raw.ask(|id| Request::read(id, &folder, 0, 10)),
        raw.ask(|id| Request::write(id, &folder, 0, b"x")),
    ] {
        assert!(
            reply.status().is_some_and(|(code, _)| code != packets::OK),
            "{reply:?}"
        );
    }
    other
        .ask(|id| Request::write(id, &foreign, 0, b"mine"))
        .must_be(packets::OK);
    assert_eq!(other.read_file("/files/foreign"), b"mine");
}

#[test]
fn offsets_and_sizes_at_the_ends_of_their_range_break_nothing() {
    let (_site, mut raw) = open("w-ends");
    let handle = raw.open_file("/files/small", CREATE);
    raw.ask(|id| Request::write(id, &handle, 0, b"small"))
        .must_be(packets::OK);
    let no = |reply: Reply| {
        assert!(
            reply.status().is_some_and(|(code, _)| code != packets::OK),
            "{reply:?}"
        )
    };
    for offset in [u64::MAX, u64::MAX - 5, 1 << 63, (1 << 63) - 1] {
        no(raw.ask(|id| Request::read(id, &handle, offset, 32768)));
        no(raw.ask(|id| Request::write(id, &handle, offset, b"far away")));
        no(raw.ask(|id| Request::of(packets::FSETSTAT, id, &handle).size(offset)));
    }
    assert_eq!(
        raw.ask(|id| Request::read(id, &handle, 0, u32::MAX)).data(),
        b"small"
    );
    raw.ask(|id| Request::read(id, &handle, 5, 10))
        .must_be(packets::EOF);
    raw.ask(|id| Request::write(id, &handle, 5, b""))
        .must_be(packets::OK);
    assert_eq!(raw.read_file("/files/small"), b"small");
}

#[test]
fn requests_on_one_handle_are_done_in_their_order() {
    let (_site, mut raw) = open("w-order");
    let handle = raw.open_file("/files/order", CREATE);
    let mut bytes = Vec::new();
    for round in 0..200u32 {
        let word = format!("{round:08}");
        bytes.extend(Request::write(2 * round, &handle, 0, word.as_bytes()).bytes());
        bytes.extend(Request::read(2 * round + 1, &handle, 0, 8).bytes());
    }
    raw.send_bytes(&bytes);
    let answers = raw.answers(0..400);
    for round in 0..200 {
        answers[&(2 * round)].must_be(packets::OK);
        assert_eq!(
            answers[&(2 * round + 1)].data(),
            format!("{round:08}").as_bytes()
        );
    }
    // A packet that comes in single bytes is a packet all the same.
    for byte in Request::of(packets::STAT, 999, "/files/order").bytes() {
        raw.send_bytes(&[byte]);
    }
    let reply = raw.receive();
    assert_eq!((reply.id, reply.attributes().size), (999, Some(8)));
}

#[test]
fn paths_are_resolved_from_the_root() {
    let (_site, mut raw) = open("w-paths");
    for (asked, answer) in [
        ("", "/"),
        (".", "/"),
        ("/", "/"),
        ("..", "/"),
        ("/../../..", "/"),
        ("code", "/code"),
        ("code/../files", "/files"),
        ("/code//lib/./", "/code/lib"),
        ("/code/new", "/code/new"),
    ] {
        let names = raw
            .ask(|id| Request::of(packets::REALPATH, id, asked))
            .names();
        assert_eq!(names, [answer.as_bytes()], "{asked:?}");
    }
}

#[test]
fn extensions_answer_in_their_own_form() {
    let (_site, mut raw) = open("w-extensions");
    for (extension, argument, answer) in [
        ("home-directory", "tom", "/"),
        ("expand-path@openssh.com", "~", "/"),
        ("expand-path@openssh.com", "~/code", "/code"),
        ("expand-path@openssh.com", "files", "/files"),
    ] {
        let names = raw
            .ask(|id| Request::extended(id, extension).text(argument))
            .names();
        assert_eq!(names, [answer.as_bytes()], "{extension} {argument}");
    }
    let limits = raw.ask(|id| Request::extended(id, "limits@openssh.com"));
    assert_eq!(limits.kind, packets::EXTENDED_REPLY, "{limits:?}");
    let mut fields = limits.fields();
    let (packet, read, write, handles) =
        (fields.long(), fields.long(), fields.long(), fields.long());
    assert!(fields.is_empty());
    assert!(
        packet >= 34_000 && read >= 32_768 && write >= 32_768,
        "{packet} {read} {write} {handles}"
    );
    assert!(
        read < packet && write < packet,
        "a full read or write fits into a packet"
    );
    // What is promised works.
    let handle = raw.open_file("/files/limits", CREATE);
    let block = tree::noise(3, usize::try_from(write).unwrap());
    raw.ask(|id| Request::write(id, &handle, 0, &block))
        .must_be(packets::OK);
    let answer = raw
        .ask(|id| Request::read(id, &handle, 0, u32::try_from(read).unwrap()))
        .data();
    assert!(block.starts_with(&answer) && answer.len() as u64 == read.min(write));

    for reply in [
        raw.ask(|id| Request::extended(id, "statvfs@openssh.com").text("/files")),
        raw.ask(|id| Request::extended(id, "fstatvfs@openssh.com").text(&handle)),
    ] {
        assert_eq!(
            (reply.kind, reply.body.len()),
            (packets::EXTENDED_REPLY, 88),
            "{reply:?}"
        );
        let mut fields = reply.fields();
        assert!(fields.long() >= 512, "the block size");
    }
    raw.ask(|id| Request::extended(id, "fsync@openssh.com").text(&handle))
        .must_be(packets::OK);
}

#[test]
fn random_packets_are_answered_or_end_their_own_channel() {
    let (site, mut other) = open("w-random");
    let tom = site.person(Role::TeamMember);
    for seed in 0..12u64 {
        let mut raw = Raw::open(&site, tom, "dev");
        let noise = tree::noise(seed + 1, 20_000);
        let mut sent = 0;
        for chunk in noise.chunks(100).take(150) {
            let length = usize::from(chunk[0]) % 90;
            let kind = if chunk[1] < 128 {
                chunk[1] % 22
            } else {
                chunk[1]
            };
            // A second INIT may well end the channel.
            if kind == packets::INIT {
                continue;
            }
            sent += 1;
            if raw
                .try_send_bytes(&Request::new(kind, sent).raw(&chunk[2..2 + length]).bytes())
                .is_err()
            {
                break;
            }
        }
        for expected in 1..=sent {
            match raw.try_receive(Duration::from_secs(30)) {
                Ok(reply) => assert!(
                    reply.id >= 1 && reply.id <= sent,
                    "{reply:?} after {expected}"
                ),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(_) => panic!("seed {seed}: no answer to request {expected} of {sent}"),
            }
        }
        still_serves(&mut other);
    }
}

#[track_caller]
pub(crate) fn still_serves(raw: &mut Raw) {
    assert_eq!(raw.read_file("/code/index.php"), b"<?php echo 'first';\n");
}

fn open(name: &str) -> (Site, Raw) {
    let site = SHARED.gateway().site(name);
    let raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    (site, raw)
}
