//! Content: the uploads and the database of an environment. It is never changed where it stands: what is
//! to come is built where nobody is pointed to it, and one rename gives it to the environment. What
//! was there before is kept for a while, to be brought back.

mod account;
mod asked;
mod clone;
mod collect;
mod export;
mod facts;
mod fresh;
mod import;
mod import_site;
mod kept;
mod pointer;
mod progress;
mod servers;
mod settings;
mod spool;
mod undo;
mod wipe;

use policy::{Environment, SiteName};

pub use asked::{hosts_fit, skipped};
pub use clone::{Cloning, clone};
pub(in crate::site) use clone::{fill, on_the_way};
pub use collect::expire;
pub(in crate::site) use collect::{collect, take_away};
pub use export::{Unwatched, export_database, export_files};
pub use facts::facts;
pub(in crate::site) use fresh::{Fresh, end};
pub use import::{import_database, import_files};
pub use import_site::import_site;
pub use kept::Kept;
pub(in crate::site) use pointer::{current, follow, found, lead, point, switch};
pub use servers::Servers;
pub(in crate::site) use settings::finish_rotations;
pub use settings::{launch, provide, rotate_password, set_domains, set_engine, set_skipping};
pub use spool::Source;
pub use undo::undo;
pub use wipe::wipe;

use super::Sites;
pub use super::files::Archive;
use super::files::{self, Room};
use super::layout::EnvironmentLayout;
use crate::database::Database;
pub use crate::database::Engine;
use crate::fault::Fault;
use crate::state::Content;

/// Which halves of content something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// The database.
    pub database: bool,
    /// The files.
    pub files: bool,
}

impl Parts {
    /// Both.
    pub const ALL: Self = Self {
        database: true,
        files: true,
    };

    /// Returns the words for it.
    pub fn words(self) -> &'static str {
        match (self.files, self.database) {
            (true, true) => "files and database",
            (true, false) => "files",
            (false, true) => "database",
            (false, false) => "nothing",
        }
    }
}

/// Returns the database that an environment has now; none where it has none that is the gateway's.
///
/// # Errors
/// When it cannot be found out.
pub fn database(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
) -> Result<Option<Database>, Fault> {
    let layout = sites.layout.site(site).environment(environment);
    let content = current(&layout)?;
    database_in(sites, &layout, content)
}

/// Returns name, user and password of an environment's database, if it is on a server.
///
/// # Errors
/// When it cannot be found out.
pub fn account(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
) -> Result<Option<(String, String, String)>, Fault> {
    Ok(match database(sites, site, environment)? {
        Some(Database::Served {
            name,
            user,
            password,
            ..
        }) => Some((name, user, password.reveal().to_owned())),
        Some(Database::Sqlite { .. }) | None => None,
    })
}

/// Returns the database of a content.
pub(in crate::site) fn database_in(
    sites: &Sites,
    environment: &EnvironmentLayout,
    content: Content,
) -> Result<Option<Database>, Fault> {
    account::database(&sites.databases, environment, content.database)
}

/// Returns where the database of a content is reached over TCP.
pub(in crate::site) fn address_of(
    sites: &Sites,
    environment: &EnvironmentLayout,
    content: Content,
) -> Result<Option<String>, Fault> {
    Ok(database_in(sites, environment, content)?
        .as_ref()
        .and_then(fresh::address))
}

/// Returns what new files of an environment may come to: its quota, less what stays beside them.
fn room(sites: &Sites, site: &SiteName, environment: &Environment) -> Result<Room, Fault> {
    let layout = sites.layout.site(site).environment(environment);
    let mut beside = files::usage(&layout.tmp())?;
    if let Some(Database::Sqlite { folder }) = database(sites, site, environment)? {
        let held = files::usage(&folder)?;
        beside.bytes += held.bytes;
        beside.files += held.files;
    }
    Ok(sites.room(site, environment, beside))
}
