//! PuTTY's `pscp` and `psftp`, and FileZilla's engine `fzsftp`, which is made of them.
//!
//! PuTTY shows words of its own for a status and prints the channel's stderr: there the reason stands.
//! fzsftp does so too, but FileZilla's window does not show what its engine prints there.

use std::fs;
use std::os::unix::fs::MetadataExt;

use support::{Client, Tree, cache, clients, putty, tree};

use crate::client_stage::{AGE, Stage, age, says_why};

#[test]
fn pscp_copies_files_and_trees_and_keeps_times() {
    let stage = Stage::dev("m-pscp");
    // PuTTY takes * for a pattern, a backslash for a slash, and a name for text of its own character
    // set.
    let sample = Tree::sample().without(|path| {
        path.iter().any(|byte| b"*\"\\".contains(byte)) || std::str::from_utf8(path).is_err()
    });
    sample.write(stage.desk.join("up"));
    age(&stage, &["up/index.php", "up/two-megabytes"]);
    let there = at(&stage, "dev");
    let pscp = |words: &[&str]| putty(&stage, "pscp").args(words).run().ok();
    // As with OpenSSH, the folder above has to be there.
    pscp(&["-sftp", "-p", "-r", "up", &format!("{there}:/files/")]);
    fs::create_dir(stage.desk.join("down")).unwrap();
    pscp(&["-sftp", "-p", "-r", &format!("{there}:/files/up"), "down"]);
    for place in [stage.disk("files/up"), stage.desk.join("down/up")] {
        Tree::read(&place).must_equal_but_modes(&sample);
        for name in ["index.php", "two-megabytes"] {
            let modified = fs::metadata(place.join(name)).unwrap().mtime();
            assert_eq!(modified, AGE, "{name} in {}", place.display());
        }
    }
    let page = format!("{there}:/code/page.php");
    pscp(&["-sftp", "-C", "-q", "up/two-megabytes", &page]);
    pscp(&["-sftp", &page, "page"]);
    stage.same("up/two-megabytes", "code/page.php", "page");
    pscp(&["-sftp", "-ls", &format!("{there}:/files/up/many")]).says("file-039");
}

#[test]
fn psftp_resumes_both_ways() {
    let stage = Stage::dev("m-psftp");
    let whole = tree::noise(61, 1_800_007);
    let mut resumed = whole.clone();
    resumed[..600_000].fill(b'x');
    fs::write(stage.desk.join("whole"), &whole).unwrap();
    for place in [stage.disk("files/part"), stage.desk.join("part")] {
        fs::write(place, &resumed[..600_000]).unwrap();
    }
    let batch = "put whole /files/whole\nreput whole /files/part\nreget /files/whole part\n\
                 cd /tmp\nmput whole part\ncd /code\nmkdir new\nput whole new/whole\n\
                 chmod 700 new/whole\nmv new/whole new/moved\nget new/moved back\n";
    psftp(&stage, "dev", batch).run().ok();
    stage.same("whole", "code/new/moved", "back");
    stage.holds(&stage.disk("files/part"), &resumed);
    stage.holds(&stage.desk.join("part"), &resumed);
}

#[test]
fn pscp_and_psftp_say_why() {
    let stage = Stage::live("m-putty-live");
    let there = at(&stage, "live");
    stage.refused("evil.php", || {
        for words in [
            &["-sftp", "evil.php", &format!("{there}:/code/evil.php")][..],
            &[
                "-sftp",
                "-p",
                "evil.php",
                &format!("{there}:/code/index.php"),
            ],
            &["-sftp", "-r", "evil", &format!("{there}:/code/")],
        ] {
            says_why(putty(&stage, "pscp").args(words).run().fails());
        }
        for forbidden in [
            "put evil.php /code/evil.php",
            "reput evil.php /code/index.php",
            "put -r evil /code/evil",
            "mkdir /code/evil",
            "mv /code/index.php /code/evil.php",
            "del /code/index.php",
            "rmdir /code/lib",
            "chmod 777 /code/index.php",
        ] {
            let refused = psftp(&stage, "live", &format!("{forbidden}\n")).run();
            says_why(refused.fails()).says("permission denied");
        }
    });
}

