//! The keys of one table, each with its place in the text.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistake;

/// A text, to tell places in it as people do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub &'a str);

impl Text<'_> {
    /// Says what is wrong at a byte.
    pub(super) fn mistake(self, at: usize, message: impl Into<String>) -> Mistake {
        let before: String = self
            .0
            .char_indices()
            .take_while(|(index, _)| *index < at)
            .map(|(_, character)| character)
            .collect();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Mistake {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            message: message.into(),
        }
    }
}

/// A value, and where it stands.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// A table whose keys are all known.
pub(super) struct Fields<'a> {
    pub text: Text<'a>,
    table: &'a DeTable<'a>,
    /// Where the table stands.
    pub span: Range<usize>,
    /// What it is: `step`.
    pub what: &'static str,
}

impl<'a> Fields<'a> {
    /// Looks at a table; the first key that is not known is a mistake.
    pub(super) fn of(
        text: Text<'a>,
        value: &'a Value<'a>,
        what: &'static str,
        known: &[&str],
    ) -> Result<Self, Mistake> {
        let span = value.span();
        let DeValue::Table(table) = value.get_ref() else {
            return Err(text.mistake(
                span.start,
                format!("A {what} begins with a line [[{what}]]."),
            ));
        };
        refuse_unknown(text, table, &format!("no key of a {what}"), known)?;
        Ok(Self {
            text,
            table,
            span,
            what,
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value<'a>> {
        self.table.get(key)
    }

    /// Returns a value that must be there.
    pub(super) fn required(&self, key: &str, example: &str) -> Result<&'a Value<'a>, Mistake> {
        self.get(key).ok_or_else(|| {
            let what = self.what;
            self.text.mistake(
                self.span.start,
                format!("This {what} has no {key}. Give it one, such as: {key} = {example}"),
            )
        })
    }

    pub(super) fn wrong(&self, value: &Value<'_>, message: impl Into<String>) -> Mistake {
        self.text.mistake(value.span().start, message)
    }

    /// Returns a text of at most so many bytes, without control characters.
    pub(super) fn text_of(
        &self,
        key: &str,
        value: &'a Value<'a>,
        longest: usize,
    ) -> Result<&'a str, Mistake> {
        let DeValue::String(text) = value.get_ref() else {
            return Err(self.wrong(value, format!("{key} is a text in quotes.")));
        };
        if text.trim().is_empty() {
            return Err(self.wrong(value, format!("{key} is empty.")));
        }
        if text.len() > longest {
            return Err(self.wrong(value, format!("{key} is longer than {longest} bytes.")));
        }
        if text.contains('\0') {
            return Err(self.wrong(value, format!("{key} has a zero byte in it.")));
        }
        Ok(text)
    }

    /// Returns a whole number of a range.
    pub(super) fn number(
        &self,
        key: &str,
        value: &Value<'_>,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Mistake> {
        let (least, most) = (*range.start(), *range.end());
        let number = match value.get_ref() {
            DeValue::Integer(integer) => {
                let digits = integer.as_str().replace('_', "");
                u64::from_str_radix(&digits, integer.radix()).ok()
            }
            _other => None,
        };
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.wrong(
                    value,
                    format!("{key} is a whole number from {least} to {most}."),
                )
            })
    }

    /// Returns a time in seconds.
    pub(super) fn seconds(&self, most: u64, otherwise: u64) -> Result<Duration, Mistake> {
        let Some(value) = self.get("timeout") else {
            return Ok(Duration::from_secs(otherwise));
        };
        self.number("timeout, in seconds,", value, 1..=most)
            .map(Duration::from_secs)
    }

    /// Returns one of several words.
    pub(super) fn one_of<T: Copy>(
        &self,
        key: &str,
        value: &Value<'_>,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<T, Mistake> {
        let found = match value.get_ref() {
            DeValue::String(text) => all.iter().copied().find(|one| word(*one) == text.as_ref()),
            _other => None,
        };
        found.ok_or_else(|| {
            let words: Vec<_> = all.iter().map(|one| word(*one)).collect();
            self.wrong(value, format!("{key} is one of: {}.", words.join(", ")))
        })
    }

    /// Returns the values of a list; a value alone is a list of one if `alone` says so.
    pub(super) fn list(
        &self,
        key: &str,
        value: &'a Value<'a>,
        alone: bool,
        most: usize,
    ) -> Result<Vec<&'a Value<'a>>, Mistake> {
        let list = match value.get_ref() {
            DeValue::Array(list) => list.iter().collect(),
            _other if alone => vec![value],
            _other => return Err(self.wrong(value, format!("{key} is a list: [\"…\", \"…\"]"))),
        };
        match list.len() {
            0 => Err(self.wrong(value, format!("{key} is an empty list."))),
            length if length > most => {
                Err(self.wrong(value, format!("{key} has more than {most} entries.")))
            }
            _right => Ok(list),
        }
    }
}

/// Refuses the first key of a table that is not known.
pub(super) fn refuse_unknown(
    text: Text<'_>,
    table: &DeTable<'_>,
    what: &str,
    known: &[&str],
) -> Result<(), Mistake> {
    let unknown = table
        .iter()
        .map(|(key, _)| key)
        .filter(|key| !known.contains(&key.get_ref().as_ref()))
        .min_by_key(|key| key.span().start);
    match unknown {
        None => Ok(()),
        Some(key) => Err(text.mistake(
            key.span().start,
            format!(
                "'{}' is {what}. Known are: {}.",
                policy::escape(key.get_ref().as_bytes()),
                known.join(", ")
            ),
        )),
    }
}
