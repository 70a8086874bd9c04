//! Names of sites, people, Multidev environments and hotfixes: parsed once, then always right.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Says why a text is not a name of the wanted kind; a whole sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError(pub String);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a site: a DNS label (RFC 1035 §2.3.1), since it becomes part of host and login names.
    SiteName, site
}
name! {
    /// The name of a Multidev environment: a DNS label that is not the name of another thing.
    MultidevName, multidev
}
name! {
    /// The name of a person, as shown in the team, the audit and commits; may be an e-mail address.
    PersonName, person
}
name! {
    /// What follows `hotfix/` in the name of a hotfix branch.
    HotfixName, hotfix
}

impl PersonName {
    /// Returns the name that stands for whoever works on the server itself, with the gateway's own
    /// rights; nobody else may have it.
    pub fn local() -> Self {
        Self("local".to_owned())
    }
}

fn label(kind: &str, text: &str) -> Result<(), NameError> {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let right = (1..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| edge(byte) || *byte == b'-')
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge);
    if right {
        Ok(())
    } else {
        Err(NameError(format!(
            "'{}' is no name for a {kind}: use 1 to 63 lower-case letters, digits and dashes, \
             with a letter or digit at both ends.",
            text.escape_default()
        )))
    }
}

fn site(text: &str) -> Result<(), NameError> {
    label("site", text)
}

/// Names that mean something else beside a Multidev, in Git, addresses or the command line.
const RESERVED: &[&str] = &[
    "dev",
    "test",
    "live",
    "main",
    "master",
    "head",
    "settings",
    "team",
    "support",
    "multidev",
    "debug",
    "files",
    "tags",
    "billing",
    "codeserver",
    "hotfix",
];

fn multidev(text: &str) -> Result<(), NameError> {
    label("Multidev environment", text)?;
    if RESERVED.contains(&text) {
        return Err(NameError(format!(
            "'{text}' is reserved and cannot name a Multidev environment."
        )));
    }
    Ok(())
}

fn person(text: &str) -> Result<(), NameError> {
    let right = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte))
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if right {
        Ok(())
    } else {
        Err(NameError(format!(
            "'{}' is no name for a person: use 1 to 64 letters, digits and . _ @ + -, \
             beginning with a letter or digit.",
            text.escape_default()
        )))
    }
}

fn hotfix(text: &str) -> Result<(), NameError> {
    let right = (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && !text.contains("..")
        && !text.ends_with('.')
        && !text.ends_with(".lock");
    if right {
        Ok(())
    } else {
        Err(NameError(format!(
            "'{}' is no name for a hotfix: use 1 to 100 letters, digits and . _ - after 'hotfix/'.",
            text.escape_default()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabet() {
        assert!("acme".parse::<SiteName>().is_ok());
        assert!("a-1".parse::<SiteName>().is_ok());
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<SiteName>().is_err(), "{bad}");
        }
        assert!("live".parse::<MultidevName>().is_err());
        assert!("feature-x".parse::<MultidevName>().is_ok());
        assert!("alice@example.com".parse::<PersonName>().is_ok());
        for bad in ["", "-rf", "a b", "a\n", "a/b"] {
            assert!(bad.parse::<PersonName>().is_err(), "{bad}");
        }
        for bad in ["", "..", "a..b", "x.lock", "a/b", "-x"] {
            assert!(bad.parse::<HotfixName>().is_err(), "{bad}");
        }
    }
}
