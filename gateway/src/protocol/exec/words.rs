//! The words of an exec line, as a POSIX shell would split them, for programs that are run without a
//! shell. Nothing is expanded; what a pattern is stays known.

/// One word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// The word, without its quotes.
    pub text: Vec<u8>,
    /// The same as a pattern: characters that were quoted and mean something in one (`*`, `?`, `[`
    /// and the backslash) have a backslash before them.
    pub pattern: Vec<u8>,
}

/// Why a line has no words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoWords {
    /// A quote or backslash at the end quotes nothing.
    Unclosed,
    /// A character that only a shell gives its meaning to, such as `|` or `$`, stands outside
    /// quotes.
    NeedsShell(char),
}

/// Splits a line (POSIX.1-2017, Shell Command Language, 2.2 and 2.3).
///
/// # Errors
/// [`NoWords`]
pub fn split(line: &[u8]) -> Result<Vec<Word>, NoWords> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' => words.extend(word.take()),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next().ok_or(NoWords::Unclosed)? {
                        b'\'' => break,
                        quoted => word.quoted(quoted),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next().ok_or(NoWords::Unclosed)? {
                        b'"' => break,
                        b'\\' => match bytes.next().ok_or(NoWords::Unclosed)? {
                            special @ (b'$' | b'`' | b'"' | b'\\') => word.quoted(special),
                            b'\n' => {}
                            other => {
                                word.quoted(b'\\');
                                word.quoted(other);
                            }
                        },
                        shell @ (b'$' | b'`') => return Err(NoWords::NeedsShell(shell.into())),
                        quoted => word.quoted(quoted),
                    }
                }
            }
            b'\\' => match bytes.next().ok_or(NoWords::Unclosed)? {
                b'\n' => {}
                quoted => word.get_or_insert_default().quoted(quoted),
            },
            b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b'$' | b'`' => {
                return Err(NoWords::NeedsShell(byte.into()));
            }
            plain => word.get_or_insert_default().plain(plain),
        }
    }
    words.extend(word);
    Ok(words)
}

impl Word {
    /// Makes a word of which every character stands for itself.
    #[cfg(test)]
    pub fn literal(text: &[u8]) -> Self {
        let mut word = Word::default();
        text.iter().for_each(|byte| word.quoted(*byte));
        word
    }

    /// Makes a word of a pattern, in which a backslash quotes.
    pub fn of_pattern(pattern: &[u8]) -> Self {
        let mut text = Vec::with_capacity(pattern.len());
        let mut bytes = pattern.iter().copied();
        while let Some(byte) = bytes.next() {
            text.push(match byte {
                b'\\' => bytes.next().unwrap_or(byte),
                other => other,
            });
        }
        Self {
            text,
            pattern: pattern.to_vec(),
        }
    }

    /// Returns true if the pattern may match other names than its own.
    pub fn is_pattern(&self) -> bool {
        has_wildcard(&self.pattern)
    }

    fn plain(&mut self, byte: u8) {
        self.text.push(byte);
        self.pattern.push(byte);
    }

    fn quoted(&mut self, byte: u8) {
        self.text.push(byte);
        if matches!(byte, b'*' | b'?' | b'[' | b'\\') {
            self.pattern.push(b'\\');
        }
        self.pattern.push(byte);
    }
}

/// Returns true if a pattern holds a wildcard that is not quoted.
pub fn has_wildcard(pattern: &[u8]) -> bool {
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &[u8]) -> Vec<Vec<u8>> {
        let words = split(line).unwrap();
        words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_split_as_a_shell_splits_them() {
        assert_eq!(
            texts(b"scp  -t 'a b' c\\ d \"e \\\"f\\\" \\x\" ''"),
            [&b"scp"[..], b"-t", b"a b", b"c d", b"e \"f\" \\x", b""]
        );
        assert_eq!(
            texts(b"md5sum caf\xe9'\n'x"),
            [&b"md5sum"[..], b"caf\xe9\nx"]
        );
        assert_eq!(texts(b""), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn nothing_is_left_to_a_shell() {
        for line in [
            &b"scp -t x; id"[..],
            b"md5sum x | sh",
            b"md5sum $(id)",
            b"md5sum \"`id`\"",
            b"rsync --server . /code > x",
            b"a & b",
        ] {
            assert!(
                matches!(split(line), Err(NoWords::NeedsShell(_))),
                "{line:?}"
            );
        }
        for line in [&b"scp 'x"[..], b"scp \"x", b"scp x\\"] {
            assert_eq!(split(line), Err(NoWords::Unclosed), "{line:?}");
        }
    }

    #[test]
    fn only_wildcards_that_are_not_quoted_make_a_pattern() {
        for (line, pattern, is) in [
            (&b"*.php"[..], &b"*.php"[..], true),
            (b"\\*.php", b"\\*.php", false),
            (b"'a*'b?", b"a\\*b?", true),
            (b"'a[1]'", b"a\\[1]", false),
            (b"'a\\b'", b"a\\\\b", false),
        ] {
            let word = split(line).unwrap().remove(0);
            assert_eq!(word.pattern, pattern, "{line:?}");
            assert_eq!(word.is_pattern(), is, "{line:?}");
            assert_eq!(Word::of_pattern(&word.pattern), word, "{line:?}");
        }
        assert!(!Word::literal(b"*").is_pattern());
    }
}
