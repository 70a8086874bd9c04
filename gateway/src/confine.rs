//! Runs a program where the kernel confines it: it reads and writes beneath the places that were
//! named, and nowhere else (Landlock, `landlock(7)`), and opens no socket (`seccomp(2)`).
//!
//! The gateway starts itself once more (`funicular confine`), which restricts itself and becomes the
//! program; so no code runs between fork and exec, and the gateway itself stays as it is.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::fault::{Fault, OrFault};

/// The least of Landlock that is taken: without the right to truncate (Linux 6.2), a confined program
/// could empty every file that the gateway's account owns.
const LEAST: ABI = ABI::V3;

/// The newest that is known to us. What the kernel does not know of it is left out.
const NEWEST: ABI = ABI::V6;

/// What a confined program may reach, and the program.
#[derive(Debug, Clone, Default, Args)]
pub struct Confined {
    /// Files, and folders with all in them, that may be read
    #[arg(long, value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// The same, that may be read and changed
    #[arg(long, value_name = "PATH")]
    pub write: Vec<PathBuf>,
    /// The most memory of each process, in bytes
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<u64>,
    /// The longest file that may be written, in bytes
    #[arg(long, value_name = "BYTES")]
    pub file_size: Option<u64>,
    /// The program, by its whole path, and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

impl Confined {
    /// Returns the command that runs the program, in `folder` and with no environment but what is
    /// added to it.
    pub fn command(&self, folder: &Path) -> Command {
        // By this name the program is found even when a new version lies in its place by now.
        let mut command = Command::new("/proc/self/exe");
        command.env_clear().current_dir(folder).arg("confine");
        for path in &self.read {
            command.arg("--read").arg(path);
        }
        for path in &self.write {
            command.arg("--write").arg(path);
        }
        if let Some(bytes) = self.memory {
            command.arg("--memory").arg(bytes.to_string());
        }
        if let Some(bytes) = self.file_size {
            command.arg("--file-size").arg(bytes.to_string());
        }
        command.arg("--").args(&self.program);
        command
    }

    /// Restricts this process and becomes the program.
    ///
    /// # Errors
    /// Always: it returns only when it failed.
    pub fn enter(self) -> Fault {
        match self.restrict() {
            Ok(mut command) => Fault::new(format!("starting the program: {}", command.exec())),
            Err(fault) => fault,
        }
    }

    fn restrict(self) -> Result<Command, Fault> {
        let doing = || "confining a program";
        let [program, arguments @ ..] = self.program.as_slice() else {
            return Err(Fault::new("no program was named"));
        };
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        if let Some(bytes) = self.memory {
            setrlimit(Resource::RLIMIT_AS, bytes, bytes).or_fault(|| "limiting its memory")?;
        }
        if let Some(bytes) = self.file_size {
            setrlimit(Resource::RLIMIT_FSIZE, bytes, bytes).or_fault(|| "limiting its files")?;
        }
        let mut rules = ruleset()?.create().or_fault(doing)?;
        let system = SYSTEM.iter().map(Path::new).chain([Path::new(program)]);
        for path in system.filter(|path| path.exists()) {
            rules = allow(rules, path, READ | AccessFs::Execute)?;
        }
        rules = allow(
            rules,
            Path::new("/dev/null"),
            READ | AccessFs::WriteFile | AccessFs::Truncate,
        )?;
        for path in &self.read {
            rules = allow(rules, path, READ)?;
        }
        for path in &self.write {
            rules = allow(rules, path, READ | change())?;
        }
        let status = rules.restrict_self().or_fault(doing)?;
        if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
            return Err(Fault::new("the kernel does not confine programs"));
        }
        no_sockets()?;
        let mut command = Command::new(program);
        command.args(arguments);
        Ok(command)
    }
}

/// Denies sockets of every kind: Landlock knows TCP only, and the gateway's own control socket, which
/// asks nobody who they are, is a file of the account that the program runs as.
fn no_sockets() -> Result<(), Fault> {
    let doing = || "denying sockets to a program";
    let denied = [
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        // Both open sockets past the above.
        libc::SYS_io_uring_setup,
        libc::SYS_pidfd_getfd,
    ];
    let architecture = std::env::consts::ARCH.try_into().or_fault(doing)?;
    let filter = SeccompFilter::new(
        denied.into_iter().map(|call| (call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        architecture,
    )
    .or_fault(doing)?;
    let program: BpfProgram = filter.try_into().or_fault(doing)?;
    seccompiler::apply_filter(&program).or_fault(doing)
}

/// Makes sure that this kernel confines programs.
///
/// # Errors
/// When it does not: it is older than Linux 6.2, or Landlock is switched off in it.
pub fn available() -> Result<(), Fault> {
    ruleset()?
        .create()
        .map(drop)
        .or_fault(|| "asking the kernel for Landlock (Linux 6.2 or newer, with lsm=landlock)")
}

/// Everything that Landlock can deny, denied.
fn ruleset() -> Result<Ruleset, Fault> {
    let doing = || "asking the kernel for Landlock (Linux 6.2 or newer, with lsm=landlock)";
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))
        .or_fault(doing)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .or_fault(doing)?
        .handle_access(AccessNet::from_all(NEWEST))
        .or_fault(doing)?
        .scope(Scope::from_all(NEWEST))
        .or_fault(doing)
}

fn allow(
    rules: landlock::RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<landlock::RulesetCreated, Fault> {
    let doing = || format!("confining a program to {}", path.display());
    let opened = PathFd::new(path).or_fault(doing)?;
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(NEWEST)
    };
    rules
        .add_rule(PathBeneath::new(opened, access))
        .or_fault(doing)
}

/// Files and folders; no device, pipe or socket is ever made.
fn change() -> BitFlags<AccessFs> {
    AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::Refer
}

const READ: BitFlags<AccessFs> = landlock::make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// What each program of Debian's needs to start: its libraries.
const SYSTEM: [&str; 5] = [
    "/usr/lib",
    "/lib",
    "/lib64",
    "/usr/lib64",
    "/etc/ld.so.cache",
];
