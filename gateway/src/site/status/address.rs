//! The address that visitors use: its name, its certificate, its answer. Asked is only what the server's
//! administrator has set with `env:set SITE.ENV url`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::ground::Ground;
use super::{Check, certificate};
use crate::site::probe;

/// How long each answer may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What systems say on a page that they send with status 200.
const BROKEN: [&str; 5] = [
    "There has been a critical error on this website",
    "Error establishing a database connection",
    "The website encountered an unexpected error",
    "<b>Fatal error</b>",
    "<b>Parse error</b>",
];

/// An address in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub secure: bool,
    /// In small letters, without a port; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

impl Address {
    /// Reads `http://host…` or `https://host…`.
    pub(super) fn read(url: &str) -> Option<Self> {
        let (secure, rest) = match url.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _other => return None,
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let authority = authority.rsplit('@').next()?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => {
                (host, port.parse().ok()?)
            }
            _plain => (authority, if secure { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Self {
            secure,
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

pub(super) fn checks(ground: &Ground<'_>, checks: &mut Vec<Check>) {
    let Some(url) = &ground.state.front.url else {
        let why = format!(
            "No address is set; the server's administrator sets one: env:set {} url https://HOST.",
            ground.place()
        );
        for name in ["domain", "certificate", "answer"] {
            checks.push(Check::skipped(name, why.clone()));
        }
        return;
    };
    let Some(address) = Address::read(url) else {
        checks.push(Check::failure(
            "domain",
            "The address that is set is none.",
            format!("env:set {} url https://HOST.", ground.place()),
        ));
        return;
    };
    let found = resolved(&address);
    checks.push(domain(&address, &found));
    let Ok(sockets) = found else {
        for name in ["certificate", "answer"] {
            checks.push(Check::skipped(name, "Its name leads nowhere."));
        }
        return;
    };
    let authorities = ground.sites.targets.authorities();
    checks.push(if address.secure {
        let seen = certificate::look(&address.host, &sockets, authorities, TIMEOUT);
        certificate::check(seen, ground.now, &address.host)
    } else if ground.is_live() {
        Check::warning(
            "certificate",
            "Visitors come without encryption.",
            "Get a certificate and set the address with https.",
        )
    } else {
        Check::skipped("certificate", "The address has no encryption.")
    });
    let page = format!("{}/", url.trim_end_matches('/'));
    checks.push(answer(probe::look(&page, authorities, TIMEOUT)));
}

fn resolved(address: &Address) -> Result<Vec<SocketAddr>, String> {
    let found: Vec<SocketAddr> = (address.host.as_str(), address.port)
        .to_socket_addrs()
        .map_err(|error| error.to_string())?
        .collect();
    if found.is_empty() {
        return Err("it has no address".to_owned());
    }
    Ok(found)
}

fn domain(address: &Address, found: &Result<Vec<SocketAddr>, String>) -> Check {
    match found {
        Ok(sockets) => {
            let mut addresses: Vec<String> = sockets
                .iter()
                .map(|socket| socket.ip().to_string())
                .collect();
            addresses.sort_unstable();
            addresses.dedup();
            Check::ok(
                "domain",
                format!("{} leads to {}.", address.host, addresses.join(", ")),
            )
        }
        Err(why) => Check::failure(
            "domain",
            format!("{} leads nowhere: {why}.", address.host),
            "Set its DNS records (A and AAAA), or correct the address: env:set SITE.ENV url.",
        ),
    }
}

pub(super) fn answer(answer: Result<(u16, String), String>) -> Check {
    const NAME: &str = "answer";
    match answer {
        Err(why) => Check::failure(
            NAME,
            format!("The site does not answer: {why}."),
            "Look whether the web server runs and serves this name.",
        ),
        Ok((status, page)) => {
            let broken = BROKEN.iter().find(|words| page.contains(**words));
            match (status, broken) {
                (_, Some(words)) => Check::failure(
                    NAME,
                    format!(
                        "The front page answers {status} and says \"{}\".",
                        plain(words)
                    ),
                    "Look into the site's error log.",
                ),
                (200..=399, None) => Check::ok(NAME, format!("The front page answers {status}.")),
                (401 | 403, None) => Check::warning(
                    NAME,
                    format!("The front page answers {status}: visitors are kept out."),
                    "If that is meant, all is well; before a launch take the lock away.",
                ),
                _error => Check::failure(
                    NAME,
                    format!("The front page answers {status}."),
                    "Look into the logs of the web server and of the site.",
                ),
            }
        }
    }
}

/// Words without their tags.
fn plain(words: &str) -> String {
    words.replace("<b>", "").replace("</b>", "")
}
