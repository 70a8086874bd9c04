//! The words of a statement (<https://mariadb.com/kb/en/sql-language-structure/>). Comments that only
//! some versions of the server read (`/*!50003 … */`) count as what is in them.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database::mariadb) enum Kind {
    /// White space or a comment.
    Blank,
    /// The beginning or end of a comment that some versions read.
    Guard,
    /// A keyword, a name without quotes, or a number.
    Word,
    /// A name in backticks.
    Name,
    /// A text in single or double quotes.
    Text,
    /// Any other character.
    Sign,
}

/// A token: what it is, where it begins, and its bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::database::mariadb) struct Token<'s> {
    pub(in crate::database::mariadb) kind: Kind,
    pub(in crate::database::mariadb) start: usize,
    pub(in crate::database::mariadb) text: &'s [u8],
}

impl Token<'_> {
    pub(in crate::database::mariadb) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(in crate::database::mariadb) fn is_sign(&self, sign: u8) -> bool {
        self.kind == Kind::Sign && self.text == [sign]
    }
}

/// Yields the tokens of a statement.
pub(in crate::database::mariadb) struct Tokens<'s> {
    whole: &'s [u8],
    at: usize,
    guarded: bool,
}

impl<'s> Tokens<'s> {
    pub(in crate::database::mariadb) fn new(whole: &'s [u8]) -> Self {
        Self {
            whole,
            at: 0,
            guarded: false,
        }
    }
}

/// The tokens that say something, in order.
pub(in crate::database::mariadb) fn meaningful(
    statement: &[u8],
) -> impl Iterator<Item = Token<'_>> {
    Tokens::new(statement).filter(|token| !matches!(token.kind, Kind::Blank | Kind::Guard))
}

impl<'s> Iterator for Tokens<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        let rest = self.whole.get(self.at..)?;
        let (kind, length) = one(rest, self.guarded)?;
        let text = rest.get(..length)?;
        if kind == Kind::Guard {
            self.guarded = text != b"*/";
        }
        let start = self.at;
        self.at += length;
        Some(Token { kind, start, text })
    }
}

fn one(rest: &[u8], guarded: bool) -> Option<(Kind, usize)> {
    let run = |fits: &dyn Fn(u8) -> bool| {
        rest.iter()
            .position(|byte| !fits(*byte))
            .unwrap_or(rest.len())
    };
    let line = || run(&|byte| byte != b'\n');
    Some(match rest {
        [] => return None,
        [b'*', b'/', ..] if guarded => (Kind::Guard, 2),
        [b'/', b'*', b'!', more @ ..] => (Kind::Guard, 3 + digits(more)),
        [b'/', b'*', b'M', b'!', more @ ..] => (Kind::Guard, 4 + digits(more)),
        [b'/', b'*', more @ ..] => {
            let end = more.windows(2).position(|two| two == b"*/");
            (Kind::Blank, end.map_or(rest.len(), |end| end + 4))
        }
        [b'#', ..] => (Kind::Blank, line()),
        [b'-', b'-', after, ..] if after.is_ascii_whitespace() || after.is_ascii_control() => {
            (Kind::Blank, line())
        }
        [quote @ (b'\'' | b'"'), more @ ..] => (Kind::Text, 1 + quoted(more, *quote, true)),
        [b'`', more @ ..] => (Kind::Name, 1 + quoted(more, b'`', false)),
        [byte, ..] if byte.is_ascii_whitespace() => {
            (Kind::Blank, run(&|byte| byte.is_ascii_whitespace()))
        }
        [byte, ..] if in_word(*byte) => (Kind::Word, run(&in_word)),
        _ => (Kind::Sign, 1),
    })
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// The version in a guard has five or six digits.
fn digits(text: &[u8]) -> usize {
    let digits = text.iter().take(6).take_while(|byte| byte.is_ascii_digit());
    digits.count()
}

/// The length of what follows an opening quote, the closing one with it.
fn quoted(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == b'\\' && escapes {
            at += 2;
        } else if *byte == quote {
            if text.get(at + 1) != Some(&quote) {
                return at + 1;
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{Kind, Tokens, meaningful};

    #[test]
    fn a_statement_is_its_tokens() {
        let sql = b"/*!50003 CREATE*/ /* x */ VIEW `a``b`.c -- end\n'it''s \\' ;' # y\n=\"q\"";
        let whole: Vec<u8> = Tokens::new(sql)
            .flat_map(|token| token.text.to_vec())
            .collect();
        assert_eq!(whole, sql);
        let said: Vec<_> = meaningful(sql)
            .map(|token| (token.kind, String::from_utf8_lossy(token.text).into_owned()))
            .collect();
        let expected = [
            (Kind::Word, "CREATE"),
            (Kind::Word, "VIEW"),
            (Kind::Name, "`a``b`"),
            (Kind::Sign, "."),
            (Kind::Word, "c"),
            (Kind::Text, "'it''s \\' ;'"),
            (Kind::Sign, "="),
            (Kind::Text, "\"q\""),
        ];
        assert_eq!(said, expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn what_has_no_end_goes_to_the_end() {
        for sql in ["'abc", "`abc", "/* abc", "'abc\\", "/*!999999"] {
            let whole: usize = Tokens::new(sql.as_bytes())
                .map(|token| token.text.len())
                .sum();
            assert_eq!(whole, sql.len(), "{sql}");
        }
    }
}
