//! From which addresses a key or certificate may be used.

use std::net::IpAddr;
use std::str::FromStr;

use crate::config::Network;
use crate::pattern::matches;

/// Addresses, as OpenSSH lists them for `from=` (sshd(8)) and `source-address` (ssh-keygen(1)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    excluded: bool,
    pattern: Pattern,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Network(Network),
    /// An address with `*` and `?`.
    Wildcards(String),
}

impl Sources {
    /// Returns true if somebody may come from this address. What is no address is nowhere.
    pub fn hold(&self, address: &str) -> bool {
        let Ok(address) = address.parse::<IpAddr>() else {
            return false;
        };
        let address = address.to_canonical();
        let mut held = false;
        for source in &self.0 {
            let fits = match &source.pattern {
                Pattern::Network(network) => network.contains(address),
                Pattern::Wildcards(pattern) => {
                    matches(pattern.as_bytes(), address.to_string().as_bytes())
                }
            };
            if fits && source.excluded {
                return false;
            }
            held |= fits;
        }
        held
    }

    /// Reads the value of `source-address`: networks only, none excluded.
    ///
    /// # Errors
    /// With a sentence.
    pub fn networks(text: &str) -> Result<Self, String> {
        let sources: Self = text.parse()?;
        let plain = sources
            .0
            .iter()
            .all(|source| !source.excluded && matches!(source.pattern, Pattern::Network(_)));
        if plain {
            Ok(sources)
        } else {
            Err(format!(
                "'{}' is no list of networks.",
                policy::escape(text.as_bytes())
            ))
        }
    }
}

impl FromStr for Sources {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let sources = text
            .split(',')
            .map(|one| source(one.trim()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self(sources))
    }
}

fn source(text: &str) -> Result<Source, String> {
    let (excluded, plain) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let unreadable = || {
        format!(
            "'{}' is no address: give addresses (192.0.2.7, 2001:db8::7), networks (192.0.2.0/24) or patterns of them (192.0.2.*); names of hosts are not looked up.",
            policy::escape(text.as_bytes())
        )
    };
    let address_like = |byte: u8| byte.is_ascii_hexdigit() || b".:*?".contains(&byte);
    let pattern = if plain.contains(['*', '?']) {
        if !plain.bytes().all(address_like) {
            return Err(unreadable());
        }
        Pattern::Wildcards(plain.to_ascii_lowercase())
    } else {
        let network = Network::try_from(plain.to_owned()).map_err(|_| unreadable())?;
        Pattern::Network(network)
    };
    Ok(Source { excluded, pattern })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(sources: &str, address: &str) -> bool {
        sources.parse::<Sources>().unwrap().hold(address)
    }

    #[test]
    fn addresses_networks_and_patterns_hold_what_they_say() {
        assert!(hold("192.0.2.7", "192.0.2.7"));
        assert!(!hold("192.0.2.7", "192.0.2.70"));
        assert!(hold("10.0.0.0/8,192.0.2.0/24", "192.0.2.255"));
        assert!(!hold("10.0.0.0/8,192.0.2.0/24", "192.0.3.0"));
        assert!(hold("0.0.0.0/0", "198.51.100.1"));
        assert!(!hold("0.0.0.0/0", "2001:db8::1"));
        assert!(hold("2001:db8::/32", "2001:db8:1::1"));
        assert!(!hold("2001:db8::/32", "2001:db9::1"));
        assert!(hold("::/0", "2001:db8::1"));
        assert!(hold("127.0.0.1/32", "::ffff:127.0.0.1"));
        assert!(hold("192.0.2.*", "192.0.2.7"));
        assert!(!hold("192.0.2.?", "192.0.2.77"));
        assert!(!hold("192.0.2.*,!192.0.2.7", "192.0.2.7"));
        assert!(!hold("!192.0.2.7", "192.0.2.8"));
        assert!(!hold("0.0.0.0/0", "local"));
    }

    #[test]
    fn what_is_no_address_is_not_taken() {
        for text in [
            "",
            "example.org",
            "*.example.org",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0.0/8,",
            "10.0.0",
        ] {
            assert!(text.parse::<Sources>().is_err(), "{text}");
        }
        assert!(Sources::networks("10.0.0.0/8").is_ok());
        assert!(Sources::networks("!10.0.0.0/8").is_err());
        assert!(Sources::networks("10.*").is_err());
    }
}
