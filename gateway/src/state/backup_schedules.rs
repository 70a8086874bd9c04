//! When backups are made without anybody's asking, and when those of a site were last checked.

use jiff::Timestamp;
use jiff::civil::Weekday;
use policy::{Environment, PersonName, SiteName};
use rusqlite::params;

use super::State;
use super::model::{parse, rows};
use crate::fault::{Fault, OrFault};

/// The schedules, one an environment, and the checks, one a site.
pub(super) const TABLES: &str = "
CREATE TABLE backup_schedule (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    weekday INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    keep_daily INTEGER NOT NULL,
    keep_weekly INTEGER NOT NULL,
    since TEXT NOT NULL,
    person TEXT NOT NULL,
    PRIMARY KEY (site, environment),
    FOREIGN KEY (site, environment) REFERENCES environment(site, name) ON DELETE CASCADE
) STRICT;
CREATE TABLE backup_check (
    site TEXT PRIMARY KEY REFERENCES site(name) ON DELETE CASCADE,
    time TEXT NOT NULL,
    trouble TEXT
) STRICT;
";

/// When an environment's backups are made without anybody's asking. Times are UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSchedule {
    /// The site.
    pub site: SiteName,
    /// The environment.
    pub environment: Environment,
    /// The day of the week whose backups are kept for longer.
    pub weekday: Weekday,
    /// The hour, 0 to 23.
    pub hour: i8,
    /// The minute, 0 to 59.
    pub minute: i8,
    /// For how long the others are kept, in days.
    pub keep_daily: u32,
    /// For how long that day's are kept, in days.
    pub keep_weekly: u32,
    /// Since when.
    pub since: Timestamp,
    /// By whom.
    pub person: PersonName,
}

impl State {
    /// Sets when backups of an environment are made, or that none are.
    ///
    /// # Errors
    /// When the environment does not exist or it cannot be kept.
    pub fn set_backup_schedule(
        &self,
        site: &SiteName,
        environment: &Environment,
        schedule: Option<&BackupSchedule>,
    ) -> Result<(), Fault> {
        let doing = "setting when backups are made";
        self.note(doing, |transaction| {
            let Some(one) = schedule else {
                transaction
                    .execute(
                        "DELETE FROM backup_schedule WHERE site = ?1 AND environment = ?2",
                        [site.as_str(), environment.as_str()],
                    )
                    .or_fault(|| doing)?;
                return Ok(());
            };
            transaction
                .execute(
                    "INSERT OR REPLACE INTO backup_schedule
                         (site, environment, weekday, hour, minute, keep_daily, keep_weekly, since,
                          person)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    params![
                        site.as_str(),
                        environment.as_str(),
                        one.weekday.to_monday_zero_offset(),
                        one.hour,
                        one.minute,
                        one.keep_daily,
                        one.keep_weekly,
                        one.since.to_string(),
                        one.person.as_str(),
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Returns when backups are made, of all environments that have them made.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn backup_schedules(&self) -> Result<Vec<BackupSchedule>, Fault> {
        let found = rows(
            &self.reading(),
            "SELECT site, environment, since, person, weekday, hour, minute, keep_daily, keep_weekly
             FROM backup_schedule ORDER BY site, environment",
            |row| {
                let texts: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
                let small: [i8; 3] = [row.get(4)?, row.get(5)?, row.get(6)?];
                let keep: [u32; 2] = [row.get(7)?, row.get(8)?];
                Ok((texts, small, keep))
            },
        )?;
        found.into_iter().map(schedule).collect()
    }

    /// Writes down that the backups of a site were checked, and what was wrong.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn set_backup_check(
        &self,
        site: &SiteName,
        time: Timestamp,
        trouble: Option<&str>,
    ) -> Result<(), Fault> {
        let doing = "writing down a check of backups";
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "INSERT OR REPLACE INTO backup_check (site, time, trouble) VALUES (?1, ?2, ?3)",
                    params![site.as_str(), time.to_string(), trouble],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Returns when the backups of a site were last checked, and what was wrong.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn backup_check(
        &self,
        site: &SiteName,
    ) -> Result<Option<(Timestamp, Option<String>)>, Fault> {
        let found = rows(
            &self.reading(),
            "SELECT site, time, trouble FROM backup_check",
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get(2)?,
                ))
            },
        )?;
        found
            .into_iter()
            .find(|(of, _, _)| of == site.as_str())
            .map(|(_, time, trouble)| Ok((parse(&time)?, trouble)))
            .transpose()
    }
}

type ScheduleRow = ([String; 4], [i8; 3], [u32; 2]);

fn schedule((texts, small, keep): ScheduleRow) -> Result<BackupSchedule, Fault> {
    let [site, environment, since, person] = texts;
    let [weekday, hour, minute] = small;
    let [keep_daily, keep_weekly] = keep;
    Ok(BackupSchedule {
        site: parse(&site)?,
        environment: parse(&environment)?,
        weekday: Weekday::from_monday_zero_offset(weekday)
            .or_fault(|| "reading when backups are made")?,
        hour,
        minute,
        keep_daily,
        keep_weekly,
        since: parse(&since)?,
        person: parse(&person)?,
    })
}
