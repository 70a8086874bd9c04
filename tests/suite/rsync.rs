//! rsync over ssh with the real client: both ways, with the flags that people use, and what it may
//! never do.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Client, Finished, Person, Role, Shared, Site, Tree, tree, wait_for};

static SHARED: Shared = Shared::new();

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

#[test]
fn a_refused_area_is_refused_before_rsync_starts() {
    let (site, tom) = site("r-refused");
    site.deploy_all();
    let desk = tom.desk("refused");
    let up = desk.join("up");
    Tree::default().file("evil.php", "evil").write(&up);
    let vera = site.person(Role::Viewer);
    let dan = site.person(Role::Developer);
    site.set_mode("git");
    for (person, environment, place) in [
        (&tom, "live", "/code/"),
        (&tom, "test", "/code/"),
        (&tom, "dev", "/code/"),
        (&tom, "dev", "/logs/"),
        (&tom, "dev", "/backups/"),
        (&tom, "dev", "/"),
        (&tom, "dev", "/nowhere/"),
        (vera, "dev", "/files/"),
        (dan, "live", "/files/"),
    ] {
        let before = everything(&site, environment);
        let refused = rsync(
            &site,
            person,
            environment,
            &["-a", "--delete"],
            &[&up_of(&up)],
            place,
        )
        .run()
        .fails()
        .says("Refused: ");
        audited(&site, &refused);
        assert!(
            everything(&site, environment) == before,
            "{place} of {environment}"
        );
    }
    for (person, environment, place) in [(vera, "dev", "/files/"), (dan, "live", "/files/")] {
        let down = desk.join("never");
        let refused = fetch(&site, person, environment, &["-a"], place, &down)
            .run()
            .fails()
            .says("Refused: ");
        audited(&site, &refused);
    }
    fetch(&site, vera, "live", &["-a"], "/code/", &desk.join("viewer"))
        .run()
        .ok();
    assert!(Tree::read(desk.join("viewer")).holds("index.php"));
}

#[test]
fn options_that_reach_further_are_refused() {
    let (site, tom) = site("r-options");
    let desk = tom.desk("options");
    let up = desk.join("up");
    Tree::default().file("x", "x").write(&up);
    for option in [
        "--inplace",
        "--append",
        "--backup",
        "--link-dest=/etc",
        "--compare-dest=../../",
        "--copy-dest=/etc",
        "-M--log-file=/tmp/funicular-never",
        "-M--config=/etc/passwd",
        "-M--daemon",
        "-M--write-devices",
        "-M--super",
        "-M--fake-super",
        "-M--filter=merge /etc/passwd",
        "-M--exclude-from=/etc/passwd",
        "--usermap=*:root",
        "-K",
        "-X",
    ] {
        let before = everything(&site, "dev");
        rsync(
            &site,
            &tom,
            "dev",
            &["-a", option],
            &[&up_of(&up)],
            "/files/",
        )
        .run()
        .fails()
        .says("Refused: ")
        .says("[incident ");
        assert!(everything(&site, "dev") == before, "{option}");
    }
    for line in [
        "rsync --server --daemon --config=/etc/passwd .",
        "rsync --daemon",
        "rsync -a /etc /tmp",
        "rsync --server -vlogDtpre.iLsfxCIvu . /code/; touch /tmp/funicular-never",
        "/usr/bin/rsync --server -re.iLs . /code/",
    ] {
        let destination = site.destination("dev");
        tom.openssh("ssh")
            .args(["-T", &destination, line])
            .run()
            .fails();
    }
    assert!(!Path::new("/tmp/funicular-never").exists());
    let refused = fetch(
        &site,
        &tom,
        "dev",
        &["-a", "--remove-source-files"],
        "/code/",
        &desk.join("moved"),
    );
    refused.run().fails().says("Refused: ").says("[incident ");
    assert!(site.tree("dev", "code").holds("index.php"));
    // The first of a flood have rows of their own; the rest are counted.
    let rows = audit(&site, &["--decision", "refuse", "--rule", "rsync-option"]);
    assert!(rows.contains("--inplace"), "{rows}");
}

