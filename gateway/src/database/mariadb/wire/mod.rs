//! The protocol that MariaDB and MySQL speak with their clients
//! (<https://mariadb.com/kb/en/clientserver-protocol/>), as far as copying needs it: text queries, rows
//! as the bytes the server sends, and files that are sent for `LOAD DATA LOCAL`.
//!
//! It is our own because rows are passed on as they come, without a value being made of each column,
//! and because of what is left out: a connection cannot run two statements in one, and sends a file
//! only where [`Connection::load`] was called, so that no dump can make it do either.

mod auth;
mod packets;
mod row;

use std::fmt;
use std::io;

use packets::{Lines, Packets};
pub(super) use packets::{Login, Stream};
pub(super) use row::Row;

use crate::database::Watcher;

/// Why the server did not do what was asked.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It says so.
    Server {
        /// Its number for it.
        code: u16,
        /// Its words.
        message: String,
    },
    /// The connection broke, or what came is not the protocol.
    Broken(io::Error),
    /// The watcher said to stop.
    Stopped,
}

impl Wrong {
    pub(super) fn protocol(what: &'static str) -> Self {
        Wrong::Broken(io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// The server's number for the error; 0 where it is not the server's.
    pub(super) fn code(&self) -> u16 {
        match self {
            Wrong::Server { code, .. } => *code,
            Wrong::Broken(_) | Wrong::Stopped => 0,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Server { code, message } => write!(f, "{message} (error {code})"),
            Wrong::Broken(error) => {
                write!(f, "the connection to the database server broke: {error}")
            }
            Wrong::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for Wrong {}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        if packets::is_stop(&error) {
            return Wrong::Stopped;
        }
        Wrong::Broken(error)
    }
}

/// What a statement did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    /// Rows that it changed.
    pub(super) rows: u64,
    /// Warnings that `SHOW WARNINGS` can tell.
    pub(super) warnings: u16,
}

/// A connection to a server.
pub(super) struct Connection<'w> {
    packets: Packets<'w>,
}

/// What the server answered first to a statement.
enum Answer {
    Done(Done),
    File,
    Columns(u64),
}

const COM_QUERY: u8 = 3;
const COM_QUIT: u8 = 1;

impl<'w> Connection<'w> {
    /// Connects and signs in. The watcher, if any, is asked while the server is waited for.
    pub(super) fn open(
        stream: Stream,
        login: &Login<'_>,
        watcher: Option<&'w dyn Watcher>,
    ) -> Result<Self, Wrong> {
        let mut packets = Packets::new(stream, watcher)?;
        auth::sign_in(&mut packets, login)?;
        Ok(Self { packets })
    }

    /// Runs a statement, and reads on over rows that nobody asked for.
    pub(super) fn run(&mut self, sql: impl AsRef<[u8]>) -> Result<Done, Wrong> {
        self.send(sql.as_ref())?;
        self.finish()
    }

    /// Sends a statement without waiting for what comes of it.
    pub(super) fn send(&mut self, sql: &[u8]) -> Result<(), Wrong> {
        self.packets.command(COM_QUERY, sql)?;
        Ok(())
    }

    /// Reads what came of a statement that was sent.
    pub(super) fn finish(&mut self) -> Result<Done, Wrong> {
        match self.answer()? {
            Answer::Done(done) => Ok(done),
            Answer::File => self.refuse_file(),
            Answer::Columns(columns) => {
                self.skip_columns(columns)?;
                while self.packet_is_row()? {}
                Ok(Done::default())
            }
        }
    }

    /// Runs a query and returns all its rows; for small answers.
    pub(super) fn rows(
        &mut self,
        sql: impl AsRef<[u8]>,
    ) -> Result<Vec<Vec<Option<Vec<u8>>>>, Wrong> {
        let mut rows = Vec::new();
        self.send(sql.as_ref())?;
        match self.answer()? {
            Answer::Columns(columns) => self.skip_columns(columns)?,
            Answer::File => return self.refuse_file().map(|_done| rows),
            // It was no query.
            Answer::Done(_) => return Ok(rows),
        }
        while let Some(row) = self.next()? {
            let mut values = Vec::new();
            for value in row {
                values.push(value?.map(<[u8]>::to_vec));
            }
            rows.push(values);
        }
        Ok(rows)
    }

