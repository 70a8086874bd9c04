//! Fetches a history into a new repository. Git is let to speak few protocols and to run nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use git2::Oid;

use super::source::Remote;
use super::{ImportError, Imported, TRUNK, TRUSTING, unsuitable};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::git;
use crate::site::repository::{MoveError, commit_of_ref, create, move_refs};
use crate::state::RefMove;

/// Makes a repository of the branches and tags of another.
pub(super) fn fetch(
    permit: &Permit,
    remote: &Remote,
    path: &Path,
    trunk: Option<&str>,
) -> Result<Imported, ImportError> {
    let heads = Heads::ask(remote, path)?;
    let mut notes = remote.notes.clone();
    let trunk = heads.trunk(remote, trunk, &mut notes)?;
    let repository = create(permit, path, &trunk)?;
    let doing = "fetching the source of a site";
    let mut command = client(git::command(path), remote, path)?;
    command
        .args(LENIENCIES)
        .args([
            "fetch",
            "--quiet",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
        ])
        .args(["--no-auto-gc", "--no-tags", "--"])
        .arg(&remote.address)
        .args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
    let fetched = git::run(command, b"", doing)?;
    if !fetched.status.success() {
        return Err(unsuitable(format!(
            "The history of '{}' could not be taken over. Git says: {}",
            remote.shown,
            says(remote, &fetched)
        )));
    }
    if path.join("shallow").exists() {
        return Err(unsuitable(format!(
            "'{}' is a shallow clone and lacks history. Use a whole one.",
            remote.shown
        )));
    }
    let mut command = git::command(path);
    // Fetching has looked into each object; this sees that none is missing.
    command.args([
        "fsck",
        "--connectivity-only",
        "--no-dangling",
        "--no-progress",
    ]);
    let checked = git::run(command, b"", "checking a new repository")?;
    if !checked.status.success() {
        return Err(unsuitable(format!(
            "'{}' is damaged. Git says: {}",
            remote.shown,
            says(remote, &checked)
        )));
    }
    leave_out_deploy_tags(permit, &repository, &heads, &mut notes)?;
    let commit = commit_of_ref(&repository, &format!("refs/heads/{trunk}"))?
        .ok_or_else(|| Fault::new("the branch that was fetched is gone"))?;
    Ok(Imported {
        trunk,
        commit,
        notes,
    })
}

/// The refs that a source has.
struct Heads {
    refs: BTreeMap<String, Oid>,
    /// The branch that is checked out.
    head: Option<String>,
}

