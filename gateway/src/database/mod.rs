//! Databases of environments: SQLite, MariaDB and MySQL, PostgreSQL, behind the same functions.
//! Knows nothing of sites, people or rules; what it is handed is what it works on.
//!
//! Everything here blocks, and never runs on an asynchronous worker. What it fills is always a
//! database that nobody is pointed to yet, so a failure leaves something to remove and no harm.

mod mariadb;
mod postgresql;
pub mod replace;
pub mod skipping;
mod sqlite;

use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// What speaks SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Files in a folder of the environment's content; no server.
    Sqlite,
    /// MariaDB, or MySQL.
    Mariadb,
    /// PostgreSQL.
    Postgresql,
}

impl Engine {
    /// Returns the word for settings and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Sqlite => "sqlite",
            Engine::Mariadb => "mariadb",
            Engine::Postgresql => "postgresql",
        }
    }
}

impl std::str::FromStr for Engine {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "sqlite" => Ok(Engine::Sqlite),
            "mariadb" | "mysql" => Ok(Engine::Mariadb),
            "postgresql" | "postgres" => Ok(Engine::Postgresql),
            other => Err(Fault::new(format!("'{other}' is no engine of databases"))),
        }
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp {
        /// A name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket: MariaDB's own, or the one that PostgreSQL makes in its folder of sockets.
    Socket(PathBuf),
}

/// A password; never shown, never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// Wraps a password.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns it, for the server and for the settings that the site reads.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A server that the administrator has named in the configuration.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name in the configuration.
    pub name: String,
    /// MariaDB or PostgreSQL.
    pub engine: Engine,
    /// Where it listens.
    pub address: Address,
    /// The gateway's account on it, which makes databases and users.
    pub user: String,
    /// That account's password; none where the server knows it by the socket's peer.
    pub password: Option<Password>,
}

/// The database of one content of one environment.
#[derive(Debug, Clone)]
pub enum Database {
    /// All files of a folder: a site may keep several SQLite databases.
    Sqlite {
        /// The folder.
        folder: PathBuf,
    },
    /// A database on a server, with the one user who owns it.
    Served {
        /// The server.
        server: Arc<Server>,
        /// Its name there.
        name: String,
        /// Its user, who has no rights on anything else.
        user: String,
        /// That user's password.
        password: Password,
    },
}

/// Why a copy, an import or an export came to nothing.
#[derive(Debug)]
pub enum Trouble {
    /// What was read cannot be taken, as the sentence says, with the place of it: the person's to mend.
    Refused(String),
    /// Whoever asked has said to stop.
    Stopped,
    /// A failure of ours or of the server's.
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Trouble::Fault(fault)
    }
}

/// How far something is, told now and then; it answers whether to go on.
pub trait Watcher: Sync {
    /// Tells how many bytes have been read in all, and what is worked on (a table).
    fn at(&self, bytes: u64, what: &str);
    /// Whether to stop.
    fn stopped(&self) -> bool;
}

/// How a database is copied.
pub struct Copying<'a> {
    /// Tables of these names (with `*` and `?`) are made without their rows.
    pub without_rows: &'a [String],
    /// What is replaced in every text on its way; none for nothing.
    pub replacement: Option<&'a replace::Replacement>,
    /// Whether events that the server would run by itself stay switched on.
    pub events: Events,
    /// Who is told, and may stop it.
    pub watcher: &'a dyn Watcher,
}

/// Whether what a database does by itself (MariaDB's events) goes on in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Events {
    /// As in the source.
    Kept,
    /// Switched off.
    Off,
}

/// What was copied or imported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filled {
    /// Tables.
    pub tables: u64,
    /// Rows, where they were counted on the way: SQLite's databases are copied as files.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Values in which something was replaced.
    pub replaced: u64,
    /// What whoever asked should know: a trigger that was left out, a definer that was dropped.
    pub notes: Vec<String>,
}

/// What a dump is written in, after decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// SQL statements.
    Sql,
    /// pg_dump's custom format.
    PostgresqlCustom,
    /// An SQLite database file, or several in an archive (tar).
    SqliteFile,
}

impl Form {
    /// How much of a dump [`Form::of`] looks at.
    pub const HEAD: usize = 512;

    /// Tells by its first bytes what a dump is written in. An archive (tar) is that of several
    /// SQLite files, as exports make it.
    pub fn of(head: &[u8]) -> Self {
        if head.starts_with(b"PGDMP") {
            Form::PostgresqlCustom
        } else if head.starts_with(b"SQLite format 3\0") || head.get(257..262) == Some(b"ustar") {
            Form::SqliteFile
        } else {
            Form::Sql
        }
    }
}

