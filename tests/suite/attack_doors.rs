//! The other ways in: links that come with a commit, traps that lie in code when it is committed, moves
//! from one area to another, and names that play with a terminal or a log.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use support::packets::{self, Request};
use support::raw::Raw;
use support::traps::{self, Outside, Print, SECRET, SECRET_NAME, Trap};
use support::{Clone, Gateway, Role, Site};

/// The attack: commit links that lead out, push them, and ask for what they lead to in each
/// environment that the commit reaches.
#[test]
fn links_in_a_commit_are_no_doors() {
    let (site, outside) = site("d-push", &[]);
    let before = Print::of([outside.folder()]);
    site.must(&["connection:set", "SITE.dev", "git"]);
    let tom = site.person(Role::TeamMember).clone();
    let clone = Clone::new(&site, &tom);
    let folder = clone.folder().to_owned();
    let environment = fs::canonicalize(site.disk("dev", "code")).unwrap();
    let shown = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let targets = [
        shown(outside.folder()),
        "/etc".to_owned(),
        "/proc/self/root".to_owned(),
        "../../files".to_owned(),
        "../../../../live/files".to_owned(),
        "../../../../../repository.git".to_owned(),
        format!("{}/../../../../live/current/code", shown(&environment)),
    ];
    let mut sent = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        let name = format!("door-{number}");
        symlink(target, folder.join(&name)).unwrap();
        clone.must(&["add", "--all"]);
        clone.must(&["commit", "--quiet", "--message", &name]);
        // It may be refused; then its commit goes away again.
        if clone.git(&["push", "--quiet", "dev", "main"]).run().code == Some(0) {
            sent.push(name);
        } else {
            clone.must(&["reset", "--quiet", "--hard", "HEAD~1"]);
        }
    }
    site.deploy_all();
    let live = Print::of([site.disk("live", "files").as_path()]);
    for environment in ["dev", "test", "live"] {
        let mut raw = Raw::open(&site, &tom, environment);
        for door in &sent {
            for below in ["", SECRET_NAME, "passwd", "etc/passwd", "config", "page"] {
                let path = format!("/code/{door}/{below}");
                let path = path.trim_end_matches('/').to_owned();
                for flags in [
                    packets::FLAG_READ,
                    packets::FLAG_WRITE,
                    packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE,
                ] {
                    let opened = raw.ask(|id| Request::open(id, &path, flags));
                    assert_ne!(opened.kind, packets::HANDLE, "{path} in {environment}");
                }
                for request in [
                    Request::of(packets::OPENDIR, 1, &path),
                    Request::of(packets::STAT, 2, &path),
                    Request::of(packets::SETSTAT, 3, &path).permissions(0o777),
                ] {
                    raw.send(&request);
                    let reply = raw.receive();
                    assert!(
                        reply.status().is_some(),
                        "{path} in {environment}: {reply:?}"
                    );
                }
            }
        }
    }
    // In SFTP mode the release is made anew, to be written.
    site.must(&["connection:set", "SITE.dev", "sftp"]);
    Print::of([outside.folder()]).must_equal(&before, "pushed links");
    Print::of([site.disk("live", "files").as_path()]).must_equal(&live, "pushed links");
}

/// The attack: where the release gets its link to the uploads, or a folder on the way to it, the commit
/// has a link of its own.
#[test]
fn a_link_in_the_way_of_uploads_is_not_followed() {
    let (site, outside) = site("d-uploads", &["--files-path", "content/uploads"]);
    let before = Print::of([outside.folder()]);
    site.must(&["connection:set", "SITE.dev", "git"]);
    let tom = site.person(Role::TeamMember).clone();
    let clone = Clone::new(&site, &tom);
    let target = outside.folder().to_str().unwrap().to_owned();
    for (name, target) in [
        ("content", target.as_str()),
        ("content", "../../../../live/files"),
        ("content/uploads", target.as_str()),
    ] {
        let place = clone.folder().join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink(target, &place).unwrap();
        clone.must(&["add", "--all"]);
        clone.must(&["commit", "--quiet", "--message", name]);
        let pushed = clone.git(&["push", "--quiet", "dev", "main"]).run();
        Print::of([outside.folder()]).must_equal(&before, &format!("{name}: {pushed}"));
        if pushed.code == Some(0) {
            site.command(&["env:deploy", "SITE.test"]).run();
            site.command(&["env:deploy", "SITE.live"]).run();
            let mut raw = Raw::open(&site, &tom, "dev");
            let path = format!("/code/content/{SECRET_NAME}");
            let opened = raw.ask(|id| Request::open(id, &path, packets::FLAG_READ));
            assert_ne!(opened.kind, packets::HANDLE, "{path}");
        }
        Print::of([outside.folder()]).must_equal(&before, &format!("{name}, deployed"));
        assert!(
            !site.disk("live", "files").join("uploads").exists(),
            "{name}"
        );
        clone.must(&["reset", "--quiet", "--hard", "HEAD~1"]);
        let _ = fs::remove_dir_all(clone.folder().join("content"));
        clone
            .git(&["push", "--quiet", "--force", "dev", "main"])
            .run();
    }
}

