//! Runs a program to its end: within a time, with its output bounded, and with all that it started.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// What a program that has ended said.
#[derive(Debug)]
pub(super) struct Ended {
    /// The beginning of its standard output.
    pub output: String,
}

/// Runs a program with `input` on its standard input. It is ended when `limit` has passed, or when
/// `unwanted` says so; then, and when it ends by itself, so is all that is left of its process group.
///
/// # Errors
/// With a sentence without a full stop: that it could not be started, that it took too long, or how
/// it ended and what it complained of.
pub(super) fn run(
    mut command: Command,
    input: &[u8],
    limit: Duration,
    unwanted: &dyn Fn() -> bool,
) -> Result<Ended, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| format!("{name} could not be started: {error}"))?;
    let group = i32::try_from(child.id()).map(Pid::from_raw).ok();
    let end_all = |signal| {
        if let Some(group) = group {
            // Those that are gone already need no signal.
            let _ = killpg(group, signal);
        }
    };
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // That the program does not read all of it is its own business.
        thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let output = child.stdout.take().map(|pipe| read(pipe, Kept::Beginning));
    let complaint = child.stderr.take().map(|pipe| read(pipe, Kept::End));
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let mut asked_to_end = None;
    let ended = loop {
        if has_ended(&child) {
            // Before its number is free: as long as it is not waited for, its group is no other's.
            end_all(Signal::SIGKILL);
            break child.wait();
        }
        match asked_to_end {
            None if Instant::now() >= deadline || unwanted() => {
                end_all(Signal::SIGTERM);
                asked_to_end = Some(Instant::now());
            }
            Some(since) if since.elapsed() >= GRACE => end_all(Signal::SIGKILL),
            None | Some(_) => {}
        }
        // The kernel tells of the end of a child, but not together with a time limit.
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(25));
    };
    let output = output.map(said).unwrap_or_default();
    let complaint = complaint.map(said).unwrap_or_default();
    let status = ended.map_err(|error| format!("{name} could not be waited for: {error}"))?;
    if asked_to_end.is_some() {
        return Err(if unwanted() {
            format!("{name} was ended")
        } else {
            format!(
                "{name} took longer than {} s and was ended",
                limit.as_secs()
            )
        });
    }
    if status.success() {
        return Ok(Ended { output });
    }
    let words = [complaint, output]
        .into_iter()
        .map(|text| one_line(&text))
        .find(|text| !text.is_empty());
    Err(match words {
        Some(words) => format!("{name} ended with {status}: {words}"),
        None => format!("{name} ended with {status}"),
    })
}

/// Whether a child has ended; it can still be waited for.
fn has_ended(child: &Child) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let found = i32::try_from(child.id())
        .map(Pid::from_raw)
        .map(|id| waitid(Id::Pid(id), flags));
    !matches!(found, Ok(Ok(WaitStatus::StillAlive)))
}

/// The time between asking a program to end and ending it.
const GRACE: Duration = Duration::from_secs(2);
/// How much of what a program says is kept, in bytes.
const MOST_KEPT: usize = 4096;
/// How much of that a result quotes, in characters.
const MOST_QUOTED: usize = 400;

enum Kept {
    Beginning,
    End,
}

/// Reads all that comes, and keeps a part of it.
fn read(mut pipe: impl Read + Send + 'static, part: Kept) -> Receiver<Vec<u8>> {
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = pipe.read(&mut buffer) {
            let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            kept.extend_from_slice(bytes);
            match part {
                Kept::Beginning => kept.truncate(MOST_KEPT),
                Kept::End => drop(kept.drain(..kept.len().saturating_sub(MOST_KEPT))),
            }
        }
        let _ = tell.send(kept);
    });
    told
}

/// A process that left the group may hold the pipe for ever; nobody waits for it.
fn said(told: Receiver<Vec<u8>>) -> String {
    let kept = told.recv_timeout(GRACE).unwrap_or_default();
    String::from_utf8_lossy(&kept).into_owned()
}

/// The end of a text, on one line and safe to show.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let shown = policy::escape(words.join(" ").as_bytes());
    let skipped = shown.chars().count().saturating_sub(MOST_QUOTED);
    shown.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, input: &[u8], limit: u64) -> Result<Ended, String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, input, Duration::from_secs(limit), &|| false)
    }

    #[test]
    fn it_says_what_the_program_said() {
        assert_eq!(sh("cat", b"in", 20).unwrap().output, "in");
        let failed = sh("echo out; echo 'not\x07 so' >&2; exit 3", b"", 20).unwrap_err();
        assert!(failed.contains("exit status: 3"), "{failed}");
        assert!(failed.contains("not\\u{7} so"), "{failed}");
        let missing = run(
            Command::new("/nonexistent/program"),
            b"",
            Duration::from_secs(1),
            &|| false,
        );
        assert!(missing.unwrap_err().contains("could not be started"));
    }

    #[test]
    fn neither_silence_nor_noise_nor_children_hold_it() {
        let late = sh("sleep 100", b"", 0).unwrap_err();
        assert!(late.contains("took longer than 0 s"), "{late}");
        let noise = sh(
            "yes | head -c 10000000; yes | head -c 10000000 >&2",
            b"",
            60,
        );
        assert_eq!(noise.unwrap().output.len(), MOST_KEPT);
        // A program that reads nothing of a long input, and leaves a child with its pipes.
        let began = Instant::now();
        sh("sleep 100 & exit 0", &[b'x'; 1 << 20], 60).unwrap();
        assert!(began.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn who_no_longer_wants_it_has_it_ended() {
        let mut command = Command::new("sleep");
        command.arg("100");
        let ended = run(command, b"", Duration::from_secs(60), &|| true).unwrap_err();
        assert_eq!(ended, "sleep was ended");
    }
}
