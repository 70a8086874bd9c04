//! Ways round the policy: links, dots, other names for a place, and races. None may reach code from
//! content, another environment, or the gateway's own disk.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use support::packets::{self, Reply, Request};
use support::raw::Raw;
use support::{Finished, Role};

use crate::sftp_policy::{SHARED, deployed, refused};

const WRITE: u32 = packets::FLAG_WRITE | packets::FLAG_CREATE;

/// The attack: files are writable in Live, code is not. A link in files that leads into code would
/// make the one a door to the other.
///
/// Checked: whatever the link says, and whether or not it may be made, code stays as it is.
#[test]
fn a_link_in_files_is_no_door_to_code() {
    let site = deployed("e-door");
    let tom = site.person(Role::TeamMember);
    let before = site.tree("live", "code");
    let mut raw = Raw::open(&site, tom, "live");
    for (number, target) in [
        "../code/index.php",
        "/code/index.php",
        "../../code/index.php",
        "../../current/code/index.php",
        "../../../dev/current/code/index.php",
        "./../files/../code/index.php",
    ]
    .iter()
    .enumerate()
    {
        let link = format!("/files/link-{number}");
        raw.ask(|id| Request::of(packets::SYMLINK, id, target).text(&link));
        for flags in [
            packets::FLAG_WRITE,
            WRITE,
            WRITE | packets::FLAG_TRUNCATE,
            packets::FLAG_WRITE | packets::FLAG_APPEND,
        ] {
            let opened = raw.ask(|id| Request::open(id, &link, flags));
            if opened.kind == packets::HANDLE {
                let handle = opened.handle();
                raw.ask(|id| Request::write(id, &handle, 0, b"evil"));
                raw.ask(|id| Request::of(packets::CLOSE, id, &handle));
            }
        }
        raw.ask(|id| Request::of(packets::SETSTAT, id, &link).size(0));
        raw.ask(|id| Request::of(packets::SETSTAT, id, &link).permissions(0o777));
        site.tree("live", "code").must_equal(&before);
        assert_eq!(
            site.tree("dev", "code"),
            before,
            "Dev was reached from Live by {target}"
        );
    }
    for (number, target) in ["../code", "/code", "../../code", "../../current/code", "."]
        .iter()
        .enumerate()
    {
        let link = format!("/files/folder-{number}");
        raw.ask(|id| Request::of(packets::SYMLINK, id, target).text(&link));
        for request in [
            Request::open(1, format!("{link}/evil.php"), WRITE),
            Request::open(2, format!("{link}/../code/evil.php"), WRITE),
            Request::of(packets::MKDIR, 3, format!("{link}/evil")).number(0),
            Request::of(packets::REMOVE, 4, format!("{link}/index.php")),
            Request::of(packets::RENAME, 5, format!("{link}/index.php")).text("/files/stolen.php"),
            Request::of(packets::SYMLINK, 6, "/etc").text(format!("{link}/evil-link")),
            Request::extended(7, "hardlink@openssh.com")
                .text(format!("{link}/index.php"))
                .text("/files/same.php"),
            Request::extended(8, "posix-rename@openssh.com")
                .text("/files/link-0")
                .text(format!("{link}/index.php")),
        ] {
            raw.send(&request);
            raw.receive();
        }
        site.tree("live", "code").must_equal(&before);
        assert_eq!(
            site.tree("dev", "code"),
            before,
            "Dev was reached from Live by {target}"
        );
    }
}

#[test]
fn a_hard_link_does_not_share_code_with_files() {
    let site = deployed("e-hard");
    let before = site.tree("live", "code");
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "live");
    let link = |id| {
        Request::extended(id, "hardlink@openssh.com")
            .text("/code/index.php")
            .text("/files/same.php")
    };
    refused_or_failed(&raw.ask(link));
    let opened = raw.ask(|id| Request::open(id, "/files/same.php", WRITE));
    if opened.kind == packets::HANDLE {
        let handle = opened.handle();
        raw.ask(|id| Request::write(id, &handle, 0, b"evil"));
    }
    site.tree("live", "code").must_equal(&before);
}

