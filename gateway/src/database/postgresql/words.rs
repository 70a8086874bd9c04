//! The words of a statement.

/// What decides whether a semicolon ends a statement.
#[derive(Default)]
pub(super) struct Depth {
    pub(super) parentheses: u32,
    /// `BEGIN ATOMIC` and `CASE` in the body of a function.
    pub(super) blocks: u32,
    words: Vec<u8>,
}

impl Depth {
    pub(super) fn word(&mut self, word: &[u8]) {
        let first = word.first().map_or(0, u8::to_ascii_lowercase);
        if self.words.len() < 4 {
            self.words.push(first);
        }
        // As psql does: by the first letters of CREATE [OR REPLACE] FUNCTION or PROCEDURE.
        let routine = matches!(
            self.words.as_slice(),
            [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p', ..]
        );
        if !routine || self.parentheses > 0 {
            return;
        }
        if word.eq_ignore_ascii_case(b"begin")
            || self.blocks > 0 && word.eq_ignore_ascii_case(b"case")
        {
            self.blocks += 1;
        } else if word.eq_ignore_ascii_case(b"end") {
            self.blocks = self.blocks.saturating_sub(1);
        }
    }
}

pub(super) fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

pub(super) fn in_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Returns the first words of a statement in capitals, without strings and comments; a name in quotes
/// as it is, and each other sign as a word.
pub(super) fn words(sql: &str, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql;
    while found.len() < most
        && let Some(next) = rest.chars().next()
    {
        let mut after = rest.chars();
        after.next();
        let past = after.as_str();
        rest = match next {
            '-' if past.starts_with('-') => past.split_once('\n').map_or("", |(_, rest)| rest),
            '/' if past.starts_with('*') => past.split_once("*/").map_or("", |(_, rest)| rest),
            '\'' => {
                let (_, rest) = past.split_once('\'').unwrap_or((past, ""));
                found.push("'".to_owned());
                rest
            }
            '"' => {
                let mut name = String::new();
                let mut left = past;
                loop {
                    let (part, after) = left.split_once('"').unwrap_or((left, ""));
                    name.push_str(part);
                    left = after;
                    match left.strip_prefix('"') {
                        Some(more) => {
                            name.push('"');
                            left = more;
                        }
                        None => break,
                    }
                }
                found.push(name);
                left
            }
            blank if blank.is_whitespace() => past,
            letter if letter.is_ascii() && !in_word(letter as u8) => {
                found.push(letter.to_string());
                past
            }
            _ => {
                let end = rest
                    .find(|letter: char| letter.is_ascii() && !in_word(letter as u8))
                    .unwrap_or(rest.len());
                let (word, rest) = rest.split_at(end);
                found.push(word.to_ascii_uppercase());
                rest
            }
        };
    }
    found
}

/// Counts the ends of lines.
pub(super) fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}