#[test]
fn filezilla_s_engine_transfers_and_changes_attributes() {
    let stage = Stage::dev("m-filezilla");
    let whole = tree::noise(62, 1_800_007);
    let mut resumed = whole.clone();
    resumed[..600_000].fill(b'x');
    fs::write(stage.desk.join("whole"), &whole).unwrap();
    for place in [stage.disk("files/part"), stage.desk.join("part")] {
        fs::write(place, &resumed[..600_000]).unwrap();
    }
    let commands = "pwd\ncd \"/code\"\nput \"whole\" \"name with spaces\"\n\
                    get \"name with spaces\" \"back\"\nput \"whole\" \"index.php\"\n\
                    reput \"whole\" \"/files/part\"\nreget \"/code/index.php\" \"part\"\n\
                    mkdir \"/code/new\"\nmv \"/code/name with spaces\" \"/code/new/moved\"\n\
                    chmod 755 \"/code/new/moved\"\nchmtime 981173106 \"/code/new/moved\"\n\
                    mkdir \"/code/gone\"\nrmdir \"/code/gone\"\nrm \"/code/lib/menu.php\"\n\
                    mtime \"/code/new/moved\"\nls\n";
    let told = filezilla(&stage, "dev", commands).run().ok();
    told.says("Current directory is: \"/\"")
        .says("index.php")
        .says("981173106");
    stage.same("whole", "code/new/moved", "back");
    stage.same("whole", "code/index.php", "back");
    stage.holds(&stage.disk("files/part"), &resumed);
    stage.holds(&stage.desk.join("part"), &resumed);
    let code = stage.site.tree("dev", "code");
    assert!(!code.holds("gone") && !code.holds("lib/menu.php") && code.holds("lib/footer.php"));
    let moved = fs::metadata(stage.disk("code/new/moved")).unwrap();
    assert_eq!(moved.mtime(), AGE);
    assert_ne!(moved.mode() & 0o100, 0);
}

#[test]
fn filezilla_s_engine_is_told_why() {
    let stage = Stage::live("m-filezilla-live");
    stage.refused("evil.php", || {
        for forbidden in [
            "put \"evil.php\" \"/code/evil.php\"",
            "put \"evil.php\" \"/code/index.php\"",
            "mkdir \"/code/evil\"",
            "mv \"/code/index.php\" \"/code/evil.php\"",
            "rm \"/code/index.php\"",
            "rmdir \"/code/lib\"",
            "chmod 777 \"/code/index.php\"",
            "chmtime 981173106 \"/code/index.php\"",
        ] {
            let refused = filezilla(&stage, "live", &format!("{forbidden}\n")).run();
            // The first is what FileZilla's window shows; the rest is on stderr.
            says_why(refused.fails()).says("permission denied");
        }
    });
    filezilla(&stage, "live", "get \"/code/index.php\" \"index.php\"\n")
        .run()
        .ok();
    let live = stage.site.tree("live", "code");
    let expected = live.content("index.php").unwrap();
    stage.holds(&stage.desk.join("index.php"), expected);
}

fn filezilla(stage: &Stage, environment: &str, commands: &str) -> Client {
    let begin = format!(
        "keyfile \"{}\"\nopen \"{}\" {}\n",
        putty::key(&stage.tom, &stage.desk).display(),
        at(stage, environment),
        stage.port()
    );
    let driver = clients::python("mmap", include_str!("scripts/fzsftp.py"));
    stage
        .with_address(driver, environment)
        .arg(cache::fzsftp())
        .input(begin + commands)
}

fn psftp(stage: &Stage, environment: &str, batch: &str) -> Client {
    fs::write(stage.desk.join("batch"), batch).unwrap();
    putty(stage, "psftp")
        .args(["-b", "batch"])
        .arg(at(stage, environment))
}

fn putty(stage: &Stage, program: &str) -> Client {
    putty::client(program, &stage.site, &stage.tom, &stage.desk)
}

fn at(stage: &Stage, environment: &str) -> String {
    putty::address(&stage.site, environment)
}
