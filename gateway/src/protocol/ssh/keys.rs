//! Host keys on disk, and public keys as people give them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::RsaKeypair;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PrivateKey, ssh_key};

use crate::fault::{Fault, OrFault};

/// The size of RSA host keys, and the least that people's may have, in bits.
const RSA_BITS: usize = 3072;
const LEAST_RSA_BITS: u32 = 2048;

const FILES: [&str; 2] = ["ssh_host_ed25519_key", "ssh_host_rsa_key"];

/// The keys that prove this gateway to clients.
#[derive(Debug)]
pub struct HostKeys(pub Vec<PrivateKey>);

impl HostKeys {
    /// Makes new ones in a folder.
    ///
    /// # Errors
    /// When a file exists already or cannot be written.
    pub fn create(folder: &Path) -> Result<Self, Fault> {
        let doing = || format!("making host keys in {}", folder.display());
        fs::create_dir_all(folder).or_fault(doing)?;
        let mut random = ssh_key::rand_core::UnwrapErr(getrandom::SysRng);
        let ed25519 = PrivateKey::random(&mut random, Algorithm::Ed25519).or_fault(doing)?;
        let rsa: PrivateKey = RsaKeypair::random(&mut random, RSA_BITS)
            .or_fault(doing)?
            .into();
        for (file, key) in FILES.iter().zip([&ed25519, &rsa]) {
            let text = key.to_openssh(LineEnding::LF).or_fault(doing)?;
            write_private(&folder.join(file), text.as_bytes())?;
            let public = key.public_key().to_openssh().or_fault(doing)?;
            fs::write(folder.join(format!("{file}.pub")), public + "\n").or_fault(doing)?;
        }
        Ok(Self(vec![ed25519, rsa]))
    }

    /// Reads those that `create` made.
    ///
    /// # Errors
    /// When one is missing or damaged.
    pub fn read(folder: &Path) -> Result<Self, Fault> {
        FILES
            .iter()
            .map(|file| {
                let path: PathBuf = folder.join(file);
                russh::keys::load_secret_key(&path, None)
                    .or_fault(|| format!("reading the host key {}", path.display()))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    /// Returns each key's algorithm and fingerprint, for people to compare.
    pub fn fingerprints(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|key| {
                let public = key.public_key();
                format!(
                    "{} {}",
                    public.fingerprint(HashAlg::Sha256),
                    public.algorithm()
                )
            })
            .collect()
    }

    /// Returns the lines for a `known_hosts` file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
    pub fn known_hosts(&self, host: &str, port: u16) -> Vec<String> {
        let name = if port == 22 {
            host.to_owned()
        } else {
            format!("[{host}]:{port}")
        };
        self.0
            .iter()
            .filter_map(|key| {
                let mut public = key.public_key().clone();
                public.set_comment("");
                Some(format!("{name} {}", public.to_openssh().ok()?.trim_end()))
            })
            .collect()
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let doing = || format!("writing {}", path.display());
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .or_fault(doing)?;
    file.write_all(bytes).or_fault(doing)?;
    file.sync_all().or_fault(doing)
}

/// A public key as a person gave it, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Algorithm and key in one line, without the comment.
    pub line: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// The comment, escaped.
    pub comment: String,
}

impl PublicKey {
    /// Returns true for a FIDO key.
    pub fn is_security_key(&self) -> bool {
        self.line.starts_with("sk-")
    }

    /// Reads one line of an OpenSSH public key file.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return Err(
                "This is a private key, which should never leave your machine. \
                 Give the public one, whose file name ends in .pub."
                    .to_owned(),
            );
        }
        if text.lines().count() != 1 {
            return Err("A public key is one line; this is not one.".to_owned());
        }
        let mut key = ssh_key::PublicKey::from_openssh(text).map_err(|error| {
            format!("This is no public key in OpenSSH's form ({error}); ssh-keygen makes one.")
        })?;
        fit(key.key_data(), true)?;
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let comment = policy::escape(key.comment().as_bytes());
        key.set_comment("");
        let line = key
            .to_openssh()
            .map_err(|error| format!("This key cannot be written down ({error})."))?;
        Ok(Self {
            line: line.trim_end().to_owned(),
            fingerprint,
            comment,
        })
    }
}

/// Decides whether a kind of key is taken at all; security keys only if they may.
///
/// # Errors
/// With a sentence for the person.
pub(super) fn fit(key: &KeyData, security_keys: bool) -> Result<(), String> {
    match key {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) => Ok(()),
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) if security_keys => Ok(()),
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => Err(
            "Security keys (FIDO) are switched off on this server; use a key made with: ssh-keygen -t ed25519"
                .to_owned(),
        ),
        KeyData::Rsa(rsa) if rsa.key_size() < LEAST_RSA_BITS => Err(format!(
            "This RSA key has {} bits; at least {LEAST_RSA_BITS} are needed.",
            rsa.key_size()
        )),
        KeyData::Rsa(_) => Ok(()),
        other if other.is_certificate() => {
            Err("This is a certificate; give the key itself.".to_owned())
        }
        other => Err(format!(
            "Keys of the kind {} are not taken; make one with: ssh-keygen -t ed25519",
            other.algorithm()
        )),
    }
}

/// Returns a key as it goes over the wire (RFC 4253 §6.6).
pub(super) fn wire_form(key: &KeyData) -> Option<Vec<u8>> {
    ssh_key::PublicKey::new(key.clone(), "").to_bytes().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE0WLMkIPyWRsDMhGzZ0lqiJJqeoDYpnJGVIMXH1Uq8d";

    #[test]
    fn public_keys_are_taken_without_their_comment() {
        let key = PublicKey::parse(&format!("{KEY} alice@laptop\n")).unwrap();
        assert_eq!(key.line, KEY);
        assert_eq!(key.comment, "alice@laptop");
        assert!(key.fingerprint.starts_with("SHA256:"));
    }

    #[test]
    fn what_is_no_public_key_is_named() {
        for text in [
            "",
            "ssh-ed25519",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            &format!("{KEY}\n{KEY}"),
            "command=\"x\" ssh-ed25519 AAAA",
        ] {
            assert!(PublicKey::parse(text).is_err(), "{text}");
        }
    }
}
