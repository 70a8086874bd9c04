//! What is left when the process ends without a word.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;

#[test]
fn a_copy_taken_in_the_middle_of_writing_goes_on() {
    let place = Place::new();
    let audit = place.open();
    for number in 0..500 {
        let record = testing::record("alice", &number.to_string());
        let durability = if number == 100 {
            Durability::Durable
        } else {
            Durability::Grouped
        };
        audit.append(record, durability).unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for name in ["audit.head", "audit.db", "audit.db-wal"] {
        fs::copy(place.directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let path = copy.path().join("audit.db");
    let crashed = verify(&path).unwrap();
    assert!(crashed.is_intact() && crashed.rows > 100, "{crashed}");
    let again = Audit::open(&path).unwrap();
    again
        .append(testing::record("alice", "again"), Durability::Durable)
        .unwrap();
    again.close().unwrap();
    let verified = verify(&path).unwrap();
    assert!(verified.is_intact(), "{verified}");
    assert_eq!(verified.rows, crashed.rows + 1);
}

const VICTIM: &str = "FUNICULAR_AUDIT_VICTIM";

/// Not a test of its own: the process that the next one kills.
#[test]
fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else {
        return;
    };
    let audit = Audit::open(Path::new(&path)).unwrap();
    for number in 0_u64.. {
        let durability = if number % 64 == 0 {
            Durability::Durable
        } else {
            Durability::Grouped
        };
        audit
            .append(testing::record("alice", &number.to_string()), durability)
            .unwrap();
        if durability == Durability::Durable {
            println!("kept {number}");
        }
    }
}

#[test]
fn kill_9_leaves_all_that_was_promised_in_an_intact_chain() {
    let place = Place::new();
    let mut rows_before = 0;
    for _ in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "audit::tests::crash::victim", "--nocapture"])
            .env(VICTIM, place.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let kept = |line: io::Result<String>| line.ok()?.split_once("kept ")?.1.parse::<u64>().ok();
        let mut last = said.by_ref().filter_map(kept).nth(5).unwrap();
        child.kill().unwrap();
        last = said.filter_map(kept).last().unwrap_or(last);
        child.wait().unwrap();
        let verified = place.verify();
        assert!(verified.is_intact(), "{verified}");
        let promised = rows_before + last + 1;
        assert!(verified.rows >= promised, "{} of {promised}", verified.rows);
        rows_before = verified.rows;
    }
    place.open().close().unwrap();
    assert!(place.verify().is_intact());
}
