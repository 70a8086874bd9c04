//! An environment's database: where it is, and a connection to it.

use std::time::Duration;

use policy::Action;
use tokio::net::TcpStream;

use crate::audit::Outcome;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::state::State;

use super::{Sites, runtime};

/// The time that a database has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says where an environment's database is, as `HOST:PORT`, or that it has none.
///
/// # Errors
/// When it cannot be kept.
pub fn set(sites: &Sites, mut permit: Permit, address: Option<&str>) -> Result<(), Fault> {
    permit.describe(match address {
        Some(address) => format!("to {address}"),
        None => "to none".to_owned(),
    });
    let (site, environment) = (permit.site()?, permit.environment()?);
    sites.state.set_database(site, environment, address)?;
    runtime::refresh(sites, &permit, site, environment);
    permit.finish(Outcome::Done)
}

/// Connects to the environment's database; what the permit is for.
///
/// # Errors
/// When nobody answers there.
pub async fn connect(state: &State, permit: &Permit) -> Result<TcpStream, Fault> {
    if permit.action() != Action::ConnectDatabase {
        return Err(Fault::new("a permit for a database was expected"));
    }
    let model = state.model();
    let address = model
        .environment(permit.site()?, permit.environment()?)
        .and_then(|environment| environment.database_address().map(str::to_owned))
        .ok_or_else(|| Fault::new("the database was taken away meanwhile"))?;
    let doing = || format!("connecting to the database at {address}");
    let stream = tokio::time::timeout(PATIENCE, TcpStream::connect(&address))
        .await
        .or_fault(doing)?
        .or_fault(doing)?;
    stream.set_nodelay(true).or_fault(doing)?;
    Ok(stream)
}

/// Returns an address as it is kept, `HOST:PORT`, if it is one.
pub fn address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    let host = host.to_ascii_lowercase();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let fits = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
    };
    fits.then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for (text, kept) in [
            ("127.0.0.1:3306", Some("127.0.0.1:3306")),
            ("DB.example:03306", Some("db.example:3306")),
            ("[::1]:3306", Some("[::1]:3306")),
            ("::1:3306", None),
            ("db.example", None),
            ("db.example:0", None),
            ("db.example:65536", None),
            (":3306", None),
            ("a b:3306", None),
            ("/run/mysqld.sock:1", None),
            ("none", None),
        ] {
            assert_eq!(address(text).as_deref(), kept, "{text}");
        }
    }
}
