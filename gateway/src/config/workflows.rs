//! Settings of workflows.

use serde::Deserialize;

use crate::site::workflow::Keeping;

/// What is done to environments.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workflows {
    /// The longest that one waits for another on the same environment, in seconds.
    pub max_wait_seconds: u64,
    /// How many logs are kept of each environment; the oldest go first.
    pub keep_logs: usize,
}

impl Default for Workflows {
    fn default() -> Self {
        let Keeping { wait_seconds, logs } = Keeping::default();
        Self {
            max_wait_seconds: wait_seconds,
            keep_logs: logs,
        }
    }
}

impl Workflows {
    /// Returns what the workflows go by.
    pub fn keeping(&self) -> Keeping {
        Keeping {
            wait_seconds: self.max_wait_seconds,
            logs: self.keep_logs,
        }
    }
}
