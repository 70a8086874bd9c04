//! A full disk: whoever would write is told so, nothing is half-done, and when there is room again
//! all goes on.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::{Client, Finished, Gateway, Role, tree, wait_for};

use crate::crash_site::Scene;

#[test]
fn a_full_disk_stops_writing_and_nothing_else() {
    let Some((_disk, gateway)) = gateway_on_a_small_disk() else {
        return;
    };
    let scene = Scene::on(gateway, "full");
    let desk = scene.tom.desk("full");
    fs::write(desk.join("large"), tree::noise(7, 12 << 20)).unwrap();
    fs::write(desk.join("small"), "small\n").unwrap();
    let small = format!("put {}/small /files/kept\n", desk.display());
    scene.site.sftp(&scene.tom, "dev", &small).run().ok();
    let before = scene.state();

    // Room for the state and the audit, and none for what people send.
    let filler = fill(&scene, 4 << 20);
    let put = format!("put {}/large /files/kept\n", desk.display());
    says_no_space(&scene.site.sftp(&scene.tom, "dev", &put).run());
    let kept = || fs::read(scene.site.disk("dev", "files").join("kept")).unwrap();
    assert_eq!(kept(), b"small\n", "what was to be replaced");
    writes_again(&scene);
    let large = scene.clone.folder().join("large");
    fs::write(&large, tree::noise(8, 12 << 20)).unwrap();
    let commit = scene.change("large");
    says_no_space(&scene.push().run());
    let after = scene.state_without_sweep();
    assert_eq!(before, after);

    // What lies in the repository already may still be too much for a release.
    filler.empty();
    scene.push().run().ok();
    let before = scene.state();
    let filler = fill(&scene, 4 << 20);
    says_no_space(&scene.console(&["env:deploy", "SITE.test"]).run());
    assert_eq!(before, scene.state());

    // No room at all: nothing can be recorded, so nothing may change; reading goes on.
    let full = fill(&scene, 0);
    for words in [
        &["env:deploy", "SITE.test"][..],
        &["connection:set", "SITE.dev", "sftp", "--yes"],
        &["site:team:role", "SITE", "dana", "viewer"],
    ] {
        scene.site.command(words).run().fails();
    }
    scene.change("too-late");
    scene.push().run().fails();
    scene.site.sftp(&scene.tom, "dev", &small).run().fails();
    let got = format!("get /code/index.php {}/got\n", desk.display());
    scene.site.sftp(&scene.tom, "live", got).run().ok();
    scene.clone.must(&["fetch", "--quiet", "dev"]);

    full.empty();
    filler.empty();
    writes_again(&scene);
    scene.site.must(&["env:deploy", "SITE.test"]);
    let after = scene.state();
    assert_eq!(after.environments["test"].commit.as_ref(), Some(&commit));
    assert_eq!(before.environments["live"], after.environments["live"]);
    let members = scene.site.must(&["site:team:list", "SITE"]).out();
    let role = members
        .lines()
        .find(|line| line.contains(Role::Developer.person()));
    assert!(
        role.is_some_and(|line| line.contains("developer")),
        "{members}"
    );
    scene.site.sftp(&scene.tom, "dev", &put).run().ok();
    assert_eq!(kept().len(), 12 << 20);
    scene.change("afterwards");
    scene.push().run().ok();
    scene.site.must(&["env:deploy", "SITE.test"]);
    scene.state();
    scene.gateway.stop(nix::sys::signal::Signal::SIGTERM);
    scene.recover();
    scene.state();
}

/// Waits until the audit takes records again.
#[track_caller]
pub(crate) fn writes_again(scene: &Scene) {
    let limit = Duration::from_secs(30);
    wait_for("the gateway to write again", limit, || {
        let words = ["site:team:role", "SITE", Role::Viewer.person(), "viewer"];
        let done = scene.site.command(&words).run();
        (done.code == Some(0)).then_some(())
    });
}

#[track_caller]
fn says_no_space(finished: &Finished) {
    let told = finished.screen().to_lowercase();
    assert_ne!(finished.code, Some(0), "{finished}");
    assert!(told.contains("no space"), "{finished}");
}

/// A gateway whose data lies on a file system of 96 MiB; none where nothing can be mounted.
pub(crate) fn gateway_on_a_small_disk() -> Option<(Disk, Gateway)> {
    let mut disk = None;
    if !mount_works() {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must be able to mount a tmpfs, or the full disk is never tested"
        );
        eprintln!("not tested: this user cannot mount a tmpfs");
        return None;
    }
    let gateway = Gateway::start_on(&crate::crash_site::WITHOUT_BACKUPS, |data| {
        fs::create_dir_all(data).unwrap();
        mount(data, "size=96m").run().ok();
        disk = Some(Disk(data.to_owned()));
    });
    Some((disk.expect("it was mounted"), gateway))
}

fn mount_works() -> bool {
    let folder = std::env::temp_dir().join(format!("funicular-mount-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mounted = mount(&folder, "size=1m").run().code == Some(0);
    drop(Disk(folder));
    mounted
}

fn mount(folder: &Path, options: &str) -> Client {
    Client::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(folder)
}

/// Unmounted at the end, and its folder removed.
pub(crate) struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
        let _ = fs::remove_dir(&self.0);
        // The folder around it, which could not be removed before; empty by now.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// A file that takes up room.
struct Filler(PathBuf);

impl Filler {
    fn empty(self) {
        fs::remove_file(self.0).unwrap();
    }
}

/// Fills the gateway's disk until just `left` bytes are free.
fn fill(scene: &Scene, left: u64) -> Filler {
    let path = scene.gateway.data().join(format!("filler-{left}"));
    let mut file = File::create(&path).unwrap();
    let zeros = vec![0; 64 << 10];
    while file.write_all(&zeros).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(left)).unwrap();
    Filler(path)
}
