//! Many refusals as one row: what they have in common, how many, the first and the last.

use jiff::Timestamp;

use super::likeness::Likeness;
use super::record::{IncidentId, Record, cut_at};

/// Refusals that will be one row.
#[derive(Debug)]
pub(super) struct Counted {
    /// The first, less what the others do not share.
    common: Record,
    first: Circumstances,
    last: Circumstances,
}

#[derive(Debug, Clone)]
struct Circumstances {
    time: Timestamp,
    object: Option<String>,
    address: Option<String>,
}

impl Counted {
    pub(super) fn new(first: Record) -> Self {
        let circumstances = Circumstances::of(&first);
        Self {
            common: first,
            first: circumstances.clone(),
            last: circumstances,
        }
    }

    pub(super) fn incident(&self) -> &IncidentId {
        &self.common.incident
    }

    pub(super) fn add(&mut self, record: &Record, likeness: &Likeness) {
        self.common.count = self.common.count.saturating_add(record.count);
        self.last = Circumstances::of(record);
        let common = &mut self.common;
        if common.who.address != record.who.address {
            common.who.address.clone_from(&likeness.address);
        }
        for (ours, theirs) in [
            (&mut common.who.person, &record.who.person),
            (&mut common.who.fingerprint, &record.who.fingerprint),
            (&mut common.who.client, &record.who.client),
            (&mut common.site, &record.site),
            (&mut common.environment, &record.environment),
            (&mut common.mode, &record.mode),
            (&mut common.area, &record.area),
            (&mut common.object, &record.object),
        ] {
            if ours != theirs {
                *ours = None;
            }
        }
    }

    pub(super) fn into_record(self) -> Record {
        let Counted {
            common: mut record,
            first,
            last,
        } = self;
        if record.count == 1 {
            return record;
        }
        let mut detail = format!(
            "{} refusals like this from {:.0} to {:.0}",
            record.count, first.time, last.time
        );
        for (word, one, other) in [
            ("about", &first.object, &last.object),
            ("from", &first.address, &last.address),
        ] {
            if one != other {
                let (one, other) = (short(one), short(other));
                detail.push_str(&format!(
                    ", the first {word} {one}, the last {word} {other}"
                ));
            }
        }
        if let Some(sentence) = &record.detail {
            detail.push_str(&format!("; the first was told: {sentence}"));
        }
        record.time = last.time;
        record.detail = Some(detail);
        record.bounded()
    }
}

impl Circumstances {
    fn of(record: &Record) -> Self {
        Self {
            time: record.time,
            object: record.object.clone(),
            address: record.who.address.clone(),
        }
    }
}

/// Leaves room in the detail for all that belongs there.
fn short(text: &Option<String>) -> String {
    let mut text = text.clone().unwrap_or_else(|| "nothing".to_owned());
    cut_at(&mut text, 1024);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing;

    fn counted(records: &[Record], likeness: fn(&Record) -> Likeness) -> Record {
        let mut counted = Counted::new(records[0].clone());
        for record in &records[1..] {
            counted.add(record, &likeness(record));
        }
        counted.into_record()
    }

    #[test]
    fn what_all_share_stays_and_the_rest_is_told_by_the_first_and_the_last() {
        let mut records = vec![
            testing::refusal("alice", "code/a"),
            testing::refusal("alice", "code/b"),
            testing::refusal("alice", "code/c"),
        ];
        records[1].who.client = Some("another client".to_owned());
        let row = counted(&records, Likeness::exact);
        assert_eq!((row.count, row.object, row.who.client), (3, None, None));
        assert_eq!(row.who.person.as_deref(), Some("alice"));
        assert_eq!(row.site.as_deref(), Some("acme"));
        let detail = row.detail.unwrap();
        assert!(
            detail.starts_with("3 refusals like this from 2"),
            "{detail}"
        );
        assert!(
            detail.contains(", the first about code/a, the last about code/c; "),
            "{detail}"
        );
        assert!(
            detail.contains("; the first was told: code of live"),
            "{detail}"
        );
    }

    #[test]
    fn one_is_left_as_it_was() {
        let record = testing::refusal("alice", "code/a");
        assert_eq!(
            counted(std::slice::from_ref(&record), Likeness::exact),
            record
        );
    }

    #[test]
    fn a_network_stands_for_its_addresses() {
        let records = ["203.0.113.5", "203.0.113.9", "203.0.113.9"].map(testing::stranger);
        let row = counted(&records, Likeness::wide);
        assert_eq!(row.who.address.as_deref(), Some("203.0.113.0/24"));
        let detail = row.detail.unwrap();
        assert!(
            detail.contains("the first from 203.0.113.5, the last from 203.0.113.9"),
            "{detail}"
        );
        assert_eq!(
            counted(&records[1..], Likeness::wide)
                .who
                .address
                .as_deref(),
            Some("203.0.113.9")
        );
    }
}
