//! Which backups go: those whose time is over, and where a site's backups take too much room, the
//! oldest that nobody asked for. Pure.

use jiff::Timestamp;

use crate::state::Backup;

/// Whether a backup's time is over.
pub(super) fn is_over(backup: &Backup, now: Timestamp) -> bool {
    backup.expires <= now
}

/// Returns the backup that makes room first: the oldest automatic one that is not the newest good one
/// of its environment. What a person asked for, and what was kept before content was replaced, stays
/// for its time. `backups` are those of one site, the newest first.
pub(super) fn first_to_go(backups: &[Backup]) -> Option<&Backup> {
    backups
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, one)| one.elements.is_some() && one.kind.is_automatic())
        .find(|(place, one)| {
            backups
                .iter()
                .take(*place)
                .any(|newer| newer.environment == one.environment && newer.elements.is_some())
        })
        .map(|(_, one)| one)
}

#[cfg(test)]
mod tests {
    use policy::Environment;

    use super::*;
    use crate::state::{BackupElements, BackupKind};

    fn backup(id: &str, environment: Environment, kind: BackupKind) -> Backup {
        let time: Timestamp = format!("2026-11-{id}T03:00:00Z").parse().unwrap();
        Backup {
            id: id.to_owned(),
            site: "acme".parse().unwrap(),
            environment,
            made: Timestamp::UNIX_EPOCH,
            time,
            expires: time + jiff::SignedDuration::from_hours(24 * 8),
            kind,
            why: String::new(),
            person: "alice".parse().unwrap(),
            elements: Some(BackupElements::default()),
        }
    }

    #[test]
    fn room_is_made_by_the_oldest_automatic_ones_and_each_environment_keeps_one() {
        use BackupKind::{Before, Daily, Manual, Weekly};
        let mut all = vec![
            backup("09", Environment::Dev, Daily),
            backup("08", Environment::Live, Daily),
            backup("07", Environment::Live, Weekly),
            backup("06", Environment::Live, Manual),
            backup("05", Environment::Live, Before),
            backup("04", Environment::Live, Daily),
            backup("03", Environment::Test, Daily),
        ];
        let mut gone = Vec::new();
        while let Some(one) = first_to_go(&all) {
            let id = one.id.clone();
            all.retain(|one| one.id != id);
            gone.push(id);
        }
        assert_eq!(gone, ["04", "07"]);
    }

    #[test]
    fn its_time_is_over_to_the_second() {
        let one = backup("01", Environment::Live, BackupKind::Daily);
        assert!(!is_over(&one, "2026-11-09T02:59:59Z".parse().unwrap()));
        assert!(is_over(&one, "2026-11-09T03:00:00Z".parse().unwrap()));
    }
}
