//! The pack cache: whatever clones ask for, and whatever happens to the cache, they get what the
//! repository holds.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Clone, Finished, Gateway, Person, Role, Site, gateway::Setting, tree, wait_for};

use crate::crash_kills::find;

/// What a client is told when it gets a pack that was made before.
const FROM_CACHE: &str = "Sent from the pack cache";

#[test]
fn a_repeated_clone_is_the_same_and_comes_from_the_cache() {
    let scene = Scene::new("packs", &[]);
    let first = scene.clone_with(&[]);
    assert!(!first.screen().contains(FROM_CACHE), "{first}");
    for options in [&[][..], &["--bare"]] {
        let again = scene.clone_with(options);
        assert!(again.screen().contains(FROM_CACHE), "{again}");
    }
    assert_eq!(scene.kept().len(), 1);

    // Each kind of clone is its own, and none is given another's.
    for options in [
        &["--depth", "1"][..],
        &["--depth", "2"],
        &["--filter=blob:none", "--no-checkout"],
        &["--single-branch", "--no-tags"],
    ] {
        for _ in 0..2 {
            scene.clone_with(options);
        }
    }

    // What is pushed is in the next clone, and in the next fetch of an old one.
    let old = Clone::with(&scene.site, &scene.tom, "old", &[]);
    let commit = scene.clone.commit("later.bin", "later\n");
    scene.clone.must(&["tag", "v1"]);
    scene.clone.must(&["push", "--quiet", "dev", "main", "v1"]);
    let now = scene.clone_with(&[]);
    assert!(!now.screen().contains(FROM_CACHE), "{now}");
    old.must(&["fetch", "--quiet", "dev"]);
    assert_eq!(old.ask(&["rev-parse", "dev/main"]), commit);
    assert_eq!(old.ask(&["rev-parse", "v1"]), commit);
    old.must(&["fsck", "--full", "--strict"]);
}

#[test]
fn clones_at_once_fill_it_once_and_are_all_whole() {
    let scene = Scene::new("packs-at-once", &[]);
    let running: Vec<_> = (0..6)
        .map(|number| {
            let to = scene.tom.desk(&format!("at-once-{number}")).join("clone");
            (scene.git_clone(&[], &to).start(), to)
        })
        .collect();
    for (clone, to) in running {
        clone.finish().ok();
        scene.must_be_whole(&to);
    }
    assert_eq!(scene.kept().len(), 1);
    assert!(scene.clone_with(&[]).screen().contains(FROM_CACHE));
}

#[test]
fn a_broken_or_foreign_pack_is_never_sent() {
    let scene = Scene::new("packs-broken", &[]);
    scene.clone_with(&[]);
    scene.clone_with(&["--depth", "1"]);
    let kept = scene.kept();
    assert_eq!(kept.len(), 2);
    let whole = fs::read(&kept[0]).unwrap();
    let foreign = fs::read(&kept[1]).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for broken in [
        &flipped,
        &foreign,
        &whole[..whole.len() / 2].to_vec(),
        &Vec::new(),
    ] {
        for path in &kept {
            fs::write(path, broken).unwrap();
        }
        for options in [&[][..], &["--depth", "1"]] {
            scene.clone_with(options);
        }
        // And it was replaced by a right one.
        assert!(scene.clone_with(&[]).screen().contains(FROM_CACHE));
    }
}

#[test]
fn it_stays_within_its_bounds() {
    let scene = Scene::new("packs-bounds", &[("git", "pack_cache_bytes", "5000000")]);
    for options in [
        &[][..],
        &["--depth", "1"],
        &["--depth", "2"],
        &["--depth", "3"],
    ] {
        scene.clone_with(options);
        wait_for("the cache to be trimmed", Duration::from_secs(20), || {
            let bytes: u64 = scene
                .files()
                .iter()
                .filter_map(|path| Some(fs::metadata(path).ok()?.len()))
                .sum();
            (bytes <= 5_000_000).then_some(())
        });
    }
    assert!(!scene.kept().is_empty());

    let none = Scene::new("packs-none", &[("git", "pack_cache_bytes", "0")]);
    for _ in 0..2 {
        assert!(!none.clone_with(&[]).screen().contains(FROM_CACHE));
    }
    assert!(none.files().is_empty());
}

