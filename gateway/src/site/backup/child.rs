//! Runs restic to its end: what it says is handed on as it comes, what it reads is fed to it, and
//! it is ended when whoever asked says so, or when the disk runs full.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::database::Trouble;
use crate::fault::{Fault, OrFault};

/// What restic reads on its standard input.
pub(super) type Feed<'a> =
    Box<dyn FnOnce(&mut (dyn Write + Send)) -> Result<(), Trouble> + Send + 'a>;

/// Who takes what it says on standard output, and who is asked whether it is to go on.
pub(super) struct Around<'a> {
    /// Takes what it says, piece by piece.
    pub take: &'a mut dyn FnMut(&[u8]) -> Result<(), Trouble>,
    /// Asked now and then; an error ends it.
    pub look: &'a dyn Fn() -> Result<(), Trouble>,
}

/// How it ended, and what it complained of.
#[derive(Debug)]
pub(super) struct Ended {
    pub status: ExitStatus,
    pub complaint: String,
}

/// How often it is asked whether to go on.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes read at once, and pieces that wait.
const PIECE: usize = 64 << 10;
const PIECES: usize = 8;
/// What is kept of its complaints, in bytes: one a file that cannot be read.
const MOST_COMPLAINT: u64 = 256 << 10;

/// Runs a command to its end.
///
/// What feeds it and fails must not be taken for the end of what it reads, since it would keep a
/// half as a whole: so it is ended first, and its input is closed after that.
pub(super) fn run(
    mut command: Command,
    feed: Option<Feed<'_>>,
    around: &mut Around<'_>,
) -> Result<Ended, Trouble> {
    let doing = || "starting restic";
    let input = if feed.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut guard = Guard(command.spawn().or_fault(doing)?);
    let stdin = guard.0.stdin.take();
    let (Some(stdout), Some(stderr)) = (guard.0.stdout.take(), guard.0.stderr.take()) else {
        return Err(Fault::new("restic without its pipes").into());
    };
    let failed = AtomicBool::new(false);
    let (tell, told) = sync_channel(PIECES);
    thread::scope(|scope| {
        let complaint = scope.spawn(move || complaint(stderr));
        scope.spawn(move || carry(stdout, &tell));
        let feeding = feed
            .zip(stdin)
            .map(|(feed, stdin)| scope.spawn(|| feed_it(feed, stdin, &failed)));
        let mut looked = Instant::now();
        let followed = loop {
            match told.recv_timeout(LOOK) {
                Ok(piece) => {
                    if let Err(trouble) = (around.take)(&piece) {
                        break Err(trouble);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            }
            if failed.load(Ordering::Acquire) {
                break Ok(());
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                if let Err(trouble) = (around.look)() {
                    break Err(trouble);
                }
            }
        };
        if followed.is_err() || failed.load(Ordering::Acquire) {
            guard.end();
        }
        // Lets the thread end that may be handing on a piece.
        drop(told);
        let status = guard.0.wait().or_fault(|| "waiting for restic")?;
        // Its input is closed by this, which what it may have started waits for as well.
        let fed = feeding
            .map(thread::ScopedJoinHandle::join)
            .map(|fed| fed.map(|(fed, _input)| fed));
        let complaint = complaint.join().unwrap_or_default();
        followed?;
        match fed {
            // It stopped reading, and has said why.
            Some(Ok(Err(_))) if !status.success() && !complaint.is_empty() => {}
            Some(Ok(Err(trouble))) => return Err(trouble),
            Some(Err(_panicked)) => return Err(Fault::new("what restic was fed has failed").into()),
            Some(Ok(Ok(()))) | None => {}
        }
        Ok(Ended { status, complaint })
    })
}

/// Feeds it. After a failure its input stays open, in what is returned.
fn feed_it(
    feed: Feed<'_>,
    stdin: ChildStdin,
    failed: &AtomicBool,
) -> (Result<(), Trouble>, Option<ChildStdin>) {
    let mut failing = Failing(failed, true);
    let mut out = io::BufWriter::with_capacity(PIECE, stdin);
    let fed = feed(&mut out).and_then(|()| {
        out.flush()
            .or_fault(|| "handing a dump to restic")
            .map_err(Trouble::from)
    });
    failing.1 = fed.is_err();
    // What was not written is not wanted any more, after a failure.
    let (stdin, _rest) = out.into_parts();
    match fed {
        Ok(()) => (Ok(()), None),
        Err(trouble) => (Err(trouble), Some(stdin)),
    }
}

/// Says at its end that feeding has failed, if it has; also when it panicked.
struct Failing<'a>(&'a AtomicBool, bool);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.store(true, Ordering::Release);
        }
    }
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

/// Reads all complaints, and keeps the first.
fn complaint(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let _ = from.by_ref().take(MOST_COMPLAINT).read_to_end(&mut kept);
    let _ = io::copy(&mut from, &mut io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

/// A child that ends when it is dropped.
struct Guard(Child);

impl Guard {
    fn end(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn go_on() -> Result<(), Trouble> {
        Ok(())
    }

    #[test]
    fn what_it_says_is_taken_and_what_it_reads_is_fed() {
        let said = Mutex::new(Vec::new());
        let mut take = |bytes: &[u8]| {
            said.lock().unwrap().extend_from_slice(bytes);
            Ok(())
        };
        let mut around = Around {
            take: &mut take,
            look: &go_on,
        };
        let feed: Feed<'_> = Box::new(|out| {
            for _ in 0..100_000 {
                out.write_all(b"twelve bytes").or_fault(|| "feeding")?;
            }
            Ok(())
        });
        let ended = run(shell("wc -c; echo no >&2; exit 3"), Some(feed), &mut around).unwrap();
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(ended.complaint, "no\n");
        assert_eq!(said.lock().unwrap().trim_ascii(), b"1200000");
    }

    #[test]
    fn a_feed_that_fails_is_never_seen_as_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("ended-well");
        for panics in [false, true] {
            let feed: Feed<'_> = Box::new(move |out| {
                out.write_all(b"half").or_fault(|| "feeding")?;
                assert!(!panics, "as this test asks");
                Err(Trouble::Refused("the server has gone".to_owned()))
            });
            let mut around = Around {
                take: &mut |_said| Ok(()),
                look: &go_on,
            };
            let script = format!("cat >/dev/null; sleep 0.2; touch {}", mark.display());
            let trouble = run(shell(&script), Some(feed), &mut around).unwrap_err();
            match trouble {
                Trouble::Refused(why) => assert_eq!(why, "the server has gone"),
                other => assert!(panics, "{other:?}"),
            }
            if !panics {
                assert!(!mark.exists(), "it has seen the end of what it read");
            }
        }
    }

    #[test]
    fn it_is_ended_when_somebody_says_so() {
        let begin = Instant::now();
        let mut around = Around {
            take: &mut |_said| Ok(()),
            look: &|| Err(Trouble::Stopped),
        };
        let stopped = run(shell("exec sleep 60"), None, &mut around).unwrap_err();
        assert!(matches!(stopped, Trouble::Stopped));
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}
