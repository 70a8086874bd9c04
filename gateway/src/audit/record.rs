//! One row of the audit.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A row before it has its place in the chain. All text in it is already escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When the request was finished or refused.
    pub time: Timestamp,
    /// What the person was shown, to find this row by.
    pub incident: IncidentId,
    /// Who asked.
    pub who: Who,
    /// The site, if any.
    pub site: Option<String>,
    /// The environment, if any.
    pub environment: Option<String>,
    /// Its connection mode at that time, if it has one.
    pub mode: Option<String>,
    /// The area of the tree, if any.
    pub area: Option<String>,
    /// The path, ref, person or key that it was about.
    pub object: Option<String>,
    /// The action's word.
    pub action: String,
    /// Yes or no.
    pub decision: Decided,
    /// The rule that decided.
    pub rule: String,
    /// Bytes written by the action.
    pub bytes: u64,
    /// What came of it.
    pub outcome: Outcome,
    /// What a person should know besides: the refusal's sentence, a hotfix's reason, a cause.
    pub detail: Option<String>,
    /// How many like it this row stands for; 1 but for floods.
    pub count: u64,
}

/// Who asked, as far as proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The person; absent before login.
    pub person: Option<String>,
    /// The fingerprint of the key that proved it.
    pub fingerprint: Option<String>,
    /// The address that the connection came from.
    pub address: Option<String>,
    /// What the client calls itself.
    pub client: Option<String>,
}

/// A decision, as the audit keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decided {
    /// Allowed.
    Permit,
    /// Refused.
    Refuse,
}

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not, and nothing was changed.
    Refused,
    /// It was allowed, but could not be done.
    Failed,
    /// It was begun, and its end was not seen.
    Interrupted,
}

/// Finds an audit row; sorts by time. A ULID (48 bits of milliseconds, 80 random bits) in
/// Crockford's base 32.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(String);

impl IncidentId {
    /// Makes a new one.
    pub fn new(now: Timestamp) -> Self {
        let mut bits = u128::from(now.as_millisecond().unsigned_abs()) << 80;
        let mut random = [0_u8; 16];
        // Without randomness the id is still unique by its time in all but a hostile case, and it
        // protects nothing.
        let _ = getrandom::fill(&mut random);
        bits |= u128::from_be_bytes(random) >> 48;
        let alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let text = (0..26)
            .rev()
            .filter_map(|place| alphabet.get(((bits >> (place * 5)) & 31) as usize))
            .map(|byte| char::from(*byte))
            .collect();
        Self(text)
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
