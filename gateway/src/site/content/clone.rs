//! Content from another environment of the site.

use policy::{Environment, SiteName};

use super::fresh::{Fresh, end};
use super::pointer;
use super::progress::{Progress, size, undone};
use super::{Parts, database, room};
use crate::database::replace::Replacement;
use crate::database::skipping;
use crate::database::{Copying, Database, Events};
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::files::{self, Deleting};
use crate::site::workflow::{self, Run, Undone};
use crate::site::{Sites, backup, crash};
use crate::steps_file::Event;

/// What is to be cloned.
#[derive(Debug, Clone)]
pub struct Cloning {
    /// Where it comes from.
    pub source: Environment,
    /// Which halves.
    pub parts: Parts,
    /// Whether the site's updates of its database are run on the copy.
    pub update_database: bool,
    /// Whether the site's caches are cleared on the copy.
    pub clear_caches: bool,
}

/// Gives an environment the content of another one: a copy of one moment, which is switched to when
/// all of it is there. Returns what the person should know.
///
/// # Errors
/// [`Undone`]; the environment has the content that it had.
pub fn clone(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    cloning: &Cloning,
) -> Result<Vec<String>, Undone> {
    let note = format!("{} from {}", cloning.parts.words(), cloning.source);
    run.perform(&note, || {
        if let Err(undone) = keep_what_is_above(sites, run, &permit, cloning) {
            return Err(end(permit, undone));
        }
        let (fresh, mut told) = match fill(sites, run, &permit, cloning) {
            Ok(filled) => filled,
            Err(undone) => return Err(end(permit, undone)),
        };
        let environment = permit.environment()?.clone();
        let more = [
            (cloning.update_database, Event::UpdateDatabase),
            (cloning.clear_caches, Event::ClearCaches),
        ];
        let more = more
            .into_iter()
            .filter_map(|(asked, event)| asked.then_some(event))
            .collect();
        fresh.switch_with(sites, run, permit, (Event::CloneContent, more))?;
        told.push(format!(
            "Cloned {} from \"{}\" to \"{environment}\".",
            cloning.parts.words(),
            cloning.source
        ));
        Ok(told)
    })
}

/// Makes a backup of what content that goes up would overwrite.
fn keep_what_is_above(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    cloning: &Cloning,
) -> Result<(), Undone> {
    let environment = permit.environment()?;
    if !cloning.source.is_below(environment) {
        return Ok(());
    }
    let why = format!("before it got {}'s content", cloning.source);
    match backup::snapshot_before(sites, run, permit, &why)? {
        Some(_kept) => Ok(()),
        None => Err(Undone::Impossible(format!(
            "Content goes up to {environment} after a backup of it only, and none could be made."
        ))),
    }
}

/// Builds a copy of another environment's content, which nobody is pointed to yet.
///
/// # Errors
/// [`Undone`]; nothing is left of it then.
pub(in crate::site) fn fill(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    cloning: &Cloning,
) -> Result<(Fresh, Vec<String>), Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let Cloning { source, parts, .. } = cloning;
    let from = sites.layout.site(&site).environment(source);
    let source_database = match parts.database {
        true => database(sites, &site, source)?,
        false => None,
    };
    let parts = Parts {
        database: parts.database && source_database.is_some(),
        ..*parts
    };
    let origin = format!("{} from {source}", parts.words());
    let fresh = Fresh::begin(sites, permit, parts, origin)?;
    let filled = (|| {
        let mut told = Vec::new();
        let files = from.files_store(pointer::current(&from)?.files);
        if parts.files {
            fresh.use_spare()?;
            copy_files(
                run,
                sites,
                (&site, &environment),
                &files,
                &fresh,
                Deleting::Gone,
            )?;
            crash::point("clone-files");
        }
        if let (Some(source_database), Some(target)) = (&source_database, fresh.database()) {
            let copying = Copied {
                site: &site,
                source,
                target: &environment,
            };
            told.extend(copy_database(
                sites,
                run,
                &copying,
                source_database,
                target,
            )?);
            crash::point("clone-database");
        }
        // What came up while the database was copied has its rows there: nothing is taken away now.
        if parts.files && parts.database {
            copy_files(
                run,
                sites,
                (&site, &environment),
                &files,
                &fresh,
                Deleting::Nothing,
            )?;
            crash::point("clone-files-again");
        }
        workflow::hand_out(sites, run, permit, source, fresh.content())?;
        Ok::<_, Undone>(told)
    })();
    match filled {
        Ok(told) => Ok((fresh, told)),
        Err(undone) => {
            fresh.discard(sites, permit);
            Err(undone)
        }
    }
}

