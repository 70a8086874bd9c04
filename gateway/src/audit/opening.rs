//! Finds out where the chain goes on when the audit is opened, and whether what lies on the disk
//! is what was left there.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::chain::{Hash, Head};
use super::head::{HeadFile, Noted};
use super::record::{Decided, IncidentId, Outcome, Record, Who};
use super::row::COLUMNS;
use super::schema;
use super::walk::{Problem, Walk};
use crate::fault::{Fault, OrFault};

/// The rule of rows that say what was found at a start; no policy has it.
pub(super) const NOTICE_RULE: &str = "audit-tampered";

/// An audit ready to be written.
#[derive(Debug)]
pub(super) struct Opened {
    pub connection: Connection,
    pub head_file: HeadFile,
    /// What the next row follows.
    pub head: Head,
    pub lock: File,
    /// What must be recorded first, because something is not as it was left.
    pub notice: Option<Record>,
}

/// Opens the audit. Whatever was done to it, the gateway must be able to go on recording.
pub(super) fn open(path: &Path) -> Result<Opened, Fault> {
    let lock = lock(path)?;
    let connection = schema::open(path)?;
    let head_file = HeadFile::beside(path);
    let noted = head_file.read()?;
    let last = last_row(&connection).or_fault(|| "reading the last row of the audit")?;
    let (head, what) = match noted {
        Noted::At(noted) => {
            follow(&connection, noted, last).or_fault(|| "checking the last rows of the audit")?
        }
        Noted::Nothing => (last, Some(Problem::HeadMissing.to_string())),
        Noted::Unreadable => (last, Some(Problem::HeadUnreadable.to_string())),
    };
    Ok(Opened {
        connection,
        head_file,
        head,
        lock,
        notice: what.map(notice),
    })
}