/// A table, for people and for checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its storage engine, where it has one.
    pub engine: Option<String>,
    /// Rows, as the server estimates them.
    pub rows: u64,
    /// Bytes on the disk, indexes too.
    pub bytes: u64,
}

impl Database {
    /// Returns its engine.
    pub fn engine(&self) -> Engine {
        match self {
            Database::Sqlite { .. } => Engine::Sqlite,
            Database::Served { server, .. } => server.engine,
        }
    }

    /// Makes it, empty, and its user. May be repeated.
    ///
    /// # Errors
    /// When the server is away or does not allow it.
    pub fn create(&self) -> Result<(), Fault> {
        match self.engine() {
            Engine::Sqlite => sqlite::create(self),
            Engine::Mariadb => mariadb::create(self),
            Engine::Postgresql => postgresql::create(self),
        }
    }

    /// As [`Database::create`], for what takes the place of another: a single SQLite database gets
    /// an empty one of its name, which an import fills; the site knows it by that name.
    ///
    /// # Errors
    /// As [`Database::create`]'s.
    pub fn create_like(&self, former: &Database) -> Result<(), Fault> {
        match (self.engine(), former.engine()) {
            (Engine::Sqlite, Engine::Sqlite) => sqlite::create_like(self, former),
            _ => self.create(),
        }
    }

    /// Removes it with its user and all that it holds; connections to it are ended. May be repeated.
    ///
    /// # Errors
    /// When the server is away or does not allow it.
    pub fn remove(&self) -> Result<(), Fault> {
        match self.engine() {
            Engine::Sqlite => sqlite::remove(self),
            Engine::Mariadb => mariadb::remove(self),
            Engine::Postgresql => postgresql::remove(self),
        }
    }

    /// Gives its user another password; who is connected stays so.
    ///
    /// # Errors
    /// When the server is away or does not allow it.
    pub fn set_password(&self, password: &Password) -> Result<(), Fault> {
        match self.engine() {
            Engine::Sqlite => Ok(()),
            Engine::Mariadb => mariadb::set_password(self, password),
            Engine::Postgresql => postgresql::set_password(self, password),
        }
    }

    /// Copies all of it, as it is at one moment, into another of the same engine, which is empty;
    /// and checks that all of it has arrived.
    ///
    /// # Errors
    /// [`Trouble`]; the target is then to be removed.
    pub fn copy_to(&self, target: &Database, how: &Copying<'_>) -> Result<Filled, Trouble> {
        match self.engine() {
            Engine::Sqlite => sqlite::copy(self, target, how),
            Engine::Mariadb => mariadb::copy(self, target, how),
            Engine::Postgresql => postgresql::copy(self, target, how),
        }
    }

    /// Fills it, which is empty, from a dump. The dump is hostile: it can reach nothing but this
    /// database, and is loaded as the user who owns it alone.
    ///
    /// # Errors
    /// [`Trouble`]; the database is then to be removed. What the dump itself is to blame for says at which
    /// line.
    pub fn import(
        &self,
        dump: &mut (dyn Read + Send),
        form: Form,
        how: &Copying<'_>,
    ) -> Result<Filled, Trouble> {
        match self.engine() {
            Engine::Sqlite => sqlite::import(self, dump, form, how),
            Engine::Mariadb => mariadb::import(self, dump, form, how),
            Engine::Postgresql => postgresql::import(self, dump, form, how),
        }
    }

    /// Writes a dump of it, as it is at one moment, that [`Database::import`] and the engine's own client can read.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn export(&self, out: &mut (dyn Write + Send), how: &Copying<'_>) -> Result<(), Trouble> {
        match self.engine() {
            Engine::Sqlite => sqlite::export(self, out, how),
            Engine::Mariadb => mariadb::export(self, out, how),
            Engine::Postgresql => postgresql::export(self, out, how),
        }
    }

    /// Lists its tables; by that it is known to be reachable, and whether it is empty.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn tables(&self) -> Result<Vec<Table>, Fault> {
        match self.engine() {
            Engine::Sqlite => sqlite::tables(self),
            Engine::Mariadb => mariadb::tables(self),
            Engine::Postgresql => postgresql::tables(self),
        }
    }

    /// Runs a query of one column as its user, and returns its rows as text; for checks.
    ///
    /// # Errors
    /// When it cannot be reached, or the query is wrong.
    pub fn query(&self, sql: &str) -> Result<Vec<String>, Fault> {
        match self.engine() {
            Engine::Sqlite => sqlite::query(self, sql),
            Engine::Mariadb => mariadb::query(self, sql),
            Engine::Postgresql => postgresql::query(self, sql),
        }
    }
}
