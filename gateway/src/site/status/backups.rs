//! Whether a backup is recent.

use jiff::{SignedDuration, Timestamp};

use super::Check;
use super::ground::Ground;
use crate::site::backup::Health;
use crate::state::for_people;

/// What is known of the backups of an environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Backups {
    /// When the newest whole one was made.
    pub newest: Option<Timestamp>,
    /// Whether they are made by themselves.
    pub automatic: bool,
    /// What was wrong when they were last checked.
    pub trouble: Option<String>,
}

impl From<Health> for Backups {
    fn from(health: Health) -> Self {
        Self {
            newest: health.newest.map(|newest| newest.time),
            automatic: health.scheduled,
            trouble: health.checked.and_then(|(_, trouble)| trouble),
        }
    }
}

/// A day and the hours that a schedule may be late by.
const RECENT: SignedDuration = SignedDuration::from_hours(36);

/// Older ones are of little use.
const OLD: SignedDuration = SignedDuration::from_hours(8 * 24);

pub(super) fn check(ground: &Ground<'_>, known: &Backups) -> Check {
    judged(known, &ground.place(), ground.is_live(), ground.now)
}

pub(super) fn judged(known: &Backups, place: &str, live: bool, now: Timestamp) -> Check {
    const NAME: &str = "backups";
    let make = format!(
        "Make one: backup:create {place}; and then each day: backup:automatic:enable {place}."
    );
    if let Some(trouble) = &known.trouble {
        return Check::failure(
            NAME,
            format!(
                "The site's backups were found damaged: {}.",
                policy::escape(trouble.as_bytes())
            ),
            format!(
                "Look at the disk that they lie on; then make a new one: backup:create {place}."
            ),
        );
    }
    let Some(newest) = known.newest else {
        let found = "There are no backups yet.";
        return if live {
            Check::failure(NAME, found, make)
        } else {
            Check::skipped(NAME, found)
        };
    };
    let age = now.duration_since(newest);
    let found = format!("The newest backup is of {}.", for_people(newest));
    match (age, live) {
        (age, true) if age > OLD => Check::failure(NAME, found, make),
        (age, true) if age > RECENT => Check::warning(NAME, found, make),
        (age, false) if age > OLD => Check::ok(NAME, format!("{found} It is old.")),
        (_, true) if !known.automatic => Check::warning(
            NAME,
            format!("{found} None is made by itself."),
            format!("Have one made each day: backup:automatic:enable {place}."),
        ),
        _recent => Check::ok(NAME, found),
    }
}
