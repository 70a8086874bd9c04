//! The power is cut at points of operations and at random moments: what is on the disk then is the
//! old state or the new one, and the new one if success had been told.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use support::{Client, Gateway};

use crate::crash;
use crate::crash_disks::{Disks, Kind};
use crate::crash_operations::{OPERATIONS, Operation, Wanted};
use crate::crash_points::{chosen, rounds};
use crate::crash_reader::{Manifest, differences, manifest, releases};
use crate::crash_site::{Scene, State};

#[test]
fn the_power_of_ext4_is_cut() {
    cut_again_and_again(Kind::Ext4);
}

#[test]
fn the_power_of_xfs_is_cut() {
    cut_again_and_again(Kind::Xfs);
}

/// The operations of an ordinary run: pushed code, and code from environment to environment.
const ORDINARY: [&str; 2] = ["push", "deploy_to_live"];

/// A disk as it was when the power went, and what it may hold.
struct Cut {
    image: PathBuf,
    moment: String,
    before: State,
    wanted: Wanted,
    what: String,
    /// Whether somebody had been told of success.
    told: bool,
}

fn cut_again_and_again(kind: Kind) {
    let Some(disks) = Disks::new() else {
        return;
    };
    let mut image = PathBuf::new();
    let gateway = Gateway::start_on(&crate::crash_site::WITHOUT_BACKUPS, |data| {
        image = disks.image(kind);
        disks.mount(&image, data);
    });
    let scene = Scene::on(gateway, "power");
    let mut random = Random::new();
    let (mut tried, mut kept) = (0, 0);
    for operation in OPERATIONS {
        if rounds().is_none() && !ORDINARY.contains(&operation.name) {
            continue;
        }
        let mut cuts = at_points(&scene, &disks, &image, operation);
        cuts.extend(at_random(&scene, &disks, &image, operation, &mut random));
        scene.faults.clear();
        scene.settle();
        assert_eq!(scene.gateway.stop(Signal::SIGTERM), Some(0));
        let data = scene.gateway.data();
        disks.unmount(&data);
        tried += cuts.len();
        for (number, cut) in cuts.into_iter().enumerate() {
            let next = format!("n{}-{number}", operation.place);
            disks.mount(&cut.image, &data);
            kept += usize::from(is_new_after(&scene, operation, &cut, &next));
            scene.settle();
            scene.gateway.stop(Signal::SIGKILL);
            disks.unmount(&data);
            fs::remove_file(&cut.image).unwrap();
        }
        disks.mount(&image, &data);
        scene.serve();
        let name = operation.name;
        println!("{kind:?}: {tried} moments so far, the last of them in {name}; 0 failures");
    }
    println!(
        "{kind:?}: the power was cut at {tried} moments ({kept} of them left the new state), \
         0 failures; seed {}",
        random.seed
    );
    scene.gateway.stop(Signal::SIGTERM);
    disks.unmount(&scene.gateway.data());
}

/// Cuts the power while the daemon stands still at points, and after each success.
fn at_points(scene: &Scene, disks: &Disks, image: &Path, operation: &Operation) -> Vec<Cut> {
    let points = crash::recorded(scene, operation);
    let mut cuts = Vec::new();
    for (number, point) in chosen(&points, operation.place, 25).iter().enumerate() {
        let what = format!("p{}-{number}", operation.place);
        let wanted = (operation.begin)(scene, &what);
        let before = scene.state();
        scene.faults.hold(point);
        let mut act = (operation.act)(scene, &what).start();
        let reached = scene.faults.reached_before(|| {
            let ended = act.process.child().try_wait();
            ended.is_ok_and(|ended| ended.is_some()) && point.is_aside()
        });
        let mut cut = |moment: String, told: bool| {
            let image = disks.copy(image, &format!("{what}-{told}.img"));
            cuts.push(Cut {
                image,
                moment,
                before: before.clone(),
                wanted: wanted.clone(),
                what: what.clone(),
                told,
            });
        };
        if reached {
            cut(format!("{}: at {point}", operation.name), false);
        }
        scene.faults.clear();
        act.finish().ok();
        if number == 0 || rounds().is_some() {
            cut(format!("{}: after its success", operation.name), true);
        }
    }
    cuts
}

/// Cuts the power some time between the beginning of an operation and a little after its end.
fn at_random(
    scene: &Scene,
    disks: &Disks,
    image: &Path,
    operation: &Operation,
    random: &mut Random,
) -> Vec<Cut> {
    let mut longest = Duration::from_millis(200);
    let mut cuts = Vec::new();
    for number in 0..rounds().unwrap_or(2) {
        let what = format!("t{}-{number}", operation.place);
        let wanted = (operation.begin)(scene, &what);
        let before = scene.state();
        let began = Instant::now();
        let mut act = (operation.act)(scene, &what).start();
        let delay = longest.mul_f64(random.part());
        thread::sleep(delay);
        let ended = act.process.child().try_wait();
        let told = ended.is_ok_and(|ended| ended.is_some_and(|status| status.success()));
        let image = disks.copy(image, &format!("{what}.img"));
        act.finish().ok();
        longest = began.elapsed().mul_f64(1.1);
        cuts.push(Cut {
            image,
            moment: format!("{}: after {delay:?}", operation.name),
            before,
            wanted,
            what,
            told,
        });
    }
    cuts
}

