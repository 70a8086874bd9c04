//! Sites, teams, people and keys: what is written to the state under a permit.

use jiff::Timestamp;
use policy::{Environment, PersonName, Role, SiteName, SitePath};

use super::import::{self, ImportError, Source};
use super::layout::create_environment_directories;
use super::release::{self, Origin, ReleaseKind};
use super::workflow::Undone;
use super::{Author, Sites, repository, runtime};
use crate::audit::Outcome;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::state::{Authority, Key, NewSite, State, for_people};

/// What a new site shall be.
#[derive(Debug)]
pub struct Wanted {
    /// The name.
    pub name: SiteName,
    /// The branch that Dev runs, if it was asked for.
    pub trunk: Option<String>,
    /// Where uploads lie in code.
    pub files_path: Option<SitePath>,
    /// What the code comes from.
    pub from: Source,
}

/// Makes a site: repository, folders, and Dev with a first release. Returns what the person should
/// know.
///
/// # Errors
/// [`Undone`]; the site does then not exist.
pub fn create_site(
    sites: &Sites,
    mut permit: Permit,
    wanted: Wanted,
) -> Result<Vec<String>, Undone> {
    permit.describe(match &wanted.from {
        Source::Empty => "empty".to_owned(),
        Source::Directory(path) | Source::Bundle(path) => format!("from {}", path.display()),
        Source::Url(url) => format!("from {}", policy::escape(without_secrets(url).as_bytes())),
    });
    let made = make_site(sites, &permit, &wanted);
    match &made {
        Ok(_) => permit.finish(Outcome::Done)?,
        Err(undone) => {
            permit.describe(undone.to_string());
            permit.finish(Outcome::Failed)?;
        }
    }
    made
}

/// A URL as it may be kept: a password in it is nobody's business.
fn without_secrets(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _plain => url.to_owned(),
    }
}

fn make_site(sites: &Sites, permit: &Permit, wanted: &Wanted) -> Result<Vec<String>, Undone> {
    let name = &wanted.name;
    if sites.state.model().sites.contains_key(name) {
        return Err(Undone::Impossible(format!(
            "There is a site '{name}' already."
        )));
    }
    let layout = sites.layout.site(name);
    let mut notes = Vec::new();
    if layout.folder().exists() {
        notes.push(put_aside(sites, name)?);
    }
    let doing = || format!("making the folder of {name}");
    std::fs::create_dir_all(layout.folder()).or_fault(doing)?;
    let imported = import::create_repository(
        permit,
        &layout,
        wanted.trunk.as_deref(),
        wanted.files_path.as_ref(),
        &wanted.from,
        &Author::of(permit, &sites.state),
    )
    .map_err(|error| match error {
        ImportError::Unsuitable(sentence) => {
            // Empty but for what the import has removed already.
            let _ = std::fs::remove_dir(layout.folder());
            Undone::Impossible(sentence)
        }
        ImportError::Fault(fault) => Undone::Fault(fault),
    })?;
    for environment in [Environment::Dev, Environment::Test, Environment::Live] {
        create_environment_directories(permit, &layout.environment(&environment))?;
    }
    let repository = repository::open(&layout.repository())?;
    let dev = layout.environment(&Environment::Dev);
    let prepared = release::prepare(
        permit,
        &dev,
        &Origin {
            repository: &repository,
            quarantine: None,
            commit: imported.commit,
            progress: None,
        },
        ReleaseKind::Writable,
        wanted.files_path.as_ref(),
        None,
    )?;
    let generation = prepared.generation;
    release::switch(permit, &dev, generation)?;
    sites.state.add_site(&NewSite {
        name: name.clone(),
        trunk: imported.trunk,
        files_path: wanted.files_path.clone(),
        commit: imported.commit,
        generation,
        person: permit.who().person.clone(),
    })?;
    for environment in [Environment::Dev, Environment::Test, Environment::Live] {
        runtime::refresh(sites, permit, name, &environment);
    }
    notes.extend(imported.notes);
    Ok(notes)
}

/// A folder that no state knows of is what a crash left of a site's making, or what is left after
/// the state was restored from an older copy. It is kept.
fn put_aside(sites: &Sites, name: &SiteName) -> Result<String, Fault> {
    let folder = sites.layout.site(name).folder().to_path_buf();
    let aside = folder.with_file_name(format!(".{name}-{}", Timestamp::now().as_millisecond()));
    std::fs::rename(&folder, &aside)
        .or_fault(|| format!("putting aside what is left of a former {name}"))?;
    Ok(format!(
        "A folder of that name was there, of no known site; it is kept as {}.",
        aside
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    ))
}

/// Lets trunk be force-pushed, or not.
///
/// # Errors
/// When it cannot be written.
pub fn set_force_push(state: &State, mut permit: Permit, allowed: bool) -> Result<(), Fault> {
    let site = permit.site()?.clone();
    permit.describe(format!("force-push {}", if allowed { "yes" } else { "no" }));
    state.set_force_push(&site, allowed)?;
    permit.finish(Outcome::Done)
}

