//! Settings of content: the servers of databases, and for how long former content is kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Network;

/// A server of databases, on which the gateway makes one for each environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseServer {
    /// The name that sites are told.
    pub name: String,
    /// `mariadb` or `postgresql`.
    pub engine: String,
    /// `HOST:PORT`, or the path of its socket.
    pub address: String,
    /// The gateway's account, which may make databases and users.
    pub user: String,
    /// A file with that account's password.
    pub password_file: Option<PathBuf>,
    /// Where sites reach it, if that is not where the gateway does.
    pub site_address: Option<String>,
}

/// What becomes of content.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Content {
    /// For how many hours former content is kept, to be brought back; 0 keeps none.
    pub keep_former_hours: u32,
    /// Networks that imports may be fetched from although they are none of the internet's; from
    /// others of that kind they are not, since who may import is not who may ask inside.
    pub import_from_networks: Vec<Network>,
}

impl Content {
    /// Returns for how long former content is kept.
    pub fn keep_former(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_former_hours) * 60 * 60)
    }
}

impl Default for Content {
    fn default() -> Self {
        Self {
            keep_former_hours: 24,
            import_from_networks: Vec::new(),
        }
    }
}
