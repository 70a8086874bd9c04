//! What takes over a channel: SFTP on the session's own task, git and the console on one of their own.

use std::sync::Arc;

use policy::{Action, Area, SitePath, Target};
use russh::ChannelId;
use russh::server::Session;
use tokio::sync::mpsc;

use super::channel::{Channel, Wishes};
use super::connection::{Connection, Door, NO_FORWARDING};
use super::{Destination, Output};
use crate::gate::{Denied, Evidence, Identity};
use crate::protocol::console::Reply;
use crate::protocol::{git, refusal_text, sftp};

/// Messages that wait for a task's standard input; each is at most a packet.
const INPUT_QUEUE: usize = 64;

/// Bytes of requests that are held back on all channels of a connection together; one channel alone
/// may hold half of it.
const MOST_HELD: usize = 64 << 20;

pub(super) const NO_SHELL: &str =
    "Funicular gives no shell: it serves SFTP, git and the commands that 'help' lists.";

impl<D: Door> Connection<D> {
    pub(super) fn start_sftp(
        &mut self,
        channel: ChannelId,
        identity: Identity,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let (site, environment) = match &self.destination {
            Destination::Environment(site, environment) => (site.clone(), environment.clone()),
            Destination::Console => {
                return self.turn_away(
                    channel,
                    "SFTP needs to know the environment: log in as ENV.SITE, for instance dev.acme.",
                    1,
                    session,
                );
            }
            Destination::Nowhere(login) => {
                let sentence =
                    format!("'{login}' is no address: log in as ENV.SITE, for instance dev.acme.");
                return self.turn_away(channel, &sentence, 1, session);
            }
        };
        let target = Target::Tree(
            site.clone(),
            environment.clone(),
            Area::Root,
            SitePath::default(),
        );
        let asked =
            self.server
                .gate
                .authorize(&identity, Action::ReadTree, &target, Evidence::default());
        if let Err(denied) = asked {
            return self.turn_away(channel, &refusal_text(denied), 1, session);
        }
        let tree = match self.server.sites.tree(&site, &environment) {
            Ok(tree) => tree,
            Err(fault) => {
                return self.turn_away(channel, &refusal_text(Denied::Fault(fault)), 1, session);
            }
        };
        let sftp = sftp::Session::new(
            Arc::clone(&self.server.gate),
            Arc::clone(&self.server.state),
            identity,
            site,
            environment,
            tree,
        );
        self.channels.insert(channel, Channel::Sftp(Box::new(sftp)));
        session.channel_success(channel)
    }

    pub(super) fn start_git(
        &mut self,
        channel: ChannelId,
        program: git::Program,
        wishes: Wishes,
        identity: Identity,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Destination::Environment(site, environment) = self.destination.clone() else {
            return self.turn_away(channel, NO_SHELL, 128, session);
        };
        let (sender, receiver) = mpsc::channel(INPUT_QUEUE);
        self.channels.insert(channel, Channel::Task(sender));
        session.channel_success(channel)?;
        let output = Output::new(session.handle(), channel);
        let service = Arc::clone(&self.server.git);
        let request = git::Request {
            program,
            who: identity,
            site,
            environment,
            protocol: wishes.git_protocol,
        };
        tokio::spawn(async move { service.serve(request, receiver, output).await });
        Ok(())
    }

    pub(super) fn start_console(
        &mut self,
        channel: ChannelId,
        words: Vec<String>,
        wishes: &Wishes,
        identity: Identity,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let (sender, receiver) = mpsc::channel(INPUT_QUEUE);
        self.channels.insert(channel, Channel::Task(sender));
        session.channel_success(channel)?;
        let output = Output::new(session.handle(), channel);
        let console = Arc::clone(&self.server.console);
        let mut refused = wishes.refused.clone();
        if std::mem::take(&mut self.refused_listening) {
            refused.push(NO_FORWARDING);
        }
        tokio::spawn(async move {
            for sentence in refused {
                let _ = output.err(format!("{sentence}\n").as_bytes()).await;
            }
            let mut reply = Reply::over_ssh(output, receiver);
            let status = console.run_words(&identity, &words, &mut reply).await;
            reply.end(status).await;
        });
        Ok(())
    }

    pub(super) fn after_sftp(
        &mut self,
        channel: ChannelId,
        answered: Result<(), sftp::Ended>,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let (last, status) = match answered {
            Err(ended) => (Some(ended), 1),
            Ok(()) if self.holds_too_much(channel) => (Some(sftp::HOLDS_TOO_MUCH), 1),
            Ok(()) if self.has_answered_all(channel) => (None, 0),
            Ok(()) => return Ok(()),
        };
        if let Some(Channel::Sftp(sftp)) = self.channels.insert(channel, Channel::Over) {
            sftp.close();
        }
        if let Some(ended) = last {
            session.extended_data(channel, 1, format!("{ended}\r\n").into_bytes())?;
        }
        if session.has_pending_data(channel) {
            // From outside the session's task, which takes this when all data has gone out.
            tokio::spawn(Output::new(session.handle(), channel).end(status));
            return Ok(());
        }
        session.exit_status_request(channel, status)?;
        session.eof(channel)?;
        session.close(channel)
    }

    /// Returns true when this channel holds requests back and all of them together hold too many.
    fn holds_too_much(&self, channel: ChannelId) -> bool {
        let held = |channel: &Channel| match channel {
            Channel::Sftp(sftp) => sftp.held(),
            Channel::Fresh(_) | Channel::Task(_) | Channel::Over => 0,
        };
        self.channels
            .get(&channel)
            .is_some_and(|this| held(this) > 0)
            && self.channels.values().map(held).sum::<usize>() > MOST_HELD
    }

    /// Returns true when the client has ended its input, and what it asked for before is answered.
    fn has_answered_all(&self, channel: ChannelId) -> bool {
        match self.channels.get(&channel) {
            Some(Channel::Sftp(sftp)) => sftp.is_over(),
            Some(Channel::Fresh(_) | Channel::Task(_) | Channel::Over) | None => false,
        }
    }
}
