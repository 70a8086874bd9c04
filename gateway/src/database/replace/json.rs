//! JSON: its strings, rewritten where they have something structured in them, each character escaped as
//! it was before (RFC 8259).

use std::collections::BTreeMap;
use std::ops::Range;

use serde::de::IgnoredAny;

use super::{Edited, Replacement};

/// Whether a value is JSON as a whole, and something that can hold a string.
pub(super) fn is_whole(value: &[u8]) -> bool {
    let first = value.iter().find(|byte| !byte.is_ascii_whitespace());
    let closes = match first {
        Some(b'{') => b'}',
        Some(b'[') => b']',
        Some(b'"') => b'"',
        _ => return false,
    };
    // Most of what begins like JSON and is none (shortcodes, templates) ends otherwise.
    let last = value.iter().rfind(|byte| !byte.is_ascii_whitespace());
    last == Some(&closes) && serde_json::from_slice::<IgnoredAny>(value).is_ok()
}

/// Replaces in the strings of a value that is JSON.
pub(super) fn rewrite(value: &[u8], replacement: &Replacement, depth: usize) -> Option<Vec<u8>> {
    let mut new = Edited::of(value);
    let mut at = 0;
    while let Some(content) = next_string(value, at) {
        at = content.end + 1;
        let raw = value.get(content.clone()).unwrap_or_default();
        if !replacement.hosts.occur(raw) {
            continue;
        }
        let after = value.get(at..).unwrap_or_default();
        let is_key = after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        let replaced = if is_key {
            replacement.hosts.text(raw)
        } else {
            string(raw, replacement, depth)
        };
        new.replace(content, replaced);
    }
    new.finish()
}

/// Finds the next string; returns what is between its quotes.
fn next_string(value: &[u8], from: usize) -> Option<Range<usize>> {
    let start = from + value.get(from..)?.iter().position(|byte| *byte == b'"')? + 1;
    let mut at = start;
    loop {
        match value.get(at)? {
            b'"' => return Some(start..at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Replaces in one string that is a value.
fn string(raw: &[u8], replacement: &Replacement, depth: usize) -> Option<Vec<u8>> {
    if let Some(new) = replacement.hosts.bare(raw) {
        return Some(new.to_vec());
    }
    // A structure has quotes, and in here those have a backslash.
    if raw.contains(&b'\\')
        && let Some((decoded, escapes)) = decode(raw)
        && let Some(new) = replacement.structured(decoded.as_bytes(), depth + 1)
    {
        return Some(encode(&new?, &escapes));
    }
    replacement.hosts.text(raw)
}

/// How characters were escaped.
type Escapes = BTreeMap<char, String>;

/// Reads a string; none if it is not UTF-8 or has half a surrogate pair.
fn decode(raw: &[u8]) -> Option<(String, Escapes)> {
    let mut decoded = String::with_capacity(raw.len());
    let mut escapes = Escapes::new();
    let mut rest = std::str::from_utf8(raw).ok()?;
    while let Some((plain, escape)) = rest.split_once('\\') {
        decoded.push_str(plain);
        let (character, length) = escaped(escape)?;
        let (spelt, after) = escape.split_at_checked(length)?;
        escapes
            .entry(character)
            .or_insert_with(|| format!("\\{spelt}"));
        decoded.push(character);
        rest = after;
    }
    decoded.push_str(rest);
    Some((decoded, escapes))
}

/// Reads what follows a backslash; returns the character and how many bytes it takes.
fn escaped(text: &str) -> Option<(char, usize)> {
    let simple = match text.as_bytes().first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((simple, 1))
}

/// Reads `uXXXX`, or two of them that are one character.
fn unicode(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(1)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, 5));
    }
    text.get(5..7).filter(|between| *between == "\\u")?;
    let pair = [first, unit(7)?];
    let character = char::decode_utf16(pair).next()?.ok()?;
    Some((character, 11))
}

/// Writes a string, each character as it was written before.
fn encode(new: &[u8], escapes: &Escapes) -> Vec<u8> {
    let text = String::from_utf8_lossy(new);
    let mut raw = String::with_capacity(new.len() + 16);
    for character in text.chars() {
        match (escapes.get(&character), character) {
            (Some(spelt), _) => raw.push_str(spelt),
            (None, '"') => raw.push_str("\\\""),
            (None, '\\') => raw.push_str("\\\\"),
            (None, control) if u32::from(control) < 0x20 => {
                raw.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            (None, other) => raw.push(other),
        }
    }
    raw.into_bytes()
}
