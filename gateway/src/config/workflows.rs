//! Settings of workflows.

use serde::Deserialize;

/// What is done to environments.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workflows {
    /// The longest that one waits for another on the same environment, in seconds.
    pub max_wait_seconds: u64,
    /// How many logs are kept of each environment; the oldest go first.
    pub keep_logs: usize,
    /// How long a request for an approval may be answered, and an approval be used, in seconds.
    pub approval_seconds: u64,
}

impl Default for Workflows {
    fn default() -> Self {
        Self {
            max_wait_seconds: 1800,
            keep_logs: 500,
            approval_seconds: 86_400,
        }
    }
}
