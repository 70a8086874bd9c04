//! The rows of one table, from a query on one connection into a `LOAD DATA LOCAL` on another: bytes
//! are passed on as they come, whatever character set they are in.

use super::schema::{Column, How, Tabled};
use super::server::name;
use super::wire::{Connection, Row, Wrong};
use crate::database::Watcher;
use crate::database::replace::Replacement;

/// What was copied of a table.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Rows {
    /// Rows.
    pub(super) rows: u64,
    /// Bytes of their values.
    pub(super) bytes: u64,
    /// Values in which something was replaced.
    pub(super) replaced: u64,
}

/// Why a table's rows did not arrive.
#[derive(Debug)]
pub(super) enum Lost {
    /// Reading them failed.
    Read(Wrong),
    /// Loading them failed.
    Load(Wrong),
    /// Not all that was sent is there, or not as it was.
    Differs(String),
}

impl From<Wrong> for Lost {
    fn from(wrong: Wrong) -> Self {
        Lost::Load(wrong)
    }
}

/// The statement that takes a table's rows as bytes.
fn load(table: &Tabled) -> String {
    let mut settings = Vec::new();
    let mut columns = Vec::new();
    for (place, Column { name: column, how }) in table.columns.iter().enumerate() {
        let spelled = name(column);
        if *how == How::Spelled {
            columns.push(format!("@f{place}"));
            settings.push(format!("{spelled} = CONVERT(@f{place} USING ascii)"));
        } else {
            columns.push(spelled);
        }
    }
    let settings = match settings.as_slice() {
        [] => String::new(),
        some => format!(" SET {}", some.join(", ")),
    };
    format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {} CHARACTER SET binary \
         FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({}){settings}",
        name(&table.name),
        columns.join(", ")
    )
}

/// Copies the rows of a table.
pub(super) fn copy(
    source: &mut Connection<'_>,
    target: &mut Connection<'_>,
    table: &Tabled,
    replacement: Option<&Replacement>,
    watcher: &dyn Watcher,
    told: &dyn Fn(u64),
) -> Result<Rows, Lost> {
    // What is locked of a table, against being altered, is let go of as soon as it has been read.
    source.run("SAVEPOINT unread").map_err(Lost::Read)?;
    source
        .begin(table.select().as_bytes())
        .map_err(Lost::Read)?;
    let mut sent = Rows::default();
    let done = target.load(&load(table), |lines| {
        let mut untold = 0;
        while let Some(row) = source.next().map_err(Lost::Read)? {
            let before = lines.buffer().len();
            let replaced = write_row(lines.buffer(), row, &table.columns, replacement)?;
            let bytes = lines.buffer().len().saturating_sub(before) as u64;
            sent.rows += 1;
            sent.bytes += bytes;
            sent.replaced += replaced;
            untold += bytes;
            lines.passed()?;
            if untold > 1 << 20 {
                told(untold);
                untold = 0;
                if watcher.stopped() {
                    return Err(Lost::Load(Wrong::Stopped));
                }
            }
        }
        told(untold);
        Ok(())
    })?;
    source
        .run("ROLLBACK TO SAVEPOINT unread")
        .map_err(Lost::Read)?;
    if done.warnings > 0 {
        let warnings = target.texts("SHOW WARNINGS LIMIT 1")?;
        if let Some([level, _code, words]) = warnings.first().map(Vec::as_slice)
            && level != "Note"
        {
            return Err(Lost::Differs(format!("a value does not fit: {words}")));
        }
    }
    if done.rows != sent.rows {
        return Err(Lost::Differs(format!(
            "of {} rows {} arrived",
            sent.rows, done.rows
        )));
    }
    Ok(sent)
}

/// Writes a row as a line of the file that is loaded; returns in how many values something was replaced.
fn write_row(
    line: &mut Vec<u8>,
    row: Row<'_>,
    columns: &[Column],
    replacement: Option<&Replacement>,
) -> Result<u64, Lost> {
    let mut replaced = 0;
    let mut first = true;
    let mut columns = columns.iter();
    for value in row {
        if !first {
            line.push(b'\t');
        }
        first = false;
        let how = columns.next().map_or(How::Plain, |column| column.how);
        let Some(value) = value.map_err(Lost::Read)? else {
            line.extend_from_slice(b"\\N");
            continue;
        };
        let other = match (how, replacement) {
            (How::Text | How::Binary, Some(replacement)) => replacement.apply(value),
            _ => None,
        };
        match other {
            Some(other) => {
                replaced += 1;
                escape(line, &other);
            }
            None => escape(line, value),
        }
    }
    line.push(b'\n');
    Ok(replaced)
}

/// Writes a value so that `LOAD DATA` reads it as it is.
fn escape(line: &mut Vec<u8>, value: &[u8]) {
    let mut left = value;
    while let Some(at) = left
        .iter()
        .position(|byte| matches!(byte, b'\t' | b'\n' | b'\\' | 0))
    {
        let (plain, rest) = left.split_at(at);
        line.extend_from_slice(plain);
        line.push(b'\\');
        match rest.split_first() {
            Some((0, rest)) => {
                line.push(b'0');
                left = rest;
            }
            Some((byte, rest)) => {
                line.push(*byte);
                left = rest;
            }
            None => return,
        }
    }
    line.extend_from_slice(left);
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn a_value_is_read_as_it_is() {
        let mut line = Vec::new();
        escape(&mut line, b"a\tb\nc\\d\0e\r\xff");
        assert_eq!(line, b"a\\\tb\\\nc\\\\d\\0e\r\xff");
    }
}
