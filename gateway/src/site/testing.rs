//! What the tests of this folder share: a data folder, permits, and git itself as the judge.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{Oid, Repository};
use policy::{Action, Environment, SiteName, Target};
use tempfile::TempDir;

use super::Author;
use super::import::{Source, create_repository};
use super::layout::{EnvironmentLayout, Layout, SiteLayout, create_environment_directories};
use crate::audit::Audit;
use crate::gate::{Evidence, Gate, Identity, Permit};
use crate::state::State;

/// A data folder with the site `acme`.
pub(super) struct Bench {
    pub temporary: TempDir,
    pub gate: Arc<Gate>,
    pub layout: Layout,
}

impl Bench {
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let state = temporary.path().join("state.db");
        State::create(&state).unwrap();
        let state = Arc::new(State::open(&state).unwrap());
        let audit = Arc::new(Audit::for_tests());
        let gate = Arc::new(Gate::new(state, audit, "127.0.0.1:2222".to_owned()));
        let layout = Layout::new(temporary.path().join("data"));
        let bench = Self {
            temporary,
            gate,
            layout,
        };
        std::fs::create_dir_all(bench.site().folder()).unwrap();
        bench
    }

    /// A permit that covers the site `acme` and no other.
    pub fn permit(&self) -> Permit {
        self.permit_for("acme")
    }

    pub fn permit_for(&self, site: &str) -> Permit {
        let who = Identity {
            person: "alice".parse().unwrap(),
            fingerprint: None,
            certificate: None,
            address: "127.0.0.1".to_owned(),
            client: "test".to_owned(),
        };
        let target = Target::Site(site.parse().unwrap());
        self.gate
            .authorize(&who, Action::CreateSite, &target, Evidence::default())
            .unwrap()
    }

    pub fn site(&self) -> SiteLayout {
        self.layout.site(&"acme".parse::<SiteName>().unwrap())
    }

    pub fn environment(&self, environment: Environment) -> EnvironmentLayout {
        let environment = self.site().environment(&environment);
        create_environment_directories(&self.permit(), &environment).unwrap();
        environment
    }

    /// The repository of `acme`, made from plain files.
    pub fn repository(&self, files: &[(&str, &str)]) -> (Repository, Oid) {
        let from = self.temporary.path().join("from");
        std::fs::create_dir(&from).unwrap();
        for (path, text) in files {
            write(&from.join(path), text);
        }
        let source = Source::Directory(from);
        let made = create_repository(&self.permit(), &self.site(), None, None, &source, &author())
            .unwrap();
        let repository = super::repository::open(&self.site().repository()).unwrap();
        (repository, made.commit)
    }

    /// A work tree of the site's repository, for git to change and to push.
    pub fn clone(&self) -> PathBuf {
        let clone = self.temporary.path().join("clone");
        let from = self.site().repository();
        git(
            self.temporary.path(),
            &["clone", "-q", from.to_str().unwrap(), "clone"],
        );
        clone
    }
}

pub(super) fn author() -> Author {
    Author {
        name: "Alice".to_owned(),
        email: "alice@example.com".to_owned(),
    }
}

pub(super) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Runs git in a folder and returns its standard output.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> String {
    let (right, output) = try_git(folder, arguments);
    assert!(right, "git {arguments:?}: {output}");
    output
}

/// Runs git in a folder; returns whether it succeeded, and all it said.
pub(super) fn try_git(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = super::git::bare_command()
        .current_dir(folder)
        .args(["-c", "user.name=Bob", "-c", "user.email=bob@example.com"])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "core.quotePath=false",
        ])
        .args(arguments)
        .output()
        .unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    (output.status.success(), text)
}

/// Commits everything in a work tree and returns the commit.
pub(super) fn commit_all(folder: &Path, message: &str) -> Oid {
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "--allow-empty", "-m", message]);
    git(folder, &["rev-parse", "HEAD"]).trim().parse().unwrap()
}

/// What git says differs between a commit and a folder: `--numstat` and `--name-status` lines.
pub(super) fn git_changes(repository: &Repository, commit: Oid, code: &Path) -> Vec<String> {
    let index = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = super::git::command(repository.path())
            .current_dir(code)
            .env("GIT_WORK_TREE", code)
            .env("GIT_INDEX_FILE", index.path().join("index"))
            .args(["-c", "core.bare=false", "-c", "core.quotePath=true"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["read-tree", &commit.to_string()]);
    run(&["add", "-A"]);
    let commit = commit.to_string();
    let diff = ["diff", "--cached", "--no-renames", &commit];
    let mut lines: Vec<String> = Vec::new();
    for format in ["--name-status", "--numstat"] {
        let mut arguments = diff.to_vec();
        arguments.insert(1, format);
        lines.extend(run(&arguments).lines().map(str::to_owned));
    }
    lines
}
