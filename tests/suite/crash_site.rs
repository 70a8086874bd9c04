//! A site that crashes happen to: what it holds, read from outside, and whether it holds together.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Client, Clone, Gateway, Person, Role, Site, Tree, wait_for};

use crate::crash_books;
use crate::crash_content::{self, Content};
use crate::crash_points::Faults;
pub(crate) use crate::processes::{command_line, process_ids};

/// Backups of what is replaced have tests of their own, and take their time.
pub(crate) const WITHOUT_BACKUPS: [support::gateway::Setting; 1] =
    [("backups", "program", "\"/nonexistent/restic\"")];

/// A gateway of its own with one site in Git mode, whose Test and Live are deployed.
pub(crate) struct Scene {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) site: Site,
    pub(crate) tom: Person,
    pub(crate) clone: Clone,
    pub(crate) faults: Faults,
}

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        Self::on(Gateway::start_with(&WITHOUT_BACKUPS), name)
    }

    pub(crate) fn on(gateway: Gateway, name: &str) -> Self {
        let gateway = Arc::new(gateway);
        let site = gateway.site(name);
        site.set_mode("git");
        site.deploy_all();
        let tom = site.person(Role::TeamMember).clone();
        let clone = Clone::new(&site, &tom);
        let faults = Faults::new(gateway.folder().join("faults"));
        let scene = Self {
            gateway,
            site,
            tom,
            clone,
            faults,
        };
        assert_eq!(scene.gateway.stop(Signal::SIGTERM), Some(0));
        scene.serve();
        scene
    }

    /// Starts the daemon so that it obeys `faults`.
    pub(crate) fn serve(&self) {
        self.gateway.serve_with(&[self.faults.variable()]);
    }

    /// Starts the daemon, which is to die before it is ready; says whether it did.
    pub(crate) fn serve_to_die(&self) -> bool {
        match self.gateway.try_to_serve(&[self.faults.variable()]) {
            Ok(()) => {
                self.gateway.stop(Signal::SIGKILL);
                false
            }
            Err(_ended) => true,
        }
    }

    /// Commits something that no release has had, to `menu.php`, to a file of its own and to a
    /// number of files, so that a mixture of two releases shows.
    pub(crate) fn change(&self, what: &str) -> String {
        for number in 0..24 {
            let path = self.clone.folder().join(format!("set/{number}.php"));
            fs::create_dir_all(path.parent().expect("it lies in a folder")).unwrap();
            fs::write(path, format!("<?php // {what} {number}\n")).unwrap();
        }
        let path = self.clone.folder().join(format!("new/{what}.php"));
        fs::create_dir_all(path.parent().expect("it lies in a folder")).unwrap();
        fs::write(path, what).unwrap();
        self.clone
            .commit("lib/menu.php", &format!("<?php // {what}\n"))
    }

    pub(crate) fn push(&self) -> Client {
        self.clone.git(&["push", "dev", "main"])
    }

    pub(crate) fn console(&self, words: &[&str]) -> Client {
        self.site.console(&self.tom, words)
    }

    /// As the server's administrator over ssh.
    pub(crate) fn admin(&self, words: &[&str]) -> Client {
        self.site
            .console(self.site.person(Role::Administrator), words)
    }

    /// Starts the daemon after it was killed; returns what it says of its repairs.
    pub(crate) fn recover(&self) -> String {
        let before = self.gateway.logged().len();
        self.serve();
        let logged = self.gateway.logged();
        let lines = logged[before..]
            .lines()
            .filter(|line| line.contains("repair"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Waits until no git works on the site any more.
    pub(crate) fn settle(&self) {
        wait_for("git to end", Duration::from_secs(20), || {
            (!self.git_works()).then_some(())
        });
    }

    fn git_works(&self) -> bool {
        let repository = format!("FUNICULAR_REPOSITORY={}", self.site.repository().display());
        process_ids()
            .filter_map(|id| fs::read(format!("/proc/{id}/environ")).ok())
            .any(|all| {
                all.split(|&byte| byte == 0)
                    .any(|one| one == repository.as_bytes())
            })
    }

    /// Reads what the site holds, after checking that it holds together.
    #[track_caller]
    pub(crate) fn state(&self) -> State {
        let state = self.state_without_sweep();
        // The repository may be packed anew in the background at any time.
        let repository = self.site.repository();
        let mut left = leftover(&repository);
        let deadline = Instant::now() + Duration::from_secs(20);
        while left.is_some() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
            left = leftover(&repository);
        }
        assert_eq!(left, None, "git has left it");
        state
    }

    /// As `state`, while the daemon runs on after git was killed: what a killed git has left of a
    /// pack is removed at the next start only.
    #[track_caller]
    pub(crate) fn state_without_sweep(&self) -> State {
        self.settle();
        let state = State {
            refs: self.refs(),
            environments: ["dev", "test", "live"]
                .map(|name| (name, self.environment(name)))
                .into(),
            hotfixes: self.json(&["hotfix:list", "SITE"]).to_string(),
            multidevs: self.multidevs(),
        };
        self.check(&state);
        state
    }

    /// Returns the commit that an environment runs.
    pub(crate) fn runs(&self, environment: &str) -> String {
        let info = self.json(&["env:info", &format!("SITE.{environment}")]);
        info["commit"].as_str().expect("it is deployed").to_owned()
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let shown = self
            .site
            .must(&[words, &["--format", "json"]].concat())
            .out();
        serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"))
    }

    fn refs(&self) -> BTreeMap<String, String> {
        let format = "--format=%(refname) %(objectname)";
        let listed = self.git(&["for-each-ref", format]);
        let pairs = listed.lines().filter_map(|line| line.split_once(' '));
        pairs
            .map(|(name, object)| (name.to_owned(), object.to_owned()))
            .collect()
    }

    /// Returns what each Multidev runs.
    fn multidevs(&self) -> BTreeMap<String, String> {
        let listed = self.json(&["multidev:list", "SITE"]);
        let rows = listed.as_array().into_iter().flatten();
        rows.map(|row| {
            let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            (word("id"), word("commit"))
        })
        .collect()
    }

    fn environment(&self, name: &str) -> Environment {
        let info = self.json(&["env:info", &format!("SITE.{name}")]);
        let word = |field: &str| info[field].as_str().map(str::to_owned);
        Environment {
            commit: word("commit"),
            mode: word("connection_mode"),
            deployed_as: word("deployed_as"),
            release: info["release"].as_u64().expect("a release has a number"),
            content: crash_content::content(self, name),
        }
    }

    #[track_caller]
    fn check(&self, state: &State) {
        let listed = self.json(&["env:list", "SITE"]).to_string();
        for (name, environment) in &state.environments {
            self.check_environment(name, environment, state);
            if let Some(commit) = &environment.commit {
                assert!(listed.contains(commit.as_str()), "{name}: {listed}");
            }
        }
        for (name, commit) in &state.multidevs {
            assert_eq!(
                state.reference(&format!("refs/heads/{name}")),
                Some(commit.as_str())
            );
            self.tree_of(commit)
                .must_equal(&self.site.tree(name, "code"));
        }
        let dev = state.environments["dev"].commit.as_ref();
        assert_eq!(
            state.refs.get("refs/heads/main"),
            dev,
            "trunk is what Dev runs"
        );
        for (name, commit) in &state.refs {
            if name.starts_with("refs/heads/hotfix/") {
                assert!(state.hotfixes.contains(commit.as_str()), "{state:?}");
            }
        }
        crash_books::check(self);
        // A pack that is packed anew while fsck reads is missed by it; real damage stays.
        wait_for("fsck to find no fault", Duration::from_secs(20), || {
            let checked = self.git_command(&["fsck", "--full", "--strict"]).run();
            if checked.code != Some(0) {
                eprintln!("{checked}");
            }
            (checked.code == Some(0)).then_some(())
        });
        self.site.must(&["audit:verify"]);
    }

    #[track_caller]
    fn check_environment(&self, name: &str, environment: &Environment, state: &State) {
        let folder = self.folder(name);
        let pointer = fs::read_link(folder.join("current")).ok();
        let Some(commit) = &environment.commit else {
            assert_eq!((pointer, environment.release), (None, 0), "{name}");
            return;
        };
        let expected = format!("generations/{}", environment.release);
        assert_eq!(
            pointer.as_deref(),
            Some(Path::new(&expected)),
            "{name}'s pointer and its state"
        );
        let (whole, found) = (self.tree_of(commit), self.site.tree(name, "code"));
        if environment.mode.as_deref() != Some("sftp") || whole == found {
            whole.must_equal(&found);
        } else {
            let changed = self.json(&["env:diffstat", &format!("SITE.{name}")]);
            assert_ne!(
                changed.as_array().map(Vec::len),
                Some(0),
                "{name}: {changed}"
            );
        }
        let mut kept = 0;
        for found in fs::read_dir(folder.join("generations")).unwrap() {
            let found = found.unwrap().file_name().into_string().unwrap();
            // What the next release is made of is no generation.
            if found == "spare" {
                continue;
            }
            kept += 1;
            let number: Option<u64> = found.parse().ok();
            assert!(
                number.is_some_and(|number| number <= environment.release),
                "{name} holds a generation {found:?} and runs {}",
                environment.release
            );
        }
        assert!(kept <= 3, "{name} keeps {kept} generations");
        for left in ["current.new", "newest.new", "content.new", "uploads"] {
            let left = folder.join(left);
            let empty =
                fs::read_dir(&left).map_or(!left.exists(), |mut inside| inside.next().is_none());
            assert!(empty, "{} is left", left.display());
        }
        if let Some(tag) = &environment.deployed_as {
            let reached = self.git(&["rev-parse", &format!("refs/tags/{tag}^{{commit}}")]);
            assert_eq!(reached.trim(), commit, "{tag} is what {name} runs");
            let number = |tag: &str| {
                tag.rsplit('_')
                    .next()
                    .and_then(|number| number.parse().ok())
            };
            let prefix = format!("refs/tags/{name}_");
            let newest: Option<u64> = state
                .refs
                .keys()
                .filter(|reference| reference.starts_with(&prefix))
                .filter_map(|reference| number(reference))
                .max();
            assert_eq!(newest, number(tag), "a tag of {name} without its deploy");
        }
    }

    /// The folder of an environment.
    pub(crate) fn folder(&self, environment: &str) -> PathBuf {
        let site = self.gateway.data().join("sites").join(&self.site.name);
        site.join("environments").join(environment)
    }

    /// Returns what git itself makes of a commit.
    pub(crate) fn tree_of(&self, commit: &str) -> Tree {
        let folder = self.tom.desk(&format!("tree-{commit}"));
        let script = "git archive \"$0\" | tar -x -C \"$1\"";
        Client::new("sh")
            .folder(self.site.repository())
            .args(["-c", script, commit])
            .arg(&folder)
            .run()
            .ok();
        let tree = Tree::read(&folder);
        fs::remove_dir_all(folder).unwrap();
        tree
    }

    #[track_caller]
    fn git(&self, words: &[&str]) -> String {
        self.git_command(words).run().ok().out()
    }

    pub(crate) fn git_command(&self, words: &[&str]) -> Client {
        Client::new("git")
            .folder(self.site.repository())
            .args(words)
    }
}

/// All that an operation may change on a site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct State {
    refs: BTreeMap<String, String>,
    pub(crate) environments: BTreeMap<&'static str, Environment>,
    hotfixes: String,
    /// The commit of each Multidev.
    pub(crate) multidevs: BTreeMap<String, String>,
}

impl State {
    /// Returns what a ref points to.
    pub(crate) fn reference(&self, name: &str) -> Option<&str> {
        self.refs.get(name).map(String::as_str)
    }
}

/// What an environment runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Environment {
    pub(crate) commit: Option<String>,
    pub(crate) mode: Option<String>,
    deployed_as: Option<String>,
    release: u64,
    pub(crate) content: Content,
}

impl Environment {
    pub(crate) fn release(&self) -> u64 {
        self.release
    }
}

/// Returns what git makes for a while only and has left in a folder.
fn leftover(folder: &Path) -> Option<PathBuf> {
    for found in fs::read_dir(folder).into_iter().flatten() {
        let found = found.ok()?;
        let name = found.file_name().to_string_lossy().into_owned();
        if name.ends_with(".lock") || name.starts_with("tmp_") {
            return Some(found.path());
        }
        if found.path().is_dir()
            && let Some(inner) = leftover(&found.path())
        {
            return Some(inner);
        }
    }
    None
}
