//! No half of a file is ever live: what visitors, other people and the person who uploads see in the
//! meantime, and uploads that break off and are resumed by real clients.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Gateway, Person, Role, Shared, Site, tree, wait_for};

use crate::sftp_clients::lftp;
use crate::sftp_python::{PARAMIKO, run};

static SHARED: Shared = Shared::new();

#[test]
fn openssh_goes_on_with_a_put_that_was_killed() {
    let (site, tom) = site(&SHARED.gateway(), "u-openssh");
    let desk = tom.desk("u-openssh");
    for (name, old) in [("replaced", true), ("new", false)] {
        let content = tree::noise(51, 24 << 20);
        fs::write(desk.join(name), &content).unwrap();
        let live = site.disk("dev", "code").join(name);
        if old {
            fs::write(&live, "the old one").unwrap();
        }
        let as_before = || match fs::read(&live) {
            Ok(found) => assert!(old && found == b"the old one", "half a file is live"),
            Err(_) => assert!(!old, "the old file is gone"),
        };
        let put = format!("put {}/{name} /code/{name}\n", desk.display());
        let upload = site.sftp_with(&tom, "dev", &["-l", "60000"], put).start();
        wait_for("some of the file", LONG, || {
            as_before();
            (part_size(&site) > 3 << 20).then_some(())
        });
        // The uploader sees it grow, in another session; somebody else does not.
        let listed = |person: &Person| {
            let list = format!("ls -ln /code/{name}\n");
            site.sftp(person, "dev", list).run().out()
        };
        let size = size_in(&listed(&tom)).expect("the uploader sees the file");
        assert!(size >= 3 << 20, "{size}");
        let ada = site.person(Role::Administrator);
        assert_eq!(size_in(&listed(ada)), old.then_some(11));
        as_before();
        upload.kill();
        as_before();

        let told = site.must(&["env:info", "SITE.dev", "--field", "unfinished_uploads"]);
        told.says(&format!("/code/{name} by tom")).says("bytes");
        site.command(&["env:diffstat", "SITE.dev"])
            .run()
            .ok()
            .says(&format!("/code/{name} by tom"));
        let before = part_size(&site);
        assert!((3 << 20..24 << 20).contains(&before), "{before}");
        let resume = format!("reput {}/{name} /code/{name}\n", desk.display());
        site.sftp(&tom, "dev", resume).run().ok();
        assert!(
            fs::read(&live).unwrap() == content,
            "what was resumed differs"
        );
        assert_eq!(part_size(&site), 0);
        let sent = bytes_of_last_write(&site, name);
        assert!(sent < 24 << 20, "all {sent} bytes were sent again");
    }
}

#[test]
fn lftp_continues_a_put_that_was_killed() {
    let (site, tom) = site(&SHARED.gateway(), "u-lftp");
    let desk = tom.desk("u-lftp");
    let content = tree::noise(52, 16 << 20);
    fs::write(desk.join("big"), &content).unwrap();
    let live = site.disk("dev", "files").join("big");
    let put = "set net:limit-rate 0:6000000\nput -O /files big\n";
    let upload = lftp(&site, &tom, "dev", &desk, put).start();
    wait_for("some of the file", LONG, || {
        assert!(!live.exists());
        (part_size(&site) > 2 << 20).then_some(())
    });
    upload.kill();
    assert!(!live.exists());
    lftp(&site, &tom, "dev", &desk, "put -c -O /files big\n")
        .run()
        .ok();
    assert!(fs::read(&live).unwrap() == content);
    assert_eq!(part_size(&site), 0);
    assert!(bytes_of_last_write(&site, "big") < 16 << 20);
}

#[test]
fn an_upload_is_resumed_after_the_gateway_was_killed() {
    let gateway = Arc::new(Gateway::start());
    let (site, tom) = site(&gateway, "u-killed");
    let desk = tom.desk("u-killed");
    let content = tree::noise(53, 24 << 20);
    fs::write(desk.join("big"), &content).unwrap();
    let live = site.disk("dev", "code").join("index.php");
    let old = fs::read(&live).unwrap();
    let put = format!("put {}/big /code/index.php\n", desk.display());
    let upload = site.sftp_with(&tom, "dev", &["-l", "60000"], put).start();
    wait_for("some of the file", LONG, || {
        (part_size(&site) > 4 << 20).then_some(())
    });
    gateway.signal(Signal::SIGKILL);
    gateway.ended();
    upload.kill();
    assert_eq!(fs::read(&live).unwrap(), old);
    gateway.serve();
    assert_eq!(fs::read(&live).unwrap(), old);
    let before = part_size(&site);
    assert!(before > 4 << 20, "{before}");
    site.must(&["env:info", "SITE.dev"])
        .says("/code/index.php by tom");
    let resume = format!("reput {}/big /code/index.php\n", desk.display());
    site.sftp(&tom, "dev", resume).run().ok();
    assert!(fs::read(&live).unwrap() == content);
    assert_eq!(part_size(&site), 0);
    assert!(bytes_of_last_write(&site, "index.php") <= (24 << 20) - before);

    // A stop in order leaves one that broke off before where it is.
    fs::write(&live, "old").unwrap();
    let put = format!("put {}/big /code/index.php\n", desk.display());
    let upload = site.sftp_with(&tom, "dev", &["-l", "20000"], put).start();
    wait_for("some of the file", LONG, || {
        (part_size(&site) > 1 << 20).then_some(())
    });
    upload.kill();
    assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
    gateway.serve();
    assert_eq!(fs::read(&live).unwrap(), b"old");
    assert!(part_size(&site) > 1 << 20);
    site.sftp(&tom, "dev", "rm /code/index.php\n").run().ok();
    assert!(!live.exists());
    assert_eq!(part_size(&site), 0);
}

