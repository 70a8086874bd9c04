//! One connection from its socket to its end. Nothing outside `protocol::ssh` names russh.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use russh::server::{self, RunningSession};
use tokio::net::TcpStream;

use super::HostKeys;
use super::algorithms::{self, Client};
use super::connection::{Connection, Door};
use super::socket::Socket;
use crate::config::Config;

/// What clients are offered: host keys, algorithms, limits.
#[derive(Debug, Clone)]
pub struct Offer {
    usual: Arc<server::Config>,
    /// OpenSSH's own client puts ciphers before AES-GCM that cost both sides much more.
    to_openssh: Arc<server::Config>,
}

/// How OpenSSH's client names itself, on Windows too.
const OPENSSH: &[u8] = b"SSH-2.0-OpenSSH_";

impl Offer {
    /// Makes it from the configuration.
    pub fn new(keys: HostKeys, config: &Config) -> Self {
        let made = |client| Arc::new(algorithms::configuration(keys.0.clone(), config, client));
        Self {
            usual: made(Client::Any),
            to_openssh: made(Client::OpenSsh),
        }
    }

    /// Exchanges versions with a client and begins to serve it, on a task of its own.
    ///
    /// # Errors
    /// When the client has gone or speaks no SSH.
    pub async fn serve<D: Door>(
        &self,
        stream: TcpStream,
        connection: Box<Connection<D>>,
    ) -> Result<Served<D>, Broken> {
        let mut socket = Socket::new(stream);
        let theirs = socket
            .exchange_versions(algorithms::VERSION)
            .await
            .map_err(|error| Broken(error.into()))?;
        let offered = if theirs.starts_with(OPENSSH) {
            &self.to_openssh
        } else {
            &self.usual
        };
        server::run_stream(Arc::clone(offered), socket, connection)
            .await
            .map(Served)
            .map_err(Broken)
    }
}

/// A connection that is being served; a future of its end.
pub struct Served<D: Door>(RunningSession<Box<Connection<D>>>);

impl<D: Door> Served<D> {
    /// Returns what ends the connection with a sentence, which only a client that is past the key
    /// exchange hears; the future never ends for others.
    pub fn farewell(&self, sentence: &str) -> impl Future<Output = ()> + use<D> {
        let (handle, sentence) = (self.0.handle(), sentence.to_owned());
        async move {
            // A client that has gone needs no farewell.
            let _ = handle
                .disconnect(russh::Disconnect::ByApplication, sentence, "en".to_owned())
                .await;
        }
    }
}

impl<D: Door> Future for Served<D> {
    type Output = Result<(), Broken>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.get_mut().0).poll(context));
        Poll::Ready(ended.map_err(Broken))
    }
}

/// Why a connection ended that was not closed in order.
#[derive(Debug)]
pub struct Broken(russh::Error);

impl Broken {
    /// Returns true if the fault is ours: the session's task panicked. Whatever it held has been
    /// dropped, so that its permits have their rows and its locks are free.
    pub fn is_panic(&self) -> bool {
        matches!(&self.0, russh::Error::Join(_))
    }

    /// Returns true if the client did not speak SSH as it should. One that has gone, or has no
    /// algorithm in common with us, did.
    pub fn is_garbage(&self) -> bool {
        use russh::Error;
        !matches!(
            &self.0,
            Error::IO(_)
                | Error::HUP
                | Error::Disconnect
                | Error::NoCommonAlgo { .. }
                | Error::ConnectionTimeout
                | Error::KeepaliveTimeout
                | Error::InactivityTimeout
                | Error::Elapsed(_)
                | Error::SendError
                | Error::RecvError
                | Error::Join(_)
        )
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