#[test]
fn no_link_leads_rsync_out_of_its_area() {
    let (site, tom) = site("r-links");
    let desk = tom.desk("links");
    let code = site.disk("dev", "code");
    let files = site.disk("dev", "files");
    fs::write(files.join("secret"), "secret of files").unwrap();
    let host_keys = site.gateway.data().join("host_keys");
    // Planted on the disk, past every rule.
    symlink("/etc/passwd", code.join("passwd")).unwrap();
    symlink("/etc", code.join("etc")).unwrap();
    symlink(&host_keys, code.join("keys")).unwrap();
    symlink("../../../files", code.join("up")).unwrap();
    symlink("/proc/self/root/etc/passwd", code.join("proc")).unwrap();
    for flags in [&["-rL"][..], &["-rl", "--copy-unsafe-links"], &["-rlk"]] {
        let down = desk.join(format!("down{}", flags.join("")));
        fetch(&site, &tom, "dev", flags, "/code/", &down).run();
        let got = Tree::read(&down);
        assert!(got.holds("index.php"));
        for path in ["passwd", "proc", "up/secret", "etc/passwd", "etc/hostname"] {
            assert!(got.content(path).is_none(), "{flags:?} gave {path}");
        }
        let keys = fs::read_dir(down.join("keys")).map(|found| found.count());
        assert!(keys.unwrap_or_default() == 0, "{flags:?} gave host keys");
    }
    for place in ["/code/etc/passwd", "/code/up/secret", "/code/keys/"] {
        let down = desk.join("through");
        fetch(&site, &tom, "dev", &["-rL"], place, &down)
            .run()
            .fails();
        assert!(!down.join("passwd").exists() && !down.join("secret").exists());
    }
    // Written through, or planted by the client.
    let up = desk.join("up");
    Tree::default().file("evil", "evil").write(&up);
    for place in ["/code/up/", "/code/etc/", "/code/keys/", "/code/up/made/"] {
        let before = everything(&site, "dev");
        rsync(&site, &tom, "dev", &["-a"], &[&up_of(&up)], place)
            .run()
            .fails();
        assert!(!files.join("evil").exists() && !host_keys.join("evil").exists());
        drop(before);
    }
    let planting = desk.join("planting");
    fs::create_dir_all(planting.join("deep")).unwrap();
    symlink("/etc/passwd", planting.join("absolute")).unwrap();
    symlink("../../../../../etc/passwd", planting.join("deep/climbs")).unwrap();
    rsync(
        &site,
        &tom,
        "dev",
        &["-a"],
        &[&up_of(&planting)],
        "/files/planted/",
    )
    .run();
    for link in ["absolute", "deep/climbs"] {
        let path = files.join("planted").join(link);
        let led = fs::canonicalize(&path);
        assert!(
            led.is_err() || led.unwrap().starts_with(&files),
            "{link} leads out of files"
        );
        if let Ok(content) = fs::read_link(&path) {
            assert!(content.is_relative(), "{link} -> {}", content.display());
        }
    }
}

