//! Runs a program in a sandbox of bubblewrap's (bwrap(1)): namespaces of its own, and a tree that
//! has what was put into it and nothing else of the machine.
//!
//! As with `confine`, the gateway starts itself once more (`funicular sandbox`), which makes sure
//! that it ends with the gateway, joins its control group, hands bubblewrap the filters of system
//! calls, and becomes bubblewrap.

mod filter;

use std::ffi::OsString;
use std::io::{PipeReader, Write};
use std::os::fd::{AsFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use crate::fault::{Fault, OrFault};

/// The program that makes sandboxes.
pub const NAME: &str = "bwrap";

/// The account that a sandboxed program sees itself run as.
pub const ACCOUNT: u32 = 1000;

/// What becomes a sandboxed program.
#[derive(Debug, Clone, Args)]
pub struct Sandboxed {
    /// The process with which it ends
    #[arg(long, value_name = "PID")]
    pub parent: u32,
    /// The control group that it joins
    #[arg(long, value_name = "FOLDER")]
    pub group: Option<PathBuf>,
    /// Bubblewrap by its whole path, and its arguments
    #[arg(last = true, required = true, value_name = "BWRAP")]
    pub program: Vec<OsString>,
}

impl Sandboxed {
    /// Returns the command that runs it, with no environment but what is added to it.
    pub fn command(&self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.env_clear().current_dir("/").arg("sandbox");
        command.arg("--parent").arg(self.parent.to_string());
        if let Some(group) = &self.group {
            command.arg("--group").arg(group);
        }
        command.arg("--").args(&self.program);
        command
    }

    /// Becomes the program.
    ///
    /// # Errors
    /// Always: it returns only when it failed.
    pub fn enter(self) -> Fault {
        match self.become_it() {
            Ok(mut command) => Fault::new(format!("starting bubblewrap: {}", command.exec())),
            Err(fault) => fault,
        }
    }

    fn become_it(self) -> Result<Command, Fault> {
        prctl::set_pdeathsig(Signal::SIGKILL).or_fault(|| "tying a step to the gateway")?;
        // It may have ended before the line above.
        if u32::try_from(getppid().as_raw()) != Ok(self.parent) {
            return Err(Fault::new("the gateway has ended"));
        }
        if let Some(group) = &self.group {
            // 0 is the writer itself (cgroups(7)).
            std::fs::write(group.join("cgroup.procs"), "0")
                .or_fault(|| "joining a control group")?;
        }
        let mut words = self.program.into_iter();
        let program = words
            .next()
            .ok_or_else(|| Fault::new("no program was named"))?;
        let mut options = Vec::new();
        for filter in filter::filters()? {
            options.extend([
                "--add-seccomp-fd".into(),
                inherited(&filter)?.to_string().into(),
            ]);
        }
        for (path, text) in accounts() {
            let data = inherited(text.as_bytes())?.to_string();
            options.extend(["--ro-bind-data".into(), data.into(), path.into()]);
        }
        options.extend(words.by_ref().take_while(|word| word != "--"));
        let mut command = Command::new(program);
        command
            .arg("--args")
            .arg(inherited(&joined(&options))?.to_string())
            .arg("--")
            .args(words);
        Ok(command)
    }
}

/// Who a sandboxed program is: programs ask for the name and the home of their account.
fn accounts() -> [(&'static str, String); 2] {
    let nobody = 65534;
    [
        (
            "/etc/passwd",
            format!(
                "site:x:{ACCOUNT}:{ACCOUNT}:site:/tmp:/bin/sh\n\
                 nobody:x:{nobody}:{nobody}:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        ),
        (
            "/etc/group",
            format!("site:x:{ACCOUNT}:\nnogroup:x:{nobody}:\n"),
        ),
    ]
}

/// Returns words as `--args` reads them. On its command line everybody in the sandbox could read the
/// paths of the server.
fn joined(words: &[OsString]) -> Vec<u8> {
    let each = words.iter().map(|word| [word.as_bytes(), b"\0"].concat());
    each.collect::<Vec<_>>().concat()
}

/// Returns a pipe with these bytes in it, which stays open for the program that this one becomes.
/// They must fit into the pipe (pipe(7): 64 KiB).
fn inherited(bytes: &[u8]) -> Result<RawFd, Fault> {
    let doing = || "handing data to bubblewrap";
    let (reader, mut writer): (PipeReader, _) = std::io::pipe().or_fault(doing)?;
    writer.write_all(bytes).or_fault(doing)?;
    fcntl(reader.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).or_fault(doing)?;
    Ok(OwnedFd::from(reader).into_raw_fd())
}

/// Returns where bubblewrap is installed.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|folder| folder.join(NAME))
        .find(|program| program.is_absolute() && Path::new(program).is_file())
}
