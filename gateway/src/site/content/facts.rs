//! What the policy is told of content.

use jiff::Timestamp;
use policy::{
    ContentFacts, ContentSource, DatabaseKind, Elements, Environment, Holdings, SiteName,
};

use super::{database, pointer};
use crate::database::Database;
use crate::fault::{Fault, OrFault};
use crate::site::Sites;

/// Looks up what the policy asks about content of an environment. What the person has said beside
/// (a typed name) and what the gateway will do first are for the caller to add.
///
/// # Errors
/// When the disk cannot be read, or a server of databases is away that has to be asked.
pub fn facts(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
    wanted: Elements,
    source: Option<&Environment>,
) -> Result<ContentFacts, Fault> {
    let model = sites.state.model();
    let known = model.sites.get(site);
    let own = database(sites, site, environment).unwrap_or_default();
    let now = Timestamp::now();
    let former = model
        .environment(site, environment)
        .and_then(|state| state.content.former)
        .is_some_and(|(_, until)| until > now);
    Ok(ContentFacts {
        database: match &own {
            None => DatabaseKind::None,
            Some(Database::Sqlite { .. }) => DatabaseKind::Embedded,
            Some(Database::Served { .. }) => DatabaseKind::Served,
        },
        wanted,
        initialised: model
            .environment(site, environment)
            .is_some_and(|state| state.commit.is_some()),
        held: holdings(sites, site, environment, own.as_ref())?,
        source: source
            .map(|source| self::source(sites, site, source))
            .transpose()?,
        launched: known.is_some_and(|site| site.content.launched.is_some()),
        former,
        ..ContentFacts::default()
    })
}

fn source(sites: &Sites, site: &SiteName, source: &Environment) -> Result<ContentSource, Fault> {
    let model = sites.state.model();
    let ready = model
        .environment(site, source)
        .is_some_and(|state| state.commit.is_some());
    let held = match ready {
        true => holdings(sites, site, source, database(sites, site, source)?.as_ref())?,
        false => Holdings::default(),
    };
    Ok(ContentSource {
        environment: source.clone(),
        ready,
        held,
    })
}

fn holdings(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
    database: Option<&Database>,
) -> Result<Holdings, Fault> {
    let layout = sites.layout.site(site).environment(environment);
    if !layout.content_link().exists() {
        return Ok(Holdings::default());
    }
    let folder = layout.files_store(pointer::current(&layout)?.files);
    let doing = || format!("reading {}", folder.display());
    let files = std::fs::read_dir(&folder).or_fault(doing)?.next().is_some();
    let tables = match database {
        Some(database) => !database.tables()?.is_empty(),
        None => false,
    };
    Ok(Holdings { tables, files })
}
