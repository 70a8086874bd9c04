//! A certificate's `force-command`: one command that takes the place of whatever the client asks
//! for (ssh-keygen(1), CERTIFICATES).

use russh::ChannelId;
use russh::server::Session;

use super::connection::{Connection, Door};

/// What a client asks a channel to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A shell, a command, or another subsystem.
    Other,
    /// The subsystem `sftp`.
    Sftp,
}

impl Asked {
    /// Returns what a subsystem of this name is.
    pub(super) fn subsystem(name: &str) -> Self {
        if name == "sftp" {
            Asked::Sftp
        } else {
            Asked::Other
        }
    }
}

/// What takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instead {
    /// Nothing: the client gets what it asks for.
    Nothing,
    /// This command.
    Command(String),
    /// A refusal, in a sentence.
    Refused(&'static str),
}

const NO_OPTIONS: &str = "Your certificate forces an SFTP server with options, which are not served here; have it signed with -O force-command=internal-sftp.";

const SFTP_ONLY: &str = "Your certificate allows SFTP only (force-command); use an SFTP client.";

/// Names of OpenSSH's SFTP server, as certificates force it.
const SFTP_SERVERS: [&str; 3] = ["internal-sftp", "sftp", "sftp-server"];

/// Decides what a forced command makes of a request.
pub(super) fn instead(forced: Option<&str>, asked: Asked) -> Instead {
    let Some(forced) = forced else {
        return Instead::Nothing;
    };
    let mut words = forced.split_whitespace();
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    match (SFTP_SERVERS.contains(&program), words.next(), asked) {
        (false, _, _) => Instead::Command(forced.to_owned()),
        // One of them makes it read-only, and none may be lost.
        (true, Some(_), _) => Instead::Refused(NO_OPTIONS),
        (true, None, Asked::Sftp) => Instead::Nothing,
        (true, None, Asked::Other) => Instead::Refused(SFTP_ONLY),
    }
}

impl<D: Door> Connection<D> {
    /// Returns what the certificate of this connection puts in the place of a request.
    pub(super) fn forced(&self, asked: Asked) -> Instead {
        let certificate = self
            .identity
            .as_ref()
            .and_then(|identity| identity.certificate.as_ref());
        instead(
            certificate.and_then(|certificate| certificate.forced.as_deref()),
            asked,
        )
    }

    /// Tells the person that their certificate allows none of what they asked for.
    pub(super) fn forced_away(
        &mut self,
        channel: ChannelId,
        sentence: &str,
        asked: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.begin(channel).is_none() {
            return session.channel_failure(channel);
        }
        let unserved = ("certificate-forces-command", sentence);
        self.not_served(channel, unserved, ("exec", asked), 1, session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_command_takes_the_place_of_everything() {
        assert_eq!(instead(None, Asked::Other), Instead::Nothing);
        let deploy = Some("env:deploy acme.test");
        for asked in [Asked::Other, Asked::Sftp] {
            assert_eq!(
                instead(deploy, asked),
                Instead::Command("env:deploy acme.test".to_owned())
            );
        }
        let read_only = Some("internal-sftp -R");
        assert!(matches!(
            instead(read_only, Asked::Sftp),
            Instead::Refused(_)
        ));
        for sftp in ["internal-sftp", "sftp", "/usr/lib/openssh/sftp-server"] {
            assert_eq!(instead(Some(sftp), Asked::Sftp), Instead::Nothing, "{sftp}");
            assert!(
                matches!(instead(Some(sftp), Asked::Other), Instead::Refused(_)),
                "{sftp}"
            );
        }
        assert_eq!(
            instead(Some(""), Asked::Sftp),
            Instead::Command(String::new())
        );
    }
}