impl Heads {
    fn ask(remote: &Remote, path: &Path) -> Result<Self, ImportError> {
        let doing = "asking a repository for its branches";
        let mut command = client(git::bare_command(), remote, path)?;
        command
            .args(["ls-remote", "--quiet", "--symref", "--"])
            .arg(&remote.address);
        let output = git::run(command, b"", doing)?;
        if !output.status.success() {
            return Err(unsuitable(format!(
                "The repository '{}' cannot be read. Git says: {}",
                remote.shown,
                says(remote, &output)
            )));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut refs = BTreeMap::new();
        let (mut head, mut head_commit) = (None, None);
        for (value, name) in text.lines().filter_map(|line| line.split_once('\t')) {
            match (value.strip_prefix("ref: refs/heads/"), name) {
                (Some(branch), "HEAD") => head = Some(branch.to_owned()),
                (None, "HEAD") => head_commit = value.parse::<Oid>().ok(),
                (None, name) => refs.extend(value.parse().ok().map(|oid| (name.to_owned(), oid))),
                (Some(_), _) => {}
            }
        }
        // A bundle tells the commit of HEAD but not its branch.
        let same = |(name, oid): (&String, &Oid)| {
            let branch = name.strip_prefix("refs/heads/")?;
            (Some(*oid) == head_commit).then(|| branch.to_owned())
        };
        let head = head.or_else(|| refs.iter().find_map(same));
        Ok(Self { refs, head })
    }

    fn has_branch(&self, name: &str) -> bool {
        self.refs.contains_key(&format!("refs/heads/{name}"))
    }

    /// Chooses the branch that Dev will run.
    fn trunk(
        &self,
        remote: &Remote,
        asked: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Result<String, ImportError> {
        let shown = &remote.shown;
        let branches: Vec<String> = self
            .refs
            .keys()
            .filter_map(|name| name.strip_prefix("refs/heads/"))
            .map(|name| policy::escape(name.as_bytes()))
            .collect();
        if branches.is_empty() {
            return Err(unsuitable(format!(
                "The repository '{shown}' is empty: it has no branch. Commit something first."
            )));
        }
        let missing = |what: String| {
            let some = branches
                .iter()
                .take(20)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            unsuitable(format!(
                "The repository '{shown}' has no branch {what}. It has: {some}. Choose one with \
                 --trunk."
            ))
        };
        if let Some(asked) = asked {
            return if self.has_branch(asked) {
                Ok(asked.to_owned())
            } else {
                Err(missing(format!("'{asked}'")))
            };
        }
        if self.has_branch(TRUNK) {
            return Ok(TRUNK.to_owned());
        }
        match self.head.as_ref().filter(|head| self.has_branch(head)) {
            Some(head) => {
                notes.push(format!(
                    "The site's trunk is '{}', the branch that {shown} has checked out.",
                    policy::escape(head.as_bytes())
                ));
                Ok(head.clone())
            }
            None => Err(missing(format!("'{TRUNK}' and has none checked out"))),
        }
    }
}

/// Sets up git to read a repository that somebody else made.
fn client(mut command: Command, remote: &Remote, path: &Path) -> Result<Command, Fault> {
    command
        .env("GIT_ALLOW_PROTOCOL", "https:ssh:git:file")
        .env(
            "GIT_SSH_COMMAND",
            "ssh -o BatchMode=yes -o ConnectTimeout=30",
        )
        .env("GIT_ASKPASS", "true")
        .args(["-c", "credential.helper="])
        .args([
            "-c",
            "http.lowSpeedLimit=1000",
            "-c",
            "http.lowSpeedTime=60",
        ]);
    if remote.local {
        let config = path.with_file_name(TRUSTING);
        // Git hands only this file on to the program that reads the other repository. Whoever
        // named the folder trusts it, whoever owns it; git runs nothing of it in any case.
        fs::write(&config, "[safe]\n\tdirectory = *\n")
            .or_fault(|| "writing the configuration for an import")?;
        command.env("GIT_CONFIG_GLOBAL", config);
    }
    Ok(command)
}

/// Deploy tags are the gateway's own; those of another would take its numbers.
fn leave_out_deploy_tags(
    permit: &Permit,
    repository: &git2::Repository,
    heads: &Heads,
    notes: &mut Vec<String>,
) -> Result<(), ImportError> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let moves: Vec<RefMove> = heads
        .refs
        .iter()
        .filter(|(name, _)| {
            ["refs/tags/test_", "refs/tags/live_"]
                .iter()
                .filter_map(|start| name.strip_prefix(start))
                .any(is_number)
        })
        .map(|(name, oid)| RefMove {
            name: name.clone(),
            old: Some(oid.to_string()),
            new: None,
        })
        .collect();
    if moves.is_empty() {
        return Ok(());
    }
    notes.push(format!(
        "{} tag(s) named like the gateway's own deploy tags (test_N, live_N) were left out.",
        moves.len()
    ));
    match move_refs(permit, repository, &moves) {
        Ok(()) => Ok(()),
        Err(MoveError::Fault(fault)) => Err(fault.into()),
        Err(MoveError::Moved { name }) => {
            Err(Fault::new(format!("{name} moved while it was fetched")).into())
        }
    }
}

/// What git said, without the password that an address may hold.
fn says(remote: &Remote, output: &Output) -> String {
    git::complaint(output).replace(&remote.address, &remote.shown)
}

/// Faults of objects that old programs made by the thousand and that hurt nobody.
const LENIENCIES: [&str; 6] = [
    "-c",
    "fetch.fsck.zeroPaddedFilemode=ignore",
    "-c",
    "fetch.fsck.badTimezone=ignore",
    "-c",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
];
