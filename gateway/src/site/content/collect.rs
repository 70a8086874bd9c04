//! What becomes of content that no environment has any more: contents, files, databases on servers.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use jiff::Timestamp;
use policy::{Environment, PersonName, SiteName};

use super::account::database;
use super::fresh::remove_folder;
use super::pointer;
use crate::fault::{Fault, OrFault};
use crate::gate::{Gate, Permit};
use crate::site::layout::EnvironmentLayout;
use crate::site::workflow::Asked;
use crate::site::{Sites, blocking, covers, crash};
use crate::state::Content;

/// How the origin of a content that was wiped ends.
pub(super) const WIPED: &str = "wiped";

/// The files that an earlier content left: the next copy costs only what differs from them.
const SPARE: &str = "files-spare";

/// Removes all that is neither the environment's content nor kept to be brought back. To be called when
/// nothing is being prepared for this environment. Returns what was removed, for the log.
///
/// # Errors
/// When the pointer cannot be read. What cannot be removed now is left for the next time, and logged.
pub(in crate::site) fn collect(
    sites: &Sites,
    permit: &Permit,
    environment: &EnvironmentLayout,
) -> Result<Vec<String>, Fault> {
    covers(permit, environment.site())?;
    let mut kept = vec![pointer::current(environment)?];
    let model = sites.state.model();
    if let Some((former, until)) = model
        .environment(environment.site(), environment.name())
        .and_then(|state| state.content.former)
        && until > Timestamp::now()
        && let Ok(former) = pointer::read(environment, former.number)
    {
        kept.push(former);
    }
    remove_but(sites, environment, &kept)
}

/// Removes one content that is not wanted, but for what it shares with another.
pub(super) fn remove(
    sites: &Sites,
    permit: &Permit,
    environment: &EnvironmentLayout,
    content: Content,
    shared_with: Content,
) -> Result<(), Fault> {
    covers(permit, environment.site())?;
    remove_folder(&environment.content(content.number))?;
    if content.files != shared_with.files {
        remove_folder(&environment.files_shell(content.files))?;
    }
    if content.database > 0 && content.database != shared_with.database {
        remove_database(sites, environment, content.database)?;
    }
    Ok(())
}

/// Removes the databases that an environment has on servers, before its folder goes.
///
/// # Errors
/// When a server is away; the folder is to be kept then, since it says what is there.
pub(in crate::site) fn take_away(
    sites: &Sites,
    environment: &EnvironmentLayout,
) -> Result<(), Fault> {
    for number in numbers(environment, "database-")? {
        remove_database(sites, environment, number)?;
    }
    Ok(())
}

fn remove_but(
    sites: &Sites,
    environment: &EnvironmentLayout,
    kept: &[Content],
) -> Result<Vec<String>, Fault> {
    let doing = || format!("collecting old content of {}", environment.name());
    let mut said = Vec::new();
    let mut left = |what: String, done: Result<(), Fault>| match done {
        Ok(()) => said.push(what),
        Err(fault) => tracing::warn!(site = %environment.site(), environment = %environment.name(),
            "{what} of an old content is left for the next time: {fault}"),
    };
    let contents: BTreeSet<u64> = kept.iter().map(|content| content.number).collect();
    for entry in fs::read_dir(environment.contents()).or_fault(doing)? {
        let entry = entry.or_fault(doing)?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(number) = number
            && !contents.contains(&number)
        {
            left(format!("content {number}"), remove_folder(&entry.path()));
            crash::point("content-collected");
        }
    }
    let databases: BTreeSet<u64> = kept.iter().map(|content| content.database).collect();
    for number in numbers(environment, "database-")? {
        if !databases.contains(&number) {
            left(
                format!("database {number}"),
                remove_database(sites, environment, number),
            );
            crash::point("database-collected");
        }
    }
    let files: BTreeSet<u64> = kept.iter().map(|content| content.files).collect();
    let mut old: Vec<u64> = numbers(environment, "files-")?
        .into_iter()
        .filter(|number| !files.contains(number))
        .collect();
    let spare = environment.stores().join(SPARE);
    let model = sites.state.model();
    let wiped = model
        .environment(environment.site(), environment.name())
        .is_some_and(|state| state.content.origin.ends_with(WIPED));
    if wiped {
        // Whoever wipes files wants them gone.
        left("spare files".to_owned(), remove_folder(&spare));
    }
    // The newest is nearest to what comes next. One that never was in use may not be on the disk as
    // it seems to be: a power cut leaves files of the right length that are empty.
    let in_use = kept.iter().map(|content| content.files).max().unwrap_or(0);
    if let Some(newest) = old.pop_if(|newest| *newest < in_use && !wiped) {
        let path = environment.files_shell(newest);
        let done = remove_folder(&spare).and_then(|()| {
            fs::rename(&path, &spare).or_fault(|| format!("keeping {}", path.display()))
        });
        left(format!("files {newest}"), done);
        crash::point("files-collected");
    }
    for number in old {
        left(
            format!("files {number}"),
            remove_folder(&environment.files_shell(number)),
        );
    }
    Ok(said)
}

