//! Reads rows for people: those that a filter lets through, newest last.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::record::Decided;
use super::row::{self, COLUMNS, Row};
use super::schema;
use crate::fault::{Fault, OrFault};

/// Which rows to list. What is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Exactly this site.
    pub site: Option<String>,
    /// Exactly this environment.
    pub environment: Option<String>,
    /// Exactly this person.
    pub person: Option<String>,
    /// Exactly this rule.
    pub rule: Option<String>,
    /// Permits or refusals.
    pub decision: Option<Decided>,
    /// Exactly this action.
    pub action: Option<String>,
    /// Text that occurs anywhere in the object (a path, a ref, a person, a key), letter by
    /// letter; for a counted row, also in the first or last object that it names.
    pub path: Option<String>,
    /// Exactly this incident; small letters do as well.
    pub incident: Option<String>,
    /// Nothing before this.
    pub since: Option<Timestamp>,
    /// Nothing after this.
    pub until: Option<Timestamp>,
    /// Only rows after this number, and of those the first `limit`, to follow the audit; without
    /// it, the last `limit`.
    pub after_seq: Option<u64>,
    /// At most so many rows; [`USUAL_LIMIT`] when not said.
    pub limit: Option<usize>,
}

/// How many rows are listed when nobody says.
pub const USUAL_LIMIT: usize = 1000;

/// Lists rows, newest last, from the audit at `path`.
pub(super) fn list(path: &Path, filter: &Filter) -> Result<Vec<Row>, Fault> {
    let mut connection = schema::open_to_read(path)?;
    let doing = || "reading the audit";
    let snapshot = connection.transaction().or_fault(doing)?;
    let query = Query::new(filter, span(&snapshot, filter).or_fault(doing)?);
    let mut statement = snapshot.prepare(&query.text()).or_fault(doing)?;
    let mut answers = statement
        .query(params_from_iter(&query.values))
        .or_fault(doing)?;
    let mut rows = Vec::new();
    while let Some(answer) = answers.next().or_fault(doing)? {
        rows.push(row::read(answer)?);
    }
    if !query.forward {
        rows.reverse();
    }
    Ok(rows)
}

struct Query {
    conditions: Vec<String>,
    values: Vec<Value>,
    forward: bool,
    limit: i64,
}

impl Query {
    fn new(filter: &Filter, span: Option<(i64, i64)>) -> Self {
        let limit = filter.limit.unwrap_or(USUAL_LIMIT);
        let mut query = Self {
            conditions: Vec::new(),
            values: Vec::new(),
            forward: filter.after_seq.is_some(),
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
        };
        if let Some(seq) = filter.after_seq {
            query.and("seq > ?", i64::try_from(seq).unwrap_or(i64::MAX));
        }
        if let Some((first, last)) = span {
            query.and("seq >= ?", first);
            query.and("seq <= ?", last);
        }
        // The plus keeps SQLite from the index by time, which would have it sort all it finds.
        if let Some(since) = filter.since {
            query.and("+time >= ?", since.as_microsecond());
        }
        if let Some(until) = filter.until {
            query.and("+time <= ?", until.as_microsecond());
        }
        let incident = filter.incident.as_ref();
        let incident = incident.map(|incident| incident.trim().to_ascii_uppercase());
        for (condition, value) in [
            ("incident = ?", &incident),
            ("person = ?", &filter.person),
            ("site = ?", &filter.site),
            ("environment = ?", &filter.environment),
            ("rule = ?", &filter.rule),
            ("action = ?", &filter.action),
        ] {
            if let Some(value) = value {
                query.and(condition, value.clone());
            }
        }
        match filter.decision {
            // Spelled out, since SQLite takes the index of refusals only for this very text.
            Some(Decided::Refuse) => query.conditions.push("decision = 'refuse'".to_owned()),
            Some(Decided::Permit) => query.conditions.push("decision = 'permit'".to_owned()),
            None => {}
        }
        // Not LIKE, which has letters of its own and takes a for A.
        if let Some(path) = &filter.path {
            query.and(
                "(instr(object, ?) > 0 OR (count > 1 AND instr(detail, ?) > 0))",
                path.clone(),
            );
        }
        query
    }

    /// Adds a condition; each `?` in it stands for the value.
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let place = format!("?{}", self.values.len());
        self.conditions.push(condition.replace('?', &place));
    }

    fn text(&self) -> String {
        let conditions = if self.conditions.is_empty() {
            "true".to_owned()
        } else {
            self.conditions.join(" AND ")
        };
        let order = if self.forward { "ASC" } else { "DESC" };
        format!(
            "SELECT {COLUMNS} FROM record WHERE {conditions} ORDER BY seq {order} LIMIT {}",
            self.limit
        )
    }
}

/// Returns the first and last number of the rows between `since` and `until`, if they are few:
/// then nothing outside needs to be looked at. Rows are not quite in the order of their times,
/// since clocks are set and sessions wait, so the numbers cannot be searched for by halves.
fn span(connection: &Connection, filter: &Filter) -> Result<Option<(i64, i64)>, rusqlite::Error> {
    if filter.since.is_none() && filter.until.is_none() {
        return Ok(None);
    }
    let since = filter.since.map_or(i64::MIN, Timestamp::as_microsecond);
    let until = filter.until.map_or(i64::MAX, Timestamp::as_microsecond);
    let (first, last, rows): (Option<i64>, Option<i64>, i64) = connection.query_row(
        "SELECT min(seq), max(seq), count(*) FROM
         (SELECT seq FROM record WHERE time >= ?1 AND time <= ?2 LIMIT ?3)",
        [since, until, FEW + 1],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    if rows > FEW {
        return Ok(None);
    }
    Ok(Some((first.unwrap_or(1), last.unwrap_or(0))))
}

const FEW: i64 = 20_000;

#[cfg(test)]
mod tests;
