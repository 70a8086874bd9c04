//! Code as a git bundle: all of the history of one commit in one file that `git clone` takes
//! (gitformat-bundle(5)).

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::Stdio;

use git2::Oid;

use crate::database::Trouble;
use crate::fault::{Fault, OrFault};
use crate::site::git;

/// Writes a bundle of a commit, as the newest of `branch`. The same history makes mostly the same
/// bytes, since git takes over what is packed already.
pub(super) fn write(
    repository: &Path,
    commit: Oid,
    branch: &str,
    out: &mut dyn Write,
) -> Result<(), Trouble> {
    let doing = || format!("bundling the commit {commit}");
    write!(out, "# v2 git bundle\n{commit} HEAD\n{commit} {branch}\n\n").or_fault(doing)?;
    let mut command = git::command(repository);
    command
        .args(["-c", "pack.threads=1", "pack-objects", "--revs", "--stdout"])
        .args(["--delta-base-offset", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().or_fault(doing)?;
    let written = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(format!("{commit}\n").as_bytes()));
    let copied = match child.stdout.take() {
        Some(mut pack) => io::copy(&mut pack, out).map(|_| ()),
        None => Ok(()),
    };
    if copied.is_err() {
        let _ = child.kill();
    }
    let mut complaint = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(MOST_COMPLAINT).read_to_string(&mut complaint);
    }
    let status = child.wait().or_fault(doing)?;
    copied.or_fault(doing)?;
    written.transpose().or_fault(doing)?;
    if status.success() {
        Ok(())
    } else {
        let complaint = policy::escape(complaint.trim().as_bytes());
        Err(Fault::new(format!("{}: git ended with {status}: {complaint}", doing())).into())
    }
}

/// In bytes.
const MOST_COMPLAINT: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing::{Bench, git};

    #[test]
    fn git_takes_the_bundle_for_a_repository() {
        let bench = Bench::new();
        let (repository, commit) = bench.repository(&[("index.php", "<?php\n"), ("a/b", "b\n")]);
        let mut bundle = Vec::new();
        write(repository.path(), commit, "refs/heads/main", &mut bundle).unwrap();
        let folder = bench.temporary.path();
        std::fs::write(folder.join("code.bundle"), &bundle).unwrap();
        git(folder, &["clone", "-q", "code.bundle", "out"]);
        let head = git(&folder.join("out"), &["rev-parse", "HEAD"]);
        assert_eq!(head.trim(), commit.to_string());
        git(&folder.join("out"), &["fsck", "--strict"]);
        let mut again = Vec::new();
        write(repository.path(), commit, "refs/heads/main", &mut again).unwrap();
        assert_eq!(bundle, again);
        let absent = Oid::from_str("1234567890123456789012345678901234567890").unwrap();
        write(
            repository.path(),
            absent,
            "refs/heads/main",
            &mut Vec::new(),
        )
        .unwrap_err();
    }
}