#[test]
fn nothing_moves_between_areas_in_halves() {
    let site = deployed("e-across");
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "live");
    let handle = raw.open_file("/files/upload.php", WRITE);
    raw.ask(|id| Request::write(id, &handle, 0, b"content"))
        .must_be(packets::OK);
    raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
        .must_be(packets::OK);
    let before = (site.tree("live", "code"), site.tree("live", "files"));
    for (from, to) in [
        ("/files/upload.php", "/code/upload.php"),
        ("/code/index.php", "/files/index.php"),
        ("/code/lib", "/files/lib"),
    ] {
        refused(
            &raw.ask(|id| Request::of(packets::RENAME, id, from).text(to)),
            from,
        );
        let posix = |id| {
            Request::extended(id, "posix-rename@openssh.com")
                .text(from)
                .text(to)
        };
        refused(&raw.ask(posix), from);
    }
    assert_eq!(
        (site.tree("live", "code"), site.tree("live", "files")),
        before
    );
    // In Dev both areas are writable; a move happens whole or not at all.
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let moved =
        raw.ask(|id| Request::of(packets::RENAME, id, "/code/index.php").text("/files/index.php"));
    let (left, arrived) = (
        site.tree("dev", "code").holds("index.php"),
        site.tree("dev", "files").holds("index.php"),
    );
    let done = moved.status().is_some_and(|(code, _)| code == packets::OK);
    assert_eq!((left, arrived), (!done, done), "{moved:?}");
}

#[test]
fn nothing_outside_the_tree_is_read_or_written() {
    let site = deployed("e-outside");
    let tom = site.person(Role::TeamMember);
    let secret = site.gateway.folder().join("secret");
    fs::write(&secret, "the gateway's own secret\n").unwrap();
    let mut raw = Raw::open(&site, tom, "dev");
    let absolute = secret.display().to_string();
    let up = format!("{}{}", "../".repeat(20), absolute.trim_start_matches('/'));
    for (number, target) in [
        &*absolute,
        &*up,
        "/etc/passwd",
        "../../../../../../../../etc/passwd",
        "/proc/self/environ",
        "/proc/self/root/etc/passwd",
        "/dev/zero",
    ]
    .iter()
    .enumerate()
    {
        let link = format!("/files/out-{number}");
        raw.ask(|id| Request::of(packets::SYMLINK, id, target).text(&link));
        for path in [
            link.clone(),
            format!("{link}/."),
            (*target).to_owned(),
            format!("/files/{target}"),
        ] {
            reads_nothing_of_the_host(&mut raw, &path);
            let opened = raw
                .ask(|id| Request::open(id, &path, packets::FLAG_WRITE | packets::FLAG_TRUNCATE));
            assert_ne!(
                opened.kind,
                packets::HANDLE,
                "{path} could be opened to write"
            );
        }
        raw.ask(|id| Request::of(packets::REMOVE, id, *target));
        raw.ask(|id| Request::of(packets::REMOVE, id, format!("/files/{target}")));
        let stolen = |id| Request::of(packets::RENAME, id, *target).text("/files/stolen");
        raw.ask(stolen);
        assert!(
            !site.tree("dev", "files").holds("stolen"),
            "{target} was stolen"
        );
    }
    assert_eq!(
        fs::read_to_string(&secret).unwrap(),
        "the gateway's own secret\n"
    );

    // A folder link: what lies below must not be listed.
    let top = site.gateway.data().display().to_string();
    raw.ask(|id| Request::of(packets::SYMLINK, id, &top).text("/files/data"));
    let listed = raw.ask(|id| Request::of(packets::OPENDIR, id, "/files/data"));
    assert_ne!(
        listed.kind,
        packets::HANDLE,
        "the gateway's data folder can be listed"
    );
    let resolved = raw.ask(|id| Request::of(packets::REALPATH, id, "/files/data/../../../../etc"));
    if resolved.kind == packets::NAME {
        assert!(
            !resolved.names()[0].starts_with(top.as_bytes()),
            "{resolved:?}"
        );
    }
}

