//! `git pack-objects` on behalf of `git upload-pack` (git-config(1), `uploadpack.packObjectsHook`):
//! a pack that was made before is sent again from the gateway's pack cache.
//!
//! Upload-pack has checked what the client wants before it runs this, and says all of it in the
//! arguments and on standard input. The cache is never needed: whatever is wrong with it, git makes
//! the pack.

mod kept;
mod request;
mod sum;

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};

use hooks::{PACK_FOLDER_VARIABLE, PACK_MOST_VARIABLE};
use nix::fcntl::{FcntlArg, fcntl};

use kept::Filling;
use request::Request;

/// What is read and written at once, in bytes.
const PIECE: usize = 256 * 1024;

/// What the pipe to upload-pack holds, in bytes.
const PIPE: i32 = 256 * 1024;

/// Sends the pack that git's arguments and standard input ask for.
pub(crate) fn run() -> ExitCode {
    match pack_objects(env::args_os().skip(1).collect()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("The pack could not be made: {error}.");
            ExitCode::FAILURE
        }
    }
}

fn pack_objects(arguments: Vec<OsString>) -> io::Result<u8> {
    // With the kernel's 64 KiB, upload-pack and we wake each other half as often again (fcntl(2),
    // F_SETPIPE_SZ); where it may not be more, it stays as it is.
    let _ = fcntl(io::stdout(), FcntlArg::F_SETPIPE_SZ(PIPE));
    let mut asked = Vec::new();
    io::stdin()
        .lock()
        .take(request::LONGEST)
        .read_to_end(&mut asked)?;
    let folder = env::var_os(PACK_FOLDER_VARIABLE).map(PathBuf::from);
    let request = folder
        .as_ref()
        .and_then(|_| Request::of(&arguments, &asked));
    let (Some(folder), Some(request)) = (folder, request) else {
        return make(&arguments, &asked, None);
    };
    if kept::send(&folder, &request.key)? {
        if request.chatty {
            eprintln!("{FROM_CACHE}");
        }
        return Ok(0);
    }
    let most = env::var(PACK_MOST_VARIABLE)
        .ok()
        .and_then(|bytes| bytes.parse().ok())
        .unwrap_or(0);
    make(
        &arguments,
        &asked,
        Some(Filling::new(folder, request.key, most)),
    )
}

/// Has git make the pack, and keeps a copy on the way.
fn make(arguments: &[OsString], asked: &[u8], filling: Option<Filling>) -> io::Result<u8> {
    let mut words = arguments.iter();
    let program = words
        .next()
        .ok_or_else(|| io::Error::other("git named no program"))?;
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped());
    if filling.is_some() {
        command.stdout(Stdio::piped());
    }
    let mut child = command.spawn()?;
    // With `--revs` git reads all of it before it writes anything.
    if let Some(stdin) = child.stdin.take() {
        tell(stdin, asked)?;
    }
    if let Some(filling) = filling {
        return carry(child, filling);
    }
    code_of(&mut child)
}

fn tell(mut stdin: ChildStdin, asked: &[u8]) -> io::Result<()> {
    let mut told = stdin.write_all(asked);
    if told.is_ok() && asked.len() as u64 == request::LONGEST {
        told = io::copy(&mut io::stdin().lock(), &mut stdin).map(|_| ());
    }
    match told {
        // What git has to say about it comes over its own streams.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn carry(mut child: Child, mut filling: Filling) -> io::Result<u8> {
    let Some(mut from) = child.stdout.take() else {
        return code_of(&mut child);
    };
    let mut output = io::stdout().lock();
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece)?;
        let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        if let Err(error) = output.write_all(bytes) {
            // Nobody wants the rest.
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        filling.take(bytes);
    }
    output.flush()?;
    let code = code_of(&mut child)?;
    if code == 0 {
        filling.keep();
    }
    Ok(code)
}

/// Waits for git; one that was killed counts as failed (git(1): 128 for fatal errors).
fn code_of(child: &mut Child) -> io::Result<u8> {
    let status = child.wait()?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(128))
}

/// What a client that shows progress is told in place of git's own counting.
const FROM_CACHE: &str = "Sent from the pack cache: this pack was made before.";