#[test]
fn without_a_place_for_packs_clones_go_on() {
    let scene = Scene::new("packs-no-place", &[]);
    let folder = scene.folder();
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file where the folder should be").unwrap();
    for _ in 0..2 {
        assert!(!scene.clone_with(&[]).screen().contains(FROM_CACHE));
    }
    fs::remove_file(&folder).unwrap();
    scene.clone_with(&[]);
    assert!(scene.clone_with(&[]).screen().contains(FROM_CACHE));
}

#[test]
fn kills_in_the_middle_of_filling_leave_nothing_behind() {
    let scene = Scene::new("packs-killed", &[]);
    // A client that asks for all and reads nothing holds the filling up.
    let stuck = scene.stuck_clone();
    let new = scene.wait_for_half_a_pack();
    // Of this gateway: other tests have theirs.
    let daemon = i32::try_from(scene.gateway.process_id()).unwrap();
    let hook = find(daemon, 0, "hooks/pack-objects").expect("the hook runs");
    // Meanwhile others who ask for the same are served.
    scene.must_get_a_pack();
    assert!(new.exists());
    kill(Pid::from_raw(hook), Signal::SIGKILL).unwrap();
    drop(stuck);
    wait_for("the half pack to go", Duration::from_secs(20), || {
        (!new.exists()).then_some(())
    });
    scene.must_get_a_pack();
    assert!(new.with_extension("pack").exists());
    scene.must_get_a_pack();

    fs::remove_dir_all(scene.folder()).unwrap();
    let stuck = scene.stuck_clone();
    scene.wait_for_half_a_pack();
    scene.gateway.signal(Signal::SIGKILL);
    scene.gateway.ended();
    drop(stuck);
    scene.gateway.serve();
    assert!(scene.files().is_empty(), "{:?}", scene.files());
    scene.must_get_a_pack();
    scene.must_get_a_pack();
    assert!(new.with_extension("pack").exists());
}

#[test]
fn many_pushes_are_packed_anew_and_nothing_is_lost() {
    let scene = Scene::new("packs-upkeep", &[("git", "repack_after_seconds", "0")]);
    let packs = scene.site.repository().join("objects/pack");
    let count = |ending: &str| {
        let names = fs::read_dir(&packs).unwrap();
        names
            .filter(|name| {
                let path = name.as_ref().unwrap().path();
                path.extension().is_some_and(|found| found == ending)
            })
            .count()
    };
    let lost = scene.clone.ask(&["rev-parse", "HEAD"]);
    for number in 0..25 {
        // Over git's receive.unpackLimit, each push is a pack.
        for file in 0..110 {
            let path = scene.clone.folder().join(format!("many/{number}-{file}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{number} {file}\n")).unwrap();
        }
        scene.clone.commit("counter", &number.to_string());
        scene.clone.must(&["push", "--quiet", "dev", "main:topic"]);
        if count("bitmap") == 1 {
            break;
        }
    }
    let whole = || {
        // A pack that goes away while fsck reads is missed by it; real damage stays.
        let mut fsck = scene
            .tom
            .client("git")
            .arg("-C")
            .arg(scene.site.repository());
        fsck = fsck.args(["fsck", "--full", "--strict"]);
        fsck.run().code == Some(0)
    };
    wait_for("few packs and no fault", Duration::from_secs(60), || {
        (count("pack") < 20 && count("bitmap") == 1 && whole()).then_some(())
    });
    let must = |args: &[&str]| {
        let client = scene
            .tom
            .client("git")
            .arg("-C")
            .arg(scene.site.repository());
        client.args(args).run().ok()
    };
    must(&["cat-file", "-e", &lost]);
    scene.clone_with(&[]);
}

/// A gateway with one site whose repository is worth keeping packs of.
struct Scene {
    gateway: Arc<Gateway>,
    site: Site,
    tom: Person,
    clone: Clone,
}

impl Scene {
    fn new(name: &str, settings: &[Setting]) -> Self {
        let gateway = Arc::new(Gateway::start_with(settings));
        let site = gateway.site(name);
        site.set_mode("git");
        let tom = site.person(Role::TeamMember).clone();
        let clone = Clone::with(&site, &tom, "desk", &[]);
        for number in 0..3_u64 {
            let path = clone.folder().join(format!("image-{number}.bin"));
            fs::write(path, tree::noise(number, 1_500_000)).unwrap();
            clone.commit("counter", &number.to_string());
        }
        clone.must(&["push", "--quiet", "dev", "main"]);
        Self {
            gateway,
            site,
            tom,
            clone,
        }
    }

