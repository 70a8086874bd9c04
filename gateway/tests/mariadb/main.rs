//! MariaDB's databases against a real server: every kind of object, hostile dumps, dumps that are cut
//! off, servers that go away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test says what it expects by failing"
)]

#[path = "../../../tests/support/mariadb.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "what all tests share is not all needed here"
)]
mod mariadb;
#[path = "../../../tests/support/process.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "what all tests share is not all needed here"
)]
mod process;

mod accounts;
mod copying;
mod dumps;
mod shop;
mod trouble;
mod under_load;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use funicular::database::replace::Replacement;
use funicular::database::{
    Address, Copying, Database, Engine, Events, Filled, Form, Password, Server, Trouble, Watcher,
};
use mariadb::{ACCOUNT, Mariadb, PASSWORD};

/// Looks on, and never says to stop.
pub(crate) struct Patient;

impl Watcher for Patient {
    fn at(&self, _bytes: u64, _what: &str) {}

    fn stopped(&self) -> bool {
        false
    }
}

pub(crate) fn copying<'a>(
    without_rows: &'a [String],
    replacement: Option<&'a Replacement>,
) -> Copying<'a> {
    Copying {
        without_rows,
        replacement,
        events: Events::Off,
        watcher: &Patient,
    }
}

pub(crate) fn over_tcp(server: &Mariadb) -> Arc<Server> {
    let host = "127.0.0.1".to_owned();
    let port = server.port();
    reached(Address::Tcp { host, port }, PASSWORD)
}

pub(crate) fn over_socket(server: &Mariadb) -> Arc<Server> {
    reached(Address::Socket(server.socket()), PASSWORD)
}

pub(crate) fn reached(address: Address, password: &str) -> Arc<Server> {
    Arc::new(Server {
        name: "main".to_owned(),
        engine: Engine::Mariadb,
        address,
        user: ACCOUNT.to_owned(),
        password: Some(Password::new(password.to_owned())),
    })
}

/// A database of a name of its own.
pub(crate) fn database(server: &Arc<Server>) -> Database {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("f_acme_dev_{number}");
    Database::Served {
        server: Arc::clone(server),
        user: name.clone(),
        name,
        password: Password::new(format!("it's \\ {number}")),
    }
}

/// As [`database`], made.
pub(crate) fn made(server: &Arc<Server>) -> Database {
    let database = database(server);
    database.create().unwrap();
    database
}

pub(crate) fn name(database: &Database) -> &str {
    match database {
        Database::Served { name, .. } => name,
        Database::Sqlite { .. } => panic!("a database on a server"),
    }
}

pub(crate) fn import(database: &Database, dump: &[u8]) -> Result<Filled, Trouble> {
    let mut dump = dump;
    database.import(&mut dump, Form::Sql, &copying(&[], None))
}

pub(crate) fn refused(result: Result<Filled, Trouble>) -> String {
    match result {
        Err(Trouble::Refused(words)) => words,
        other => panic!("this should have been refused: {other:?}"),
    }
}

pub(crate) fn exported(database: &Database) -> Vec<u8> {
    let mut dump = Vec::new();
    database.export(&mut dump, &copying(&[], None)).unwrap();
    dump
}
