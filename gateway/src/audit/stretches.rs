//! What makes searching quick: of each stretch of rows that follow one another, which times,
//! incidents and words occur in it. An index would cost each row a search of its tree for each thing
//! that people ask for; this costs a row next to nothing, for most rows say what others near them
//! say, and a search passes over the stretches that cannot hold what is sought.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::row::{self, COLUMNS, Columns};

/// How many bits a row's number has more than its stretch's: short enough to be read for one row
/// that is sought, long enough for what is noted about it to be shared by many.
pub(super) const BITS: u32 = 8;

/// The columns whose words are noted. The number under which each is stands in the table.
const FIELDS: [(&str, i64, usize); 6] = [
    ("person", 1, 3),
    ("site", 2, 7),
    ("environment", 3, 8),
    ("action", 4, 12),
    ("decision", 5, 13),
    ("rule", 6, 14),
];
const TIME: usize = 1;
const INCIDENT: usize = 2;

/// Returns the condition on a stretch to hold a row whose column has the value `?`.
pub(super) fn holds(column: &str) -> Option<String> {
    let (_, field, _) = FIELDS.iter().find(|(name, ..)| *name == column)?;
    Some(format!(
        "EXISTS (SELECT 1 FROM occurs WHERE stretch = number AND field = {field} AND value = ?)"
    ))
}

/// What occurs in the rows of one stretch.
#[derive(Debug)]
pub(super) struct Stretch {
    number: i64,
    span: Option<Span>,
    words: [Words; FIELDS.len()],
    unwritten: Vec<(i64, Vec<u8>)>,
    span_unwritten: bool,
}

/// The words of one column.
#[derive(Debug, Default)]
struct Words {
    known: HashSet<Vec<u8>>,
    /// That of the last row, which most often is that of the next.
    last: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Span {
    times: (i64, i64),
    incidents: (Vec<u8>, Vec<u8>),
}

impl Stretch {
    /// Reads what is noted about the stretch that a row is in.
    pub(super) fn around(connection: &Connection, seq: i64) -> Result<Self, rusqlite::Error> {
        let number = seq >> BITS;
        let span = connection
            .prepare_cached(
                "SELECT first_time, last_time, first_incident, last_incident FROM stretch
                 WHERE number = ?1",
            )?
            .query_row([number], |row| {
                Ok(Span {
                    times: (row.get(0)?, row.get(1)?),
                    incidents: (bytes(row, 2)?, bytes(row, 3)?),
                })
            })
            .optional()?;
        let mut words: [Words; FIELDS.len()] = Default::default();
        let mut select =
            connection.prepare_cached("SELECT field, value FROM occurs WHERE stretch = ?1")?;
        let mut noted = select.query([number])?;
        while let Some(row) = noted.next()? {
            let noted: i64 = row.get(0)?;
            for ((_, field, _), words) in FIELDS.into_iter().zip(&mut words) {
                if field == noted {
                    words.known.insert(bytes(row, 1)?);
                }
            }
        }
        Ok(Self {
            number,
            span,
            words,
            unwritten: Vec::new(),
            span_unwritten: false,
        })
    }

    /// Says whether a row belongs to this stretch.
    pub(super) fn is_around(&self, seq: i64) -> bool {
        seq >> BITS == self.number
    }

    /// Says whether all of a row is noted, so that a search for it finds it.
    pub(super) fn finds(&mut self, columns: &Columns<'_>) -> bool {
        self.note(columns);
        let found = self.unwritten.is_empty() && !self.span_unwritten;
        self.unwritten.clear();
        self.span_unwritten = false;
        found
    }

    /// Notes a row, to be written by [`Stretch::write`].
    pub(super) fn note(&mut self, columns: &Columns<'_>) {
        self.note_span(columns);
        for ((_, field, place), words) in FIELDS.into_iter().zip(&mut self.words) {
            let Some(ValueRef::Text(word)) = columns.get(place) else {
                continue;
            };
            if words.last.as_deref() == Some(*word) {
                continue;
            }
            if !words.known.contains(*word) {
                words.known.insert(word.to_vec());
                self.unwritten.push((field, word.to_vec()));
            }
            let last = words.last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(word);
        }
    }

    fn note_span(&mut self, columns: &Columns<'_>) {
        let (Some(ValueRef::Integer(time)), Some(ValueRef::Text(incident))) =
            (columns.get(TIME), columns.get(INCIDENT))
        else {
            return;
        };
        let span = self.span.get_or_insert_with(|| {
            self.span_unwritten = true;
            Span {
                times: (*time, *time),
                incidents: (incident.to_vec(), incident.to_vec()),
            }
        });
        let (first, last) = &mut span.times;
        let (lowest, highest) = &mut span.incidents;
        if time < first || time > last {
            (*first, *last) = (*time.min(first), *time.max(last));
            self.span_unwritten = true;
        }
        let lower = *incident < lowest.as_slice();
        let higher = *incident > highest.as_slice();
        for (bound, beyond) in [(lowest, lower), (highest, higher)] {
            if beyond {
                bound.clear();
                bound.extend_from_slice(incident);
                self.span_unwritten = true;
            }
        }
    }

    /// Writes what was noted.
    pub(super) fn write(&mut self, connection: &Connection) -> Result<(), rusqlite::Error> {
        if let Some(span) = self.span.as_ref().filter(|_| self.span_unwritten) {
            let (lowest, highest) = &span.incidents;
            connection
                .prepare_cached("INSERT OR REPLACE INTO stretch VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    self.number,
                    span.times.0,
                    span.times.1,
                    text(lowest),
                    text(highest)
                ])?;
            self.span_unwritten = false;
        }
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let mut insert =
            connection.prepare_cached("INSERT OR IGNORE INTO occurs VALUES (?1, ?2, ?3)")?;
        for (field, word) in self.unwritten.drain(..) {
            insert.execute(params![self.number, field, text(&word)])?;
        }
        Ok(())
    }
}

/// Notes all rows that there are.
pub(super) fn note_all(connection: &Connection) -> Result<(), rusqlite::Error> {
    let all = format!("SELECT {COLUMNS} FROM record NOT INDEXED WHERE seq > 0 ORDER BY seq");
    let mut statement = connection.prepare(&all)?;
    let mut rows = statement.query([])?;
    let mut stretch = Stretch::around(connection, 0)?;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        if !stretch.is_around(seq) {
            stretch.write(connection)?;
            stretch = Stretch::around(connection, seq)?;
        }
        stretch.note(&row::raw(row)?);
    }
    stretch.write(connection)
}

/// Text as it was written, which need not be UTF-8 when somebody else wrote it.
fn bytes(row: &rusqlite::Row<'_>, place: usize) -> Result<Vec<u8>, rusqlite::Error> {
    Ok(row.get_ref(place)?.as_bytes()?.to_vec())
}

fn text(bytes: &[u8]) -> rusqlite::types::ToSqlOutput<'_> {
    rusqlite::types::ToSqlOutput::Borrowed(ValueRef::Text(bytes))
}
