//! Settings of git.

use serde::Deserialize;

/// What git may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Git {
    /// The longest that git may run for one clone, fetch or push, in seconds.
    pub max_seconds: u64,
    /// The largest pack that a push may bring, in bytes; 0 for no limit.
    pub max_pack_bytes: u64,
    /// What the packs of clones may take on the disk to be sent again, in bytes; 0 for none.
    pub pack_cache_bytes: u64,
    /// How long a repository is left alone before it is packed anew, if it needs that, in seconds.
    pub repack_after_seconds: u64,
}

impl Default for Git {
    fn default() -> Self {
        Self {
            max_seconds: 6 * 60 * 60,
            max_pack_bytes: 0,
            pack_cache_bytes: 2 << 30,
            repack_after_seconds: 30,
        }
    }
}
