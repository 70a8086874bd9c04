//! On what an action is asked.

use crate::environment::{Area, Environment};
use crate::name::{PersonName, SiteName};
use crate::path::SitePath;

/// The thing that an action is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The server itself.
    Server,
    /// A person of the server.
    Person(PersonName),
    /// A whole site.
    Site(SiteName),
    /// One environment of a site.
    Environment(SiteName, Environment),
    /// A place in an environment's tree; the area is the one really reached, after links.
    Tree(SiteName, Environment, Area, SitePath),
    /// A ref of the site's repository, pushed over an environment's remote.
    Ref(SiteName, Environment, String),
}

impl Target {
    /// Returns the site, if the target has one.
    pub fn site(&self) -> Option<&SiteName> {
        match self {
            Target::Server | Target::Person(_) => None,
            Target::Site(site)
            | Target::Environment(site, _)
            | Target::Tree(site, _, _, _)
            | Target::Ref(site, _, _) => Some(site),
        }
    }

    /// Returns the environment, if the target has one.
    pub fn environment(&self) -> Option<&Environment> {
        match self {
            Target::Server | Target::Person(_) | Target::Site(_) => None,
            Target::Environment(_, environment)
            | Target::Tree(_, environment, _, _)
            | Target::Ref(_, environment, _) => Some(environment),
        }
    }
}
