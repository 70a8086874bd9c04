//! A range of addresses, as `10.0.0.0/8`, `2001:db8::/32` or one address.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;

/// The addresses that share their first bits (RFC 4632 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Returns the network of so many bits that an address is in; of all its bits when it has
    /// no more. An IPv4 address in the dress of IPv6 counts as what it is.
    pub fn of(address: IpAddr, bits: u8) -> Self {
        let address = address.to_canonical();
        let bits = bits.min(whole(address));
        Self {
            first: masked(address, bits),
            bits,
        }
    }

    /// Returns whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == self.first
    }

    /// Returns whether it is one of IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == whole(self.first) {
            self.first.fmt(f)
        } else {
            write!(f, "{}/{}", self.first, self.bits)
        }
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no range of addresses, for instance \"10.0.0.0/8\" or \"2001:db8::1\""
            )
        };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.as_str(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| wrong())?
            }
            Some(_odd) => return Err(wrong()),
            None => whole(address),
        };
        if bits > whole(address) {
            return Err(wrong());
        }
        let network = Self {
            first: masked(address, bits),
            bits,
        };
        if network.first != address {
            return Err(format!(
                "'{text}' has bits set beyond its length; '{network}' may be meant"
            ));
        }
        Ok(network)
    }
}

fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_range_holds_what_shares_its_bits() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "2001:db8::1", "127.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("127.0.0.0/8", "::ffff:127.0.0.9", "::1"),
        ] {
            assert!(
                network(range).contains(inside.parse().unwrap()),
                "{range} {inside}"
            );
            assert!(
                !network(range).contains(outside.parse().unwrap()),
                "{range} {outside}"
            );
        }
    }

    #[test]
    fn the_network_of_an_address_is_written_short() {
        for (address, bits, shown) in [
            ("192.0.2.7", 24, "192.0.2.0/24"),
            ("192.0.2.7", 32, "192.0.2.7"),
            ("2001:db8:1:2:3::4", 64, "2001:db8:1:2::/64"),
            ("::ffff:192.0.2.7", 32, "192.0.2.7"),
            ("192.0.2.7", 64, "192.0.2.7"),
        ] {
            assert_eq!(
                Network::of(address.parse().unwrap(), bits).to_string(),
                shown
            );
        }
    }

    #[test]
    fn nonsense_is_refused_and_a_slip_is_told() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "example.org",
            "10.0.0.0/-1",
            "/8",
        ] {
            assert!(Network::try_from(text.to_owned()).is_err(), "{text}");
        }
        let error = Network::try_from("10.1.0.0/8".to_owned()).unwrap_err();
        assert!(error.contains("'10.0.0.0/8' may be meant"), "{error}");
    }
}
