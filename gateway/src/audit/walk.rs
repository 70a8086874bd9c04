//! Walks along the rows and checks that each follows from the one before.

use std::fmt;

use rusqlite::types::ValueRef;

use super::chain::{self, Hash, Head};
use super::row::{self, WIDTH};

/// Something that is not as the gateway wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// These rows are gone.
    Missing {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// This row, or its hash, was changed; or it does not belong here.
    Changed {
        /// Its number.
        seq: u64,
    },
    /// What searches find this row by was changed.
    Hidden {
        /// Its number.
        seq: u64,
    },
    /// A row has a number that none can have.
    Foreign {
        /// The number.
        seq: i64,
    },
    /// The head file says that this row had another hash.
    HeadDiffers {
        /// The row's number.
        seq: u64,
    },
    /// There is no head file.
    HeadMissing,
    /// The head file holds something else.
    HeadUnreadable,
    /// The gateway found something when it started, and recorded it in this row.
    Noticed {
        /// The row's number.
        seq: u64,
        /// What it found.
        what: String,
    },
    /// The database file itself is damaged.
    Damaged {
        /// In SQLite's words.
        what: String,
    },
}

impl Problem {
    /// Returns the number of the first row that it is about.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Problem::Missing {
                first: seq,
                last: _,
            }
            | Problem::Changed { seq }
            | Problem::Hidden { seq }
            | Problem::HeadDiffers { seq }
            | Problem::Noticed { seq, what: _ } => Some(*seq),
            Problem::Foreign { seq } => u64::try_from(*seq).ok(),
            Problem::HeadMissing | Problem::HeadUnreadable | Problem::Damaged { what: _ } => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing { first, last } if first == last => {
                write!(f, "row {first} is missing")
            }
            Problem::Missing { first, last } => write!(f, "rows {first} to {last} are missing"),
            Problem::Changed { seq } => write!(
                f,
                "row {seq} is not what was written there, or does not follow from the row before it"
            ),
            Problem::Hidden { seq } => write!(
                f,
                "row {seq} is missing from searches: what they find it by is not what was written"
            ),
            Problem::Foreign { seq } => {
                write!(f, "there is a row {seq}, a number that no row can have")
            }
            Problem::HeadDiffers { seq } => write!(
                f,
                "row {seq} or one before it is not what was written: audit.head has another hash \
                 for it"
            ),
            Problem::HeadMissing => f.write_str(
                "audit.head is missing, so rows may have been removed from the end unseen",
            ),
            Problem::HeadUnreadable => f.write_str(
                "audit.head holds something else than a head, so rows may have been removed from \
                 the end unseen",
            ),
            Problem::Noticed { seq, what } => {
                write!(f, "row {seq} says what was found at a start: {what}")
            }
            Problem::Damaged { what } => write!(f, "the database file is damaged: {what}"),
        }
    }
}

/// A walk that has come to some row.
#[derive(Debug)]
pub(super) struct Walk {
    seq: u64,
    /// What the row may be taken to have as its hash: the one that it keeps, and, where that was
    /// changed, the one that it should have. Empty after a gap.
    hashes: Vec<Hash>,
}

impl Walk {
    pub(super) fn from(head: Head) -> Self {
        Self {
            seq: head.seq,
            hashes: vec![head.hash],
        }
    }

    /// Returns the number of the row that the walk has come to.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Goes on to a row of [`super::row::COLUMNS`], which must have a higher number.
    pub(super) fn step(
        &mut self,
        row: &rusqlite::Row<'_>,
    ) -> Result<Vec<Problem>, rusqlite::Error> {
        let columns = row::raw(row)?;
        let number: i64 = row.get(0)?;
        let Some(seq) = u64::try_from(number).ok().filter(|seq| *seq > self.seq) else {
            return Ok(vec![Problem::Foreign { seq: number }]);
        };
        let kept = match row.get_ref(WIDTH)? {
            ValueRef::Blob(bytes) => Hash::from_bytes(bytes),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => None,
        };
        let expected = self.seq.saturating_add(1);
        self.seq = seq;
        if seq != expected {
            self.hashes = kept.into_iter().collect();
            return Ok(vec![Problem::Missing {
                first: expected,
                last: seq.saturating_sub(1),
            }]);
        }
        let known_before = !self.hashes.is_empty();
        let right: Vec<Hash> = self
            .hashes
            .iter()
            .map(|before| chain::link(before, &columns))
            .collect();
        let unchanged = kept.is_some_and(|kept| right.contains(&kept));
        if unchanged || (!known_before && kept.is_some()) {
            self.hashes = kept.into_iter().collect();
            return Ok(Vec::new());
        }
        self.hashes = kept.into_iter().chain(right).collect();
        // Else the choices would double with each row of a chain that is wrong throughout.
        self.hashes.truncate(2);
        Ok(vec![Problem::Changed { seq }])
    }

    /// Says whether the row that the walk has come to has this hash, as far as can be known.
    pub(super) fn agrees(&self, hash: Hash) -> bool {
        self.hashes.is_empty() || self.hashes.contains(&hash)
    }

    /// Returns the row that the walk has come to as the head of the chain.
    pub(super) fn head(&self) -> Head {
        Head {
            seq: self.seq,
            hash: self.hashes.first().copied().unwrap_or(Hash::BEGINNING),
        }
    }
}