#[test]
fn a_name_with_a_nul_or_too_long_is_an_error_and_no_more() {
    let site = deployed("e-names");
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    for path in [
        b"/code/nul\0.php".to_vec(),
        b"/code/index.php\0.jpg".to_vec(),
        [b"/code/".as_slice(), &[b'n'; 256]].concat(),
        [b"/code".as_slice(), &b"/folder".repeat(1000)].concat(),
        Vec::new(),
    ] {
        let opened = raw.ask(|id| Request::open(id, &path, WRITE));
        assert!(
            opened.status().is_some_and(|(code, _)| code != packets::OK),
            "{opened:?}"
        );
    }
    assert_eq!(raw.read_file("/code/index.php"), b"<?php echo 'first';\n");
}

/// The attack: between the check of a path and its use, a folder is swapped for a link.
///
/// Checked: however often it is tried, Live's code stays as it is.
#[test]
fn a_folder_swapped_for_a_link_in_time_gains_nothing() {
    let site = deployed("e-race");
    let tom = site.person(Role::TeamMember);
    let before = site.tree("live", "code");
    let mut raw = Raw::open(&site, tom, "live");
    raw.ask(|id| Request::of(packets::MKDIR, id, "/files/real").number(0))
        .must_be(packets::OK);
    raw.ask(|id| Request::of(packets::SYMLINK, id, "../code").text("/files/link"));
    raw.ask(|id| Request::of(packets::SYMLINK, id, "real").text("/files/swap"));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut swapper = Raw::open(&site, tom, "live");
            while !over.load(Ordering::Relaxed) {
                for target in ["../code", "real"] {
                    swapper.ask(|id| Request::of(packets::SYMLINK, id, target).text("/files/next"));
                    swapper.ask(|id| {
                        Request::extended(id, "posix-rename@openssh.com")
                            .text("/files/next")
                            .text("/files/swap")
                    });
                }
            }
        });
        for number in 0..300 {
            let path = format!("/files/swap/{number}.php");
            let opened = raw.ask(|id| Request::open(id, &path, WRITE));
            if opened.kind == packets::HANDLE {
                let handle = opened.handle();
                raw.ask(|id| Request::write(id, &handle, 0, b"evil"));
                raw.ask(|id| Request::of(packets::CLOSE, id, &handle));
            }
            raw.ask(|id| Request::of(packets::REMOVE, id, "/files/swap/index.php"));
        }
        over.store(true, Ordering::Relaxed);
    });
    site.tree("live", "code").must_equal(&before);
}

#[test]
fn the_path_for_files_in_code_behaves_as_files() {
    let gateway = SHARED.gateway();
    let site = gateway.site_with("e-uploads", &["--files-path", "content/uploads"]);
    site.deploy_all();
    let tom = site.person(Role::TeamMember);
    let desk = tom.desk("uploads");
    fs::write(desk.join("photo.jpg"), "a photo").unwrap();
    let put = |environment: &str, to: &str| -> Finished {
        site.sftp(
            tom,
            environment,
            format!("lcd {}\nput photo.jpg {to}\n", desk.display()),
        )
        .run()
    };
    for environment in ["dev", "live"] {
        put(environment, "/code/content/uploads/photo.jpg").ok();
        put(environment, "/files/other.jpg").ok();
        site.sftp(
            tom,
            environment,
            "ls /files/photo.jpg\nls /code/content/uploads/other.jpg\n",
        )
        .run()
        .ok();
        assert_eq!(
            site.tree(environment, "files").content("photo.jpg"),
            Some(&b"a photo"[..])
        );
    }
    put("live", "/code/content/photo.jpg").fails();
    site.sftp(tom, "live", "rm /code/content/uploads\n")
        .run()
        .fails();
    site.sftp(
        tom,
        "live",
        "rename /code/content/uploads/photo.jpg /code/photo.jpg\n",
    )
    .run()
    .fails();
    site.must(&["env:diffstat", "SITE.dev"]).says_not("photo");
}

fn refused_or_failed(reply: &Reply) {
    assert!(
        reply.status().is_some_and(|(code, _)| code != packets::OK),
        "{reply:?}"
    );
}

fn reads_nothing_of_the_host(raw: &mut Raw, path: &str) {
    let opened = raw.ask(|id| Request::open(id, path, packets::FLAG_READ));
    if opened.kind == packets::HANDLE {
        let handle = opened.handle();
        let read = raw.ask(|id| Request::read(id, &handle, 0, 100));
        assert_ne!(read.kind, packets::DATA, "{path} gave {:?}", read);
    }
}