#[test]
fn uploads_behind_their_link_outlive_a_mirror_of_code() {
    let site = SHARED
        .gateway()
        .site_with("r-uploads", &["--files-path", "wp-content/uploads"]);
    let tom = site
        .person(Role::TeamMember)
        .at_another_computer("r-uploads");
    let desk = tom.desk("uploads");
    fs::write(site.disk("dev", "files").join("photo.jpg"), "photo").unwrap();
    let link = site.disk("dev", "code").join("wp-content/uploads");
    let leads_to = fs::read_link(&link).unwrap();
    let up = desk.join("up");
    Tree::default().file("index.php", "new").write(&up);
    // A checkout that knows nothing of uploads.
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
    assert_eq!(fs::read_link(&link).unwrap(), leads_to);
    // One that has a folder of its own there.
    Tree::default()
        .file("wp-content/uploads/mine.jpg", "mine")
        .write(up.clone());
    for flags in [
        &["-a", "--delete"][..],
        &["-a", "--delete", "--delay-updates"],
        &["-rc", "--force", "--ignore-errors", "--delete-before"],
    ] {
        let refused = rsync(&site, &tom, "dev", flags, &[&up_of(&up)], "/code/")
            .run()
            .fails()
            .says("keeps its uploads");
        audited(&site, &refused);
        assert_eq!(fs::read_link(&link).unwrap(), leads_to, "{flags:?}");
        Tree::read(site.disk("dev", "files"))
            .must_equal(&Tree::default().file("photo.jpg", "photo"));
    }
    let refused = ask(
        &site,
        &tom,
        &[
            "-aR",
            "--no-implied-dirs",
            &format!("{}/./wp-content/uploads/mine.jpg", up.display()),
            &at(&site, "dev", "/code/"),
        ],
    );
    refused.run().fails();
    assert_eq!(fs::read_link(&link).unwrap(), leads_to);
    Tree::read(site.disk("dev", "files")).must_equal(&Tree::default().file("photo.jpg", "photo"));
    // By its name, it is /files.
    let mine = up.join("wp-content/uploads");
    rsync(
        &site,
        &tom,
        "dev",
        &["-a"],
        &[&up_of(&mine)],
        "/code/wp-content/uploads/",
    )
    .run()
    .ok();
    assert!(site.tree("dev", "files").holds("mine.jpg"));
    let down = desk.join("down");
    fetch(&site, &tom, "dev", &["-a"], "/code/", &down)
        .run()
        .ok();
    assert!(fs::symlink_metadata(down.join("wp-content/uploads")).is_err());
}

#[test]
fn gits_own_directory_is_neither_sent_nor_taken() {
    let (site, tom) = site("r-git");
    let desk = tom.desk("git");
    let up = desk.join("up");
    Tree::default()
        .file("index.php", "new")
        .file(".git/config", "evil")
        .file("lib/.GIT/hooks/x", "evil")
        .file(".gitignore", "kept")
        .write(&up);
    let refused = rsync(&site, &tom, "dev", &["-a"], &[&up_of(&up)], "/code/")
        .run()
        .fails()
        .says("git");
    audited(&site, &refused);
    let code = site.tree("dev", "code");
    assert!(code.holds(".gitignore") && !code.holds(".git") && !code.holds("lib/.GIT"));
    fs::create_dir(site.disk("dev", "code").join(".git")).unwrap();
    let down = desk.join("down");
    fetch(&site, &tom, "dev", &["-a"], "/code/", &down)
        .run()
        .ok();
    assert!(!down.join(".git").exists() && down.join(".gitignore").exists());
    fs::remove_dir(site.disk("dev", "code").join(".git")).unwrap();
}

#[test]
fn what_rsync_complains_of_is_shown_without_paths_of_the_server() {
    let (site, tom) = site("r-complains");
    let desk = tom.desk("complains");
    let up = desk.join("up");
    Tree::default().file("a", "a").write(&up);
    Client::new("mkfifo").arg(up.join("pipe")).run().ok();
    let code = site.disk("dev", "code");
    fs::write(code.join("secret"), "secret").unwrap();
    let data = site.gateway.data().display().to_string();
    rsync(&site, &tom, "dev", &["-a"], &[&up_of(&up)], "/code/odd/")
        .run()
        .fails()
        .says("pipe")
        .says("/code/odd")
        .says_not("generations")
        .says_not(&data);
    let odd = site.tree("dev", "code");
    assert!(odd.holds("odd/a") && !odd.holds("odd/pipe"));
    let down = desk.join("down");
    fetch(&site, &tom, "dev", &["-a"], "/code/nothing", &down)
        .run()
        .fails()
        .says("/code/nothing")
        .says("No such file")
        .says_not(&data);
}

