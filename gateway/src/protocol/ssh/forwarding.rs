//! Forwarding: refused with a sentence and a row, but for an environment's own database.

use std::sync::Arc;

use policy::{Action, Target};
use russh::server::{ChannelOpenHandle, Session};
use russh::{ChannelId, ChannelOpenFailure};

use super::channel::Channel;
use super::connection::{Connection, Door};
use super::services::supervised;
use super::{Destination, tunnel};
use crate::gate::{Denied, Evidence, Identity, Permit};
use crate::protocol::refusal_text;
use crate::site::database;

/// What a client names to reach the database, with any port: where it really is need not be known.
const DATABASE: &str = "database";

/// Forwardings that are refused one by one before the connection is ended.
const MOST_REFUSED: u32 = 100;

/// Pieces that wait for a database; each is at most a packet.
const INPUT_QUEUE: usize = 16;

pub(super) const NO_FORWARDING: &str = "Funicular forwards no ports and no sockets, but for the database of an environment: ssh -L 3306:database:3306 ENV.SITE@HOST.";

/// What somebody wants forwarded.
#[derive(Debug)]
pub(super) enum Wanted<'a> {
    /// A connection from here (`-L`, `-D`, `-W`).
    To(&'a str, u32),
    /// A connection to a socket here.
    Socket(&'a str),
    /// Connections that arrive here (`-R`).
    From(&'a str, u32),
    /// Connections that arrive at a socket here.
    FromSocket(&'a str),
    /// Windows of programs that run here.
    X11,
}

impl Wanted<'_> {
    fn name(&self) -> String {
        match self {
            Wanted::To(host, port) => format!("to {host}:{port}"),
            Wanted::Socket(path) => format!("to {path}"),
            Wanted::From(host, port) => format!("from {host}:{port}"),
            Wanted::FromSocket(path) => format!("from {path}"),
            Wanted::X11 => "X11".to_owned(),
        }
    }
}

impl<D: Door> Connection<D> {
    /// Keeps a refusal, and returns the sentence for the person. Ends the connection of a client
    /// that asks again and again.
    pub(super) fn refuse_forwarding(
        &mut self,
        wanted: &Wanted<'_>,
        session: &mut Session,
    ) -> Result<String, russh::Error> {
        self.refused_forwards += 1;
        if self.refused_forwards > MOST_REFUSED {
            self.dismiss(NO_FORWARDING, session)?;
            return Ok(NO_FORWARDING.to_owned());
        }
        let unserved = ("no-forwarding", NO_FORWARDING);
        Ok(self.keep_refusal(unserved, "forward", wanted.name().as_bytes()))
    }

    /// Refuses to open a channel.
    pub(super) async fn refuse_channel(
        &mut self,
        wanted: &Wanted<'_>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let sentence = self.refuse_forwarding(wanted, session)?;
        reject(reply, sentence).await;
        Ok(())
    }

    /// Opens a connection to the environment's database, or refuses.
    pub(super) async fn forward(
        &mut self,
        channel: ChannelId,
        host: &str,
        port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if !self.is_own_database(host, port) {
            return self
                .refuse_channel(&Wanted::To(host, port), reply, session)
                .await;
        }
        if let Some(sentence) = self.identity.as_ref().and_then(not_by_certificate) {
            let wanted = Wanted::To(host, port).name();
            let unserved = ("certificate-forwards-nothing", sentence);
            let sentence = self.keep_refusal(unserved, "forward", wanted.as_bytes());
            reject(reply, sentence).await;
            return Ok(());
        }
        let identity = self.identity.clone();
        let Some(identity) = identity.filter(|_| self.has_room(session)) else {
            reject(reply, self.no_room()).await;
            return Ok(());
        };
        let (opening, lasting) = match self.two_permits(&identity) {
            Ok(permits) => permits,
            Err(denied) => {
                reject(reply, refusal_text(denied)).await;
                return Ok(());
            }
        };
        let (here, there) = tunnel::ends(INPUT_QUEUE);
        self.channels.insert(channel, Channel::Tunnel(here));
        let output = self.output(channel, session);
        let state = Arc::clone(&self.server.state);
        supervised(output.clone(), async move {
            match tunnel::open(&state, opening).await {
                Ok(stream) => {
                    reply.accept().await;
                    tunnel::carry(lasting, stream, there, output).await;
                }
                Err(sentence) => {
                    lasting.forget();
                    reject(reply, sentence).await;
                }
            }
        });
        Ok(())
    }

    /// One permit for the row that says that it began, one for that of its end.
    fn two_permits(&self, identity: &Identity) -> Result<(Permit, Permit), Denied> {
        let Destination::Environment(site, environment) = &self.destination else {
            return Err(Denied::Fault(crate::fault::Fault::new(
                "a database was asked for without an environment",
            )));
        };
        let target = Target::Environment(site.clone(), environment.clone());
        let ask = || {
            self.server.gate.authorize(
                identity,
                Action::ConnectDatabase,
                &target,
                Evidence::default(),
            )
        };
        Ok((ask()?, ask()?))
    }

    fn is_own_database(&self, host: &str, port: u32) -> bool {
        let Destination::Environment(site, environment) = &self.destination else {
            return false;
        };
        if host.eq_ignore_ascii_case(DATABASE) {
            return true;
        }
        let bracketed = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        database::address(&bracketed).is_some_and(|asked| {
            let model = self.server.state.model();
            model
                .environment(site, environment)
                .is_some_and(|found| found.database_address() == Some(asked.as_str()))
        })
    }
}

/// Returns why a certificate does not let its holder forward.
fn not_by_certificate(identity: &Identity) -> Option<&'static str> {
    let certificate = identity.certificate.as_ref()?;
    if certificate.forced.is_some() {
        Some("Your certificate allows one command only (force-command), and so no forwarding.")
    } else if !certificate.forwards {
        Some(
            "Your certificate does not allow forwarding; have it signed with -O permit-port-forwarding.",
        )
    } else {
        None
    }
}

/// Tells a client that its channel is not opened. OpenSSH shows the sentence.
async fn reject(reply: ChannelOpenHandle, reason: String) {
    reply
        .reject(ChannelOpenFailure::Other { code: 1, reason })
        .await;
}
