//! The servers of databases that the administrator has named.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config;
use crate::database::{Address, Engine, Password, Server};
use crate::fault::{Fault, OrFault};

/// The servers, by name.
#[derive(Debug, Default)]
pub struct Servers {
    known: BTreeMap<String, (Arc<Server>, Option<String>)>,
}

impl Servers {
    /// Reads what the configuration says, passwords from their files too.
    ///
    /// # Errors
    /// When a file cannot be read, or a server is named twice.
    pub fn new(settings: &[config::DatabaseServer]) -> Result<Self, Fault> {
        let mut known = BTreeMap::new();
        for one in settings {
            let server = Server {
                name: one.name.clone(),
                engine: one.engine.parse()?,
                address: address(&one.address)?,
                user: one.user.clone(),
                password: one
                    .password_file
                    .as_ref()
                    .map(|path| {
                        std::fs::read_to_string(path)
                            .map(|text| {
                                Password::new(text.trim_end_matches(['\r', '\n']).to_owned())
                            })
                            .or_fault(|| {
                                format!(
                                    "reading the password of the database server '{}' from {}",
                                    one.name,
                                    path.display()
                                )
                            })
                    })
                    .transpose()?,
            };
            if server.engine == Engine::Sqlite {
                return Err(Fault::new(format!(
                    "the database server '{}' is said to be SQLite, which has none",
                    one.name
                )));
            }
            let kept = (Arc::new(server), one.site_address.clone());
            if known.insert(one.name.clone(), kept).is_some() {
                return Err(Fault::new(format!(
                    "two database servers are named '{}'",
                    one.name
                )));
            }
        }
        Ok(Self { known })
    }

    /// Returns a server by its name.
    ///
    /// # Errors
    /// When the configuration does not name it any more.
    pub fn server(&self, name: &str) -> Result<&Arc<Server>, Fault> {
        self.known
            .get(name)
            .map(|(server, _)| server)
            .ok_or_else(|| {
                Fault::new(format!(
                    "the configuration names no database server '{name}'"
                ))
            })
    }

    /// Returns where sites reach a server: as it is configured for them, or as the gateway does.
    pub(in crate::site) fn for_sites(&self, server: &Server) -> Address {
        self.known
            .get(&server.name)
            .and_then(|(_, told)| told.as_deref())
            .and_then(|told| address(told).ok())
            .unwrap_or_else(|| server.address.clone())
    }

    /// Returns the server for an engine: the one that is named, or the only one.
    pub fn choose(&self, engine: Engine, name: Option<&str>) -> Result<&Arc<Server>, String> {
        let mut fitting = self
            .known
            .values()
            .map(|(server, _)| server)
            .filter(|server| server.engine == engine)
            .filter(|server| name.is_none_or(|name| name == server.name));
        let asks = || match name {
            Some(name) => format!("the server '{}'", policy::escape(name.as_bytes())),
            None => "a server".to_owned(),
        };
        match (fitting.next(), fitting.next()) {
            (Some(server), None) => Ok(server),
            (Some(_), Some(_)) => Err(format!(
                "This gateway knows several servers of {}; name one of them.",
                engine.as_str()
            )),
            (None, _) => Err(format!(
                "This gateway does not know {} of {}; its administrator names it in the configuration: [[database_server]].",
                asks(),
                engine.as_str()
            )),
        }
    }
}

/// A socket's path, or `HOST:PORT`.
fn address(text: &str) -> Result<Address, Fault> {
    if text.starts_with('/') {
        return Ok(Address::Socket(text.into()));
    }
    let (host, port) = text
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or_else(|| {
            Fault::new(format!(
                "'{text}' is no address of a database server: HOST:PORT, or the path of a socket"
            ))
        })?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    Ok(Address::Tcp {
        host: bare.unwrap_or(host).to_owned(),
        port,
    })
}
