//! curl, which speaks SFTP with libssh2.
//!
//! libssh2 keeps neither the status message nor stderr, so a refused person sees "Permission denied"
//! and finds the reason in the audit.

use std::fs;
use std::os::unix::fs::MetadataExt;

use support::{Client, tree};

use crate::client_stage::{AGE, Stage};

#[test]
fn curl_uploads_downloads_lists_and_resumes() {
    let stage = Stage::dev("m-curl");
    fs::write(stage.desk.join("up"), tree::noise(11, 2_500_003)).unwrap();
    let there = |path: &str| address(&stage, path);
    let curl = |words: &[&str]| curl(&stage, "dev").args(words).run().ok();
    curl(&[
        "-T",
        "up",
        "--ftp-create-dirs",
        &there("/code/new/folder/up"),
    ]);
    curl(&["-o", "down", &there("/code/new/folder/up")]);
    stage.same("up", "code/new/folder/up", "down");
    let listed = curl(&[&there("/code/new/")]).says("folder").out();
    assert!(listed.starts_with('d'), "a long listing: {listed}");
    curl(&["--list-only", &there("/code/new/folder/")]).says("up");

    let whole = fs::read(stage.desk.join("up")).unwrap();
    let mut resumed = whole.clone();
    resumed[..1_000_000].fill(b'x');
    fs::write(stage.disk("files/part"), &resumed[..1_000_000]).unwrap();
    fs::write(stage.desk.join("part"), &resumed[..1_000_000]).unwrap();
    curl(&["-C", "-", "-T", "up", &there("/files/part")]);
    curl(&["-C", "-", "-o", "part", &there("/code/new/folder/up")]);
    stage.holds(&stage.disk("files/part"), &resumed);
    stage.holds(&stage.desk.join("part"), &resumed);
    curl(&["-a", "-T", "up", &there("/files/part")]);
    stage.holds(
        &stage.disk("files/part"),
        &[resumed, whole.clone()].concat(),
    );

    curl(&[
        "-r",
        "1000000-1000999",
        "-o",
        "range",
        &there("/code/new/folder/up"),
    ]);
    stage.holds(&stage.desk.join("range"), &whole[1_000_000..1_001_000]);
}

#[test]
fn curl_s_quoted_commands_do_what_they_say() {
    let stage = Stage::dev("m-curl-quote");
    fs::write(stage.desk.join("up"), "up\n").unwrap();
    // Before the upload, and after it, in one session.
    curl(&stage, "dev")
        .args(["-Q", "mkdir /code/made", "-Q", "mkdir /code/gone"])
        .args(["-Q", "rmdir /code/gone", "-Q", "rm /code/index.php"])
        .args(["-Q", "-rename /code/made/up /code/made/moved"])
        .args(["-Q", "-chmod 755 /code/made/moved"])
        .args(["-Q", "-symlink moved /code/made/link"])
        .args([
            "-Q",
            "-mtime \"Sat, 03 Feb 2001 04:05:06 GMT\" /code/made/moved",
        ])
        // These have no meaning here, and fail nothing.
        .args(["-Q", "-chown 1234 /code/made/moved"])
        .args(["-Q", "-chgrp 1234 /code/made/moved"])
        .args(["-Q", "-statvfs /code", "-Q", "-pwd"])
        .args(["-T", "up", &address(&stage, "/code/made/up")])
        .run()
        .ok();
    let code = stage.site.tree("dev", "code");
    assert!(!code.holds("index.php") && !code.holds("gone") && !code.holds("made/up"));
    assert_eq!(code.content("made/moved"), Some(&b"up\n"[..]));
    let link = fs::read_link(stage.disk("code/made/link")).unwrap();
    assert_eq!(link.to_str(), Some("moved"));
    let found = fs::metadata(stage.disk("code/made/moved")).unwrap();
    assert_eq!(found.mtime(), AGE);
    assert_ne!(found.mode() & 0o100, 0);
    // A command that fails is told, unless the person says that it may.
    let missing = "rm /code/missing";
    let listing = address(&stage, "/code/");
    curl(&stage, "dev")
        .args(["-Q", missing, &listing])
        .run()
        .fails()
        .says("No such file");
    curl(&stage, "dev")
        .args(["-Q", &format!("*{missing}"), &listing])
        .run()
        .ok();
}

#[test]
fn curl_is_denied_and_the_audit_knows_why() {
    let stage = Stage::live("m-curl-live");
    stage.refused("evil.php", || {
        for path in ["/code/evil.php", "/code/index.php"] {
            curl(&stage, "live")
                .args(["-v", "-T", "evil.php", &address(&stage, path)])
                .run()
                .fails()
                .says("Upload failed: Permission denied");
        }
        for command in [
            "rm /code/index.php",
            "mkdir /code/evil",
            "rename /code/index.php /code/evil",
            "chmod 777 /code/index.php",
            "symlink index.php /code/evil",
        ] {
            curl(&stage, "live")
                .args(["-Q", command, &address(&stage, "/code/")])
                .run()
                .fails()
                .says("ermission denied");
        }
    });
    curl(&stage, "live")
        .args(["-o", "index.php", &address(&stage, "/code/index.php")])
        .run()
        .ok();
    let live = stage.site.tree("live", "code");
    let expected = live.content("index.php").unwrap();
    stage.holds(&stage.desk.join("index.php"), expected);
}

fn address(stage: &Stage, path: &str) -> String {
    format!("sftp://{}{path}", stage.site.address())
}

fn curl(stage: &Stage, environment: &str) -> Client {
    let login = format!("{}:", stage.site.login(environment));
    stage
        .client("curl", environment)
        // curl's -k: the host key is not what is tested here.
        .args(["-q", "-sS", "-k", "-u", &login, "--key"])
        .arg(stage.tom.key())
        .arg("--pubkey")
        .arg(stage.tom.public_key())
}
