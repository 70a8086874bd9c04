//! How many rows a flood makes, and that no refusal is left uncounted.

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
