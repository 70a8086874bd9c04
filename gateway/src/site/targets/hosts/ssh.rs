//! The way to another web host: OpenSSH's client with a key of its own and a pinned host key.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::fault::{Fault, OrFault};
use crate::site::targets::program;
use crate::state::Host;

/// The folder that holds a host's keys.
#[derive(Debug, Clone)]
pub(in crate::site::targets) struct Keys(PathBuf);

impl Keys {
    /// Names the folder of the target `id` below the folder of all.
    pub(in crate::site::targets) fn of(all: &Path, id: i64) -> Self {
        Self(all.join(id.to_string()))
    }

    /// Makes the folder with a new key, and pins the host's keys. Returns the public key.
    pub(in crate::site::targets) fn make(
        &self,
        known_hosts: &str,
        comment: &str,
    ) -> Result<String, Fault> {
        let doing = || "making the keys of a web host";
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .or_fault(doing)?;
        fs::write(self.known_hosts(), known_hosts).or_fault(doing)?;
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
            .arg(self.key())
            .output()
            .or_fault(|| "starting ssh-keygen")?;
        succeeded(&made, "ssh-keygen")?;
        let public = fs::read_to_string(self.0.join("key.pub")).or_fault(doing)?;
        Ok(public.trim().to_owned())
    }

    /// Removes the folder.
    pub(in crate::site::targets) fn remove(&self) -> Result<(), Fault> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.or_fault(|| "removing the keys of a web host"),
        }
    }

    fn key(&self) -> PathBuf {
        self.0.join("key")
    }

    fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }
}

/// The words by which OpenSSH's client reaches an account, without the account and the command:
/// nothing of whoever runs the gateway counts, and a host with another key is none.
fn client(host: &Host, keys: &Keys) -> Vec<String> {
    let port = host.port.to_string();
    let mut words = vec!["ssh", "-F", "/dev/null", "-T", "-x", "-a", "-p", &port]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    words.extend(["-i".to_owned(), keys.key().display().to_string()]);
    let file = format!("UserKnownHostsFile=\"{}\"", keys.known_hosts().display());
    for option in [
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "BatchMode=yes",
        "PreferredAuthentications=publickey",
        "StrictHostKeyChecking=yes",
        file.as_str(),
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "ControlPath=none",
        "ClearAllForwardings=yes",
        "LogLevel=ERROR",
        "ConnectTimeout=10",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
    ] {
        words.extend(["-o".to_owned(), option.to_owned()]);
    }
    words
}

/// Runs a script of `sh` there, in the site's folder; it may hold no single quotes.
///
/// # Errors
/// With a sentence without a full stop.
pub(super) fn script(
    host: &Host,
    keys: &Keys,
    script: &str,
    limit: Duration,
    unwanted: &dyn Fn() -> bool,
) -> Result<String, String> {
    let words = client(host, keys);
    let (program, options) = words.split_first().ok_or("no program")?;
    let mut command = Command::new(program);
    command
        .args(options)
        .args(["-l", &host.user, "--", &host.host])
        .arg(format!("sh -c 'cd {} && {{ {script}; }}'", host.path));
    program::run(command, b"", limit, unwanted).map(|ended| ended.output)
}

/// Copies a folder into one there, beside which unchanged files are taken from `former`.
///
/// # Errors
/// With a sentence without a full stop.
pub(super) fn copy(
    host: &Host,
    keys: &Keys,
    (from, to): (&Path, &str),
    former: Option<&str>,
    limit: Duration,
    unwanted: &dyn Fn() -> bool,
) -> Result<(), String> {
    let name = if host.host.contains(':') {
        format!("[{}]", host.host)
    } else {
        host.host.clone()
    };
    let mut command = Command::new("rsync");
    // By content, since a file of the same size and second may be another. The account's own umask
    // says who else may read there, as for all that it makes.
    command.args(["--recursive", "--links", "--times", "--executability"]);
    command.args(["--chmod=ugo=rwX", "--checksum", "--delete", "--no-motd"]);
    command
        .arg("--rsh")
        .arg(shell_words::join(client(host, keys)));
    if let Some(former) = former {
        command.arg(format!("--link-dest={}/{former}/code", host.path));
    }
    let mut source = from.as_os_str().to_owned();
    source.push("/");
    command.arg("--").arg(source);
    command.arg(format!("{}@{name}:{}/{to}/", host.user, host.path));
    program::run(command, b"", limit, unwanted).map(|_| ())
}

/// A key by which a host showed itself.
#[derive(Debug, Clone)]
pub struct Shown {
    /// As a line of a known_hosts file.
    pub line: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// Its type, such as `ED25519`.
    pub kind: String,
}

/// Asks a host for its keys. Whoever asks compares their fingerprints with those that the host's
/// own administrator knows.
///
/// # Errors
/// When it cannot be asked.
pub fn scan(host: &str, port: u16) -> Result<Vec<Shown>, Fault> {
    let asked = Command::new("ssh-keyscan")
        .args(["-T", "10", "-p", &port.to_string(), "--", host])
        .output()
        .or_fault(|| "starting ssh-keyscan")?;
    let mut keys = Vec::new();
    for line in String::from_utf8_lossy(&asked.stdout).lines() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let mut command = Command::new("ssh-keygen");
        command.args(["-l", "-E", "sha256", "-f", "-"]);
        let told = program::run(command, line.as_bytes(), Duration::from_secs(20), &|| false)
            .map_err(Fault::new)?;
        let words: Vec<&str> = told.output.split_whitespace().collect();
        let (Some(fingerprint), Some(kind)) = (words.get(1), words.last()) else {
            return Err(Fault::new("ssh-keygen told no fingerprint"));
        };
        keys.push(Shown {
            line: line.to_owned(),
            fingerprint: (*fingerprint).to_owned(),
            kind: kind.trim_matches(['(', ')']).to_owned(),
        });
    }
    Ok(keys)
}

fn succeeded(output: &Output, program: &str) -> Result<(), Fault> {
    if output.status.success() {
        return Ok(());
    }
    let text = program::one_line(&String::from_utf8_lossy(&output.stderr));
    Err(Fault::new(format!(
        "{program} ended with {}: {text}",
        output.status
    )))
}
