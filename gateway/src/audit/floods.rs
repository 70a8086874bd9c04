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
mod tests {
    use super::*;
    use crate::audit::testing;

    fn floods() -> (Floods, Instant) {
        let now = Instant::now();
        (Floods::new(FloodLimits::USUAL, now), now)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn total(rows: &[Record]) -> u64 {
        rows.iter().map(|row| row.count).sum()
    }

    #[test]
    fn a_flood_is_three_rows_and_a_count_with_one_incident() {
        let (mut floods, now) = floods();
        let mut own = 0;
        let mut incidents = Vec::new();
        for number in 0..5000 {
            match floods
                .take_in(testing::refusal("alice", &format!("code/{number}")), now)
                .0
            {
                Kept::Own(_) => own += 1,
                Kept::Counted(incident) => incidents.push(incident),
            }
        }
        assert_eq!((own, incidents.len()), (3, 4997));
        assert!(floods.due(now + seconds(9)).is_empty());
        let rows = floods.due(now + seconds(10));
        assert_eq!((rows.len(), total(&rows)), (1, 4997));
        assert!(
            incidents
                .iter()
                .all(|incident| *incident == rows[0].incident)
        );
        let detail = rows[0].detail.as_deref().unwrap();
        assert!(
            detail.contains("the first about code/3, the last about code/4999"),
            "{detail}"
        );
    }

    #[test]
    fn windows_double_while_the_flood_goes_on_up_to_ten_minutes() {
        let (mut floods, start) = floods();
        let mut ends = Vec::new();
        let mut all = 0;
        for second in 0..4000 {
            let now = start + seconds(second);
            let rows = floods.due(now);
            all += total(&rows);
            ends.extend(rows.iter().map(|_| second));
            if let (Kept::Own(_), _) = floods.take_in(testing::refusal("alice", "code/x"), now) {
                all += 1;
            }
        }
        assert_eq!(
            ends,
            [10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030, 3630]
        );
        assert_eq!(all + total(&floods.flush()), 4000);
    }

    #[test]
    fn a_flood_that_stops_is_kept_soon_and_forgotten_at_the_end_of_its_window() {
        let (mut floods, start) = floods();
        for second in 0..40 {
            let now = start + seconds(second);
            floods.due(now);
            floods.take_in(testing::refusal("alice", "code/x"), now);
        }
        assert!(floods.due(start + seconds(48)).is_empty());
        assert_eq!(floods.due(start + seconds(49)).len(), 1);
        assert!(matches!(
            floods
                .take_in(testing::refusal("alice", "code/x"), start + seconds(60))
                .0,
            Kept::Counted(_)
        ));
        assert_eq!(floods.due(start + seconds(70)).len(), 1);
        assert!(floods.due(start + seconds(151)).is_empty());
        assert!(floods.is_empty());
        assert!(matches!(
            floods
                .take_in(testing::refusal("alice", "code/x"), start + seconds(152))
                .0,
            Kept::Own(_)
        ));
    }

    #[test]
    fn single_refusals_are_all_rows_of_their_own() {
        let (mut floods, start) = floods();
        for number in 0..100 {
            let now = start + seconds(number * 11);
            assert!(floods.due(now).is_empty());
            let kept = floods.take_in(testing::refusal("alice", "code/x"), now).0;
            assert!(matches!(kept, Kept::Own(_)), "{number}");
        }
    }

    #[test]
    fn refused_logins_from_everywhere_become_few_rows() {
        let (mut floods, now) = floods();
        let mut own = 0;
        let mut evicted = Vec::new();
        for number in 0..100_000_u32 {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + (number % 9000) * 37);
            let (kept, out) = floods.take_in(testing::stranger(&address.to_string()), now);
            evicted.extend(out);
            own += u64::from(matches!(kept, Kept::Own(_)));
        }
        assert!(floods.table.len() <= 129, "{}", floods.table.len());
        let mut rows = floods.due(now + seconds(11));
        rows.append(&mut evicted);
        assert_eq!(own + total(&rows), 100_000);
        assert!(
            own + rows.len() as u64 <= 64 * 4 + 64 + 1,
            "{own} {}",
            rows.len()
        );
        let widest = rows.iter().max_by_key(|row| row.count).unwrap();
        assert_eq!(widest.who.address, None);
        let network = |row: &&Record| row.who.address.as_ref().is_some_and(|a| a.ends_with("/24"));
        assert!(rows.iter().filter(network).count() > 10);
    }

    #[test]
    fn one_person_cannot_fill_the_disk_by_varying_the_site() {
        let (mut floods, start) = floods();
        let mut rows = 0;
        let mut counted = 0;
        for number in 0..20_000_u64 {
            let now = start + Duration::from_millis(number * 10);
            let due = floods.due(now);
            rows += due.len();
            counted += total(&due);
            let mut refusal = testing::refusal("alice", "code/x");
            refusal.site = Some(format!("site{number}"));
            if let Kept::Own(_) = floods.take_in(refusal, now).0 {
                rows += 1;
                counted += 1;
            }
        }
        counted += total(&floods.flush());
        assert_eq!(counted, 20_000);
        assert!(rows < 100, "{rows}");
        let kept = floods.take_in(testing::refusal("bob", "code/x"), start).0;
        assert!(
            matches!(kept, Kept::Own(_)),
            "another person is not counted with her"
        );
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_makes_room() {
        let (mut floods, start) = floods();
        let mut evicted = Vec::new();
        for number in 0..2000_u64 {
            let now = start + Duration::from_millis(number);
            for _ in 0..4 {
                let refusal = testing::refusal(&format!("person{number}"), "code/x");
                evicted.extend(floods.take_in(refusal, now).1);
            }
        }
        assert_eq!(floods.table.len(), FloodLimits::USUAL.table);
        assert_eq!(evicted.len(), 2000 - FloodLimits::USUAL.table);
        assert_eq!(evicted[0].who.person.as_deref(), Some("person0"));
    }
}
