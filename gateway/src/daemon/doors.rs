//! How many connections there may be: in all, before login, from one source before login, of one
//! person after it. And waiting for their end.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::PersonName;
use tokio::sync::Notify;

use crate::config::{Limits, Network};
use crate::protocol::ssh;

/// All doors of the gateway.
#[derive(Debug, Clone)]
pub(super) struct Doors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    counts: Mutex<Counts>,
    closed: Notify,
}

/// Connections that there are. The maps hold no zeros, so they are no longer than these.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    waiting: usize,
    sources: HashMap<Network, usize>,
    people: HashMap<PersonName, usize>,
}

/// There is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// There are as many connections as there may be.
    Full,
    /// Too many wait to log in.
    TooManyWait,
    /// Too many of this source wait to log in.
    TooManyOfSource,
}

impl NoPlace {
    /// Says it in a sentence.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            NoPlace::Full => {
                "This gateway has as many connections as it takes. Try again in a moment."
            }
            NoPlace::TooManyWait => {
                "Too many connections to this gateway are waiting to log in. Try again in a moment."
            }
            NoPlace::TooManyOfSource => {
                "Too many connections from your address are waiting to log in. Let some of them log in or end first."
            }
        }
    }
}

/// The place of one connection; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    doors: Doors,
    waiting: bool,
    source: Option<Network>,
    person: Option<PersonName>,
    visit: Arc<Visit>,
}

/// What a connection has come to, as its listener sees it.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// Somebody asked to be let in.
    pub asked: AtomicBool,
    /// Somebody was proven to be a person we know, whether there was room for them or not.
    pub known: AtomicBool,
    /// Told when somebody was let in.
    pub entered: Notify,
}

