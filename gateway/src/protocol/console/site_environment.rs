//! How commands name an environment.

use policy::{Environment, SiteName};
use serde::{Deserialize, Serialize};

/// `SITE.ENV`, as on Terminus's command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteEnvironment {
    /// The site.
    pub site: SiteName,
    /// The environment.
    pub environment: Environment,
}

impl std::str::FromStr for SiteEnvironment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (site, environment) = text
            .split_once('.')
            .ok_or("The environment argument must be given as <site_name>.<environment>")?;
        Ok(Self {
            site: site.parse().map_err(|error| format!("{error}"))?,
            environment: environment.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

impl std::fmt::Display for SiteEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.site, self.environment)
    }
}
