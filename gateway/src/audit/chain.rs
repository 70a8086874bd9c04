//! The hash chain: each row's hash covers all that the row keeps and the hash of the row before.
//!
//! There is no secret in it. Whoever can write both the database and the head file can make a new
//! chain; a head that was noted elsewhere still tells.

use std::fmt;

use rusqlite::types::ValueRef;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The hash of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What stands before the first row.
    pub(super) const BEGINNING: Hash = Hash([0; 32]);

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A place in the chain: the number of a row and its hash. Number 0 stands before the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The row's number.
    pub seq: u64,
    /// The row's hash.
    pub hash: Hash,
}

impl Head {
    /// The place before the first row.
    pub(super) const BEGINNING: Head = Head {
        seq: 0,
        hash: Hash::BEGINNING,
    };
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.seq, self.hash)
    }
}

/// Returns the hash of a row with these columns that follows the row with the hash `previous`.
/// Every column goes in with its type and length, so that no two rows have the same bytes.
pub(super) fn link(previous: &Hash, columns: &[ValueRef<'_>]) -> Hash {
    link_in(&mut Vec::with_capacity(USUAL_LENGTH), previous, columns)
}

/// Does the same with a buffer that can be used again, whatever is in it.
pub(super) fn link_in(text: &mut Vec<u8>, previous: &Hash, columns: &[ValueRef<'_>]) -> Hash {
    // Put together first: a hash takes one long text much faster than sixty short ones.
    text.clear();
    text.extend_from_slice(DOMAIN);
    text.extend_from_slice(&previous.0);
    for column in columns {
        let (kind, number, bytes): (u8, _, &[u8]) = match *column {
            ValueRef::Null => (0, [0; 8], &[]),
            ValueRef::Integer(number) => (1, number.to_be_bytes(), &[]),
            ValueRef::Real(number) => (2, number.to_bits().to_be_bytes(), &[]),
            ValueRef::Text(bytes) => (3, (bytes.len() as u64).to_be_bytes(), bytes),
            ValueRef::Blob(bytes) => (4, (bytes.len() as u64).to_be_bytes(), bytes),
        };
        text.push(kind);
        text.extend_from_slice(&number);
        text.extend_from_slice(bytes);
    }
    Hash(Sha256::digest(text).into())
}

/// Room for a row without a long detail.
const USUAL_LENGTH: usize = 768;
const DOMAIN: &[u8] = b"funicular audit row 1\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_cannot_flow_into_each_other() {
        let one = link(
            &Hash::BEGINNING,
            &[ValueRef::Text(b"ab"), ValueRef::Text(b"c")],
        );
        let other = link(
            &Hash::BEGINNING,
            &[ValueRef::Text(b"a"), ValueRef::Text(b"bc")],
        );
        assert_ne!(one, other);
        let nothing = link(&Hash::BEGINNING, &[ValueRef::Null]);
        let empty = link(&Hash::BEGINNING, &[ValueRef::Text(b"")]);
        assert_ne!(nothing, empty);
    }

    #[test]
    fn the_row_before_counts() {
        let first = link(&Hash::BEGINNING, &[ValueRef::Integer(1)]);
        assert_ne!(first, link(&first, &[ValueRef::Integer(1)]));
    }
}
