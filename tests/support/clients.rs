//! Runs real clients to their end, with a time limit, and keeps what they said.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::{self, Process};

/// A client program that is about to run.
#[must_use]
pub struct Client {
    command: Command,
    shown: String,
    input: Vec<u8>,
    limit: Duration,
}

impl Client {
    /// Prepares `program`; panics with the Debian package to install when it is missing.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let program = program.as_ref();
        require(program);
        let mut command = process::command(program);
        command.env("LC_ALL", "C.UTF-8").env("LANG", "C.UTF-8");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") || name == "SSH_AUTH_SOCK" {
                command.env_remove(name);
            }
        }
        Self {
            command,
            shown: program.to_string_lossy().into_owned(),
            input: Vec::new(),
            limit: Duration::from_secs(120),
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub fn input(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = input.as_ref().to_owned();
        self
    }

    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts the client and returns at once.
    pub fn start(mut self) -> Running {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Process::start(self.command)
            .unwrap_or_else(|error| panic!("{} did not start: {error}", self.shown));
        let child = process.child();
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let input = self.input;
        std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let stdout = collect(child.stdout.take().expect("stdout is a pipe"));
        let stderr = collect(child.stderr.take().expect("stderr is a pipe"));
        Running {
            process,
            stdout,
            stderr,
            shown: self.shown,
            input_limit: self.limit,
        }
    }

    /// Starts the client and leaves its three streams to the caller.
    pub fn start_piped(mut self) -> Process {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Process::start(self.command)
            .unwrap_or_else(|error| panic!("{} did not start: {error}", self.shown))
    }

    /// Starts the client between files: its input, its output, and what it says.
    pub fn start_between(mut self, from: Stdio, to: Stdio, said: Stdio) -> Process {
        self.command.stdin(from).stdout(to).stderr(said);
        Process::start(self.command)
            .unwrap_or_else(|error| panic!("{} did not start: {error}", self.shown))
    }

    /// Runs the client to its end.
    pub fn run(self) -> Finished {
        self.start().finish()
    }
}

/// A client that runs.
pub struct Running {
    pub process: Process,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    shown: String,
    input_limit: Duration,
}

impl Running {
    /// Waits for the client's end; a client that takes too long is killed and the test fails.
    pub fn finish(mut self) -> Finished {
        let status = self.process.wait(self.input_limit);
        if status.is_none() {
            self.process.signal_group(Signal::SIGKILL);
            let _ = self.process.wait(Duration::from_secs(5));
        }
        let finished = Finished {
            shown: self.shown,
            code: status.and_then(|status| status.code()),
            stdout: self
                .stdout
                .join()
                .expect("the reader of stdout does not panic"),
            stderr: self
                .stderr
                .join()
                .expect("the reader of stderr does not panic"),
        };
        assert!(
            status.is_some(),
            "ran longer than {:?}: {finished}",
            self.input_limit
        );
        finished
    }

    /// Kills the client and all it started, as a lost machine would.
    pub fn kill(mut self) -> Finished {
        self.process.signal_group(Signal::SIGKILL);
        let _ = self.process.wait(Duration::from_secs(5));
        self.finish()
    }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        all
    })
}

/// What a client left: its exit code and its two streams.
#[derive(Clone)]
pub struct Finished {
    shown: String,
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Finished {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.code == Some(0), "should have succeeded: {self}");
        self
    }

    #[track_caller]
    pub fn fails(self) -> Self {
        assert!(
            self.code.is_some_and(|code| code != 0),
            "should have failed: {self}"
        );
        self
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "should have ended with {code}: {self}"
        );
        self
    }

    /// Requires `text` on stdout or stderr.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.out().contains(text) || self.err().contains(text),
            "should have said {text:?}: {self}"
        );
        self
    }

    #[track_caller]
    pub fn says_not(self, text: &str) -> Self {
        assert!(
            !self.out().contains(text) && !self.err().contains(text),
            "should not have said {text:?}: {self}"
        );
        self
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Everything that appeared on the person's screen.
    pub fn screen(&self) -> String {
        self.out() + &self.err()
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ended with {:?}\n-- stdout --\n{}\n-- stderr --\n{}",
            self.shown,
            self.code,
            shortened(&self.stdout),
            shortened(&self.stderr)
        )
    }
}

fn shortened(text: &[u8]) -> String {
    const MOST: usize = 6000;
    match text.len().checked_sub(MOST) {
        Some(left_out) if left_out > 0 => format!(
            "[{left_out} bytes left out]…{}",
            text[left_out..].escape_ascii()
        )
        .replace("\\r", "")
        .replace("\\n", "\n"),
        _ => text
            .escape_ascii()
            .to_string()
            .replace("\\r", "")
            .replace("\\n", "\n"),
    }
}

/// Panics with the Debian package to install when `program` is not on the PATH.
pub(crate) fn require(program: &OsStr) {
    let name = program.to_string_lossy();
    if name.contains('/') {
        return;
    }
    let found = find(program).is_some();
    assert!(
        found,
        "This test needs `{name}`, from the Debian package {}. tests/install-clients.sh installs it.",
        package(&name)
    );
}

/// Returns where `program` lies on the PATH.
pub fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program.as_ref()))
        .find(|candidate| candidate.is_file())
}

fn package(program: &str) -> &str {
    match program {
        "ssh" | "sftp" | "scp" | "ssh-keygen" | "ssh-keyscan" | "ssh-agent" => "openssh-client",
        "sshd" => "openssh-server",
        "fusermount3" => "fuse3",
        "psftp" | "pscp" | "puttygen" | "plink" => "putty-tools",
        "dbclient" | "dropbearconvert" => "dropbear-bin",
        "node" => "nodejs",
        "cc" => "gcc",
        "ex" => "vim-tiny",
        "setpriv" | "mount" | "umount" => "util-linux",
        "mkfs.ext4" => "e2fsprogs",
        "mkfs.xfs" => "xfsprogs",
        "script" => "bsdutils",
        "dpkg-deb" => "dpkg",
        other => other,
    }
}

/// Debian's own Python: its modules (python3-paramiko, python3-asyncssh) belong to it, not to
/// whichever `python3` comes first on the PATH.
const PYTHON: &str = "/usr/bin/python3";

/// Prepares a Python script that imports `module` from Debian's package `python3-MODULE`.
pub fn python(module: &str, script: &str) -> Client {
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut seen = SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if !seen.iter().any(|known| known == module) {
        let imported = Command::new(PYTHON)
            .args(["-W", "ignore", "-c", &format!("import {module}")])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        assert!(
            imported,
            "This test needs the Python module {module}, from the Debian package \
             python3-{module}. tests/install-clients.sh installs it."
        );
        seen.push(module.to_owned());
    }
    drop(seen);
    Client::new(PYTHON).args(["-W", "ignore", "-c", script])
}
