//! Where the gateway is reached.

use std::net::SocketAddr;

use serde::Deserialize;

use super::Network;

/// Where and as what the gateway is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Addresses to listen on for SSH; port 0 takes any free one.
    pub ssh: Vec<SocketAddr>,
    /// The host name in addresses shown to people.
    pub public_host: String,
    /// The port in addresses shown to people; absent means the first one listened on.
    pub public_port: Option<u16>,
    /// Load balancers that say in a PROXY protocol header who connects. From these it is
    /// required, from others it is never read.
    pub proxy_protocol_from: Vec<Network>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            ssh: vec![SocketAddr::from(([0, 0, 0, 0], 2222))],
            public_host: "localhost".to_owned(),
            public_port: None,
            proxy_protocol_from: Vec::new(),
        }
    }
}
