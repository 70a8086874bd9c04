//! Makes backups. Files are kept before the database and again after it, and what either has belongs
//! to the backup: so every row of the database has its file, whatever the site does meanwhile.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use policy::{Elements, Environment, PersonName, SiteName};

use super::content;
use super::filling::Filling;
use super::repository::{Repository, size};
use super::restic::bytes;
use super::{Followed, name, retain, undone, upkeep};
use crate::audit::Outcome;
use crate::config::MOST_DAYS;
use crate::crash;
use crate::database::Trouble;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::workflow::{self, Undone};
use crate::site::{Run, Sites};
use crate::state::{Backup, BackupKind, for_people};
use crate::steps_file::{Event, Stage};

/// What is to be kept, and for how long.
#[derive(Debug, Clone)]
pub struct Making {
    /// Which parts.
    pub elements: Elements,
    /// For how many days.
    pub keep_days: u32,
    /// What it is made for.
    pub kind: BackupKind,
    /// The same, for people.
    pub why: String,
}

/// Makes a backup of the permit's environment. The caller holds its turn.
///
/// # Errors
/// [`Undone`]; there is no backup then.
pub fn create(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    making: &Making,
) -> Result<Backup, Undone> {
    run.perform(&making.why, || {
        let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
        let person = permit.who().person.clone();
        let around = |stage| workflow::around(sites, run, &permit, Event::Backup, stage);
        let made = around(Stage::Before).and_then(|()| {
            run.step("backup", || {
                make(sites, run, (&site, &environment), &person, making)
            })
        });
        // The backup is there, whatever follows it.
        if made.is_ok()
            && let Err(undone) = around(Stage::After)
        {
            run.say(&format!(
                "The backup is made, and what follows it failed: {undone}"
            ));
        }
        match &made {
            Ok(backup) => {
                permit.describe(format!("backup {}, {}", backup.id, told(backup)));
                permit.finish(Outcome::Done)?;
            }
            Err(undone) => {
                permit.describe(undone.to_string());
                permit.finish(Outcome::Failed)?;
            }
        }
        made
    })
}

/// Makes a backup of files and database before they are replaced or emptied, inside the workflow
/// that does it; `why` says what that is. On a server without restic it says so and makes none, but
/// on Live, where nothing is replaced then.
///
/// # Errors
/// [`Undone`]; nothing may be replaced then.
pub fn snapshot_before(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    why: &str,
) -> Result<Option<Backup>, Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    if let Some(missing) = sites.backups.unavailable() {
        if matches!(environment, Environment::Live) {
            return Err(Undone::Impossible(format!(
                "Live is not changed without a backup of it first. {missing}"
            )));
        }
        run.say(&format!("No backup is made first. {missing}"));
        return Ok(None);
    }
    let making = Making {
        elements: super::CONTENT,
        keep_days: sites.backups.settings.keep_before_days,
        kind: BackupKind::Before,
        why: why.to_owned(),
    };
    let person = permit.who().person.clone();
    run.step("backup", || {
        make(sites, run, (&site, &environment), &person, &making)
    })
    .map(Some)
}

/// What a backup has, in a few words.
pub(super) fn told(backup: &Backup) -> String {
    let mut parts = Vec::new();
    if let Some(elements) = &backup.elements {
        if let Some(files) = &elements.files {
            let size = bytes(files.bytes);
            parts.push(format!("{} files ({size})", files.files));
        }
        if let Some(database) = &elements.database {
            let size = bytes(database.bytes);
            parts.push(format!("a database ({size})"));
        }
        if let Some(code) = &elements.code {
            let commit: String = code.commit.chars().take(10).collect();
            parts.push(format!("code {commit}"));
        }
    }
    parts.join(", ")
}

