//! Runs the `git` program, where libgit2 is weak, in an environment that nobody outside shapes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::fault::{Fault, OrFault};

/// Returns git with a clean environment, made for the bare repository at `repository`. It reads no
/// configuration but the repository's own and runs no hooks; a later `-c core.hooksPath=…` before
/// the subcommand wins.
pub fn command(repository: &Path) -> Command {
    let mut command = bare_command();
    command
        .env("GIT_DIR", repository)
        .env(REPOSITORY_VARIABLE, repository);
    command
}

/// Names the repository to all that git starts; `GIT_DIR` does not, since git changes it to `.`
/// where it serves a push.
pub(super) const REPOSITORY_VARIABLE: &str = "FUNICULAR_REPOSITORY";

/// Returns git with the same clean environment and no repository.
pub(super) fn bare_command() -> Command {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .args(["-c", "core.hooksPath=/dev/null"])
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end, with `input` on its standard input.
pub(super) fn run(mut command: Command, input: &[u8], doing: &str) -> Result<Output, Fault> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if input.is_empty() {
        return command.output().or_fault(|| doing);
    }
    let mut child = command.stdin(Stdio::piped()).spawn().or_fault(|| doing)?;
    let stdin = child.stdin.take();
    // A thread of its own, since git may fill its output before it has read all of its input.
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // That git stopped reading shows in its exit status.
            let _ = stdin.map(|mut stdin| stdin.write_all(input));
        });
        child.wait_with_output().or_fault(|| doing)
    })
}

/// Returns what a command wrote on its standard output, or a fault with what it complained of.
pub(super) fn succeed(output: Output, doing: &str) -> Result<Vec<u8>, Fault> {
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Fault::new(format!("{doing}: {}", complaint(&output))))
    }
}

/// Returns what a command that failed said, safe to show and to log.
pub(super) fn complaint(output: &Output) -> String {
    let text = policy::escape(output.stderr.trim_ascii()).replace("\\n", "; ");
    format!("git ended with {}: {text}", output.status)
}
