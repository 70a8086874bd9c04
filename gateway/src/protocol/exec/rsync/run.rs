//! A confined rsync, from its start to its end.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use data_encoding::HEXLOWER;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use policy::Refusal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use super::greeting::{self, Greeted, OLDEST};
use super::log::Lines;
use super::rows::Rows;
use super::settings::Settings;
use super::{NAME, Transfer, forget, program, quota};
use crate::confine;
use crate::fault::{Fault, OrFault};
use crate::gate::Denied;
use crate::protocol::exec::Run;
use crate::protocol::exec::input::Input;
use crate::site::workplace::Workplace;
use crate::{blocking, protocol::ssh::Output};

/// rsync's own exit statuses (rsync(1), EXIT VALUES).
const STARTUP: u32 = 5;
const PARTIAL_TRANSFER: u32 = 23;
const PROTOCOL: u32 = 2;
const FILE_ERROR: u32 = 11;
/// What a shell says of a program that is not there.
const NOT_INSTALLED: u32 = 127;
/// What a shell says of a program that was killed by SIGKILL.
const KILLED: u32 = 137;

/// How often it is looked at whether the transfer is still permitted: well within a second.
const LOOK: Duration = Duration::from_millis(200);
/// How long rsync may take to end after its client has gone.
const ENDING: Duration = Duration::from_secs(10);
/// Bytes moved at once.
const PIECE: usize = 64 * 1024;
/// The longest line of rsync's that is shown in one.
const LONGEST: u64 = 16 * 1024;
/// Refusals shown on one person's screen.
const MOST_SHOWN: usize = 20;

/// Runs one transfer; returns the exit status.
pub(super) async fn run(
    run: &Run,
    mut transfer: Transfer,
    input: &mut Input,
) -> Result<u32, Denied> {
    let done = ready(run, &mut transfer, input).await;
    forget(std::mem::take(&mut transfer.permits));
    done
}

async fn ready(run: &Run, transfer: &mut Transfer, input: &mut Input) -> Result<u32, Denied> {
    if let Err(fault) = confine::available() {
        tracing::error!("rsync is not run: {fault}");
        return Ok(refuse(run, transfer, UNCONFINED, STARTUP).await);
    }
    let Some(program) = program() else {
        return Ok(refuse(run, transfer, MISSING, NOT_INSTALLED).await);
    };
    let secret = secret()?;
    let layout = run.service.sites.layout.site(&run.site);
    let layout = layout.environment(&run.environment);
    let permit = transfer
        .permits
        .first()
        .ok_or_else(|| Fault::new("an rsync without a permit"))?;
    let workplace = blocking::wait(|| Workplace::new(&layout, permit, &secret))?;
    let keeps = transfer.arguments.keeps_partial && !transfer.arguments.sends;
    let taken = if keeps && !transfer.arguments.delays {
        let partial = blocking::wait(|| workplace.partial(permit))?;
        run.service.partials.take(partial)
    } else {
        None
    };
    let partial = taken.as_ref().map(|taken| &taken.partial);
    let settings = Settings::of(transfer, &workplace, partial, program, &secret)?;
    let Some(settings) = settings else {
        let sentence = format!(
            "/{} is empty: nothing was ever deployed there.",
            transfer.place.area
        );
        run.complain(NAME, &sentence).await;
        return Ok(PARTIAL_TRANSFER);
    };
    let version = match input.exactly().await.map(u32::from_le_bytes) {
        Ok(version) if version < OLDEST => {
            return Ok(refuse(run, transfer, OLD_CLIENT, PROTOCOL).await);
        }
        Ok(version) => version,
        Err(_) => return Ok(PROTOCOL),
    };
    let log = pipe::OpenOptions::new()
        // With a writer of its own it does not end each time that rsync closes it.
        .read_write(true)
        .open_receiver(&settings.log)
        .or_fault(|| "opening rsync's log")?;
    let mut child = start(&settings, &workplace)?;
    let mut streams = Streams::of(&mut child)?;
    let arguments = &settings.arguments;
    let greeted = greeting::greet(version, arguments, &mut streams.stdout, &mut streams.stdin);
    match greeted.await {
        Ok(Greeted::Serves(own)) => {
            // A client that has gone is noticed by what follows.
            let _ = run.output.out(&own.to_le_bytes()).await;
        }
        Ok(Greeted::Refuses(why)) => {
            kill(&child);
            run.complain(NAME, &why).await;
            return Ok(STARTUP);
        }
        Ok(Greeted::TooOld) => {
            kill(&child);
            tracing::error!("rsync is not run: the one that is installed is older than 3.0");
            return Ok(refuse(run, transfer, OLD_SERVER, STARTUP).await);
        }
        Err(fault) => {
            kill(&child);
            let mut said = Vec::new();
            let mut stderr = (&mut streams.stderr).take(4096);
            let _ = tokio::time::timeout(ENDING, stderr.read_to_end(&mut said)).await;
            tracing::error!("rsync did not start: {}", policy::escape(&said));
            return Err(fault.into());
        }
    }
    let mut follower = Follower {
        rows: Rows::new(run, transfer),
        lines: Lines::new(&secret),
        log,
        shown: 0,
        arriving: vec![workplace.path().join("temp")],
    };
    let group = child.id();
    let plain = settings.plain_paths(&workplace, transfer.place.area);
    let going = (&mut child, streams, plain.as_slice());
    let ended = join(run, transfer, &mut follower, going, input).await;
    // What rsync left running dies with it.
    kill_group(group);
    let _ = tokio::time::timeout(ENDING, child.wait()).await;
    follower.rest(run, transfer).await?;
    match ended {
        Ok(FILE_ERROR) => quota::too_long(run, transfer).map_or(Ok(FILE_ERROR), Err),
        other => other,
    }
}

