use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use super::*;
use crate::site::files::{Limits, Usage};

pub(in crate::site::files) struct Quiet;

impl Watcher for Quiet {
    fn at(&self, _: u64, _: &str) {}
    fn stopped(&self) -> bool {
        false
    }
}

fn room() -> Room {
    Room::unlimited().leaving_free(0)
}

fn clone(source: &Path, target: &Path, deleting: Deleting) -> Copied {
    copy(source, target, deleting, &room(), &Quiet).unwrap()
}

/// All that a copy keeps, by path.
type Picture = BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>;

fn picture(folder: &Path) -> Picture {
    let mut all = BTreeMap::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(path) = left.pop() {
        let about = fs::symlink_metadata(&path).unwrap();
        let content = if about.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            Vec::new()
        } else if about.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec()
        } else if about.is_file() {
            fs::read(&path).unwrap()
        } else {
            continue;
        };
        let mode = about.mode();
        let name = path.strip_prefix(folder).unwrap().to_owned();
        all.insert(name, (mode, about.mtime(), about.mtime_nsec(), content));
    }
    all
}

/// Makes what is written so far older than a tick of the file system's clock.
fn settle() {
    let folder = tempfile::tempdir().unwrap();
    let now = || {
        fs::write(folder.path().join("now"), "").unwrap();
        let about = fs::metadata(folder.path().join("now")).unwrap();
        (about.ctime(), about.ctime_nsec())
    };
    let (seconds, nanoseconds) = now();
    let until = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds) + 30_000_000;
    loop {
        let (seconds, nanoseconds) = now();
        if i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds) > until {
            break;
        }
        std::thread::yield_now();
    }
}

fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("2024/01")).unwrap();
    fs::create_dir(source.join("empty")).unwrap();
    fs::write(source.join("2024/01/a.jpg"), vec![7; 300_000]).unwrap();
    fs::write(source.join("2024/01/empty"), "").unwrap();
    fs::write(
        source.join(std::ffi::OsStr::from_bytes(b"\xff\n name")),
        "odd",
    )
    .unwrap();
    fs::write(source.join("program"), "#!/bin/sh\n").unwrap();
    let rights = |name: &str, mode| {
        fs::set_permissions(source.join(name), Permissions::from_mode(mode)).unwrap();
    };
    rights("program", 0o4755);
    symlink("../program", source.join("2024/link")).unwrap();
    symlink("/nowhere", source.join("dangling")).unwrap();
    fs::hard_link(source.join("program"), source.join("2024/same")).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    for name in ["2024/01/a.jpg", "2024/01", "empty"] {
        let file = fs::File::open(source.join(name)).unwrap();
        file.set_modified(old).unwrap();
    }
    rights("2024/01", 0o555);
    rights("2024/01/a.jpg", 0o400);
    rights("empty", 0o2775);
    folder
}

