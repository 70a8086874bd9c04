//! Floods of refusals: the first few of a kind become rows of their own, those that follow are
//! counted, and each count becomes one row. Holds a bounded table and no clock of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::counted::Counted;
use super::likeness::Likeness;
use super::record::{IncidentId, Record};

/// How floods are told from single refusals.
#[derive(Debug, Clone, Copy)]
pub(super) struct FloodLimits {
    /// How many alike refusals get rows of their own.
    pub own_rows: u32,
    /// How long the first count goes on; each next one twice as long.
    pub first_window: Duration,
    /// How long a count goes on at most.
    pub longest_window: Duration,
    /// A flood that was silent for so long has stopped, and its count is kept.
    pub quiet: Duration,
    /// How many kinds of refusal a person, or all who have not logged in together, may make
    /// before they are counted by a wider likeness.
    pub kinds: u32,
    /// How long until one more kind is granted.
    pub kind_after: Duration,
    /// How many floods are held in memory.
    pub table: usize,
}

impl FloodLimits {
    pub(super) const USUAL: FloodLimits = FloodLimits {
        own_rows: 3,
        first_window: Duration::from_secs(10),
        longest_window: Duration::from_secs(600),
        quiet: Duration::from_secs(10),
        kinds: 64,
        kind_after: Duration::from_secs(10),
        table: 1024,
    };
}

/// What to do with a refusal.
#[derive(Debug)]
pub(super) enum Kept {
    /// Make it a row of its own.
    Own(Box<Record>),
    /// Nothing: it is counted in the row that will have this id.
    Counted(IncidentId),
}

/// The floods going on.
#[derive(Debug)]
pub(super) struct Floods {
    limits: FloodLimits,
    table: HashMap<Likeness, Flood>,
    kinds: HashMap<Option<String>, Allowance>,
    networks: Allowance,
}

#[derive(Debug)]
struct Flood {
    own_rows: u32,
    window: Duration,
    ends: Instant,
    last: Instant,
    counted: Option<Counted>,
}

impl Floods {
    pub(super) fn new(limits: FloodLimits, now: Instant) -> Self {
        Self {
            limits,
            table: HashMap::new(),
            kinds: HashMap::new(),
            networks: Allowance::full(&limits, now),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Says what to do with a refusal; the second is a count that had to make room.
    pub(super) fn take_in(&mut self, record: Record, now: Instant) -> (Kept, Option<Record>) {
        let likeness = self.likeness(&record, now);
        let evicted = self.make_room(&likeness);
        let own_rows = if likeness.is_exact() {
            self.limits.own_rows
        } else {
            0
        };
        let window = self.limits.first_window;
        let flood = self.table.entry(likeness.clone()).or_insert(Flood {
            own_rows,
            window,
            ends: now + window,
            last: now,
            counted: None,
        });
        flood.last = now;
        if let Some(left) = flood.own_rows.checked_sub(1) {
            flood.own_rows = left;
            return (Kept::Own(Box::new(record)), evicted);
        }
        let incident = match &mut flood.counted {
            Some(counted) => {
                counted.add(&record, &likeness);
                counted.incident().clone()
            }
            None => {
                let incident = record.incident.clone();
                flood.counted = Some(Counted::new(record));
                incident
            }
        };
        (Kept::Counted(incident), evicted)
    }

    /// Returns the counts that are to become rows now, and forgets the floods that are over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Record> {
        let limits = self.limits;
        let mut rows = Vec::new();
        self.table.retain(|_, flood| {
            let over = now >= flood.ends;
            let silent = now.saturating_duration_since(flood.last) >= limits.quiet;
            if !over && !silent {
                return true;
            }
            let counted = flood.counted.take();
            let goes_on = counted.is_some();
            rows.extend(counted.map(Counted::into_record));
            if over {
                flood.window = (flood.window * 2).min(limits.longest_window);
                flood.ends = now + flood.window;
            }
            goes_on || !over
        });
        self.kinds
            .retain(|_, allowance| !allowance.is_full(&limits, now));
        rows.sort_by_key(|row| row.time);
        rows
    }

    /// Returns all counts, for the end.
    pub(super) fn flush(&mut self) -> Vec<Record> {
        let mut rows: Vec<Record> = self
            .table
            .drain()
            .filter_map(|(_, flood)| flood.counted)
            .map(Counted::into_record)
            .collect();
        rows.sort_by_key(|row| row.time);
        rows
    }

    /// Chooses the narrowest likeness that this refusal may be counted under. A new kind takes
    /// from an allowance, so that rows cannot be had by varying what is asked or from where.
    fn likeness(&mut self, record: &Record, now: Instant) -> Likeness {
        let limits = self.limits;
        let exact = Likeness::exact(record);
        if self.table.contains_key(&exact) {
            return exact;
        }
        let person = &record.who.person;
        let kinds = self
            .kinds
            .entry(person.clone())
            .or_insert_with(|| Allowance::full(&limits, now));
        if kinds.take(&limits, now) {
            return exact;
        }
        let wide = Likeness::wide(record);
        let known = person.is_some() || self.table.contains_key(&wide);
        if known || self.networks.take(&limits, now) {
            return wide;
        }
        Likeness::widest(record)
    }

    /// Takes the flood out that was silent for longest, if one more would be too many.
    fn make_room(&mut self, newcomer: &Likeness) -> Option<Record> {
        if self.table.len() < self.limits.table || self.table.contains_key(newcomer) {
            return None;
        }
        let (oldest, _) = self.table.iter().min_by_key(|(_, flood)| flood.last)?;
        let oldest = oldest.clone();
        let flood = self.table.remove(&oldest)?;
        Some(flood.counted?.into_record())
    }
}

/// How many new kinds are left; one comes back after each `kind_after`.
#[derive(Debug)]
struct Allowance {
    left: u32,
    counted_at: Instant,
}

impl Allowance {
    fn full(limits: &FloodLimits, now: Instant) -> Self {
        Self {
            left: limits.kinds,
            counted_at: now,
        }
    }

    fn take(&mut self, limits: &FloodLimits, now: Instant) -> bool {
        self.count(limits, now);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn is_full(&mut self, limits: &FloodLimits, now: Instant) -> bool {
        self.count(limits, now);
        self.left >= limits.kinds
    }

    fn count(&mut self, limits: &FloodLimits, now: Instant) {
        while self.left < limits.kinds {
            let next = self.counted_at + limits.kind_after;
            if next > now {
                return;
            }
            self.left += 1;
            self.counted_at = next;
        }
        self.counted_at = now;
    }
}

#[cfg(test)]
mod tests;
