//! What the gateway offers in the handshake, and the limits of russh that are ours to set.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac, server};

use crate::config::Limits;

/// Post-quantum first, no SHA-1, no finite-field groups of the NIST ECDH kind that nobody needs.
const KEY_EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_G18_SHA512,
    kex::DH_G16_SHA512,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// AES-GCM first: on a machine with AES instructions it costs half of what ChaCha20 does, in the
/// client above all. The client's order decides, so ChaCha20 is offered last.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_128_CTR,
];

const MACS: &[mac::Name] = &[
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256,
    mac::HMAC_SHA512,
];

/// Signature algorithms of host keys and of people's keys; `ssh-rsa`, which is SHA-1, is not one.
const SIGNATURES: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::SkEd25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::SkEcdsaSha2NistP256,
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// Returns russh's configuration.
pub fn configuration(keys: Vec<PrivateKey>, limits: &Limits) -> server::Config {
    server::Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-Funicular_",
            env!("CARGO_PKG_VERSION")
        ))),
        // Keyboard-interactive asks nothing and lets nobody in; it is how a client whose keys were
        // not taken is told why.
        methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::KeyboardInteractive][..]),
        // russh's default of a second would delay each login, since clients begin with "none".
        auth_rejection_time: Duration::from_millis(200),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        window_size: 2 * 1024 * 1024,
        maximum_packet_size: 65_535,
        limits: russh::Limits {
            rekey_write_limit: limits.rekey_bytes,
            rekey_read_limit: limits.rekey_bytes,
            ..russh::Limits::default()
        },
        max_auth_attempts: limits.max_login_attempts,
        // Idle sessions live as long as their keepalives are answered.
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(limits.keepalive_seconds)),
        keepalive_max: limits.keepalive_count,
        nodelay: true,
        preferred: Preferred {
            kex: Cow::Borrowed(KEY_EXCHANGES),
            key: Cow::Borrowed(SIGNATURES),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        ..server::Config::default()
    }
}
