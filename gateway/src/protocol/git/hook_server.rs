//! Answers the hooks that git runs, on a socket that only this gateway's user can reach.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hooks::{Hook, Message, Question};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::push::Pushes;
use crate::crash;
use crate::fault::{Fault, OrFault};

/// The listening half.
#[derive(Debug)]
pub struct HookServer {
    listener: UnixListener,
    pushes: Arc<Pushes>,
}

/// The time a hook has to ask its question.
const ASKING: Duration = Duration::from_secs(30);

impl HookServer {
    /// Listens on a socket in a folder that is closed to others.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind(path: &Path, pushes: Arc<Pushes>) -> Result<Self, Fault> {
        let doing = || format!("listening for hooks on {}", path.display());
        if path.exists() {
            std::fs::remove_file(path).or_fault(doing)?;
        }
        let listener = UnixListener::bind(path).or_fault(doing)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).or_fault(doing)?;
        Ok(Self { listener, pushes })
    }

    /// Answers until the gateway ends.
    pub async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let pushes = Arc::clone(&self.pushes);
                    tokio::spawn(async move {
                        if let Err(fault) = answer(stream, &pushes).await {
                            tracing::warn!("a hook was not answered: {fault}");
                        }
                    });
                }
                Err(error) => {
                    tracing::error!("accepting a hook: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Answers one hook. Whatever fails closes the socket, which the hook takes for a refusal.
async fn answer(stream: UnixStream, pushes: &Pushes) -> Result<(), Fault> {
    let (reading, mut writing) = stream.into_split();
    let mut line = Vec::new();
    let mut reading = BufReader::new(reading).take(hooks::LONGEST_LINE);
    tokio::time::timeout(ASKING, reading.read_until(b'\n', &mut line))
        .await
        .or_fault(|| "waiting for a hook's question")?
        .or_fault(|| "reading a hook's question")?;
    let question: Question =
        serde_json::from_slice(&line).or_fault(|| "understanding a hook's question")?;
    let push = pushes
        .find(&question.token)
        .ok_or_else(|| Fault::new("a hook has a token that no push has"))?;
    let name = match question.hook {
        Hook::PreReceive => "pre-receive",
        Hook::ProcReceive => "proc-receive",
    };
    crash::point_of("hook-asks", name);

    let (say, mut said) = mpsc::unbounded_channel::<String>();
    let answering = async {
        match question.hook {
            Hook::PreReceive => Message::Verdict(pushes.decide(&push, question, say).await),
            Hook::ProcReceive => Message::Results(pushes.carry_out(&push, question, say).await),
        }
    };
    let telling = async {
        while let Some(text) = said.recv().await {
            // A hook that has been killed hears nothing, which changes nothing here.
            if let Ok(message) = hooks::line(&Message::Say(text)) {
                let _ = writing.write_all(&message).await;
            }
        }
        writing
    };
    let (message, mut writing) = tokio::join!(answering, telling);
    let message = hooks::line(&message).or_fault(|| "writing an answer to a hook")?;
    crash::point_of("hook-is-answered", name);
    writing
        .write_all(&message)
        .await
        .or_fault(|| "answering a hook")
}