/// Looks at what a mounted disk holds, starts the gateway on it, and works on. Returns whether it is
/// the new state.
fn is_new_after(scene: &Scene, operation: &Operation, cut: &Cut, next: &str) -> bool {
    let moment = &cut.moment;
    let known = releases(scene);
    for environment in ["dev", "test", "live"] {
        let served = manifest(&scene.folder(environment).join("current/code")).unwrap();
        let unlike = unlike_any(&served, &known);
        assert!(
            unlike.is_empty() || operation.name == "commit" && environment == "dev",
            "{moment}: {environment} serves what is no release: {unlike:?}"
        );
    }
    scene
        .git_command(&["fsck", "--full", "--strict"])
        .run()
        .ok();
    let said = scene.recover();
    let after = scene.state();
    let is_new = cut
        .wanted
        .is_there(operation.environment, &cut.before, &after);
    if !is_new {
        assert_eq!(cut.before, after, "{moment} left something new: {said}");
        assert!(!cut.told, "{moment}: success was told, and is lost: {said}");
        (operation.act)(scene, &cut.what).run().ok();
    } else {
        (operation.begin)(scene, next);
        (operation.act)(scene, next).run().ok();
    }
    // Where it leads is up to the clone, which has gone on since.
    assert_ne!(scene.state(), after, "{moment}: the next operation");
    is_new
}

/// Returns in what something differs from the release that is the most like it.
fn unlike_any(served: &Manifest, known: &[Manifest]) -> Vec<String> {
    let unlike = known.iter().map(|one| differences(one, served));
    unlike.min_by_key(Vec::len).expect("a site has a commit")
}

/// The same cut, of what many people deploy with: a new folder, and a symbolic link that turns. It
/// shows that these tests can fail.
#[test]
fn a_plain_deploy_by_symbolic_link_leaves_empty_files() {
    let Some(disks) = Disks::new() else {
        return;
    };
    let image = disks.image(Kind::Ext4);
    let place = image.with_file_name("plain");
    disks.mount(&image, &place);
    let repository = image.with_file_name("repository");
    fs::create_dir(&repository).unwrap();
    let sh = |script: &str| {
        Client::new("sh")
            .folder(&place)
            .env("GIT_DIR", &repository)
            .env("GIT_AUTHOR_NAME", "a")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "a")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .args(["-ec", script])
            .run()
            .ok()
    };
    sh("git init --quiet --bare");
    let mut known = Vec::new();
    for release in ["old", "new"] {
        let work = image.with_file_name(release);
        for number in 0..50 {
            let path = work.join(format!("set/{number}.php"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("<?php // {release} {number}\n")).unwrap();
        }
        known.push(manifest(&work).unwrap());
        let work = work.display();
        sh(&format!("git --work-tree {work} add --all"));
        sh(&format!(
            "git --work-tree {work} commit --quiet -m {release}"
        ));
        sh(&format!(
            "mkdir -p releases/{release}
             git archive HEAD | tar -x -C releases/{release}
             ln -s releases/{release} current.new
             mv -T current.new current"
        ));
        if release == "old" {
            sh("sync -f .");
        }
    }
    // Anything else on that disk that makes sure of its own data, as a database does all the time.
    sh("echo x >other; sync other");
    let cut = disks.copy(&image, "plain.img");
    disks.unmount(&place);
    disks.mount(&cut, &place);
    let found = fs::read_link(place.join("current")).unwrap();
    assert!(found.ends_with("new"), "the link had turned: {found:?}");
    let served = manifest(&place.join("current/")).unwrap();
    let empty = served.values().filter(|content| **content == b"file ");
    let (empty, all) = (empty.count(), known[1].len());
    println!("a plain deploy: {empty} of {all} files are empty after a power cut");
    assert!(
        empty > 0,
        "the plain deploy survived, so nothing was tested"
    );
    assert!(
        known
            .iter()
            .all(|one| !differences(one, &served).is_empty())
    );
    disks.unmount(&place);
}

/// Random numbers that can be had again (xorshift64).
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let seed = now.subsec_nanos().into();
        Self {
            seed,
            state: seed | 1,
        }
    }

    /// Returns something between 0 and 1.
    fn part(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % 10_000) as f64 / 10_000.0
    }
}
