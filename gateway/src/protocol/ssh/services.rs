//! What takes over a channel: SFTP on the session's own task, git and the console on one of their own.

use std::sync::Arc;

use policy::{Action, Area, SitePath, Target};
use russh::ChannelId;
use russh::server::Session;
use tokio::sync::mpsc;

use super::channel::{Channel, Wishes};
use super::connection::{Connection, Door};
use super::forwarding::NO_FORWARDING;
use super::terminal::Keyboard;
use super::{Destination, Output};
use crate::blocking;
use crate::gate::{Denied, Evidence, Identity};
use crate::protocol::console::Reply;
use crate::protocol::intake::intake;
use crate::protocol::{exec, git, refusal_text, sftp};
use crate::site::crash;

/// Messages that wait for a task's standard input; each is at most a packet.
const INPUT_QUEUE: usize = 64;

const FAULT: &str =
    "Funicular has a fault and could not go on with this; its log says more. Try again.\n";

pub(super) const NO_SHELL: &str =
    "Funicular gives no shell: it serves SFTP, scp, rsync, git and the commands that 'help' lists.";

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
        )
        .bounded(&self.server.limits);
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
        let output = self.attended(channel, session);
        let service = Arc::clone(&self.server.git);
        let request = git::Request {
            program,
            who: identity,
            site,
            environment,
            protocol: wishes.git_protocol,
        };
        supervised(output.clone(), async move {
            service.serve(request, receiver, output).await;
        });
        Ok(())
    }

    pub(super) fn start_exec(
        &mut self,
        channel: ChannelId,
        program: exec::Program,
        identity: Identity,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Destination::Environment(site, environment) = self.destination.clone() else {
            let sentence = format!(
                "{} needs to know the environment: log in as ENV.SITE, for instance dev.acme.",
                program.name()
            );
            return self.turn_away(channel, &sentence, 1, session);
        };
        let (sender, receiver) = mpsc::channel(INPUT_QUEUE);
        self.channels.insert(channel, Channel::Task(sender));
        session.channel_success(channel)?;
        let output = self.output(channel, session);
        let service = Arc::clone(&self.server.exec);
        let request = exec::Request {
            program,
            who: identity,
            site,
            environment,
        };
        supervised(output.clone(), async move {
            service.serve(request, receiver, output).await;
        });
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
        let output = self.attended(channel, session);
        let (sender, receiver) = intake(Some(self.server.console.spool.clone()));
        let (serving, output) = if wishes.terminal {
            (
                Channel::Terminal(Keyboard::new(sender)),
                output.on_a_screen(),
            )
        } else {
            (Channel::Console(sender), output)
        };
        self.channels.insert(channel, serving);
        session.channel_success(channel)?;
        let console = Arc::clone(&self.server.console);
        let mut refused = wishes.refused.clone();
        if std::mem::take(&mut self.refused_listening) {
            refused.push(NO_FORWARDING);
        }
        supervised(output.clone(), async move {
            crash::panic_on(words.join(" ").as_bytes());
            for sentence in refused {
                let _ = output.err(format!("{sentence}\n").as_bytes()).await;
            }
            let mut reply = Reply::over_ssh(output, receiver);
            let status = console.run_words(&identity, &words, &mut reply).await;
            reply.end(status).await;
        });
        Ok(())
    }

    /// Lets a person in, unless they have too many connections.
    pub(super) fn enter(
        &mut self,
        identity: Identity,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if let Err(sentence) = self.door.entered(&identity.person) {
            self.too_many_connections(&identity, &sentence);
            return self.dismiss(&sentence, session);
        }
        tracing::info!(person = %identity.person, address = %identity.address, client = %identity.client, "logged in");
        self.identity = Some(identity);
        Ok(())
    }

    /// Keeps in the audit that a person had more connections than one may have.
    fn too_many_connections(&self, who: &Identity, sentence: &str) {
        tracing::warn!(person = %who.person, "turned away: {sentence}");
        let refusal = policy::Refusal {
            rule: "too-many-connections",
            message: sentence.to_owned(),
            hint: String::new(),
        };
        let whom = crate::audit::Who {
            person: Some(who.person.to_string()),
            fingerprint: who.fingerprint.clone(),
            address: Some(who.address.clone()),
            client: Some(who.client.clone()),
        };
        let gate = &self.server.gate;
        let kept = blocking::wait(|| gate.refuse_outright(whom, "login", None, &refusal));
        if let Err(fault) = kept {
            tracing::error!("a login that was turned away could not be recorded: {fault}");
        }
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
            tokio::spawn(self.output(channel, session).end(status));
            return Ok(());
        }
        session.exit_status_request(channel, status)?;
        session.eof(channel)?;
        session.close(channel)
    }

    /// Returns true when this channel holds requests back and all of them together hold too many:
    /// twice what one alone may hold.
    fn holds_too_much(&self, channel: ChannelId) -> bool {
        let held = |channel: &Channel| match channel {
            Channel::Sftp(sftp) => sftp.held(),
            Channel::Fresh(_)
            | Channel::Task(_)
            | Channel::Console(_)
            | Channel::Terminal(_)
            | Channel::Tunnel(_)
            | Channel::Over => 0,
        };
        self.channels
            .get(&channel)
            .is_some_and(|this| held(this) > 0)
            && self.channels.values().map(held).sum::<usize>() / 2
                > self.server.limits.max_held_bytes
    }

    /// Returns true when the client has ended its input, and what it asked for before is answered.
    fn has_answered_all(&self, channel: ChannelId) -> bool {
        matches!(self.channels.get(&channel), Some(Channel::Sftp(sftp)) if sftp.is_over())
    }
}

/// Runs what serves a channel on a task of its own. If it panics, the person is told and the
/// channel ends; without this a client would wait for ever.
pub(super) fn supervised(output: Output, work: impl Future<Output = ()> + Send + 'static) {
    let working = tokio::spawn(work);
    tokio::spawn(async move {
        if let Err(error) = working.await
            && error.is_panic()
        {
            tracing::error!("a fault in Funicular ended this channel, and no other: {error}");
            let _ = output.err(FAULT.as_bytes()).await;
            output.end(1).await;
        }
    });
}
