//! Whether a backup is recent.

use jiff::{SignedDuration, Timestamp};

use super::Check;
use super::ground::Ground;
use crate::state::for_people;

/// What is known of the backups of an environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backups {
    /// When the newest whole one was made.
    pub newest: Option<Timestamp>,
    /// Whether they are made by themselves.
    pub automatic: bool,
}

/// A day and the hours that a schedule may be late by.
const RECENT: SignedDuration = SignedDuration::from_hours(36);

/// Older ones are of little use.
const OLD: SignedDuration = SignedDuration::from_hours(8 * 24);

pub(super) fn check(ground: &Ground<'_>, known: Option<Backups>) -> Check {
    let place = ground.place();
    let known = known.unwrap_or_default();
    let make = format!(
        "Make one: backup:create {place}; and then each day: backup:automatic:enable {place}."
    );
    let Some(newest) = known.newest else {
        let found = "There are no backups yet.";
        return if ground.is_live() {
            Check::failure("backups", found, make)
        } else {
            Check::skipped("backups", found)
        };
    };
    let age = ground.now.duration_since(newest);
    let found = format!("The newest backup is of {}.", for_people(newest));
    match (age, ground.is_live()) {
        (age, true) if age > OLD => Check::failure("backups", found, make),
        (age, true) if age > RECENT => Check::warning("backups", found, make),
        (age, false) if age > OLD => Check::ok("backups", format!("{found} It is old.")),
        (_, true) if !known.automatic => Check::warning(
            "backups",
            format!("{found} None is made by itself."),
            format!("Have one made each day: backup:automatic:enable {place}."),
        ),
        _recent => Check::ok("backups", found),
    }
}
