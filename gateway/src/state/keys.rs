//! Reads and writes public keys and the authorities of certificates.

use std::collections::BTreeSet;
use std::str::FromStr;

use policy::Limits;
use rusqlite::{Connection, params};

use super::State;
use super::model::{Authority, Key, Model, parse, rows};
use crate::fault::{Fault, OrFault};

impl State {
    /// Adds a key to a person that exists.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_key(&self, key: &Key) -> Result<(), Fault> {
        let doing = "adding a key";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO key (id, person, line, fingerprint, comment, created, expires,
                         sources, sites, environments, actions)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                    params![
                        key.id,
                        key.person.as_str(),
                        key.line,
                        key.fingerprint,
                        key.comment,
                        key.created.to_string(),
                        key.expires.map(|end| end.to_string()),
                        key.sources,
                        words(&key.limits.sites),
                        words(&key.limits.environments),
                        words(&key.limits.actions),
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Removes the key with this fingerprint.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_key(&self, fingerprint: &str) -> Result<(), Fault> {
        let doing = "removing a key";
        self.change(doing, |transaction| {
            transaction
                .execute("DELETE FROM key WHERE fingerprint = ?1", [fingerprint])
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Trusts an authority.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_authority(&self, authority: &Authority) -> Result<(), Fault> {
        let doing = "adding an authority";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO authority (fingerprint, name, line, created)
                     VALUES (?1, ?2, ?3, ?4)",
                    params![
                        authority.fingerprint,
                        authority.name,
                        authority.line,
                        authority.created.to_string(),
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Trusts an authority no more.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_authority(&self, fingerprint: &str) -> Result<(), Fault> {
        let doing = "removing an authority";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "DELETE FROM authority WHERE fingerprint = ?1",
                    [fingerprint],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }
}

/// Reads keys and authorities into the model.
pub(super) fn load(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    let keys = rows(
        connection,
        "SELECT id, person, line, fingerprint, comment, created, expires, sources, sites,
             environments, actions FROM key",
        |row| {
            let texts: [String; 6] = [
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ];
            let ends: [Option<String>; 2] = [row.get(6)?, row.get(7)?];
            let limits: [String; 3] = [row.get(8)?, row.get(9)?, row.get(10)?];
            Ok((texts, ends, limits))
        },
    )?;
    for (texts, [expires, sources], [sites, environments, actions]) in keys {
        let [id, person, line, fingerprint, comment, created] = texts;
        let key = Key {
            id,
            person: parse(&person)?,
            line,
            fingerprint: fingerprint.clone(),
            comment,
            created: parse(&created)?,
            limits: Limits {
                passing: expires.is_some() || sources.is_some(),
                sites: set(&sites)?,
                environments: set(&environments)?,
                actions: set(&actions)?,
            },
            expires: expires.map(|end| parse(&end)).transpose()?,
            sources,
        };
        model.keys.insert(fingerprint, key);
    }
    for (fingerprint, name, line, created) in rows(
        connection,
        "SELECT fingerprint, name, line, created FROM authority",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
            ))
        },
    )? {
        let authority = Authority {
            name,
            line,
            fingerprint: fingerprint.clone(),
            created: parse(&created)?,
        };
        model.authorities.insert(fingerprint, authority);
    }
    Ok(())
}

fn words<T: ToString>(set: &BTreeSet<T>) -> String {
    let words: Vec<String> = set.iter().map(ToString::to_string).collect();
    words.join(" ")
}

fn set<T: FromStr + Ord>(words: &str) -> Result<BTreeSet<T>, Fault>
where
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    words.split_whitespace().map(parse).collect()
}
