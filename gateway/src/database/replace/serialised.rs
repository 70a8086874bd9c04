//! PHP's serialised values, as bytes: where they are in a text, and their strings with new lengths
//! (php-src, ext/standard/var_unserializer.re).
//!
//! Nothing here recurses into a structure, so a deep one costs no stack.

use std::ops::Range;

use super::{Edited, Replacement};

/// A string as a value (not as a key) in a serialised structure.
struct Text {
    /// All of it, from the `s` to the `;`.
    whole: Range<usize>,
    /// What is between the quotes.
    content: Range<usize>,
    /// Whether bytes in it may be written as a backslash and two digits (`S:`).
    escaped: bool,
}

/// Finds the serialised values in a text, in their order: the text as a whole, or those that stand in one, as
/// in PHP's sessions (`name|a:1:{…}`). Only what can hold a string counts.
pub(super) fn places(text: &[u8]) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    // What may be spent on beginnings that turn out to be none: many of them could otherwise each cost the
    // whole text.
    let mut budget = text.len().saturating_mul(4).saturating_add(4096);
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(found) = rest
            .windows(2)
            .position(|two| matches!(two, [b's' | b'S' | b'a' | b'O' | b'C', b':']))
        else {
            break;
        };
        at += found;
        let begins = at
            .checked_sub(1)
            .and_then(|before| text.get(before))
            .is_none_or(|before| !before.is_ascii_alphanumeric() && *before != b'_');
        let mut reached = 0;
        if begins && budget > 0 {
            let rest = text.get(at..).unwrap_or_default();
            let end = walk(rest, &mut reached, |_| ());
            if let Some(end) = end {
                places.push(at..at + end);
                at += end;
                continue;
            }
        }
        budget = budget.saturating_sub(reached);
        at += 1;
    }
    places
}

/// Replaces in the strings of one serialised value.
pub(super) fn rewrite(value: &[u8], replacement: &Replacement, depth: usize) -> Option<Vec<u8>> {
    let mut new = Edited::of(value);
    walk(value, &mut 0, |text| {
        let content = value.get(text.content).unwrap_or_default();
        let replaced = if text.escaped {
            let plain = unescaped(content);
            replacement.value(&plain, depth + 1)
        } else {
            replacement.value(content, depth + 1)
        };
        new.replace(
            text.whole,
            replaced.map(|replaced| {
                // `s:` says the same as `S:`, and every PHP reads it.
                let mut token = format!("s:{}:\"", replaced.len()).into_bytes();
                token.extend_from_slice(&replaced);
                token.extend_from_slice(b"\";");
                token
            }),
        );
    });
    new.finish()
}

/// Walks over the serialised value at the beginning of a text and tells each string that is a value.
/// Returns where it ends; none if there is none. `reached` is how far it has looked.
fn walk(text: &[u8], reached: &mut usize, mut tell: impl FnMut(Text)) -> Option<usize> {
    let mut cursor = Cursor { text, at: 0 };
    // For each open structure, how many keys and values it still has: with an even number a key is next.
    let mut open: Vec<usize> = Vec::new();
    loop {
        let is_key = open.last().is_some_and(|left| left % 2 == 0);
        let start = cursor.at;
        let token = cursor.token(is_key);
        *reached = cursor.at;
        match token? {
            Token::Scalar => (),
            Token::Text { content, escaped } => {
                if !is_key {
                    let whole = start..cursor.at;
                    tell(Text {
                        whole,
                        content,
                        escaped,
                    });
                }
            }
            Token::Open(entries) => {
                // Counted when it closes.
                open.push(entries.checked_mul(2)?);
                if entries > 0 {
                    continue;
                }
                open.pop();
                cursor.byte(b'}')?;
            }
        }
        // One thing has ended; perhaps it was the last of what it stands in.
        loop {
            let Some(left) = open.last_mut() else {
                return Some(cursor.at);
            };
            *left = left.checked_sub(1)?;
            if *left > 0 {
                break;
            }
            open.pop();
            cursor.byte(b'}')?;
        }
    }
}

