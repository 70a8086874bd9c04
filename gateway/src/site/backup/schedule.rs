//! When the next backup is due that nobody asks for. Pure: the clock comes as an argument. All times
//! are UTC, so that no day has an hour twice or never.

use jiff::civil::{Weekday, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use policy::{Environment, SiteName};

use crate::state::{BackupKind, BackupSchedule};

/// What has been done by a schedule so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Past {
    /// When the newest of its backups was begun.
    pub newest: Option<Timestamp>,
    /// When the newest of those was begun that are kept for longer.
    pub newest_weekly: Option<Timestamp>,
    /// When one was last tried in vain, and how often since the last good one.
    pub failed: Option<(Timestamp, u32)>,
}

/// Returns what is to be made now, if anything is: once for each day, however often the gateway was
/// away at its hour; for a day of the week that was missed, the next one is kept for longer instead.
pub(super) fn due(schedule: &BackupSchedule, past: Past, now: Timestamp) -> Option<BackupKind> {
    let slot = newest_slot(schedule, None, now)?;
    let after = |slot: Timestamp, done: Option<Timestamp>| {
        slot > schedule.since && done.is_none_or(|done| done < slot)
    };
    if !after(slot, past.newest) {
        return None;
    }
    if let Some((failed, times)) = past.failed
        && now.duration_since(failed) < patience(times)
    {
        return None;
    }
    let weekly = newest_slot(schedule, Some(schedule.weekday), now)
        .is_some_and(|slot| after(slot, past.newest_weekly));
    Some(if weekly {
        BackupKind::Weekly
    } else {
        BackupKind::Daily
    })
}

/// Returns when the next one is due, and whether it is kept for longer.
pub(super) fn next(
    schedule: &BackupSchedule,
    past: Past,
    now: Timestamp,
) -> (Timestamp, BackupKind) {
    if let Some(kind) = due(schedule, past, now) {
        return (now, kind);
    }
    let begin = newest_slot(schedule, None, now).unwrap_or(now);
    let mut slot = begin;
    while slot <= now || slot <= schedule.since {
        slot += DAY;
    }
    // One that failed is tried again before the next day's.
    if let Some((failed, times)) = past.failed
        && begin > schedule.since
        && past.newest.is_none_or(|done| done < begin)
    {
        slot = slot.min(failed + patience(times));
    }
    let past = Past {
        failed: None,
        ..past
    };
    let kind = due(schedule, past, slot).unwrap_or(BackupKind::Daily);
    (slot, kind)
}

/// Returns for how long one of a kind is kept, in days.
pub(super) fn kept_for(schedule: &BackupSchedule, kind: BackupKind) -> u32 {
    match kind {
        BackupKind::Weekly => schedule.keep_weekly,
        BackupKind::Daily | BackupKind::Manual | BackupKind::Before => schedule.keep_daily,
    }
}