#[test]
fn a_transfer_that_is_cut_off_leaves_the_old_file_and_can_go_on() {
    let (site, tom) = site("r-cut");
    let desk = tom.desk("cut");
    let up = desk.join("up");
    fs::create_dir_all(&up).unwrap();
    fs::write(up.join("big"), tree::noise(5, 24 << 20)).unwrap();
    let live = site.disk("dev", "files").join("big");
    fs::write(&live, "old").unwrap();
    let slowly = ["-a", "--partial", "--bwlimit=4096", "--no-compress", "-W"];
    let running = rsync(&site, &tom, "dev", &slowly, &[&up_of(&up)], "/files/").start();
    let spool = site.disk("dev", "uploads");
    let arrived = || {
        let temporary = files_below(&spool);
        temporary
            .iter()
            .filter_map(|path| fs::metadata(path).ok())
            .map(|found| found.len())
            .max()
    };
    wait_for("some of the file", Duration::from_secs(30), || {
        arrived().filter(|length| *length > 2 << 20)
    });
    assert_eq!(fs::read(&live).unwrap(), b"old");
    assert_eq!(fs::read_dir(live.parent().unwrap()).unwrap().count(), 1);
    running.kill();
    let kept = wait_for("the part to be kept", Duration::from_secs(20), || {
        let found = files_below(&spool);
        found
            .into_iter()
            .find(|path| path.to_string_lossy().contains("rsync-partial-") && path.ends_with("big"))
    });
    assert!(fs::metadata(&kept).unwrap().len() > 1 << 20);
    nothing_runs(&site);
    assert_eq!(fs::read(&live).unwrap(), b"old", "the old file is whole");
    let resumed = rsync(
        &site,
        &tom,
        "dev",
        &["-a", "--partial", "--no-whole-file", "--stats"],
        &[&up_of(&up)],
        "/files/",
    )
    .run()
    .ok();
    let matched = resumed.out();
    let matched = matched
        .lines()
        .find_map(|line| line.strip_prefix("Matched data: "))
        .and_then(|rest| rest.split(' ').next())
        .map(|number| number.replace(',', "").parse::<u64>().unwrap())
        .unwrap();
    assert!(matched > 1 << 20, "nothing was resumed: {resumed}");
    assert!(fs::read(&live).unwrap() == tree::noise(5, 24 << 20));
    assert!(!kept.exists());
}

#[test]
fn files_that_wait_for_all_the_others_are_no_work() {
    let (site, tom) = site("r-delayed");
    let desk = tom.desk("delayed");
    let up = desk.join("up");
    fs::create_dir_all(&up).unwrap();
    fs::write(up.join("a-small"), "small").unwrap();
    fs::write(up.join("big"), tree::noise(8, 24 << 20)).unwrap();
    let code = site.disk("dev", "code");
    let before = site.tree("dev", "code");
    let slowly = [
        "-a",
        "--delete",
        "--partial",
        "--delay-updates",
        "--bwlimit=4096",
        "-W",
    ];
    let running = rsync(&site, &tom, "dev", &slowly, &[&up_of(&up)], "/code/new/").start();
    let spool = site.disk("dev", "uploads");
    wait_for("some of the file", Duration::from_secs(30), || {
        let found = files_below(&spool);
        let mut lengths = found.iter().filter_map(|path| fs::metadata(path).ok());
        lengths.any(|found| found.len() > 2 << 20).then_some(())
    });
    assert!(
        !code.join("new/a-small").exists(),
        "no file comes before the others"
    );
    running.kill();
    nothing_runs(&site);
    assert!(!code.join("new/a-small").exists() && !code.join("new/big").exists());
    site.must(&["env:diffstat", "SITE.dev"])
        .says_not("small")
        .says_not("big");
    let again = ["-a", "--delete", "--partial", "--delay-updates"];
    rsync(&site, &tom, "dev", &again, &[&up_of(&up)], "/code/new/")
        .run()
        .ok();
    let after = before
        .file("new/a-small", "small")
        .file("new/big", tree::noise(8, 24 << 20));
    site.tree("dev", "code").must_equal_but_modes(&after);
    site.must(&["env:diffstat", "SITE.dev"]).says("new/big");
}

