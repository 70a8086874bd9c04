//! A dump of a database, as SQL that `mariadb` and [`super::import()`] read: one snapshot, no definers,
//! no name of the database, so that it can be loaded into any.

use std::io::Write;

use super::schema::{Code, Column, How, Object, Schema, Tabled};
use super::server::{Served, name};
use super::snapshot;
use super::statement::{Changes, Kind, meaningful, named, rewrite};
use super::trouble;
use super::wire::{Connection, Row, Wrong};
use crate::database::{Copying, Events, Trouble};
use crate::fault::{Fault, OrFault};
use crate::pattern;

/// A statement with rows ends after so many bytes, as those of mariadb-dump do.
const STATEMENT: usize = 1 << 20;

const BEGINNING: &str = "\
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE, TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
/*M!100201 SET @OLD_CHECK=@@CHECK_CONSTRAINT_CHECKS, CHECK_CONSTRAINT_CHECKS=0 */;
";

const END: &str = "
/*M!100201 SET CHECK_CONSTRAINT_CHECKS=@OLD_CHECK */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

-- Dump completed
";

pub(super) fn export(
    served: &Served<'_>,
    out: &mut (dyn Write + Send),
    how: &Copying<'_>,
) -> Result<(), Trouble> {
    let wrong = |wrong| trouble(wrong, || format!("exporting the database {}", served.name));
    let mut asking = served
        .as_gateway(Some(served.name), Some(how.watcher))
        .map_err(wrong)?;
    let mut snapshot = snapshot::take(served, 1, how.watcher).map_err(wrong)?;
    let schema = Schema::read(&mut asking, served.name).map_err(wrong)?;
    let version = asking.one("SELECT VERSION()").map_err(wrong)?;
    let Some(reader) = snapshot.readers.first_mut() else {
        return Ok(());
    };
    reader
        .run("SET character_set_results = utf8mb4")
        .map_err(wrong)?;
    let mut dump = Written {
        out,
        of: served.name,
        how,
        bytes: 0,
    };
    // By these words importers know that a last line has to come.
    dump.put(&format!(
        "-- MariaDB dump, written by Funicular\n-- Server version {}\n\n{BEGINNING}",
        version.unwrap_or_default()
    ))?;
    for note in &schema.notes {
        dump.put(&format!("-- {}\n", note.replace(['\n', '\r'], " ")))?;
    }
    for sequence in &schema.sequences {
        let made = dump.made(sequence, false);
        dump.put(&format!("\n{made};\n"))?;
    }
    let (own, leading): (Vec<&Tabled>, Vec<&Tabled>) =
        schema.tables.iter().partition(|table| table.has_rows);
    for table in own.into_iter().chain(leading) {
        dump.table(reader, table)?;
    }
    for code in schema
        .routines
        .iter()
        .chain(in_order(&schema.views))
        .chain(&schema.triggers)
        .chain(&schema.events)
    {
        dump.code(code)?;
    }
    dump.put(END)?;
    dump.out.flush().or_fault(writing)?;
    Ok(())
}

fn writing() -> &'static str {
    "writing the dump"
}

/// Views so that each comes after those whose names it says.
fn in_order(views: &[Code]) -> Vec<&Code> {
    let mut ordered: Vec<&Code> = Vec::new();
    let mut left: Vec<&Code> = views.iter().collect();
    while !left.is_empty() {
        let says = |view: &Code, other: &Code| {
            view.name != other.name
                && meaningful(view.made.as_bytes()).any(|token| {
                    token.kind == Kind::Name && named(&token).as_ref() == Some(&other.name)
                })
        };
        let (ready, waiting): (Vec<&Code>, Vec<&Code>) = left
            .iter()
            .partition(|view| !left.iter().any(|other| says(view, other)));
        if ready.is_empty() {
            // They say each other's names for something else.
            ordered.extend(waiting);
            break;
        }
        ordered.extend(ready);
        left = waiting;
    }
    ordered
}

struct Written<'a> {
    out: &'a mut (dyn Write + Send),
    of: &'a str,
    how: &'a Copying<'a>,
    bytes: u64,
}

