//! rsync over ssh with the real client: both ways, with the flags that people use, and what it may
//! never do.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Client, Finished, Person, Role, Shared, Site, Tree, wait_for};

pub(crate) static SHARED: Shared = Shared::new();

/// The flags that Pantheon documents for downloads and uploads, and those of its rsync plugin.
const DOCUMENTED: [&[&str]; 4] = [
    &["-rLvz", "--size-only", "--ipv4", "--progress"],
    &[
        "-rvlz",
        "--copy-unsafe-links",
        "--size-only",
        "--checksum",
        "--ipv4",
        "--progress",
    ],
    &[
        "-rlIpz",
        "--temp-dir=~/tmp",
        "--delay-updates",
        "--partial",
        "--ipv4",
        "--exclude=.git",
    ],
    &["-a", "--delete", "--partial", "--delay-updates"],
];

#[test]
fn documented_flags_carry_a_tree_both_ways() {
    let (site, tom) = site("r-flags");
    let desk = tom.desk("flags");
    let sample = Tree::sample().link("a/to-deep", "b/c");
    let plain = Tree::sample();
    for (number, flags) in DOCUMENTED.into_iter().enumerate() {
        // With -L, a link arrives as what it leads to.
        let carried = if flags[0].contains('L') {
            &plain
        } else {
            &sample
        };
        let up = desk.join(format!("up-{number}"));
        carried.write(&up);
        for area in ["files", "code", "tmp"] {
            let there = site.disk("dev", area).join(format!("set-{number}"));
            let remote = format!("/{area}/set-{number}/");
            rsync(&site, &tom, "dev", flags, &[&up_of(&up)], &remote)
                .run()
                .ok();
            Tree::read(&there).must_equal_but_modes(carried);
            let down = desk.join(format!("down-{number}-{area}"));
            // On the way down, this folder would be one of the person's own.
            let flags: Vec<&str> = flags
                .iter()
                .copied()
                .filter(|flag| !flag.starts_with("--temp"))
                .collect();
            fetch(&site, &tom, "dev", &flags, &remote, &down).run().ok();
            Tree::read(&down).must_equal_but_modes(carried);
        }
    }
    nothing_runs(&site);
}

#[test]
fn only_what_changed_is_sent_and_what_is_gone_is_removed() {
    let (site, tom) = site("r-mirror");
    let desk = tom.desk("mirror");
    let up = desk.join("up");
    Tree::sample().write(&up);
    let mirror = |site: &Site| {
        let flags = ["-a", "--delete", "--stats"];
        rsync(site, &tom, "dev", &flags, &[&up_of(&up)], "/files")
            .run()
            .ok()
    };
    mirror(&site);
    Tree::read(site.disk("dev", "files")).must_equal(&Tree::sample());
    let first = fs::metadata(site.disk("dev", "files").join("index.php")).unwrap();
    let source = fs::metadata(up.join("index.php")).unwrap();
    assert_eq!(first.mtime(), source.mtime(), "times are kept");
    fs::write(up.join("index.php"), "changed").unwrap();
    fs::remove_dir_all(up.join("many")).unwrap();
    mirror(&site).says("Number of regular files transferred: 1");
    let files = site.tree("dev", "files");
    assert!(!files.holds("many") && files.content("index.php") == Some(&b"changed"[..]));
    // One file, by its own name and by another.
    let one = up.join("index.php").display().to_string();
    rsync(&site, &tom, "dev", &["-t"], &[&one], "/code/renamed.php")
        .run()
        .ok();
    rsync(&site, &tom, "dev", &["-t", "-s"], &[&one], "/code/lib/")
        .run()
        .ok();
    let code = site.tree("dev", "code");
    assert_eq!(code.content("renamed.php"), Some(&b"changed"[..]));
    assert_eq!(code.content("lib/index.php"), Some(&b"changed"[..]));
    for path in ["renamed.php", "lib/index.php"] {
        let rows = audit(&site, &["--path", path]);
        assert!(rows.contains("\"write\""), "{path}: {rows}");
    }
}

#[test]
fn patterns_relative_names_and_lists_are_understood() {
    let (site, tom) = site("r-names");
    let desk = tom.desk("names");
    let odd = Tree::default()
        .file("a*b", "star")
        .file("axb", "x")
        .file("sp ace", "space")
        .file("[1]", "set");
    odd.write(site.disk("dev", "files").join("odd"));
    let get = |flags: &[&str], remote: &str, down: &str| {
        let down = desk.join(down);
        fetch(&site, &tom, "dev", flags, remote, &down).run().ok();
        Tree::read(&down)
    };
    let starred = get(&["-a"], "/files/odd/a*b", "star");
    assert!(starred.holds("a*b") && starred.holds("axb"));
    let quoted = get(&["-a"], "/files/odd/a\\*b", "quoted");
    assert!(quoted.holds("a*b") && !quoted.holds("axb"));
    assert!(get(&["-a"], "/files/odd/sp ace", "space").holds("sp ace"));
    assert!(get(&["-a"], "/files/odd/\\[1\\]", "set").holds("[1]"));
    assert!(get(&["-a"], "/files/odd", "folder").holds("odd/axb"));
    assert!(get(&["-a"], "/files", "area").holds("files/odd/axb"));
    assert!(get(&["-aR"], "/files/odd/axb", "relative").holds("files/odd/axb"));
    assert!(get(&["-as"], "files/odd/sp ace", "secluded").holds("sp ace"));
    fs::write(tom.desk("names").join("list"), "odd/axb\n").unwrap();
    let listed = get(&["-a", "--files-from=list"], "/files", "listed");
    assert!(listed.holds("odd/axb") && !listed.holds("odd/a*b"));
    ask(&site, &tom, &[&at(&site, "dev", "/files/odd/")])
        .run()
        .ok()
        .says("axb");
}

