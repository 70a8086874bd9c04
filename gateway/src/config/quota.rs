//! How much each environment may hold, unless quota:set says otherwise.

use serde::Deserialize;

/// Quotas of environments.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// Bytes in files, scratch and databases that are files; absent for no limit but the disk's.
    pub bytes: Option<u64>,
    /// Files, links and folders; absent for no limit.
    pub files: Option<u64>,
}
