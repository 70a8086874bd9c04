//! OpenSSH's `sftp` and `scp` against the gateway: what arrives is, byte for byte, what was sent.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use support::packets::{self, Request};
use support::raw::Raw;
use support::{Person, Role, Shared, Site, Tree, tree};

#[test]
fn a_tree_goes_up_and_comes_down_unchanged() {
    let (site, tom) = site("t-tree");
    for area in ["code", "files"] {
        let desk = tom.desk(&format!("tree-{area}"));
        let sample = awkward_tree();
        sample.write(desk.join("up"));
        let batch = format!(
            "lcd {0}\ncd /{area}\nput -r up\nget -r up down\n",
            desk.display()
        );
        site.sftp(&tom, "dev", batch).run().ok();
        Tree::read(site.disk("dev", area).join("up")).must_equal(&sample);
        Tree::read(desk.join("down")).must_equal(&sample);
    }
}

#[test]
fn names_of_every_kind_are_kept_as_bytes() {
    let (site, tom) = site("t-names");
    let desk = tom.desk("names");
    let names: [&[u8]; 9] = [
        b"caf\xe9",
        b"caf\xc3\xa9",
        b"\xff\xfe",
        b"two  spaces",
        b"double\"quote",
        b"single'quote",
        b"-leading-dash",
        b"...",
        b"star*[1]?",
    ];
    let mut batch = format!("lcd {}\n", desk.display()).into_bytes();
    for (number, name) in names.iter().enumerate() {
        fs::write(desk.join(number.to_string()), name).unwrap();
        batch.extend(format!("put {number} ").bytes());
        batch.extend(quoted(&[b"/code/", *name].concat()));
        batch.extend(b"\nget ");
        batch.extend(quoted(&[b"/code/", *name].concat()));
        batch.extend(format!(" back-{number}\n").bytes());
    }
    site.sftp(&tom, "dev", batch).run().ok();
    let code = site.tree("dev", "code");
    for (number, name) in names.iter().enumerate() {
        assert_eq!(code.content(name), Some(*name), "{}", name.escape_ascii());
        assert_eq!(
            fs::read(desk.join(format!("back-{number}"))).unwrap(),
            *name
        );
    }
}

#[test]
fn a_large_file_is_exact_however_it_is_cut() {
    let (site, tom) = site("t-large");
    let desk = tom.desk("large");
    let content = tree::noise(7, 24 * 1024 * 1024 + 13);
    fs::write(desk.join("up"), &content).unwrap();
    let ways: [&[&str]; 6] = [
        &[],
        &["-R", "64", "-B", "261120"],
        &["-R", "256", "-B", "262000"],
        &["-R", "1", "-B", "4096"],
        &["-C"],
        &["-o", "RekeyLimit=1M"],
    ];
    for (number, options) in ways.iter().enumerate() {
        let batch = format!(
            "lcd {}\nput up /files/{number}\nget /files/{number} down\n",
            desk.display()
        );
        site.sftp_with(&tom, "dev", options, batch).run().ok();
        same_bytes(
            &site.disk("dev", "files").join(number.to_string()),
            &content,
        );
        same_bytes(&desk.join("down"), &content);
    }
}

#[test]
fn broken_transfers_resume_where_they_stopped() {
    let (site, tom) = site("t-resume");
    let desk = tom.desk("resume");
    let content = tree::noise(8, 3_000_000);
    // The part that is there already differs from the original: a client that started again from
    // the front would be found out.
    let mut resumed = content.clone();
    resumed[..1_000_000].fill(b'x');
    fs::write(desk.join("whole"), &content).unwrap();
    fs::write(desk.join("part"), &resumed[..1_000_000]).unwrap();
    fs::write(desk.join("down"), &resumed[..1_000_000]).unwrap();
    let batch = format!(
        "lcd {}\nput part /files/up\nreput whole /files/up\nput whole /files/whole\n\
         reget /files/whole down\nput part /files/also\nput -a whole /files/also\n",
        desk.display()
    );
    site.sftp(&tom, "dev", batch).run().ok();
    same_bytes(&site.disk("dev", "files").join("up"), &resumed);
    same_bytes(&site.disk("dev", "files").join("also"), &resumed);
    same_bytes(&desk.join("down"), &resumed);
}

