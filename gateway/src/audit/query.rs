//! Reads rows for people: those that a filter lets through, newest last.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::record::Decided;
use super::row::{self, COLUMNS, Row};
use super::schema;
use super::stretches;
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
    let query = Query::new(filter);
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
    /// On the rows.
    conditions: Vec<String>,
    /// On the stretches that rows are looked for in; without any, in all rows.
    stretches: Vec<String>,
    values: Vec<Value>,
    forward: bool,
    limit: i64,
}

impl Query {
    fn new(filter: &Filter) -> Self {
        let limit = filter.limit.unwrap_or(USUAL_LIMIT);
        let mut query = Self {
            conditions: Vec::new(),
            stretches: Vec::new(),
            values: Vec::new(),
            forward: filter.after_seq.is_some(),
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
        };
        if let Some(since) = filter.since {
            query.within(&["last_time >= ?"], "time >= ?", since.as_microsecond());
        }
        if let Some(until) = filter.until {
            query.within(&["first_time <= ?"], "time <= ?", until.as_microsecond());
        }
        if let Some(incident) = &filter.incident {
            let incident = incident.trim().to_ascii_uppercase();
            let around = ["first_incident <= ?", "last_incident >= ?"];
            query.within(&around, "incident = ?", incident);
        }
        let decision = filter.decision.map(|decision| decision.as_str().to_owned());
        for (column, value) in [
            ("person", &filter.person),
            ("site", &filter.site),
            ("environment", &filter.environment),
            ("rule", &filter.rule),
            ("action", &filter.action),
            ("decision", &decision),
        ] {
            if let Some(value) = value {
                let holds = stretches::holds(column);
                let holds: Vec<&str> = holds.iter().map(String::as_str).collect();
                query.within(&holds, &format!("{column} = ?"), value.clone());
            }
        }
        if let Some(seq) = filter.after_seq {
            let seq = i64::try_from(seq).unwrap_or(i64::MAX);
            query.and("seq > ?", seq);
            if !query.stretches.is_empty() {
                query
                    .stretches
                    .push(format!("number >= {}", seq >> stretches::BITS));
            }
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
        self.within(&[], condition, value);
    }

    /// Adds a condition, and those on a stretch to hold such a row at all.
    fn within(&mut self, stretches: &[&str], condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let place = format!("?{}", self.values.len());
        self.conditions.push(condition.replace('?', &place));
        let stretches = stretches.iter().map(|one| one.replace('?', &place));
        self.stretches.extend(stretches);
    }

    /// Says where to look, in words that leave SQLite no choice: it knows nothing of how stretches
    /// and rows belong together. A row's number comes first in each order, so that nothing is sorted.
    fn text(&self) -> String {
        let order = if self.forward { "ASC" } else { "DESC" };
        let conditions = ["true".to_owned()];
        let conditions = conditions.iter().chain(&self.conditions);
        let (from, by) = if self.stretches.is_empty() {
            ("record NOT INDEXED".to_owned(), String::new())
        } else {
            let (bits, rest) = (stretches::BITS, (1 << stretches::BITS) - 1);
            let from = format!(
                "stretch CROSS JOIN record NOT INDEXED
                 ON seq BETWEEN number << {bits} AND (number << {bits} | {rest})"
            );
            (from, format!("number {order}, "))
        };
        let conditions: Vec<&str> = self
            .stretches
            .iter()
            .chain(conditions)
            .map(String::as_str)
            .collect();
        format!(
            "SELECT {COLUMNS} FROM {from} WHERE {} ORDER BY {by}seq {order} LIMIT {}",
            conditions.join(" AND "),
            self.limit
        )
    }
}

#[cfg(test)]
mod tests;
