//! Every way to tamper with the audit that was thought of, and that it is found.

use std::fs;

use super::*;
use crate::audit::testing::{self, Place};
use crate::audit::{Durability, Hash};

/// Does something to ten rows and returns what is found.
fn after(sql: &str) -> Verified {
    let place = Place::with_rows(10);
    assert!(place.verify().is_intact(), "{}", place.verify());
    place.sql(sql);
    place.verify()
}

fn seqs(verified: &Verified) -> Vec<Option<u64>> {
    verified.problems.iter().map(Problem::seq).collect()
}

#[test]
fn an_untouched_audit_is_intact() {
    assert!(Place::new().verify().is_intact());
    let verified = Place::with_rows(10).verify();
    assert_eq!((verified.rows, verified.head.seq), (10, 10));
    let sentence = verified.to_string();
    assert!(
        sentence.starts_with("10 rows, each as it was written. The last is row 10"),
        "{sentence}"
    );
}

#[test]
fn a_change_of_any_column_is_found_and_only_there() {
    for change in [
        "time = time + 1",
        "incident = incident || 'X'",
        "person = 'bob'",
        "person = NULL",
        "fingerprint = 'SHA256:bob'",
        "address = NULL",
        "client = ''",
        "site = 'acme2'",
        "environment = 'live'",
        "mode = NULL",
        "area = 'files'",
        "object = cast(x'ff' as text)",
        "action = 'remove'",
        "decision = 'refuse'",
        "rule = 'other'",
        "bytes = 13",
        "outcome = 'failed'",
        "detail = ''",
        "count = 2",
        "hash = x'00'",
        "hash = randomblob(32)",
    ] {
        let verified = after(&format!("UPDATE record SET {change} WHERE seq = 4"));
        assert_eq!(verified.problems, [Problem::Changed { seq: 4 }], "{change}");
        assert_eq!(verified.first_bad(), Some(4));
    }
}

#[test]
fn a_changed_last_row_is_found_even_with_a_new_hash() {
    let place = Place::with_rows(3);
    place.sql("DELETE FROM record WHERE seq = 3");
    let head = Head {
        seq: 2,
        hash: hash_of(&place, 2),
    };
    HeadFile::beside(&place.path()).write(head).unwrap();
    let audit = place.open();
    audit
        .append(testing::record("mallory", "x"), Durability::Durable)
        .unwrap();
    audit.close().unwrap();
    assert!(
        place.verify().is_intact(),
        "with the head rewritten too, nothing can tell"
    );
    let true_head = Head {
        seq: 3,
        hash: Hash::from_bytes(&[1; 32]).unwrap(),
    };
    HeadFile::beside(&place.path()).write(true_head).unwrap();
    assert_eq!(place.verify().problems, [Problem::HeadDiffers { seq: 3 }]);
}

#[test]
fn removed_rows_are_found_wherever_they_were() {
    let first = after("DELETE FROM record WHERE seq = 1");
    assert_eq!(first.problems, [Problem::Missing { first: 1, last: 1 }]);
    let middle = after("DELETE FROM record WHERE seq IN (4, 5)");
    assert_eq!(middle.problems, [Problem::Missing { first: 4, last: 5 }]);
    assert!(
        middle.to_string().contains(
            "- rows 4 to 5 are missing
"
        ),
        "{middle}"
    );
    let last = after("DELETE FROM record WHERE seq > 8");
    assert_eq!(last.problems, [Problem::Missing { first: 9, last: 10 }]);
    let all = after("DELETE FROM record");
    assert_eq!(all.problems, [Problem::Missing { first: 1, last: 10 }]);
}

#[test]
fn a_removed_row_whose_gap_was_closed_is_found() {
    let verified = after(
        "DELETE FROM record WHERE seq = 4;
         UPDATE record SET seq = -seq WHERE seq > 4;
         UPDATE record SET seq = -seq - 1 WHERE seq < 0;",
    );
    assert_eq!(verified.first_bad(), Some(4));
}

#[test]
fn swapped_rows_are_found() {
    let verified = after(
        "UPDATE record SET seq = -1 WHERE seq = 5;
         UPDATE record SET seq = 5 WHERE seq = 6;
         UPDATE record SET seq = 6 WHERE seq = -1;",
    );
    assert_eq!(verified.first_bad(), Some(5));
}

