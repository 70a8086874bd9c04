//! Reads SQL as SQLite speaks it, one statement at a time, from a stream of any length: where one ends
//! is what `sqlite3_complete` says, by the same table.

use std::io::{self, Read};

/// A statement is held in memory whole; a longer one is refused.
const LONGEST: usize = 256 << 20;
/// What is read at once.
const PART: usize = 256 << 10;

/// A statement and the line in which it begins, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    pub(super) sql: &'a [u8],
    pub(super) line: u64,
}

/// Why there is no further statement.
#[derive(Debug)]
pub(super) enum Ending {
    /// The input ends inside of one that begins in this line.
    CutOff(u64),
    /// A line for the program `sqlite3` and not for the database.
    Dot(u64),
    /// One that begins in this line is too long.
    TooLong(u64),
    /// The input cannot be read.
    Input(io::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    /// Up to this byte.
    Quotes(u8),
    Line,
    Block,
}

/// What a token is to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Semicolon,
    Other,
    Explain,
    Create,
    Temporary,
    Trigger,
    End,
}

/// How far a statement is (`sqlite3_complete`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Normal,
    Explain,
    Create,
    Trigger,
    Semicolon,
    End,
}

impl State {
    fn after(self, token: Token) -> Self {
        match (self, token) {
            (State::Trigger | State::Semicolon, Token::Semicolon) => State::Semicolon,
            (_, Token::Semicolon) => State::Start,
            (State::Start, Token::Explain) => State::Explain,
            (State::Start | State::Explain, Token::Create) => State::Create,
            (State::Create, Token::Temporary) => State::Create,
            (State::Create, Token::Trigger) => State::Trigger,
            (State::Explain, Token::Other) => State::Explain,
            (State::Semicolon, Token::End) => State::End,
            (State::Trigger | State::Semicolon | State::End, _) => State::Trigger,
            _ => State::Normal,
        }
    }
}

/// The statements of a stream.
pub(super) struct Statements<R> {
    input: R,
    held: Vec<u8>,
    /// Where the statement begins that is being read, and where reading goes on.
    start: usize,
    at: usize,
    line: u64,
    ended: bool,
    read: u64,
}

