//! Which cryptographic algorithms are offered.

use serde::Deserialize;

/// What SSH clients are offered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// How much an old client is met half-way.
    pub algorithms: Algorithms,
    /// Which ciphers are offered.
    pub ciphers: Ciphers,
    /// Bytes each way after which keys are exchanged anew, from 64 KiB to 1 GiB.
    pub rekey_bytes: u32,
}

/// Less would be all exchange and no work.
pub(super) const LEAST_REKEY: u32 = 64 << 10;

/// RFC 4253 §9 recommends to exchange keys anew after each gigabyte.
pub(super) const MOST_REKEY: u32 = 1 << 30;

impl Default for Ssh {
    fn default() -> Self {
        Self {
            algorithms: Algorithms::default(),
            ciphers: Ciphers::default(),
            rekey_bytes: MOST_REKEY,
        }
    }
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
