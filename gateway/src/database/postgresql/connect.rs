//! Connections to PostgreSQL, and what its errors mean.

use std::path::Path;
use std::time::Duration;

use postgres::error::{ErrorPosition, SqlState};
use postgres::{Client, Config, Error, NoTls};

use crate::database::{Address, Database, Password, Server, Trouble};
use crate::fault::{Fault, OrFault};

/// The parts of a database on a server.
#[derive(Clone, Copy)]
pub(super) struct Served<'a> {
    pub(super) server: &'a Server,
    pub(super) name: &'a str,
    pub(super) user: &'a str,
    pub(super) password: &'a Password,
}

pub(super) fn served(database: &Database) -> Result<Served<'_>, Fault> {
    match database {
        Database::Served {
            server,
            name,
            user,
            password,
        } => Ok(Served {
            server,
            name,
            user,
            password,
        }),
        Database::Sqlite { .. } => Err(Fault::new("SQLite's folder was taken for PostgreSQL")),
    }
}

/// Where a server listens, as its programs take it: a host or a folder of sockets, and a port.
pub(super) fn place(server: &Server) -> (String, u16) {
    match &server.address {
        Address::Tcp { host, port } => (host.clone(), *port),
        Address::Socket(path) => {
            // It is called `.s.PGSQL.5432` after its port.
            let port = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_prefix(".s.PGSQL."))
                .and_then(|port| port.parse().ok());
            let folder = match port {
                Some(_) => path.parent().unwrap_or(Path::new("/")),
                None => path,
            };
            (folder.to_string_lossy().into_owned(), port.unwrap_or(5432))
        }
    }
}

fn connect(
    server: &Server,
    database: &str,
    user: &str,
    password: Option<&Password>,
) -> Result<Client, Fault> {
    let (host, port) = place(server);
    let mut config = Config::new();
    config
        .host(&host)
        .port(port)
        .user(user)
        .dbname(database)
        .application_name("funicular")
        .connect_timeout(Duration::from_secs(10))
        .notice_callback(|_notice| {});
    if let Some(password) = password {
        config.password(password.reveal());
    }
    config
        .connect(NoTls)
        .or_fault(|| format!("connecting to the database server {}", server.name))
}

/// Connects as the gateway's own account.
pub(super) fn as_gateway(server: &Server, database: &str) -> Result<Client, Fault> {
    connect(server, database, &server.user, server.password.as_ref())
}

/// Connects as the user who owns a database.
pub(super) fn as_owner(served: Served<'_>) -> Result<Client, Fault> {
    let mut client = connect(
        served.server,
        served.name,
        served.user,
        Some(served.password),
    )?;
    // What has not been synced is either checked and synced as a whole later, or thrown away.
    client
        .batch_execute(
            "SET synchronous_commit = off; SET row_security = off; SET search_path = ''; \
             SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
             SET maintenance_work_mem = '256MB'",
        )
        .or_fault(|| "preparing a connection to a database")?;
    Ok(client)
}

/// Quotes a name.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text.
pub(super) fn literal(text: &str) -> String {
    // `E` makes it one and the same whatever standard_conforming_strings says.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Whether an error is the server's or ours, and none that a person could mend.
fn is_ours(error: &Error) -> bool {
    let Some(code) = error.code() else {
        return true;
    };
    // Connection, resources, operator's intervention, system, internal.
    *code != SqlState::QUERY_CANCELED
        && ["08", "53", "57", "58", "XX"]
            .iter()
            .any(|class| code.code().starts_with(class))
}

/// Tells of an error in a statement that begins in a line of a dump.
pub(super) fn wrong(error: Error, sql: &str, line: u64) -> Trouble {
    if is_ours(&error) {
        return fault(error, || format!("importing line {line}"));
    }
    let Some(told) = error.as_db_error() else {
        return fault(error, || format!("importing line {line}"));
    };
    let (mut line, mut near) = (line, sql);
    if let Some(ErrorPosition::Original(position)) = told.position() {
        let before = usize::try_from(*position).unwrap_or(1).saturating_sub(1);
        let at = sql.char_indices().nth(before).map_or(0, |(at, _)| at);
        let (passed, rest) = sql.split_at(at);
        line += passed.bytes().filter(|byte| *byte == b'\n').count() as u64;
        near = rest;
    }
    let near: String = near.chars().take(60).collect();
    let more = told
        .detail()
        .map_or(String::new(), |detail| format!(" ({detail})"));
    Trouble::Refused(format!(
        "line {line}: {}{more}, near “{}”",
        told.message(),
        near.trim()
    ))
}

/// Tells of an error in rows that begin in a line of a dump, or come from another database.
pub(super) fn wrong_rows(error: Error, what: &str) -> Trouble {
    if is_ours(&error) {
        return fault(error, || format!("filling {what}"));
    }
    match error.as_db_error() {
        Some(told) => {
            let place = told.where_().and_then(|place| place.lines().next());
            Trouble::Refused(format!(
                "{what}: {} ({})",
                told.message(),
                place.unwrap_or("in its rows")
            ))
        }
        None => fault(error, || format!("filling {what}")),
    }
}

/// An error that is nobody's but ours.
pub(super) fn fault(error: Error, doing: impl FnOnce() -> String) -> Trouble {
    match Err::<(), _>(error).or_fault(doing) {
        Ok(()) => Trouble::Stopped,
        Err(fault) => Trouble::Fault(fault),
    }
}

/// Takes the server's error out of that of a stream.
pub(super) fn from_stream(error: std::io::Error) -> Result<Error, std::io::Error> {
    if error.get_ref().is_some_and(|inner| inner.is::<Error>())
        && let Some(inner) = error.into_inner()
    {
        return inner
            .downcast::<Error>()
            .map(|error| *error)
            .map_err(std::io::Error::other);
    }
    Err(std::io::Error::other("the connection was lost"))
}