pub(super) fn make(
    sites: &Sites,
    run: &Run,
    (site, environment): (&SiteName, &Environment),
    person: &PersonName,
    making: &Making,
) -> Result<Backup, Undone> {
    let found = content::now(sites, site, environment)?;
    if making.elements == super::Element::Code.alone() && found.commit.is_none() {
        return Err(Undone::Impossible(format!(
            "{site}.{environment} has never been deployed, so it has no code to back up."
        )));
    }
    if making.elements == super::Element::Database.alone() && found.database.is_none() {
        return Err(Undone::Impossible(format!(
            "{site}.{environment} has no database that the gateway knows."
        )));
    }
    let repository = sites.backups.repository(&sites.layout.site(site));
    make_ready(sites, site, &repository).map_err(|trouble| undone(Some(run), trouble))?;
    let backup = begin(sites, (site, environment), person, making)?;
    let _making = Being::made(sites, &backup);
    crash::point("backup-begun");
    let turn = sites.backups.turn(site);
    let shared = turn.read().unwrap_or_else(PoisonError::into_inner);
    let watcher = Followed::new(run);
    let filling = Filling {
        sites,
        run,
        repository: &repository,
        backup: &backup,
        watcher: &watcher,
    };
    let filled = filling.all(&found, making.elements).and_then(|elements| {
        crash::point("backup-stored");
        sites.state.end_backup(&backup, Some(&elements))?;
        Ok(elements)
    });
    drop(shared);
    match filled {
        Ok(elements) => {
            crash::point("backup-listed");
            let backup = Backup {
                elements: Some(elements),
                ..backup
            };
            run.say(&format!(
                "Backup {}: {}; kept until {}.",
                backup.id,
                told(&backup),
                for_people(backup.expires)
            ));
            Ok(backup)
        }
        Err(trouble) => {
            // What is not cleared now is cleared later: only what has its row complete is a backup.
            if let Err(trouble) = upkeep::remove(sites, &repository, &backup) {
                tracing::warn!("what is left of a backup that failed stays for now: {trouble:?}");
            }
            Err(undone(Some(run), trouble))
        }
    }
}

/// Sees to it that there is a repository, and room in it.
fn make_ready(sites: &Sites, site: &SiteName, repository: &Repository) -> Result<(), Trouble> {
    if let Some(missing) = sites.backups.unavailable() {
        return Err(Trouble::Refused(missing));
    }
    let turn = sites.backups.turn(site);
    if !repository.exists() {
        let _alone = turn.write().unwrap_or_else(PoisonError::into_inner);
        repository.make()?;
    }
    let most = sites.backups.settings.max_site_bytes;
    let is_over = || {
        let size = size(&repository.folder()).unwrap_or_default();
        most > 0 && size >= most
    };
    if is_over() {
        let _alone = turn.write().unwrap_or_else(PoisonError::into_inner);
        while is_over() {
            let all = sites.state.all_backups(Some(site))?;
            let Some(oldest) = retain::first_to_go(&all) else {
                return Err(Trouble::Refused(format!(
                    "The backups of {site} take all of the {} that they may, and none is left that \
                     was made automatically. The server's administrator can raise \
                     backups.max_site_bytes; else this works again when older ones have had their time.",
                    bytes(most)
                )));
            };
            tracing::info!(%site, id = oldest.id, "a backup makes room");
            upkeep::remove_alone(sites, repository, oldest)?;
            repository.prune()?;
        }
    }
    Ok(())
}

/// Writes down that a backup is being made, under a name that no other of its environment has.
fn begin(
    sites: &Sites,
    (site, environment): (&SiteName, &Environment),
    person: &PersonName,
    making: &Making,
) -> Result<Backup, Fault> {
    let model = sites.state.model();
    let made = model
        .environment(site, environment)
        .map(|found| found.created)
        .ok_or_else(|| Fault::new("the environment is gone"))?;
    let mut time =
        Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_else(|_| Timestamp::now());
    let taken = sites.state.all_backups(Some(site))?;
    let id = |time: Timestamp| time.strftime("%Y-%m-%dT%H-%M-%S_UTC").to_string();
    while taken
        .iter()
        .any(|one| one.environment == *environment && one.id == id(time))
    {
        time += SignedDuration::from_secs(1);
    }
    let days = i64::from(making.keep_days.clamp(1, MOST_DAYS));
    let backup = Backup {
        id: id(time),
        site: site.clone(),
        environment: environment.clone(),
        made,
        time,
        expires: time + SignedDuration::from_hours(24 * days),
        kind: making.kind,
        why: making.why.clone(),
        person: person.clone(),
        elements: None,
    };
    sites.state.begin_backup(&backup)?;
    Ok(backup)
}

/// Says, while it lasts, that a backup is being made, so that nobody takes it for a leftover.
struct Being<'a>(&'a Sites, super::Name);

impl<'a> Being<'a> {
    fn made(sites: &'a Sites, backup: &Backup) -> Self {
        let name = name(backup);
        let mut making = sites.backups.making.lock();
        let making = making.as_mut().map(|making| making.insert(name.clone()));
        let _ = making;
        Self(sites, name)
    }
}

impl Drop for Being<'_> {
    fn drop(&mut self) {
        let making = &self.0.backups.making;
        let mut making = making.lock().unwrap_or_else(PoisonError::into_inner);
        making.remove(&self.1);
    }
}
