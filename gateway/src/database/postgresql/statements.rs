//! Reads SQL as `psql` would, one statement at a time, from a stream of any length; and the rows that
//! follow a `COPY … FROM stdin`.

use std::io::{self, Read};

use super::words::{Depth, begins_word, in_word, lines};

/// A statement is held in memory whole; a longer one is refused. The server's own limit is 1 GiB.
const LONGEST: usize = 256 << 20;
/// What is read at once.
const PART: usize = 256 << 10;

/// How pg_dump begins and ends what it writes.
const HEADER: &[u8] = b"-- PostgreSQL database dump";
const TRAILER: &[u8] = b"-- PostgreSQL database dump complete";

/// A statement without its semicolon, and the line in which it begins, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) sql: Vec<u8>,
    pub(super) line: u64,
}

/// Why there is no further statement.
#[derive(Debug)]
pub(super) enum Ending {
    /// The input ends inside of one that begins in this line.
    CutOff(u64),
    /// The input ends before the end of rows.
    CutOffInRows(u64),
    /// pg_dump began it, and has not written its end.
    WithoutEnd,
    /// A command for `psql`, and not for the server.
    Command(u64, String),
    /// One that begins in this line is too long.
    TooLong(u64),
    /// The input cannot be read.
    Input(io::Error),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Within {
    Nothing,
    /// Up to this byte; a backslash before it counts or does not.
    Quotes(u8, bool),
    Line,
    Block(u32),
    Dollars(Vec<u8>),
}

/// The statements of a stream.
pub(super) struct Statements<R> {
    input: R,
    held: Vec<u8>,
    /// Where the statement begins that is being read, its first token, and where reading goes on.
    start: usize,
    first: Option<usize>,
    at: usize,
    line: u64,
    ended: bool,
    read: u64,
    header: bool,
    trailer: bool,
}

impl<R: Read> Statements<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            held: Vec::new(),
            start: 0,
            first: None,
            at: 0,
            line: 1,
            ended: false,
            read: 0,
            header: false,
            trailer: false,
        }
    }

    /// How many bytes have been read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    fn take_line(&mut self) {
        self.line += lines(self.held.get(self.start..self.at).unwrap_or_default());
        self.start = self.at;
    }

    /// Returns the next statement; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Statement>, Ending> {
        self.take_line();
        self.first = None;
        let mut within = Within::Nothing;
        let mut depth = Depth::default();
        loop {
            let Some(byte) = self.peek(0)? else {
                return match self.first {
                    None if matches!(within, Within::Nothing | Within::Line) => {
                        if self.header && !self.trailer {
                            return Err(Ending::WithoutEnd);
                        }
                        Ok(None)
                    }
                    None => Err(Ending::CutOff(self.line)),
                    Some(first) => Err(Ending::CutOff(self.line_of(first))),
                };
            };
            match &mut within {
                Within::Quotes(end, escapes) => {
                    let (end, escapes) = (*end, *escapes);
                    if byte == end {
                        within = Within::Nothing;
                    } else if byte == b'\\' && escapes {
                        self.peek(1)?;
                        self.at += 1;
                    }
                    self.at += 1;
                    if within != Within::Nothing {
                        self.skip(|byte| byte != end && byte != b'\\');
                    }
                    continue;
                }
                Within::Line => {
                    self.skip(|byte| byte != b'\n');
                    if self.held.get(self.at).is_some() {
                        within = Within::Nothing;
                    }
                    continue;
                }
                Within::Block(deep) => {
                    match (byte, self.peek(1)?) {
                        (b'*', Some(b'/')) => {
                            self.at += 2;
                            *deep -= 1;
                            if *deep == 0 {
                                within = Within::Nothing;
                            }
                        }
                        (b'/', Some(b'*')) => {
                            self.at += 2;
                            *deep += 1;
                        }
                        _ => self.at += 1,
                    }
                    continue;
                }
                Within::Dollars(tag) => {
                    if byte == b'$' {
                        let tag = tag.clone();
                        self.peek(tag.len() - 1)?;
                        if self.rest().starts_with(&tag) {
                            self.at += tag.len();
                            within = Within::Nothing;
                            continue;
                        }
                        self.at += 1;
                    }
                    self.skip(|byte| byte != b'$');
                    continue;
                }
                Within::Nothing => {}
            }
            if byte.is_ascii_whitespace() || byte == b'\x0b' {
                self.at += 1;
                continue;
            }
            match (byte, self.peek(1)?) {
                (b'-', Some(b'-')) => {
                    self.peek(TRAILER.len() + 1)?;
                    let rest = self.rest();
                    // Only where no statement is open, so that no text of a site's counts.
                    if self.first.is_none() && rest.starts_with(HEADER) {
                        if rest.starts_with(TRAILER) {
                            self.trailer = true;
                        } else {
                            self.header = true;
                        }
                    }
                    within = Within::Line;
                    continue;
                }
                (b'/', Some(b'*')) => {
                    within = Within::Block(1);
                    self.at += 2;
                    continue;
                }
                (b'\\', _) => {
                    self.command()?;
                    continue;
                }
                (b';', _) if depth.parentheses == 0 && depth.blocks == 0 => {
                    let end = self.at;
                    self.at += 1;
                    let Some(first) = self.first else {
                        self.take_line();
                        continue;
                    };
                    return Ok(Some(Statement {
                        sql: self.held.get(first..end).unwrap_or_default().to_vec(),
                        line: self.line_of(first),
                    }));
                }
                _ => {}
            }
            self.first.get_or_insert(self.at);
            match byte {
                b'\'' | b'"' => {
                    within = Within::Quotes(byte, false);
                    self.at += 1;
                }
                b'(' => {
                    depth.parentheses += 1;
                    self.at += 1;
                }
                b')' => {
                    depth.parentheses = depth.parentheses.saturating_sub(1);
                    self.at += 1;
                }
                b'$' => match self.tag()? {
                    Some(tag) => {
                        self.at += tag.len();
                        within = Within::Dollars(tag);
                    }
                    None => self.at += 1,
                },
                byte if begins_word(byte) => {
                    let mut length = 1;
                    while self.peek(length)?.is_some_and(in_word) {
                        length += 1;
                    }
                    let word = self.rest().get(..length).unwrap_or_default();
                    let escaping = word.eq_ignore_ascii_case(b"e");
                    depth.word(word);
                    self.at += length;
                    if escaping && self.peek(0)? == Some(b'\'') {
                        self.at += 1;
                        within = Within::Quotes(b'\'', true);
                    }
                }
                byte if byte.is_ascii_digit() => {
                    // So that no `$` or `e` in a number is taken for more.
                    while self.peek(0)?.is_some_and(in_word) {
                        self.at += 1;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// Reads a command for psql. Those that pg_dump frames its output with say nothing to us.
    fn command(&mut self) -> Result<(), Ending> {
        let line = self.line_of(self.at);
        let mut length = 1;
        while self.peek(length)?.is_some_and(|byte| byte != b'\n') && length < 200 {
            length += 1;
        }
        let text = String::from_utf8_lossy(self.rest().get(..length).unwrap_or_default());
        let name = text
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        if self.peek(length)?.is_none() && name.len() < 9 && "\\restrict".starts_with(&name) {
            return Err(Ending::CutOff(line));
        }
        if self.first.is_some() || !["\\restrict", "\\unrestrict"].contains(&&*name) {
            return Err(Ending::Command(line, name));
        }
        self.at += length;
        Ok(())
    }

    /// Reads the opening of a string in dollars.
    fn tag(&mut self) -> Result<Option<Vec<u8>>, Ending> {
        let mut length = 1;
        loop {
            match self.peek(length)? {
                Some(b'$') => {
                    return Ok(self.rest().get(..=length).map(<[u8]>::to_vec));
                }
                Some(byte)
                    if length < 128
                        && (begins_word(byte) || length > 1 && byte.is_ascii_digit()) =>
                {
                    length += 1;
                }
                _ => return Ok(None),
            }
        }
    }

    /// Goes to the rows that follow a `COPY … FROM stdin`: they begin with the next line.
    pub(super) fn begin_rows(&mut self) -> Result<u64, Ending> {
        while let Some(byte) = self.peek(0)? {
            self.at += 1;
            if byte == b'\n' {
                break;
            }
        }
        self.take_line();
        Ok(self.line)
    }

    /// Returns some whole lines of rows; none after the last.
    pub(super) fn rows(&mut self) -> Result<Option<&[u8]>, Ending> {
        self.take_line();
        self.first = None;
        loop {
            let rest = self.rest();
            let mut end = 0;
            let mut last = None;
            while let Some(length) = rest
                .get(end..)
                .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
            {
                let line = rest.get(end..end + length).unwrap_or_default();
                if matches!(line, b"\\." | b"\\.\r") {
                    last = Some(end + length + 1);
                    break;
                }
                end += length + 1;
            }
            if end > 0 {
                let from = self.at;
                self.at += end;
                return Ok(self.held.get(from..from + end));
            }
            if let Some(after) = last {
                self.at += after;
                return Ok(None);
            }
            if self.rest().len() > LONGEST {
                return Err(Ending::TooLong(self.line));
            }
            if !self.more()? {
                if self.rest() == b"\\." {
                    self.at += 2;
                    return Ok(None);
                }
                return Err(Ending::CutOffInRows(self.line));
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.held.get(self.at..).unwrap_or_default()
    }

    fn line_of(&self, at: usize) -> u64 {
        self.line + lines(self.held.get(self.start..at).unwrap_or_default())
    }

    fn skip(&mut self, passed: impl Fn(u8) -> bool) {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !passed(*byte));
        self.at += length.unwrap_or(rest.len());
    }

    /// Returns a byte further on.
    fn peek(&mut self, by: usize) -> Result<Option<u8>, Ending> {
        while self.held.get(self.at + by).is_none() {
            if !self.more()? {
                return Ok(None);
            }
        }
        Ok(self.held.get(self.at + by).copied())
    }

    /// Reads more, and forgets what has been handed out.
    fn more(&mut self) -> Result<bool, Ending> {
        if self.held.len() - self.start > LONGEST {
            let from = self.first.unwrap_or(self.start);
            return Err(Ending::TooLong(self.line_of(from)));
        }
        if self.ended {
            return Ok(false);
        }
        self.held.drain(..self.start);
        self.at -= self.start;
        self.first = self.first.map(|first| first - self.start);
        self.start = 0;
        let length = self.held.len();
        self.held.resize(length + PART, 0);
        let into = self.held.get_mut(length..).unwrap_or_default();
        let read = loop {
            match self.input.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(Ending::Input)?,
            }
        };
        self.held.truncate(length + read);
        self.ended = read == 0;
        self.read += read as u64;
        Ok(read > 0)
    }
}
