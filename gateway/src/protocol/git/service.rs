//! Joins a channel to git's pipes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use policy::{Action, Environment, SiteName, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::mpsc;

use super::packs::Packs;
use super::push::{Push, Pushes};
use crate::crash;
use crate::fault::{Fault, OrFault};
use crate::gate::{Denied, Evidence, Gate, Identity};
use crate::protocol::refusal_lines;
use crate::protocol::ssh::Output;
use crate::site::packs::PackCache;
use crate::site::{Sites, blocking, git, repair};

/// A program of git that serves one side of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `git upload-pack`: clone and fetch.
    UploadPack,
    /// `git receive-pack`: push.
    ReceivePack,
    /// `git upload-archive`: archives of what is on a branch or tag.
    UploadArchive,
}

impl Program {
    fn word(self) -> &'static str {
        match self {
            Program::UploadPack => "upload-pack",
            Program::ReceivePack => "receive-pack",
            Program::UploadArchive => "upload-archive",
        }
    }
}

/// What one channel asks of git.
#[derive(Debug)]
pub struct Request {
    /// The program.
    pub program: Program,
    /// Who asks.
    pub who: Identity,
    /// The site whose repository it is.
    pub site: SiteName,
    /// The environment that the remote stands for.
    pub environment: Environment,
    /// `GIT_PROTOCOL`, if the client sent one.
    pub protocol: Option<String>,
}

/// A git that has begun.
struct Running {
    child: Child,
    stdin: UnixStream,
    push: Option<Arc<Push>>,
}

/// Runs git for all connections.
#[derive(Debug)]
pub struct Service {
    gate: Arc<Gate>,
    sites: Arc<Sites>,
    pushes: Arc<Pushes>,
    hooks: PathBuf,
    packs: Arc<Packs>,
    limits: crate::config::Git,
}

/// Bytes read from git at once, and what its pipe holds: with less, git and the gateway wake each
/// other for every packet.
const PIECE: usize = 256 * 1024;

/// git's exit status when it was never run (git(1): 128 for fatal errors).
const FATAL: u32 = 128;

impl Service {
    /// Makes the service; `hooks` is the folder that holds our hooks and nothing else.
    pub fn new(
        gate: Arc<Gate>,
        sites: Arc<Sites>,
        pushes: Arc<Pushes>,
        hooks: PathBuf,
        cache: PackCache,
        limits: crate::config::Git,
    ) -> Self {
        Self {
            gate,
            sites,
            pushes,
            packs: Arc::new(Packs::new(
                cache,
                &hooks,
                Duration::from_secs(limits.repack_after_seconds),
            )),
            hooks,
            limits,
        }
    }

    /// Serves one channel to its end.
    pub async fn serve(&self, request: Request, input: mpsc::Receiver<Vec<u8>>, output: Output) {
        let status = match self.begin(&request) {
            Ok(running) => {
                let status = self.join(running, input, &output).await;
                self.packs.after(&self.sites, &request.site);
                status
            }
            Err(denied) => {
                // As git's client shows what a server says.
                for line in refusal_lines(denied) {
                    let _ = output.err(format!("remote: {line}\n").as_bytes()).await;
                }
                FATAL
            }
        };
        output.end(status).await;
    }

    fn begin(&self, request: &Request) -> Result<Running, Denied> {
        let action = match request.program {
            Program::UploadPack | Program::UploadArchive => Action::Fetch,
            Program::ReceivePack => Action::Push,
        };
        let target = Target::Environment(request.site.clone(), request.environment.clone());
        let permit = self
            .gate
            .authorize(&request.who, action, &target, Evidence::default())?;
        permit.forget();
        let push = (request.program == Program::ReceivePack).then(|| {
            self.pushes.begin(
                request.who.clone(),
                request.site.clone(),
                request.environment.clone(),
            )
        });
        let doing = || format!("starting git {}", request.program.word());
        let (stdin, theirs) = input_of_git().or_fault(doing)?;
        let child = self
            .command(request, push.as_deref())
            .stdin(theirs)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .or_fault(doing)?;
        widen(child.stdout.as_ref());
        crash::point_of("git-begun", request.program.word());
        Ok(Running { child, stdin, push })
    }

