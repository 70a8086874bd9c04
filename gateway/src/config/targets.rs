//! Settings of targets: who is told of an environment's switches.

use std::path::PathBuf;

use serde::Deserialize;

/// How targets are told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// The pause after a first attempt that failed, in seconds; it doubles with each.
    pub first_retry_seconds: u64,
    /// The longest pause between two attempts, in seconds.
    pub longest_retry_seconds: u64,
    /// For how long something is tried, in seconds.
    pub give_up_after_seconds: u64,
    /// How much that was told is remembered of each target.
    pub keep_deliveries: usize,
    /// The authorities that certificates of webhooks are checked by, in PEM; absent means those of
    /// the system.
    pub ca_file: Option<PathBuf>,
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            first_retry_seconds: 1,
            longest_retry_seconds: 600,
            give_up_after_seconds: 24 * 60 * 60,
            keep_deliveries: 200,
            ca_file: None,
        }
    }
}
