//! One channel of a connection, from opening to its service.

use russh::server::Session;
use russh::{ChannelId, Error};
use tokio::sync::mpsc;

use crate::protocol::sftp;

/// What a channel is for.
pub(super) enum Channel {
    /// Opened; nothing asked yet.
    Fresh(Wishes),
    /// SFTP, served on the session's own task.
    Sftp(Box<sftp::Session>),
    /// Git or the console, served by a task that reads what comes here.
    Task(mpsc::Sender<Vec<u8>>),
    /// Nothing more is expected.
    Over,
}

/// What a client asked for before it said what the channel is for.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// The value of `GIT_PROTOCOL`, if it is one (git(1)).
    pub git_protocol: Option<String>,
    /// Sentences about what it did not get, for channels that a person reads.
    pub refused: Vec<&'static str>,
}

impl Wishes {
    /// Takes note of a sentence, once, however often the wish comes.
    pub(super) fn refuse(&mut self, sentence: &'static str) {
        if !self.refused.contains(&sentence) {
            self.refused.push(sentence);
        }
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
        let result = self.session.data(self.channel, packet);
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
