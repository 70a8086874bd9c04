//! A database and the user who owns it: made, taken away, given another password.

use super::server::{Served, name, plain_pattern, text};
use super::wire::{Connection, Wrong};
use crate::database::Password;
use crate::fault::{Fault, OrFault};

/// What kills, or waits for, what is not there any more.
const NO_SUCH_THREAD: u16 = 1094;
const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// How often removing is tried while something holds on to the database.
const TRIES: usize = 10;

pub(super) fn create(served: &Served<'_>) -> Result<(), Fault> {
    created(served).or_fault(|| format!("making the database {}", served.name))
}

fn created(served: &Served<'_>) -> Result<(), Wrong> {
    let mut server = served.as_gateway(None, None)?;
    let database = name(served.name);
    server.run(format!(
        "CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4"
    ))?;
    for host in served.hosts() {
        let user = user(served, host);
        server.run(format!("CREATE USER IF NOT EXISTS {user}"))?;
        let password = text(served.password);
        server.run(format!("ALTER USER {user} IDENTIFIED BY {password}"))?;
        let on = plain_pattern(served.name);
        server.run(format!("GRANT ALL PRIVILEGES ON {on}.* TO {user}"))?;
    }
    Ok(())
}

pub(super) fn remove(served: &Served<'_>) -> Result<(), Fault> {
    removed(served).or_fault(|| format!("removing the database {}", served.name))
}

fn removed(served: &Served<'_>) -> Result<(), Wrong> {
    let mut server = served.as_gateway(None, None)?;
    server.run("SET SESSION lock_wait_timeout = 1")?;
    // Nobody comes in any more before those who are in are sent out.
    for host in served.hosts() {
        server.run(format!("DROP USER IF EXISTS {}", user(served, host)))?;
    }
    let drop = format!("DROP DATABASE IF EXISTS {}", name(served.name));
    let mut tries = 0;
    loop {
        end_connections(&mut server, served)?;
        tries += 1;
        match server.run(&drop) {
            Err(wrong) if wrong.code() == LOCK_WAIT_TIMEOUT && tries < TRIES => {}
            other => return other.map(|_done| ()),
        }
    }
}

fn end_connections(server: &mut Connection<'_>, served: &Served<'_>) -> Result<(), Wrong> {
    let connections = server.texts(format!(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE (DB = {} OR USER = {}) \
         AND ID <> CONNECTION_ID()",
        text(served.name),
        text(served.user)
    ))?;
    for id in connections.iter().flatten() {
        match server.run(format!("KILL CONNECTION {id}")) {
            Err(wrong) if wrong.code() != NO_SUCH_THREAD => return Err(wrong),
            _ended => {}
        }
    }
    Ok(())
}

pub(super) fn set_password(served: &Served<'_>, password: &Password) -> Result<(), Fault> {
    let set = || {
        let mut server = served.as_gateway(None, None)?;
        for host in served.hosts() {
            server.run(format!(
                "ALTER USER {} IDENTIFIED BY {}",
                user(served, host),
                text(password.reveal())
            ))?;
        }
        Ok::<(), Wrong>(())
    };
    set().or_fault(|| format!("giving the database {} another password", served.name))
}

fn user(served: &Served<'_>, host: &str) -> String {
    format!("{}@{}", text(served.user), text(host))
}
