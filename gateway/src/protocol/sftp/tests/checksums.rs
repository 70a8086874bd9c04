//! Hashes of files, and names of owners.

use std::fs;

use super::Field::{Long, Short, Text};
use super::*;
use crate::protocol::sftp::ids;
use crate::protocol::sftp::wire::Fields;

const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn files_are_hashed_by_name_and_by_handle() {
    let mut desk = Desk::dev();
    fs::write(desk.code("abc"), "abc").unwrap();
    let handle = desk.handle(b"/code/abc", READ);
    for (algorithms, used, hash) in [
        ("md5", "md5", MD5),
        ("crc32,sha1,md5", "sha1", SHA1),
        ("sha256", "sha256", SHA256),
    ] {
        for reply in [
            check(
                &mut desk,
                "check-file-name",
                b"/code/abc",
                algorithms,
                (0, 0, 0),
            ),
            check(
                &mut desk,
                "check-file-handle",
                &handle,
                algorithms,
                (0, 3, 0),
            ),
            check(&mut desk, "check-file", &handle, algorithms, (0, 99, 256)),
        ] {
            assert_eq!(reply, Reply::Hashes(used.to_owned(), bytes(hash)));
        }
    }
    for (algorithm, length) in [("sha384", 48), ("sha512", 64)] {
        let reply = check(&mut desk, "check-file", &handle, algorithm, (1, 1, 0));
        assert!(matches!(reply, Reply::Hashes(_, hash) if hash.len() == length));
    }
    let none = check(&mut desk, "check-file", &handle, "crc32,SHA1", (0, 0, 0));
    assert!(matches!(none, Reply::Status(UNSUPPORTED, _)), "{none:?}");
}

#[test]
fn blocks_have_hashes_of_their_own() {
    let mut desk = Desk::dev();
    let content: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
    fs::write(desk.code("large"), &content).unwrap();
    let reply = check(
        &mut desk,
        "check-file-name",
        b"/code/large",
        "md5",
        (100, 0, 300_000),
    );
    let each: Vec<u8> = content[100..]
        .chunks(300_000)
        .flat_map(|block| md5::compute(block).0)
        .collect();
    assert_eq!(reply, Reply::Hashes("md5".to_owned(), each));
    for (asked, code) in [
        ((0, 0, 255), FAILURE),
        ((1_000_001, 0, 0), EOF),
        ((0, 0, 1), FAILURE),
    ] {
        let reply = check(&mut desk, "check-file-name", b"/code/large", "md5", asked);
        assert!(
            matches!(reply, Reply::Status(found, _) if found == code),
            "{asked:?} {reply:?}"
        );
    }
    // A gigabyte in the smallest blocks would be an answer of sixty-four megabytes.
    let large = fs::File::create(desk.code("sparse")).unwrap();
    large.set_len(1 << 30).unwrap();
    let reply = check(
        &mut desk,
        "check-file-name",
        b"/code/sparse",
        "md5",
        (0, 0, 256),
    );
    assert!(matches!(reply, Reply::Status(FAILURE, _)), "{reply:?}");
    let empty = check(
        &mut desk,
        "check-file-name",
        b"/code/sparse",
        "md5",
        (1 << 30, 0, 0),
    );
    assert_eq!(
        empty,
        Reply::Hashes("md5".to_owned(), md5::compute(b"").0.to_vec())
    );
}

#[test]
fn what_may_not_be_read_is_not_hashed() {
    let mut developer = Desk::new(Environment::Live, Role::Developer);
    fs::write(developer.disk("files/secret"), "abc").unwrap();
    let reply = check(
        &mut developer,
        "check-file-name",
        b"/files/secret",
        "md5",
        (0, 0, 0),
    );
    assert!(matches!(reply, Reply::Status(DENIED, _)), "{reply:?}");

    let mut desk = Desk::dev();
    let writes = desk.handle(b"/code/new", WRITE | CREATE);
    let reply = check(&mut desk, "check-file", &writes, "md5", (0, 0, 0));
    assert!(matches!(reply, Reply::Status(FAILURE, _)), "{reply:?}");
    let reply = check(&mut desk, "check-file-name", b"/code", "md5", (0, 0, 0));
    assert!(matches!(reply, Reply::Status(FAILURE, _)), "{reply:?}");
    let reads = desk.handle(b"/code/index.php", READ);
    desk.state.remove_key("SHA256:alice").unwrap();
    let reply = check(&mut desk, "check-file", &reads, "md5", (0, 0, 0));
    assert!(matches!(reply, Reply::Status(DENIED, _)), "{reply:?}");
}

#[test]
fn only_the_owner_of_files_has_a_name() {
    let own = nix::unistd::geteuid();
    let name = nix::unistd::User::from_uid(own).unwrap().unwrap().name;
    let ids = [own.as_raw().to_be_bytes(), 54_321_u32.to_be_bytes()].concat();
    let packet = ids::names(7, &ids, &[]).unwrap();
    let mut fields = Fields::of(&packet[9..]);
    let mut users = Fields::of(fields.string().unwrap());
    assert_eq!(users.string(), Ok(name.as_bytes()));
    assert_eq!(users.string(), Ok(&b""[..]));
    assert_eq!(users.left(), 0);
    assert_eq!(fields.string(), Ok(&b""[..]));
    assert!(ids::names(7, &[0; 5], &[]).is_err());
    assert!(ids::names(7, &[0; 4100], &[]).is_err());
}

fn check(
    desk: &mut Desk,
    name: &str,
    what: &[u8],
    algorithms: &str,
    (offset, length, block): (u64, u64, u32),
) -> Reply {
    desk.extended(
        name,
        vec![
            Text(what),
            Text(algorithms.as_bytes()),
            Long(offset),
            Long(length),
            Short(block),
        ],
    )
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}