impl Written<'_> {
    fn put(&mut self, text: &str) -> Result<(), Fault> {
        self.out.write_all(text.as_bytes()).or_fault(writing)
    }

    /// A statement for any database and any owner.
    fn made(&self, statement: &str, event: bool) -> String {
        let changes = Changes {
            database: Some((self.of, "")),
            definer: "",
            event_off: event && self.how.events == Events::Off,
        };
        let (made, _) = rewrite(statement.as_bytes(), &changes);
        String::from_utf8_lossy(&made).into_owned()
    }

    fn code(&mut self, code: &Code) -> Result<(), Fault> {
        let made = self.made(&code.made, code.object == Object::Event);
        let mut delimiter = String::from(";;");
        while made.contains(&delimiter) {
            delimiter.push(';');
        }
        let settings = &code.settings;
        self.put(&format!(
            "\nSET @MODE_BEFORE=@@SQL_MODE, @COLLATION_BEFORE=@@COLLATION_CONNECTION, @ZONE_BEFORE=@@TIME_ZONE;\n\
             SET {settings};\nDELIMITER {delimiter}\n{made}{delimiter}\nDELIMITER ;\n\
             SET SQL_MODE=@MODE_BEFORE, COLLATION_CONNECTION=@COLLATION_BEFORE, TIME_ZONE=@ZONE_BEFORE;\n"
        ))
    }

    fn table(&mut self, reader: &mut Connection<'_>, table: &Tabled) -> Result<(), Trouble> {
        let spelled = name(&table.name);
        let made = self.made(&table.made, false);
        self.put(&format!("\nDROP TABLE IF EXISTS {spelled};\n{made};\n"))?;
        let patterns = self.how.without_rows;
        let skipped = |wanted: &String| pattern::matches(wanted.as_bytes(), table.name.as_bytes());
        if !table.has_rows || table.columns.is_empty() || patterns.iter().any(skipped) {
            return Ok(());
        }
        let wrong = |wrong: Wrong| trouble(wrong, || format!("reading the table {}", table.name));
        let columns: Vec<_> = table
            .columns
            .iter()
            .map(|column| name(&column.name))
            .collect();
        let head = format!("INSERT INTO {spelled} ({}) VALUES\n", columns.join(","));
        reader.run("SAVEPOINT unread").map_err(wrong)?;
        reader.begin(table.select().as_bytes()).map_err(wrong)?;
        let mut statement = Vec::with_capacity(STATEMENT + STATEMENT / 4);
        while let Some(row) = reader.next().map_err(wrong)? {
            statement.extend_from_slice(if statement.is_empty() {
                head.as_bytes()
            } else {
                b",\n"
            });
            self.row(&mut statement, row, &table.columns)
                .map_err(wrong)?;
            if statement.len() >= STATEMENT {
                self.rows(&mut statement, table)?;
            }
        }
        if !statement.is_empty() {
            self.rows(&mut statement, table)?;
        }
        reader.run("ROLLBACK TO SAVEPOINT unread").map_err(wrong)?;
        Ok(())
    }

    fn rows(&mut self, statement: &mut Vec<u8>, table: &Tabled) -> Result<(), Trouble> {
        if self.how.watcher.stopped() {
            return Err(Trouble::Stopped);
        }
        statement.extend_from_slice(b";\n");
        self.out.write_all(statement).or_fault(writing)?;
        self.bytes += statement.len() as u64;
        self.how.watcher.at(self.bytes, &table.name);
        statement.clear();
        Ok(())
    }

    fn row(&self, into: &mut Vec<u8>, row: Row<'_>, columns: &[Column]) -> Result<(), Wrong> {
        let mut columns = columns.iter();
        into.push(b'(');
        let mut first = true;
        for value in row {
            if !first {
                into.push(b',');
            }
            first = false;
            let how = columns.next().map_or(How::Plain, |column| column.how);
            let Some(value) = value? else {
                into.extend_from_slice(b"NULL");
                continue;
            };
            let other = match (how, self.how.replacement) {
                (How::Text | How::Binary, Some(replacement)) => replacement.apply(value),
                _ => None,
            };
            let value = other.as_deref().unwrap_or(value);
            match how {
                How::Number | How::Float => into.extend_from_slice(value),
                How::Binary if !value.is_empty() => {
                    into.extend_from_slice(b"0x");
                    into.extend_from_slice(data_encoding::HEXLOWER.encode(value).as_bytes());
                }
                How::Text | How::Plain | How::Spelled | How::Binary => quote(into, value),
            }
        }
        into.push(b')');
        Ok(())
    }
}

/// Writes a text as a statement spells it.
fn quote(into: &mut Vec<u8>, value: &[u8]) {
    into.push(b'\'');
    let mut left = value;
    while let Some(at) = left
        .iter()
        .position(|byte| matches!(byte, b'\'' | b'\\' | b'\n' | b'\r' | 0 | 0x1a))
    {
        let (plain, rest) = left.split_at(at);
        into.extend_from_slice(plain);
        into.push(b'\\');
        let Some((byte, rest)) = rest.split_first() else {
            break;
        };
        into.push(match byte {
            b'\n' => b'n',
            b'\r' => b'r',
            0 => b'0',
            0x1a => b'Z',
            other => *other,
        });
        left = rest;
    }
    into.extend_from_slice(left);
    into.push(b'\'');
}
