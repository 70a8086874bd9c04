//! The configuration file: TOML, every key known, each with a default but the data folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::fault::{Fault, OrFault};

/// The commented example, which is also what `funicular init` writes.
pub const EXAMPLE: &str = include_str!("funicular.toml");

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept.
    pub data_directory: PathBuf,
    /// Where and as what the gateway is reached.
    #[serde(default)]
    pub listen: Listen,
    /// Limits on connections.
    #[serde(default)]
    pub limits: Limits,
    /// What is logged.
    #[serde(default)]
    pub log: Log,
    /// What git may do.
    #[serde(default)]
    pub git: Git,
}

/// Where and as what the gateway is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Addresses to listen on for SSH; port 0 takes any free one.
    pub ssh: Vec<SocketAddr>,
    /// The host name in addresses shown to people.
    pub public_host: String,
    /// The port in addresses shown to people; absent means the first one listened on.
    pub public_port: Option<u16>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            ssh: vec![SocketAddr::from(([0, 0, 0, 0], 2222))],
            public_host: "localhost".to_owned(),
            public_port: None,
        }
    }
}

/// Limits on connections.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all.
    pub max_connections: usize,
    /// Connections that have not logged in yet.
    pub max_unauthenticated_connections: usize,
    /// The time a connection has to log in, in seconds.
    pub login_grace_seconds: u64,
    /// Keys that a client may try on one connection.
    pub max_login_attempts: usize,
    /// Channels open at once on one connection.
    pub max_channels: usize,
    /// Bytes in either direction after which the keys are exchanged anew; no more than 1 GiB
    /// (RFC 4253 §9).
    pub rekey_bytes: usize,
    /// The silence after which a keepalive is sent, in seconds.
    pub keepalive_seconds: u64,
    /// Keepalives without an answer after which a connection is closed.
    pub keepalive_count: usize,
    /// The time that work under way is given when the gateway stops, in seconds.
    pub drain_seconds: u64,
}

impl Limits {
    /// Returns the time a connection has to log in.
    pub fn login_grace(&self) -> Duration {
        Duration::from_secs(self.login_grace_seconds)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 2000,
            max_unauthenticated_connections: 200,
            login_grace_seconds: 60,
            max_login_attempts: 10,
            max_channels: 32,
            rekey_bytes: 1 << 30,
            keepalive_seconds: 20,
            keepalive_count: 3,
            drain_seconds: 30,
        }
    }
}

/// What is logged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important of what is logged.
    pub level: Level,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A person must look.
    Error,
    /// Something was refused or degraded.
    Warn,
    /// Events in the life of the gateway and of connections.
    #[default]
    Info,
    /// What helps to find a fault.
    Debug,
}

impl Level {
    /// Returns the word that the configuration takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// What git may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Git {
    /// The longest that git may run for one clone, fetch or push, in seconds.
    pub max_seconds: u64,
    /// The largest pack that a push may bring, in bytes; 0 for no limit.
    pub max_pack_bytes: u64,
}

impl Default for Git {
    fn default() -> Self {
        Self {
            max_seconds: 6 * 60 * 60,
            max_pack_bytes: 0,
        }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// With file, line and column of what is wrong.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let text = std::fs::read_to_string(path)
            .or_fault(|| format!("reading the configuration {}", path.display()))?;
        Self::parse(&text).map_err(|error| Fault::new(format!("{}: {error}", path.display())))
    }

    /// Reads and checks a text.
    ///
    /// # Errors
    /// With line, column and the line itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let limits = &self.limits;
        let rules = [
            (
                self.data_directory.is_absolute(),
                "data_directory must be an absolute path",
            ),
            (!self.listen.ssh.is_empty(), "listen.ssh names no address"),
            (
                !self.listen.public_host.is_empty()
                    && self
                        .listen
                        .public_host
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte)),
                "listen.public_host is no host name",
            ),
            (
                limits.max_connections > 0,
                "limits.max_connections must not be 0",
            ),
            (
                limits.max_unauthenticated_connections > 0,
                "limits.max_unauthenticated_connections must not be 0",
            ),
            (
                limits.login_grace_seconds > 0,
                "limits.login_grace_seconds must not be 0",
            ),
            (
                limits.max_login_attempts > 0,
                "limits.max_login_attempts must not be 0",
            ),
            (limits.max_channels > 0, "limits.max_channels must not be 0"),
            (
                (1 << 16..=1 << 30).contains(&limits.rekey_bytes),
                "limits.rekey_bytes must be from 65536 (64 KiB) to 1073741824 (1 GiB)",
            ),
            (
                limits.keepalive_seconds > 0,
                "limits.keepalive_seconds must not be 0",
            ),
            (
                limits.keepalive_count > 0,
                "limits.keepalive_count must not be 0",
            ),
            (self.git.max_seconds > 0, "git.max_seconds must not be 0"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, sentence)) => Err(sentence.to_owned()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_the_defaults() {
        let example = Config::parse(EXAMPLE).unwrap();
        let bare = Config::parse("data_directory = \"/var/lib/funicular\"").unwrap();
        assert_eq!(format!("{example:?}"), format!("{bare:?}"));
    }

    #[test]
    fn a_typo_is_shown_with_its_place() {
        let error =
            Config::parse("data_directory = \"/x\"\n[limits]\nmax_conections = 5\n").unwrap_err();
        assert!(error.contains("line 3, column 1"), "{error}");
        assert!(error.contains("max_conections"), "{error}");
    }

    #[test]
    fn senseless_values_are_refused() {
        for text in [
            "data_directory = \"relative\"",
            "data_directory = \"/x\"\n[limits]\nmax_connections = 0",
            "data_directory = \"/x\"\n[listen]\nssh = []",
            "data_directory = \"/x\"\n[log]\nlevel = \"loud\"",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }
}
