//! What the steps of sites may take.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Limits of each step; `docs/steps.md` says how each is held.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Steps {
    /// Processes at once.
    pub max_processes: u64,
    /// Memory of all its processes together, in bytes.
    pub max_memory_bytes: u64,
    /// What is kept of its output, in bytes; the rest is read and dropped.
    pub max_output_bytes: usize,
    /// The silence after which those who follow are told that it still runs, in seconds.
    pub heartbeat_seconds: u64,
    /// Folders that steps may read besides the system's own.
    pub readable: Vec<PathBuf>,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            max_processes: 256,
            max_memory_bytes: 2 << 30,
            max_output_bytes: 1 << 20,
            heartbeat_seconds: 30,
            readable: Vec::new(),
        }
    }
}

/// Fewer would not run a shell that starts a program.
const LEAST_PROCESSES: u64 = 8;
/// Less would not start PHP.
const LEAST_MEMORY: u64 = 32 << 20;

impl Steps {
    pub(super) fn rules(&self, data: &Path) -> Vec<(bool, &'static str)> {
        vec![
            (
                self.max_processes >= LEAST_PROCESSES,
                "steps.max_processes must be at least 8",
            ),
            (
                self.max_memory_bytes >= LEAST_MEMORY,
                "steps.max_memory_bytes must be at least 33554432",
            ),
            (
                self.heartbeat_seconds > 0,
                "steps.heartbeat_seconds must not be 0",
            ),
            (
                self.readable.iter().all(|path| {
                    path.is_absolute() && !path.starts_with(data) && !data.starts_with(path)
                }),
                "steps.readable must have absolute paths, none of them in the data folder or above it",
            ),
        ]
    }
}
