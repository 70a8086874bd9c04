//! Quotas of environments, by every way that files come up: what does not fit is refused with the
//! figures on the client's own screen, kept in the audit, and leaves nothing behind.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use support::{Client, Finished, Gateway, Mount, Person, Role, Site, fuse_is_there};

use crate::rsync::{audit, audited, rsync, up_of};

/// A mebibyte, and forty files and folders: in `/files`, `/tmp` and what is on its way.
static GATEWAY: LazyLock<Arc<Gateway>> = LazyLock::new(|| {
    Arc::new(Gateway::start_with(&[
        ("quota", "bytes", "1048576"),
        ("quota", "files", "40"),
    ]))
});

fn site(name: &str) -> (Site, Person) {
    let site = GATEWAY.site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}

fn sftp(site: &Site, tom: &Person, desk: &Path, commands: &str) -> Finished {
    let batch = format!("lcd {}\n{commands}\n", desk.display());
    site.sftp(tom, "dev", batch).run()
}

/// All bytes in what counts.
fn held(site: &Site) -> u64 {
    let mut sum = 0;
    let environment = site.disk("dev", "files").parent().unwrap().to_path_buf();
    let mut left: Vec<_> = ["files", "tmp", "uploads"]
        .map(|name| environment.join(name))
        .into();
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => left.push(entry.path()),
                false => sum += entry.metadata().unwrap().len(),
            }
        }
    }
    sum
}

fn failed_row(site: &Site) {
    let rows = audit(site, &[]);
    assert!(rows.contains("quota is used up"), "{rows}");
}

#[test]
fn sftp_is_held_to_bytes_and_files() {
    let (site, tom) = site("q-sftp");
    let desk = tom.desk("q-sftp");
    fs::write(desk.join("large"), vec![1; 1_048_577]).unwrap();
    fs::write(desk.join("half"), vec![2; 600_000]).unwrap();
    fs::write(desk.join("small"), "small").unwrap();
    let files = site.disk("dev", "files");

    let refused = sftp(&site, &tom, &desk, "put large /files/large").fails();
    refused.clone().says("quota is used up").says("1.0 MiB");
    assert!(!files.join("large").exists());
    failed_row(&site);
    // What was refused takes no room.
    sftp(&site, &tom, &desk, "put half /files/half").ok();
    sftp(&site, &tom, &desk, "put half /tmp/half")
        .fails()
        .says("quota is used up");
    assert!(!site.disk("dev", "tmp").join("half").exists());
    // In the place of the same it needs no more; and in its place is room once it is gone.
    sftp(&site, &tom, &desk, "put half /files/half").ok();
    sftp(&site, &tom, &desk, "rename /files/half /tmp/half").ok();
    sftp(&site, &tom, &desk, "put half /files/half").fails();
    sftp(&site, &tom, &desk, "rm /tmp/half\nput half /files/half").ok();
    // A copy on the server is one more file, too.
    sftp(&site, &tom, &desk, "cp /files/half /files/copy")
        .fails()
        .says("quota is used up");
    assert!(!files.join("copy").exists());
    // Code is not the environment's to fill, and not its quota's.
    assert_eq!(held(&site), 600_000);

    let folders: String = (0..60)
        .map(|number| format!("-mkdir /files/folder-{number}\n"))
        .collect();
    sftp(&site, &tom, &desk, &folders).says("40 files and folders");
    let made = fs::read_dir(&files).unwrap().count();
    assert!((30..=40).contains(&made), "{made}");
    sftp(&site, &tom, &desk, "put small /files/small")
        .fails()
        .says("40 files and folders");
    sftp(
        &site,
        &tom,
        &desk,
        "rmdir /files/folder-1\nput small /files/small",
    )
    .ok();
}

#[test]
fn a_resumed_or_grown_file_is_held_too() {
    let (site, tom) = site("q-grow");
    let desk = tom.desk("q-grow");
    fs::write(desk.join("begun"), vec![1; 500_000]).unwrap();
    sftp(&site, &tom, &desk, "put begun /files/begun").ok();
    fs::write(desk.join("begun"), vec![1; 1_100_000]).unwrap();
    sftp(&site, &tom, &desk, "reput begun /files/begun")
        .fails()
        .says("quota is used up");
    assert!(held(&site) <= 1_048_576);
    // What the site itself wrote is seen before anybody is told no.
    fs::remove_file(site.disk("dev", "files").join("begun")).unwrap();
    fs::write(desk.join("other"), vec![3; 1_000_000]).unwrap();
    support::wait_for("a new count", std::time::Duration::from_secs(60), || {
        (sftp(&site, &tom, &desk, "put other /files/other").code == Some(0)).then_some(())
    });
}

