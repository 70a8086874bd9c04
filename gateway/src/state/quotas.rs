//! How much environments may hold.

use policy::{Environment, SiteName};
use rusqlite::{Connection, params};

use super::State;
use super::model::{Model, parse, rows};
use crate::fault::{Fault, OrFault};

/// What was set for an environment; none in a column is no limit, and no row is what the
/// configuration has.
pub(super) const TABLE: &str = "
CREATE TABLE quota (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    bytes INTEGER,
    files INTEGER,
    PRIMARY KEY (site, environment),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
";

/// How much an environment may hold; none is no bound but the disk's.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes.
    pub bytes: Option<u64>,
    /// Files, links and folders.
    pub files: Option<u64>,
}

impl State {
    /// Sets how much an environment may hold.
    ///
    /// # Errors
    /// When the environment does not exist or the change cannot be kept.
    pub fn set_quota(
        &self,
        site: &SiteName,
        environment: &Environment,
        quota: Quota,
    ) -> Result<(), Fault> {
        let doing = "setting a quota";
        let number =
            |limit: Option<u64>| limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO quota (site, environment, bytes, files)
                     VALUES (?, ?, ?, ?)",
                    params![
                        site.as_str(),
                        environment.as_str(),
                        number(quota.bytes),
                        number(quota.files)
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }
}

pub(super) fn load(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    for (site, environment, bytes, files) in rows(
        connection,
        "SELECT site, environment, bytes, files FROM quota",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<i64>>(2)?,
                row.get::<_, Option<i64>>(3)?,
            ))
        },
    )? {
        if let Some(found) = model.environment_mut(&parse(&site)?, &parse(&environment)?) {
            found.quota = Some(Quota {
                bytes: bytes.map(i64::unsigned_abs),
                files: files.map(i64::unsigned_abs),
            });
        }
    }
    Ok(())
}
