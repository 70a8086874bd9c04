//! The work of programs in a mounted tree: git, editors, databases, and a program that tries what a
//! file system must do, which has to find the mount as good as a local folder. (`sftp_sshfs` has trees
//! and archives.)

use std::fs;
use std::os::unix::fs::MetadataExt;

use support::{Client, Finished, Mount, Tree, clients, fuse_is_there, tree};

use crate::client_stage::{AGE, Stage, age};
use crate::sftp_uploads::settled;

const EXERCISE: &str = include_str!("scripts/exercise.py");

/// What sshfs itself does not let through: since 2026 it follows no link that leads upwards, unless
/// asked to with an option that older ones do not know.
const NOT_WITH_SSHFS: [&str; 1] = ["symbolic_links_upwards"];

#[test]
fn a_mount_does_all_that_a_local_folder_does() {
    if !fuse_is_there() {
        return;
    }
    let stage = Stage::dev("m-exercise");
    let local = stage.desk.join("local");
    fs::create_dir(&local).unwrap();
    exercise(&stage, &[local.to_str().unwrap()]).ok();
    let mount = Mount::sshfs(&stage.site, &stage.tom, "dev");
    let left_out = NOT_WITH_SSHFS;
    for area in ["files", "code"] {
        let inside = mount.path(area).join("exercise");
        fs::create_dir(&inside).unwrap();
        let words = [&[inside.to_str().unwrap()], &left_out[..]].concat();
        let tried = exercise(&stage, &words);
        if tried.code != Some(0) {
            panic!("sshfs was told: {}\n{tried}", mount.told());
        }
        // What the mount made of it is what a local folder holds afterwards, on the gateway's disk.
        let not_tried = |path: &[u8]| {
            let step = path.split(|byte| *byte == b'/').next().unwrap_or_default();
            // Databases hold a counter of changes, and times of their own.
            step == b"a_database" || left_out.iter().any(|name| name.as_bytes() == step)
        };
        settled(&stage.site, "dev");
        let expected = Tree::read(&local).without(not_tried);
        let found = Tree::read(stage.disk(area).join("exercise")).without(not_tried);
        found.must_equal(&expected);
    }
}

#[test]
fn git_works_on_a_mounted_tree() {
    if !fuse_is_there() {
        return;
    }
    let stage = Stage::dev("m-git");
    let mount = Mount::sshfs(&stage.site, &stage.tom, "dev");
    let code = mount.path("code");
    // The repository lies beside: git's own folder does not exist in the tree.
    let refused = stage.client("git", "dev").arg("init").arg(&code).run();
    refused.fails().says("Permission denied");
    let folder = stage.desk.join("repository");
    let git = |words: &[&str]| -> Finished {
        let git = stage.client("git", "dev").folder(&code);
        git.env("GIT_DIR", &folder)
            .env("GIT_WORK_TREE", &code)
            .args(words)
            .run()
            .ok()
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "as it was"]);
    let before = stage.site.tree("dev", "code");
    git(&["checkout", "--quiet", "-b", "other"]);
    let sample = Tree::sample().without(|path| path.starts_with(b"index.php"));
    sample.write(code.join("sample"));
    git(&["mv", "index.php", "start.php"]);
    git(&["rm", "--quiet", "-r", "lib"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "changed"]);
    settled(&stage.site, "dev");
    let after = stage.site.tree("dev", "code");
    assert!(after.holds("start.php") && !after.holds("lib") && after.holds("sample/empty"));

    let no_folders = |tree: Tree| tree.without(|path| path == b"sample/empty-folder");
    git(&["checkout", "--quiet", "main"]);
    settled(&stage.site, "dev");
    no_folders(stage.site.tree("dev", "code"))
        .without(|path| path == b"sample")
        .must_equal(&before);
    git(&["checkout", "--quiet", "other"]);
    settled(&stage.site, "dev");
    no_folders(stage.site.tree("dev", "code")).must_equal(&no_folders(after));
    git(&["checkout", "--quiet", "main"]);
    git(&["merge", "--quiet", "--no-ff", "-m", "merged", "other"]);
    git(&["stash", "--quiet", "--include-untracked"]).says_not("error");
    assert_eq!(git(&["status", "--porcelain"]).out(), "");
    git(&["fsck", "--full"]);
}