enum Token {
    /// All that has no string and nothing in it: numbers, references, enums, `C:`.
    Scalar,
    Text {
        content: Range<usize>,
        escaped: bool,
    },
    /// A structure with that many entries.
    Open(usize),
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn token(&mut self, is_key: bool) -> Option<Token> {
        let kind = self.peek()?;
        self.at += 1;
        if kind == b'N' {
            self.byte(b';')?;
            return (!is_key).then_some(Token::Scalar);
        }
        self.byte(b':')?;
        match kind {
            b's' => self.counted().map(|content| Token::Text {
                content,
                escaped: false,
            }),
            b'S' => self.counted_escaped().map(|content| Token::Text {
                content,
                escaped: true,
            }),
            b'i' => self.until_semicolon(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+')),
            _ if is_key => None,
            b'b' => self.until_semicolon(|byte| matches!(byte, b'0' | b'1')),
            b'r' | b'R' => self.until_semicolon(|byte| byte.is_ascii_digit()),
            b'd' => self.until_semicolon(|byte| {
                matches!(
                    byte,
                    b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' | b'I' | b'N' | b'F' | b'A'
                )
            }),
            b'a' => {
                let entries = self.number()?;
                self.byte(b'{')?;
                Some(Token::Open(entries))
            }
            b'O' => {
                self.quoted()?;
                self.byte(b':')?;
                let entries = self.number()?;
                self.byte(b'{')?;
                Some(Token::Open(entries))
            }
            b'C' => {
                self.quoted()?;
                self.byte(b':')?;
                let length = self.number()?;
                self.byte(b'{')?;
                self.skip(length)?;
                self.byte(b'}')?;
                Some(Token::Scalar)
            }
            b'E' => {
                self.quoted()?;
                self.byte(b';')?;
                Some(Token::Scalar)
            }
            _ => None,
        }
    }

    /// A number and the colon after it.
    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        let mut number: usize = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number
                .checked_mul(10)?
                .checked_add(usize::from(digit - b'0'))?;
            self.at += 1;
        }
        (self.at > start).then_some(())?;
        self.byte(b':')?;
        Some(number)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        let end = self.at.checked_add(length)?;
        (end <= self.text.len()).then(|| self.at = end)
    }

    /// A length, and that many bytes in quotes.
    fn quoted(&mut self) -> Option<Range<usize>> {
        let length = self.number()?;
        self.byte(b'"')?;
        let start = self.at;
        self.skip(length)?;
        let content = start..self.at;
        self.byte(b'"')?;
        Some(content)
    }

    fn counted(&mut self) -> Option<Range<usize>> {
        let content = self.quoted()?;
        self.byte(b';')?;
        Some(content)
    }

    /// Like [`Cursor::counted`], but three bytes with a backslash count as one.
    fn counted_escaped(&mut self) -> Option<Range<usize>> {
        let length = self.number()?;
        self.byte(b'"')?;
        let start = self.at;
        for _ in 0..length {
            let wide = if self.peek()? == b'\\' { 3 } else { 1 };
            self.skip(wide)?;
        }
        let content = start..self.at;
        self.byte(b'"')?;
        self.byte(b';')?;
        Some(content)
    }

    fn until_semicolon(&mut self, fits: impl Fn(u8) -> bool) -> Option<Token> {
        let start = self.at;
        while self.peek().is_some_and(&fits) {
            self.at += 1;
        }
        (self.at > start).then_some(())?;
        self.byte(b';')?;
        Some(Token::Scalar)
    }
}

/// Reads what is between the quotes of an `S:`.
fn unescaped(mut content: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(content.len());
    while let Some((byte, mut rest)) = content.split_first() {
        let mut read = *byte;
        if let [b'\\', high, low, after @ ..] = content
            && let (Some(high), Some(low)) = (
                char::from(*high).to_digit(16),
                char::from(*low).to_digit(16),
            )
        {
            read = u8::try_from(high * 16 + low).unwrap_or(read);
            rest = after;
        }
        plain.push(read);
        content = rest;
    }
    plain
}
