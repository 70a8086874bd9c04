//! What arrives on open channels, handed to whoever serves them.

use russh::ChannelId;
use russh::server::Session;

use super::channel::{Channel, SftpOutput};
use super::connection::{Connection, Door};
use crate::site::crash;

impl<D: Door> Connection<D> {
    pub(super) async fn received(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.activity.touch();
        match self.channels.get_mut(&channel) {
            Some(Channel::Sftp(sftp)) => {
                crash::panic_on(data);
                let mut output = SftpOutput::new(session, channel);
                let answered = sftp.receive(data, &mut output);
                output.done()?;
                self.note_progress(channel, session);
                self.after_sftp(channel, answered, session)
            }
            // Waiting here holds the whole connection back, which is what a client deserves that
            // sends faster than git takes; the queue is longer than any dialogue needs.
            Some(Channel::Task(input)) => {
                if input.send(data.to_vec()).await.is_err() {
                    self.channels.insert(channel, Channel::Over);
                }
                Ok(())
            }
            Some(Channel::Console(input)) => {
                if Box::pin(input.give(data.to_vec())).await.is_err() {
                    self.channels.insert(channel, Channel::Over);
                }
                Ok(())
            }
            Some(Channel::Terminal(keyboard)) => {
                if let Some(echo) = keyboard.typed(data).await {
                    session.data(channel, echo)?;
                }
                Ok(())
            }
            Some(Channel::Tunnel(tunnel)) => {
                if let Some(input) = &tunnel.input
                    && input.send(data.to_vec()).await.is_err()
                {
                    tunnel.input = None;
                }
                Ok(())
            }
            Some(Channel::Fresh(_) | Channel::Over) | None => Ok(()),
        }
    }

    /// The client reads again.
    pub(super) fn proceed(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.activity.touch();
        let Some(Channel::Sftp(sftp)) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let mut output = SftpOutput::new(session, channel);
        let answered = sftp.proceed(&mut output);
        output.done()?;
        self.note_progress(channel, session);
        self.after_sftp(channel, answered, session)
    }

    pub(super) fn input_ended(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Some(Channel::Tunnel(tunnel)) = self.channels.get_mut(&channel) {
            tunnel.input = None;
            return Ok(());
        }
        if let Some(Channel::Sftp(sftp)) = self.channels.get_mut(&channel) {
            let mut output = SftpOutput::new(session, channel);
            let answered = sftp.end_input(&mut output);
            output.done()?;
            self.note_progress(channel, session);
            return self.after_sftp(channel, answered, session);
        }
        self.behind.remove(&channel);
        // Dropping a sender is the end of its task's input, which a command of the console has to
        // hear from a break.
        match self.channels.insert(channel, Channel::Over) {
            Some(Channel::Console(input)) => input.complete(),
            Some(Channel::Terminal(mut keyboard)) => keyboard.end(),
            _other => {}
        }
        Ok(())
    }

    /// The client has closed a channel. russh keeps answers that were not read, so such a channel
    /// still counts.
    pub(super) fn closed(&mut self, channel: ChannelId, session: &Session) {
        self.activity.touch();
        self.behind.remove(&channel);
        self.there.remove(&channel);
        let closed = if session.has_pending_data(channel) {
            self.channels.insert(channel, Channel::Over)
        } else {
            self.channels.remove(&channel)
        };
        if let Some(Channel::Sftp(sftp)) = closed {
            sftp.close();
        }
    }
}
