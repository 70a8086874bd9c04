//! A server program on this server is told to reload.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::program;
use crate::state::Reload;

/// The signals by which server programs reload: HUP (nginx, Apache, Caddy's kin), USR1, USR2 (PHP-FPM).
pub const SIGNALS: [&str; 3] = ["HUP", "USR1", "USR2"];

/// Has it reload.
///
/// # Errors
/// With a sentence without a full stop.
pub(super) fn send(reload: &Reload) -> Result<String, String> {
    match reload {
        Reload::Signal { file, signal } => by_signal(file, signal),
        Reload::Unit(unit) => by_systemd(unit),
    }
}

fn by_signal(file: &str, signal: &str) -> Result<String, String> {
    let signal_number = match signal {
        "HUP" => Signal::SIGHUP,
        "USR1" => Signal::SIGUSR1,
        "USR2" => Signal::SIGUSR2,
        other => return Err(format!("there is no signal {other} for this")),
    };
    let unreadable = |error: std::io::Error| format!("{file} cannot be read: {error}");
    let text = fs::read_to_string(file).map_err(unreadable)?;
    let process: i32 = text
        .trim()
        .parse()
        .ok()
        .filter(|process| *process > 1)
        .ok_or_else(|| format!("{file} holds no number of a process"))?;
    // The file of a program that has died may name whatever was started since, such as us.
    let written = fs::metadata(file)
        .and_then(|about| about.modified())
        .map_err(unreadable)?;
    if is_ours(process) || started_after(process, written) {
        return Err(format!(
            "{file} was left by a program that no longer runs (it names process {process})"
        ));
    }
    match kill(Pid::from_raw(process), signal_number) {
        Ok(()) => Ok(format!("process {process} was sent {signal}")),
        Err(Errno::ESRCH) => Err(format!(
            "process {process}, which {file} names, does not run"
        )),
        Err(Errno::EPERM) => Err(format!(
            "process {process}, which {file} names, is another user's, whom the gateway may not \
             signal; reload its unit instead (--unit)"
        )),
        Err(error) => Err(format!("signalling process {process}: {error}")),
    }
}

fn is_ours(process: i32) -> bool {
    u32::try_from(process).is_ok_and(|process| process == std::process::id())
}

/// Whether a process began clearly later than a moment; false where that cannot be told.
fn started_after(process: i32, moment: SystemTime) -> bool {
    // The folder of a process is as old as the process (proc(5)); an entry that is looked at late
    // may look younger than it is, so the exact time is read from its `stat`.
    let started = || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        let ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
        let boot: u64 = boot.trim().parse().ok()?;
        // USER_HZ, the unit of these times, is 100 on all of Linux.
        let since = Duration::from_secs(boot) + Duration::from_millis(ticks * 10);
        Some(SystemTime::UNIX_EPOCH + since)
    };
    started().is_some_and(|started| started > moment + SLACK)
}

/// How far the clock by which processes are dated may be off the one by which files are.
const SLACK: Duration = Duration::from_secs(5);

fn by_systemd(unit: &str) -> Result<String, String> {
    let mut command = Command::new("systemctl");
    command.args(["--no-ask-password", "reload", unit]);
    program::run(command, b"", LIMIT, &|| false).map(|_| format!("{unit} has reloaded"))
}

const LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn only_the_process_that_wrote_the_file_is_signalled() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let name = file.display().to_string();
        let send = || by_signal(&name, "USR1");
        assert!(send().unwrap_err().contains("cannot be read"));
        for text in ["", "x", "0", "1", "-1"] {
            fs::write(&file, text).unwrap();
            assert!(send().unwrap_err().contains("no number"), "{text}");
        }
        fs::write(&file, format!("{}\n", std::process::id())).unwrap();
        assert!(send().unwrap_err().contains("no longer runs"));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        fs::write(&file, format!("{}\n", child.id())).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        let touched = fs::File::options().write(true).open(&file).unwrap();
        touched.set_modified(long_ago).unwrap();
        assert!(send().unwrap_err().contains("no longer runs"));
        touched.set_modified(SystemTime::now()).unwrap();
        assert!(send().unwrap().contains("was sent USR1"));
        let ended = child.wait().unwrap();
        assert!(!ended.success());
        assert!(send().unwrap_err().contains("does not run"));
    }
}
