//! What is done about backups without anybody's asking: they are made when they are due, removed when
//! their time is over, cleared of what crashes left, and checked for damage. One thing at a time.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use policy::{PersonName, SiteName};

use super::create::{self, Making};
use super::repository::Repository;
use super::{aside, retain, schedule, tags, times, undone};
use crate::audit::Outcome;
use crate::crash;
use crate::database::Trouble;
use crate::fault::{Fault, OrFault};
use crate::gate::Gate;
use crate::site::workflow::Asked;
use crate::site::{Sites, blocking};
use crate::state::{Backup, BackupSchedule};

/// The time between two looks at what is due.
const LOOK: Duration = Duration::from_secs(15);
/// The time between two looks at what has had its time.
const EXPIRY: Duration = Duration::from_secs(5 * 60);
/// Four checks read all that there is.
const CHECKED_PERCENT: u32 = 25;

/// Does it, for as long as the gateway runs.
pub async fn run_by_itself(sites: Arc<Sites>, gate: Arc<Gate>) {
    let mut expired: Option<Instant> = None;
    let swept = {
        let sites = Arc::clone(&sites);
        blocking(move || sweep(&sites))
    };
    if let Err(fault) = swept.await {
        tracing::error!("what killed backups have left could not be removed: {fault}");
    }
    loop {
        if sites.backups.unavailable().is_none() {
            if expired.is_none_or(|then| then.elapsed() >= EXPIRY) {
                expired = Some(Instant::now());
                let (sites, gate) = (Arc::clone(&sites), Arc::clone(&gate));
                let cleared = blocking(move || {
                    clear(&sites, &gate)?;
                    tidy(&sites);
                    Ok(())
                });
                if let Err(fault) = cleared.await {
                    tracing::error!("backups could not be cleared: {fault}");
                }
            }
            if let Err(fault) = make_due(&sites, &gate).await {
                tracing::error!("automatic backups could not be looked at: {fault}");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn sweep(sites: &Sites) -> Result<(), Fault> {
    for site in sites.state.model().sites.keys() {
        aside::sweep(&sites.backups.repository(&sites.layout.site(site)))?;
    }
    Ok(())
}

/// Makes what is due, one after another. An environment that somebody changes now has its turn at the
/// next look.
async fn make_due(sites: &Arc<Sites>, gate: &Arc<Gate>) -> Result<(), Fault> {
    let schedules = {
        let sites = Arc::clone(sites);
        blocking(move || sites.state.backup_schedules()).await?
    };
    for schedule in schedules {
        let kind = {
            let (sites, schedule) = (Arc::clone(sites), schedule.clone());
            blocking(move || {
                let past = times::past(&sites, &schedule)?;
                Ok(schedule::due(&schedule, past, Timestamp::now()))
            })
            .await?
        };
        let Some(kind) = kind else {
            continue;
        };
        let making = Making {
            elements: super::ALL,
            keep_days: schedule::kept_for(&schedule, kind),
            kind,
            why: format!("automatic, {}", kind.as_str()),
        };
        let asked = Asked {
            site: schedule.site.clone(),
            environment: schedule.environment.clone(),
            kind: "backup_automatic",
            person: PersonName::local(),
            origin: "the gateway itself".to_owned(),
            waits: false,
        };
        let Ok(run) = sites.workflows.begin(asked, |_waiting| {}).await else {
            continue;
        };
        let (sites, gate) = (Arc::clone(sites), Arc::clone(gate));
        blocking(move || {
            let record = run.record();
            let permit = gate.resume(&record.site, &record.environment, Some(&record));
            let made = create::create(&sites, &run, permit, &making);
            drop(run);
            note(&sites, &schedule, made.is_ok());
            if let Err(undone) = made {
                let (site, environment) = (&schedule.site, &schedule.environment);
                tracing::error!(%site, %environment, "an automatic backup failed: {undone}");
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

fn note(sites: &Sites, schedule: &BackupSchedule, good: bool) {
    let failed = &sites.backups.failed;
    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
    let place = (schedule.site.clone(), schedule.environment.clone());
    if good {
        failed.remove(&place);
    } else {
        let times = failed.get(&place).map_or(0, |(_, times)| *times);
        failed.insert(place, (Timestamp::now(), times.saturating_add(1)));
    }
}

/// Removes backups whose time is over, and what is left of those that were never made or were being
/// removed when the gateway ended.
fn clear(sites: &Sites, gate: &Arc<Gate>) -> Result<(), Fault> {
    let now = Timestamp::now();
    for backup in sites.state.all_backups(None)? {
        let over = retain::is_over(&backup, now);
        let left = backup.elements.is_none() && !sites.backups.is_being_made(&backup);
        if !over && !left {
            continue;
        }
        let repository = sites.backups.repository(&sites.layout.site(&backup.site));
        match remove(sites, &repository, &backup) {
            Ok(true) => {
                let mut permit = gate.resume(&backup.site, &backup.environment, None);
                permit.describe(if over {
                    format!("the backup {} is removed, for its time is over", backup.id)
                } else {
                    format!("what was left of the backup {} is removed", backup.id)
                });
                permit.finish(Outcome::Done)?;
            }
            Ok(false) => {}
            Err(trouble) => {
                let (site, environment) = (&backup.site, &backup.environment);
                tracing::warn!(%site, %environment, id = backup.id,
                    "a backup is removed later: {}", undone(None, trouble));
            }
        }
    }
    Ok(())
}

/// Removes a backup, if nobody reads the site's backups or adds to them now; returns whether.
///
/// # Errors
/// When it cannot be removed; it is listed no more, and removed later.
pub(super) fn remove(
    sites: &Sites,
    repository: &Repository,
    backup: &Backup,
) -> Result<bool, Trouble> {
    sites.state.end_backup(backup, None)?;
    let turn = sites.backups.turn(&backup.site);
    let _alone = match turn.try_write() {
        Ok(alone) => alone,
        Err(TryLockError::Poisoned(alone)) => alone.into_inner(),
        Err(TryLockError::WouldBlock) => return Ok(false),
    };
    remove_alone(sites, repository, backup)?;
    Ok(true)
}

/// As [`remove`], for who has the site's backups alone.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn remove_alone(
    sites: &Sites,
    repository: &Repository,
    backup: &Backup,
) -> Result<(), Trouble> {
    sites.state.end_backup(backup, None)?;
    crash::point("backup-unlisted");
    if repository.exists() {
        std::fs::write(to_prune(repository), b"")
            .or_fault(|| "noting that backups are to be cleared")?;
        // Locks of a restic that was killed; those of one that runs stay.
        repository.unlock()?;
        let found = repository.snapshots(&tags(backup))?;
        let ids: Vec<String> = found.into_iter().map(|one| one.id).collect();
        repository.forget(&ids)?;
        crash::point("backup-forgotten");
    }
    sites.state.forget_backup(backup)?;
    Ok(())
}

/// Gives room back, and checks for damage, where nobody does anything to a site.
fn tidy(sites: &Sites) {
    let names: Vec<SiteName> = sites.state.model().sites.keys().cloned().collect();
    for site in names {
        let repository = sites.backups.repository(&sites.layout.site(&site));
        if !repository.exists() || !sites.workflows.of_site(&site).is_empty() {
            continue;
        }
        if let Err(trouble) = prune(sites, &site, &repository) {
            tracing::warn!(%site, "backups are cleared later: {}", undone(None, trouble));
        }
        if let Err(fault) = check(sites, &site, &repository) {
            tracing::error!(%site, "backups could not be checked: {fault}");
        }
    }
}

fn prune(sites: &Sites, site: &SiteName, repository: &Repository) -> Result<(), Trouble> {
    let mark = to_prune(repository);
    if !mark.exists() {
        return Ok(());
    }
    let turn = sites.backups.turn(site);
    let _alone = match turn.try_write() {
        Ok(alone) => alone,
        Err(TryLockError::Poisoned(alone)) => alone.into_inner(),
        Err(TryLockError::WouldBlock) => return Ok(()),
    };
    repository.unlock()?;
    repository.prune()?;
    std::fs::remove_file(&mark).or_fault(|| "noting that backups are cleared")?;
    Ok(())
}

fn check(sites: &Sites, site: &SiteName, repository: &Repository) -> Result<(), Fault> {
    let days = sites.backups.settings.check_days;
    let every = SignedDuration::from_hours(24 * i64::from(days));
    let now = Timestamp::now();
    let last = sites.state.backup_check(site)?;
    if days == 0 || last.is_some_and(|(then, _)| now.duration_since(then) < every) {
        return Ok(());
    }
    let turn = sites.backups.turn(site);
    let _shared = turn.read().unwrap_or_else(PoisonError::into_inner);
    match repository.check(CHECKED_PERCENT) {
        Ok(()) => sites.state.set_backup_check(site, now, None),
        Err(Trouble::Refused(damage)) => {
            tracing::error!(%site, "{damage}");
            sites.state.set_backup_check(site, now, Some(&damage))
        }
        Err(Trouble::Stopped) => Ok(()),
        Err(Trouble::Fault(fault)) => Err(fault),
    }
}

/// Says that something was removed whose room was not given back yet.
fn to_prune(repository: &Repository) -> PathBuf {
    repository.above.join("backups.to-prune")
}
