//! What has been revoked: keys and certificates, from an OpenSSH key revocation list (see `krl`) or
//! a plain list of fingerprints and keys.

use std::collections::{HashMap, HashSet};

use data_encoding::{BASE64, BASE64_NOPAD};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::krl;

/// A key or certificate that somebody logs in with, as far as revocation looks at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspect<'a> {
    /// The key in wire form (RFC 4253 §6.6).
    pub key: &'a [u8],
    /// What a certificate adds.
    pub certificate: Option<SuspectCertificate<'a>>,
}

/// The part of a certificate that revocation looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct SuspectCertificate<'a> {
    /// The authority's key in wire form.
    pub authority: &'a [u8],
    /// The number that the authority gave it; 0 means none.
    pub serial: u64,
    /// The id that the authority gave it.
    pub id: &'a [u8],
}

/// All that is revoked.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    pub(super) keys: HashSet<Vec<u8>>,
    pub(super) sha1: HashSet<Vec<u8>>,
    pub(super) sha256: HashSet<Vec<u8>>,
    /// By the authority's key; none stands for every authority.
    pub(super) certificates: HashMap<Option<Vec<u8>>, Certificates>,
}

/// Revoked certificates of one authority.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// First and last of each range.
    pub(super) serials: Vec<(u64, u64)>,
    /// The serial of the lowest bit, and the bits as a big-endian number.
    pub(super) bitmaps: Vec<(u64, Vec<u8>)>,
    pub(super) ids: HashSet<Vec<u8>>,
}

impl Revoked {
    /// Reads either form of list.
    ///
    /// # Errors
    /// With what is wrong; a list that is not understood whole revokes nothing, and so is useless.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        if krl::is_one(bytes) {
            return krl::read(bytes);
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|_| "it is neither a KRL nor a list of fingerprints and keys".to_owned())?;
        let mut revoked = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let known = revoked.take_line(line);
            known.ok_or_else(|| {
                format!(
                    "line {} is neither a fingerprint (SHA256:…) nor a public key",
                    number.saturating_add(1)
                )
            })?;
        }
        Ok(revoked)
    }

    fn take_line(&mut self, line: &str) -> Option<()> {
        let first = line.split_whitespace().next()?;
        if let Some(hash) = first.strip_prefix("SHA256:") {
            let hash = BASE64_NOPAD
                .decode(hash.trim_end_matches('=').as_bytes())
                .ok()?;
            return (hash.len() == Sha256::output_size()).then(|| {
                self.sha256.insert(hash);
            });
        }
        self.keys.insert(key_blob(line)?);
        Some(())
    }

    /// Returns true if a key, or a certificate for it, or its authority, is revoked.
    pub(super) fn holds(&self, suspect: Suspect<'_>) -> bool {
        if self.holds_key(suspect.key) {
            return true;
        }
        let Some(certificate) = suspect.certificate else {
            return false;
        };
        self.holds_key(certificate.authority)
            || [Some(certificate.authority.to_vec()), None]
                .iter()
                .filter_map(|authority| self.certificates.get(authority))
                .any(|revoked| revoked.hold(certificate.serial, certificate.id))
    }

    fn holds_key(&self, key: &[u8]) -> bool {
        self.keys.contains(key)
            || (!self.sha256.is_empty() && self.sha256.contains(Sha256::digest(key).as_slice()))
            || (!self.sha1.is_empty() && self.sha1.contains(Sha1::digest(key).as_slice()))
    }
}

impl Certificates {
    fn hold(&self, serial: u64, id: &[u8]) -> bool {
        if self.ids.contains(id) {
            return true;
        }
        // An authority that numbers nothing gives all the same number (PROTOCOL.certkeys).
        if serial == 0 {
            return false;
        }
        self.serials
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&serial))
            || self.bitmaps.iter().any(|(offset, bits)| {
                serial
                    .checked_sub(*offset)
                    .is_some_and(|bit| has_bit(bits, bit))
            })
    }
}

/// Returns a bit of a big-endian number.
fn has_bit(number: &[u8], bit: u64) -> bool {
    let Ok(from_end) = usize::try_from(bit / 8) else {
        return false;
    };
    number
        .len()
        .checked_sub(from_end.saturating_add(1))
        .and_then(|at| number.get(at))
        .is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

/// Reads `ALGORITHM BASE64 [COMMENT]`, where the key says itself what it is; returns its wire form.
pub(super) fn key_blob(line: &str) -> Option<Vec<u8>> {
    let mut words = line.split_whitespace();
    let (algorithm, encoded) = (words.next()?, words.next()?);
    let blob = BASE64.decode(encoded.as_bytes()).ok()?;
    let plain = [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ];
    let mut named = u32::try_from(algorithm.len()).ok()?.to_be_bytes().to_vec();
    named.extend_from_slice(algorithm.as_bytes());
    (plain.contains(&algorithm) && blob.len() > named.len() && blob.starts_with(&named))
        .then_some(blob)
}

/// Returns a key's fingerprint as OpenSSH writes it.
pub(super) fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(blob)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE0WLMkIPyWRsDMhGzZ0lqiJJqeoDYpnJGVIMXH1Uq8d";

    #[test]
    fn a_plain_list_holds_keys_and_fingerprints() {
        let blob = key_blob(KEY).unwrap();
        let plain = Suspect {
            key: &blob,
            certificate: None,
        };
        for list in [
            format!("# stolen\n\n{KEY} alice@laptop\n"),
            format!("{} alice\n", fingerprint(&blob)),
        ] {
            assert!(Revoked::read(list.as_bytes()).unwrap().holds(plain));
        }
        assert!(!Revoked::read(b"# none\n").unwrap().holds(plain));
    }

    #[test]
    fn a_line_that_is_not_understood_makes_the_list_useless() {
        for list in [
            "SHA256:short",
            "MD5:00:11",
            "ssh-ed25519 AAAA",
            "ssh-ed25519-cert-v01@openssh.com AAAA",
            "\u{fffd}",
            "alice",
        ] {
            assert!(Revoked::read(list.as_bytes()).is_err(), "{list}");
        }
        assert!(Revoked::read(b"\xff\xfe").is_err());
    }

    #[test]
    fn bits_are_counted_from_the_end() {
        assert!(has_bit(&[0x01, 0x80], 7));
        assert!(has_bit(&[0x01, 0x80], 8));
        assert!(!has_bit(&[0x01, 0x80], 9));
        assert!(!has_bit(&[0x01, 0x80], u64::MAX));
    }
}