#[test]
fn inserted_rows_are_found() {
    let copy = |seq: &str| {
        let columns = COLUMNS.trim_start_matches("seq, ");
        format!("INSERT INTO record ({COLUMNS}) SELECT {seq}, {columns} FROM record WHERE seq = 3;")
    };
    let end = after(&copy("11"));
    assert_eq!(end.problems, [Problem::Changed { seq: 11 }]);
    let beginning = after(&copy("0"));
    assert_eq!(beginning.problems, [Problem::Foreign { seq: 0 }]);
    let middle = after(&format!(
        "UPDATE record SET seq = -seq WHERE seq > 4;
         UPDATE record SET seq = -seq + 1 WHERE seq < 0;
         {}",
        copy("5")
    ));
    assert_eq!(middle.first_bad(), Some(5));
    assert!(seqs(&middle).len() >= 2);
}

#[test]
fn a_head_that_is_gone_or_nonsense_is_a_problem() {
    let place = Place::with_rows(2);
    let head = place.directory.path().join("audit.head");
    fs::write(&head, "x").unwrap();
    assert_eq!(place.verify().problems, [Problem::HeadUnreadable]);
    fs::remove_file(&head).unwrap();
    assert_eq!(place.verify().problems, [Problem::HeadMissing]);
}

#[test]
fn bytes_changed_in_the_file_are_found() {
    let place = Place::with_rows(200);
    let file = fs::read(place.path()).unwrap();
    let needle = b"code/17.php";
    let mut changed = file.clone();
    // Pages that were split still hold old copies, which count for nothing.
    for at in 0..file.len() {
        if file[at..].starts_with(needle) {
            changed[at] = b'k';
        }
    }
    fs::write(place.path(), &changed).unwrap();
    assert_eq!(place.verify().first_bad(), Some(17));
    let mut broken = file;
    for page in broken.chunks_mut(4096).skip(3) {
        page[..8].fill(0xff);
    }
    fs::write(place.path(), &broken).unwrap();
    let problems = place.verify().problems;
    assert!(
        problems
            .iter()
            .any(|problem| matches!(problem, Problem::Damaged { .. })),
        "{problems:?}"
    );
}

#[test]
fn a_row_that_is_hidden_from_searches_is_found() {
    for hidden in [
        "DELETE FROM occurs WHERE field = 1",
        "DELETE FROM occurs WHERE value = 'acme'",
        "UPDATE occurs SET value = 'permitted' WHERE value = 'permit'",
        "DELETE FROM stretch",
        "UPDATE stretch SET first_time = last_time + 1, last_time = last_time + 1",
        "UPDATE stretch SET last_incident = first_incident",
    ] {
        let verified = after(hidden);
        let is_hidden = |problem: &Problem| matches!(problem, Problem::Hidden { .. });
        assert!(verified.problems.iter().all(is_hidden), "{verified}");
        assert!(!verified.is_intact(), "{hidden}");
    }
    let sentence = after("DELETE FROM stretch").to_string();
    assert!(
        sentence.contains("- row 1 is missing from searches"),
        "{sentence}"
    );
}

#[test]
fn many_problems_are_not_all_listed() {
    let place = Place::with_rows(300);
    place.sql("UPDATE record SET bytes = 1");
    let verified = place.verify();
    assert_eq!((verified.problems.len(), verified.unlisted), (LISTED, 200));
    assert!(verified.to_string().contains(
        "- and 200 more like these
"
    ));
}

#[test]
fn the_check_runs_beside_a_writer() {
    let place = Place::new();
    let audit = place.open();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 0..20_000 {
                let record = testing::record("alice", &format!("code/{number}"));
                audit.append(record, Durability::Grouped).unwrap();
            }
        });
        while !writing.is_finished() {
            let verified = place.verify();
            assert!(verified.is_intact(), "{verified}");
        }
    });
    audit.close().unwrap();
    assert_eq!(place.verify().rows, 20_000);
}

fn hash_of(place: &Place, seq: i64) -> Hash {
    let connection = Connection::open(place.path()).unwrap();
    let read = |row: &rusqlite::Row<'_>| row.get::<_, Vec<u8>>(0);
    let sql = "SELECT hash FROM record WHERE seq = ?1";
    Hash::from_bytes(&connection.query_row(sql, [seq], read).unwrap()).unwrap()
}
