//! What rsync writes into its log, which nobody else reads: each file that it wrote, made or
//! removed, and each that it was forbidden.
//!
//! A line of ours stands between two copies of a word that the client cannot know, so that no file's
//! name can pass for a line.

use policy::TreeChange;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Something was changed.
    Changed {
        /// How.
        change: TreeChange,
        /// The length of a file that was written, in bytes.
        bytes: u64,
        /// The name, from the folder that is written to.
        name: Vec<u8>,
    },
    /// Something may not be written; its name.
    Forbidden(Vec<u8>),
    /// Something else, for the operator's log.
    Other(String),
}

/// Puts lines together from what is read.
#[derive(Debug)]
pub(super) struct Lines {
    start: Vec<u8>,
    end: Vec<u8>,
    left: Vec<u8>,
}

/// The longest line: a path, escaped, and what stands before it.
const LONGEST: usize = 64 * 1024;

impl Lines {
    /// Makes a reader of lines that hold `secret`.
    pub(super) fn new(secret: &str) -> Self {
        Self {
            start: format!("{secret}< ").into_bytes(),
            end: format!(" >{secret}\n").into_bytes(),
            left: Vec::new(),
        }
    }

    /// Returns what rsync has to be told for its `log format` (rsyncd.conf(5)).
    pub(super) fn format(secret: &str) -> String {
        format!("{secret}< %o %i %l %n >{secret}")
    }

    /// Takes bytes, and returns the lines that they complete.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Line> {
        self.left.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.left.iter().position(|byte| *byte == b'\n') {
            let first = self.left.get(..end).unwrap_or_default();
            let line = match find(first, &self.start) {
                None => {
                    let line = other(first);
                    self.left.drain(..=end);
                    line
                }
                Some(at) => {
                    let from = at + self.start.len();
                    let rest = self.left.get(from..).unwrap_or_default();
                    let Some(length) = find(rest, &self.end) else {
                        break;
                    };
                    let line = changed(rest.get(..length).unwrap_or_default());
                    self.left.drain(..from + length + self.end.len());
                    line
                }
            };
            lines.extend(line);
        }
        if self.left.len() > LONGEST {
            self.left.clear();
            lines.push(Line::Other("a line of rsync's log has no end".to_owned()));
        }
        lines
    }
}

/// Reads `OPERATION ITEMS LENGTH NAME`; the items are eleven characters (rsync(1), `--itemize-changes`).
fn changed(line: &[u8]) -> Option<Line> {
    let unclear = || Line::Other(policy::escape(line));
    let Some((_operation, rest)) = split_once(line, b' ') else {
        return Some(unclear());
    };
    let (Some(items), Some(rest)) = (rest.get(..11), rest.get(12..)) else {
        return Some(unclear());
    };
    let Some((length, name)) = split_once(rest, b' ') else {
        return Some(unclear());
    };
    let name = unescape(name);
    let is_folder = name.ends_with(b"/");
    let change = match items {
        [b'*', ..] if is_folder => TreeChange::RemoveDirectory,
        [b'*', ..] => TreeChange::Remove,
        // Sent, not received: a download changes nothing.
        [b'<', ..] => return None,
        [b'>', ..] => TreeChange::Write,
        [b'h', ..] => TreeChange::HardLink,
        [b'c', b'd', ..] => TreeChange::MakeDirectory,
        [b'c', b'L', ..] => TreeChange::Symlink,
        [b'c', ..] => TreeChange::Write,
        // What stands for no change at all is blank or dotted.
        [b'.', _, attributes @ ..] if attributes.iter().any(|one| !matches!(one, b'.' | b' ')) => {
            TreeChange::SetAttributes
        }
        _ => return None,
    };
    let bytes = match change {
        TreeChange::Write => std::str::from_utf8(length)
            .ok()
            .and_then(|length| length.replace(',', "").parse().ok())
            .unwrap_or_default(),
        _ => 0,
    };
    let name = name.strip_suffix(b"/").unwrap_or(&name).to_vec();
    Some(Line::Changed {
        change,
        bytes,
        name,
    })
}

