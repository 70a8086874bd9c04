//! An audit that an earlier version has written is opened, checked and searched.

use super::*;
use crate::audit::testing::{self, Place};
use crate::audit::{Decided, Durability, Filter};

const INDEXES: &str = "
CREATE INDEX record_by_incident ON record (incident);
CREATE INDEX record_by_time ON record (time);
CREATE INDEX record_by_person ON record (person);
CREATE INDEX record_by_site ON record (site);
CREATE INDEX record_by_rule ON record (rule);
CREATE INDEX record_by_action ON record (action);
CREATE INDEX record_refused ON record (decision) WHERE decision = 'refuse';
PRAGMA user_version = 1;
";

/// With 1,000 rows, the last a refusal, as version 1 would have left it.
fn of_version_one() -> Place {
    let place = Place::with_rows(999);
    let audit = place.open();
    audit
        .append(testing::refusal("bob", "code/x"), Durability::Durable)
        .unwrap();
    audit.close().unwrap();
    place.sql("DROP TABLE stretch; DROP TABLE occurs;");
    place.sql(INDEXES);
    place
}

#[test]
fn an_audit_of_the_first_version_goes_on() {
    let place = of_version_one();
    let verified = place.verify();
    assert!(verified.is_intact() && verified.rows == 1000, "{verified}");
    let audit = place.open();
    audit
        .append(testing::refusal("carol", "code/y"), Durability::Durable)
        .unwrap();
    let refusals = Filter {
        decision: Some(Decided::Refuse),
        ..Filter::default()
    };
    let found = audit.list(&refusals).unwrap();
    let seqs: Vec<u64> = found.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, [1000, 1001]);
    let old = found.first().unwrap().record.incident.as_str().to_owned();
    let by_incident = Filter {
        incident: Some(old),
        ..Filter::default()
    };
    assert_eq!(audit.list(&by_incident).unwrap().len(), 1);
    audit.close().unwrap();
    let verified = place.verify();
    assert!(verified.is_intact() && verified.rows == 1001, "{verified}");
    let connection = open(&place.path()).unwrap();
    let count = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'record_%'";
    let indexes: i64 = connection.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!((indexes, version(&connection).unwrap()), (0, VERSION));
}

#[test]
fn what_was_changed_before_is_still_told_after() {
    let place = of_version_one();
    place.sql("UPDATE record SET person = 'mallory' WHERE seq = 400");
    assert_eq!(place.verify().first_bad(), Some(400));
    place.open().close().unwrap();
    assert_eq!(place.verify().first_bad(), Some(400));
}

#[test]
fn an_old_number_in_a_new_audit_is_no_way_to_stop_the_gateway() {
    let place = Place::with_rows(300);
    place.sql("PRAGMA user_version = 1");
    place.open().close().unwrap();
    let verified = place.verify();
    assert!(verified.is_intact() && verified.rows == 300, "{verified}");
}
