//! One step, from its start to its end: what it says is told line by line, and it is stopped, with
//! all that it has started, when it takes more than it may or somebody cancels the workflow.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use super::lines::Lines;
use super::usage;
use crate::fault::{Fault, OrFault};
use crate::site::Run;

/// What a step may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub time: Duration,
    /// Processes and threads at once.
    pub processes: u64,
    /// Memory of all of them, in bytes.
    pub memory: u64,
    /// Output that is kept, in bytes.
    pub output: usize,
    /// The silence after which it is told that it still runs.
    pub heartbeat: Duration,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself; above 128 for a signal, as a shell has it.
    Status(i32),
    OutOfTime,
    OutOfProcesses,
    OutOfMemory,
    /// The file system that it writes to is almost full.
    OutOfDisk,
    /// By this person.
    Cancelled(String),
}

/// How often it is looked at: what grows without end grows only so long.
const LOOK: Duration = Duration::from_millis(40);
/// Most steps end as soon as they have closed their output.
const FIRST_NAP: Duration = Duration::from_millis(1);
/// A look at the disk costs more than it can fill in this time.
const LOOKS_A_DISK: u32 = 10;
/// What must be free on the disk, as for copies over SFTP.
const LEAST_FREE: u64 = 1 << 30;
/// How long the kernel may take to end what was killed.
const ENDING: Duration = Duration::from_secs(20);
/// Bytes read at once, and pieces that wait.
const PIECE: usize = 32 << 10;
const PIECES: usize = 8;

/// Runs a command to its end; returns how it ended and what is kept of what it said.
pub(super) fn run(
    run: &Run,
    name: &str,
    mut command: Command,
    limits: &Limits,
    writable: &Path,
) -> Result<(Ended, String), Fault> {
    let doing = || format!("starting the step '{name}'");
    let (reader, writer) = std::io::pipe().or_fault(doing)?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().or_fault(doing)?)
        .stderr(writer);
    let child = command.spawn().or_fault(doing)?;
    // It holds the pipe's other ends, whose last one says that all is over.
    drop(command);
    let mut guard = Guard(child);
    let (tell, told) = sync_channel(PIECES);
    std::thread::spawn(move || carry(reader, &tell));
    let mut said = String::new();
    let mut lines = Lines::new(limits.output);
    let mut out = |line: &str| {
        said.push_str(line);
        said.push('\n');
        run.say(line);
    };
    let ended = follow(
        run,
        name,
        &mut guard,
        limits,
        writable,
        &told,
        &mut |bytes| lines.take(bytes, &mut out),
    );
    guard.end();
    // What it had said before it ended is still on its way.
    let deadline = Instant::now() + ENDING;
    while let Ok(bytes) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        lines.take(&bytes, &mut out);
    }
    lines.finish(&mut out);
    Ok((ended?, said))
}

fn follow(
    run: &Run,
    name: &str,
    guard: &mut Guard,
    limits: &Limits,
    writable: &Path,
    told: &Receiver<Vec<u8>>,
    take: &mut impl FnMut(&[u8]),
) -> Result<Ended, Fault> {
    let began = Instant::now();
    let (mut heard, mut looked) = (began, began);
    let (mut nap, mut looks) = (FIRST_NAP, 0_u32);
    loop {
        match told.recv_timeout(LOOK) {
            Ok(bytes) => {
                heard = Instant::now();
                take(&bytes);
            }
            Err(RecvTimeoutError::Timeout) => {}
            // It is ending, or has closed its output and goes on.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(nap);
                nap = (nap * 2).min(LOOK);
            }
        }
        if let Some(status) = guard.0.try_wait().or_fault(|| "waiting for a step")? {
            return Ok(Ended::Status(code(status)));
        }
        if looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        if let Some(person) = run.live().cancelled_by() {
            return Ok(Ended::Cancelled(person.to_string()));
        }
        if began.elapsed() >= limits.time {
            return Ok(Ended::OutOfTime);
        }
        let usage = usage::below(guard.0.id(), limits.processes + OWN);
        if usage.processes > limits.processes + OWN {
            return Ok(Ended::OutOfProcesses);
        }
        if usage.memory > limits.memory && usage::exact_memory_below(guard.0.id()) > limits.memory {
            return Ok(Ended::OutOfMemory);
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(LOOKS_A_DISK) && is_almost_full(writable) {
            return Ok(Ended::OutOfDisk);
        }
        if heard.elapsed() >= limits.heartbeat {
            heard = Instant::now();
            run.say(&format!(
                "still running: {name}, {} s",
                began.elapsed().as_secs()
            ));
        }
    }
}

/// The sandbox's first process, which is no process of the step's.
const OWN: u64 = 1;

fn is_almost_full(path: &Path) -> bool {
    statvfs(path).is_ok_and(|disk| {
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        free < LEAST_FREE
    })
}

/// Hands on what is read, to the end of either side.
fn carry(mut from: impl Read, to: &SyncSender<Vec<u8>>) {
    let mut piece = vec![0; PIECE];
    while let Ok(length) = from.read(&mut piece) {
        let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return;
        };
        if to.send(bytes.to_vec()).is_err() {
            return;
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1)
}

/// A step that ends when it is dropped.
struct Guard(Child);

impl Guard {
    fn end(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        // First what is in the sandbox, then what waits for it, which dies with it.
        usage::kill_below(self.0.id());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}
