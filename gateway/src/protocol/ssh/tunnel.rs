//! The one connection that is forwarded: to an environment's own database.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::Output;
use crate::audit::Outcome;
use crate::gate::{Denied, Permit};
use crate::protocol::refusal_text;
use crate::site::database;
use crate::state::State;

/// How often it is asked whether the person may still do this. Costs one atomic load.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What is carried at once, in bytes.
const PIECE: usize = 32 * 1024;

/// The connection's end of a tunnel. The tunnel ends when this is dropped.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// What the client sends; gone once it has said that no more comes.
    pub input: Option<mpsc::Sender<Vec<u8>>>,
    alive: oneshot::Sender<()>,
}

/// The task's end.
#[derive(Debug)]
pub(super) struct Ends {
    input: mpsc::Receiver<Vec<u8>>,
    alive: oneshot::Receiver<()>,
}

/// Makes both ends; `queue` is how many pieces may wait for the database.
pub(super) fn ends(queue: usize) -> (Tunnel, Ends) {
    let (sender, input) = mpsc::channel(queue);
    let (alive, gone) = oneshot::channel();
    let tunnel = Tunnel {
        input: Some(sender),
        alive,
    };
    (tunnel, Ends { input, alive: gone })
}

impl Tunnel {
    /// Returns true when the other end is no more: nobody answered, or all has been carried.
    pub(super) fn is_over(&self) -> bool {
        self.alive.is_closed()
    }
}

/// Connects to the database of a permit, and keeps the row that says so.
///
/// # Errors
/// With a sentence for the person. The row is then written.
pub(super) async fn open(state: &Arc<State>, mut permit: Permit) -> Result<TcpStream, String> {
    match database::connect(state, &permit).await {
        Ok(stream) => {
            permit.describe(match stream.peer_addr() {
                Ok(address) => format!("opened, to {address}"),
                Err(_gone_already) => "opened".to_owned(),
            });
            match permit.finish(Outcome::Done) {
                Ok(()) => Ok(stream),
                Err(fault) => Err(refusal_text(Denied::Fault(fault))),
            }
        }
        Err(fault) => {
            let sentence = format!("The environment's database does not answer: {fault}.");
            permit.describe(&sentence);
            if let Err(fault) = permit.finish(Outcome::Failed) {
                tracing::error!("a failed connection to a database was not recorded: {fault}");
            }
            Err(sentence)
        }
    }
}

/// Carries bytes both ways until one side ends, or the person may no longer.
pub(super) async fn carry(mut permit: Permit, stream: TcpStream, ends: Ends, output: Output) {
    let Ends { mut input, alive } = ends;
    let (mut from, mut to) = stream.into_split();
    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    let up = async {
        while let Some(bytes) = input.recv().await {
            to.write_all(&bytes).await?;
            sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        to.shutdown().await?;
        // A client that sends no more may still wait for an answer.
        std::future::pending::<Result<(), io::Error>>().await
    };
    let down = async {
        let mut piece = vec![0; PIECE];
        loop {
            let length = from.read(&mut piece).await?;
            let bytes = piece.get(..length).unwrap_or_default();
            if bytes.is_empty() || output.out(bytes).await.is_err() {
                return Ok(());
            }
            received.fetch_add(length as u64, Ordering::Relaxed);
        }
    };
    let ended = tokio::select! {
        ended = up => ended.map_err(|error| error.to_string()),
        ended = down => ended.map_err(|error: io::Error| error.to_string()),
        _gone = alive => Ok(()),
        why = no_longer(&mut permit) => Err(why),
    };
    let (sent, received) = (sent.into_inner(), received.into_inner());
    permit.add_bytes(sent.saturating_add(received));
    let mut detail = format!("ended; {sent} bytes to the database, {received} from it");
    if let Err(why) = ended {
        detail = format!("{detail}; {why}");
    }
    permit.describe(detail);
    if let Err(fault) = permit.finish(Outcome::Done) {
        tracing::error!("the end of a connection to a database was not recorded: {fault}");
    }
    output.close().await;
}

/// Returns when the permit has ceased to hold, and why.
async fn no_longer(permit: &mut Permit) -> String {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        if let Err(denied) = permit.still_holds() {
            return refusal_text(denied);
        }
    }
}