fn copy_files(
    run: &Run,
    sites: &Sites,
    (site, environment): (&SiteName, &Environment),
    from: &std::path::Path,
    fresh: &Fresh,
    deleting: Deleting,
) -> Result<(), Undone> {
    let name = match deleting {
        Deleting::Gone => "clone_files",
        Deleting::Nothing => "clone_files_again",
    };
    run.step(name, || {
        let progress = Progress::new(run);
        let room = room(sites, site, environment)?;
        let copied = files::copy(from, &fresh.files(), deleting, &room, &progress)
            .map_err(|trouble| undone(run, trouble))?;
        run.say(&format!(
            "{} files, {}; {} of them written now.",
            copied.files,
            size(copied.bytes),
            copied.copied
        ));
        for note in copied.notes {
            run.say(&note);
        }
        Ok(())
    })
}

/// From where to where a database goes.
pub(super) struct Copied<'a> {
    pub(super) site: &'a SiteName,
    pub(super) source: &'a Environment,
    pub(super) target: &'a Environment,
}

fn copy_database(
    sites: &Sites,
    run: &Run,
    copied: &Copied<'_>,
    source: &Database,
    target: &Database,
) -> Result<Vec<String>, Undone> {
    if source.engine() != target.engine() {
        return Err(Undone::Impossible(format!(
            "The database of {}.{} is {}, and that of {}.{} is to be {}; a copy does not translate.",
            copied.site,
            copied.source,
            source.engine().as_str(),
            copied.site,
            copied.target,
            target.engine().as_str()
        )));
    }
    let replacement = replacement(sites, copied)?;
    let without_rows = without_rows(sites, copied.site)?;
    run.step("clone_database", || {
        let progress = Progress::new(run);
        let copying = Copying {
            without_rows: &without_rows,
            replacement: replacement.as_ref(),
            events: events(copied.target),
            watcher: &progress,
        };
        let filled = source
            .copy_to(target, &copying)
            .map_err(|trouble| undone(run, trouble))?;
        run.say(&format!(
            "{} tables, {} rows, {}.",
            filled.tables,
            filled.rows,
            size(filled.bytes)
        ));
        if filled.replaced > 0 {
            run.say(&format!(
                "Names of hosts were replaced in {} values.",
                filled.replaced
            ));
        }
        for note in &filled.notes {
            run.say(note);
        }
        Ok(filled.notes)
    })
}

/// What the site says of names of hosts on this way.
fn replacement(sites: &Sites, copied: &Copied<'_>) -> Result<Option<Replacement>, Fault> {
    let model = sites.state.model();
    let pair = (copied.source.clone(), copied.target.clone());
    let hosts = model
        .sites
        .get(copied.site)
        .and_then(|site| site.content.domains.get(&pair));
    match hosts {
        Some(hosts) if !hosts.is_empty() => Replacement::new(hosts).map(Some),
        _none => Ok(None),
    }
}

pub(super) fn without_rows(sites: &Sites, site: &SiteName) -> Result<Vec<String>, Fault> {
    let model = sites.state.model();
    let said = model
        .sites
        .get(site)
        .map(|site| site.content.skipping.clone())
        .unwrap_or_default();
    if said.is_empty() {
        return Ok(Vec::new());
    }
    skipping::patterns(&said)
}

/// Returns what is done to a database on its way from one environment to another: what is replaced, which
/// rows stay behind, whether events go on. Nothing on the way to where it came from.
pub(in crate::site) fn on_the_way(
    sites: &Sites,
    site: &SiteName,
    source: &Environment,
    target: &Environment,
) -> Result<(Option<Replacement>, Vec<String>, Events), Fault> {
    if source == target {
        return Ok((None, Vec::new(), events(target)));
    }
    let copied = Copied {
        site,
        source,
        target,
    };
    let replacement = replacement(sites, &copied)?;
    Ok((replacement, without_rows(sites, site)?, events(target)))
}

/// What a database does by itself, it does where visitors come.
pub(super) fn events(target: &Environment) -> Events {
    match target {
        Environment::Live => Events::Kept,
        Environment::Dev | Environment::Test | Environment::Multidev(_) => Events::Off,
    }
}
