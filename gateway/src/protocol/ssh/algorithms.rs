//! What the gateway offers in the handshake, and the limits of russh that are ours to set.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac, server};

use super::window;
use crate::config::{Algorithms, Ciphers, Config, Ssh};

/// Post-quantum first, no SHA-1. No finite-field groups: they cost a server 50 ms and more, so that
/// whoever asks for them often enough keeps it busy (CVE-2002-20001). NIST's curve is the last, for
/// clients that must keep to FIPS 140.
const KEY_EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

const STRICT_KEY_EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// For OpenSSH's client, which would take CTR before GCM.
const GCM: &[cipher::Name] = &[cipher::AES_128_GCM, cipher::AES_256_GCM];

/// CTR is for libssh2 before 1.11, which curl may bring.
const AES: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::AES_256_CTR,
    cipher::AES_128_CTR,
];

const AES_AND_CHACHA: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_128_CTR,
];

const STRICT_AES: &[cipher::Name] = &[cipher::AES_256_GCM];

const STRICT_AES_AND_CHACHA: &[cipher::Name] = &[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305];

/// For CTR; GCM and ChaCha20-Poly1305 authenticate by themselves. Encrypt-and-MAC is for the same
/// old libssh2.
const MACS: &[mac::Name] = &[
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256,
    mac::HMAC_SHA512,
];

const STRICT_MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];

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

const STRICT_SIGNATURES: &[Algorithm] = &[Algorithm::Ed25519, Algorithm::SkEd25519];

/// What we call ourselves.
pub(super) const VERSION: &str = concat!("SSH-2.0-Funicular_", env!("CARGO_PKG_VERSION"));

/// Whom an offer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// OpenSSH's own.
    OpenSsh,
    /// Any other.
    Any,
}

/// Returns russh's configuration.
pub(super) fn configuration(
    keys: Vec<PrivateKey>,
    config: &Config,
    client: Client,
) -> server::Config {
    let limits = &config.limits;
    server::Config {
        server_id: SshId::Standard(Cow::Borrowed(VERSION)),
        // Keyboard-interactive asks nothing and lets nobody in; it is how a client whose keys were
        // not taken is told why.
        methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::KeyboardInteractive][..]),
        // russh's default of a second would delay each login, since clients begin with "none".
        auth_rejection_time: Duration::from_millis(200),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        limits: russh::Limits {
            rekey_read_limit: config.ssh.rekey_bytes as usize,
            rekey_write_limit: config.ssh.rekey_bytes as usize,
            ..russh::Limits::default()
        },
        window_size: window::FIRST,
        maximum_packet_size: 65_535,
        max_auth_attempts: limits.max_login_attempts,
        // Idle sessions live as long as their keepalives are answered.
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(limits.keepalive_seconds)),
        keepalive_max: limits.keepalive_count,
        nodelay: true,
        preferred: preferred(&config.ssh, aes_is_fast(), client),
        ..server::Config::default()
    }
}

/// Returns whether people's keys of this kind let anybody in. russh tells clients which these are
/// (RFC 8308 §3.1) and leaves it to us to mean it. `ssh-rsa` is judged elsewhere, with words.
pub(super) fn takes(algorithms: Algorithms, algorithm: &Algorithm) -> bool {
    match algorithms {
        Algorithms::Default => true,
        Algorithms::Strict => STRICT_SIGNATURES.contains(algorithm),
    }
}

fn preferred(ssh: &Ssh, aes_is_fast: bool, client: Client) -> Preferred {
    let aes_alone = ssh.ciphers == Ciphers::Fast && aes_is_fast;
    let (kex, key, cipher, mac) = match ssh.algorithms {
        Algorithms::Default => (
            KEY_EXCHANGES,
            SIGNATURES,
            match (aes_alone, client) {
                (true, Client::OpenSsh) => GCM,
                (true, Client::Any) => AES,
                (false, _) => AES_AND_CHACHA,
            },
            MACS,
        ),
        Algorithms::Strict => (
            STRICT_KEY_EXCHANGES,
            STRICT_SIGNATURES,
            if aes_alone {
                STRICT_AES
            } else {
                STRICT_AES_AND_CHACHA
            },
            STRICT_MACS,
        ),
    };
    Preferred {
        kex: Cow::Borrowed(kex),
        key: Cow::Borrowed(key),
        cipher: Cow::Borrowed(cipher),
        mac: Cow::Borrowed(mac),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::DEFAULT
    }
}

/// Whether this machine has instructions for AES and for the multiplication of GCM.
fn aes_is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    let fast = std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let fast = std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let fast = false;
    fast
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<T: AsRef<str>>(all: &[T]) -> Vec<&str> {
        all.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn chacha_is_left_out_only_where_aes_is_fast_and_nobody_asks_for_it() {
        let chacha = "chacha20-poly1305@openssh.com";
        for algorithms in [Algorithms::Default, Algorithms::Strict] {
            for (ciphers, fast, offered) in [
                (Ciphers::Fast, true, false),
                (Ciphers::Fast, false, true),
                (Ciphers::All, true, true),
                (Ciphers::All, false, true),
            ] {
                let ssh = Ssh {
                    algorithms,
                    ciphers,
                    ..Ssh::default()
                };
                let preferred = preferred(&ssh, fast, Client::Any);
                assert_eq!(names(&preferred.cipher).contains(&chacha), offered);
                assert!(names(&preferred.cipher).contains(&"aes256-gcm@openssh.com"));
            }
        }
    }

    /// OpenSSH's client lists ChaCha20, then CTR, then GCM.
    #[test]
    fn openssh_is_left_nothing_but_gcm() {
        let offered = preferred(&Ssh::default(), true, Client::OpenSsh);
        assert_eq!(
            names(&offered.cipher),
            ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
        );
    }

    #[test]
    fn no_set_holds_what_is_weak() {
        for algorithms in [Algorithms::Default, Algorithms::Strict] {
            let ssh = Ssh {
                algorithms,
                ciphers: Ciphers::All,
                ..Ssh::default()
            };
            let preferred = preferred(&ssh, true, Client::Any);
            let mut all = names(&preferred.kex);
            assert_eq!(all[0], "mlkem768x25519-sha256");
            assert!(all.contains(&"kex-strict-s-v00@openssh.com"));
            all.extend(names(&preferred.cipher));
            all.extend(names(&preferred.mac));
            let signatures: Vec<_> = preferred.key.iter().map(ToString::to_string).collect();
            all.extend(signatures.iter().map(String::as_str));
            for name in all {
                for weak in [
                    "sha1", "cbc", "3des", "ssh-rsa", "ssh-dss", "group1-", "group14", "none",
                ] {
                    assert!(!name.contains(weak), "{name}");
                }
            }
        }
    }
}