/// The attack: plant traps in Dev's code, and have the gateway itself walk over them.
#[test]
fn traps_in_code_bring_nothing_into_a_commit() {
    let (site, outside) = site("d-commit", &[]);
    let before = Print::of([outside.folder(), site.disk("live", "files").as_path()]);
    let code = fs::canonicalize(site.disk("dev", "code")).unwrap();
    let environment = code.ancestors().nth(3).unwrap().to_owned();
    for (number, trap) in Trap::all(&outside, &environment, &[]).iter().enumerate() {
        let folder = code.join(format!("trap-{number}"));
        fs::create_dir(&folder).unwrap();
        trap.plant(&folder.join("trap"));
    }
    // Where git's own folder would be believed.
    symlink(outside.folder(), code.join(".git")).unwrap();
    for words in [
        &["env:diffstat", "SITE.dev"][..],
        &["env:commit", "SITE.dev", "-m", "traps"],
        &["env:discard", "SITE.dev", "--yes"],
        &["connection:set", "SITE.dev", "git", "--yes"],
        &["connection:set", "SITE.dev", "sftp"],
        &["env:deploy", "SITE.test", "--note", "traps"],
        &["env:deploy", "SITE.live", "--note", "traps"],
    ] {
        // Some may be refused; none may go outside, and none may wait for a pipe.
        site.command(words)
            .limit(std::time::Duration::from_secs(60))
            .run();
        Print::of([outside.folder(), site.disk("live", "files").as_path()])
            .must_equal(&before, &words.join(" "));
    }
    // The hard link is a file of the site like any other; the rest must not have been read.
    let trees: Vec<_> = ["dev", "test", "live"]
        .iter()
        .flat_map(|environment| traps::leaks(&site.disk(environment, "code")))
        .collect();
    let hard = Trap::all(&outside, &environment, &[])
        .iter()
        .position(Trap::is_hard_link)
        .unwrap();
    let trees: Vec<_> = trees
        .into_iter()
        .filter(|path| !path.to_string_lossy().contains(&format!("trap-{hard}/")))
        .collect();
    assert!(trees.is_empty(), "{trees:?}");
}

/// The attack: move a folder with traps in it from one area to another, which goes by content.
#[test]
fn what_is_moved_between_areas_takes_nothing_along() {
    let (site, outside) = site("d-moves", &[]);
    let before = Print::of([outside.folder()]);
    let files = fs::canonicalize(site.disk("dev", "files")).unwrap();
    let traps = Trap::all(&outside, files.parent().unwrap(), &[]);
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    for (number, trap) in traps.iter().enumerate() {
        let folder = files.join(format!("moved-{number}"));
        fs::create_dir_all(folder.join("inside")).unwrap();
        if !trap.plant(&folder.join("inside/trap")) {
            continue;
        }
        fs::write(folder.join("inside/page"), "a page\n").unwrap();
        let (from, to) = (
            format!("/files/moved-{number}"),
            format!("/code/moved-{number}"),
        );
        let moved = raw.ask(|id| Request::of(packets::RENAME, id, &from).text(&to));
        let here = folder.join("inside/page").exists();
        let there = site
            .disk("dev", "code")
            .join(format!("moved-{number}/inside/page"))
            .exists();
        assert!(
            here != there,
            "{}: {moved:?}: neither moved nor left",
            trap.name
        );
        Print::of([outside.folder()]).must_equal(&before, trap.name);
        if !trap.is_hard_link() {
            assert_eq!(
                traps::leaks(&site.disk("dev", "code")),
                Vec::<std::path::PathBuf>::new()
            );
        } else if there {
            // It was moved by its content: what is in code now is another file.
            let moved = format!("/code/moved-{number}/inside/trap");
            let handle = raw.open_file(&moved, packets::FLAG_WRITE);
            raw.ask(|id| Request::write(id, &handle, 0, b"evil"))
                .must_be(packets::OK);
            raw.ask(|id| Request::of(packets::CLOSE, id, &handle));
            Print::of([outside.folder()]).must_equal(&before, "written after the move");
            fs::remove_file(
                site.disk("dev", "code")
                    .join(format!("moved-{number}/inside/trap")),
            )
            .unwrap();
        }
    }
}