impl<R: Read> Statements<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            held: Vec::new(),
            start: 0,
            at: 0,
            line: 1,
            ended: false,
            read: 0,
        }
    }

    /// How many bytes have been read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Returns the next statement with its semicolon; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Statement<'_>>, Ending> {
        self.line += lines(self.held.get(self.start..self.at).unwrap_or_default());
        self.start = self.at;
        let mut state = State::Start;
        let mut within = Within::Nothing;
        // Where the first token is, without blanks and comments before it.
        let mut first: Option<usize> = None;
        loop {
            let Some(&byte) = self.held.get(self.at) else {
                let moved = self.start;
                if self.more(first)? {
                    first = first.map(|first| first - moved);
                    continue;
                }
                return match first {
                    None if within != Within::Block => Ok(None),
                    None => Err(Ending::CutOff(self.line)),
                    Some(first) => Err(Ending::CutOff(self.line_of(first))),
                };
            };
            match within {
                Within::Quotes(end) => {
                    self.skip_to(end);
                    if self.held.get(self.at).is_some() {
                        self.at += 1;
                        within = Within::Nothing;
                    }
                    continue;
                }
                Within::Line => {
                    self.skip_to(b'\n');
                    if self.held.get(self.at).is_some() {
                        within = Within::Nothing;
                    }
                    continue;
                }
                Within::Block => {
                    self.skip_to(b'*');
                    if self.held.get(self.at).is_none() {
                        continue;
                    }
                    match self.peek(1, &mut first)? {
                        Some(b'/') => {
                            self.at += 2;
                            within = Within::Nothing;
                        }
                        _ => self.at += 1,
                    }
                    continue;
                }
                Within::Nothing => {}
            }
            if byte.is_ascii_whitespace() || byte == b'\x0b' {
                self.at += 1;
                continue;
            }
            match (byte, self.peek(1, &mut first)?) {
                (b'-', Some(b'-')) => {
                    within = Within::Line;
                    self.at += 2;
                    continue;
                }
                (b'/', Some(b'*')) => {
                    within = Within::Block;
                    self.at += 2;
                    continue;
                }
                _ => {}
            }
            if first.is_none() && byte == b'.' {
                return Err(Ending::Dot(self.line_of(self.at)));
            }
            let begun = *first.get_or_insert(self.at);
            let token = match byte {
                b';' => {
                    self.at += 1;
                    Token::Semicolon
                }
                b'\'' | b'"' | b'`' => {
                    self.at += 1;
                    within = Within::Quotes(byte);
                    Token::Other
                }
                b'[' => {
                    self.at += 1;
                    within = Within::Quotes(b']');
                    Token::Other
                }
                byte if in_word(byte) => self.word(&mut first)?,
                _ => {
                    self.at += 1;
                    Token::Other
                }
            };
            state = state.after(token);
            if token == Token::Semicolon && state == State::Start {
                // A word at the end of what was held may have moved it.
                let begun = first.unwrap_or(begun);
                let line = self.line_of(begun);
                let sql = self.held.get(begun..self.at).unwrap_or_default();
                return Ok(Some(Statement { sql, line }));
            }
        }
    }

    fn line_of(&self, at: usize) -> u64 {
        self.line + lines(self.held.get(self.start..at).unwrap_or_default())
    }

    fn skip_to(&mut self, wanted: u8) {
        let rest = self.held.get(self.at..).unwrap_or_default();
        let passed = rest.iter().position(|byte| *byte == wanted);
        self.at += passed.unwrap_or(rest.len());
    }

    /// Returns a byte further on.
    fn peek(&mut self, by: usize, first: &mut Option<usize>) -> Result<Option<u8>, Ending> {
        while self.held.get(self.at + by).is_none() {
            let moved = self.start;
            if !self.more(*first)? {
                return Ok(None);
            }
            *first = first.map(|first| first - moved);
        }
        Ok(self.held.get(self.at + by).copied())
    }

    fn word(&mut self, first: &mut Option<usize>) -> Result<Token, Ending> {
        let mut length = 1;
        while self.peek(length, first)?.is_some_and(in_word) {
            length += 1;
        }
        let word = self.held.get(self.at..self.at + length).unwrap_or_default();
        self.at += length;
        Ok(match word {
            word if word.eq_ignore_ascii_case(b"explain") => Token::Explain,
            word if word.eq_ignore_ascii_case(b"create") => Token::Create,
            word if word.eq_ignore_ascii_case(b"temp") => Token::Temporary,
            word if word.eq_ignore_ascii_case(b"temporary") => Token::Temporary,
            word if word.eq_ignore_ascii_case(b"trigger") => Token::Trigger,
            word if word.eq_ignore_ascii_case(b"end") => Token::End,
            _ => Token::Other,
        })
    }

    /// Reads more, and forgets what has been handed out: places in what is held move by `start`.
    fn more(&mut self, first: Option<usize>) -> Result<bool, Ending> {
        if self.held.len() - self.start > LONGEST {
            return Err(Ending::TooLong(self.line_of(first.unwrap_or(self.start))));
        }
        if self.ended {
            return Ok(false);
        }
        // Places move only when there is more, as callers rely on.
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
        if read == 0 {
            self.ended = true;
            return Ok(false);
        }
        self.read += read as u64;
        self.held.drain(..self.start);
        self.at -= self.start;
        self.start = 0;
        Ok(true)
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Returns the first words and names of a statement, and each opening parenthesis, without strings,
/// numbers' signs and comments.
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
            '\'' => past.split_once('\'').map_or("", |(_, rest)| rest),
            '"' | '`' | '[' => {
                let end = if next == '[' { ']' } else { next };
                let (name, rest) = past.split_once(end).unwrap_or((past, ""));
                found.push(name.to_owned());
                rest
            }
            '(' => {
                found.push("(".to_owned());
                past
            }
            letter if letter.is_ascii() && !in_word(letter as u8) => past,
            _ => {
                let end = rest
                    .find(|letter: char| letter.is_ascii() && !in_word(letter as u8))
                    .unwrap_or(rest.len());
                let (word, rest) = rest.split_at(end);
                found.push(word.to_owned());
                rest
            }
        };
    }
    found
}
