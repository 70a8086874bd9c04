//! A record as the columns of a row, and back. The order of the columns is part of the chain.

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use serde::Serialize;

use super::chain::Hash;
use super::record::{Decided, IncidentId, Outcome, Record, Who};
use crate::fault::{Fault, OrFault};

/// A record with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its number; the first is 1.
    pub seq: u64,
    /// What was recorded.
    #[serde(flatten)]
    pub record: Record,
    /// Its hash, which covers all of it and the row before.
    pub hash: Hash,
}

/// How many columns the hash covers: all but the hash.
pub(super) const WIDTH: usize = 19;

/// The columns of a row: [`WIDTH`] that are hashed, then the hash.
pub(super) const COLUMNS: &str = "seq, time, incident, person, fingerprint, address, client, site, \
     environment, mode, area, object, action, decision, rule, bytes, outcome, detail, count, hash";

/// The columns that are hashed.
pub(super) type Columns<'row> = [ValueRef<'row>; WIDTH];

/// Returns the columns that are hashed.
pub(super) fn columns(seq: u64, record: &Record) -> Columns<'_> {
    [
        number(seq),
        ValueRef::Integer(record.time.as_microsecond()),
        text(record.incident.as_str()),
        optional(&record.who.person),
        optional(&record.who.fingerprint),
        optional(&record.who.address),
        optional(&record.who.client),
        optional(&record.site),
        optional(&record.environment),
        optional(&record.mode),
        optional(&record.area),
        optional(&record.object),
        text(&record.action),
        text(record.decision.as_str()),
        text(&record.rule),
        number(record.bytes),
        text(record.outcome.as_str()),
        optional(&record.detail),
        number(record.count),
    ]
}

/// Returns the columns that are hashed as they stand in a row that was selected by [`COLUMNS`].
pub(super) fn raw<'row>(row: &'row rusqlite::Row<'_>) -> Result<Columns<'row>, rusqlite::Error> {
    let mut columns = [ValueRef::Null; WIDTH];
    for (place, column) in columns.iter_mut().enumerate() {
        *column = row.get_ref(place)?;
    }
    Ok(columns)
}

/// Reads a row that was selected by [`COLUMNS`].
pub(super) fn read(row: &rusqlite::Row<'_>) -> Result<Row, Fault> {
    let seq: i64 = row
        .get(0)
        .or_fault(|| "reading the number of an audit row")?;
    decode(row)
        .or_fault(|| format!("reading row {seq} of the audit"))?
        .ok_or_else(|| {
            Fault::new(format!(
                "row {seq} of the audit holds what Funicular never wrote; audit:verify says more"
            ))
        })
}

fn decode(row: &rusqlite::Row<'_>) -> Result<Option<Row>, rusqlite::Error> {
    let unsigned =
        |column: usize| Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(column)?).ok());
    let decision = Decided::from_word(row.get_ref(13)?.as_str()?);
    let outcome = Outcome::from_word(row.get_ref(16)?.as_str()?);
    let time = Timestamp::from_microsecond(row.get(1)?).ok();
    let hash = Hash::from_bytes(row.get_ref(WIDTH)?.as_blob()?);
    let (Some(seq), Some(bytes), Some(count)) = (unsigned(0)?, unsigned(15)?, unsigned(18)?) else {
        return Ok(None);
    };
    let (Some(time), Some(decision), Some(outcome), Some(hash)) = (time, decision, outcome, hash)
    else {
        return Ok(None);
    };
    let record = Record {
        time,
        incident: IncidentId::from_row(row.get(2)?),
        who: Who {
            person: row.get(3)?,
            fingerprint: row.get(4)?,
            address: row.get(5)?,
            client: row.get(6)?,
        },
        site: row.get(7)?,
        environment: row.get(8)?,
        mode: row.get(9)?,
        area: row.get(10)?,
        object: row.get(11)?,
        action: row.get(12)?,
        decision,
        rule: row.get(14)?,
        bytes,
        outcome,
        detail: row.get(17)?,
        count,
    };
    Ok(Some(Row { seq, record, hash }))
}

fn text(text: &str) -> ValueRef<'_> {
    ValueRef::Text(text.as_bytes())
}

fn optional(text: &Option<String>) -> ValueRef<'_> {
    text.as_ref()
        .map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes()))
}

fn number(number: u64) -> ValueRef<'static> {
    ValueRef::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
