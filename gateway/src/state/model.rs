//! All that decisions rest on, in memory.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use git2::Oid;
use jiff::Timestamp;
use policy::{
    ConnectionMode, Environment, HotfixName, Limits, ModeFacts, PersonName, Role, SiteName,
    SitePath, Standing,
};
use rusqlite::{Connection, Row};

use super::contents::{ContentState, SiteContent};
use super::fronts::{Failed, Front};
use super::holds::{self, Holds};
use super::quotas::Quota;
use crate::fault::{Fault, OrFault};

/// People, keys and sites at one moment.
#[derive(Debug, Default)]
pub struct Model {
    /// Everybody with a name on this server.
    pub people: BTreeMap<PersonName, Person>,
    /// Keys by their SHA-256 fingerprint (`SHA256:…`).
    pub keys: HashMap<String, Key>,
    /// Authorities of certificates by the fingerprint of their key.
    pub authorities: BTreeMap<String, Authority>,
    /// All sites.
    pub sites: BTreeMap<SiteName, Site>,
    /// What holds the code of sites where it is; see [`Model::holds`].
    pub(super) holds: BTreeMap<SiteName, Holds>,
}

/// Somebody with a name on this server.
#[derive(Debug, Clone)]
pub struct Person {
    /// The name.
    pub name: PersonName,
    /// The address that commits carry.
    pub email: Option<String>,
    /// Whether they administer the whole server.
    pub administrator: bool,
}

/// A public key.
#[derive(Debug, Clone)]
pub struct Key {
    /// A short name for the command line.
    pub id: String,
    /// Whose it is.
    pub person: PersonName,
    /// The key in OpenSSH's one-line form, without its comment.
    pub line: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// The comment that came with it.
    pub comment: String,
    /// When it was added.
    pub created: Timestamp,
    /// From when on it opens nothing.
    pub expires: Option<Timestamp>,
    /// From where it may be used, as `from=` in OpenSSH's authorized_keys has it.
    pub sources: Option<String>,
    /// What it is limited to.
    pub limits: Limits,
}

/// Somebody who signs certificates that are taken here.
#[derive(Debug, Clone)]
pub struct Authority {
    /// A name for people.
    pub name: String,
    /// The key in OpenSSH's one-line form.
    pub line: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// When it was added.
    pub created: Timestamp,
}

/// A site.
#[derive(Debug, Clone)]
pub struct Site {
    /// The name.
    pub name: SiteName,
    /// The branch that Dev runs.
    pub trunk: String,
    /// The path in code that leads to uploads.
    pub files_path: Option<SitePath>,
    /// Whether trunk may be force-pushed.
    pub force_push: bool,
    /// What it says of its content.
    pub content: SiteContent,
    /// Whether its steps reach the network.
    pub step_network: bool,
    /// Whether a hotfix has to run on Test before it goes to Live.
    pub hotfix_require_test: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Who has which role.
    pub team: BTreeMap<PersonName, Role>,
    /// Its environments.
    pub environments: BTreeMap<Environment, EnvironmentState>,
    /// Hotfixes that are not over.
    pub open_hotfixes: Vec<Hotfix>,
}

/// An environment.
#[derive(Debug, Clone)]
pub struct EnvironmentState {
    /// The connection mode, for Dev and Multidevs.
    pub mode: Option<ModeFacts>,
    /// What it runs; absent before the first deploy.
    pub commit: Option<Oid>,
    /// The generation that `current` points to.
    pub generation: u64,
    /// Its files and its database.
    pub content: ContentState,
    /// Where a database is that it uses beside its own, or instead, as `HOST:PORT`.
    pub database: Option<String>,
    /// How much it may hold, where that was set.
    pub quota: Option<Quota>,
    /// Where it is served.
    pub front: Front,
    /// Its releases that failed their check, the newest first.
    pub failed: Vec<Failed>,
    /// When it was made.
    pub created: Timestamp,
}

/// A hotfix.
#[derive(Debug, Clone)]
pub struct Hotfix {
    /// What follows `hotfix/`.
    pub name: HotfixName,
    /// The newest commit that was deployed under this name.
    pub commit: Oid,
    /// Why it was needed.
    pub reason: String,
    /// Who pushed it.
    pub person: PersonName,
    /// When.
    pub time: Timestamp,
    /// What became of it.
    pub status: HotfixStatus,
}

/// What became of a hotfix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotfixStatus {
    /// On Live, not yet on trunk.
    Open,
    /// Trunk contains it.
    Merged,
    /// Given up by name.
    Dropped,
}

impl HotfixStatus {
    /// Returns the word for tables and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            HotfixStatus::Open => "open",
            HotfixStatus::Merged => "merged",
            HotfixStatus::Dropped => "dropped",
        }
    }
}

impl FromStr for HotfixStatus {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "open" => Ok(HotfixStatus::Open),
            "merged" => Ok(HotfixStatus::Merged),
            "dropped" => Ok(HotfixStatus::Dropped),
            other => Err(Fault::new(format!("'{other}' is no status of a hotfix"))),
        }
    }
}

impl EnvironmentState {
    /// Returns where its database is reached, as `HOST:PORT`: what was set, or its own.
    pub fn database_address(&self) -> Option<&str> {
        self.database.as_deref().or(self.content.address.as_deref())
    }
}

impl Model {
    /// Returns a person's standing toward a site, which need not exist.
    pub fn standing(&self, person: &PersonName, site: &SiteName) -> Standing {
        let Some(found) = self.sites.get(site) else {
            return Standing::Stranger;
        };
        if self.is_administrator(person) {
            return Standing::ServerAdministrator;
        }
        found
            .team
            .get(person)
            .map_or(Standing::Stranger, |role| Standing::Member(*role))
    }