    /// As [`Connection::rows`], as text; none becomes the empty text.
    pub(super) fn texts(&mut self, sql: impl AsRef<[u8]>) -> Result<Vec<Vec<String>>, Wrong> {
        let text = |value: Option<Vec<u8>>| {
            value.map_or_else(String::new, |value| {
                String::from_utf8_lossy(&value).into_owned()
            })
        };
        let rows = self.rows(sql)?;
        Ok(rows
            .into_iter()
            .map(|row| row.into_iter().map(text).collect())
            .collect())
    }

    /// The first column of the first row, as text; none where there is no row or no value.
    pub(super) fn one(&mut self, sql: impl AsRef<[u8]>) -> Result<Option<String>, Wrong> {
        let first = self.rows(sql)?.into_iter().next();
        let value = first.and_then(|row| row.into_iter().next()).flatten();
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    /// Begins a query whose rows [`Connection::next`] yields one by one.
    pub(super) fn begin(&mut self, sql: &[u8]) -> Result<(), Wrong> {
        self.send(sql)?;
        match self.answer()? {
            Answer::Columns(columns) => self.skip_columns(columns),
            Answer::File => self.refuse_file().map(drop),
            Answer::Done(_) => Err(Wrong::protocol("a query came to no rows")),
        }
    }

    /// The next row of the query that was begun; none at its end.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, Wrong> {
        if self.packet_is_row()? {
            return Ok(Some(Row::new(self.packets.payload())));
        }
        Ok(None)
    }

    /// Runs a `LOAD DATA LOCAL`; what `fill` puts into the file is what the server reads.
    pub(super) fn load<E: From<Wrong>>(
        &mut self,
        sql: &str,
        fill: impl FnOnce(&mut Lines<'_, 'w>) -> Result<(), E>,
    ) -> Result<Done, E> {
        self.send(sql.as_bytes())?;
        match self.answer()? {
            Answer::File => {}
            Answer::Done(_) | Answer::Columns(_) => {
                return Err(Wrong::protocol("the server asked for no file").into());
            }
        }
        let mut lines = Lines::new(&mut self.packets);
        fill(&mut lines)?;
        lines.end()?;
        match self.answer()? {
            Answer::Done(done) => Ok(done),
            Answer::File | Answer::Columns(_) => {
                Err(Wrong::protocol("the server did not say what it had loaded").into())
            }
        }
    }

    /// A statement asks for a file of this machine: it gets an empty one, and the error is ours.
    fn refuse_file(&mut self) -> Result<Done, Wrong> {
        self.packets.send(&[]).map_err(Wrong::from)?;
        let _ = self.answer();
        Err(Wrong::Server {
            code: 1148,
            message: "a file of the gateway's own machine was asked for".to_owned(),
        })
    }

    fn answer(&mut self) -> Result<Answer, Wrong> {
        let payload = self.packets.receive()?;
        let mut row = Row::new(payload.get(1..).unwrap_or_default());
        match payload.first() {
            Some(0) => {
                let rows = row.number().unwrap_or(0);
                let _id = row.number();
                let rest = row.rest();
                let warnings = match rest {
                    [_, _, low, high, ..] => u16::from_le_bytes([*low, *high]),
                    _ => 0,
                };
                Ok(Answer::Done(Done { rows, warnings }))
            }
            Some(0xff) => Err(error(payload)),
            Some(0xfb) => Ok(Answer::File),
            Some(_) => Row::new(payload)
                .number()
                .map(Answer::Columns)
                .ok_or_else(|| Wrong::protocol("a number of columns")),
            None => Err(Wrong::protocol("an empty answer")),
        }
    }

    fn skip_columns(&mut self, columns: u64) -> Result<(), Wrong> {
        // Their definitions, and the packet that ends them.
        for _ in 0..=columns {
            self.packets.receive()?;
        }
        Ok(())
    }

    fn packet_is_row(&mut self) -> Result<bool, Wrong> {
        let payload = self.packets.receive()?;
        match payload.first() {
            Some(0xfe) if payload.len() < 9 => Ok(false),
            Some(0xff) => Err(error(payload)),
            _ => Ok(true),
        }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let _ = self.packets.command(COM_QUIT, &[]);
    }
}

/// Reads a packet that tells an error.
fn error(payload: &[u8]) -> Wrong {
    let code = match payload {
        [_, low, high, ..] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    };
    let words = payload.get(3..).unwrap_or_default();
    let words = match words.first() {
        Some(b'#') => words.get(6..).unwrap_or_default(),
        _ => words,
    };
    Wrong::Server {
        code,
        message: String::from_utf8_lossy(words).into_owned(),
    }
}
