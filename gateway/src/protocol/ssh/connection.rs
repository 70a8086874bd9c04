//! One connection: who is there, where they want to go, and the channels they have open.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use russh::server::{ChannelOpenHandle, Session};
use russh::{ChannelId, ChannelOpenFailure};

use super::channel::{Channel, Wishes};
use super::login::Login;
use super::{Destination, Server};
use crate::gate::Identity;

/// What the listener lends to a connection and wants to know of it.
pub trait Door: Send + 'static {
    /// Somebody was let in: the connection no longer counts among those that wait.
    fn entered(&mut self);
}

/// One connection.
pub struct Connection<D> {
    pub(super) server: Arc<Server>,
    pub(super) door: D,
    pub(super) address: String,
    pub(super) login: Option<Login>,
    pub(super) person: Option<(policy::PersonName, String)>,
    pub(super) destination: Destination,
    pub(super) identity: Option<Identity>,
    pub(super) channels: HashMap<ChannelId, Channel>,
    pub(super) refused_forwards: u32,
    pub(super) refused_listening: bool,
}

/// Forwardings that are refused one by one before the connection is ended.
const MOST_REFUSED_FORWARDS: u32 = 100;

pub(super) const NO_FORWARDING: &str = "Funicular forwards no ports and no sockets.";

impl<D: Door> Connection<D> {
    /// Begins for a client at this address.
    pub fn new(server: Arc<Server>, door: D, peer: SocketAddr) -> Self {
        let address = peer.ip().to_canonical().to_string();
        let login = Login::new(
            Arc::clone(&server.gate),
            Arc::clone(&server.state),
            address.clone(),
        );
        Self {
            server,
            door,
            address,
            login: Some(login),
            person: None,
            destination: Destination::Console,
            identity: None,
            channels: HashMap::new(),
            refused_forwards: 0,
            refused_listening: false,
        }
    }

    /// Gives a sentence to the person and ends the channel.
    pub(super) fn turn_away(
        &mut self,
        channel: ChannelId,
        sentence: &str,
        status: u32,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channels.insert(channel, Channel::Over);
        session.channel_success(channel)?;
        session.extended_data(channel, 1, format!("{sentence}\r\n").into_bytes())?;
        session.exit_status_request(channel, status)?;
        session.eof(channel)?;
        session.close(channel)
    }

    /// Forgets channels that are closed: russh tells only of those that the client closed first. One
    /// that the client closed with answers unread stays, since russh keeps these answers; so their
    /// number is bounded by that of channels.
    pub(super) fn forget_closed(&mut self, session: &Session) {
        self.channels.retain(|id, channel| match channel {
            // Not known to russh before it has been accepted.
            Channel::Fresh(_) => true,
            Channel::Sftp(_) | Channel::Task(_) | Channel::Over => session.max_packet_size(id) > 0,
        });
    }

    pub(super) fn fresh(&mut self, channel: ChannelId) -> Option<&mut Wishes> {
        match self.channels.get_mut(&channel) {
            Some(Channel::Fresh(wishes)) => Some(wishes),
            Some(Channel::Sftp(_) | Channel::Task(_) | Channel::Over) | None => None,
        }
    }

    /// Takes what was wished for, once; a second request on a channel finds nothing.
    pub(super) fn begin(&mut self, channel: ChannelId) -> Option<(Wishes, Identity)> {
        let identity = self.identity.clone()?;
        let wishes = std::mem::take(self.fresh(channel)?);
        Some((wishes, identity))
    }

    pub(super) fn wish_refused(
        &mut self,
        channel: ChannelId,
        sentence: &'static str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(wishes) = self.fresh(channel) {
            wishes.refuse(sentence);
        }
        session.channel_failure(channel)
    }

    pub(super) async fn refuse_forward(
        &mut self,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.refused_forwards += 1;
        if self.refused_forwards > MOST_REFUSED_FORWARDS {
            return session.disconnect(russh::Disconnect::ByApplication, NO_FORWARDING, "en");
        }
        reply
            .reject(ChannelOpenFailure::Other {
                code: 1,
                reason: NO_FORWARDING.to_owned(),
            })
            .await;
        Ok(())
    }
}
