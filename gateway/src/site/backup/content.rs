//! What of an environment goes into a backup.

use std::path::PathBuf;

use git2::Oid;
use policy::{Environment, SiteName};

use crate::database::Database;
use crate::fault::Fault;
use crate::site::{Sites, content};

/// An environment as it is now.
#[derive(Debug)]
pub(super) struct Now {
    /// The folder of its uploads.
    pub files: PathBuf,
    /// Its database, if it has one.
    pub database: Option<Database>,
    /// What code it runs.
    pub commit: Option<Oid>,
    /// The branch that code is on, in a bundle.
    pub branch: String,
}

/// Returns what an environment has now. Who asks holds its turn, so that it stays so.
pub(super) fn now(sites: &Sites, site: &SiteName, environment: &Environment) -> Result<Now, Fault> {
    let model = sites.state.model();
    let known = model
        .environment(site, environment)
        .ok_or_else(|| Fault::new("the environment is gone"))?;
    let trunk = model.sites.get(site).map(|site| site.trunk.clone());
    let layout = sites.layout.site(site).environment(environment);
    Ok(Now {
        files: layout.files_store(content::current(&layout)?.files),
        database: content::database(sites, site, environment)?,
        commit: known.commit,
        branch: match environment {
            Environment::Multidev(name) => format!("refs/heads/{name}"),
            Environment::Dev | Environment::Test | Environment::Live => {
                format!("refs/heads/{}", trunk.unwrap_or_default())
            }
        },
    })
}
