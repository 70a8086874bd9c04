//! The login name says where to go, never who somebody is.

use policy::{Environment, SiteName};

/// Where a login name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `ENV.SITE`, or Pantheon's `codeserver.dev.SITE`.
    Environment(SiteName, Environment),
    /// A name without a dot: the console.
    Console,
    /// A name with a dot that can be no address.
    Nowhere(String),
}

impl Destination {
    /// Reads a login name.
    pub fn parse(login: &str) -> Self {
        let Some((environment, site)) = login.split_once('.') else {
            return Destination::Console;
        };
        let (environment, site) = match (environment, site.split_once('.')) {
            ("codeserver", Some((environment, site))) => (environment, site),
            _plain => (environment, site),
        };
        match (environment.parse(), site.parse()) {
            (Ok(environment), Ok(site)) => Destination::Environment(site, environment),
            _unreadable => Destination::Nowhere(policy::escape(login.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_names_lead_to_environments_and_to_the_console() {
        let acme = |environment| Destination::Environment("acme".parse().unwrap(), environment);
        assert_eq!(Destination::parse("dev.acme"), acme(Environment::Dev));
        assert_eq!(
            Destination::parse("codeserver.dev.acme"),
            acme(Environment::Dev)
        );
        assert_eq!(
            Destination::parse("feature.acme"),
            acme(Environment::Multidev("feature".parse().unwrap()))
        );
        assert_eq!(Destination::parse("alice"), Destination::Console);
        for nowhere in ["dev.", ".acme", "dev.a.b", "../x.acme", "dev.acme\n"] {
            assert!(
                matches!(Destination::parse(nowhere), Destination::Nowhere(_)),
                "{nowhere}"
            );
        }
    }
}
