//! Which refusals are alike, so that a flood of them is one thing: exactly alike; by person or
//! network, once there are too many kinds of them; and at last by rule alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::record::Record;

/// What alike refusals have in common. What a wider likeness passes over is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Likeness {
    person: Option<String>,
    fingerprint: Option<String>,
    pub(super) address: Option<String>,
    site: Option<String>,
    environment: Option<String>,
    area: Option<String>,
    rule: String,
    action: String,
    breadth: Breadth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Breadth {
    Exact,
    Wide,
    Widest,
}

impl Likeness {
    /// Alike in all but the object.
    pub(super) fn exact(record: &Record) -> Self {
        Self {
            person: record.who.person.clone(),
            fingerprint: record.who.fingerprint.clone(),
            address: record.who.address.clone(),
            site: record.site.clone(),
            environment: record.environment.clone(),
            area: record.area.clone(),
            rule: record.rule.clone(),
            action: record.action.clone(),
            breadth: Breadth::Exact,
        }
    }

    /// Alike in the person, or the network where nobody has logged in.
    pub(super) fn wide(record: &Record) -> Self {
        let network = match record.who.person {
            Some(_) => None,
            None => record.who.address.as_deref().map(network),
        };
        Self {
            person: record.who.person.clone(),
            address: network,
            breadth: Breadth::Wide,
            ..Self::widest(record)
        }
    }

    /// Alike in what was asked and why not.
    pub(super) fn widest(record: &Record) -> Self {
        Self {
            person: None,
            fingerprint: None,
            address: None,
            site: None,
            environment: None,
            area: None,
            rule: record.rule.clone(),
            action: record.action.clone(),
            breadth: Breadth::Widest,
        }
    }

    pub(super) fn is_exact(&self) -> bool {
        self.breadth == Breadth::Exact
    }
}

/// Returns the network that an address belongs to, of the size that one customer is given.
fn network(address: &str) -> String {
    match address
        .parse::<IpAddr>()
        .map(|address| address.to_canonical())
    {
        Ok(IpAddr::V4(v4)) => {
            let network = Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8));
            format!("{network}/24")
        }
        Ok(IpAddr::V6(v6)) => {
            let network = Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64));
            format!("{network}/64")
        }
        Err(_not_an_address) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing;

    #[test]
    fn networks_are_those_of_one_customer() {
        assert_eq!(network("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(network("::ffff:203.0.113.77"), "203.0.113.0/24");
        assert_eq!(network("control socket"), "control socket");
    }

    #[test]
    fn the_object_never_counts_and_the_place_only_exactly() {
        let one = testing::refusal("alice", "code/a");
        let mut other = testing::refusal("alice", "code/b");
        assert_eq!(Likeness::exact(&one), Likeness::exact(&other));
        other.site = Some("other".to_owned());
        assert_ne!(Likeness::exact(&one), Likeness::exact(&other));
        assert_eq!(Likeness::wide(&one), Likeness::wide(&other));
        other.who.person = Some("bob".to_owned());
        assert_ne!(Likeness::wide(&one), Likeness::wide(&other));
    }

    #[test]
    fn no_likeness_is_taken_for_one_of_another_breadth() {
        let mut nobody = testing::refusal("alice", "code/a");
        nobody.who = crate::audit::Who::default();
        nobody.site = None;
        nobody.environment = None;
        nobody.area = None;
        assert_ne!(Likeness::exact(&nobody), Likeness::wide(&nobody));
        assert_ne!(Likeness::wide(&nobody), Likeness::widest(&nobody));
    }
}