/// Why no rsync is run: rule, sentence, and what to do instead.
type Unserved = (&'static str, &'static str, &'static str);

const UNCONFINED: Unserved = (
    "rsync-unavailable",
    "rsync is not run here: this server's kernel cannot confine it.",
    "Use SFTP, or ask the server's administrator for Linux 6.2 or newer with Landlock.",
);
const MISSING: Unserved = (
    "rsync-unavailable",
    "rsync is not installed on this server.",
    "Use SFTP (sftp, lftp, rclone), or ask the server's administrator to install it.",
);
const OLD_SERVER: Unserved = (
    "rsync-unavailable",
    "The rsync that is installed on this server is too old.",
    "Use SFTP, or ask the server's administrator for rsync 3.0 of 2008, or newer.",
);
const OLD_CLIENT: Unserved = (
    "rsync-too-old",
    "This rsync is too old.",
    "Version 3.0 of 2008, or newer, is needed; or use SFTP.",
);

/// Keeps a refusal and shows it; returns the exit status.
async fn refuse(
    run: &Run,
    transfer: &Transfer,
    (rule, sentence, hint): Unserved,
    status: u32,
) -> u32 {
    let place = format!("/{}/", transfer.place.area).into_bytes();
    let place = [&place, transfer.place.path.as_bytes()].concat();
    let refusal = Refusal {
        rule,
        message: sentence.to_owned(),
        hint: hint.to_owned(),
    };
    run.show(NAME, run.refuse(NAME, &place, refusal)).await;
    status
}

/// Moves bytes and rows until rsync has ended, or may not go on.
async fn join(
    run: &Run,
    transfer: &mut Transfer,
    follower: &mut Follower,
    (child, streams, plain): (&mut Child, Streams, &[(String, String)]),
    input: &mut Input,
) -> Result<u32, Denied> {
    let Streams {
        stdin,
        stdout,
        stderr,
    } = streams;
    let moving = async {
        tokio::join!(
            carry(stdout, &run.output),
            complain(stderr, plain, &run.output)
        );
        tokio::time::timeout(ENDING, child.wait()).await
    };
    let feeding = async {
        feed(input, stdin).await;
        // The end of what the client sends is not the end of the transfer.
        std::future::pending::<()>().await;
    };
    let followed = follower.follow(run, transfer);
    tokio::select! {
        ended = moving => Ok(match ended {
            Ok(Ok(status)) => code(status),
            Ok(Err(_)) | Err(_) => KILLED,
        }),
        denied = followed => Err(denied),
        () = feeding => Ok(KILLED),
    }
}

/// Reads rsync's log, and looks now and then at whether it is still permitted.
struct Follower {
    rows: Rows,
    lines: Lines,
    log: pipe::Receiver,
    shown: usize,
    /// Where files are that have not come whole.
    arriving: Vec<PathBuf>,
}

impl Follower {
    /// Returns only when the transfer may not go on.
    async fn follow(&mut self, run: &Run, transfer: &mut Transfer) -> Denied {
        let mut clock = tokio::time::interval(LOOK);
        let mut piece = vec![0; PIECE];
        loop {
            tokio::select! {
                _ = clock.tick() => {
                    for permit in &mut transfer.permits {
                        if let Err(denied) = permit.still_holds() {
                            return denied;
                        }
                    }
                    if let Some(denied) = quota::over(&self.arriving, run, transfer) {
                        return denied;
                    }
                }
                read = self.log.read(&mut piece) => {
                    let kept = match read {
                        Ok(length) => {
                            let bytes = piece.get(..length).unwrap_or_default();
                            self.keep(run, transfer, bytes).await
                        }
                        Err(error) => Err(error).or_fault(|| "reading rsync's log"),
                    };
                    if let Err(fault) = kept {
                        return fault.into();
                    }
                }
            }
        }
    }

    /// Keeps what is left in the pipe when rsync has ended.
    async fn rest(&mut self, run: &Run, transfer: &Transfer) -> Result<(), Fault> {
        let mut piece = vec![0; PIECE];
        while let Ok(length) = self.log.try_read(&mut piece) {
            let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            let bytes = bytes.to_vec();
            self.keep(run, transfer, &bytes).await?;
        }
        Ok(())
    }

    async fn keep(&mut self, run: &Run, transfer: &Transfer, bytes: &[u8]) -> Result<(), Fault> {
        let lines = self.lines.take(bytes);
        let rows = &mut self.rows;
        let denied = blocking::wait(|| -> Result<Vec<Denied>, Fault> {
            let mut denied = Vec::new();
            for line in lines {
                denied.extend(rows.keep(run, transfer, line)?);
            }
            Ok(denied)
        })?;
        for one in denied {
            self.shown += 1;
            if self.shown <= MOST_SHOWN {
                run.show(NAME, one).await;
            }
        }
        Ok(())
    }
}

struct Streams {
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Streams {
    fn of(child: &mut Child) -> Result<Self, Fault> {
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok(Self {
                stdin,
                stdout,
                stderr,
            }),
            _ => Err(Fault::new("rsync was started without pipes")),
        }
    }
}

fn start(settings: &Settings, workplace: &Workplace) -> Result<Child, Fault> {
    let mut command = settings.confined.command(workplace.environment());
    command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC0");
    let mut command = tokio::process::Command::from(command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // So that all that it starts can be ended at once.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .or_fault(|| "starting rsync")
}

fn kill(child: &Child) {
    kill_group(child.id());
}

fn kill_group(group: Option<u32>) {
    let Some(group) = group.and_then(|group| i32::try_from(group).ok()) else {
        return;
    };
    // A group that has ended needs no signal.
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
}

fn code(status: ExitStatus) -> u32 {
    status.code().map_or(KILLED, i32::unsigned_abs)
}

fn secret() -> Result<String, Fault> {
    let mut secret = [0_u8; 16];
    getrandom::fill(&mut secret).or_fault(|| "taking random bytes")?;
    Ok(HEXLOWER.encode(&secret))
}

/// Hands the client's bytes to rsync; the end of either ends it.
async fn feed(input: &mut Input, mut stdin: ChildStdin) {
    loop {
        let bytes = input.some(PIECE).await;
        if bytes.is_empty() {
            return;
        }
        if stdin.write_all(bytes).await.is_err() {
            break;
        }
    }
    input.forget().await;
}

/// Hands rsync's bytes to the client, to the end of either.
async fn carry(mut from: ChildStdout, to: &Output) {
    let mut piece = vec![0; PIECE];
    while let Ok(length) = from.read(&mut piece).await {
        let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return;
        };
        if to.out(bytes).await.is_err() {
            return;
        }
    }
}

/// Hands what rsync says on its standard error to the client, line by line: its errors come by this
/// way (rsync(1), `--stderr`). Paths of the server are told as those of the tree.
async fn complain(from: ChildStderr, plain: &[(String, String)], to: &Output) {
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        match (&mut from).take(LONGEST).read_until(b'\n', &mut line).await {
            Ok(length) if length > 0 => {}
            Ok(_) | Err(_) => return,
        }
        let mut text = policy::escape(line.trim_ascii_end());
        for (path, shown) in plain {
            text = text.replace(path, shown);
        }
        if to.err(format!("{text}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
