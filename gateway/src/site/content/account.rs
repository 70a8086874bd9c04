//! What is written beside a database: where it is, and by which name and password.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use policy::{Environment, SiteName};
use serde::{Deserialize, Serialize};

use super::Servers;
use crate::database::{Database, Engine, Password};
use crate::fault::{Fault, OrFault};
use crate::site::layout::EnvironmentLayout;

/// A database on a server, as it is written into its store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) engine: Engine,
    pub(super) server: String,
    pub(super) name: String,
    pub(super) user: String,
    pub(super) password: Password,
    /// What it is to become: written down before the server is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Password>,
}

/// The file in a store; a store without one is SQLite's.
const FILE: &str = "account.json";

/// The folder in a store that SQLite's files are in.
pub(super) const DATA: &str = "data";

/// The longest name that MySQL takes for a user.
const LONGEST: usize = 32;

impl Account {
    /// Makes up an account that no server has: two gateways may share one.
    pub(super) fn new(
        engine: Engine,
        server: &str,
        site: &SiteName,
        environment: &Environment,
    ) -> Result<Self, Fault> {
        let word = |text: &str, longest: usize| -> String {
            let plain = |character: char| match character {
                'a'..='z' | '0'..='9' => character,
                _other => '_',
            };
            text.chars().take(longest).map(plain).collect()
        };
        let chance = random(5)?.to_lowercase();
        let name = format!(
            "f_{}_{}_{chance}",
            word(site.as_str(), 10),
            word(environment.as_str(), LONGEST - 14 - chance.len())
        );
        Ok(Self {
            engine,
            server: server.to_owned(),
            user: name.clone(),
            name,
            password: password()?,
            next: None,
        })
    }

    /// Reads the account of a store; none for SQLite's.
    pub(super) fn read(store: &Path) -> Result<Option<Self>, Fault> {
        let path = store.join(FILE);
        let doing = || format!("reading {}", path.display());
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).or_fault(doing).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).or_fault(doing),
        }
    }

    /// Writes it into a store, durably: what is made on the server can then be found again.
    pub(super) fn write(&self, store: &Path) -> Result<(), Fault> {
        let doing = || format!("writing the account of {}", store.display());
        let text = serde_json::to_vec_pretty(self).or_fault(doing)?;
        let fresh = store.join(format!("{FILE}.new"));
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .or_fault(doing)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&fresh, store.join(FILE)))
            .and_then(|()| fs::File::open(store)?.sync_all())
            .or_fault(doing)
    }

    /// Returns the database itself.
    pub(super) fn database(&self, servers: &Servers) -> Result<Database, Fault> {
        Ok(Database::Served {
            server: Arc::clone(servers.server(&self.server)?),
            name: self.name.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
        })
    }
}

/// Returns the database of a store.
pub(super) fn database(
    servers: &Servers,
    environment: &EnvironmentLayout,
    store: u64,
) -> Result<Option<Database>, Fault> {
    if store == 0 {
        return Ok(None);
    }
    let path = environment.database_store(store);
    match Account::read(&path)? {
        Some(account) => account.database(servers).map(Some),
        None => Ok(Some(Database::Sqlite {
            folder: path.join(DATA),
        })),
    }
}

/// Makes up a password that no server finds too weak.
pub(super) fn password() -> Result<Password, Fault> {
    // Some servers' rules ask for each kind of character.
    Ok(Password::new(format!("{}-a1", random(20)?)))
}

fn random(bytes: usize) -> Result<String, Fault> {
    let mut chance = vec![0_u8; bytes];
    getrandom::fill(&mut chance)
        .map_err(|error| Fault::new(format!("making up a name: {error}")))?;
    Ok(BASE32_NOPAD.encode(&chance))
}
