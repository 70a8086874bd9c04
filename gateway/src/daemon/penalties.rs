//! Which sources are kept out for a while for what they did before login, after OpenSSH's
//! `PerSourcePenalties` (sshd_config(5), srclimit.c).
//!
//! Penalties of one source add up and run off with time. From a least sum on they are enforced,
//! until they have run off. A login that succeeds neither adds to them nor takes from them. The
//! tables are bounded; no clock of its own.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{self, Network, Overflow};

/// What a connection did that never logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offence {
    /// Somebody asked to be let in and was not.
    FailedLogin,
    /// It ended without anybody asking.
    NoLogin,
    /// It did not log in in time.
    GraceExceeded,
    /// It did not speak SSH.
    Garbage,
    /// Our session broke down on it.
    Crash,
}

impl Offence {
    /// Says what came from the source, in the words of refusals.
    fn told(self) -> &'static str {
        match self {
            Offence::FailedLogin => "logins from it failed",
            Offence::NoLogin => "connections from it ended without a login",
            Offence::GraceExceeded => "connections from it did not log in in time",
            Offence::Garbage => "connections from it did not speak SSH",
            Offence::Crash => "connections from it broke down the session that served them",
        }
    }
}

/// A source that is kept out from now on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begun {
    /// The source.
    pub source: Network,
    /// For how long.
    pub length: Duration,
    /// What it did last.
    pub offence: Offence,
}

impl Begun {
    /// Says it in a sentence.
    pub(super) fn sentence(&self) -> String {
        format!(
            "Connections from {} are refused for {} seconds, since {}.",
            self.source,
            seconds(self.length),
            self.offence.told()
        )
    }
}

/// A connection is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeptOut {
    /// What the client is told.
    pub sentence: String,
    /// Whether the log should say it: once for each power of two of them.
    pub worth_a_line: bool,
}

/// All penalties.
#[derive(Debug)]
pub(super) struct Penalties {
    settings: config::Penalties,
    ipv4: Mutex<Table>,
    ipv6: Mutex<Table>,
}

impl Penalties {
    /// Begins without any.
    pub(super) fn new(settings: config::Penalties) -> Self {
        Self {
            settings,
            ipv4: Mutex::default(),
            ipv6: Mutex::default(),
        }
    }

    /// Adds the penalty of one connection. Returns what has begun, if the source is kept out from
    /// now on and was not before. Not to be called for exempt sources.
    pub(super) fn add(&self, source: Network, offence: Offence, now: Instant) -> Option<Begun> {
        let settings = &self.settings;
        let length = Duration::from_secs(match offence {
            Offence::FailedLogin => settings.failed_login_seconds,
            Offence::NoLogin => settings.no_login_seconds,
            Offence::GraceExceeded => settings.grace_exceeded_seconds,
            Offence::Garbage => settings.garbage_seconds,
            Offence::Crash => settings.crash_seconds,
        });
        if length.is_zero() {
            return None;
        }
        let mut table = self
            .table(source)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        table.forget_over(now);
        if !table.make_room(source, settings) {
            return None;
        }
        let longest = Duration::from_secs(settings.longest_seconds);
        let least = Duration::from_secs(settings.least_seconds);
        table.prolong(source, length, longest, now);
        let entry = table.entries.get_mut(&source)?;
        let length = entry.ends.saturating_duration_since(now);
        if entry.enforced {
            entry.offence = offence;
            return None;
        }
        if length < least {
            return None;
        }
        entry.enforced = true;
        entry.offence = offence;
        Some(Begun {
            source,
            length,
            offence,
        })
    }

    /// Says whether a connection from a source is to be refused, and counts it if so. Not to be
    /// called for exempt sources.
    pub(super) fn refuse(&self, source: Network, now: Instant) -> Option<KeptOut> {
        let mut table = self
            .table(source)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        table.forget_over(now);
        let full = table.entries.len() >= self.settings.max_sources;
        if let Some(entry) = table
            .entries
            .get_mut(&source)
            .filter(|entry| entry.enforced)
        {
            entry.turned_away += 1;
            return Some(KeptOut {
                sentence: format!(
                    "Connections from {source} are refused for another {} seconds, since {}.",
                    seconds(entry.ends.saturating_duration_since(now)),
                    entry.offence.told()
                ),
                worth_a_line: entry.turned_away.is_power_of_two(),
            });
        }
        if full && self.settings.overflow == Overflow::DenyAll {
            table.denied += 1;
            return Some(KeptOut {
                sentence: "No connections are taken for now, since too many sources misbehave."
                    .to_owned(),
                worth_a_line: table.denied.is_power_of_two(),
            });
        }
        None
    }

    fn table(&self, source: Network) -> &Mutex<Table> {
        if source.is_ipv4() {
            &self.ipv4
        } else {
            &self.ipv6
        }
    }
}

/// The penalties of one family of addresses.
#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Network, Entry>,
    by_end: BTreeSet<(Instant, Network)>,
    /// Connections refused because the table was full.
    denied: u64,
}

#[derive(Debug)]
struct Entry {
    ends: Instant,
    enforced: bool,
    offence: Offence,
    turned_away: u64,
}

impl Table {
    fn forget_over(&mut self, now: Instant) {
        while let Some((ends, source)) = self.by_end.first().copied() {
            if ends > now {
                return;
            }
            self.forget(ends, source);
        }
    }

    fn forget(&mut self, ends: Instant, source: Network) {
        self.by_end.remove(&(ends, source));
        let gone = self.entries.remove(&source);
        if let Some(entry) = gone.filter(|entry| entry.turned_away > 0) {
            tracing::info!(
                %source,
                turned_away = entry.turned_away,
                "the penalty of a source is over"
            );
        }
    }

