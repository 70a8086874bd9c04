//! The socket of the command line on the server. Who reaches it has the gateway's own rights.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use policy::PersonName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::fault::{Fault, OrFault};
use crate::gate::Identity;
use crate::protocol::console::{Console, Invocation, Reply, Said};
use crate::protocol::intake::intake;

/// The socket's name in the run folder.
pub const CONTROL_SOCKET: &str = "control.sock";

/// What the command line sends first, as one line of JSON. What it reads on standard input follows in
/// pieces, each after its length in four bytes (big-endian); a piece of none is the end, so that a
/// command line that is killed is known from one that has read all.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    /// The command.
    pub invocation: Invocation,
    /// Whether a person sits there who can be asked.
    pub attended: bool,
}

/// The longest first line, in bytes.
const LONGEST_CALL: u64 = 1024 * 1024;

/// The longest piece of standard input, in bytes.
pub const LONGEST_PIECE: u32 = 64 * 1024;

/// The listening half.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    console: Arc<Console>,
}

impl Control {
    /// Listens on a socket in a folder that is closed to others.
    pub(super) fn bind(path: &Path, console: Arc<Console>) -> Result<Self, Fault> {
        let doing = || format!("listening for commands on {}", path.display());
        if path.exists() {
            std::fs::remove_file(path).or_fault(doing)?;
        }
        let listener = UnixListener::bind(path).or_fault(doing)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).or_fault(doing)?;
        Ok(Self { listener, console })
    }

    /// Answers until the gateway ends.
    pub(super) async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let console = Arc::clone(&self.console);
                    tokio::spawn(async move {
                        if let Err(fault) = answer(stream, &console).await {
                            tracing::warn!("a command was not answered: {fault}");
                        }
                    });
                }
                Err(error) => {
                    tracing::error!("accepting a command: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn answer(stream: UnixStream, console: &Console) -> Result<(), Fault> {
    let peer = stream.peer_cred().or_fault(|| "asking who calls")?;
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    let mut line = Vec::new();
    (&mut reading)
        .take(LONGEST_CALL)
        .read_until(b'\n', &mut line)
        .await
        .or_fault(|| "reading a command")?;
    let call: Call = serde_json::from_slice(&line).or_fault(|| "understanding a command")?;
    let who = Identity {
        person: PersonName::local(),
        fingerprint: None,
        certificate: None,
        address: "local".to_owned(),
        client: format!(
            "funicular {} as uid {}",
            env!("CARGO_PKG_VERSION"),
            peer.uid()
        ),
    };
    let (input_sender, input) = intake(None);
    let (said_sender, mut said) = mpsc::channel::<Said>(64);
    let feeding = tokio::spawn(async move {
        while let Ok(length) = reading.read_u32().await {
            if length == 0 {
                return input_sender.complete();
            }
            if length > LONGEST_PIECE {
                return;
            }
            let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
            if reading.read_exact(&mut piece).await.is_err()
                || input_sender.give(piece).await.is_err()
            {
                return;
            }
        }
    });
    let running = async {
        let mut reply = Reply::local(said_sender, input, call.attended);
        let status = console.run(&who, call.invocation, &mut reply).await;
        reply.end(status).await;
    };
    let telling = async move {
        loop {
            let one = tokio::select! {
                biased;
                one = said.recv() => one,
                () = gone(&writing) => None,
            };
            // Who has gone hears nothing; the command goes on to its end.
            let Some(one) = one else {
                return;
            };
            let Ok(mut line) = serde_json::to_vec(&one) else {
                return;
            };
            line.push(b'\n');
            if let Said::Data(data) = &one {
                line.extend_from_slice(data);
            }
            if writing.write_all(&line).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(running, telling);
    feeding.abort();
    Ok(())
}

/// Waits until the other end has gone; that it sends nothing more is no sign of that. The kernel
/// tells it as a socket that takes nothing more, which can be looked up but not waited for.
async fn gone(writing: &OwnedWriteHalf) {
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        match writing.ready(Interest::WRITABLE).await {
            Ok(ready) if !ready.is_write_closed() => {}
            Ok(_) | Err(_) => return,
        }
    }
}
