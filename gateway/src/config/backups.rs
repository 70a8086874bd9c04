//! Settings of backups.

use std::path::PathBuf;

use serde::Deserialize;

/// Backups.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backups {
    /// The program that keeps them: restic, looked for in PATH if it is a name.
    pub program: PathBuf,
    /// For how long one is kept that somebody asked for without saying, in days.
    pub keep_days: u32,
    /// For how long one is kept that was made before content was replaced, in days.
    pub keep_before_days: u32,
    /// What all backups of one site may take on the disk, in bytes; 0 for no limit.
    pub max_site_bytes: u64,
    /// What a backup leaves free on the disk, in bytes.
    pub keep_free_bytes: u64,
    /// How often the backups of a site are checked for damage, in days; 0 for never.
    pub check_days: u32,
}

impl Backups {
    /// Returns what must hold, with what is said when it does not.
    pub(super) fn rules(&self) -> [(bool, &'static str); 3] {
        let days = |days: u32| (1..=MOST_DAYS).contains(&days);
        [
            (
                !self.program.as_os_str().is_empty(),
                "backups.program names no program",
            ),
            (days(self.keep_days), "backups.keep_days must be 1 to 36500"),
            (
                days(self.keep_before_days),
                "backups.keep_before_days must be 1 to 36500",
            ),
        ]
    }
}

/// A hundred years: what is kept for longer is kept for ever, and dates stay dates.
pub const MOST_DAYS: u32 = 36_500;

impl Default for Backups {
    fn default() -> Self {
        Self {
            program: PathBuf::from("restic"),
            keep_days: 365,
            keep_before_days: 30,
            max_site_bytes: 0,
            keep_free_bytes: 1 << 30,
            check_days: 7,
        }
    }
}