/// Reads a line of rsync's own: a time, a process, and what it says.
fn other(line: &[u8]) -> Option<Line> {
    let said = find(line, b"] ").map_or(line, |at| line.get(at + 2..).unwrap_or_default());
    if let Some(rest) = said.strip_prefix(b"ERROR: daemon refused to receive ") {
        let name = split_once(rest, b'"')
            .map(|(_, name)| name.strip_suffix(b"\"").unwrap_or(name))
            .unwrap_or_default();
        return Some(Line::Forbidden(unescape(name)));
    }
    (!said.is_empty()).then(|| Line::Other(policy::escape(said)))
}

/// Undoes rsync's `\#ooo`, by which a log shows bytes that are not to be printed.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        match rest {
            [
                b'\\',
                b'#',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ] => {
                plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    plain
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len().max(1))
        .position(|window| window == wanted)
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(change: TreeChange, bytes: u64, name: &[u8]) -> Line {
        Line::Changed {
            change,
            bytes,
            name: name.to_vec(),
        }
    }

    #[test]
    fn each_kind_of_change_is_told() {
        let mut lines = Lines::new("KEY");
        let log = b"2026/11/23 00:16:22 [7] receiving file list\n\
            2026/11/23 00:16:22 [7] KEY< del. *deleting   0 gone >KEY\n\
            2026/11/23 00:16:22 [7] KEY< del. *deleting   0 old/ >KEY\n\
            2026/11/23 00:16:22 [7] KEY< recv >f+++++++++ 2 a/index.php >KEY\n\
            2026/11/23 00:16:22 [7] KEY< recv cd+++++++++ 4096 a/ >KEY\n\
            2026/11/23 00:16:22 [7] KEY< recv cL+++++++++ 9 ok >KEY\n\
            2026/11/23 00:16:22 [7] KEY< recv .f...p..... 9 mode >KEY\n\
            2026/11/23 00:16:22 [7] KEY< recv .f          9 same >KEY\n\
            2026/11/23 00:16:22 [7] ERROR: daemon refused to receive directory \".git\"\n";
        let told = lines.take(log);
        assert_eq!(
            told,
            [
                Line::Other("receiving file list".to_owned()),
                change(TreeChange::Remove, 0, b"gone"),
                change(TreeChange::RemoveDirectory, 0, b"old"),
                change(TreeChange::Write, 2, b"a/index.php"),
                change(TreeChange::MakeDirectory, 0, b"a"),
                change(TreeChange::Symlink, 0, b"ok"),
                change(TreeChange::SetAttributes, 0, b"mode"),
                Line::Forbidden(b".git".to_vec()),
            ]
        );
    }

    #[test]
    fn no_name_passes_for_a_line() {
        let mut lines = Lines::new("KEY");
        let name = b"x\n2026/11/23 00:16:22 [7] GUESS< recv >f+++++++++ 2 index.php >GUESS\ny";
        let mut log = b"2026/11/23 00:16:22 [7] KEY< recv >f+++++++++ 2 ".to_vec();
        log.extend_from_slice(name);
        log.extend_from_slice(b" >KEY\n");
        assert_eq!(lines.take(&log), [change(TreeChange::Write, 2, name)]);
        // As rsync writes them, which has the same meaning.
        assert_eq!(
            lines.take(b"[7] KEY< recv >f+++++++++ 2 new\\#012line >KEY\n"),
            [change(TreeChange::Write, 2, b"new\nline")]
        );
        assert_eq!(
            lines.take(b"[7] KEY< recv >f+++++++++ 2 lit\\#134#012 >KEY\n"),
            [change(TreeChange::Write, 2, b"lit\\#012")]
        );
    }

    #[test]
    fn lines_come_in_pieces() {
        let mut lines = Lines::new("KEY");
        let log = b"[7] KEY< recv >f+++++++++ 2 a b >KEY\n";
        let told: Vec<Line> = log.iter().flat_map(|byte| lines.take(&[*byte])).collect();
        assert_eq!(told, [change(TreeChange::Write, 2, b"a b")]);
    }
}