#[test]
fn a_copy_is_the_same_and_shares_nothing() {
    let folder = scene();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    nix::unistd::mkfifo(&source.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let copied = clone(&source, &target, Deleting::Gone);
    let mut wanted = picture(&source);
    // Nothing runs as another user than who starts it.
    for name in ["program", "2024/same"] {
        wanted.get_mut(Path::new(name)).unwrap().0 = 0o100_755;
    }
    assert_eq!(picture(&target), wanted);
    assert_eq!((copied.files, copied.copied, copied.skipped), (7, 7, 1));
    assert_eq!(copied.notes.len(), 1);
    assert!(copied.notes[0].contains("pipe"));
    assert_eq!(fs::metadata(target.join("program")).unwrap().nlink(), 1);
    fs::write(target.join("program"), "changed").unwrap();
    assert_eq!(fs::read(source.join("program")).unwrap(), b"#!/bin/sh\n");
}

#[test]
fn a_second_copy_writes_only_what_differs() {
    let folder = scene();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    settle();
    clone(&source, &target, Deleting::Gone);
    let again = clone(&source, &target, Deleting::Gone);
    assert_eq!((again.files, again.copied, again.removed), (7, 0, 0));
    let inode = |name: &str| fs::metadata(target.join(name)).unwrap().ino();
    let (kept, changed) = (inode("2024/01/a.jpg"), inode("program"));
    let mut reader = fs::File::open(target.join("program")).unwrap();
    // Differences of every kind, some of the same length.
    fs::write(target.join("2024/stranger"), "old").unwrap();
    fs::create_dir_all(target.join("strangers/deep")).unwrap();
    fs::write(source.join("program"), "#!/bin/xy\n").unwrap();
    fs::remove_dir(target.join("empty")).unwrap();
    fs::write(target.join("empty"), "a file where a folder was").unwrap();
    fs::remove_file(target.join("dangling")).unwrap();
    fs::create_dir(target.join("dangling")).unwrap();
    fs::write(target.join("dangling/in"), "x").unwrap();
    fs::remove_file(source.join("2024/link")).unwrap();
    symlink("../elsewhere", source.join("2024/link")).unwrap();
    let added = clone(&source, &target, Deleting::Nothing);
    assert_eq!(added.removed, 0);
    assert!(target.join("2024/stranger").exists());
    let third = clone(&source, &target, Deleting::Gone);
    assert!(third.removed >= 2, "{third:?}");
    let mut wanted = picture(&source);
    for name in ["program", "2024/same"] {
        wanted.get_mut(Path::new(name)).unwrap().0 = 0o100_755;
    }
    assert_eq!(picture(&target), wanted);
    assert_eq!(inode("2024/01/a.jpg"), kept);
    // Who reads the old file reads it whole.
    assert_ne!(inode("program"), changed);
    let mut old = String::new();
    std::io::Read::read_to_string(&mut reader, &mut old).unwrap();
    assert_eq!(old, "#!/bin/sh\n");
}

#[test]
fn holes_links_and_depth_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    fs::create_dir(&source).unwrap();
    let hole = fs::File::create(source.join("hole")).unwrap();
    hole.set_len(1 << 34).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hole, b"end", (1 << 34) - 3).unwrap();
    let top = Folder::open(&source).unwrap();
    let mut deepest = top.make_folder(b"deep").unwrap();
    for _ in 0..400 {
        deepest = deepest.make_folder(&[b'd'; 50]).unwrap();
    }
    deepest.create_file(b"bottom", 0o640).unwrap();
    let copied = clone(&source, &target, Deleting::Gone);
    assert_eq!(copied.files, 2);
    let about = fs::metadata(target.join("hole")).unwrap();
    assert!(about.len() == 1 << 34 && about.blocks() < 1 << 12);
    let path = [&b"deep/"[..], &[&[b'd'; 50][..]; 400].join(&b'/')].concat();
    let bottom = deep(&Folder::open(&target).unwrap(), &path).unwrap();
    assert_eq!(bottom.stat(b"bottom").unwrap().st_mode, 0o100_640);
    // Beyond what one path can say.
    top.remove_all(b"deep").unwrap();
    Folder::open(&target).unwrap().remove_all(b"deep").unwrap();
}

#[test]
fn a_large_folder_is_copied_by_both_threads() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    fs::create_dir(&source).unwrap();
    for number in 0..20_000 {
        fs::write(source.join(format!("file-{number}")), [b'x'; 10]).unwrap();
    }
    let copied = clone(&source, &target, Deleting::Gone);
    assert_eq!((copied.files, copied.bytes), (20_000, 200_000));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 20_000);
    settle();
    clone(&source, &target, Deleting::Gone);
    assert_eq!(clone(&source, &target, Deleting::Gone).copied, 0);
}

