//! Environments of a site, their connection modes, and the areas of their tree.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::{MultidevName, NameError};

/// One environment of a site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Environment {
    /// Where code enters; runs the site's trunk.
    Dev,
    /// Runs deploys of Dev's code.
    Test,
    /// What visitors see; runs deploys of Test's code.
    Live,
    /// A further place where code enters; runs the branch of its own name.
    Multidev(MultidevName),
}

impl Environment {
    /// Returns true where code may be written: Dev and each Multidev.
    pub fn takes_code(&self) -> bool {
        match self {
            Environment::Dev | Environment::Multidev(_) => true,
            Environment::Test | Environment::Live => false,
        }
    }

    /// Returns true if content would go up from here to the other one. It goes down, from Live over Test
    /// to where code is made; Dev and the Multidevs are level.
    pub fn is_below(&self, other: &Environment) -> bool {
        let height = |one: &Environment| match one {
            Environment::Live => 2,
            Environment::Test => 1,
            Environment::Dev | Environment::Multidev(_) => 0,
        };
        height(self) < height(other)
    }

    /// Returns the name used in addresses and on disk.
    pub fn as_str(&self) -> &str {
        match self {
            Environment::Dev => "dev",
            Environment::Test => "test",
            Environment::Live => "live",
            Environment::Multidev(name) => name.as_str(),
        }
    }

    /// Returns the name as prose has it.
    pub fn title(&self) -> &str {
        match self {
            Environment::Dev => "Dev",
            Environment::Test => "Test",
            Environment::Live => "Live",
            Environment::Multidev(name) => name.as_str(),
        }
    }
}

impl FromStr for Environment {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "dev" => Ok(Environment::Dev),
            "test" => Ok(Environment::Test),
            "live" => Ok(Environment::Live),
            other => other.parse().map(Environment::Multidev),
        }
    }
}

impl TryFrom<String> for Environment {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Environment> for String {
    fn from(environment: Environment) -> String {
        environment.as_str().to_owned()
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How code enters Dev or a Multidev. Test and Live have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionMode {
    /// The code tree is writable on the server; pushes are refused.
    Sftp,
    /// The code tree is read-only; pushes are accepted.
    Git,
}

impl ConnectionMode {
    /// Returns the word that the command line takes.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionMode::Sftp => "sftp",
            ConnectionMode::Git => "git",
        }
    }

    /// Returns the name as prose has it.
    pub fn title(self) -> &'static str {
        match self {
            ConnectionMode::Sftp => "SFTP",
            ConnectionMode::Git => "Git",
        }
    }
}

impl FromStr for ConnectionMode {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "sftp" => Ok(ConnectionMode::Sftp),
            "git" => Ok(ConnectionMode::Git),
            _ => Err(NameError(
                "You must specify the mode as either sftp or git.".to_owned(),
            )),
        }
    }
}

impl fmt::Display for ConnectionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A part of an environment's tree with one rule for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// `/` itself, which holds the other areas and nothing else.
    Root,
    /// `/code`: the current release.
    Code,
    /// `/files`: uploads.
    Files,
    /// `/logs`: logs of workflows.
    Logs,
    /// `/tmp`: scratch space.
    Tmp,
    /// `/backups`: to download.
    Backups,
}

impl Area {
    /// All areas that are directories below `/`, in the order they are listed.
    pub const BELOW_ROOT: [Area; 5] = [
        Area::Backups,
        Area::Code,
        Area::Files,
        Area::Logs,
        Area::Tmp,
    ];

    /// Returns the name of the directory; empty for the root.
    pub fn as_str(self) -> &'static str {
        match self {
            Area::Root => "",
            Area::Code => "code",
            Area::Files => "files",
            Area::Logs => "logs",
            Area::Tmp => "tmp",
            Area::Backups => "backups",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Area::Root => "/",
            other => other.as_str(),
        })
    }
}