    /// Returns a person's standing toward the server.
    pub fn server_standing(&self, person: &PersonName) -> Standing {
        if self.is_administrator(person) {
            Standing::ServerAdministrator
        } else {
            Standing::Stranger
        }
    }

    /// Returns an environment, if the site and the environment exist.
    pub fn environment(
        &self,
        site: &SiteName,
        environment: &Environment,
    ) -> Option<&EnvironmentState> {
        self.sites.get(site)?.environments.get(environment)
    }

    /// Returns an environment, to fill in what other tables know of it.
    pub(super) fn environment_mut(
        &mut self,
        site: &SiteName,
        environment: &Environment,
    ) -> Option<&mut EnvironmentState> {
        self.sites.get_mut(site)?.environments.get_mut(environment)
    }

    /// Returns what holds a site's code where it is.
    pub fn holds(&self, site: &SiteName) -> &Holds {
        static NOTHING: Holds = Holds::NOTHING;
        self.holds.get(site).unwrap_or(&NOTHING)
    }

    fn is_administrator(&self, person: &PersonName) -> bool {
        self.people
            .get(person)
            .is_some_and(|person| person.administrator)
    }

    pub(super) fn load(connection: &Connection) -> Result<Self, Fault> {
        let mut model = Model::default();
        for (name, email, administrator) in rows(
            connection,
            "SELECT name, email, administrator FROM person",
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, Option<String>>(1)?,
                    row.get::<_, bool>(2)?,
                ))
            },
        )? {
            let name: PersonName = parse(&name)?;
            model.people.insert(
                name.clone(),
                Person {
                    name,
                    email,
                    administrator,
                },
            );
        }
        super::keys::load(connection, &mut model)?;
        load_sites(connection, &mut model)?;
        load_environments(connection, &mut model)?;
        holds::load(connection, &mut model)?;
        Ok(model)
    }
}

fn load_sites(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    for (name, trunk, files_path, force_push, hotfix_require_test, created) in rows(
        connection,
        "SELECT name, trunk, files_path, force_push, hotfix_require_test, created FROM site",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<String>>(2)?,
                row.get::<_, bool>(3)?,
                row.get::<_, bool>(4)?,
                row.get::<_, String>(5)?,
            ))
        },
    )? {
        let name: SiteName = parse(&name)?;
        let files_path = files_path
            .map(|path| SitePath::normalize(path.as_bytes()))
            .transpose()
            .map_err(|_| Fault::new("a site's files path in the state is no path"))?;
        let site = Site {
            name: name.clone(),
            trunk,
            files_path,
            force_push,
            content: SiteContent::default(),
            step_network: false,
            hotfix_require_test,
            created: parse(&created)?,
            team: BTreeMap::new(),
            environments: BTreeMap::new(),
            open_hotfixes: Vec::new(),
        };
        model.sites.insert(name, site);
    }
    for (site, person, role) in rows(connection, "SELECT site, person, role FROM member", |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
        ))
    })? {
        if let Some(site) = model.sites.get_mut(&parse::<SiteName>(&site)?) {
            site.team.insert(parse(&person)?, parse(&role)?);
        }
    }
    for (site, hotfix) in super::sites::hotfixes(connection, "WHERE status = 'open'")? {
        if let Some(site) = model.sites.get_mut(&site) {
            site.open_hotfixes.push(hotfix);
        }
    }
    Ok(())
}

fn load_environments(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    for (site, name, mode, set_by, set_at, commit, generation, created) in rows(
        connection,
        "SELECT site, name, mode, mode_set_by, mode_set_at, commit_id, generation, created \
         FROM environment",
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<String>>(2)?,
                row.get::<_, Option<String>>(3)?,
                row.get::<_, Option<String>>(4)?,
                row.get::<_, Option<String>>(5)?,
                row.get::<_, i64>(6)?,
                row.get::<_, String>(7)?,
            ))
        },
    )? {
        let mode = match (mode, set_by, set_at) {
            (Some(mode), Some(set_by), Some(set_at)) => Some(ModeFacts {
                mode: parse::<ConnectionMode>(&mode)?,
                set_by: parse(&set_by)?,
                set_at,
            }),
            _absent => None,
        };
        let environment = EnvironmentState {
            mode,
            commit: commit.map(|commit| parse(&commit)).transpose()?,
            generation: generation.unsigned_abs(),
            content: ContentState::default(),
            database: None,
            quota: None,
            front: Front::default(),
            failed: Vec::new(),
            created: parse(&created)?,
        };
        if let Some(site) = model.sites.get_mut(&parse::<SiteName>(&site)?) {
            site.environments.insert(parse(&name)?, environment);
        }
    }
    super::contents::load(connection, model)?;
    super::databases::load(connection, model)?;
    super::fronts::load(connection, model)?;
    super::quotas::load(connection, model)?;
    super::step_networks::load(connection, model)
}

/// Reads all rows of a query.
pub(super) fn rows<T>(
    connection: &Connection,
    query: &str,
    read: impl FnMut(&Row<'_>) -> Result<T, rusqlite::Error>,
) -> Result<Vec<T>, Fault> {
    let doing = || "reading the state";
    let mut statement = connection.prepare(query).or_fault(doing)?;
    let found = statement.query_map([], read).or_fault(doing)?;
    found.collect::<Result<Vec<T>, _>>().or_fault(doing)
}

/// Reads a word that the state keeps as text.
pub(super) fn parse<T: FromStr>(text: &str) -> Result<T, Fault>
where
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    text.parse()
        .or_fault(|| format!("reading '{text}' from the state"))
}
