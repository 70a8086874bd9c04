//! Git is killed after each call by which it changes the disk, and git and the hooks at each point of
//! a push that the daemon passes. The daemon lives on, and with it the site.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Client, clients};

use crate::crash;
use crate::crash_kills::{ended, find};
use crate::crash_operations::OPERATIONS;
use crate::crash_points::{chosen, rounds};
use crate::crash_reader::Reader;
use crate::crash_site::{Scene, State};

#[test]
fn git_is_killed_after_each_call_that_changes_the_disk() {
    let scene = Scene::new("git-calls");
    let traps = Traps::new(scene.gateway.folder());
    scene.gateway.stop(Signal::SIGTERM);
    scene.gateway.serve_with(&[("PATH", &traps.path)]);
    let reader = Reader::of(&scene, &["dev", "test", "live"]);
    let mut serial = 0;
    // Few objects are unpacked, many are kept as a pack (git-config(1), receive.unpackLimit).
    for (victim, many) in [
        ("receive-pack", false),
        ("unpack-objects", false),
        ("index-pack", true),
        ("update-ref", false),
    ] {
        let mut begin = || {
            serial += 1;
            if many {
                many_files(&scene, serial);
            }
            scene.change(&format!("c{serial}"))
        };
        begin();
        traps.order(victim, 0);
        scene.push().run().ok();
        scene.settle();
        let calls = traps.passed();
        assert!(calls > 0, "{victim} was not seen");
        let step = if rounds().is_some() {
            1
        } else {
            calls.div_ceil(5)
        };
        let mut tried = 0;
        for call in (1..=calls).step_by(step) {
            let wanted = begin();
            let before = scene.state_without_sweep();
            traps.order(victim, call);
            let finished = scene.push().run();
            traps.order("nobody", 0);
            tried += 1;
            let after = ended(&scene, &before);
            let told = format!("{victim} was killed after call {call} of {calls}: {finished}");
            let is_new = old_or_new(&before, &after, &wanted, &told);
            // The gateway does what a killed `update-ref` has not.
            if victim != "update-ref" {
                assert_ne!(finished.code, Some(0), "{told}");
            } else if finished.code == Some(0) {
                assert!(is_new, "{told}");
            }
            scene.push().run().ok();
            let again = scene.state_without_sweep();
            assert!(old_or_new(&before, &again, &wanted, &told), "{told}");
        }
        println!("{victim}: killed after {tried} of {calls} calls, 0 failures");
    }
    scene.gateway.stop(Signal::SIGTERM);
    scene.recover();
    scene.state();
    reader.end(&scene);
}

#[test]
fn git_and_the_hooks_are_killed_at_each_point_of_a_push() {
    let scene = Scene::new("git-points");
    let push = &OPERATIONS[0];
    let points = crash::recorded(&scene, push);
    let reader = Reader::of(&scene, &["dev", "test", "live"]);
    let id = |id: u32| i32::try_from(id).expect("a process id is an i32");
    for (number, victim) in ["receive-pack", "hooks/"].into_iter().enumerate() {
        let (mut tried, mut killed) = (0, 0);
        for (place, point) in chosen(&points, number, 9).iter().enumerate() {
            let wanted = scene.change(&format!("v{number}-{place}"));
            let before = scene.state_without_sweep();
            scene.faults.hold(point);
            let mut client = scene.push().start();
            let reached = scene.faults.reached_before(|| {
                let ended = client.process.child().try_wait();
                ended.is_ok_and(|ended| ended.is_some())
            });
            if reached {
                tried += 1;
                let daemon = id(scene.gateway.process_id());
                if let Some(found) = find(daemon, id(client.process.id()), victim) {
                    killed += 1;
                    kill(Pid::from_raw(found), Signal::SIGKILL).unwrap();
                }
            }
            scene.faults.clear();
            let finished = client.finish();
            let after = ended(&scene, &before);
            let told = format!("{victim} was killed at {point}: {finished}");
            let is_new = old_or_new(&before, &after, &wanted, &told);
            if finished.code == Some(0) {
                assert!(is_new, "{told}");
            }
            scene.push().run().ok();
            let again = scene.state_without_sweep();
            assert!(old_or_new(&before, &again, &wanted, &told), "{told}");
        }
        assert!(killed > 0, "{victim} never ran at any of {points:?}");
        println!(
            "{victim}: killed at {killed} of {tried} points (elsewhere it does not run), 0 failures"
        );
    }
    scene.gateway.stop(Signal::SIGTERM);
    scene.recover();
    scene.state();
    reader.end(&scene);
}

#[track_caller]
fn old_or_new(before: &State, after: &State, wanted: &str, told: &str) -> bool {
    let is_new = after.environments["dev"].commit.as_deref() == Some(wanted);
    if !is_new {
        assert_eq!(before, after, "{told}");
    }
    is_new
}

/// Writes more files than git unpacks.
fn many_files(scene: &Scene, serial: usize) {
    let folder = scene.clone.folder().join("many");
    fs::create_dir_all(&folder).unwrap();
    for number in 0..120 {
        fs::write(
            folder.join(number.to_string()),
            format!("{serial} {number}\n"),
        )
        .unwrap();
    }
}

/// A `git` that comes before the real one on a daemon's PATH, and dies as it is told.
struct Traps {
    folder: PathBuf,
    path: String,
}

impl Traps {
    fn new(beside: &Path) -> Self {
        let folder = beside.join("traps");
        fs::create_dir_all(&folder).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/git_dies.c");
        Client::new("cc")
            .args(["-shared", "-fPIC", "-O", "-Wall", "-Werror", "-o"])
            .arg(folder.join("git_dies.so"))
            .args([source, "-ldl"])
            .run()
            .ok();
        let git = clients::find("git").expect("git is installed");
        let script = format!(
            "#!/bin/sh\nexport LD_PRELOAD={0}/git_dies.so GIT_DIES_IN={0}\nexec {1} \"$@\"\n",
            folder.display(),
            git.display()
        );
        fs::write(folder.join("git"), script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.join("git"), executable).unwrap();
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", folder.display());
        let traps = Self { folder, path };
        traps.order("nobody", 0);
        traps
    }

    /// Has `victim` die after a number of calls; with 0 its calls are counted only.
    fn order(&self, victim: &str, call: usize) {
        let _ = fs::remove_file(self.folder.join("passed"));
        let new = self.folder.join("order.new");
        fs::write(&new, format!("{victim} {call}\n")).unwrap();
        fs::rename(new, self.folder.join("order")).unwrap();
    }

    fn passed(&self) -> usize {
        let passed = fs::read_to_string(self.folder.join("passed"));
        passed.unwrap_or_default().lines().count()
    }
}