#[test]
fn a_file_of_more_than_four_gibibytes_is_whole() {
    const SIZE: u64 = (4 << 30) + (5 << 20) + 3;
    // The ends, the middle, and both sides of the border where 32 bits end.
    const PROBES: [u64; 5] = [0, SIZE / 2, (4 << 30) - 4, (4 << 30) + 1, SIZE - 7];
    let (site, tom) = site("t-huge");
    let desk = tom.desk("huge");
    let local = File::create(desk.join("up")).unwrap();
    local.set_len(SIZE).unwrap();
    for probe in PROBES {
        local.write_all_at(b"here", probe).unwrap();
    }
    let mut raw = Raw::open(&site, &tom, "dev");
    let handle = raw.open_file("/files/huge", packets::FLAG_WRITE | packets::FLAG_CREATE);
    for probe in PROBES {
        raw.ask(|id| Request::write(id, &handle, probe, b"here"))
            .must_be(packets::OK);
    }
    let size = |id| Request::of(packets::FSETSTAT, id, &handle).size(SIZE);
    raw.ask(size).must_be(packets::OK);
    raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
        .must_be(packets::OK);
    let attributes = raw
        .ask(|id| Request::of(packets::STAT, id, "/files/huge"))
        .attributes();
    assert_eq!(attributes.size, Some(SIZE));
    drop(raw);

    // Down in full; up only the last part, after the border.
    let batch = format!("lcd {}\nget /files/huge down\n", desk.display());
    let limit = Duration::from_secs(300);
    site.sftp(&tom, "dev", batch).limit(limit).run().ok();
    let down = File::open(desk.join("down")).unwrap();
    assert_eq!(down.metadata().unwrap().len(), SIZE);
    probes_are_there(&down, &PROBES);
    drop(down);
    fs::remove_file(desk.join("down")).unwrap();

    let mut raw = Raw::open(&site, &tom, "dev");
    let shortened = |id| Request::of(packets::SETSTAT, id, "/files/huge").size((4 << 30) - 100_000);
    raw.ask(shortened).must_be(packets::OK);
    drop(raw);
    let batch = format!("lcd {}\nreput up /files/huge\n", desk.display());
    site.sftp(&tom, "dev", batch).limit(limit).run().ok();
    let on_disk = File::open(site.disk("dev", "files").join("huge")).unwrap();
    assert_eq!(on_disk.metadata().unwrap().len(), SIZE);
    probes_are_there(&on_disk, &PROBES);
}

#[test]
fn an_upload_replaces_what_was_there() {
    let (site, tom) = site("t-replace");
    let desk = tom.desk("replace");
    fs::write(desk.join("long"), "a long text that comes first").unwrap();
    fs::write(desk.join("short"), "short").unwrap();
    fs::write(desk.join("empty"), "").unwrap();
    let batch = format!(
        "lcd {}\nput long /code/text\nput short /code/text\nget /code/text down-short\n\
         put long /code/none\nput empty /code/none\nget /code/none down-empty\n",
        desk.display()
    );
    site.sftp(&tom, "dev", batch).run().ok();
    let code = site.tree("dev", "code");
    assert_eq!(code.content("text"), Some(&b"short"[..]));
    assert_eq!(code.content("none"), Some(&b""[..]));
    assert_eq!(fs::read(desk.join("down-short")).unwrap(), b"short");
    assert_eq!(fs::read(desk.join("down-empty")).unwrap(), b"");
}

