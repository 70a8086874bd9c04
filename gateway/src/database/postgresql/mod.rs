//! PostgreSQL: a database and its owner, a role of the same site, for each content.

mod connect;
mod copy;
mod export;
mod import;
mod load;
mod programs;
mod rows;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod words;

use postgres::SimpleQueryMessage;

use super::{Database, Password, Table};
use crate::fault::{Fault, OrFault};
use connect::{Served, as_gateway, as_owner, literal, quoted, served};

pub(super) use copy::copy;
pub(super) use export::export;
pub(super) use import::import;

/// The database from which others are made and removed.
const MAINTENANCE: &str = "postgres";

/// What a role may, beside owning its database: nothing.
const RIGHTS: &str = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS";

pub(super) fn create(database: &Database) -> Result<(), Fault> {
    let served = served(database)?;
    let doing = || format!("making the database {}", served.name);
    let mut client = as_gateway(served.server, MAINTENANCE)?;
    let there = client
        .query(
            "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1",
            &[&served.user],
        )
        .or_fault(doing)?;
    let verb = if there.is_empty() { "CREATE" } else { "ALTER" };
    client
        .batch_execute(&format!(
            "{verb} ROLE {} {RIGHTS} PASSWORD {}",
            quoted(served.user),
            secret(served.password)
        ))
        .or_fault(doing)?;
    let own = client
        .query(
            "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user",
            &[],
        )
        .or_fault(doing)?;
    if !own.iter().any(|row| row.get(0)) {
        // Who is no superuser gives away a database, or ends its connections, only as a member.
        client
            .batch_execute(&format!("GRANT {} TO CURRENT_USER", quoted(served.user)))
            .or_fault(doing)?;
    }
    let there = client
        .query(
            "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1",
            &[&served.name],
        )
        .or_fault(doing)?;
    let name = quoted(served.name);
    if there.is_empty() {
        client
            .batch_execute(&format!(
                "CREATE DATABASE {name} OWNER {} TEMPLATE template0 ENCODING 'UTF8'",
                quoted(served.user)
            ))
            .or_fault(doing)?;
    }
    crate::crash::point("a database is made and still open to all users of its server");
    client
        .batch_execute(&format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"))
        .or_fault(doing)?;
    let version = version(&mut client)?;
    if version < 15 {
        let mut client = as_gateway(served.server, served.name)?;
        client
            .batch_execute(&format!(
                "ALTER SCHEMA public OWNER TO {}",
                quoted(served.user)
            ))
            .or_fault(doing)?;
    }
    Ok(())
}

/// What stands for a password in a statement, which a server may log.
fn secret(password: &Password) -> String {
    literal(&postgres_protocol::password::scram_sha_256(
        password.reveal().as_bytes(),
    ))
}

/// Returns the number before the point of a server's version.
fn version(client: &mut postgres::Client) -> Result<u32, Fault> {
    let doing = || "asking a server for its version";
    let row = client
        .query_one("SELECT current_setting('server_version_num')", &[])
        .or_fault(doing)?;
    let number: u32 = row.get::<_, String>(0).parse().or_fault(doing)?;
    Ok(number / 10_000)
}

pub(super) fn remove(database: &Database) -> Result<(), Fault> {
    let served = served(database)?;
    let doing = || format!("removing the database {}", served.name);
    let mut client = as_gateway(served.server, MAINTENANCE)?;
    client
        .batch_execute(&format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quoted(served.name)
        ))
        .or_fault(doing)?;
    client
        .batch_execute(&format!("DROP ROLE IF EXISTS {}", quoted(served.user)))
        .or_fault(doing)
}

pub(super) fn set_password(database: &Database, password: &Password) -> Result<(), Fault> {
    let served = served(database)?;
    as_gateway(served.server, MAINTENANCE)?
        .batch_execute(&format!(
            "ALTER ROLE {} PASSWORD {}",
            quoted(served.user),
            secret(password)
        ))
        .or_fault(|| format!("changing the password of {}", served.user))
}

pub(super) fn tables(database: &Database) -> Result<Vec<Table>, Fault> {
    let served = served(database)?;
    let rows = as_owner(served)?
        .query(
            "SELECT CASE WHEN n.nspname = 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END, \
                    (CASE WHEN c.reltuples >= 0 THEN c.reltuples \
                          ELSE coalesce(pg_catalog.pg_stat_get_live_tuples(c.oid), 0) END)::int8, \
                    pg_catalog.pg_total_relation_size(c.oid) \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
               AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass \
                               AND d.objid = c.oid AND d.deptype = 'e') \
             ORDER BY 1",
            &[],
        )
        .or_fault(|| format!("listing the tables of {}", served.name))?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(rows
        .iter()
        .map(|row| Table {
            name: row.get(0),
            engine: None,
            rows: count(row.get(1)),
            bytes: count(row.get(2)),
        })
        .collect())
}

pub(super) fn query(database: &Database, sql: &str) -> Result<Vec<String>, Fault> {
    let served: Served<'_> = served(database)?;
    let mut client = as_owner(served)?;
    let doing = || format!("asking the database {}", served.name);
    client.batch_execute("RESET search_path").or_fault(doing)?;
    let answers = client.simple_query(sql).or_fault(doing)?;
    Ok(answers
        .iter()
        .filter_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        })
        .collect())
}