impl Doors {
    /// Makes as many as the limits say.
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Inner {
            limits: limits.clone(),
            counts: Mutex::default(),
            closed: Notify::new(),
        }))
    }

    /// Takes a place for a connection that comes.
    pub(super) fn take(&self) -> Result<Place, NoPlace> {
        let limits = &self.0.limits;
        let mut counts = self.counts();
        if counts.all >= limits.max_connections {
            return Err(NoPlace::Full);
        }
        if limits.max_startups.chance(counts.waiting) >= 100 {
            return Err(NoPlace::TooManyWait);
        }
        counts.all += 1;
        counts.waiting += 1;
        drop(counts);
        Ok(Place {
            doors: self.clone(),
            waiting: true,
            source: None,
            person: None,
            visit: Arc::default(),
        })
    }

    /// Returns how many connections there are.
    pub(super) fn open(&self) -> usize {
        self.counts().all
    }

    /// Waits until all connections have ended, but not longer than `patience`.
    pub(super) async fn drain(&self, patience: Duration) {
        let all_closed = async {
            loop {
                let closed = self.0.closed.notified();
                if self.open() == 0 {
                    return;
                }
                closed.await;
            }
        };
        if tokio::time::timeout(patience, all_closed).await.is_err() {
            tracing::warn!(
                connections = self.open(),
                "connections that have not ended in time are cut"
            );
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Says which source the connection comes from, as soon as that is known. Chance turns away
    /// only sources that have others waiting: somebody who comes once is not to suffer from a flood.
    pub(super) fn comes_from(&mut self, source: Network) -> Result<(), NoPlace> {
        let limits = &self.doors.0.limits;
        let mut counts = self.doors.counts();
        let chance = limits.max_startups.chance(counts.waiting.saturating_sub(1));
        let not_alone = counts.sources.contains_key(&source);
        if not_alone && chance > 0 && below_100() < chance {
            return Err(NoPlace::TooManyWait);
        }
        if !one_more(&mut counts.sources, &source, limits.max_startups_per_source) {
            return Err(NoPlace::TooManyOfSource);
        }
        drop(counts);
        self.source = Some(source);
        Ok(())
    }

    /// Returns what the connection comes to.
    pub(super) fn visit(&self) -> Arc<Visit> {
        Arc::clone(&self.visit)
    }

    fn waits_no_longer(&mut self, counts: &mut Counts) {
        if std::mem::take(&mut self.waiting) {
            counts.waiting = counts.waiting.saturating_sub(1);
        }
        if let Some(source) = self.source.take() {
            one_less(&mut counts.sources, &source);
        }
    }
}

impl ssh::Door for Place {
    fn asked(&mut self) {
        self.visit.asked.store(true, Ordering::Release);
    }

    fn entered(&mut self, person: &PersonName) -> Result<(), String> {
        self.visit.known.store(true, Ordering::Release);
        let doors = self.doors.clone();
        let most = doors.0.limits.max_connections_per_person;
        let mut counts = doors.counts();
        if !one_more(&mut counts.people, person, most) {
            return Err(format!(
                "{person} has {most} connections open, which is the most allowed. Close one, then try again."
            ));
        }
        self.person = Some(person.clone());
        self.waits_no_longer(&mut counts);
        drop(counts);
        self.visit.entered.notify_one();
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let doors = self.doors.clone();
        let mut counts = doors.counts();
        self.waits_no_longer(&mut counts);
        if let Some(person) = self.person.take() {
            one_less(&mut counts.people, &person);
        }
        counts.all = counts.all.saturating_sub(1);
        drop(counts);
        doors.0.closed.notify_waiters();
    }
}

/// Counts one more unless there are as many as there may be; 0 is no limit.
fn one_more<K: Hash + Eq + Clone>(counts: &mut HashMap<K, usize>, key: &K, most: usize) -> bool {
    let count = counts.get(key).copied().unwrap_or(0);
    if most > 0 && count >= most {
        return false;
    }
    counts.insert(key.clone(), count + 1);
    true
}

fn one_less<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Returns a number below 100 by chance; 0, which turns away, when there is none to be had.
fn below_100() -> u32 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_ne_bytes(bytes) % 100,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ssh::Door;

    fn doors(change: impl FnOnce(&mut Limits)) -> Doors {
        let mut limits = Limits::default();
        change(&mut limits);
        Doors::new(&limits)
    }

    fn source(last: u8) -> Network {
        Network::of([192, 0, 2, last].into(), 32)
    }

    fn person(name: &str) -> PersonName {
        name.parse().unwrap()
    }

    fn startups(text: &str) -> crate::config::Startups {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn some_are_turned_away_early_and_all_when_it_is_full() {
        let doors = doors(|limits| limits.max_startups = startups("20:50:40"));
        let come = |last| {
            let mut place = doors.take()?;
            place.comes_from(source(last)).map(|()| place)
        };
        let mut places: Vec<Place> = (0..20).map(|_| come(1).unwrap()).collect();
        let mut turned_away = 0;
        // Whoever comes alone is not turned away by chance.
        places.extend((2..12).map(|last| come(last).unwrap()));
        while places.len() < 40 {
            match come(1) {
                Ok(place) => places.push(place),
                Err(no) => {
                    assert_eq!(no, NoPlace::TooManyWait);
                    turned_away += 1;
                }
            }
        }
        assert!(turned_away > 0, "by chance, but hardly ever false");
        assert_eq!(doors.take().unwrap_err(), NoPlace::TooManyWait);
        places[0].entered(&person("tom")).unwrap();
        places.truncate(10);
        assert!(doors.take().is_ok());
    }

    #[test]
    fn one_source_cannot_take_all_places_at_the_door() {
        let doors = doors(|limits| limits.max_startups_per_source = 2);
        let mut places: Vec<Place> = (0..3).map(|_| doors.take().unwrap()).collect();
        places[0].comes_from(source(1)).unwrap();
        places[1].comes_from(source(1)).unwrap();
        assert_eq!(
            places[2].comes_from(source(1)),
            Err(NoPlace::TooManyOfSource)
        );
        places[2].comes_from(source(2)).unwrap();
        places[0].entered(&person("tom")).unwrap();
        doors.take().unwrap().comes_from(source(1)).unwrap();
    }

    #[test]
    fn one_person_has_so_many_connections_and_no_more() {
        let doors = doors(|limits| limits.max_connections_per_person = 1);
        let mut places: Vec<Place> = (0..3).map(|_| doors.take().unwrap()).collect();
        places[0].entered(&person("tom")).unwrap();
        let sentence = places[1].entered(&person("tom")).unwrap_err();
        assert!(
            sentence.contains("tom has 1 connections open"),
            "{sentence}"
        );
        places[2].entered(&person("dana")).unwrap();
        places.remove(0);
        places[0].entered(&person("tom")).unwrap();
    }

    #[test]
    fn nothing_is_left_when_all_have_gone() {
        let doors = doors(|_| {});
        for last in 0..50 {
            let mut place = doors.take().unwrap();
            place.comes_from(source(last)).unwrap();
            if last % 2 == 0 {
                place.entered(&person("tom")).unwrap();
            }
        }
        let counts = doors.counts();
        assert_eq!((counts.all, counts.waiting), (0, 0));
        assert!(counts.sources.is_empty() && counts.people.is_empty());
    }
}
