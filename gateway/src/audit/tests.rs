//! What the audit promises its callers: order, durability, bounds, and a clear no.

mod crash;

use std::collections::HashSet;
use std::fs;
use std::time::Instant;

use super::testing::{self, Place};
use super::*;

fn all(audit: &Audit) -> Vec<Row> {
    let filter = Filter {
        limit: Some(usize::MAX),
        ..Filter::default()
    };
    audit.list(&filter).unwrap()
}

fn fast() -> Tuning {
    Tuning {
        retry: Duration::from_millis(20),
        look_at_floods: Duration::from_millis(5),
        ..Tuning::USUAL
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_durable_record_is_there_when_the_call_returns() {
    let place = Place::new();
    let audit = place.open();
    for number in 1..=20_u64 {
        let record = testing::record("alice", &number.to_string());
        audit.append(record, Durability::Durable).unwrap();
        let rows = all(&audit);
        assert_eq!(
            (rows.len() as u64, rows.last().unwrap().seq),
            (number, number)
        );
    }
}

#[test]
fn a_grouped_record_is_there_and_synced_soon() {
    let place = Place::new();
    let audit = place.open();
    let head = place.directory.path().join("audit.head");
    wait_until("the first sync", || {
        fs::read_to_string(&head).unwrap().contains(" 0 ")
    });
    audit
        .append(testing::record("alice", "x"), Durability::Grouped)
        .unwrap();
    assert_eq!(audit.wait_beyond(0, Duration::from_secs(20)), 1);
    assert_eq!(all(&audit).len(), 1);
    wait_until("the sync", || {
        fs::read_to_string(&head).unwrap().contains(" 1 1 ")
    });
}

#[test]
fn many_at_once_share_commits_and_none_is_lost() {
    let place = Place::new();
    let audit = place.open();
    thread::scope(|scope| {
        for person in 0..32 {
            let audit = &audit;
            scope.spawn(move || {
                for number in 0..20 {
                    let record = testing::record(&format!("p{person}"), &number.to_string());
                    audit.append(record, Durability::Durable).unwrap();
                }
            });
        }
    });
    let rows = all(&audit);
    let distinct: HashSet<_> = rows.iter().map(|row| row.record.incident.clone()).collect();
    assert_eq!((rows.len(), distinct.len()), (640, 640));
    assert!(place.verify().is_intact());
}

#[test]
fn what_is_queued_is_bounded_and_all_of_it_arrives() {
    let place = Place::new();
    let tuning = Tuning {
        queue_bytes: 8 << 10,
        ..Tuning::USUAL
    };
    let audit = Audit::open_with(&place.path(), tuning, FloodLimits::USUAL).unwrap();
    for number in 0..3000 {
        let mut record = testing::record("alice", &number.to_string());
        record.detail = Some("x".repeat(6000));
        audit.append(record, Durability::Grouped).unwrap();
    }
    audit.close().unwrap();
    assert_eq!(place.verify().rows, 3000);
    let rows = all(&audit);
    assert!(
        rows.iter()
            .all(|row| row.record.detail.as_ref().unwrap().len() == 4096)
    );
}

#[test]
fn a_closed_audit_takes_nothing_and_says_so() {
    let place = Place::new();
    let audit = place.open();
    audit
        .append(testing::record("alice", "x"), Durability::Grouped)
        .unwrap();
    audit.close().unwrap();
    audit.close().unwrap();
    let left = fs::read_dir(place.directory.path()).unwrap().count();
    assert_eq!(left, 3, "only audit.db, audit.head and audit.lock stay");
    for answer in [
        audit.append(testing::record("alice", "y"), Durability::Grouped),
        audit.append(testing::record("alice", "y"), Durability::Durable),
        audit.refuse(testing::refusal("alice", "y")).map(drop),
        audit.healthy(),
    ] {
        assert!(
            answer
                .unwrap_err()
                .to_string()
                .contains("the audit is closed")
        );
    }
    assert_eq!(audit.wait_beyond(5, Duration::from_secs(60)), 1);
    assert_eq!(all(&audit).len(), 1);
}

#[test]
fn a_disk_that_takes_nothing_stops_all_until_it_does() {
    let place = Place::new();
    let audit = Audit::open_with(&place.path(), fast(), FloodLimits::USUAL).unwrap();
    audit
        .append(testing::record("alice", "before"), Durability::Durable)
        .unwrap();
    place.sql(
        "CREATE TRIGGER full BEFORE INSERT ON record
         BEGIN SELECT RAISE(ABORT, 'no space left'); END",
    );
    let fault = audit
        .append(testing::record("alice", "during"), Durability::Durable)
        .unwrap_err();
    assert!(
        fault
            .to_string()
            .contains("the audit takes no records: writing the audit: no space left")
    );
    assert!(
        audit
            .healthy()
            .unwrap_err()
            .to_string()
            .contains("no space left")
    );
    assert!(
        audit
            .append(testing::record("alice", "during too"), Durability::Grouped)
            .is_err()
    );
    assert!(audit.refuse(testing::refusal("alice", "refused")).is_err());
    assert_eq!(all(&audit).len(), 1);

    place.sql("DROP TRIGGER full");
    wait_until("recovery", || audit.healthy().is_ok());
    audit
        .append(testing::record("alice", "after"), Durability::Durable)
        .unwrap();
    let objects: Vec<_> = all(&audit)
        .into_iter()
        .filter_map(|row| row.record.object)
        .collect();
    assert_eq!(
        objects,
        ["before", "during", "during too", "refused", "after"]
    );
    audit.close().unwrap();
    assert!(place.verify().is_intact());
}

#[test]
fn trouble_is_bounded_and_its_losses_are_told_at_the_end() {
    let place = Place::new();
    let tuning = Tuning {
        queue_bytes: 64 << 10,
        ..fast()
    };
    let audit = Audit::open_with(&place.path(), tuning, FloodLimits::USUAL).unwrap();
    place.sql(
        "CREATE TRIGGER full BEFORE INSERT ON record
         BEGIN SELECT RAISE(ABORT, 'no space left'); END",
    );
    assert!(
        audit
            .append(testing::record("alice", "0"), Durability::Durable)
            .is_err()
    );
    for number in 1..5000 {
        let record = testing::record("alice", &number.to_string());
        assert!(audit.append(record, Durability::Grouped).is_err());
    }
    let fault = audit.close().unwrap_err().to_string();
    let lost: usize = fault
        .strip_prefix("the audit takes no records: ")
        .and_then(|rest| rest.split_once(" records are lost: "))
        .map(|(number, _)| number.parse().unwrap())
        .unwrap();
    assert!((50..500).contains(&lost), "{fault}");
    assert!(fault.contains("no space left"), "{fault}");
}

#[test]
fn a_head_that_cannot_be_written_is_trouble_too() {
    let place = Place::new();
    let audit = Audit::open_with(&place.path(), fast(), FloodLimits::USUAL).unwrap();
    audit
        .append(testing::record("alice", "1"), Durability::Durable)
        .unwrap();
    let in_the_way = place.directory.path().join("audit.head.new");
    wait_until("the head", || {
        let _ = fs::remove_file(&in_the_way);
        fs::create_dir(&in_the_way).is_ok()
    });
    let _ = audit.append(testing::record("alice", "2"), Durability::Durable);
    wait_until("trouble", || audit.healthy().is_err());
    assert!(
        audit
            .healthy()
            .unwrap_err()
            .to_string()
            .contains("audit.head")
    );
    fs::remove_dir(&in_the_way).unwrap();
    wait_until("recovery", || audit.healthy().is_ok());
    audit.close().unwrap();
    assert!(place.verify().is_intact());
}

#[test]
fn a_flood_of_refused_writes_is_a_handful_of_rows_that_every_incident_finds() {
    let place = Place::new();
    let audit = place.open();
    let mut incidents = HashSet::new();
    for number in 0..5000 {
        let refusal = testing::refusal("alice", &format!("code/{number}.php"));
        incidents.insert(audit.refuse(refusal).unwrap());
    }
    assert_eq!(all(&audit).len(), 3, "the first are there at once");
    audit.close().unwrap();
    let rows = all(&audit);
    assert!(rows.len() <= 5, "{}", rows.len());
    assert_eq!(rows.iter().map(|row| row.record.count).sum::<u64>(), 5000);
    for incident in incidents {
        let filter = Filter {
            incident: Some(incident.to_string()),
            ..Filter::default()
        };
        assert_eq!(audit.list(&filter).unwrap().len(), 1);
    }
    let last = Filter {
        path: Some("code/4999.php".to_owned()),
        ..Filter::default()
    };
    assert_eq!(audit.list(&last).unwrap().len(), 1);
    assert!(place.verify().is_intact());
}

#[test]
fn the_count_of_a_flood_is_kept_when_it_stops() {
    let place = Place::new();
    let limits = FloodLimits {
        quiet: Duration::from_millis(500),
        ..FloodLimits::USUAL
    };
    let audit = Audit::open_with(&place.path(), fast(), limits).unwrap();
    for _ in 0..10 {
        audit.refuse(testing::refusal("alice", "x")).unwrap();
    }
    wait_until("the count", || all(&audit).len() == 4);
    let row = all(&audit).pop().unwrap();
    assert_eq!(
        (row.record.count, row.record.object.as_deref()),
        (7, Some("x"))
    );
}

#[test]
fn refused_logins_from_everywhere_do_not_fill_the_disk() {
    let place = Place::new();
    let audit = place.open();
    for number in 0..100_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0xc000_0000 + (number % 7000) * 61);
        audit
            .refuse(testing::stranger(&address.to_string()))
            .unwrap();
    }
    audit.close().unwrap();
    let rows = all(&audit);
    assert!(rows.len() < 1000, "{}", rows.len());
    assert_eq!(
        rows.iter().map(|row| row.record.count).sum::<u64>(),
        100_000
    );
}

#[test]
fn following_wakes_at_news() {
    let place = Place::new();
    let audit = place.open();
    assert_eq!(audit.wait_beyond(0, Duration::from_millis(10)), 0);
    thread::scope(|scope| {
        let follower = scope.spawn(|| audit.wait_beyond(0, Duration::from_secs(60)));
        audit
            .append(testing::record("alice", "x"), Durability::Grouped)
            .unwrap();
        assert_eq!(follower.join().unwrap(), 1);
    });
}
