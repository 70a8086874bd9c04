//! Reads a dump in pieces and hands out its statements with their lines.

use std::io::Read;

use super::scan::{Found, Scan, Within};
use crate::database::Trouble;
use crate::database::mariadb::statement::{Kind, Tokens};
use crate::fault::OrFault;

/// A statement of a dump.
#[derive(Debug)]
pub(in crate::database::mariadb) struct Statement {
    /// Its bytes, without its delimiter and without what stands before its first word.
    pub(in crate::database::mariadb) text: Vec<u8>,
    /// The line on which it begins.
    pub(in crate::database::mariadb) line: u64,
}

/// A dump that is being read.
pub(in crate::database::mariadb) struct Dump<'r> {
    input: &'r mut (dyn Read + Send),
    bytes: Vec<u8>,
    /// Where the next statement begins in `bytes`.
    start: usize,
    scan: Scan,
    delimiter: Vec<u8>,
    line: u64,
    read: u64,
    at_end: bool,
    longest: usize,
    origin: Origin,
}

/// What comments of the dump tell of it.
#[derive(Debug, Default)]
struct Origin {
    /// It says who wrote it, and that one writes a last line.
    wants_end: bool,
    /// That last line was there.
    has_end: bool,
    /// The database it says it is of.
    database: Option<String>,
    /// It has put something off to its end, and has not come to it.
    owes: Option<&'static str>,
    /// It has said anything at all.
    says: bool,
}

const PIECE: usize = 512 * 1024;

impl<'r> Dump<'r> {
    /// Begins to read. No statement may be longer than `longest`.
    pub(in crate::database::mariadb) fn new(
        input: &'r mut (dyn Read + Send),
        longest: usize,
    ) -> Self {
        Self {
            input,
            bytes: Vec::new(),
            start: 0,
            scan: Scan::new(),
            delimiter: b";".to_vec(),
            line: 1,
            read: 0,
            at_end: false,
            longest,
            origin: Origin::default(),
        }
    }

    /// How many bytes have been read in all.
    pub(in crate::database::mariadb) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The database that the dump says it is of.
    pub(in crate::database::mariadb) fn database(&self) -> Option<&str> {
        self.origin.database.as_deref()
    }

    /// The next statement; none at the end of a dump that is whole.
    pub(in crate::database::mariadb) fn next(&mut self) -> Result<Option<Statement>, Trouble> {
        loop {
            let skipped = self.skip_before()?;
            if self.rest().is_empty() && self.at_end {
                return self.ended();
            }
            if self.is_delimiter_line()? {
                continue;
            }
            if skipped {
                continue;
            }
            let end = loop {
                match self.scan.go_on(&self.bytes, &self.delimiter, self.at_end) {
                    Found::End(at) => break at,
                    Found::Order(at) => return Err(self.order(at)),
                    Found::More if self.at_end => return Err(self.cut_off()),
                    Found::More => self.more()?,
                }
            };
            let text = self.bytes.get(self.start..end).unwrap_or_default().to_vec();
            let line = self.line;
            self.take(end + self.delimiter.len());
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.origin.hear(&text);
            return Ok(Some(Statement { text, line }));
        }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Leaves blanks and comments behind; returns whether there were any.
    fn skip_before(&mut self) -> Result<bool, Trouble> {
        let mut any = false;
        if self.read == 0 {
            self.more()?;
            if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = self.bytes.as_slice() {
                return Err(Trouble::Refused(
                    "the dump is written in UTF-16; save it as UTF-8".to_owned(),
                ));
            }
            if self.bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
                self.take(3);
            }
        }
        loop {
            let rest = self.rest();
            let sandbox = rest.starts_with(b"/*!999999\\-") || rest.starts_with(b"/*M!999999\\-");
            let token = Tokens::new(rest).next();
            let (kind, length) =
                token.map_or((Kind::Word, 0), |token| (token.kind, token.text.len()));
            let comment = sandbox || (kind == Kind::Blank);
            let length = if sandbox {
                let end = rest.windows(2).position(|two| two == b"*/");
                end.map_or(rest.len(), |end| end + 2)
            } else {
                length
            };
            // What goes to the end of what was read may go on after it, and so may a sign.
            if !self.at_end && (rest.len() < 16 || (comment && length == rest.len())) {
                self.more()?;
                continue;
            }
            if !comment || length == 0 {
                return Ok(any);
            }
            let text = rest.get(..length).unwrap_or_default().to_vec();
            if text.starts_with(b"/*") && !text.ends_with(b"*/") {
                self.scan.within = Within::Comment;
                return Err(self.cut_off());
            }
            self.origin.learn(&text);
            any = true;
            self.take(self.start + length);
        }
    }

