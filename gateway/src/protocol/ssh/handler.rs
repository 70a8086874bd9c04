//! russh's callbacks, turned into identity, destination and service.
//!
//! They run inside russh's session loop, so nothing here may wait for long: SFTP answers at once,
//! git and the console get a task of their own.

use russh::keys::Certificate;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{ChannelId, ChannelOpenFailure, MethodKind, MethodSet};

use super::Destination;
use super::algorithms;
use super::channel::Channel;
use super::command::Command;
use super::connection::{Connection, Door};
use super::forced::{Asked, Instead};
use super::forwarding::Wanted;
use super::services::NO_SHELL;
use super::unserved::{NO_AGENT, NO_X11};
use crate::gate::Identity;
use crate::protocol::git;

/// In a box, since russh's future of a session has room for its handler four times over: as an
/// argument and as a variable, in the session's loop and in what starts it. It also has room, twice,
/// for the largest future of a callback: one that waits and is seldom needed stands in a box too.
impl<D: Door> Handler for Box<Connection<D>> {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        self.line.answer();
        if let Some(login) = &mut self.login {
            login.attempt(user);
        }
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, user: &str, _password: &str) -> Result<Auth, Self::Error> {
        self.asked(user);
        Ok(Auth::reject())
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.asked(user);
        self.line.answer();
        let Some(login) = &mut self.login else {
            return Ok(Auth::reject());
        };
        if !algorithms::takes(self.server.algorithms, offer.algorithm) {
            login.not_taken(offer.public_key, offer.algorithm);
            return Ok(Auth::reject());
        }
        if login.offered(offer.public_key, offer.algorithm) {
            Ok(Auth::Accept)
        } else {
            Ok(Auth::reject())
        }
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let taken = algorithms::takes(self.server.algorithms, key.algorithm);
        let proven = self
            .login
            .as_mut()
            .filter(|_| taken)
            .and_then(|login| login.proven(key.public_key, key.algorithm));
        Ok(self.proven(user, proven))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        self.asked(user);
        let algorithm = certificate.public_key().algorithm();
        let taken = algorithms::takes(self.server.algorithms, &algorithm);
        let certified = self
            .login
            .as_mut()
            .filter(|_| taken)
            .and_then(|login| login.certified(certificate));
        Ok(self.proven(user, certified))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        _response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        self.asked(user);
        let advice = self.login.as_mut().and_then(|login| login.advice());
        Ok(match advice {
            Some(advice) => Auth::Partial {
                name: "".into(),
                instructions: advice.into(),
                prompts: Vec::new().into(),
            },
            None => Auth::Reject {
                proceed_with_methods: Some(MethodSet::from(&[MethodKind::PublicKey][..])),
                partial_success: false,
            },
        })
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        self.login = None;
        self.line.answer();
        let Some(entered) = self.person.take() else {
            return Err(russh::Error::Inconsistent);
        };
        let client = session.remote_sshid();
        let identity = Identity {
            person: entered.person,
            fingerprint: Some(entered.fingerprint),
            certificate: entered.certificate,
            address: self.address.clone(),
            client: policy::escape(client.strip_prefix(b"SSH-2.0-").unwrap_or(client)),
        };
        self.enter(identity, session)
    }

    async fn channel_open_session(
        &mut self,
        channel: russh::Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.identity.is_none() || !self.has_room(session) {
            let reason = self.no_room();
            Box::pin(reply.reject(ChannelOpenFailure::Other { code: 4, reason })).await;
            return Ok(());
        }
        self.activity.touch();
        self.measure_opening();
        self.channels
            .insert(channel.id(), Channel::Fresh(Box::default()));
        Box::pin(reply.accept()).await;
        Ok(())
    }

    async fn channel_open_x11(
        &mut self,
        _channel: russh::Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Box::pin(self.refuse_channel(&Wanted::X11, reply, session)).await
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: russh::Channel<Msg>,
        host: &str,
        port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Box::pin(self.forward(channel.id(), host, port, reply, session)).await
    }

    async fn channel_open_forwarded_tcpip(
        &mut self,
        _channel: russh::Channel<Msg>,
        host: &str,
        port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Box::pin(self.refuse_channel(&Wanted::From(host, port), reply, session)).await
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: russh::Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        Box::pin(self.refuse_channel(&Wanted::Socket(path), reply, session)).await
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.terminal_wanted(channel, session)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _x11_auth_protocol: &str,
        _x11_auth_cookie: &str,
        _x11_screen_number: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.wish_refused(channel, NO_X11);
        session.channel_failure(channel)
    }

    async fn agent_request(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<bool, Self::Error> {
        self.wish_refused(channel, NO_AGENT);
        Ok(false)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        variable_name: &str,
        variable_value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        // No other variable of a client ever reaches a program here.
        let wanted = variable_name == "GIT_PROTOCOL"
            && matches!(variable_value, "version=0" | "version=1" | "version=2");
        match self.fresh(channel).filter(|_| wanted) {
            Some(wishes) => {
                wishes.git_protocol = Some(variable_value.to_owned());
                session.channel_success(channel)
            }
            None => session.channel_failure(channel),
        }
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.forced(Asked::Other) != Instead::Nothing {
            return self.exec_request(channel, b"", session).await;
        }
        let Some((wishes, identity)) = self.begin(channel) else {
            return session.channel_failure(channel);
        };
        let words = match &self.destination {
            Destination::Console => vec!["greet".to_owned()],
            Destination::Environment(site, environment) => {
                vec!["greet".to_owned(), format!("{site}.{environment}")]
            }
            Destination::Nowhere(_) => return self.turn_away(channel, NO_SHELL, 1, session),
        };
        self.start_console(channel, words, &wishes, identity, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let forced = match self.forced(Asked::Other) {
            Instead::Nothing => None,
            Instead::Command(line) => Some(line),
            Instead::Refused(sentence) => {
                return self.forced_away(channel, sentence, data, session);
            }
        };
        let data = forced.as_ref().map_or(data, |line| line.as_bytes());
        let Some((wishes, identity)) = self.begin(channel) else {
            return session.channel_failure(channel);
        };
        let site = match &self.destination {
            Destination::Environment(site, _) => Some(site.as_str()),
            Destination::Console | Destination::Nowhere(_) => None,
        };
        let program = match Command::parse(data, site) {
            Ok(Command::UploadPack) => git::Program::UploadPack,
            Ok(Command::ReceivePack) => git::Program::ReceivePack,
            Ok(Command::UploadArchive) => git::Program::UploadArchive,
            Ok(Command::Exec(program)) => {
                return self.start_exec(channel, program, identity, session);
            }
            Ok(Command::Console(words)) => {
                return self.start_console(channel, words, &wishes, identity, session);
            }
            Err(unknown) => {
                let unserved = ("command-not-served", unknown.sentence.as_str());
                return self.not_served(channel, unserved, ("exec", data), unknown.status, session);
            }
        };
        self.start_git(channel, program, wishes, identity, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.forced(Asked::subsystem(name)) != Instead::Nothing {
            return self.exec_request(channel, b"", session).await;
        }
        let Some((_, identity)) = self.begin(channel) else {
            return session.channel_failure(channel);
        };
        if name == "sftp" {
            return self.start_sftp(channel, identity, session);
        }
        let unserved = ("subsystem-not-served", NO_SHELL);
        self.not_served(
            channel,
            unserved,
            ("subsystem", name.as_bytes()),
            127,
            session,
        )
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        self.refuse_forwarding(&Wanted::From(address, *port), session)?;
        self.refused_listening = true;
        Ok(false)
    }

    async fn streamlocal_forward(
        &mut self,
        path: &str,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        self.refuse_forwarding(&Wanted::FromSocket(path), session)?;
        self.refused_listening = true;
        Ok(false)
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.line.window(self.channels.len())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.received(channel, data, session).await
    }

    async fn window_adjusted(
        &mut self,
        channel: ChannelId,
        _new_size: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.proceed(channel, session)
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.input_ended(channel, session)
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.closed(channel, session);
        Ok(())
    }
}
