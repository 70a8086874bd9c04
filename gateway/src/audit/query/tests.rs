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
fn a_search_looks_only_where_there_is_something_and_sorts_nothing() {
    let place = Place::new();
    let connection = schema::open_to_read(&place.path()).unwrap();
    let usual = Filter::default;
    let stretches = "SCAN stretch";
    for (filter, first) in [
        (
            Filter {
                site: text("acme"),
                ..usual()
            },
            stretches,
        ),
        (
            Filter {
                person: text("alice"),
                rule: text("x"),
                ..usual()
            },
            stretches,
        ),
        (
            Filter {
                action: text("x"),
                since: Some(at(0)),
                ..usual()
            },
            stretches,
        ),
        (
            Filter {
                incident: text("x"),
                ..usual()
            },
            stretches,
        ),
        (
            Filter {
                decision: Some(Decided::Refuse),
                after_seq: Some(600),
                ..usual()
            },
            "SEARCH stretch USING INTEGER PRIMARY KEY (rowid>?)",
        ),
        (
            Filter {
                after_seq: Some(9),
                ..usual()
            },
            "SEARCH record USING INTEGER PRIMARY KEY (rowid>?)",
        ),
        (usual(), "SCAN record"),
    ] {
        let query = Query::new(&filter);
        let explain = format!("EXPLAIN QUERY PLAN {}", query.text());
        let mut statement = connection.prepare(&explain).unwrap();
        let plan: Vec<String> = statement
            .query_map(params_from_iter(&query.values), |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let plan = plan.join("; ");
        assert!(
            plan.starts_with(first) && !plan.contains("TEMP B-TREE") && !plan.contains("AUTOMATIC"),
            "{filter:?}: {plan}"
        );
        if first.contains("stretch") {
            let rows = "SEARCH record USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
            assert!(plan.contains(rows), "{filter:?}: {plan}");
        }
    }
}

#[test]
fn a_search_over_many_stretches_finds_what_reading_all_rows_finds() {
    let place = Place::new();
    let audit = place.open();
    for number in 0..3000_i64 {
        let mut record = if number % 700 == 3 {
            testing::refusal("bob", "code/x")
        } else {
            testing::record("alice", "files/x")
        };
        // Some rows are late, and some clocks go back.
        record.time = at(number - (number % 7) * 40);
        record.site = Some(format!("site{}", number.div_euclid(1000)));
        audit.append(record, Durability::Grouped).unwrap();
        if number % 1111 == 0 {
            audit.list(&Filter::default()).unwrap();
        }
    }
    audit.close().unwrap();
    let all = |filter: Filter| {
        let limit = Some(usize::MAX);
        list(&place.path(), &Filter { limit, ..filter }).unwrap()
    };
    let rows = all(Filter::default());
    assert_eq!(rows.len(), 3000);
    let expect = |filter: Filter, wanted: &dyn Fn(&Record) -> bool| {
        let wanted: Vec<u64> = rows
            .iter()
            .filter(|row| wanted(&row.record) && row.seq > filter.after_seq.unwrap_or(0))
            .map(|row| row.seq)
            .collect();
        assert!(!wanted.is_empty());
        let found: Vec<u64> = all(filter.clone()).iter().map(|row| row.seq).collect();
        assert_eq!(found, wanted, "{filter:?}");
    };
    for row in &rows {
        let incident = &row.record.incident;
        let filter = Filter {
            incident: text(incident.as_str()),
            ..Filter::default()
        };
        if row.seq % 100 == 0 {
            expect(filter, &|record| record.incident == *incident);
        }
    }
    let person = |name: &str| Filter {
        person: text(name),
        ..Filter::default()
    };
    let is = |record: &Record, name: &str| record.who.person.as_deref() == Some(name);
    expect(person("bob"), &|record| is(record, "bob"));
    let both = Filter {
        site: text("site1"),
        decision: Some(Decided::Refuse),
        ..person("bob")
    };
    expect(both, &|record| {
        is(record, "bob") && record.site.as_deref() == Some("site1")
    });
    let after = Filter {
        after_seq: Some(1500),
        ..person("bob")
    };
    expect(after, &|record| is(record, "bob"));
    let between = Filter {
        since: Some(at(1200)),
        until: Some(at(1300)),
        ..Filter::default()
    };
    expect(between, &|record| {
        record.time >= at(1200) && record.time <= at(1300)
    });
}
