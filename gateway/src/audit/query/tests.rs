//! What each filter lets through, and by which index.

use super::*;
use crate::audit::testing::{self, Place};
use crate::audit::{Durability, Record};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

/// Rows 1 to 6, a minute apart.
fn filled() -> (Place, Vec<Record>) {
    let place = Place::new();
    let mut records = vec![
        testing::record("alice", "code/index.php"),
        testing::record("bob", "files/100%_done.txt"),
        testing::refusal("alice", "code/wp-config.php"),
        testing::stranger("198.51.100.4"),
        Record {
            action: "deploy".to_owned(),
            site: Some("other".to_owned()),
            ..testing::record("alice", "")
        },
        Record {
            count: 9,
            object: None,
            detail: Some("9 refusals, the first about code/a.php".to_owned()),
            ..testing::refusal("bob", "")
        },
    ];
    let audit = place.open();
    for (minute, record) in (0..).zip(&mut records) {
        record.time = at(minute);
        audit.append(record.clone(), Durability::Grouped).unwrap();
    }
    audit.close().unwrap();
    (place, records)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn rows_come_back_as_they_were_recorded() {
    let (place, records) = filled();
    let rows = list(&place.path(), &Filter::default()).unwrap();
    let listed: Vec<Record> = rows.iter().map(|row| row.record.clone()).collect();
    assert_eq!(listed, records);
    assert_eq!(rows.last().unwrap().hash, place.verify().head.hash);
    let line = serde_json::to_value(&rows[2]).unwrap();
    assert_eq!(line["seq"], 3);
    assert_eq!(line["decision"], "refuse");
    assert_eq!(line["who"]["person"], "alice");
    assert_eq!(line["hash"].as_str().unwrap().len(), 64);
}

#[test]
fn each_filter_lets_through_what_it_should() {
    let (place, records) = filled();
    let usual = Filter::default;
    for (filter, expected) in [
        (
            Filter {
                site: text("acme"),
                ..usual()
            },
            vec![1, 2, 3, 6],
        ),
        (
            Filter {
                environment: text("live"),
                ..usual()
            },
            vec![3, 6],
        ),
        (
            Filter {
                person: text("alice"),
                ..usual()
            },
            vec![1, 3, 5],
        ),
        (
            Filter {
                rule: text("key-unknown"),
                ..usual()
            },
            vec![4],
        ),
        (
            Filter {
                decision: Some(Decided::Refuse),
                ..usual()
            },
            vec![3, 4, 6],
        ),
        (
            Filter {
                decision: Some(Decided::Permit),
                ..usual()
            },
            vec![1, 2, 5],
        ),
        (
            Filter {
                action: text("deploy"),
                ..usual()
            },
            vec![5],
        ),
        (
            Filter {
                path: text("config"),
                ..usual()
            },
            vec![3],
        ),
        (
            Filter {
                path: text("CONFIG"),
                ..usual()
            },
            vec![],
        ),
        (
            Filter {
                path: text("0%_d"),
                ..usual()
            },
            vec![2],
        ),
        (
            Filter {
                path: text("%"),
                ..usual()
            },
            vec![2],
        ),
        (
            Filter {
                path: text("code/"),
                ..usual()
            },
            vec![1, 3, 6],
        ),
        (
            Filter {
                path: text("' OR 1=1 --"),
                ..usual()
            },
            vec![],
        ),
        (
            Filter {
                since: Some(at(4)),
                ..usual()
            },
            vec![5, 6],
        ),
        (
            Filter {
                until: Some(at(1)),
                ..usual()
            },
            vec![1, 2],
        ),
        (
            Filter {
                since: Some(at(1)),
                until: Some(at(2)),
                ..usual()
            },
            vec![2, 3],
        ),
        (
            Filter {
                since: Some(at(9)),
                ..usual()
            },
            vec![],
        ),
        (
            Filter {
                limit: Some(2),
                ..usual()
            },
            vec![5, 6],
        ),
        (
            Filter {
                limit: Some(0),
                ..usual()
            },
            vec![],
        ),
        (
            Filter {
                after_seq: Some(2),
                limit: Some(2),
                ..usual()
            },
            vec![3, 4],
        ),
        (
            Filter {
                after_seq: Some(6),
                ..usual()
            },
            vec![],
        ),
        (
            Filter {
                after_seq: Some(u64::MAX),
                ..usual()
            },
            vec![],
        ),
        (
            Filter {
                person: text("alice"),
                decision: Some(Decided::Refuse),
                ..usual()
            },
            vec![3],
        ),
    ] {
        let rows = list(&place.path(), &filter).unwrap();
        let seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
        assert_eq!(seqs, expected, "{filter:?}");
    }
    let incident = records[2].incident.as_str().to_ascii_lowercase();
    let rows = list(
        &place.path(),
        &Filter {
            incident: Some(incident),
            ..usual()
        },
    )
    .unwrap();
    assert_eq!((rows.len(), rows[0].seq), (1, 3));
}

#[test]
fn a_filter_over_many_rows_uses_an_index() {
    let place = Place::new();
    let connection = schema::open_to_read(&place.path()).unwrap();
    for (filter, index) in [
        (
            Filter {
                site: text("acme"),
                ..Filter::default()
            },
            "record_by_site",
        ),
        (
            Filter {
                person: text("alice"),
                ..Filter::default()
            },
            "record_by_person",
        ),
        (
            Filter {
                rule: text("x"),
                ..Filter::default()
            },
            "record_by_rule",
        ),
        (
            Filter {
                action: text("x"),
                ..Filter::default()
            },
            "record_by_action",
        ),
        (
            Filter {
                incident: text("x"),
                ..Filter::default()
            },
            "record_by_incident",
        ),
        (
            Filter {
                decision: Some(Decided::Refuse),
                ..Filter::default()
            },
            "record_refused",
        ),
        (
            Filter {
                after_seq: Some(9),
                ..Filter::default()
            },
            "PRIMARY KEY",
        ),
        (
            Filter {
                since: Some(at(0)),
                ..Filter::default()
            },
            "PRIMARY KEY",
        ),
    ] {
        let query = Query::new(&filter, span(&connection, &filter).unwrap());
        let explain = format!("EXPLAIN QUERY PLAN {}", query.text());
        let mut statement = connection.prepare(&explain).unwrap();
        let plan: Vec<String> = statement
            .query_map(params_from_iter(&query.values), |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let plan = plan.join("; ");
        assert!(
            plan.contains(index) && !plan.contains("TEMP B-TREE"),
            "{filter:?}: {plan}"
        );
    }
}