    /// Clones and compares with the repository.
    #[track_caller]
    fn clone_with(&self, options: &[&str]) -> Finished {
        let to = self.tom.desk("again").join("clone");
        let _ = fs::remove_dir_all(&to);
        let finished = self.git_clone(options, &to).run().ok();
        self.must_be_whole(&to);
        finished
    }

    fn git_clone(&self, options: &[&str], to: &Path) -> support::Client {
        self.tom
            .client("git")
            .args(["clone", "--progress"])
            .args(options)
            .arg(self.site.url("dev"))
            .arg(to)
    }

    #[track_caller]
    fn must_be_whole(&self, clone: &Path) {
        let ask = |at: &Path, args: &[&str]| {
            let client = self.tom.client("git").arg("-C").arg(at).args(args);
            client.run().ok().out()
        };
        ask(clone, &["fsck", "--full", "--strict"]);
        let repository = self.site.repository();
        assert_eq!(
            ask(clone, &["rev-parse", "HEAD"]),
            ask(&repository, &["rev-parse", "refs/heads/main"])
        );
        let shallow = ask(clone, &["rev-parse", "--is-shallow-repository"]);
        let partial = clone.join(".git/config").exists()
            && fs::read_to_string(clone.join(".git/config"))
                .is_ok_and(|config| config.contains("partialclonefilter"));
        if shallow.trim() == "false" && !partial {
            let list = ["rev-list", "--objects", "HEAD"];
            let theirs = ["rev-list", "--objects", "refs/heads/main"];
            assert_eq!(ask(clone, &list), ask(&repository, &theirs));
        }
    }

    fn folder(&self) -> PathBuf {
        self.gateway.data().join("packs").join(&self.site.name)
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(names) = fs::read_dir(self.folder()) else {
            return Vec::new();
        };
        let mut files: Vec<_> = names.map(|name| name.unwrap().path()).collect();
        files.sort();
        files
    }

    fn kept(&self) -> Vec<PathBuf> {
        let mut files = self.files();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "pack"));
        files
    }

    /// Asks for everything and reads none of it.
    fn stuck_clone(&self) -> support::process::Process {
        let mut process = self.upload_pack().start_piped();
        let stdin = process.child().stdin.as_mut().expect("stdin is a pipe");
        stdin.write_all(self.wish().as_bytes()).unwrap();
        process
    }

    /// Asks for the same, reads it, and has git check it.
    #[track_caller]
    fn must_get_a_pack(&self) {
        let answer = self.upload_pack().input(self.wish()).run().ok().stdout;
        let begin = answer
            .windows(4)
            .position(|four| four == b"PACK")
            .expect("a pack is in the answer");
        let into = self.tom.desk("taken").join("bare");
        let _ = fs::remove_dir_all(&into);
        let git = || self.tom.client("git");
        git()
            .args(["init", "--quiet", "--bare"])
            .arg(&into)
            .run()
            .ok();
        let index = git()
            .arg("-C")
            .arg(&into)
            .args(["index-pack", "--strict", "--stdin"]);
        index.input(&answer[begin..]).run().ok();
        let head = self.head();
        let list = ["rev-list", "--objects", "--quiet", &head];
        git().arg("-C").arg(&into).args(list).run().ok();
    }

    fn upload_pack(&self) -> support::Client {
        let command = "git-upload-pack '/repository.git'";
        self.site.ssh_for_git(&self.tom, "dev", command)
    }

    /// gitprotocol-pack(5), without side-bands: the pack comes as it is.
    fn wish(&self) -> String {
        let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
        let want = line(&format!("want {} ofs-delta\n", self.head()));
        format!("{want}0000{}", line("done\n"))
    }

    fn head(&self) -> String {
        self.clone.ask(&["rev-parse", "dev/main"])
    }

    fn wait_for_half_a_pack(&self) -> PathBuf {
        wait_for("half a pack", Duration::from_secs(20), || {
            let mut files = self.files();
            files.retain(|path| path.extension().is_some_and(|ending| ending == "new"));
            files.pop()
        })
    }
}