#[test]
fn editors_save_in_a_mounted_tree() {
    if !fuse_is_there() {
        return;
    }
    let stage = Stage::dev("m-editors");
    let mount = Mount::sshfs(&stage.site, &stage.tom, "dev");
    let code = mount.path("code");
    let edit = |program: &str, words: &[&str], expected: &str| {
        let client = stage.client(program, "dev").folder(&code);
        client.args(words).run().ok();
        settled(&stage.site, "dev");
        let on_disk = fs::read_to_string(stage.disk("code/page.php")).unwrap();
        assert_eq!(on_disk, expected, "{program} {words:?}");
        assert_eq!(
            fs::read_to_string(code.join("page.php")).unwrap(),
            expected,
            "{program} {words:?}, as the mount shows it"
        );
    };
    fs::write(code.join("page.php"), "one\ntwo\n").unwrap();
    // By a new file and a rename.
    edit("sed", &["-i", "s/one/1/", "page.php"], "1\ntwo\n");
    // Vim: the old one is renamed to the backup and a new one written; or a copy is the backup and the
    // old one is written in place.
    for (way, from, to) in [
        ("no", "two", "2"),
        ("yes", "2", "two"),
        ("auto", "two", "zwei"),
    ] {
        let settings = format!("set backup writebackup backupcopy={way}");
        let change = format!("%s/{from}/{to}/");
        let words = [
            "-s", "-u", "NONE", "-c", &settings, "-c", &change, "-c", "wq", "page.php",
        ];
        edit("ex", &words, &format!("1\n{to}\n"));
    }
    // In place, longer and shorter.
    edit("sh", &["-c", "echo more >> page.php"], "1\nzwei\nmore\n");
    edit(
        "dd",
        &["of=page.php", "if=/dev/null", "bs=1", "seek=2"],
        "1\n",
    );
    edit(
        "cp",
        &["-p", "index.php", "page.php"],
        "<?php echo 'first';\n",
    );
    let left = Tree::read(&code);
    let strays: Vec<_> = left
        .paths()
        .filter(|path| path.contains(&b'~') || path.ends_with(b".swp") || path.starts_with(b"sed"))
        .filter(|path| *path != b"page.php~")
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
}

#[test]
fn copies_into_a_mount_keep_their_times() {
    if !fuse_is_there() {
        return;
    }
    let stage = Stage::dev("m-preserve");
    Tree::default()
        .file("up/page", tree::noise(21, 600_007))
        .program("up/tool", "#!/bin/sh\n")
        .write(&stage.desk);
    age(&stage, &["up/page", "up/tool", "up"]);
    let mount = Mount::sshfs(&stage.site, &stage.tom, "dev");
    let (cp, rsync) = (
        mount.path("code").join("cp"),
        mount.path("code").join("rsync"),
    );
    let run = |client: Client| client.run().ok();
    // As root, cp and rsync set the owner as well, which has no meaning here.
    run(stage.client("cp", "dev").args(["-a", "up"]).arg(&cp));
    run(stage.client("rsync", "dev").args(["-a", "up/"]).arg(&rsync));
    settled(&stage.site, "dev");
    for name in ["cp", "rsync"] {
        let place = stage.disk("code").join(name);
        Tree::read(&place).must_equal(&Tree::read(stage.desk.join("up")));
        for file in ["page", "tool"] {
            let modified = fs::metadata(place.join(file)).unwrap().mtime();
            assert_eq!(modified, AGE, "{file} by {name}");
        }
    }
}

#[test]
fn sshfs_in_the_foreground_says_why() {
    if !fuse_is_there() {
        return;
    }
    let stage = Stage::live("m-sshfs-live");
    let mount = Mount::sshfs(&stage.site, &stage.tom, "live");
    let code = mount.path("code");
    stage.refused("evil.php", || {
        let deny = |program: &str, words: &[&str]| {
            let client = stage.client(program, "live").folder(&code).args(words);
            client.run().fails().says("ermission denied");
        };
        let evil = stage.desk.join("evil.php").display().to_string();
        deny("cp", &[&evil, "evil.php"]);
        deny("cp", &[&evil, "index.php"]);
        deny("sed", &["-i", "s/first/evil/", "index.php"]);
        deny("mv", &["index.php", "evil.php"]);
        deny("rm", &["-f", "index.php"]);
        deny("truncate", &["-s", "0", "index.php"]);
        deny("touch", &["-d", "2001-02-03", "index.php"]);
        deny("chmod", &["777", "index.php"]);
        deny("ln", &["-s", "index.php", "link.php"]);
        deny("mkdir", &["evil"]);
        let ex = [
            "-s",
            "-u",
            "NONE",
            "-c",
            "%s/first/evil/",
            "-c",
            "wq!",
            "index.php",
        ];
        let client = stage.client("ex", "live").folder(&code).args(ex);
        client.run().fails();
    });
    let told = mount.told();
    assert!(
        told.contains("Live environment is read-only") && told.contains("[incident "),
        "{told}"
    );
}

/// Runs the exercise with its words; it prints what went wrong.
pub(crate) fn exercise(stage: &Stage, words: &[&str]) -> Finished {
    let python = clients::python("mmap", EXERCISE);
    stage.with_address(python, "dev").args(words).run()
}
