//! Where databases are.

use policy::{Environment, SiteName};
use rusqlite::{Connection, params};

use super::State;
use super::model::{Model, parse, rows};
use crate::fault::{Fault, OrFault};

/// Added by the second version of the tables.
pub(super) const TABLE: &str = "
CREATE TABLE database (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (site, environment),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
";

impl State {
    /// Says where an environment's database is, as `HOST:PORT`, or that it has none.
    ///
    /// # Errors
    /// When the environment does not exist or the change cannot be kept.
    pub fn set_database(
        &self,
        site: &SiteName,
        environment: &Environment,
        address: Option<&str>,
    ) -> Result<(), Fault> {
        let doing = "saying where a database is";
        self.change(doing, |transaction| {
            let (site, environment) = (site.as_str(), environment.as_str());
            match address {
                Some(address) => transaction.execute(
                    "INSERT OR REPLACE INTO database (site, environment, address) VALUES (?, ?, ?)",
                    params![site, environment, address],
                ),
                None => transaction.execute(
                    "DELETE FROM database WHERE site = ? AND environment = ?",
                    params![site, environment],
                ),
            }
            .or_fault(|| doing)?;
            Ok(())
        })
    }
}

pub(super) fn load(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    for (site, environment, address) in rows(
        connection,
        "SELECT site, environment, address FROM database",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
            ))
        },
    )? {
        if let Some(found) = model.environment_mut(&parse(&site)?, &parse(&environment)?) {
            found.database = Some(address);
        }
    }
    Ok(())
}