#[test]
fn what_changes_and_vanishes_meanwhile_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    for number in 0..20 {
        fs::create_dir_all(source.join(format!("{number}"))).unwrap();
        for file in 0..50 {
            fs::write(source.join(format!("{number}/{file}")), vec![0; 5000]).unwrap();
        }
    }
    let stop = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut byte = 1_u8;
            while !stop.load(Ordering::Relaxed) {
                for number in 0..20 {
                    let inside = |name: &str| source.join(format!("{number}/{name}"));
                    // Whole at each moment, in itself: rename, append, vanish, become a folder.
                    fs::write(inside("new"), vec![byte; 5000]).unwrap();
                    fs::rename(inside("new"), inside("1")).unwrap();
                    OpenOptions::new()
                        .append(true)
                        .open(inside("2"))
                        .unwrap()
                        .write_all(&[byte; 10])
                        .unwrap();
                    let _ = fs::remove_file(inside("3"));
                    let _ = fs::remove_dir_all(inside("4"));
                    let _ = fs::remove_file(inside("4"));
                    if byte.is_multiple_of(2) {
                        let _ = fs::create_dir(inside("4"));
                    } else {
                        let _ = symlink("3", inside("4"));
                    }
                    fs::write(inside("3"), vec![byte; 5000]).unwrap();
                }
                byte = byte.wrapping_add(1);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        while rounds.load(Ordering::Relaxed) < 30 {
            clone(&source, &target, Deleting::Gone);
            clone(&source, &target, Deleting::Nothing);
            for number in 0..20 {
                let one = fs::read(target.join(format!("{number}/1"))).unwrap();
                assert!(one.len() == 5000 && one.iter().all(|byte| *byte == one[0]));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    clone(&source, &target, Deleting::Gone);
    assert_eq!(picture(&target), picture(&source));
}

#[test]
fn a_write_within_the_same_tick_is_seen_by_the_next_pass() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    fs::create_dir(&source).unwrap();
    for round in 0..50_u32 {
        fs::write(source.join("file"), round.to_le_bytes()).unwrap();
        clone(&source, &target, Deleting::Nothing);
        fs::write(source.join("file"), (round + 1000).to_le_bytes()).unwrap();
        clone(&source, &target, Deleting::Nothing);
        assert_eq!(
            fs::read(target.join("file")).unwrap(),
            (round + 1000).to_le_bytes()
        );
    }
}

#[test]
fn quota_stop_and_what_cannot_be_read_end_it() {
    let folder = scene();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    let held = crate::site::files::usage(&source).unwrap();
    let limits =
        |bytes, files| Room::new(Limits { bytes, files }, Usage::default()).leaving_free(0);
    let refused = |room: &Room| match copy(&source, &target, Deleting::Gone, room, &Quiet) {
        Err(Trouble::Refused(sentence)) => sentence,
        other => panic!("{other:?}"),
    };
    assert!(refused(&limits(Some(299_999), None)).contains("quota"));
    assert!(refused(&limits(None, Some(held.files - 1))).contains("quota"));
    let exact = limits(Some(held.bytes + 100), Some(held.files));
    copy(&source, &target, Deleting::Gone, &exact, &Quiet).unwrap();
    // The second pass takes only what is new.
    copy(&source, &target, Deleting::Nothing, &exact, &Quiet).unwrap();
    fs::write(source.join("one-more"), "").unwrap();
    assert!(copy(&source, &target, Deleting::Nothing, &exact, &Quiet).is_err());
    assert!(refused(&Room::unlimited().leaving_free(1 << 60)).contains("disk"));
    struct Stopped;
    impl Watcher for Stopped {
        fn at(&self, _: u64, _: &str) {}
        fn stopped(&self) -> bool {
            true
        }
    }
    let stopped = copy(&source, &target, Deleting::Gone, &room(), &Stopped);
    assert!(matches!(stopped, Err(Trouble::Stopped)));
}

#[test]
fn links_in_the_way_are_never_followed() {
    let folder = scene();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("program"), "kept").unwrap();
    fs::create_dir(&target).unwrap();
    symlink(&outside, target.join("2024")).unwrap();
    symlink(outside.join("program"), target.join("program")).unwrap();
    clone(&source, &target, Deleting::Nothing);
    assert_eq!(fs::read(outside.join("program")).unwrap(), b"kept");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert!(target.join("2024/01/a.jpg").exists());
    assert!(
        copy(
            &folder.path().join("source/dangling"),
            &target,
            Deleting::Gone,
            &room(),
            &Quiet
        )
        .is_err()
    );
}