#[test]
fn scp_is_held_by_both_protocols() {
    let (site, tom) = site("q-scp");
    let desk = tom.desk("q-scp");
    fs::write(desk.join("large"), vec![1; 1_048_577]).unwrap();
    fs::write(desk.join("half"), vec![2; 600_000]).unwrap();
    let to = format!("{}:/files/", site.destination("dev"));
    for option in ["-O", "-s"] {
        let scp = |name: &str| {
            tom.openssh("scp")
                .folder(&desk)
                .args([option, name, &to])
                .run()
        };
        scp("large").fails().says("quota is used up");
        scp("half").ok();
        assert_eq!(held(&site), 600_000);
        sftp(&site, &tom, &desk, "rm /files/half").ok();
    }
    failed_row(&site);
}

#[test]
fn rsync_is_stopped_when_the_quota_is_used_up() {
    let (site, tom) = site("q-rsync");
    let desk = tom.desk("q-rsync");
    let up = desk.join("up");
    fs::create_dir(&up).unwrap();
    fs::write(up.join("small"), vec![2; 100_000]).unwrap();
    rsync(&site, &tom, "dev", &["-a"], &[&up_of(&up)], "/files/")
        .run()
        .ok();
    // Sent slowly enough that it is seen before all is there.
    for number in 0..60 {
        fs::write(up.join(format!("part-{number:02}")), vec![1; 200_000]).unwrap();
    }
    let slowly = ["-a", "--bwlimit=2000", "--whole-file"];
    let refused = rsync(&site, &tom, "dev", &slowly, &[&up_of(&up)], "/files/")
        .run()
        .fails();
    refused.clone().says("quota is used up");
    audited(&site, &refused);
    assert!(held(&site) < 8_000_000);
    for number in 0..60 {
        fs::remove_file(up.join(format!("part-{number:02}"))).unwrap();
    }
    let emptied = ["-a", "--delete-before"];
    rsync(&site, &tom, "dev", &emptied, &[&up_of(&up)], "/files/").run();
    fs::write(site.disk("dev", "files").join("small"), "").unwrap();
    // Nothing on the disk, but long: a file that is all holes.
    let hole = fs::File::create(up.join("large")).unwrap();
    hole.set_len(1 << 30).unwrap();
    let sparse = ["-aS", "--whole-file"];
    let refused = rsync(&site, &tom, "dev", &sparse, &[&up_of(&up)], "/files/")
        .run()
        .fails();
    audited(&site, &refused);
    assert!(!site.disk("dev", "files").join("large").exists());
    // A download is not held to anything, nor is code.
    let from = format!("{}:/files/", site.destination("dev"));
    let down = desk.join("down");
    crate::rsync::ask(&site, &tom, &["-a", &from, &down.display().to_string()])
        .run()
        .ok();
}

#[test]
fn the_quota_is_told_by_info_df_and_a_mount() {
    let (site, tom) = site("q-told");
    let desk = tom.desk("q-told");
    fs::write(desk.join("half"), vec![2; 524_288]).unwrap();
    sftp(&site, &tom, &desk, "put half /files/half").ok();
    site.must(&["env:info", "SITE.dev"])
        .says("512.0 KiB in 1 files and folders")
        .says("1.0 MiB, 40 files and folders");
    let told = sftp(&site, &tom, &desk, "df /files").ok().out();
    assert!(
        told.contains("1024") && told.contains("512") && told.contains("50%"),
        "{told}"
    );
    let inodes = sftp(&site, &tom, &desk, "df -i /files").ok().out();
    assert!(inodes.contains("40") && inodes.contains("39"), "{inodes}");
    // The disk of code is the server's.
    let told = sftp(&site, &tom, &desk, "df /code").ok().out();
    assert!(!told.contains(" 50%") || !told.contains("1024 "), "{told}");
    if fuse_is_there() {
        let mount = Mount::sshfs(&site, &tom, "dev");
        let df = Client::new("df")
            .args(["-k", "--output=size,avail"])
            .arg(mount.path(""))
            .run()
            .ok()
            .out();
        assert!(df.contains("1024") && df.contains("512"), "{df}");
    }
}
