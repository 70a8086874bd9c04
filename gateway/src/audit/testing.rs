//! Records and audits for the tests of this module.

use std::path::PathBuf;

use jiff::Timestamp;

use super::*;

pub(super) fn record(person: &str, object: &str) -> Record {
    let now = Timestamp::now();
    Record {
        time: now,
        incident: IncidentId::new(now),
        who: Who {
            person: Some(person.to_owned()),
            fingerprint: Some(format!("SHA256:{person}")),
            address: Some("203.0.113.7".to_owned()),
            client: Some("SSH-2.0-OpenSSH_9.2".to_owned()),
        },
        site: Some("acme".to_owned()),
        environment: Some("dev".to_owned()),
        mode: Some("sftp".to_owned()),
        area: Some("code".to_owned()),
        object: Some(object.to_owned()),
        action: "write".to_owned(),
        decision: Decided::Permit,
        rule: "tree-allowed".to_owned(),
        bytes: 12,
        outcome: Outcome::Done,
        detail: None,
        count: 1,
    }
}

pub(super) fn refusal(person: &str, object: &str) -> Record {
    Record {
        environment: Some("live".to_owned()),
        mode: None,
        decision: Decided::Refuse,
        rule: "code-is-read-only".to_owned(),
        bytes: 0,
        outcome: Outcome::Refused,
        detail: Some("code of live is never written over SFTP".to_owned()),
        ..record(person, object)
    }
}

/// A refused login.
pub(super) fn stranger(address: &str) -> Record {
    Record {
        who: Who {
            person: None,
            fingerprint: None,
            address: Some(address.to_owned()),
            client: Some("SSH-2.0-Go".to_owned()),
        },
        site: None,
        environment: None,
        area: None,
        object: None,
        action: "login".to_owned(),
        rule: "key-unknown".to_owned(),
        detail: Some("this key belongs to nobody here".to_owned()),
        ..refusal("", "")
    }
}

/// An audit in a directory of its own.
pub(super) struct Place {
    pub directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        Audit::create(&place.path()).unwrap();
        place
    }

    /// With `rows` rows in it, closed.
    pub fn with_rows(rows: usize) -> Self {
        let place = Self::new();
        let audit = place.open();
        for number in 1..=rows {
            let record = record("alice", &format!("code/{number}.php"));
            audit.append(record, Durability::Grouped).unwrap();
        }
        audit.close().unwrap();
        place
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("audit.db")
    }

    pub fn open(&self) -> Audit {
        Audit::open(&self.path()).unwrap()
    }

    pub fn sql(&self, text: &str) {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.execute_batch(text).unwrap();
    }

    pub fn verify(&self) -> Verified {
        verify(&self.path()).unwrap()
    }
}