/// Returns where the chain goes on, and what is wrong. After kill -9 the rows may have got beyond
/// the noted head. Where they disagree with it the chain goes on from the head, so that the place
/// stays visible in the chain for good, and no row's number is given twice.
fn follow(
    connection: &Connection,
    noted: Head,
    last: Head,
) -> Result<(Head, Option<String>), rusqlite::Error> {
    if last.seq < noted.seq {
        let missing = Problem::Missing {
            first: last.seq.saturating_add(1),
            last: noted.seq,
        };
        return Ok((noted, Some(missing.to_string())));
    }
    let mut walk = Walk::from(noted);
    let mut wrong = None;
    if hash_of(connection, noted.seq)? != Some(noted.hash) {
        wrong = Some(Problem::HeadDiffers { seq: noted.seq });
    }
    let after = format!("SELECT {COLUMNS} FROM record WHERE seq > ?1 ORDER BY seq");
    let mut statement = connection.prepare(&after)?;
    let mut rows = statement.query([i64::try_from(noted.seq).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        for problem in walk.step(row)? {
            wrong.get_or_insert(problem);
        }
    }
    Ok((walk.head(), wrong.map(|problem| problem.to_string())))
}

fn last_row(connection: &Connection) -> Result<Head, rusqlite::Error> {
    let last: Option<i64> =
        connection.query_row("SELECT max(seq) FROM record", [], |row| row.get(0))?;
    let Some(seq) = last.and_then(|seq| u64::try_from(seq).ok()) else {
        return Ok(Head::BEGINNING);
    };
    let hash = hash_of(connection, seq)?.unwrap_or(Hash::BEGINNING);
    Ok(Head { seq, hash })
}

fn hash_of(connection: &Connection, seq: u64) -> Result<Option<Hash>, rusqlite::Error> {
    if seq == 0 {
        return Ok(Some(Hash::BEGINNING));
    }
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let hash = connection
        .query_row("SELECT hash FROM record WHERE seq = ?1", [seq], |row| {
            Ok(row.get_ref(0)?.as_blob().ok().and_then(Hash::from_bytes))
        })
        .optional()?;
    Ok(hash.flatten())
}

fn notice(what: String) -> Record {
    let now = Timestamp::now();
    Record {
        time: now,
        incident: IncidentId::new(now),
        who: Who::default(),
        site: None,
        environment: None,
        mode: None,
        area: None,
        object: None,
        action: "audit".to_owned(),
        decision: Decided::Refuse,
        rule: NOTICE_RULE.to_owned(),
        bytes: 0,
        outcome: Outcome::Failed,
        detail: Some(what),
        count: 1,
    }
}

fn lock(path: &Path) -> Result<File, Fault> {
    let path = path.with_extension("lock");
    let doing = || format!("locking {}", path.display());
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .or_fault(doing)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Fault::new(format!(
            "another gateway is writing this audit: {} is locked",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(error).or_fault(doing),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::testing::{self, Place};
    use crate::audit::{Audit, Durability, Filter};

    fn notices(audit: &Audit) -> Vec<String> {
        let filter = Filter {
            rule: Some(NOTICE_RULE.to_owned()),
            ..Filter::default()
        };
        let rows = audit.list(&filter).unwrap();
        rows.into_iter()
            .filter_map(|row| row.record.detail)
            .collect()
    }

    /// Opens, records one thing more, closes, and returns what was recorded about the opening.
    fn go_on(place: &Place) -> Vec<String> {
        let audit = place.open();
        audit
            .append(testing::record("bob", "later"), Durability::Durable)
            .unwrap();
        let notices = notices(&audit);
        audit.close().unwrap();
        notices
    }

    #[test]
    fn what_is_as_it_was_left_is_opened_without_a_word() {
        let place = Place::with_rows(5);
        assert!(go_on(&place).is_empty());
        assert_eq!(place.verify().rows, 6);
        assert!(place.verify().is_intact());
    }

    #[test]
    fn a_head_that_lags_is_moved_on() {
        let place = Place::with_rows(5);
        let head = place.directory.path().join("audit.head");
        let early = fs::read(&head).unwrap();
        let audit = place.open();
        for number in 0..50 {
            let record = testing::record("alice", &format!("x{number}"));
            audit.append(record, Durability::Grouped).unwrap();
        }
        audit.close().unwrap();
        fs::write(&head, early).unwrap();
        assert!(place.verify().is_intact());
        assert!(go_on(&place).is_empty());
        assert!(place.verify().is_intact());
        place.sql("DELETE FROM record WHERE seq > 50");
        assert_eq!(place.verify().first_bad(), Some(51));
    }

    #[test]
    fn rows_lost_from_the_end_are_recorded_and_stay_visible() {
        let place = Place::with_rows(10);
        place.sql("DELETE FROM record WHERE seq > 7");
        assert_eq!(go_on(&place), ["rows 8 to 10 are missing"]);
        let verified = place.verify();
        assert_eq!(verified.first_bad(), Some(8));
        let notice = Problem::Noticed {
            seq: 11,
            what: "rows 8 to 10 are missing".to_owned(),
        };
        assert_eq!(
            verified.problems,
            [Problem::Missing { first: 8, last: 10 }, notice]
        );
        let told = go_on(&place);
        assert_eq!(told, ["rows 8 to 10 are missing"], "it is told once");
    }

    #[test]
    fn a_changed_end_is_recorded_and_stays_visible() {
        let place = Place::with_rows(10);
        place.sql("UPDATE record SET hash = randomblob(32) WHERE seq = 10");
        let told = go_on(&place);
        assert!(
            told.len() == 1 && told[0].starts_with("row 10 or one before it"),
            "{told:?}"
        );
        assert_eq!(place.verify().first_bad(), Some(10));
    }

    #[test]
    fn rows_forged_after_the_head_are_recorded() {
        let place = Place::with_rows(10);
        place.sql(&format!(
            "INSERT INTO record ({COLUMNS}) SELECT 11, {} FROM record WHERE seq = 3",
            COLUMNS.trim_start_matches("seq, ")
        ));
        let told = go_on(&place);
        assert!(
            told.len() == 1 && told[0].starts_with("row 11 is not what was written"),
            "{told:?}"
        );
        assert_eq!(place.verify().first_bad(), Some(11));
    }

    #[test]
    fn a_head_that_is_gone_is_recorded_and_made_anew() {
        let place = Place::with_rows(10);
        fs::remove_file(place.directory.path().join("audit.head")).unwrap();
        let told = go_on(&place);
        assert!(
            told.len() == 1 && told[0].starts_with("audit.head is missing"),
            "{told:?}"
        );
        let problems = place.verify().problems;
        assert!(
            matches!(problems[..], [Problem::Noticed { seq: 11, .. }]),
            "{problems:?}"
        );
    }

    #[test]
    fn two_writers_are_one_too_many() {
        let place = Place::new();
        let audit = place.open();
        let second = Audit::open(&place.path()).unwrap_err().to_string();
        assert!(
            second.contains("another gateway is writing this audit"),
            "{second}"
        );
        audit.close().unwrap();
        place.open();
    }

    #[test]
    fn other_formats_and_missing_files_are_refused() {
        let place = Place::with_rows(1);
        let path = place.path();
        place.sql("PRAGMA user_version = 3");
        for fault in [
            Audit::open(&path).unwrap_err(),
            crate::audit::verify(&path).unwrap_err(),
        ] {
            assert!(
                fault
                    .to_string()
                    .contains("written by a newer Funicular (format 3"),
                "{fault}"
            );
        }
        place.sql("PRAGMA user_version = 0");
        let fault = Audit::open(&path).unwrap_err().to_string();
        assert!(
            fault.contains("format 0, which no Funicular has written"),
            "{fault}"
        );
        assert!(
            Audit::create(&path)
                .unwrap_err()
                .to_string()
                .contains("audit.db")
        );
        fs::remove_file(&path).unwrap();
        assert!(Audit::open(&path).is_err());
        assert!(!path.exists(), "opening makes no file");
    }
}