fn remove_database(
    sites: &Sites,
    environment: &EnvironmentLayout,
    store: u64,
) -> Result<(), Fault> {
    if let Some(database) = database(&sites.databases, environment, store)? {
        database.remove()?;
    }
    crash::point("database-removed");
    remove_folder(&environment.database_store(store))
}

/// Gives new files what an earlier content left of its own, if there is any.
pub(super) fn take_spare(environment: &EnvironmentLayout, number: u64) -> Result<(), Fault> {
    let spare = environment.stores().join(SPARE);
    if !spare.exists() {
        return Ok(());
    }
    let (shell, empty) = (
        environment.files_shell(number),
        environment.files_store(number),
    );
    let doing = || format!("taking {}", spare.display());
    fs::remove_dir(&empty).or_fault(doing)?;
    // Over an empty folder (rename(2)).
    fs::rename(&spare, shell).or_fault(doing)
}

/// Returns the greatest numbers in use.
pub(super) fn newest(environment: &EnvironmentLayout, current: Content) -> Result<Content, Fault> {
    let doing = || format!("numbering a content of {}", environment.name());
    let mut number = current.number;
    for entry in fs::read_dir(environment.contents()).or_fault(doing)? {
        let name = entry.or_fault(doing)?.file_name();
        let found = name.to_str().and_then(|name| name.parse().ok());
        number = number.max(found.unwrap_or(0));
    }
    let last = |prefix| Ok::<_, Fault>(numbers(environment, prefix)?.pop().unwrap_or(0));
    Ok(Content {
        number,
        files: current.files.max(last("files-")?),
        database: current.database.max(last("database-")?),
    })
}

/// Returns the numbers of stores, in order.
pub(super) fn numbers(environment: &EnvironmentLayout, prefix: &str) -> Result<Vec<u64>, Fault> {
    let doing = || format!("reading the stores of {}", environment.name());
    let mut numbers = Vec::new();
    for entry in fs::read_dir(environment.stores()).or_fault(doing)? {
        let name = entry.or_fault(doing)?.file_name();
        let number: Option<u64> = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix))
            .and_then(|number| number.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes former contents whose time is over, in all environments that nobody changes now.
///
/// # Errors
/// When the state cannot be changed.
pub async fn expire(sites: &Arc<Sites>, gate: &Arc<Gate>) -> Result<(), Fault> {
    let now = Timestamp::now();
    let over: Vec<(SiteName, Environment)> = sites
        .state
        .model()
        .sites
        .iter()
        .flat_map(|(name, site)| {
            let of = |(environment, _): (&Environment, _)| (name.clone(), environment.clone());
            let ended = |(_, state): &(&Environment, &crate::state::EnvironmentState)| {
                state.content.former.is_some_and(|(_, until)| until <= now)
            };
            site.environments
                .iter()
                .filter(ended)
                .map(of)
                .collect::<Vec<_>>()
        })
        .collect();
    for (site, environment) in over {
        let asked = Asked {
            site: site.clone(),
            environment: environment.clone(),
            kind: "content_expire",
            person: PersonName::local(),
            origin: "the gateway itself".to_owned(),
            waits: false,
        };
        // Whoever changes it now collects what is over as well.
        let Ok(run) = sites.workflows.begin(asked, |_waiting| {}).await else {
            continue;
        };
        let (sites, gate) = (Arc::clone(sites), Arc::clone(gate));
        blocking(move || {
            expire_one(&sites, &gate, &site, &environment)?;
            drop(run);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Forgets the former content of one environment, and removes it.
pub(in crate::site) fn expire_one(
    sites: &Sites,
    gate: &Arc<Gate>,
    site: &SiteName,
    environment: &Environment,
) -> Result<(), Fault> {
    sites.state.forget_former(site, environment)?;
    let permit = gate.resume(site, environment, None);
    let layout = sites.layout.site(site).environment(environment);
    let removed = collect(sites, &permit, &layout);
    permit.forget();
    for what in removed? {
        tracing::info!(%site, %environment, "removed {what}");
    }
    Ok(())
}
