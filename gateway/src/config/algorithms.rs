//! Which cryptographic algorithms are offered.

use serde::Deserialize;

/// What SSH clients are offered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// How much an old client is met half-way.
    pub algorithms: Algorithms,
    /// Which ciphers are offered.
    pub ciphers: Ciphers,
}

/// A set of algorithms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithms {
    /// Nothing that is known to be weak, and what clients of the last ten years need.
    #[default]
    Default,
    /// The best of each kind: 256-bit authenticated encryption, Ed25519 keys.
    Strict,
}

/// A choice of ciphers. A client takes the first of its own list that is offered (RFC 4253 §7.1),
/// and OpenSSH's list begins with ChaCha20 and AES-CTR; so a server chooses by what it leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ciphers {
    /// AES alone where the machine has instructions for it, and to OpenSSH's client AES-GCM alone;
    /// else all.
    #[default]
    Fast,
    /// AES and ChaCha20.
    All,
}
