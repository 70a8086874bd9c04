//! Hands the rows of a table from one database to another, replacing names on their way.

use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use postgres::Client;

use super::connect::{self, wrong_rows};
use super::quoted;
use super::schema::Source;
use crate::database::replace::Replacement;
use crate::database::{Copying, Trouble};
use crate::fault::{Fault, OrFault};

/// How much is handed over between two looks at whether to stop.
const PART: u64 = 1 << 20;
/// How much is sent at once.
const TOGETHER: usize = 64 << 10;

/// What all who hand over rows have handed over.
#[derive(Default)]
pub(super) struct Handed {
    pub(super) bytes: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) replaced: AtomicU64,
}

/// Copies the rows of a table, and makes sure that as many have arrived.
pub(super) fn hand_over(
    source: &mut Client,
    target: &mut Client,
    table: &Source,
    how: &Copying<'_>,
    handed: &Handed,
) -> Result<(), Trouble> {
    if table.columns.is_empty() {
        return Ok(());
    }
    let shown = table.shown();
    let what = format!("the table {shown}");
    let replacement = how
        .replacement
        .filter(|_| table.columns.iter().any(|column| column.text));
    let binary = replacement.is_none() && table.columns.iter().all(|column| column.binary);
    let names: Vec<_> = table
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    let (names, from) = (names.join(", "), table.qualified());
    let form = if binary { "binary" } else { "text" };
    let read = match &table.condition {
        None => format!("COPY {from} ({names}) TO STDOUT (FORMAT {form})"),
        Some(condition) => {
            format!("COPY (SELECT {names} FROM {from} {condition}) TO STDOUT (FORMAT {form})")
        }
    };
    let fresh = table.condition.is_none();
    target.batch_execute("BEGIN").or_fault(|| what.clone())?;
    if fresh {
        // Within the transaction that has emptied a table, rows can be written as seen by all.
        target
            .batch_execute(&format!("TRUNCATE ONLY {from}"))
            .or_fault(|| what.clone())?;
    }
    let freeze = if fresh { ", FREEZE" } else { "" };
    let write = format!("COPY {from} ({names}) FROM STDIN (FORMAT {form}{freeze})");
    let mut reader = source
        .copy_out(&read)
        .map_err(|error| wrong_rows(error, &what))?;
    let mut writer = target
        .copy_in(&write)
        .map_err(|error| wrong_rows(error, &what))?;
    let texts: Vec<bool> = table.columns.iter().map(|column| column.text).collect();
    let (mut messages, mut since, mut replaced) = (0_u64, 0_u64, 0_u64);
    let mut out = Vec::new();
    let failed = loop {
        // The server sends each row as one message ("COPY Operations", in its description of the
        // protocol), so that they can be counted.
        let length = match reader.fill_buf() {
            Ok([]) => match writer.write_all(&out) {
                Ok(()) => break None,
                Err(error) => break Some(error),
            },
            Ok(row) => {
                match replacement {
                    None => out.extend_from_slice(row),
                    Some(replacement) => replaced += replace(row, &texts, replacement, &mut out),
                }
                row.len()
            }
            Err(error) => {
                return Err(match connect::from_stream(error) {
                    Ok(error) => wrong_rows(error, &what),
                    Err(error) => lost(error, &what),
                });
            }
        };
        // In large pieces: each is a message to the server, and wakes it.
        if out.len() >= TOGETHER {
            if let Err(error) = writer.write_all(&out) {
                break Some(error);
            }
            out.clear();
        }
        reader.consume(length);
        messages += 1;
        since += length as u64;
        if since >= PART {
            let all = handed.bytes.fetch_add(since, Ordering::Relaxed) + since;
            since = 0;
            how.watcher.at(all, &shown);
            if how.watcher.stopped() {
                return Err(Trouble::Stopped);
            }
        }
    };
    if let Some(error) = failed {
        return Err(match writer.finish() {
            Err(error) => wrong_rows(error, &what),
            Ok(_) => lost(error, &what),
        });
    }
    let arrived = writer.finish().map_err(|error| wrong_rows(error, &what))?;
    drop(reader);
    // In binary, the end is a message of its own.
    let sent = messages.saturating_sub(u64::from(binary));
    if sent != arrived {
        return Err(Fault::new(format!(
            "copying {what}: {sent} rows were sent and {arrived} have arrived"
        ))
        .into());
    }
    target.batch_execute("COMMIT").or_fault(|| what.clone())?;
    handed.bytes.fetch_add(since, Ordering::Relaxed);
    handed.rows.fetch_add(arrived, Ordering::Relaxed);
    handed.replaced.fetch_add(replaced, Ordering::Relaxed);
    Ok(())
}

fn lost(error: std::io::Error, what: &str) -> Trouble {
    match Err::<(), _>(error).or_fault(|| format!("filling {what}")) {
        Ok(()) => Trouble::Stopped,
        Err(fault) => Trouble::Fault(fault),
    }
}

/// Writes a row in COPY's text format ("COPY", "Text Format") with names replaced; returns in how many values.
fn replace(row: &[u8], texts: &[bool], replacement: &Replacement, out: &mut Vec<u8>) -> u64 {
    let (row, end): (&[u8], &[u8]) = match row {
        [row @ .., b'\n'] => (row, b"\n"),
        row => (row, b""),
    };
    let mut replaced = 0;
    for (at, field) in row.split(|byte| *byte == b'\t').enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        if field == b"\\N" || !texts.get(at).copied().unwrap_or(false) {
            out.extend_from_slice(field);
            continue;
        }
        let plain = unescaped(field);
        match replacement.apply(plain.as_deref().unwrap_or(field)) {
            Some(value) => {
                replaced += 1;
                escape(&value, out);
            }
            None => out.extend_from_slice(field),
        }
    }
    out.extend_from_slice(end);
    replaced
}

/// Undoes what COPY writes with backslashes; none where there is none.
fn unescaped(field: &[u8]) -> Option<Vec<u8>> {
    if !field.contains(&b'\\') {
        return None;
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        plain.push(match bytes.next() {
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 11,
            Some(other) => *other,
            None => b'\\',
        });
    }
    Some(plain)
}

fn escape(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        let letter = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            byte => {
                out.push(*byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
}
