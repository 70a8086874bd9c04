//! The configuration file: TOML, every key known, each with a default but the data folder.

mod algorithms;
mod backups;
mod content;
mod git;
mod identity;
mod listen;
mod multidev;
mod network;
mod penalties;
mod quota;
mod startups;
mod steps;
mod targets;
mod uploads;
mod workflows;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

pub use algorithms::{Algorithms, Ciphers, Ssh};
pub use backups::{Backups, MOST_DAYS};
pub use content::{Content, DatabaseServer};
pub use git::Git;
pub use identity::{Identity, SecurityKeys};
pub use listen::Listen;
pub use multidev::Multidev;
pub use network::Network;
pub use penalties::{Overflow, Penalties};
pub use quota::Quotas;
pub use startups::Startups;
pub use steps::Steps;
pub use targets::Targets;
pub use uploads::Uploads;
pub use workflows::Workflows;

use crate::fault::{Fault, OrFault};
use crate::steps_file;

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
    /// What SSH clients are offered.
    #[serde(default)]
    pub ssh: Ssh,
    /// Limits on connections.
    #[serde(default)]
    pub limits: Limits,
    /// How long sources that misbehave before login are kept out.
    #[serde(default)]
    pub penalties: Penalties,
    /// Who is taken for whom.
    #[serde(default)]
    pub identity: Identity,
    /// What is logged.
    #[serde(default)]
    pub log: Log,
    /// What git may do.
    #[serde(default)]
    pub git: Git,
    /// Uploads that broke off.
    #[serde(default)]
    pub uploads: Uploads,
    /// What is done to environments.
    #[serde(default)]
    pub workflows: Workflows,
    /// What the steps of sites may take.
    #[serde(default)]
    pub steps: Steps,
    /// The administrator's own steps and probes, which are for all sites: `[[step]]`, `[[probe]]`.
    #[serde(skip)]
    pub server_steps: steps_file::File,
    #[serde(default, rename = "step")]
    _step: IgnoredAny,
    #[serde(default, rename = "probe")]
    _probe: IgnoredAny,
    /// Who is told of an environment's switches.
    #[serde(default)]
    pub targets: Targets,
    /// Multidevs.
    #[serde(default)]
    pub multidev: Multidev,
    /// Backups.
    #[serde(default)]
    pub backups: Backups,
    /// Content.
    #[serde(default)]
    pub content: Content,
    /// The servers of databases: `[[database_server]]`.
    #[serde(default, rename = "database_server")]
    pub database_servers: Vec<DatabaseServer>,
    /// How much each environment may hold.
    #[serde(default)]
    pub quota: Quotas,
}

/// Limits on connections.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all.
    pub max_connections: usize,
    /// Connections that have not logged in yet.
    pub max_startups: Startups,
    /// Those of them that come from one source; 0 for no limit.
    pub max_startups_per_source: usize,
    /// So many leading bits of an IPv4 address make a source.
    pub source_bits_ipv4: u8,
    /// So many leading bits of an IPv6 address make a source.
    pub source_bits_ipv6: u8,
    /// Connections that one person has logged in on; 0 for no limit.
    pub max_connections_per_person: usize,
    /// The time a connection has to log in, in seconds.
    pub login_grace_seconds: u64,
    /// Keys that a client may try on one connection.
    pub max_login_attempts: usize,
    /// Channels open at once on one connection.
    pub max_channels: usize,
    /// Files and directories open at once on one SFTP channel, 1024 at most.
    pub max_open_files: usize,
    /// Requests that one SFTP channel holds back for a client that does not read its answers, in
    /// bytes.
    pub max_held_bytes: usize,
    /// The time after which a connection on which nothing is done is closed, in seconds; 0 for
    /// never.
    pub idle_seconds: u64,
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

    /// Returns the time after which an idle connection is closed, if any.
    pub fn idle(&self) -> Option<Duration> {
        (self.idle_seconds > 0).then(|| Duration::from_secs(self.idle_seconds))
    }

    /// Returns the source that an address belongs to.
    pub fn source(&self, address: IpAddr) -> Network {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() {
            self.source_bits_ipv4
        } else {
            self.source_bits_ipv6
        };
        Network::of(address, bits)
    }
}

/// Handles of SFTP have room for so many.
pub const MOST_OPEN_FILES: usize = 1024;

/// Room for a few packets of the longest kind.
const LEAST_HELD_BYTES: usize = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 2000,
            max_startups: Startups::default(),
            max_startups_per_source: 60,
            source_bits_ipv4: 32,
            source_bits_ipv6: 64,
            max_connections_per_person: 250,
            login_grace_seconds: 60,
            max_login_attempts: 10,
            max_channels: 32,
            max_open_files: MOST_OPEN_FILES,
            max_held_bytes: 32 << 20,
            idle_seconds: 0,
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
        let mut config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.server_steps =
            steps_file::File::among_settings(text).map_err(|mistake| mistake.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        self.identity.check()?;
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
                (1..=32).contains(&limits.source_bits_ipv4)
                    && (1..=128).contains(&limits.source_bits_ipv6),
                "limits.source_bits_ipv4 must be 1 to 32, limits.source_bits_ipv6 1 to 128",
            ),
            (
                (1..=MOST_OPEN_FILES).contains(&limits.max_open_files),
                "limits.max_open_files must be 1 to 1024",
            ),
            (
                limits.max_held_bytes >= LEAST_HELD_BYTES,
                "limits.max_held_bytes must be at least 1048576",
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
                limits.keepalive_seconds > 0,
                "limits.keepalive_seconds must not be 0",
            ),
            (
                limits.keepalive_count > 0,
                "limits.keepalive_count must not be 0",
            ),
            (
                (algorithms::LEAST_REKEY..=algorithms::MOST_REKEY).contains(&self.ssh.rekey_bytes),
                "ssh.rekey_bytes must lie between 65536 and 1073741824",
            ),
            (self.git.max_seconds > 0, "git.max_seconds must not be 0"),
        ];
        let rules = rules
            .into_iter()
            .chain(self.penalties.rules())
            .chain(self.backups.rules())
            .chain(self.steps.rules(&self.data_directory));
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
            "data_directory = \"/x\"\n[limits]\nmax_startups = \"5:0:1\"",
            "data_directory = \"/x\"\n[limits]\nsource_bits_ipv4 = 0",
            "data_directory = \"/x\"\n[limits]\nmax_open_files = 1025",
            "data_directory = \"/x\"\n[limits]\nmax_held_bytes = 1",
            "data_directory = \"/x\"\n[listen]\nproxy_protocol_from = [\"10.0.0.1/8\"]",
            "data_directory = \"/x\"\n[penalties]\nexempt = [\"localhost\"]",
            "data_directory = \"/x\"\n[penalties]\nleast_seconds = 601",
            "data_directory = \"/x\"\n[penalties]\noverflow = \"shrug\"",
            "data_directory = \"/x\"\n[steps]\nmax_processes = 0",
            "data_directory = \"/x\"\n[steps]\nreadable = [\"/x/sites\"]",
            "data_directory = \"/x\"\n[steps]\nreadable = [\"/\"]",
            "data_directory = \"/x\"\n[backups]\nkeep_days = 0",
            "data_directory = \"/x\"\n[[step]]\nname = \"a\"",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }
}
