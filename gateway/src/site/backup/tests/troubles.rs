//! What goes wrong, with restic itself.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;

use super::{Scene, refused};
use crate::site::backup::repository::{Nobody, Repository, Snapshots};
use crate::site::backup::{archive, restore};

#[test]
fn damage_is_told_and_nothing_damaged_is_handed_out() {
    let scene = Scene::new();
    let mut noise = vec![0_u8; 3 << 20];
    getrandom::fill(&mut noise).unwrap();
    scene.write("noise", &noise);
    let kept = scene.keep("element=files", None);
    let mut packs = Vec::new();
    for folder in fs::read_dir(scene.repository.folder().join("data")).unwrap() {
        for pack in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = pack.unwrap().path();
            packs.push((fs::metadata(&path).unwrap().len(), path));
        }
    }
    let (_, largest) = packs.into_iter().max().unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    bytes[100_000] ^= 1;
    fs::set_permissions(&largest, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&largest, bytes).unwrap();
    let told = refused(scene.repository.check(100).unwrap_err());
    assert!(
        told.contains("are damaged") && told.contains("restic check"),
        "{told}"
    );
    let snapshots = Snapshots {
        before: None,
        after: &kept,
    };
    let target = scene.fresh("target");
    let told = refused(restore::files(&scene.repository, snapshots, &target, &Nobody).unwrap_err());
    assert!(told.contains("are damaged"), "{told}");
    let mut packed = Vec::new();
    let told = archive::files(
        &scene.repository,
        snapshots,
        "files_dev",
        &mut packed,
        &Nobody,
    );
    assert!(refused(told.unwrap_err()).contains("are damaged"));
    let mut whole = Vec::new();
    GzDecoder::new(packed.as_slice())
        .read_to_end(&mut whole)
        .expect_err("an archive that is cut off");
}

#[test]
fn a_server_without_restic_says_so() {
    let temporary = tempfile::tempdir().unwrap();
    let repository = |program: PathBuf| Repository {
        program,
        above: temporary.path().to_owned(),
        keep_free: 0,
    };
    let told = refused(
        repository(PathBuf::from("no-such-restic"))
            .make()
            .unwrap_err(),
    );
    assert!(told.contains("apt-get install restic"), "{told}");
    let old = temporary.path().join("restic");
    fs::write(
        &old,
        "#!/bin/sh\necho 'unknown flag: --repository-version' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    let told = refused(repository(old).make().unwrap_err());
    assert!(told.contains("0.14 or newer"), "{told}");
    assert!(!repository(PathBuf::from("restic")).exists());
}

#[test]
fn a_disk_that_is_almost_full_is_left_alone() {
    let mut scene = Scene::new();
    scene.repository.keep_free = u64::MAX;
    let told = scene.repository.keep(&scene.files(), &[], None, &Nobody);
    let told = refused(told.unwrap_err());
    assert!(told.contains("No space is left"), "{told}");
    // What makes room works all the same.
    scene.repository.prune().unwrap();
}

#[test]
fn what_a_killed_restic_has_left_stops_nobody() {
    let scene = Scene::new();
    scene.write("a", "a");
    let kept = scene.keep("n=1", None);
    let mut command = Command::new("restic");
    command
        .args(["--no-cache", "--repo"])
        .arg(scene.repository.folder())
        .arg("--password-file")
        .arg(scene.repository.password())
        .args(["backup", "--stdin", "--stdin-filename", "database.sql"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut killed = command.spawn().unwrap();
    let mut stdin = killed.stdin.take().unwrap();
    let locks = scene.repository.folder().join("locks");
    while fs::read_dir(&locks).unwrap().next().is_none() {
        stdin.write_all(&[b'x'; 4096]).unwrap();
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(
        fs::read_dir(&locks).unwrap().next().is_some(),
        "it has left its lock"
    );
    scene.repository.unlock().unwrap();
    scene.repository.forget(&[kept]).unwrap();
    scene.repository.prune().unwrap();
    scene.repository.check(100).unwrap();
}

#[test]
fn nobody_but_the_owner_reads_the_password() {
    let scene = Scene::new();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(scene.repository.password()), 0o600);
    assert_eq!(mode(scene.repository.folder()), 0o700);
}
