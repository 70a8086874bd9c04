//! What the server does with files so that they need not travel: hashes and copies, asked for by
//! real clients.

use std::fs;

use support::packets::{self, Request};
use support::raw::Raw;
use support::{Person, Role, Shared, Site, tree};

use crate::sftp_python::{PARAMIKO, run};
use crate::sftp_uploads::part_size;

static SHARED: Shared = Shared::new();

#[test]
fn paramiko_has_files_hashed_on_the_server() {
    let (site, tom) = site("k-paramiko");
    let desk = tom.desk("k-paramiko");
    fs::write(desk.join("up"), tree::noise(81, 5_000_001)).unwrap();
    let script = format!(
        "{PARAMIKO}
import hashlib
content = open('up', 'rb').read()
sftp.put('up', '/files/up')
with sftp.open('/files/up', 'rb') as file:
    for name in 'md5', 'sha1', 'sha256', 'sha384', 'sha512':
        assert file.check(name) == hashlib.new(name, content).digest(), name
    part = content[1000:1000 + 70000]
    blocks = b''.join(hashlib.md5(part[at:at + 4096]).digest() for at in range(0, 70000, 4096))
    assert file.check('md5', 1000, 70000, 4096) == blocks
    try:
        file.check('crc32')
    except IOError as error:
        assert 'md5' in str(error), error
    else:
        raise SystemExit('crc32 was served')
# An upload that is under way is hashed as far as it came, for who uploads.
with sftp.open('/files/next', 'w+b') as file:
    file.write(content[:1000])
    file.flush()
    assert file.check('sha256') == hashlib.sha256(content[:1000]).digest()
"
    );
    run("paramiko", &script, &site, &tom, "dev", &desk).ok();
}

#[test]
fn files_are_copied_on_the_server() {
    let (site, tom) = site("k-copy");
    let content = tree::noise(82, 40 * 1024 * 1024 + 7);
    fs::write(site.disk("dev", "files").join("big"), &content).unwrap();
    site.sftp(&tom, "dev", "cp /files/big /code/copied\n")
        .run()
        .ok();
    assert!(fs::read(site.disk("dev", "code").join("copied")).unwrap() == content);
    // A part of a file, into the middle of one that is on its way.
    let mut raw = Raw::open(&site, &tom, "dev");
    let source = raw.open_file("/files/big", packets::FLAG_READ);
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE;
    let target = raw.open_file("/files/part", flags);
    raw.ask(|id| {
        Request::extended(id, "copy-data")
            .text(&source)
            .long(1_000_000)
            .long(2_000_000)
            .text(&target)
            .long(10)
    })
    .must_be(packets::OK);
    assert!(!site.disk("dev", "files").join("part").exists());
    raw.ask(|id| Request::of(packets::CLOSE, id, &target))
        .must_be(packets::OK);
    let mut part = vec![0; 10];
    part.extend_from_slice(&content[1_000_000..3_000_000]);
    assert!(fs::read(site.disk("dev", "files").join("part")).unwrap() == part);
    assert_eq!(part_size(&site), 0);
}

#[test]
fn openssh_finds_every_extension() {
    let (site, tom) = site("k-offered");
    let shown = site
        .sftp_with(&tom, "dev", &["-vv"], "version\nls -l /code\ndf /code\n")
        .run()
        .ok();
    let shown = shown.says("SFTP protocol version 3");
    for extension in [
        "posix-rename@openssh.com",
        "statvfs@openssh.com",
        "fstatvfs@openssh.com",
        "hardlink@openssh.com",
        "fsync@openssh.com",
        "lsetstat@openssh.com",
        "limits@openssh.com",
        "expand-path@openssh.com",
        "copy-data",
        "home-directory",
        "users-groups-by-id@openssh.com",
    ] {
        let line = shown
            .err()
            .lines()
            .any(|line| line.contains("erver") && line.contains(&format!("\"{extension}\"")));
        assert!(line, "{extension}: {shown}");
    }
    // The owner has a name, which the client asks for.
    let own = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap();
    shown.says(&own.name);
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}
