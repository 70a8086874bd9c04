//! One channel of a connection, from opening to its service.

use russh::server::Session;
use russh::{ChannelId, Error};
use tokio::sync::mpsc;

use super::terminal::Keyboard;
use super::tunnel::Tunnel;
use crate::protocol::intake::Intake;
use crate::protocol::sftp;

/// What a channel is for.
pub(super) enum Channel {
    /// Opened; nothing asked yet.
    Fresh(Box<Wishes>),
    /// SFTP, served on the session's own task.
    Sftp(Box<sftp::Session>),
    /// Git or a program, served by a task that reads what comes here.
    Task(mpsc::Sender<Vec<u8>>),
    /// The console, for a program.
    Console(Intake),
    /// The console, for a person at a terminal.
    Terminal(Keyboard),
    /// A connection to a database, carried by a task.
    Tunnel(Tunnel),
    /// Nothing more is expected.
    Over,
}

impl Channel {
    /// Returns whether the channel may be one that the library has not opened yet.
    pub(super) fn may_be_opening(&self) -> bool {
        match self {
            Channel::Fresh(_) => true,
            Channel::Tunnel(tunnel) => !tunnel.is_over(),
            Channel::Sftp(_)
            | Channel::Task(_)
            | Channel::Console(_)
            | Channel::Terminal(_)
            | Channel::Over => false,
        }
    }
}

/// What a client asked for before it said what the channel is for.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// The value of `GIT_PROTOCOL`, if it is one (git(1)).
    pub git_protocol: Option<String>,
    /// Whether a person sits there, at a screen of their own.
    pub terminal: bool,
    /// Sentences about what it did not get, for channels that a person reads.
    pub refused: Vec<&'static str>,
}

impl Wishes {
    /// Takes note of a sentence, once, however often the wish comes. Returns true the first time.
    pub(super) fn refuse(&mut self, sentence: &'static str) -> bool {
        let first = !self.refused.contains(&sentence);
        if first {
            self.refused.push(sentence);
        }
        first
    }
}

/// The channel as the SFTP server sees it.
pub(super) struct SftpOutput<'a> {
    session: &'a mut Session,
    channel: ChannelId,
    failed: Option<Error>,
}

impl<'a> SftpOutput<'a> {
    /// Takes the session for the length of one callback.
    pub(super) fn new(session: &'a mut Session, channel: ChannelId) -> Self {
        Self {
            session,
            channel,
            failed: None,
        }
    }

    /// Gives the session back.
    ///
    /// # Errors
    /// The first that occurred in between.
    pub(super) fn done(self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)
    }

    fn keep(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }
}

impl sftp::Output for SftpOutput<'_> {
    fn reply(&mut self, packet: Vec<u8>) {
        let result = self.session.data(self.channel, packet).and_then(|()| {
            // While keys are exchanged anew russh keeps every answer back, and says nothing when
            // that is over. What the client's window has room for is queued behind the exchange, so
            // that only a client that does not read counts as full: it will tell of more room.
            if self.session.has_pending_data(self.channel) {
                self.session.flush_pending(self.channel)?;
            }
            Ok(())
        });
        self.keep(result);
    }

    fn say(&mut self, line: &str) {
        let result =
            self.session
                .extended_data(self.channel, 1, format!("{line}\r\n").into_bytes());
        self.keep(result);
    }

    fn is_full(&self) -> bool {
        self.session.has_pending_data(self.channel)
    }
}
