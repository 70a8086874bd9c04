//! Git that outlived its gateway: a gateway that is killed leaves it running, in repositories that
//! the next gateway is about to repair.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::git::REPOSITORY_VARIABLE;
use crate::fault::{Fault, OrFault};

/// Ends all git that works below `sites`, with its hooks and helpers, and waits until it is gone;
/// returns how many processes there were. It is told by its environment, which only the gateway
/// sets (proc(5), `/proc/PID/environ`).
///
/// # Errors
/// When the processes cannot be listed or ended; they may still write then.
pub(super) fn end(sites: &Path) -> Result<usize, Fault> {
    let (mut ended, mut quiet) = (0, 0);
    let deadline = Instant::now() + LONGEST;
    loop {
        let orphans = find(sites)?;
        // A process that is just becoming another program shows no environment (execve(2)).
        quiet = if orphans.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET_LOOKS {
            return Ok(ended);
        }
        if Instant::now() > deadline {
            return Err(Fault::new(format!(
                "git or restic of an earlier run does not end: {orphans:?}"
            )));
        }
        for orphan in &orphans {
            match kill(*orphan, Signal::SIGKILL) {
                Ok(()) => ended += 1,
                Err(Errno::ESRCH) => {}
                Err(error) => {
                    return Err(Fault::new(format!(
                        "ending git's process {orphan}: {error}"
                    )));
                }
            }
        }
        // The kernel tells only a parent when a process ends.
        thread::sleep(Duration::from_millis(5));
    }
}

const LONGEST: Duration = Duration::from_secs(20);
const QUIET_LOOKS: usize = 2;

fn find(sites: &Path) -> Result<Vec<Pid>, Fault> {
    let name = REPOSITORY_VARIABLE.as_bytes();
    let start = [name, b"=", sites.as_os_str().as_bytes(), b"/"].concat();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").or_fault(|| "listing processes")? {
        let entry = entry.or_fault(|| "listing processes")?;
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // One that has just ended, or is another user's, has none that can be read.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment
            .split(|&byte| byte == 0)
            .any(|one| one.starts_with(&start))
        {
            found.push(Pid::from_raw(id));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn git_of_these_sites_is_ended_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let start = |sites: &Path| {
            Command::new("cat")
                .env(REPOSITORY_VARIABLE, sites.join("acme/repository.git"))
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let (ours, theirs) = (folder.path().join("sites"), folder.path().join("sites2"));
        let mut ours_runs = start(&ours);
        let mut theirs_runs = start(&theirs);
        // A program that is only just being started shows the environment of who starts it, or none.
        let name = REPOSITORY_VARIABLE.as_bytes();
        for child in [&ours_runs, &theirs_runs] {
            let environment = format!("/proc/{}/environ", child.id());
            let is_there = |shown: Vec<u8>| shown.windows(name.len()).any(|part| part == name);
            while !is_there(fs::read(&environment).unwrap()) {
                thread::yield_now();
            }
        }
        // Else `wait` would close it, and the program end by itself.
        let _open = ours_runs.stdin.take();
        let waits = thread::spawn(move || ours_runs.wait().unwrap());
        assert!(end(&ours).unwrap() >= 1);
        assert_eq!(waits.join().unwrap().signal(), Some(Signal::SIGKILL as i32));
        assert!(theirs_runs.try_wait().unwrap().is_none());
        drop(theirs_runs.stdin.take());
        assert!(theirs_runs.wait().unwrap().success());
        assert_eq!(end(&ours).unwrap(), 0);
    }
}