/// Lets the steps of a site reach the network, or not.
///
/// # Errors
/// When it cannot be written.
pub fn set_step_network(state: &State, mut permit: Permit, allowed: bool) -> Result<(), Fault> {
    let site = permit.site()?.clone();
    permit.describe(format!(
        "step-network {}",
        if allowed { "yes" } else { "no" }
    ));
    state.set_step_network(&site, allowed)?;
    permit.finish(Outcome::Done)
}

/// Asks that a hotfix runs on Test before it goes to Live, or not.
///
/// # Errors
/// When it cannot be written.
pub fn set_hotfix_require_test(
    state: &State,
    mut permit: Permit,
    required: bool,
) -> Result<(), Fault> {
    let site = permit.site()?.clone();
    permit.describe(format!(
        "hotfix-require-test {}",
        if required { "yes" } else { "no" }
    ));
    state.set_hotfix_require_test(&site, required)?;
    permit.finish(Outcome::Done)
}

/// Gives a person a role on a site.
///
/// # Errors
/// When it cannot be written.
pub fn put_member(
    state: &State,
    mut permit: Permit,
    person: &PersonName,
    role: Role,
) -> Result<(), Fault> {
    let site = permit.site()?.clone();
    let before = state
        .model()
        .sites
        .get(&site)
        .and_then(|site| site.team.get(person).copied());
    permit.describe(match before {
        Some(before) => format!("{person}: {before} to {role}"),
        None => format!("{person}: {role}"),
    });
    state.put_member(&site, person, role)?;
    permit.finish(Outcome::Done)
}

/// Takes a person out of a team.
///
/// # Errors
/// When it cannot be written.
pub fn remove_member(state: &State, mut permit: Permit, person: &PersonName) -> Result<(), Fault> {
    let site = permit.site()?.clone();
    permit.describe(format!("{person}: removed"));
    state.remove_member(&site, person)?;
    permit.finish(Outcome::Done)
}

/// Adds a person, or changes one.
///
/// # Errors
/// When it cannot be written.
pub fn put_person(
    state: &State,
    mut permit: Permit,
    person: &PersonName,
    email: Option<&str>,
    administrator: Option<bool>,
) -> Result<(), Fault> {
    permit.describe(match administrator {
        Some(true) => format!("{person}: server administrator"),
        Some(false) | None => person.to_string(),
    });
    state.put_person(person, email, administrator)?;
    permit.finish(Outcome::Done)
}

/// Removes a person with their keys and memberships. Returns whether there was one.
///
/// # Errors
/// When it cannot be written.
pub fn remove_person(
    state: &State,
    mut permit: Permit,
    person: &PersonName,
) -> Result<bool, Fault> {
    permit.describe(format!("{person}: removed"));
    let removed = state.remove_person(person)?;
    permit.finish(Outcome::Done)?;
    Ok(removed)
}

/// Adds a key to a person.
///
/// # Errors
/// When it cannot be written.
pub fn add_key(state: &State, mut permit: Permit, key: &Key) -> Result<(), Fault> {
    permit.describe(format!(
        "{} added{}, {}",
        key.fingerprint,
        limits_of(key),
        key.comment
    ));
    state.add_key(key)?;
    permit.finish(Outcome::Done)
}

/// Removes a key.
///
/// # Errors
/// When it cannot be written.
pub fn remove_key(state: &State, mut permit: Permit, key: &Key) -> Result<(), Fault> {
    permit.describe(format!("{} removed", key.fingerprint));
    state.remove_key(&key.fingerprint)?;
    permit.finish(Outcome::Done)
}

/// Returns what a key's end and limits are, as the rest of a sentence; nothing for a key without.
pub fn limits_of(key: &Key) -> String {
    let mut text = String::new();
    if !key.limits.reach_everything() {
        text.push_str(&format!(", limited to {}", key.limits));
    }
    if let Some(sources) = &key.sources {
        text.push_str(&format!(", from {sources}"));
    }
    if let Some(end) = key.expires {
        text.push_str(&format!(", until {}", for_people(end)));
    }
    text
}

/// Trusts an authority.
///
/// # Errors
/// When it cannot be written.
pub fn add_authority(
    state: &State,
    mut permit: Permit,
    authority: &Authority,
) -> Result<(), Fault> {
    permit.describe(format!(
        "authority {} ({}) trusted",
        authority.fingerprint, authority.name
    ));
    state.add_authority(authority)?;
    permit.finish(Outcome::Done)
}

/// Trusts an authority no more.
///
/// # Errors
/// When it cannot be written.
pub fn remove_authority(
    state: &State,
    mut permit: Permit,
    authority: &Authority,
) -> Result<(), Fault> {
    permit.describe(format!(
        "authority {} ({}) no longer trusted",
        authority.fingerprint, authority.name
    ));
    state.remove_authority(&authority.fingerprint)?;
    permit.finish(Outcome::Done)
}
