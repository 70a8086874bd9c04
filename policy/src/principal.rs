//! Who asks: a person and their standing toward the target's site.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::name::{NameError, PersonName};

/// What a person may do on a site; the order is from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads code.
    Viewer,
    /// Works in Dev and Multidevs; no part in Test and Live beyond reading code.
    Developer,
    /// Works everywhere, deploys, hotfixes.
    TeamMember,
    /// All that, and decides who is in the team.
    Administrator,
}

impl Role {
    /// All roles, from most to least.
    pub const ALL: [Role; 4] = [
        Role::Administrator,
        Role::TeamMember,
        Role::Developer,
        Role::Viewer,
    ];

    /// Returns the word that the command line takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Administrator => "administrator",
            Role::TeamMember => "team_member",
            Role::Developer => "developer",
            Role::Viewer => "viewer",
        }
    }
}

impl FromStr for Role {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| {
                NameError(format!(
                    "'{}' is no role: use administrator, team_member, developer or viewer.",
                    text.escape_default()
                ))
            })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A person's standing toward the site that a request is about (or toward the server).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Administers the whole server, and so each site.
    ServerAdministrator,
    /// Is in the site's team.
    Member(Role),
    /// Has no part in the site, or the site does not exist: the two get the same answers.
    Stranger,
    /// Logged in with a key or certificate that no longer counts.
    Ended(Ended),
}

/// Why what somebody logged in with no longer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The key was removed.
    KeyRemoved,
    /// The key's time is over.
    KeyExpired,
    /// The key may not be used from where it is.
    KeyElsewhere,
    /// The key, the certificate or its authority stands on the revocation list.
    Revoked,
    /// The revocation list cannot be read, so nobody knows.
    RevocationUnknown,
    /// The certificate's time is over.
    CertificateExpired,
    /// The authority that signed the certificate is no longer trusted.
    AuthorityRemoved,
    /// The person is no longer, or not in this way, on the server.
    PersonRemoved,
}

impl Ended {
    /// All reasons.
    pub const ALL: [Ended; 8] = [
        Ended::KeyRemoved,
        Ended::KeyExpired,
        Ended::KeyElsewhere,
        Ended::Revoked,
        Ended::RevocationUnknown,
        Ended::CertificateExpired,
        Ended::AuthorityRemoved,
        Ended::PersonRemoved,
    ];
}

impl Standing {
    /// Returns the role that this standing gives on the site, if any.
    pub fn role(self) -> Option<Role> {
        match self {
            Standing::ServerAdministrator => Some(Role::Administrator),
            Standing::Member(role) => Some(role),
            Standing::Stranger | Standing::Ended(_) => None,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The person, proven by a key.
    pub person: PersonName,
    /// Their standing toward the target.
    pub standing: Standing,
    /// What the key they logged in with is limited to.
    pub limits: Limits,
}