/// Returns an hour and a minute of an environment's own, so that not all of a server's backups begin
/// at once: by its name, so that it is always the same.
pub(super) fn own_time(site: &SiteName, environment: &Environment) -> (i8, i8) {
    // FNV-1a; nobody gains anything by choosing a name for its hour.
    let text = format!("{site}.{environment}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let minutes = (hash >> 16) % (24 * 60);
    (small(minutes / 60), small(minutes % 60))
}

fn small(number: u64) -> i8 {
    i8::try_from(number).unwrap_or_default()
}

/// How long after a failure the next try is made.
fn patience(times: u32) -> SignedDuration {
    let minutes = 5_i64.saturating_mul(1 << times.saturating_sub(1).min(6));
    SignedDuration::from_mins(minutes.min(3 * 60))
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Returns the newest time at or before `now` at which one was due, on any day or on one of the week.
fn newest_slot(
    schedule: &BackupSchedule,
    weekday: Option<Weekday>,
    now: Timestamp,
) -> Option<Timestamp> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let midnight = date(today.year(), today.month(), today.day())
        .to_zoned(TimeZone::UTC)
        .ok()?
        .timestamp();
    let minutes = i64::from(schedule.hour) * 60 + i64::from(schedule.minute);
    let mut slot = midnight
        .checked_add(SignedDuration::from_mins(minutes))
        .ok()?;
    if slot > now {
        slot = slot.checked_sub(DAY).ok()?;
    }
    if let Some(weekday) = weekday {
        let found = slot.to_zoned(TimeZone::UTC).weekday();
        let days = i64::from(weekday.until(found));
        slot = slot
            .checked_sub(SignedDuration::from_hours(24 * days))
            .ok()?;
    }
    Some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}Z").parse().unwrap()
    }

    /// Monday at 03:30, since Wednesday the 4th of November 2026.
    fn schedule() -> BackupSchedule {
        BackupSchedule {
            site: "acme".parse().unwrap(),
            environment: Environment::Live,
            weekday: Weekday::Monday,
            hour: 3,
            minute: 30,
            keep_daily: 8,
            keep_weekly: 32,
            since: at("2026-11-04T12:00:00"),
            person: "alice".parse().unwrap(),
        }
    }

    #[test]
    fn one_a_day_at_its_hour_and_the_one_of_its_weekday_stays_longer() {
        let schedule = schedule();
        let mut past = Past::default();
        let mut made = Vec::new();
        let mut now = at("2026-11-04T12:00:00");
        while now < at("2026-11-18T12:00:00") {
            if let Some(kind) = due(&schedule, past, now) {
                assert_eq!(next(&schedule, past, now), (now, kind));
                made.push((now, kind));
                past.newest = Some(now);
                if kind == BackupKind::Weekly {
                    past.newest_weekly = Some(now);
                }
            }
            now += SignedDuration::from_mins(10);
        }
        let days: Vec<_> = (5..=18)
            .map(|day| at(&format!("2026-11-{day:02}T03:30:00")))
            .collect();
        let times: Vec<_> = made.iter().map(|(time, _)| *time).collect();
        assert_eq!(times, days);
        let weekly: Vec<_> = made
            .iter()
            .filter(|(_, kind)| *kind == BackupKind::Weekly)
            .map(|(time, _)| *time)
            .collect();
        assert_eq!(
            weekly,
            [at("2026-11-09T03:30:00"), at("2026-11-16T03:30:00")]
        );
    }

    #[test]
    fn what_was_missed_is_caught_up_with_once() {
        let schedule = schedule();
        let mut past = Past {
            newest: Some(at("2026-11-07T03:30:02")),
            newest_weekly: None,
            failed: None,
        };
        // Away from Saturday to Tuesday: the Monday's is made on Tuesday, and one only.
        let back = at("2026-11-10T01:00:00");
        assert_eq!(due(&schedule, past, back), Some(BackupKind::Weekly));
        past.newest = Some(back);
        past.newest_weekly = Some(back);
        assert_eq!(due(&schedule, past, at("2026-11-10T03:29:59")), None);
        assert_eq!(
            next(&schedule, past, at("2026-11-10T02:00:00")),
            (at("2026-11-10T03:30:00"), BackupKind::Daily)
        );
        assert_eq!(
            due(&schedule, past, at("2026-11-10T03:30:00")),
            Some(BackupKind::Daily)
        );
    }

    #[test]
    fn nothing_is_due_for_a_time_before_it_was_switched_on() {
        let schedule = schedule();
        for now in ["2026-11-04T12:00:00", "2026-11-05T03:29:59"] {
            assert_eq!(due(&schedule, Past::default(), at(now)), None, "{now}");
            assert_eq!(
                next(&schedule, Past::default(), at(now)),
                (at("2026-11-05T03:30:00"), BackupKind::Daily)
            );
        }
    }

    #[test]
    fn one_that_fails_is_tried_again_and_again_but_ever_less_often() {
        let schedule = schedule();
        let (mut past, mut tries) = (Past::default(), Vec::new());
        let mut now = at("2026-11-05T03:30:00");
        while now < at("2026-11-06T03:30:00") {
            if due(&schedule, past, now).is_some() {
                tries.push(now);
                let times = u32::try_from(tries.len()).unwrap();
                past.failed = Some((now, times));
                let (then, _) = next(&schedule, past, now);
                assert!(then > now && then <= at("2026-11-06T03:30:00"));
            }
            now += SignedDuration::from_mins(1);
        }
        assert!((8..20).contains(&tries.len()), "{tries:?}");
        assert_eq!(tries[1], at("2026-11-05T03:35:00"));
    }

    #[test]
    fn environments_have_times_of_their_own() {
        let mut hours = std::collections::BTreeSet::new();
        for number in 0..200 {
            let site: SiteName = format!("site-{number}").parse().unwrap();
            let (hour, minute) = own_time(&site, &Environment::Live);
            assert!((0..24).contains(&hour) && (0..60).contains(&minute));
            assert_eq!((hour, minute), own_time(&site, &Environment::Live));
            hours.insert(hour);
        }
        assert!(hours.len() > 18, "{hours:?}");
    }
}
