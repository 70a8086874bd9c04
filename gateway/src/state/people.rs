//! Writes people.

use jiff::Timestamp;
use policy::PersonName;
use rusqlite::params;

use super::State;
use crate::fault::{Fault, OrFault};

impl State {
    /// Adds a person, or changes the address and standing of one that exists.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_person(
        &self,
        name: &PersonName,
        email: Option<&str>,
        administrator: Option<bool>,
    ) -> Result<(), Fault> {
        let doing = "adding a person";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO person (name, email, administrator, created) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (name) DO UPDATE SET
                         email = coalesce(?2, email), administrator = coalesce(?5, administrator)",
                    params![
                        name.as_str(),
                        email,
                        administrator.unwrap_or_default(),
                        Timestamp::now().to_string(),
                        administrator
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Removes a person with their keys and memberships. Returns whether there was one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_person(&self, name: &PersonName) -> Result<bool, Fault> {
        let doing = "removing a person";
        self.change(doing, |transaction| {
            let removed = transaction
                .execute("DELETE FROM person WHERE name = ?1", [name.as_str()])
                .or_fault(|| doing)?;
            Ok(removed > 0)
        })
    }
}
