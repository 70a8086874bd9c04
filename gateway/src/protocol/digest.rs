//! Hashes that clients compare files by; nothing here trusts them.

use sha1::{Digest as _, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512};

/// How a hash is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5 (RFC 1321).
    Md5,
    /// SHA-1 (FIPS 180-4), as the following.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Md5, "md5sum"),
        (Self::Sha1, "sha1sum"),
        (Self::Sha224, "sha224sum"),
        (Self::Sha256, "sha256sum"),
        (Self::Sha384, "sha384sum"),
        (Self::Sha512, "sha512sum"),
    ];

    /// Returns the one of this name, `sha256` for instance.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::find(|command| command.strip_suffix("sum").map(str::as_bytes) == Some(name))
    }

    /// Returns the one of GNU coreutils' command of this name, `sha256sum` for instance.
    pub fn of_command(name: &[u8]) -> Option<Self> {
        Self::find(|command| command.as_bytes() == name)
    }

    fn find(is_it: impl Fn(&str) -> bool) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(_, command)| is_it(command));
        found.map(|(algorithm, _)| algorithm)
    }

    /// Returns the command's name.
    pub fn command(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == self);
        found.map_or("", |(_, command)| command)
    }

    /// Returns how long a hash is, in bytes.
    pub fn length(self) -> u64 {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Begins a hash.
    pub fn begin(self) -> Sum {
        Sum(match self {
            Self::Md5 => State::Md5(md5::Context::new()),
            Self::Sha1 => State::Sha1(Sha1::new()),
            Self::Sha224 => State::Sha224(Sha224::new()),
            Self::Sha256 => State::Sha256(Sha256::new()),
            Self::Sha384 => State::Sha384(Sha384::new()),
            Self::Sha512 => State::Sha512(Sha512::new()),
        })
    }
}

/// A hash under way.
#[allow(missing_debug_implementations, reason = "states of hashes have none")]
pub struct Sum(State);

enum State {
    Md5(md5::Context),
    Sha1(Sha1),
    Sha224(Sha224),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Sum {
    /// Takes more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Md5(sum) => sum.consume(bytes),
            State::Sha1(sum) => sum.update(bytes),
            State::Sha224(sum) => sum.update(bytes),
            State::Sha256(sum) => sum.update(bytes),
            State::Sha384(sum) => sum.update(bytes),
            State::Sha512(sum) => sum.update(bytes),
        }
    }

    /// Returns the hash of all that was taken.
    pub fn end(self) -> Vec<u8> {
        match self.0 {
            State::Md5(sum) => sum.finalize().0.to_vec(),
            State::Sha1(sum) => sum.finalize().to_vec(),
            State::Sha224(sum) => sum.finalize().to_vec(),
            State::Sha256(sum) => sum.finalize().to_vec(),
            State::Sha384(sum) => sum.finalize().to_vec(),
            State::Sha512(sum) => sum.finalize().to_vec(),
        }
    }
}
