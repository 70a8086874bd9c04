//! Which sites' steps reach the network.

use policy::SiteName;
use rusqlite::Connection;

use super::State;
use super::model::{Model, parse, rows};
use crate::fault::{Fault, OrFault};

pub(super) const TABLE: &str = "
CREATE TABLE step_network (
    site TEXT PRIMARY KEY REFERENCES site(name) ON DELETE CASCADE
) STRICT;
";

impl State {
    /// Lets the steps of a site reach the network, or not.
    ///
    /// # Errors
    /// When the site does not exist or the change cannot be kept.
    pub fn set_step_network(&self, site: &SiteName, allowed: bool) -> Result<(), Fault> {
        let doing = "saying whether steps reach the network";
        self.change(doing, |transaction| {
            let statement = if allowed {
                "INSERT OR IGNORE INTO step_network (site) VALUES (?)"
            } else {
                "DELETE FROM step_network WHERE site = ?"
            };
            transaction
                .execute(statement, [site.as_str()])
                .or_fault(|| doing)?;
            Ok(())
        })
    }
}

pub(super) fn load(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    for name in rows(connection, "SELECT site FROM step_network", |row| {
        row.get::<_, String>(0)
    })? {
        if let Some(site) = model.sites.get_mut(&parse::<SiteName>(&name)?) {
            site.step_network = true;
        }
    }
    Ok(())
}