/// The attack: names that end a line of the log, colour a terminal, or end a string early.
#[test]
fn names_do_not_play_with_who_reads_them() {
    let (site, _outside) = site("d-names", &[]);
    let tom = site.person(Role::TeamMember);
    let odd: [&[u8]; 6] = [
        b"line\nWARN all is well\r\n",
        b"\x1b[2J\x1b]0;owned\x07",
        b"\xff\xfe\x80",
        "right\u{202e}gpj.exe".as_bytes(),
        b"tab\there\x08\x7f",
        b"' \" $(id) `id` ; | %s %n \\",
    ];
    for (environment, area, written) in [
        ("dev", "files", true),
        ("dev", "code", true),
        ("dev", "tmp", true),
        ("test", "files", true),
        ("test", "code", false),
        ("live", "files", true),
        ("live", "code", false),
    ] {
        let mut raw = Raw::open(&site, tom, environment);
        for name in odd {
            let path = [b"/", area.as_bytes(), b"/", name].concat();
            let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
            let opened = raw.ask(|id| Request::open(id, &path, flags));
            assert_eq!(opened.kind == packets::HANDLE, written, "{opened:?}");
            if !written {
                harmless(&opened.status().unwrap().1);
            }
            if written {
                raw.ask(|id| Request::of(packets::CLOSE, id, opened.handle()))
                    .must_be(packets::OK);
            }
            let with = |end: &[u8]| [path.as_slice(), end].concat();
            let (linked, moved, folder, last) = (with(b"1"), with(b"2"), with(b"3"), with(b"5"));
            let asked: [&dyn Fn(u32) -> Request; 9] = [
                &|id| Request::of(packets::SETSTAT, id, &path).permissions(0o600),
                &|id| {
                    Request::extended(id, "hardlink@openssh.com")
                        .text(&path)
                        .text(&linked)
                },
                &|id| Request::of(packets::REMOVE, id, &linked),
                &|id| Request::of(packets::RENAME, id, &path).text(&moved),
                &|id| Request::of(packets::MKDIR, id, &folder).number(0),
                &|id| Request::of(packets::RMDIR, id, &folder),
                &|id| Request::of(packets::MKDIR, id, &path).number(0),
                &|id| Request::of(packets::SYMLINK, id, name).text(with(b"4")),
                &|id| {
                    Request::extended(id, "posix-rename@openssh.com")
                        .text(&moved)
                        .text(&last)
                },
            ];
            for (number, request) in asked.iter().enumerate() {
                let (code, message) = raw.ask(request).status().unwrap();
                assert_eq!(code == packets::OK, written, "{number}: {message:?}");
                harmless(&message);
            }
        }
        for (length, fits) in [(255, written), (256, false), (4000, false)] {
            let path = [format!("/{area}/").as_bytes(), &vec![b'n'; length]].concat();
            let made = raw.ask(|id| Request::of(packets::MKDIR, id, &path).number(0));
            assert_eq!(
                made.status().unwrap().0 == packets::OK,
                fits,
                "{length}: {made:?}"
            );
        }
        for path in [&b"/files/a\0b"[..], b"/files/a\0/../../code/index.php"] {
            let opened = raw.ask(|id| Request::open(id, path, packets::FLAG_READ));
            assert_ne!(opened.kind, packets::HANDLE);
        }
        raw.end();
        raw.must_end();
        harmless(&raw.stderr());
    }
    for format in ["table", "json"] {
        let listed = site.must(&[
            "audit:list",
            "--site",
            "SITE",
            "--limit",
            "2000",
            "--format",
            format,
        ]);
        assert!(listed.out().contains("WARN all is well"), "{listed}");
        harmless(&listed.out());
        let rows = listed
            .out()
            .lines()
            .filter(|line| line.trim_start().starts_with("WARN"))
            .count();
        assert_eq!(rows, 0, "a name began a line of its own: {listed}");
    }
    harmless(&site.must(&["env:diffstat", "SITE.dev"]).out());
    let log = site.gateway.logged();
    assert!(
        !log.lines().any(|line| line.starts_with("WARN all")),
        "{log}"
    );
    assert!(
        !log.contains("\x1b[2J") && !log.contains('\u{202e}'),
        "{log}"
    );
}

/// Text that a terminal shows as it is.
#[track_caller]
fn harmless(text: &str) {
    let odd = text.chars().find(|character| {
        (character.is_control() && !['\n', '\r', '\t'].contains(character))
            || ('\u{202a}'..='\u{202e}').contains(character)
    });
    assert!(odd.is_none(), "{odd:?} in {text:?}");
}

fn site(name: &str, options: &[&str]) -> (Site, Outside) {
    let gateway = Arc::new(Gateway::start());
    let site = gateway.site_with(name, options);
    site.deploy_all();
    for environment in ["dev", "live"] {
        fs::write(site.disk(environment, "files").join("page"), "a page\n").unwrap();
    }
    let outside = Outside::new(gateway.folder());
    assert_eq!(fs::read_to_string(outside.file()).unwrap(), SECRET);
    (site, outside)
}
