//! Work in a tree that is mounted with sshfs, whose close comes after what follows it: editors, git,
//! programs that write into the middle of files.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use support::{Mount, Person, Role, Shared, Site, clients, fuse_is_there, tree, wait_for};

use crate::sftp_uploads::{LONG, settled};

static SHARED: Shared = Shared::new();

#[test]
fn an_editor_saves_by_rename_a_hundred_times() {
    if !fuse_is_there() {
        return;
    }
    let (site, tom) = site("e-editor");
    let mount = Mount::sshfs(&site, &tom, "dev");
    let page = mount.path("code").join("index.php");
    let live = site.disk("dev", "code").join("index.php");
    for number in 0..100_u64 {
        let text = tree::noise(number, 5000);
        // Nothing waits for the close, so that the rename may well overtake it.
        let beside = mount.path("code").join(".index.php.swp");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)
            .unwrap();
        file.write_all(&text).unwrap();
        drop(file);
        fs::rename(&beside, &page).unwrap();
        assert!(
            fs::read(&page).unwrap() == text,
            "{number}: what was saved is not read"
        );
        let live = fs::read(&live).unwrap();
        let whole = live == text
            || live == tree::noise(number.wrapping_sub(1), 5000)
            || live == b"<?php echo 'first';\n";
        assert!(whole, "{number}: half a file is live");
    }
    wait_for("the last save", LONG, || {
        (fs::read(&live).unwrap() == tree::noise(99, 5000)).then_some(())
    });
    assert!(!site.disk("dev", "code").join(".index.php.swp").exists());
    settled(&site, "dev");
}

#[test]
fn files_are_renamed_over_and_removed_while_they_are_open() {
    if !fuse_is_there() {
        return;
    }
    let (site, tom) = site("e-open");
    let mount = Mount::sshfs(&site, &tom, "dev");
    let (inside, live) = (mount.path("code"), site.disk("dev", "code"));

    // Renamed while it is written: what is written later goes along.
    let mut file = File::create(inside.join("moving")).unwrap();
    file.write_all(b"one").unwrap();
    file.sync_all().unwrap();
    fs::rename(inside.join("moving"), inside.join("moved")).unwrap();
    file.write_all(b" two").unwrap();
    drop(file);
    wait_for("the moved file", LONG, || {
        fs::read(live.join("moved"))
            .ok()
            .filter(|found| found == b"one two")
    });
    assert!(!live.join("moving").exists());

    // Another takes its name while it is written: that one stays.
    let mut file = File::create(inside.join("target")).unwrap();
    file.write_all(b"overtaken").unwrap();
    file.sync_all().unwrap();
    fs::write(inside.join("other"), "stays").unwrap();
    fs::rename(inside.join("other"), inside.join("target")).unwrap();
    drop(file);
    settled(&site, "dev");
    assert_eq!(fs::read(live.join("target")).unwrap(), b"stays");

    // Emptied while somebody reads it: the reader has the old one to its end.
    let content = tree::noise(61, 3 << 20);
    fs::write(inside.join("read"), &content).unwrap();
    wait_for("the file", LONG, || {
        live.join("read").exists().then_some(())
    });
    let mut on_disk = File::open(live.join("read")).unwrap();
    fs::write(inside.join("read"), "short").unwrap();
    let mut found = Vec::new();
    on_disk.read_to_end(&mut found).unwrap();
    assert!(found == content);
    wait_for("the new file", LONG, || {
        (fs::read(live.join("read")).unwrap() == b"short").then_some(())
    });
    settled(&site, "dev");
}

#[test]
fn files_are_written_in_the_middle_mapped_and_sparse() {
    if !fuse_is_there() {
        return;
    }
    let (site, tom) = site("e-middle");
    let mount = Mount::sshfs(&site, &tom, "dev");
    let (inside, live) = (mount.path("files"), site.disk("dev", "files"));
    let mut content = tree::noise(62, 1 << 20);
    fs::write(inside.join("data"), &content).unwrap();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(inside.join("data"))
        .unwrap();
    for at in [0_usize, 4096, 100_001, 900_000] {
        file.write_all_at(b"written here", at as u64).unwrap();
        content[at..at + 12].copy_from_slice(b"written here");
    }
    drop(file);
    wait_for("the edit", LONG, || {
        (fs::read(live.join("data")).unwrap() == content).then_some(())
    });

    let map = "
import mmap, sys
with open(sys.argv[1] if len(sys.argv) > 1 else 'data', 'r+b') as file:
    with mmap.mmap(file.fileno(), 0) as mapped:
        mapped[2000:2005] = b'MMAP!'
        mapped.flush()
";
    clients::python("mmap", map).folder(&inside).run().ok();
    content[2000..2005].copy_from_slice(b"MMAP!");
    wait_for("the mapped edit", LONG, || {
        (fs::read(live.join("data")).unwrap() == content).then_some(())
    });

    let mut sparse = File::create(inside.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(50 << 20)).unwrap();
    sparse.write_all(b"end").unwrap();
    drop(sparse);
    wait_for("the sparse file", LONG, || {
        let found = fs::metadata(live.join("sparse")).ok()?;
        (found.len() == (50 << 20) + 3).then_some(())
    });
    settled(&site, "dev");
    let mut found = File::open(live.join("sparse")).unwrap();
    found.seek(SeekFrom::Start((50 << 20) - 1)).unwrap();
    let mut end = Vec::new();
    found.read_to_end(&mut end).unwrap();
    assert_eq!(end, b"\0end");
}

#[test]
fn git_works_in_a_mounted_tree() {
    if !fuse_is_there() {
        return;
    }
    let (site, tom) = site("e-git");
    let mount = Mount::sshfs(&site, &tom, "dev");
    // Git's own directory is nothing that a site may hold, so it has another name.
    let work = mount.path("files").join("work");
    fs::create_dir(&work).unwrap();
    let git = |words: &[&str]| {
        tom.client("git")
            .folder(&work)
            .args(["--git-dir=repository", "--work-tree=."])
            .args(["-c", "user.name=Tom", "-c", "user.email=tom@example.org"])
            .args(["-c", "core.createObject=link"])
            .args(words)
            .run()
            .ok()
    };
    git(&["init", "--quiet"]);
    for number in 0..5 {
        fs::write(work.join("page"), format!("page {number}\n")).unwrap();
        fs::write(work.join(format!("new-{number}")), "new\n").unwrap();
        git(&["add", "page", &format!("new-{number}")]);
        git(&["commit", "--quiet", "--message", "a commit"]);
    }
    git(&["checkout", "--quiet", "-b", "other", "HEAD~2"]);
    git(&["gc", "--quiet"]);
    git(&["fsck", "--strict"]);
    let count = git(&["rev-list", "--count", "--all"]).out();
    assert_eq!(count.trim(), "5");
    settled(&site, "dev");
    // The same on the server's disk, where no mount could have hidden anything.
    let on_disk = site.disk("dev", "files").join("work");
    let judge = |words: &[&str]| {
        tom.client("git")
            .folder(&on_disk)
            .args(["--git-dir=repository", "--work-tree=."])
            .args(words)
            .run()
            .ok()
    };
    judge(&["fsck", "--strict"]);
    assert_eq!(judge(&["rev-list", "--count", "--all"]).out().trim(), "5");
    assert_eq!(fs::read(on_disk.join("page")).unwrap(), b"page 2\n");
    assert!(locks(&on_disk.join("repository")).is_empty());
}

fn locks(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".lock"))
        .collect()
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}
