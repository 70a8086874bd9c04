//! How long sources that misbehave before login are kept out, after OpenSSH's
//! `PerSourcePenalties` (sshd_config(5)).

use std::net::IpAddr;

use serde::Deserialize;

use super::Network;

/// Penalties of sources. A source is an address, or the block of addresses that `limits` groups
/// together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Penalties {
    /// Whether there are any.
    pub enabled: bool,
    /// For a connection on which somebody asked to be let in and was not, in seconds. Keys that
    /// were tried before the right one cost nothing.
    pub failed_login_seconds: u64,
    /// For a connection that ended without anybody asking to be let in, in seconds.
    pub no_login_seconds: u64,
    /// For a connection that did not log in in time, in seconds.
    pub grace_exceeded_seconds: u64,
    /// For a connection that did not speak SSH before login, in seconds.
    pub garbage_seconds: u64,
    /// For a connection whose session broke down before login, in seconds.
    pub crash_seconds: u64,
    /// Penalties of one source add up; below this sum they are not enforced, in seconds.
    pub least_seconds: u64,
    /// They add up to so much at most, in seconds.
    pub longest_seconds: u64,
    /// Sources that are remembered, of IPv4 and of IPv6 each.
    pub max_sources: usize,
    /// What happens to new penalties when so many are remembered.
    pub overflow: Overflow,
    /// Sources that have no penalties: a monitor, an office behind one address.
    pub exempt: Vec<Network>,
}

/// What to do when more sources have penalties than are remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The penalty that would end soonest ends early.
    #[default]
    Permissive,
    /// Until a penalty ends, nobody gets in but exempt sources.
    DenyAll,
}

impl Penalties {
    /// Returns whether an address has no penalties.
    pub fn exempts(&self, address: IpAddr) -> bool {
        !self.enabled || self.exempt.iter().any(|network| network.contains(address))
    }

    pub(super) fn rules(&self) -> [(bool, &'static str); 3] {
        [
            (
                self.least_seconds <= self.longest_seconds,
                "penalties.least_seconds must not be more than penalties.longest_seconds",
            ),
            (
                // A year; what is added to a clock must not overflow it.
                self.longest_seconds <= 366 * 24 * 3600
                    && [
                        self.failed_login_seconds,
                        self.no_login_seconds,
                        self.grace_exceeded_seconds,
                        self.garbage_seconds,
                        self.crash_seconds,
                    ]
                    .iter()
                    .all(|seconds| *seconds <= 366 * 24 * 3600),
                "penalties must not be longer than a year",
            ),
            (
                self.max_sources > 0,
                "penalties.max_sources must not be 0; to have none, set penalties.enabled = false",
            ),
        ]
    }
}

impl Default for Penalties {
    fn default() -> Self {
        Self {
            enabled: true,
            failed_login_seconds: 5,
            no_login_seconds: 1,
            grace_exceeded_seconds: 10,
            garbage_seconds: 10,
            crash_seconds: 90,
            least_seconds: 15,
            longest_seconds: 600,
            max_sources: 16_384,
            overflow: Overflow::Permissive,
            exempt: Vec::new(),
        }
    }
}