#[test]
fn what_rsync_did_is_in_the_audit_file_by_file() {
    let (site, tom) = site("r-audit");
    let desk = tom.desk("audit");
    let up = desk.join("up");
    Tree::default()
        .file("made/new.php", "12345")
        .file("made/odd\nname", "x")
        .link("made/link", "new.php")
        .write(&up);
    rsync(&site, &tom, "dev", &["-a"], &[&up_of(&up)], "/code/")
        .run()
        .ok();
    let rows = audit(&site, &["--user", "tom"]);
    for expected in [
        "made/new.php",
        "made/odd\\\\nname",
        "made/link",
        "\"mkdir\"",
        "\"symlink\"",
    ] {
        assert!(rows.contains(expected), "{expected} in {rows}");
    }
    let new = audit(&site, &["--path", "made/new.php"]);
    assert!(
        new.contains("\"bytes\": 5") || new.contains("\"bytes\":5"),
        "{new}"
    );
    // A dry run does nothing, and leaves no row that says it did.
    fs::write(up.join("made/dry.php"), "dry").unwrap();
    rsync(&site, &tom, "dev", &["-an"], &[&up_of(&up)], "/code/")
        .run()
        .ok();
    assert!(!site.tree("dev", "code").holds("made/dry.php"));
    assert!(!audit(&site, &["--path", "made/dry.php"]).contains("dry.php"));
    fs::remove_dir_all(up.join("made")).unwrap();
    rsync(
        &site,
        &tom,
        "dev",
        &["-a", "--delete"],
        &[&up_of(&up)],
        "/code/",
    )
    .run()
    .ok();
    let gone = audit(&site, &["--path", "made/new.php"]);
    assert!(gone.contains("\"remove\""), "{gone}");
}

/// Waits until no rsync of the gateway's has a folder of its own any more.
pub(crate) fn nothing_runs(site: &Site) {
    let spool = site.disk("dev", "uploads");
    wait_for("the end of rsync", Duration::from_secs(20), || {
        let runs = fs::read_dir(&spool).unwrap().flatten();
        let mut runs = runs.map(|entry| entry.file_name());
        (!runs.any(|name| name.to_string_lossy().starts_with("run-"))).then_some(())
    });
}

pub(crate) fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).at_another_computer(name);
    (site, tom)
}

pub(crate) fn at(site: &Site, environment: &str, place: &str) -> String {
    format!("{}:{place}", site.destination(environment))
}

/// A folder's content, as rsync names it.
pub(crate) fn up_of(folder: &Path) -> String {
    format!("{}/", folder.display())
}

pub(crate) fn rsync(
    site: &Site,
    person: &Person,
    environment: &str,
    flags: &[&str],
    from: &[&str],
    to: &str,
) -> Client {
    let to = at(site, environment, to);
    let words: Vec<&str> = flags
        .iter()
        .chain(from)
        .copied()
        .chain([to.as_str()])
        .collect();
    ask(site, person, &words)
}

pub(crate) fn fetch(
    site: &Site,
    person: &Person,
    environment: &str,
    flags: &[&str],
    from: &str,
    to: &Path,
) -> Client {
    fs::create_dir_all(to).unwrap();
    let from = at(site, environment, from);
    let to = up_of(to);
    let words: Vec<&str> = flags
        .iter()
        .copied()
        .chain([from.as_str(), to.as_str()])
        .collect();
    ask(site, person, &words)
}

pub(crate) fn ask(_site: &Site, person: &Person, words: &[&str]) -> Client {
    person
        .client("rsync")
        .folder(person.desk("names"))
        .args(["-e", &person.ssh_command()])
        .args(words)
}

pub(crate) fn audit(site: &Site, filter: &[&str]) -> String {
    let words = [
        "audit:list",
        "--site",
        "SITE",
        "--format",
        "json",
        "--limit",
        "1000",
    ];
    site.must(&[&words, filter].concat()).out()
}

/// Requires the row of the incident that was shown.
pub(crate) fn audited(site: &Site, refused: &Finished) {
    let screen = refused.screen();
    let incident = screen
        .split("[incident ")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .unwrap_or_else(|| panic!("no incident: {refused}"));
    let rows = audit(site, &["--decision", "refuse"]);
    assert!(rows.contains(incident), "no row of {incident}: {rows}");
}

pub(crate) fn everything(site: &Site, environment: &str) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    ["code", "files", "tmp", "logs", "backups"]
        .iter()
        .flat_map(|area| files_below(&site.disk(environment, area)))
        .map(|path| {
            let content = fs::read(&path).ok();
            (path, content)
        })
        .collect()
}

pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    found
}