    /// Makes room for one more source; says whether there is any.
    fn make_room(&mut self, source: Network, settings: &config::Penalties) -> bool {
        if self.entries.contains_key(&source) || self.entries.len() < settings.max_sources {
            return true;
        }
        match (settings.overflow, self.by_end.first().copied()) {
            (Overflow::Permissive, Some((ends, first))) => {
                self.forget(ends, first);
                true
            }
            (Overflow::Permissive, None) | (Overflow::DenyAll, _) => false,
        }
    }

    fn prolong(&mut self, source: Network, length: Duration, longest: Duration, now: Instant) {
        let entry = self.entries.entry(source).or_insert(Entry {
            ends: now,
            enforced: false,
            offence: Offence::NoLogin,
            turned_away: 0,
        });
        self.by_end.remove(&(entry.ends, source));
        entry.ends = (entry.ends + length).min(now + longest);
        self.by_end.insert((entry.ends, source));
    }
}

/// Returns whole seconds, none too few.
fn seconds(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Network {
        Network::of([192, 0, 2, last].into(), 32)
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn penalties(change: impl FnOnce(&mut config::Penalties)) -> Penalties {
        let mut settings = config::Penalties::default();
        change(&mut settings);
        Penalties::new(settings)
    }

    #[test]
    fn three_failures_in_a_row_keep_a_source_out_until_they_have_run_off() {
        let (penalties, start) = (penalties(|_| {}), Instant::now());
        assert_eq!(penalties.add(source(1), Offence::FailedLogin, start), None);
        assert_eq!(penalties.add(source(1), Offence::FailedLogin, start), None);
        assert_eq!(penalties.refuse(source(1), start), None);
        let begun = penalties
            .add(source(1), Offence::FailedLogin, start)
            .unwrap();
        assert_eq!(
            begun.sentence(),
            "Connections from 192.0.2.1 are refused for 15 seconds, since logins from it failed."
        );
        let kept_out = penalties.refuse(source(1), after(start, 10)).unwrap();
        assert!(
            kept_out.sentence.contains("another 5 seconds"),
            "{kept_out:?}"
        );
        assert_eq!(penalties.refuse(source(2), start), None, "somebody else");
        assert_eq!(penalties.refuse(source(1), after(start, 15)), None);
    }

    #[test]
    fn failures_far_apart_add_up_to_nothing() {
        let (penalties, start) = (penalties(|_| {}), Instant::now());
        for failure in 0..100 {
            let begun = penalties.add(source(1), Offence::FailedLogin, after(start, failure * 5));
            assert_eq!(begun, None);
        }
    }

    #[test]
    fn a_penalty_grows_to_the_longest_and_begins_once() {
        let (penalties, start) = (penalties(|_| {}), Instant::now());
        let begun = (0..1000)
            .filter(|_| penalties.add(source(1), Offence::Garbage, start).is_some())
            .count();
        assert_eq!(begun, 1);
        assert!(penalties.refuse(source(1), after(start, 599)).is_some());
        assert!(penalties.refuse(source(1), after(start, 600)).is_none());
    }

    #[test]
    fn an_enforced_penalty_stays_so_below_the_least_sum() {
        let (penalties, start) = (penalties(|_| {}), Instant::now());
        assert!(penalties.add(source(1), Offence::Crash, start).is_some());
        assert!(penalties.refuse(source(1), after(start, 89)).is_some());
    }

    #[test]
    fn a_full_table_forgets_what_would_end_first() {
        let penalties = penalties(|settings| settings.max_sources = 2);
        let start = Instant::now();
        penalties.add(source(1), Offence::Crash, start);
        penalties.add(source(2), Offence::Crash, after(start, 1));
        penalties.add(source(3), Offence::Crash, after(start, 2));
        assert_eq!(penalties.refuse(source(1), after(start, 2)), None);
        assert!(penalties.refuse(source(2), after(start, 2)).is_some());
        assert!(penalties.refuse(source(3), after(start, 2)).is_some());
        let table = penalties.ipv4.lock().unwrap();
        assert_eq!((table.entries.len(), table.by_end.len()), (2, 2));
    }

    #[test]
    fn a_full_table_may_close_the_door_to_one_family() {
        let penalties = penalties(|settings| {
            settings.max_sources = 1;
            settings.overflow = Overflow::DenyAll;
        });
        let start = Instant::now();
        penalties.add(source(1), Offence::Crash, start);
        penalties.add(source(2), Offence::Crash, start);
        assert!(penalties.refuse(source(2), start).is_some());
        assert!(penalties.refuse(source(9), start).is_some());
        let other = Network::of("2001:db8::1".parse().unwrap(), 64);
        assert_eq!(penalties.refuse(other, start), None);
        assert_eq!(penalties.refuse(source(9), after(start, 90)), None);
    }

    #[test]
    fn the_log_gets_a_line_for_each_power_of_two() {
        let (penalties, start) = (penalties(|_| {}), Instant::now());
        penalties.add(source(1), Offence::Crash, start);
        let lines = (0..1000)
            .filter(|_| penalties.refuse(source(1), start).unwrap().worth_a_line)
            .count();
        assert_eq!(lines, 10);
    }

    #[test]
    fn what_costs_nothing_is_not_remembered() {
        let penalties = penalties(|settings| settings.no_login_seconds = 0);
        penalties.add(source(1), Offence::NoLogin, Instant::now());
        assert!(penalties.ipv4.lock().unwrap().entries.is_empty());
    }
}
