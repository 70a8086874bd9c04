//! What a program writes, as lines that people can be shown: no escape sequences, nothing that plays
//! with a terminal, bounded in every direction.

/// The longest line that is kept, in bytes.
const LONGEST_LINE: usize = 4000;
/// The most lines that are kept.
const MOST_LINES: usize = 10_000;

/// Cuts bytes into lines.
#[derive(Debug)]
pub(super) struct Lines {
    line: Vec<u8>,
    cut: bool,
    /// Bytes and lines that may still be kept.
    left: usize,
    lines_left: usize,
    /// Bytes that were dropped because nothing was left.
    dropped: usize,
}

impl Lines {
    /// Keeps so many bytes in all.
    pub(super) fn new(most: usize) -> Self {
        Self {
            line: Vec::new(),
            cut: false,
            left: most,
            lines_left: MOST_LINES,
            dropped: 0,
        }
    }

    /// Takes bytes, and hands on each line that they end.
    pub(super) fn take(&mut self, bytes: &[u8], tell: &mut impl FnMut(&str)) {
        // A carriage return paints over the line: a progress bar's lines are lines.
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            if self.left == 0 || self.lines_left == 0 {
                self.dropped += part.len();
                continue;
            }
            self.left = self.left.saturating_sub(part.len());
            let (text, ends) = match part {
                [text @ .., b'\n' | b'\r'] => (text, true),
                text => (text, false),
            };
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.cut |= text.len() > room;
            self.line.extend(text.iter().take(room));
            if ends || self.left == 0 {
                self.hand_on(tell);
            }
        }
    }

    /// Hands on what has no end of line, and says what was dropped.
    pub(super) fn finish(mut self, tell: &mut impl FnMut(&str)) {
        self.hand_on(tell);
        if self.dropped > 0 {
            tell(&format!(
                "… and {} bytes more, which are not kept.",
                self.dropped
            ));
        }
    }

    fn hand_on(&mut self, tell: &mut impl FnMut(&str)) {
        let bytes = std::mem::take(&mut self.line);
        let mut text = clean(&String::from_utf8_lossy(&bytes));
        if std::mem::take(&mut self.cut) {
            text.push('…');
        }
        if !text.trim().is_empty() {
            self.lines_left = self.lines_left.saturating_sub(1);
            tell(text.trim_end());
        }
    }
}

/// Returns a text without escape sequences (ECMA-48 §5.4), control characters, and characters that
/// turn the direction of writing, by which a line could be made to read as another.
fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next() {
                // A control sequence ends with its final byte.
                Some('[') => {
                    while characters
                        .next_if(|c| !('\u{40}'..='\u{7e}').contains(c))
                        .is_some()
                    {}
                    characters.next();
                }
                // A control string ends with a bell or a terminator.
                Some(']' | 'P' | '_' | '^' | 'X') => {
                    while let Some(c) = characters.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && characters.next_if_eq(&'\\').is_some())
                        {
                            break;
                        }
                    }
                }
                _other => {}
            },
            '\t' => kept.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            character if character.is_control() => {}
            character => kept.push(character),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(most: usize, pieces: &[&[u8]]) -> Vec<String> {
        let mut said = Vec::new();
        let mut tell = |line: &str| said.push(line.to_owned());
        let mut lines = Lines::new(most);
        for piece in pieces {
            lines.take(piece, &mut tell);
        }
        lines.finish(&mut tell);
        said
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let said = lines(1000, &[b"one\ntw", b"o\r\nthree\rfour"]);
        assert_eq!(said, ["one", "two", "three", "four"]);
    }

    #[test]
    fn nothing_plays_with_a_terminal() {
        let said = lines(
            1000,
            &[
                b"\x1b[1;32mgreen\x1b[0m\x07\n",
                b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\n",
                b"\xff\xfe\x00z\n",
                "safe\u{202e}evil\n".as_bytes(),
                b"\x1b[2J\x1b[H\n\n",
                b"\x1b",
            ],
        );
        assert_eq!(said, ["green", "ab", "\u{fffd}\u{fffd}z", "safeevil"]);
    }

    #[test]
    fn a_line_and_all_lines_are_bounded() {
        let endless = vec![b'x'; 100_000];
        let said = lines(1 << 20, &[&endless, b"\nnext\n"]);
        assert_eq!(said.len(), 2);
        assert_eq!(said[0].chars().count(), LONGEST_LINE + 1);
        let said = lines(10, &[b"12345\n67890123", b"45\nmore\n"]);
        assert_eq!(said[0], "12345");
        assert_eq!(
            said.last().unwrap(),
            "… and 8 bytes more, which are not kept."
        );
        let many = "y\n".repeat(MOST_LINES + 5);
        let said = lines(1 << 20, &[many.as_bytes()]);
        assert_eq!(said.len(), MOST_LINES + 1);
    }
}