#[test]
fn a_folder_of_twenty_thousand_entries_is_listed_whole() {
    let (site, tom) = site("t-many");
    let mut raw = Raw::open(&site, &tom, "dev");
    raw.ask(|id| Request::of(packets::MKDIR, id, "/files/many").number(0))
        .must_be(packets::OK);
    for hundred in 0..200u32 {
        let ids: Vec<u32> = (0..100).map(|_| raw.id()).collect();
        let mut bytes = Vec::new();
        for (one, id) in ids.iter().enumerate() {
            let path = format!("/files/many/entry-{:05}", hundred * 100 + one as u32);
            // OpenSSH's order: the target first, then the link.
            let request = match one % 2 {
                0 => Request::of(packets::MKDIR, *id, path).number(0),
                _ => Request::of(packets::SYMLINK, *id, "nowhere").text(path),
            };
            bytes.extend(request.bytes());
        }
        raw.send_bytes(&bytes);
        for reply in raw.answers(ids).values() {
            reply.must_be(packets::OK);
        }
    }
    drop(raw);
    for list in [
        "ls -1 /files/many",
        "ls -la /files/many",
        "ls -1f /files/many",
    ] {
        let listed = site.sftp(&tom, "dev", format!("{list}\n")).run().ok().out();
        let entries = listed
            .lines()
            .filter(|line| line.contains("entry-"))
            .count();
        assert_eq!(entries, 20_000, "{list}");
    }
}

#[test]
fn times_and_modes_are_kept_on_request() {
    let (site, tom) = site("t-times");
    let desk = tom.desk("times");
    Tree::default()
        .program("tool", "#!/bin/sh\n")
        .file("page", "page\n")
        .write(desk.join("up"));
    tom.client("touch")
        .args(["-d", "2001-02-03 04:05:06 UTC", "up/tool", "up/page"])
        .folder(&desk)
        .run()
        .ok();
    let batch = format!(
        "lcd {}\nput -pr up /code/up\nget -pr /code/up down\n",
        desk.display()
    );
    site.sftp(&tom, "dev", batch).run().ok();
    for place in [site.disk("dev", "code").join("up"), desk.join("down")] {
        Tree::read(&place).must_equal(&Tree::read(desk.join("up")));
        for name in ["tool", "page"] {
            let modified = fs::metadata(place.join(name)).unwrap().mtime();
            assert_eq!(modified, 981_173_106, "{name} in {}", place.display());
        }
    }
}

#[test]
fn scp_copies_both_ways() {
    let (site, tom) = site("t-scp");
    let desk = tom.desk("scp");
    let sample = Tree::sample().without(|path| path.contains(&b'\\'));
    sample.write(desk.join("up"));
    let there = site.destination("dev");
    tom.openssh("scp")
        .args(["-r", "up", &format!("{there}:/files/scp")])
        .folder(&desk)
        .run()
        .ok();
    Tree::read(site.disk("dev", "files").join("scp")).must_equal(&sample);
    tom.openssh("scp")
        .args(["-r", &format!("{there}:/files/scp"), "down"])
        .folder(&desk)
        .run()
        .ok();
    Tree::read(desk.join("down")).must_equal(&sample);
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}

pub(crate) static SHARED: Shared = Shared::new();

/// What only a recursive copy can carry: no batch command can name these.
fn awkward_tree() -> Tree {
    Tree::sample()
        .file("new\nline", "a name of two lines\n")
        .file("control\x01\x1b[31m", "control characters\n")
        .program("bin/tool", "#!/bin/sh\n")
}

/// Quotes a path for OpenSSH's `sftp`, so that nothing in it is a pattern.
fn quoted(path: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in path {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    quoted
}

#[track_caller]
fn same_bytes(file: &Path, content: &[u8]) {
    let found = fs::read(file).unwrap();
    let first = found
        .iter()
        .zip(content)
        .position(|(left, right)| left != right);
    assert_eq!(
        (found.len(), first),
        (content.len(), None),
        "{} differs",
        file.display()
    );
}

fn probes_are_there(file: &File, probes: &[u64]) {
    for probe in probes {
        let mut around = [1; 8];
        file.read_exact_at(&mut around[..7], *probe).unwrap();
        assert_eq!(&around[..4], b"here", "at {probe}");
    }
}
