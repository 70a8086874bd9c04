//! rclone: copies, checks, mounts. (`sftp_clients` has its sync of a whole tree.)
//!
//! It is written in Go, whose SFTP library turns a refusal into "permission denied" before rclone sees
//! it, and throws the channel's stderr away; the reason is in the audit.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use support::{Client, Mount, Tree, fuse_is_there, tree, wait_for};

use crate::client_sshfs::exercise;
use crate::client_stage::{AGE, Stage, age};

/// What a mount by rclone does not do on any server, OpenSSH's among them: it has no links, keeps no
/// modes, and its cache knows nothing of what happens to an open file's name.
const NOT_WITH_RCLONE: [&str; 9] = [
    "truncate_up_and_down",
    "rename_over_a_file_that_is_written",
    "save_as_editors_do",
    "rename_folders",
    "unlink_a_file_that_is_open",
    "symbolic_links",
    "symbolic_links_upwards",
    "hard_links",
    "modes",
];

#[test]
fn rclone_copies_in_parallel_and_keeps_times() {
    let stage = Stage::dev("m-rclone");
    let sample = Tree::sample().without(|path| std::str::from_utf8(path).is_err());
    sample.write(stage.desk.join("up"));
    age(&stage, &["up/index.php", "up/two-megabytes"]);
    let rclone = |words: &[&str]| rclone(&stage, "dev").args(words).run().ok();
    let parallel = [
        "--transfers",
        "8",
        "--checkers",
        "8",
        "--sftp-concurrency",
        "128",
    ];
    let empty = "--create-empty-src-dirs";
    rclone(&[&["copy", empty, "up", ":sftp:/code/up"], &parallel[..]].concat());
    Tree::read(stage.disk("code/up")).must_equal_but_modes(&sample);
    for file in ["index.php", "two-megabytes"] {
        let modified = fs::metadata(stage.disk("code/up").join(file)).unwrap();
        assert_eq!(modified.mtime(), AGE, "{file}");
    }
    rclone(&["check", "--download", "up", ":sftp:/code/up"]).says("0 differences found");
    rclone(&["check", "--size-only", "up", ":sftp:/code/up"]).says("0 differences found");
    // The times are those of the desk, so there is nothing to do.
    rclone(&["copy", "-v", "up", ":sftp:/code/up"]).says("There was nothing to transfer");
    rclone(&[&["copy", empty, ":sftp:/code/up", "down"], &parallel[..]].concat());
    Tree::read(stage.desk.join("down")).must_equal_but_modes(&sample);
    for (number, options) in [
        &["--sftp-chunk-size", "255k"][..],
        &[
            "--sftp-disable-concurrent-writes",
            "--sftp-disable-concurrent-reads",
        ],
        &["--sftp-set-modtime=false", "--sftp-use-fstat"],
    ]
    .iter()
    .enumerate()
    {
        let (there, back) = (format!(":sftp:/files/{number}"), format!("back-{number}"));
        rclone(&[&["copy", "up/many", &there], *options].concat());
        rclone(
            &[
                &["copyto", "up/two-megabytes", &format!("{there}/large")],
                *options,
            ]
            .concat(),
        );
        rclone(&[&["copy", &there, &back], *options].concat());
        stage.same(
            "up/two-megabytes",
            &format!("files/{number}/large"),
            &format!("{back}/large"),
        );
        let many = Tree::read(stage.desk.join(back)).without(|path| path == b"large");
        many.must_equal_but_modes(&Tree::read(stage.desk.join("up/many")));
    }
}

#[test]
fn rclone_s_other_commands_do_what_they_say() {
    let stage = Stage::dev("m-rclone-commands");
    let rclone = |words: &[&str], input: &str| rclone(&stage, "dev").args(words).input(input).run();
    for words in [
        &["rcat", ":sftp:/files/a/piped"][..],
        &["moveto", ":sftp:/files/a/piped", ":sftp:/files/a/moved"],
        &["copyto", ":sftp:/files/a/moved", ":sftp:/code/copied"],
        &["touch", ":sftp:/files/a/touched"],
        &["mkdir", ":sftp:/files/b/c"],
        &["rmdirs", ":sftp:/files/b"],
        &["deletefile", ":sftp:/code/index.php"],
        &["purge", ":sftp:/code/lib"],
    ] {
        rclone(words, "from a pipe\n").ok();
    }
    rclone(&["cat", ":sftp:/code/copied"], "")
        .ok()
        .says("from a pipe");
    let listed = rclone(&["lsf", "-R", ":sftp:/files"], "").ok().out();
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        ["a/", "a/moved", "a/touched"]
    );
    rclone(&["size", "--json", ":sftp:/files"], "")
        .ok()
        .says("\"bytes\":12");
    let told = rclone(&["about", ":sftp:/files"], "").ok();
    told.says("Total:").says("Free:");
    let code = stage.site.tree("dev", "code");
    assert!(!code.holds("index.php") && !code.holds("lib"));
    assert_eq!(code.content("copied"), Some(&b"from a pipe\n"[..]));
}