#[test]
fn a_lost_role_or_a_mode_switch_ends_a_running_rsync() {
    let (site, tom) = site("r-switch");
    let desk = tom.desk("switch");
    let up = desk.join("up");
    fs::create_dir_all(&up).unwrap();
    fs::write(up.join("big"), tree::noise(6, 24 << 20)).unwrap();
    let slowly = ["-a", "--partial", "--bwlimit=2048", "-W"];
    let spool = site.disk("dev", "uploads");
    let changes: [(&str, &[&str]); 2] = [
        ("/code/", &["connection:set", "SITE.dev", "git", "--yes"]),
        ("/files/", &["site:team:role", "SITE", "tom", "viewer"]),
    ];
    for (place, change) in changes {
        let running = rsync(&site, &tom, "dev", &slowly, &[&up_of(&up)], place).start();
        wait_for("some of the file", Duration::from_secs(30), || {
            files_below(&spool)
                .iter()
                .filter_map(|path| fs::metadata(path).ok())
                .any(|found| found.len() > 1 << 20)
                .then_some(())
        });
        site.must(change);
        let since = std::time::Instant::now();
        let ended = running.finish().fails().says("Refused: ");
        assert!(
            since.elapsed() < Duration::from_secs(3),
            "{:?}",
            since.elapsed()
        );
        audited(&site, &ended);
        assert!(
            !site.tree("dev", place.trim_matches('/')).holds("big"),
            "{place}"
        );
    }
    site.must(&["site:team:role", "SITE", "tom", "team_member"]);
}

/// Waits until no rsync of the gateway's has a folder of its own any more.
fn nothing_runs(site: &Site) {
    let spool = site.disk("dev", "uploads");
    wait_for("the end of rsync", Duration::from_secs(20), || {
        let runs = fs::read_dir(&spool).unwrap().flatten();
        let mut runs = runs.map(|entry| entry.file_name());
        (!runs.any(|name| name.to_string_lossy().starts_with("run-"))).then_some(())
    });
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).at_another_computer(name);
    (site, tom)
}

fn at(site: &Site, environment: &str, place: &str) -> String {
    format!("{}:{place}", site.destination(environment))
}

/// A folder's content, as rsync names it.
fn up_of(folder: &Path) -> String {
    format!("{}/", folder.display())
}

fn rsync(
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

fn fetch(
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

fn ask(_site: &Site, person: &Person, words: &[&str]) -> Client {
    person
        .client("rsync")
        .folder(person.desk("names"))
        .args(["-e", &person.ssh_command()])
        .args(words)
}

fn audit(site: &Site, filter: &[&str]) -> String {
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
fn audited(site: &Site, refused: &Finished) {
    let screen = refused.screen();
    let incident = screen
        .split("[incident ")
        .nth(1)
        .and_then(|rest| rest.split(']').next())
        .unwrap_or_else(|| panic!("no incident: {refused}"));
    let rows = audit(site, &["--decision", "refuse"]);
    assert!(rows.contains(incident), "no row of {incident}: {rows}");
}

fn everything(site: &Site, environment: &str) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    ["code", "files", "tmp", "logs", "backups"]
        .iter()
        .flat_map(|area| files_below(&site.disk(environment, area)))
        .map(|path| {
            let content = fs::read(&path).ok();
            (path, content)
        })
        .collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
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
