//! One connection: who is there, where they want to go, and the channels they have open.

use std::net::SocketAddr;
use std::sync::Arc;

use russh::ChannelId;
use russh::server::{Auth, Session};
use tokio::sync::watch;

use super::channel::{Channel, Wishes};
use super::few::Few;
use super::login::{Entered, Login};
use super::window::Line;
use super::{Activity, Destination, Output, Server, Working};
use crate::gate::Identity;

/// What the listener lends to a connection and wants to know of it.
pub trait Door: Send + 'static {
    /// Somebody asked to be let in, by a way that could let them in.
    fn asked(&mut self);

    /// Somebody was let in: the connection no longer counts among those that wait.
    ///
    /// # Errors
    /// With a sentence for the person, when they have too many connections.
    fn entered(&mut self, person: &policy::PersonName) -> Result<(), String>;
}

/// One connection.
pub struct Connection<D> {
    pub(super) server: Arc<Server>,
    pub(super) door: D,
    pub(super) address: String,
    /// In a box, as it is gone when somebody is in.
    pub(super) login: Option<Box<Login>>,
    pub(super) person: Option<Entered>,
    pub(super) destination: Destination,
    pub(super) identity: Option<Identity>,
    pub(super) line: Line,
    pub(super) channels: Few<ChannelId, Channel>,
    pub(super) activity: Activity,
    /// SFTP channels whose client has not taken all answers.
    pub(super) behind: Few<ChannelId, Working>,
    /// Lets the task of a channel learn that its client has gone, by being dropped.
    pub(super) there: Few<ChannelId, watch::Sender<()>>,
    pub(super) refused_forwards: u32,
    pub(super) refused_listening: bool,
}

impl<D: Door> Connection<D> {
    /// Begins for a client at this address.
    pub fn new(server: Arc<Server>, door: D, peer: SocketAddr) -> Box<Self> {
        let address = peer.ip().to_canonical().to_string();
        let login = Login::new(
            Arc::clone(&server.gate),
            Arc::clone(&server.state),
            address.clone(),
        );
        Box::new(Self {
            server,
            door,
            address,
            login: Some(Box::new(login)),
            person: None,
            destination: Destination::Console,
            identity: None,
            line: Line::default(),
            channels: Few::default(),
            activity: Activity::new(),
            behind: Few::default(),
            there: Few::default(),
            refused_forwards: 0,
            refused_listening: false,
        })
    }

    /// Returns what tells whether anything is going on.
    pub fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Returns the other end of a channel, for a task; the connection is not idle while it lasts.
    pub(super) fn output(&self, channel: ChannelId, session: &Session) -> Output {
        Output::new(session.handle(), channel, self.activity.work())
    }

    /// Returns the other end of a channel, for a task that wants to know when the client has gone.
    pub(super) fn attended(&mut self, channel: ChannelId, session: &Session) -> Output {
        let (here, there) = watch::channel(());
        self.there.insert(channel, here);
        self.output(channel, session).attended(there)
    }

    /// Notes that somebody wants to be let in.
    pub(super) fn asked(&mut self, user: &str) {
        self.door.asked();
        self.line.heard();
        if let Some(login) = &mut self.login {
            login.attempt(user);
        }
    }

    /// Notes whether an SFTP channel's client has yet to take answers: then a transfer goes on,
    /// however slow it is.
    pub(super) fn note_progress(&mut self, channel: ChannelId, session: &Session) {
        if !session.has_pending_data(channel) {
            self.behind.remove(&channel);
        } else if self.behind.get(&channel).is_none() {
            self.behind.insert(channel, self.activity.work());
        }
    }

    /// Gives a sentence to the person and ends the connection.
    pub(super) fn dismiss(
        &mut self,
        sentence: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.activity.dismiss();
        session.disconnect(russh::Disconnect::ByApplication, sentence, "en")
    }

    /// Lets in whom a key or certificate has let in.
    pub(super) fn proven(&mut self, user: &str, entered: Option<Entered>) -> Auth {
        self.line.heard();
        let Some(entered) = entered else {
            return Auth::reject();
        };
        self.person = Some(entered);
        self.destination = Destination::parse(user);
        Auth::Accept
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

    /// Measures the line by the opening of the first channel: what is wanted of it comes when the
    /// client knows our number for it. One that opens several at once does not wait.
    pub(super) fn measure_opening(&mut self) {
        if self.channels.is_empty() {
            self.line.heard();
            self.line.answer();
        } else {
            self.line.forget();
        }
    }

    pub(super) fn fresh(&mut self, channel: ChannelId) -> Option<&mut Wishes> {
        self.line.heard();
        match self.channels.get_mut(&channel) {
            Some(Channel::Fresh(wishes)) => Some(wishes),
            Some(
                Channel::Sftp(_)
                | Channel::Task(_)
                | Channel::Console(_)
                | Channel::Terminal(_)
                | Channel::Tunnel(_)
                | Channel::Over,
            )
            | None => None,
        }
    }

    /// Takes what was wished for, once; a second request on a channel finds nothing.
    pub(super) fn begin(&mut self, channel: ChannelId) -> Option<(Wishes, Identity)> {
        let identity = self.identity.clone()?;
        let wishes = std::mem::take(self.fresh(channel)?);
        Some((wishes, identity))
    }

    /// Returns whether one more channel may be opened.
    pub(super) fn has_room(&mut self, session: &Session) -> bool {
        self.forget_over(session);
        self.channels.len() < self.server.limits.max_channels
    }

    pub(super) fn no_room(&self) -> String {
        format!(
            "This connection has {} channels open, which is the most allowed.",
            self.channels.len()
        )
    }

    /// Forgets channels that we closed ourselves. The library tells of a channel's end only when
    /// the client closes first, but it has no packet size for a channel that is no more, and keeps
    /// one whose last answers wait to be read.
    fn forget_over(&mut self, session: &Session) {
        let gone = |id: &ChannelId| session.max_packet_size(id) == 0;
        let (behind, there) = (&mut self.behind, &mut self.there);
        self.channels.retain(|id, channel| {
            let keep = channel.may_be_opening() || !gone(id);
            if !keep {
                behind.remove(id);
                there.remove(id);
            }
            keep
        });
    }
}
