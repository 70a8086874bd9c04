//! Where a statement ends: outside texts, names and comments, at the delimiter of the moment.

/// What the bytes at hand belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// Words of a statement.
    Words,
    /// A text or a name in these quotes.
    Quotes(u8),
    /// A comment to the end of its line.
    Line,
    /// A comment to its end sign.
    Comment,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A delimiter that begins here.
    End(usize),
    /// An order to a client program, which begins here: a backslash outside of any text.
    Order(usize),
    /// More bytes are needed.
    More,
}

/// Reads on through bytes, and remembers where it was.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) at: usize,
    pub(super) within: Within,
    /// Inside a comment that some versions read.
    pub(super) guarded: bool,
}

/// How much must be at hand to know what begins: `/*!999999\-`.
const LOOK_AHEAD: usize = 12;

impl Scan {
    pub(super) fn new() -> Self {
        Self {
            at: 0,
            within: Within::Words,
            guarded: false,
        }
    }

    /// Goes on to the next end of a statement. `whole` says that nothing comes after the bytes.
    pub(super) fn go_on(&mut self, bytes: &[u8], delimiter: &[u8], whole: bool) -> Found {
        let ahead = LOOK_AHEAD.max(delimiter.len());
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            if rest.is_empty() || (!whole && rest.len() < ahead) {
                return Found::More;
            }
            let step = match self.within {
                Within::Words => {
                    let plain = rest.iter().take_while(|byte| is_plain(**byte, delimiter));
                    let plain = plain.count();
                    if plain > 0 {
                        self.at += plain;
                        continue;
                    }
                    if rest.starts_with(delimiter) {
                        return Found::End(self.at);
                    }
                    match self.word(rest) {
                        Some(step) => step,
                        None => return Found::Order(self.at),
                    }
                }
                Within::Quotes(quote) => match quoted(rest, quote) {
                    (step, true) => {
                        self.within = Within::Words;
                        step
                    }
                    (step, false) => step,
                },
                Within::Line => match rest.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        self.within = Within::Words;
                        end + 1
                    }
                    None => rest.len(),
                },
                Within::Comment => match rest.windows(2).position(|two| two == b"*/") {
                    Some(end) => {
                        self.within = Within::Words;
                        end + 2
                    }
                    None if whole => rest.len(),
                    None => rest.len() - 1,
                },
            };
            if step == 0 {
                return Found::More;
            }
            self.at += step;
        }
    }

    /// What begins here, outside of everything; returns its length, none for an order.
    fn word(&mut self, rest: &[u8]) -> Option<usize> {
        let comment = |within: &mut Within| {
            *within = Within::Comment;
            Some(2)
        };
        match rest {
            [quote @ (b'\'' | b'"' | b'`'), ..] => {
                self.within = Within::Quotes(*quote);
                Some(1)
            }
            [b'#', ..] => {
                self.within = Within::Line;
                Some(1)
            }
            [b'-', b'-', after, ..] if after.is_ascii_whitespace() || after.is_ascii_control() => {
                self.within = Within::Line;
                Some(2)
            }
            [b'-', b'-'] => Some(2),
            // What new dumps of MariaDB begin with, an order to the client and a comment to others.
            _ if is_sandbox(rest) => comment(&mut self.within),
            [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => {
                self.guarded = true;
                Some(3)
            }
            [b'/', b'*', ..] => comment(&mut self.within),
            [b'*', b'/', ..] if self.guarded => {
                self.guarded = false;
                Some(2)
            }
            [b'\\', b'N', ..] => Some(2),
            [b'\\', ..] => None,
            _ => Some(1),
        }
    }
}

/// Whether a byte outside of texts means nothing by itself.
fn is_plain(byte: u8, delimiter: &[u8]) -> bool {
    !matches!(
        byte,
        b'\'' | b'"' | b'`' | b'#' | b'-' | b'/' | b'*' | b'\\'
    ) && delimiter.first() != Some(&byte)
}

fn is_sandbox(rest: &[u8]) -> bool {
    let after = rest
        .strip_prefix(b"/*!".as_slice())
        .or_else(|| rest.strip_prefix(b"/*M!".as_slice()));
    after.is_some_and(|after| after.starts_with(b"999999\\-"))
}

/// How far a text goes in these bytes, and whether it ends there. A doubled quote is the end of one
/// text and the beginning of the next, which comes to the same.
fn quoted(rest: &[u8], quote: u8) -> (usize, bool) {
    let escapes = quote != b'`';
    let mut at = 0;
    loop {
        let left = rest.get(at..).unwrap_or_default();
        let Some(next) = left
            .iter()
            .position(|byte| *byte == quote || (escapes && *byte == b'\\'))
        else {
            return (rest.len(), false);
        };
        at += next;
        if rest.get(at) == Some(&quote) {
            return (at + 1, true);
        }
        // A backslash, and what it escapes, which may not be here yet.
        if rest.len() < at + 2 {
            return (at, false);
        }
        at += 2;
    }
}
