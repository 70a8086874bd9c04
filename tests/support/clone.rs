//! A person's clone of a site, with a remote for each environment.

use std::fs;
use std::path::{Path, PathBuf};

use crate::clients::{Client, Finished};
use crate::personas::{Person, quoted};
use crate::site::Site;

/// A working copy with the remotes `dev`, `test` and `live`.
pub struct Clone {
    person: Person,
    folder: PathBuf,
}

impl Clone {
    /// Clones `site` over the remote of Dev.
    #[track_caller]
    pub fn new(site: &Site, person: &Person) -> Self {
        Self::with(site, person, &site.name, &[])
    }

    /// As `new`, into a folder named `desk`, with further options for `git clone`.
    #[track_caller]
    pub fn with(site: &Site, person: &Person, desk: &str, options: &[&str]) -> Self {
        let folder = person.desk(desk).join("clone");
        person
            .client("git")
            .args(["clone", "--quiet", "--origin", "dev"])
            .args(options)
            .arg(site.url("dev"))
            .arg(&folder)
            .run()
            .ok();
        let clone = Self {
            person: person.clone(),
            folder,
        };
        for environment in ["test", "live"] {
            clone.must(&["remote", "add", environment, &site.url(environment)]);
        }
        clone
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Prepares a git command in the clone.
    pub fn git(&self, args: &[&str]) -> Client {
        self.person.client("git").folder(&self.folder).args(args)
    }

    /// Runs a git command, which must succeed.
    #[track_caller]
    pub fn must(&self, args: &[&str]) -> Finished {
        self.git(args).run().ok()
    }

    /// Returns what a git command prints, without the line's end.
    #[track_caller]
    pub fn ask(&self, args: &[&str]) -> String {
        self.must(args).out().trim_end().to_owned()
    }

    /// Changes one file and commits it; returns the commit's id.
    #[track_caller]
    pub fn commit(&self, file: &str, content: &str) -> String {
        let path = self.folder.join(file);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).unwrap();
        fs::write(path, content).unwrap();
        self.must(&["add", "--all"]);
        self.must(&["commit", "--quiet", "--message", &format!("Change {file}")]);
        self.ask(&["rev-parse", "HEAD"])
    }

    /// Runs a line as the person would who copied it from the screen into a shell in the clone.
    /// A line that is a gateway's command is run on the console.
    pub fn paste(&self, line: &str) -> Client {
        let bin = self.person.bin();
        let path = format!(
            "{}:{}",
            bin.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let first = line.split_whitespace().next().unwrap_or_default();
        let line = match first.contains(':') {
            true => format!("ssh -T console@gateway {}", quoted(line)),
            false => line.to_owned(),
        };
        self.person
            .client("sh")
            .folder(&self.folder)
            .env("PATH", path)
            .args(["-c", &line])
    }
}

/// Finds, in what a push printed, the command that begins with `start`, as a person would copy it.
#[track_caller]
pub fn hint(refused: &Finished, start: &str) -> String {
    let screen = refused.screen();
    let line = screen
        .lines()
        .map(|line| line.strip_prefix("remote: ").unwrap_or(line))
        .find(|line| line.contains(start))
        .unwrap_or_else(|| panic!("no hint with {start:?}: {refused}"));
    let (_, after) = line.split_once(start).expect("found just now");
    let end = ["  ", ", then", ". ", ": ", " [incident"]
        .iter()
        .filter_map(|end| after.find(end))
        .min();
    let command = format!("{start}{}", &after[..end.unwrap_or(after.len())]);
    command.trim_end().trim_end_matches('.').to_owned()
}
