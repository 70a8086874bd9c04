//! Connections to the server of a database, and how names and texts are written in a statement.

use super::wire::{Connection, Login, Stream, Wrong};
use crate::database::{Address, Database, Server, Watcher};
use crate::fault::Fault;

/// A database on a server.
pub(super) struct Served<'a> {
    pub(super) server: &'a Server,
    pub(super) name: &'a str,
    pub(super) user: &'a str,
    pub(super) password: &'a str,
}

/// What every connection begins with, whatever the server's defaults are: texts are UTF-8, backslashes
/// escape, times are UTC, and a slow other side is waited for.
const BEGINNING: &str = "SET NAMES utf8mb4, SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,NO_DIR_IN_CREATE,ALLOW_INVALID_DATES', \
     time_zone = '+00:00', net_read_timeout = 3600, net_write_timeout = 3600, \
     sql_quote_show_create = 1, autocommit = 1";

impl<'a> Served<'a> {
    pub(super) fn of(database: &'a Database) -> Result<Self, Fault> {
        match database {
            Database::Served {
                server,
                name,
                user,
                password,
            } => Ok(Self {
                server,
                name,
                user,
                password: password.reveal(),
            }),
            Database::Sqlite { .. } => Err(Fault::new("a database without a server")),
        }
    }

    /// Connects as the gateway's account.
    pub(super) fn as_gateway<'w>(
        &self,
        database: Option<&str>,
        watcher: Option<&'w dyn Watcher>,
    ) -> Result<Connection<'w>, Wrong> {
        let password = self.server.password.as_ref();
        self.open(
            &Login {
                user: &self.server.user,
                password: password.map(|password| password.reveal()),
                database,
                files: false,
            },
            watcher,
        )
    }

    /// Connects as the user who owns the database, and nothing else.
    pub(super) fn as_owner<'w>(
        &self,
        watcher: Option<&'w dyn Watcher>,
    ) -> Result<Connection<'w>, Wrong> {
        self.open(&self.owner(false), watcher)
    }

    /// As [`Served::as_owner`], able to load what this process sends.
    pub(super) fn as_owner_who_loads<'w>(
        &self,
        watcher: Option<&'w dyn Watcher>,
    ) -> Result<Connection<'w>, Wrong> {
        self.open(&self.owner(true), watcher)
    }

    fn owner(&self, files: bool) -> Login<'_> {
        Login {
            user: self.user,
            password: Some(self.password),
            database: Some(self.name),
            files,
        }
    }

    fn open<'w>(
        &self,
        login: &Login<'_>,
        watcher: Option<&'w dyn Watcher>,
    ) -> Result<Connection<'w>, Wrong> {
        let stream = Stream::connect(&self.server.address)?;
        let mut connection = Connection::open(stream, login, watcher)?;
        connection.run(BEGINNING)?;
        Ok(connection)
    }

    /// The hosts for which the user is made: what comes over TCP from this machine may be known as
    /// `localhost`, and an account of another name for that host would else be taken before ours.
    pub(super) fn hosts(&self) -> &'static [&'static str] {
        match self.server.address {
            Address::Socket(_) => &["localhost"],
            Address::Tcp { .. } => &["%", "localhost"],
        }
    }
}

/// A name as a statement spells it.
pub(super) fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as a statement spells it.
pub(super) fn text(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len() + 2);
    spelled.push('\'');
    for character in text.chars() {
        match character {
            '\'' | '\\' => {
                spelled.push('\\');
                spelled.push(character);
            }
            '\0' => spelled.push_str("\\0"),
            '\x1a' => spelled.push_str("\\Z"),
            _ => spelled.push(character),
        }
    }
    spelled.push('\'');
    spelled
}

/// A name of a database where `%` and `_` would stand for others.
pub(super) fn plain_pattern(of: &str) -> String {
    name(
        &of.replace('\\', "\\\\")
            .replace('_', "\\_")
            .replace('%', "\\%"),
    )
}

/// Whether this is MariaDB, and no other that speaks its protocol.
pub(super) fn is_mariadb(server: &mut Connection<'_>) -> Result<bool, Wrong> {
    let version = server.one("SELECT VERSION()")?.unwrap_or_default();
    Ok(version.contains("MariaDB"))
}

#[cfg(test)]
mod tests {
    use super::{name, plain_pattern, text};

    #[test]
    fn names_and_texts_stay_what_they_are() {
        assert_eq!(name("a`b"), "`a``b`");
        assert_eq!(text("it's \\ \0"), "'it\\'s \\\\ \\0'");
        assert_eq!(plain_pattern("f_a%"), "`f\\_a\\%`");
    }
}