/// rclone asks for `md5sum` and `sha1sum` as commands, and compares what they say.
#[test]
fn rclone_checks_with_checksums() {
    let stage = Stage::dev("m-rclone-sums");
    Tree::default()
        .file("up/one", "one\n")
        .file("up/two words", tree::noise(51, 500_001))
        .write(&stage.desk);
    let rclone = |words: &[&str]| rclone(&stage, "dev").args(words).run();
    rclone(&["copy", "--checksum", "up", ":sftp:/files/up"]).ok();
    for sums in ["md5sum", "sha1sum"] {
        let here = rclone(&[sums, "up"]).ok().out();
        // Without being told, rclone 1.60 asks for the second file's sum before it has found the
        // command.
        let told = [
            "--sftp-md5sum-command",
            "md5sum",
            "--sftp-sha1sum-command",
            "sha1sum",
        ];
        let there = rclone(&[&[sums, ":sftp:/files/up"], &told[..]].concat());
        let lines =
            |text: String| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
        assert_eq!(lines(there.ok().out()), lines(here));
    }
    let check = ["check", "up", ":sftp:/files/up"];
    rclone(&check)
        .ok()
        .says("0 differences found")
        .says_not("No common hash");
    // Of the same size, and of the same time.
    fs::write(stage.disk("files/up/one"), "eno\n").unwrap();
    rclone(&check).fails().says("1 differences found");
    rclone(&["sync", "--checksum", "up", ":sftp:/files/up"]).ok();
    rclone(&check).ok().says("0 differences found");
}

#[test]
fn a_mount_by_rclone_does_all_that_rclone_can() {
    if !fuse_is_there() {
        return;
    }
    let stage = Stage::dev("m-rclone-mount");
    let local = stage.desk.join("local");
    fs::create_dir(&local).unwrap();
    exercise(
        &stage,
        &[&[local.to_str().unwrap()], &NOT_WITH_RCLONE[..]].concat(),
    )
    .ok();
    let mounted = mount(&stage, "dev", "writes");
    let inside = mounted.path("files/exercise");
    fs::create_dir(&inside).unwrap();
    exercise(
        &stage,
        &[&[inside.to_str().unwrap()], &NOT_WITH_RCLONE[..]].concat(),
    )
    .ok();
    // rclone has names in UTF-8 only, and a database has times of its own.
    let comparable = |tree: Tree| {
        tree.without(|path| path.starts_with(b"a_database") || path.starts_with(b"names"))
    };
    let (expected, on_disk) = (comparable(Tree::read(&local)), stage.disk("files/exercise"));
    let is_there = |path: &[u8]| {
        let place = on_disk.join(tree::name(path));
        match expected.content(path) {
            Some(content) => fs::read(place).is_ok_and(|found| found == content),
            None => place.is_dir(),
        }
    };
    // rclone sends up what its cache holds when nobody has touched it for a while.
    wait_for("what rclone holds back", Duration::from_secs(60), || {
        expected.paths().all(is_there).then_some(())
    });
    drop(mounted);
    comparable(Tree::read(&on_disk)).must_equal_but_modes(&expected);
}

#[test]
fn a_mount_by_rclone_without_a_cache_takes_whole_files() {
    if !fuse_is_there() {
        return;
    }
    let stage = Stage::dev("m-rclone-stream");
    let sample = Tree::sample().without(|path| std::str::from_utf8(path).is_err());
    sample.write(stage.desk.join("up"));
    let mounted = mount(&stage, "dev", "off");
    let inside = mounted.path("code/copied");
    stage
        .client("cp", "dev")
        .args(["-r", "up"])
        .arg(&inside)
        .run()
        .ok();
    drop(mounted);
    Tree::read(stage.disk("code/copied")).must_equal_but_modes(&sample);
    let mounted = mount(&stage, "dev", "off");
    Tree::read(mounted.path("code/copied")).must_equal_but_modes(&sample);
}

#[test]
fn rclone_is_denied_and_the_audit_knows_why() {
    let stage = Stage::live("m-rclone-live");
    let code = ":sftp:/code";
    let evil = ":sftp:/code/evil.php";
    stage.refused("evil.php", || {
        for forbidden in [
            &["copyto", "evil.php", evil][..],
            &["copy", "evil", code],
            &["sync", "evil", code],
            &["move", "evil", code],
            &["rcat", evil],
            &["deletefile", ":sftp:/code/index.php"],
            &["moveto", ":sftp:/code/index.php", evil],
            &["mkdir", ":sftp:/code/evil"],
            &["purge", ":sftp:/code/lib"],
            &["touch", ":sftp:/code/index.php"],
        ] {
            let rclone = rclone(&stage, "live").args(["-vv", "--retries", "1"]);
            let refused = rclone.args(forbidden).run().fails();
            assert!(
                refused
                    .screen()
                    .to_lowercase()
                    .contains("permission denied"),
                "{refused}"
            );
        }
    });
    rclone(&stage, "live")
        .args(["copy", code, "down"])
        .run()
        .ok();
    // rclone follows links.
    let no_link = |tree: Tree| tree.without(|path| path == b"theme/current.css");
    let live = no_link(stage.site.tree("live", "code"));
    no_link(Tree::read(stage.desk.join("down"))).must_equal_but_modes(&live);
}

/// Mounts an environment with rclone's cache in `mode`; what is written goes up two seconds later.
fn mount(stage: &Stage, environment: &str, mode: &str) -> Mount {
    let point = stage
        .tom
        .desk(&format!("rclone-{}-{mode}", stage.site.name));
    let program = rclone(stage, environment)
        .args(["mount", ":sftp:/"])
        .arg(&point)
        .args([
            "--vfs-cache-mode",
            mode,
            "--vfs-write-back",
            "2s",
            "--cache-dir",
        ])
        .arg(stage.desk.join("cache"));
    Mount::wait(program, point)
}

fn rclone(stage: &Stage, environment: &str) -> Client {
    stage
        .client("rclone", environment)
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_SFTP_HOST", stage.site.address().ip().to_string())
        .env("RCLONE_SFTP_PORT", stage.port())
        .env("RCLONE_SFTP_USER", stage.site.login(environment))
        .env("RCLONE_SFTP_KEY_FILE", stage.tom.key())
}