#[test]
fn paramiko_sees_what_it_has_written_so_far() {
    let (site, tom) = site(&SHARED.gateway(), "u-paramiko");
    let desk = tom.desk("u-paramiko");
    let live = site.disk("dev", "code").join("index.php");
    let script = format!(
        "{PARAMIKO}
import os
live = {live:?}
old = open(live, 'rb').read()
with sftp.open('/code/index.php', 'wb') as file:
    for number in range(1, 6):
        file.write(b'x' * 100000)
        file.flush()
        assert sftp.stat('/code/index.php').st_size == number * 100000
        assert file.stat().st_size == number * 100000
        rows = {{row.filename: row for row in sftp.listdir_attr('/code')}}
        assert rows['index.php'].st_size == number * 100000
        assert open(live, 'rb').read() == old
        # What has no meaning here does not fail.
        file.chmod(0o640)
        file.utime((1000, 2000))
        sftp.chown('/code/index.php', 12345, 12345)
        sftp.utime('/code/index.php', (1000, 2000))
    assert sftp.open('/code/index.php', 'rb').read() == b'x' * 500000
assert open(live, 'rb').read() == b'x' * 500000
assert sftp.stat('/code/index.php').st_mtime == 2000
with sftp.open('/code/fresh', 'wb') as file:
    file.write(b'fresh')
    file.flush()
    assert 'fresh' in sftp.listdir('/code')
    assert not os.path.exists(os.path.dirname(live) + '/fresh')
    file.truncate(3)
assert open(os.path.dirname(live) + '/fresh', 'rb').read() == b'fre'
",
        live = live.display().to_string()
    );
    run("paramiko", &script, &site, &tom, "dev", &desk).ok();
    assert_eq!(part_size(&site), 0);
}

#[test]
fn a_file_that_is_read_only_is_not_replaced() {
    let (site, tom) = site(&SHARED.gateway(), "u-read-only");
    let desk = tom.desk("u-read-only");
    fs::write(desk.join("up"), "new").unwrap();
    let put = format!("put {}/up /code/index.php\n", desk.display());
    site.sftp(&tom, "dev", format!("chmod 444 /code/index.php\n{put}"))
        .run()
        .fails();
    let live = site.disk("dev", "code").join("index.php");
    assert_eq!(fs::read(&live).unwrap(), b"<?php echo 'first';\n");
    assert_eq!(part_size(&site), 0);
    site.sftp(&tom, "dev", format!("chmod 644 /code/index.php\n{put}"))
        .run()
        .ok();
    assert_eq!(fs::read(&live).unwrap(), b"new");
}

pub(crate) fn site(gateway: &Arc<Gateway>, name: &str) -> (Site, Person) {
    let site = gateway.site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}

/// Returns how much is on its way up to Dev.
pub(crate) fn part_size(site: &Site) -> u64 {
    fs::read_dir(uploads(site, "dev"))
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension() != Some("part".as_ref()))
        .filter_map(|path| Some(fs::metadata(path).ok()?.len()))
        .sum()
}

/// Waits until nothing is on its way up. What a mounted tree closes is closed on the server
/// only after the program went on.
pub(crate) fn settled(site: &Site, environment: &str) {
    let uploads = uploads(site, environment);
    wait_for("all closes", LONG, || {
        let nothing = fs::read_dir(&uploads).unwrap().next().is_none();
        nothing.then_some(())
    });
}

fn uploads(site: &Site, environment: &str) -> PathBuf {
    let environments = site.gateway.data().join("sites").join(&site.name);
    environments
        .join("environments")
        .join(environment)
        .join("uploads")
}

fn bytes_of_last_write(site: &Site, path: &str) -> u64 {
    // A row of a write is in the audit some milliseconds after its answer.
    wait_for("the row of the write", LONG, || {
        let rows = site
            .must(&[
                "audit:list",
                "--site",
                "SITE",
                "--path",
                path,
                "--format",
                "json",
            ])
            .stdout;
        let rows: serde_json::Value = serde_json::from_slice(&rows).unwrap();
        let done = |row: &&serde_json::Value| row["outcome"] == "done" && row["action"] == "write";
        let row = rows.as_array().unwrap().iter().find(done)?.clone();
        row["bytes"].as_u64()
    })
}

/// Returns the size in a line of `ls -ln`.
fn size_in(listed: &str) -> Option<u64> {
    listed
        .lines()
        .find(|line| line.starts_with('-'))?
        .split_whitespace()
        .nth(4)?
        .parse()
        .ok()
}

pub(crate) const LONG: Duration = Duration::from_secs(60);
