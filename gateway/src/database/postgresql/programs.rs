//! PostgreSQL's own programs: what they are told they are told by their environment, never on a
//! command line, which everybody on the machine can read.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use super::connect::{Served, place};
use crate::database::Trouble;
use crate::fault::{Fault, OrFault};

/// Where Debian and its likes keep each version.
const VERSIONS: [&str; 2] = ["/usr/lib/postgresql", "/usr/pgsql"];
/// What is kept of what a program says.
const SAID: u64 = 16 << 10;

/// Finds a program: of a version if it is there, or else the newest, which knows the older ones.
pub(super) fn find(name: &str, version: Option<u32>) -> Result<PathBuf, Fault> {
    let mut found: Vec<(u32, PathBuf)> = VERSIONS
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path().join("bin").join(name);
            path.is_file().then_some((major, path))
        })
        .collect();
    found.sort();
    if let Some((_, path)) = found.iter().find(|(major, _)| Some(*major) == version) {
        return Ok(path.clone());
    }
    if let Some((_, path)) = found.pop() {
        return Ok(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_absolute() && path.is_file())
        .ok_or_else(|| {
            Fault::new(format!(
                "{name} is not installed on the server (Debian's package postgresql-client)"
            ))
        })
}

/// A program that writes to its output.
pub(super) struct Running {
    child: Child,
    said: Option<JoinHandle<String>>,
    name: &'static str,
}

impl Running {
    pub(super) fn start(
        mut command: Command,
        name: &'static str,
    ) -> Result<(Self, ChildStdout), Fault> {
        let doing = || format!("starting {name}");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .or_fault(doing)?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Fault::new(doing()));
        };
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            let mut errors = errors;
            let _ = errors.by_ref().take(SAID).read_to_end(&mut said);
            let _ = std::io::copy(&mut errors, &mut std::io::sink());
            String::from_utf8_lossy(&said).trim().to_owned()
        });
        let running = Self {
            child,
            said: Some(said),
            name,
        };
        Ok((running, output))
    }

    pub(super) fn input(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits for its end; returns what it said if it failed.
    pub(super) fn end(mut self) -> Result<Result<(), String>, Fault> {
        let status = self
            .child
            .wait()
            .or_fault(|| format!("waiting for {}", self.name))?;
        let said = self.said.take().map(JoinHandle::join);
        if status.success() {
            return Ok(Ok(()));
        }
        Ok(Err(match said {
            Some(Ok(said)) if !said.is_empty() => said,
            _ => format!("{} ended with {status}", self.name),
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a program ready to connect to a database as its owner.
pub(super) fn connecting(served: Served<'_>, name: &str, version: u32) -> Result<Command, Fault> {
    let (host, port) = place(served.server);
    let mut command = Command::new(find(name, Some(version))?);
    command
        .env_clear()
        .current_dir("/")
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("PGHOST", host)
        .env("PGPORT", port.to_string())
        .env("PGDATABASE", served.name)
        .env("PGUSER", served.user)
        .env("PGPASSWORD", served.password.reveal())
        .env("PGPASSFILE", "/dev/null")
        .env("PGSERVICEFILE", "/dev/null")
        .env("PGAPPNAME", "funicular")
        .env("PGCONNECT_TIMEOUT", "10")
        .arg("--no-password")
        .stdin(Stdio::null());
    Ok(command)
}

/// Ends a program that has to have done its work.
pub(super) fn done(running: Running) -> Result<(), Trouble> {
    let name = running.name;
    match running.end()? {
        Ok(()) => Ok(()),
        Err(said) => Err(Fault::new(format!("{name} has failed: {said}")).into()),
    }
}