    /// `DELIMITER` is an order to the client program: the rest of its line is what ends statements.
    fn is_delimiter_line(&mut self) -> Result<bool, Trouble> {
        const WORD: &[u8] = b"DELIMITER";
        let is_it = |rest: &[u8]| {
            rest.split_at_checked(WORD.len())
                .is_some_and(|(word, after)| {
                    word.eq_ignore_ascii_case(WORD)
                        && after.first().is_none_or(u8::is_ascii_whitespace)
                })
        };
        if !is_it(self.rest()) {
            return Ok(false);
        }
        loop {
            let end = self.rest().iter().position(|byte| *byte == b'\n');
            let Some(length) = end.or(self.at_end.then_some(self.rest().len())) else {
                self.more()?;
                continue;
            };
            let line = self.rest().get(WORD.len()..length).unwrap_or_default();
            let delimiter = line.trim_ascii().to_vec();
            if delimiter.is_empty() || delimiter.len() > 16 || delimiter.contains(&b'\\') {
                return Err(self.refused("a DELIMITER that cannot be one"));
            }
            self.delimiter = delimiter;
            self.take(self.start + length);
            return Ok(true);
        }
    }

    /// Moves on to a place in the bytes at hand, counting lines.
    fn take(&mut self, to: usize) {
        let passed = self.bytes.get(self.start..to).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.start = to;
        self.scan = Scan::new();
        self.scan.at = to;
    }

    fn more(&mut self) -> Result<(), Trouble> {
        if self.start > 0 && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.scan.at = self.scan.at.saturating_sub(self.start);
            self.start = 0;
        }
        if self.rest().len() > self.longest {
            return Err(self.refused(&format!(
                "a statement of more than {} bytes, which the server does not take (max_allowed_packet)",
                self.longest
            )));
        }
        let read = (&mut *self.input)
            .take(PIECE as u64)
            .read_to_end(&mut self.bytes)
            .or_fault(|| "reading the dump")?;
        self.at_end = read == 0;
        self.read += read as u64;
        Ok(())
    }

    fn ended(&self) -> Result<Option<Statement>, Trouble> {
        if !self.origin.says {
            return Err(Trouble::Refused(
                "the dump holds nothing: there is no statement in it".to_owned(),
            ));
        }
        if let Some(owed) = self.origin.owes {
            return Err(Trouble::Refused(format!(
                "the dump is cut off: it ends at line {} before it {owed}",
                self.line
            )));
        }
        if self.origin.wants_end && !self.origin.has_end {
            return Err(Trouble::Refused(format!(
                "the dump is cut off: it ends at line {} without the last line of what wrote it \
                 (\"-- Dump completed\")",
                self.line
            )));
        }
        Ok(None)
    }

    fn cut_off(&self) -> Trouble {
        let what = match self.scan.within {
            Within::Words if self.scan.guarded => "a conditional comment",
            Within::Words | Within::Line => "a statement",
            Within::Quotes(b'`') => "a name",
            Within::Quotes(_) => "a text",
            Within::Comment => "a comment",
        };
        let lines = self.rest().iter().filter(|byte| **byte == b'\n').count() as u64;
        Trouble::Refused(format!(
            "the dump is cut off: it ends at line {} in the middle of {what}; what is not whole begins \
             at line {}",
            self.line + lines,
            self.line
        ))
    }

    fn order(&self, at: usize) -> Trouble {
        let before = self.bytes.get(self.start..at).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count() as u64;
        let order = self.bytes.get(at..at + 2).unwrap_or_default();
        Trouble::Refused(format!(
            "line {}: {} is an order to a client program and no SQL; it was not carried out",
            self.line + lines,
            String::from_utf8_lossy(order)
        ))
    }

    fn refused(&self, what: &str) -> Trouble {
        Trouble::Refused(format!("line {}: {what}", self.line))
    }
}

impl Origin {
    /// Remembers what a statement promises: programs that write no last line save settings first, and
    /// give them back at the end.
    fn hear(&mut self, statement: &[u8]) {
        const SAVED: &str = "@OLD_CHARACTER_SET_CLIENT";
        const SETTINGS: &str = "gives back the settings that it saved in @OLD_CHARACTER_SET_CLIENT";
        const TRANSACTION: &str = "commits the transaction that it started";
        self.says = true;
        if statement.len() > 400 {
            return;
        }
        let text = String::from_utf8_lossy(statement).to_ascii_uppercase();
        if let Some((_, after)) = text.split_once(SAVED) {
            let saves = after.trim_start().starts_with('=');
            self.owes = saves.then_some(SETTINGS);
        }
        if text.starts_with("START TRANSACTION") && self.owes.is_none() {
            self.owes = Some(TRANSACTION);
        }
        if (text.starts_with("COMMIT") || text.starts_with("ROLLBACK"))
            && self.owes == Some(TRANSACTION)
        {
            self.owes = None;
        }
    }

    fn learn(&mut self, comment: &[u8]) {
        if comment.len() > 400 || !comment.starts_with(b"--") {
            return;
        }
        let text = String::from_utf8_lossy(comment);
        let text = text.trim_end();
        if text.starts_with("-- MySQL dump") || text.starts_with("-- MariaDB dump") {
            self.wants_end = true;
        }
        if text.starts_with("-- Dump completed") {
            self.has_end = true;
        }
        if let Some((_, name)) = text.split_once("Database: ")
            && self.database.is_none()
        {
            let name = name.trim().trim_matches('`');
            self.database = Some(name.to_owned()).filter(|name| !name.is_empty());
        }
    }
}