    fn command(&self, request: &Request, push: Option<&Push>) -> tokio::process::Command {
        let repository = self.sites.layout.site(&request.site).repository();
        let mut command = git::command(&repository);
        let hooks = format!("core.hooksPath={}", self.hooks.display());
        let most = format!("receive.maxInputSize={}", self.limits.max_pack_bytes);
        let settings = [
            hooks.as_str(),
            most.as_str(),
            "transfer.fsckObjects=true",
            "receive.fsckObjects=true",
            "transfer.hideRefs=refs/funicular",
            // Each ref of a push is moved by the gateway, together with what runs from it.
            "receive.procReceiveRefs=refs",
            "receive.advertisePushOptions=true",
            "receive.advertiseAtomic=true",
            // What may be moved or deleted is the policy's to say, not git's.
            "receive.denyDeletes=false",
            "receive.denyNonFastForwards=false",
            "receive.denyCurrentBranch=ignore",
            "receive.denyDeleteCurrent=ignore",
            "receive.autogc=false",
            "uploadpack.allowFilter=true",
            "core.fsync=committed,loose-object",
        ];
        for setting in settings {
            command.args(["-c", setting]);
        }
        if request.program == Program::UploadPack {
            self.packs.serve(&mut command, &request.site);
        }
        if let Some(protocol) = &request.protocol {
            command.env("GIT_PROTOCOL", protocol);
        }
        if let Some(push) = push {
            command.env(hooks::SOCKET_VARIABLE, self.pushes.socket());
            command.env(hooks::TOKEN_VARIABLE, push.token());
        }
        command.arg(request.program.word());
        if request.program == Program::UploadPack {
            command.arg("--strict");
        }
        command.arg(&repository);
        command.into()
    }

    /// Moves bytes both ways until git has ended and all it said is on its way.
    async fn join(&self, running: Running, input: mpsc::Receiver<Vec<u8>>, output: &Output) -> u32 {
        let Running {
            mut child,
            stdin,
            push,
        } = running;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let feeding = tokio::spawn(feed(input, stdin));
        // A client that goes away ends a fetch, but never a push that has been sent whole: its
        // deploy runs to its end, and git must be able to speak until then.
        let is_push = push.is_some();
        let leaving = push.clone().map(|push| {
            let output = output.clone();
            tokio::spawn(async move {
                output.gone().await;
                push.leave();
            })
        });
        let id = child.id();
        let said = async {
            tokio::join!(
                carry(stdout, output, Stream::Out, is_push),
                carry(stderr, output, Stream::Err, is_push)
            )
        };
        let ended = tokio::time::timeout(Duration::from_secs(self.limits.max_seconds), async {
            let (out, err) = said.await;
            if !is_push && (out.is_err() || err.is_err()) {
                // The client has gone; nobody waits for the rest.
                let _ = child.start_kill();
            }
            child.wait().await
        })
        .await;
        feeding.abort();
        if let Some(leaving) = leaving {
            leaving.abort();
        }
        if let Some(push) = push {
            crash::point("push-ended");
            self.pushes.end(&push).await;
            let well = matches!(&ended, Ok(Ok(status)) if status.success());
            if let Some(id) = id.filter(|_| !well) {
                let repository = self.sites.layout.site(push.site()).repository();
                let cleared = blocking(move || {
                    // The blank ends the number.
                    repair::let_go_of_packs(&repository, &format!("{id} "))
                });
                if let Err(fault) = cleared.await {
                    tracing::warn!("what a killed git had left: {fault}");
                }
            }
        }
        match ended {
            Ok(Ok(status)) => status.code().map_or(FATAL, i32::unsigned_abs),
            Ok(Err(error)) => {
                tracing::error!("waiting for git: {error}");
                FATAL
            }
            Err(_elapsed) => {
                let sentence = format!(
                    "Git was ended after {} seconds, the longest that this gateway lets it run.\n",
                    self.limits.max_seconds
                );
                let _ = output.err(sentence.as_bytes()).await;
                FATAL
            }
        }
    }
}

/// Returns our end and git's of what git reads. A socket and no pipe, as with sshd: git reads a pack
/// in pieces of 4 KiB, and a full pipe would wake us for each of them, a socket when it has emptied
/// by a good part (unix(7)).
fn input_of_git() -> io::Result<(UnixStream, Stdio)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, OwnedFd::from(theirs).into()))
}

/// Gives a pipe more room than the kernel's 64 KiB (fcntl(2), F_SETPIPE_SZ); if the user has used
/// up what all pipes may hold together, it stays as it is.
fn widen(pipe: Option<&impl AsFd>) {
    if let Some(pipe) = pipe {
        let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(256 * 1024));
    }
}

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// Hands the client's bytes to git; the end of either ends it.
async fn feed(mut input: mpsc::Receiver<Vec<u8>>, mut stdin: UnixStream) {
    while let Some(bytes) = input.recv().await {
        if stdin.write_all(&bytes).await.is_err() {
            // git no longer reads; what it has to say about it comes over its output.
            input.close();
            while input.recv().await.is_some() {}
            return;
        }
    }
}

/// Hands one of git's streams to the client.
async fn carry(
    from: Option<impl AsyncRead + Unpin>,
    output: &Output,
    stream: Stream,
    to_its_end: bool,
) -> Result<(), Fault> {
    let Some(mut from) = from else {
        return Ok(());
    };
    let mut piece = vec![0; PIECE];
    let mut gone = false;
    loop {
        let length = from
            .read(&mut piece)
            .await
            .or_fault(|| "reading from git")?;
        let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        if gone {
            continue;
        }
        let written = match stream {
            Stream::Out => output.out(bytes).await,
            Stream::Err => output.err(bytes).await,
        };
        if written.is_err() {
            if !to_its_end {
                return Err(Fault::new("the client has gone"));
            }
            gone = true;
        }
    }
}
