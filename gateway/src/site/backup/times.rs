//! Switches automatic backups on and off, and says when the next one is due.

use jiff::Timestamp;
use jiff::civil::Weekday;
use policy::{Environment, SiteName};

use super::schedule::{self as pure, Past};
use crate::audit::Outcome;
use crate::config::MOST_DAYS;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::Sites;
use crate::state::{BackupKind, BackupSchedule};

/// How automatic backups are wished.
#[derive(Debug, Clone, Default)]
pub struct Switched {
    /// The day of the week whose backups are kept for longer; without one, that of today.
    pub day: Option<Weekday>,
    /// The hour, UTC, 0 to 23; without one, an hour of the environment's own.
    pub hour: Option<i8>,
    /// For how long that day's are kept, in days.
    pub keep_weekly: Option<u32>,
}

/// As Pantheon keeps them.
const KEEP_DAILY: u32 = 8;
const KEEP_WEEKLY: u32 = 32;

/// Switches them on, for the permit's environment.
///
/// # Errors
/// When it cannot be kept.
pub fn enable(
    sites: &Sites,
    mut permit: Permit,
    wished: &Switched,
) -> Result<BackupSchedule, Fault> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let now = Timestamp::now();
    let (hour, minute) = pure::own_time(&site, &environment);
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).weekday();
    let schedule = BackupSchedule {
        weekday: wished.day.unwrap_or(today),
        hour: wished.hour.unwrap_or(hour).clamp(0, 23),
        minute,
        keep_daily: KEEP_DAILY,
        keep_weekly: wished
            .keep_weekly
            .unwrap_or(KEEP_WEEKLY)
            .clamp(1, MOST_DAYS),
        since: now,
        person: permit.who().person.clone(),
        site: site.clone(),
        environment: environment.clone(),
    };
    permit.describe(format!(
        "daily at {:02}:{:02} UTC, those of {:?} kept for {} days",
        schedule.hour, schedule.minute, schedule.weekday, schedule.keep_weekly
    ));
    sites
        .state
        .set_backup_schedule(&site, &environment, Some(&schedule))?;
    permit.finish(Outcome::Done)?;
    Ok(schedule)
}

/// Switches them off. Those that were made stay for their time.
///
/// # Errors
/// When it cannot be kept.
pub fn disable(sites: &Sites, mut permit: Permit) -> Result<(), Fault> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    permit.describe("none are made any more");
    sites.state.set_backup_schedule(&site, &environment, None)?;
    permit.finish(Outcome::Done)
}

/// Returns when they are made, when the next one is due, and which it is.
///
/// # Errors
/// When the state cannot be read.
pub fn schedule(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
) -> Result<Option<(BackupSchedule, Timestamp, BackupKind)>, Fault> {
    let known = sites.state.backup_schedules()?;
    let found = known
        .into_iter()
        .find(|one| one.site == *site && one.environment == *environment);
    let Some(schedule) = found else {
        return Ok(None);
    };
    let past = past(sites, &schedule)?;
    let (next, kind) = pure::next(&schedule, past, Timestamp::now());
    Ok(Some((schedule, next, kind)))
}

/// Returns what a schedule has done so far.
pub(super) fn past(sites: &Sites, schedule: &BackupSchedule) -> Result<Past, Fault> {
    let known = sites.state.backups(&schedule.site, &schedule.environment)?;
    let newest = |which: &dyn Fn(BackupKind) -> bool| {
        let mut of = known.iter().filter(|one| which(one.kind));
        of.next().map(|one| one.time)
    };
    let place = (schedule.site.clone(), schedule.environment.clone());
    let failed = sites.backups.failed.lock();
    let failed = failed.ok().and_then(|failed| failed.get(&place).copied());
    Ok(Past {
        newest: newest(&BackupKind::is_automatic),
        newest_weekly: newest(&|kind| kind == BackupKind::Weekly),
        failed,
    })
}
