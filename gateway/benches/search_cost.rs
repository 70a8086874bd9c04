//! What searches of a long audit take: `cargo bench -p funicular --bench search_cost`. A million rows,
//! as a busy gateway would have them; each search is for the usual thousand rows at most.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement without its input is none"
)]

use std::time::Instant;

use funicular::audit::{Audit, Decided, Durability, Filter, IncidentId, Outcome, Record, Who};
use jiff::Timestamp;

const ROWS: i64 = 1_000_000;
/// Where the one row is that there is only one of.
const ALONE: i64 = ROWS / 3;
const ROUNDS: usize = 5;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    Audit::create(&path).unwrap();
    let audit = Audit::open(&path).unwrap();
    let mut incident = None;
    for number in 1..=ROWS {
        let record = record(number);
        if number == ALONE {
            incident = Some(record.incident.as_str().to_owned());
        }
        audit.append(record, Durability::Grouped).unwrap();
    }
    let usual = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let searches = [
        ("the last", usual()),
        (
            "one incident",
            Filter {
                incident,
                ..usual()
            },
        ),
        (
            "a person with one row",
            Filter {
                person: text("rare"),
                ..usual()
            },
        ),
        (
            "a person with every hundredth row",
            Filter {
                person: text("person7"),
                ..usual()
            },
        ),
        (
            "a person with every thousandth row",
            Filter {
                person: text("seldom"),
                ..usual()
            },
        ),
        (
            "nobody",
            Filter {
                person: text("nobody"),
                ..usual()
            },
        ),
        (
            "refusals, a few a day",
            Filter {
                decision: Some(Decided::Refuse),
                ..usual()
            },
        ),
        (
            "deploys of one site",
            Filter {
                site: text("site3"),
                action: text("deploy"),
                ..usual()
            },
        ),
        (
            "an hour of one person",
            Filter {
                person: text("person7"),
                since: Some(at(ALONE)),
                until: Some(at(ALONE + 3600)),
                ..usual()
            },
        ),
    ];
    println!("searches in an audit of {ROWS} rows, median of {ROUNDS}:");
    for (name, filter) in searches {
        let mut rows = 0;
        let mut times: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                rows = audit.list(&filter).unwrap().len();
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!(
            "{:8.1} ms for {rows:4} rows: {name}",
            times.get(ROUNDS / 2).unwrap()
        );
    }
}

fn at(number: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + number).unwrap()
}

/// A row a second. A person uploads for a while; something else is rare.
fn record(number: i64) -> Record {
    let time = at(number);
    let hundredth = number.rem_euclid(100);
    let person = match number {
        ALONE => "rare".to_owned(),
        _ if number.rem_euclid(1000) == 500 => "seldom".to_owned(),
        _ => format!("person{hundredth}"),
    };
    let refused = number.rem_euclid(20_000) == 0;
    let deployed = number.rem_euclid(5_000) == 1;
    Record {
        time,
        incident: IncidentId::new(time),
        who: Who {
            fingerprint: Some(format!("SHA256:{person:-<43}")),
            person: Some(person),
            address: Some("203.0.113.7".to_owned()),
            client: Some("SSH-2.0-OpenSSH_9.2".to_owned()),
        },
        site: Some(format!("site{}", hundredth.rem_euclid(10))),
        environment: Some("dev".to_owned()),
        mode: Some("sftp".to_owned()),
        area: Some("code".to_owned()),
        object: Some(format!(
            "code/wp-content/plugins/plugin-{hundredth}/file-{number}.php"
        )),
        action: if deployed { "deploy" } else { "write" }.to_owned(),
        decision: if refused {
            Decided::Refuse
        } else {
            Decided::Permit
        },
        rule: if refused {
            "code-is-read-only"
        } else {
            "tree-allowed"
        }
        .to_owned(),
        bytes: 4096,
        outcome: if refused {
            Outcome::Refused
        } else {
            Outcome::Done
        },
        detail: None,
        count: 1,
    }
}
