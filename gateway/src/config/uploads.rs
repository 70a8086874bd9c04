//! Settings of uploads.

use std::time::Duration;

use serde::Deserialize;

/// Uploads that broke off.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uploads {
    /// For how long an upload that broke off can be resumed, in seconds.
    pub keep_seconds: u64,
}

impl Uploads {
    /// Returns for how long an upload that broke off can be resumed.
    pub fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_seconds)
    }
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            keep_seconds: 24 * 60 * 60,
        }
    }
}
