//! An rsync that is cut off: by its client, by a lost role, by a switch; and one that a deploy does not
//! cut off.

use std::fs;
use std::path::Path;
use std::time::Duration;

use support::{tree, wait_for};

use crate::rsync::{audited, fetch, files_below, nothing_runs, rsync, site, up_of};

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

#[test]
fn a_download_ends_under_the_release_it_began_with_but_not_without_its_role() {
    let (site, tom) = site("r-download");
    let desk = tom.desk("download");
    let big = site.disk("dev", "code").join("big");
    fs::write(&big, tree::noise(9, 12 << 20)).unwrap();
    let deploy = || {
        site.must(&["env:commit", "SITE.dev", "-m", "more"]);
        site.must(&["env:deploy", "SITE.test"]);
    };
    deploy();
    let slowly = ["-a", "-W", "--bwlimit=3072"];
    let begun = |down: &Path| {
        wait_for("some of the file", Duration::from_secs(30), || {
            let found = files_below(down);
            let mut lengths = found.iter().filter_map(|path| fs::metadata(path).ok());
            lengths.any(|found| found.len() > 1 << 20).then_some(())
        });
    };
    let down = desk.join("deployed");
    let running = fetch(&site, &tom, "test", &slowly, "/code/", &down).start();
    begun(&down);
    fs::write(&big, "small").unwrap();
    deploy();
    running.finish().ok();
    assert!(fs::read(down.join("big")).unwrap() == tree::noise(9, 12 << 20));

    fs::write(
        site.disk("test", "files").join("big"),
        tree::noise(9, 12 << 20),
    )
    .unwrap();
    let down = desk.join("role");
    let running = fetch(&site, &tom, "test", &slowly, "/files/", &down).start();
    begun(&down);
    site.must(&["site:team:role", "SITE", "tom", "developer"]);
    let ended = running.finish().fails().says("Refused: ");
    audited(&site, &ended);
    site.must(&["site:team:role", "SITE", "tom", "team_member"]);
}
