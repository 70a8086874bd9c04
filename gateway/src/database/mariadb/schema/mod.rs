//! What a database holds beside its rows, as the statements that make it again.

mod code;
mod keys;
mod tables;

pub(super) use code::{Code, Object};
pub(super) use tables::{Column, How, Tabled};

use super::server::{name, text};
use super::wire::{Connection, Wrong};

/// All that a database is made of.
#[derive(Debug)]
pub(super) struct Schema {
    /// Its default character set and collation, as `ALTER DATABASE` takes them.
    pub(super) defaults: String,
    /// Statements that make sequences, and set them.
    pub(super) sequences: Vec<String>,
    /// Tables, the biggest first.
    pub(super) tables: Vec<Tabled>,
    /// Procedures, functions and packages.
    pub(super) routines: Vec<Code>,
    /// Views, in the order of their names.
    pub(super) views: Vec<Code>,
    /// Triggers, in the order they were made: that is how those of one table follow each other.
    pub(super) triggers: Vec<Code>,
    /// Events.
    pub(super) events: Vec<Code>,
    /// What whoever asked should know.
    pub(super) notes: Vec<String>,
}

impl Schema {
    /// Reads it all, over a connection that is in the database.
    pub(super) fn read(server: &mut Connection<'_>, database: &str) -> Result<Self, Wrong> {
        let schema = text(database);
        let defaults = server.texts(format!(
            "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
             FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {schema}"
        ))?;
        let defaults = match defaults.first().map(Vec::as_slice) {
            Some([set, collation]) => format!("CHARACTER SET {set} COLLATE {collation}"),
            _ => {
                return Err(Wrong::Server {
                    code: 1049,
                    message: format!("there is no database {database}"),
                });
            }
        };
        let mut notes = Vec::new();
        let tables = tables::read(server, &schema, &mut notes)?;
        Ok(Self {
            defaults,
            sequences: sequences(server, &schema)?,
            tables,
            routines: code::routines(server, &schema)?,
            views: code::views(server, &schema, &mut notes)?,
            triggers: code::triggers(server, &schema)?,
            events: code::events(server, &schema)?,
            notes,
        })
    }
}

fn sequences(server: &mut Connection<'_>, schema: &str) -> Result<Vec<String>, Wrong> {
    let names = server.texts(format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = {schema} AND TABLE_TYPE = 'SEQUENCE' ORDER BY TABLE_NAME"
    ))?;
    let mut statements = Vec::new();
    for sequence in names.iter().flatten() {
        let sequence = name(sequence);
        let made = server.texts(format!("SHOW CREATE SEQUENCE {sequence}"))?;
        let Some(made) = made
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1))
        else {
            continue;
        };
        statements.push(made);
        let next = server.texts(format!(
            "SELECT next_not_cached_value, cycle_count FROM {sequence}"
        ))?;
        if let Some([next, round]) = next.first().map(Vec::as_slice) {
            statements.push(format!("DO SETVAL({sequence}, {next}, 0, {round})"));
        }
    }
    Ok(statements)
}
