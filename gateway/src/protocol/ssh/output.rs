//! Writing to a channel from outside the session's own task: git's and the console's answers.

use std::borrow::Cow;
use std::sync::Arc;

use russh::ChannelId;
use russh::server::Handle;
use tokio::sync::watch;

use super::Working;
use super::terminal::ended_for_a_screen;

/// The other end of one channel.
#[derive(Debug, Clone)]
pub struct Output {
    handle: Handle,
    channel: ChannelId,
    /// As long as anybody may still write, the connection is not idle.
    _working: Arc<Working>,
    screen: bool,
    /// Closed when the client has closed the channel, or its connection has ended.
    there: Option<watch::Receiver<()>>,
}

/// Bytes to a packet; below every client's least packet size (RFC 4253 §6.1).
const PIECE: usize = 32 * 1024;

/// The client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl Output {
    /// Takes the other end of a channel.
    pub(super) fn new(handle: Handle, channel: ChannelId, working: Working) -> Self {
        Self {
            handle,
            channel,
            _working: Arc::new(working),
            screen: false,
            there: None,
        }
    }

    /// Learns from `there` when the client has gone.
    #[must_use]
    pub(super) fn attended(self, there: watch::Receiver<()>) -> Self {
        Self {
            there: Some(there),
            ..self
        }
    }

    /// Returns whether behind the channel is the screen of a person.
    pub fn is_screen(&self) -> bool {
        self.screen
    }

    /// Waits until the client has closed the channel, or its connection has ended. That its input
    /// has ended is no sign of that.
    pub async fn gone(&self) {
        match self.there.clone() {
            Some(mut there) => while there.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    }

    /// Says that behind the channel is the screen of a person.
    #[must_use]
    pub(super) fn on_a_screen(self) -> Self {
        Self {
            screen: true,
            ..self
        }
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// When the client has gone.
    pub async fn out(&self, bytes: &[u8]) -> Result<(), Gone> {
        if bytes.is_empty() {
            // Nothing to say, but worth knowing whether anybody would hear it.
            return self
                .handle
                .data(self.channel, Vec::new())
                .await
                .map_err(|_| Gone);
        }
        let shown = self.shown(bytes);
        for piece in shown.chunks(PIECE) {
            self.handle
                .data(self.channel, piece.to_vec())
                .await
                .map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Writes data to standard output, as it is.
    ///
    /// # Errors
    /// When the client has gone.
    pub async fn data(&self, bytes: &[u8]) -> Result<(), Gone> {
        for piece in bytes.chunks(PIECE) {
            self.handle
                .data(self.channel, piece.to_vec())
                .await
                .map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Writes to standard error.
    ///
    /// # Errors
    /// When the client has gone.
    pub async fn err(&self, bytes: &[u8]) -> Result<(), Gone> {
        let shown = self.shown(bytes);
        for piece in shown.chunks(PIECE) {
            self.handle
                .extended_data(self.channel, 1, piece.to_vec())
                .await
                .map_err(|_| Gone)?;
        }
        Ok(())
    }

    fn shown<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.screen {
            Cow::Owned(ended_for_a_screen(bytes))
        } else {
            Cow::Borrowed(bytes)
        }
    }

    /// Ends the channel: exit status, end of output, close (RFC 4254 §5.3, §6.10). All output
    /// must have been written before.
    pub async fn end(self, status: u32) {
        // A client that has gone needs no ending.
        let _ = self.handle.exit_status_request(self.channel, status).await;
        self.close().await;
    }

    /// Ends a channel that is no program's.
    pub async fn close(self) {
        let _ = self.handle.eof(self.channel).await;
        let _ = self.handle.close(self.channel).await;
    }
}
