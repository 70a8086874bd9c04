//! One row of the audit.

use std::cell::RefCell;
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

impl Record {
    /// Brings the record into the bounds of what a row keeps: microseconds, numbers that SQL can
    /// hold, and no text of more than 4 KiB.
    pub(super) fn bounded(mut self) -> Self {
        let whole = Timestamp::from_microsecond(self.time.as_microsecond());
        self.time = whole.unwrap_or(self.time);
        self.bytes = self.bytes.min(i64::MAX.unsigned_abs());
        self.count = self.count.min(i64::MAX.unsigned_abs());
        cut(&mut self.action);
        cut(&mut self.rule);
        for text in [
            &mut self.who.person,
            &mut self.who.fingerprint,
            &mut self.who.address,
            &mut self.who.client,
            &mut self.site,
            &mut self.environment,
            &mut self.mode,
            &mut self.area,
            &mut self.object,
            &mut self.detail,
        ]
        .into_iter()
        .flatten()
        {
            cut(text);
        }
        self
    }

    /// Returns about how much memory the record takes.
    pub(super) fn size(&self) -> usize {
        let texts = [
            &self.who.person,
            &self.who.fingerprint,
            &self.who.address,
            &self.who.client,
            &self.site,
            &self.environment,
            &self.mode,
            &self.area,
            &self.object,
            &self.detail,
        ];
        let text: usize = texts.into_iter().flatten().map(String::len).sum();
        size_of::<Self>() + text + self.action.len() + self.rule.len() + self.incident.0.len()
    }
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

impl Decided {
    /// Returns the word for the row and for `--decision`.
    pub fn as_str(self) -> &'static str {
        match self {
            Decided::Permit => "permit",
            Decided::Refuse => "refuse",
        }
    }

    /// Returns the decision that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Decided::Permit, Decided::Refuse]
            .into_iter()
            .find(|decided| decided.as_str() == word)
    }
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

impl Outcome {
    /// Returns the word for the row.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [
            Outcome::Done,
            Outcome::Refused,
            Outcome::Failed,
            Outcome::Interrupted,
        ]
        .into_iter()
        .find(|outcome| outcome.as_str() == word)
    }
}

/// Finds an audit row; sorts by time. A ULID (48 bits of milliseconds, 80 random bits) in
/// Crockford's base 32.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId(String);

impl IncidentId {
    /// Makes a new one.
    pub fn new(now: Timestamp) -> Self {
        let bits = (u128::from(now.as_millisecond().unsigned_abs()) << 80) | (chance() >> 48);
        let alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let mut text = String::with_capacity(26);
        text.extend(
            (0..26)
                .rev()
                .filter_map(|place| alphabet.get(((bits >> (place * 5)) & 31) as usize))
                .map(|byte| char::from(*byte)),
        );
        Self(text)
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn from_row(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns random bits. The kernel is asked for many at once, since asking costs more than all else
/// that an id does. Without any the id is still unique by its time in all but a hostile case, and it
/// protects nothing.
fn chance() -> u128 {
    let one = CHANCE.try_with(|chance| {
        let mut chance = chance.try_borrow_mut().ok()?;
        if chance.is_empty() {
            let mut bytes = [0_u8; 512];
            getrandom::fill(&mut bytes).ok()?;
            let (numbers, _) = bytes.as_chunks();
            chance.extend(numbers.iter().copied().map(u128::from_be_bytes));
        }
        chance.pop()
    });
    one.ok().flatten().unwrap_or_default()
}

thread_local! {
    static CHANCE: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) };
}

/// Shortens text that a client could make as long as it likes.
pub(super) fn cut(text: &mut String) {
    cut_at(text, FIELD_LIMIT);
}

/// Shortens text to `limit` bytes, with a mark that it was.
pub(super) fn cut_at(text: &mut String, limit: usize) {
    if text.len() <= limit {
        return;
    }
    let mut end = limit.saturating_sub(CUT_MARK.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.truncate(end);
    text.push_str(CUT_MARK);
}

const FIELD_LIMIT: usize = 4096;
const CUT_MARK: &str = "…[cut]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing;

    #[test]
    fn long_text_is_cut_with_a_mark_and_stays_text() {
        let mut record = testing::record("alice", "code/x");
        record.object = Some("ä".repeat(4000));
        record.detail = Some("d".repeat(4096));
        let record = record.bounded();
        let object = record.object.unwrap();
        assert!(object.len() <= 4096 && object.ends_with("ä…[cut]"));
        assert_eq!(record.detail.unwrap(), "d".repeat(4096));
    }

    #[test]
    fn words_of_decisions_and_outcomes_come_back() {
        assert_eq!(Decided::from_word("refuse"), Some(Decided::Refuse));
        assert_eq!(Decided::from_word("Refuse"), None);
        assert_eq!(
            Outcome::from_word("interrupted"),
            Some(Outcome::Interrupted)
        );
    }
}
