//! Settings of Multidevs.

use std::time::Duration;

use serde::Deserialize;

/// Multidevs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Multidev {
    /// For how long a deleted one can be brought back, in seconds.
    pub keep_deleted_seconds: u64,
}

impl Multidev {
    /// Returns for how long a deleted one can be brought back.
    pub fn keep_deleted(&self) -> Duration {
        Duration::from_secs(self.keep_deleted_seconds)
    }
}

impl Default for Multidev {
    fn default() -> Self {
        Self {
            keep_deleted_seconds: 30 * 24 * 60 * 60,
        }
    }
}
