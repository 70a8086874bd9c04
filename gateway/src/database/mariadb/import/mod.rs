//! Loads a dump, natively: it is read, split and run as the user who owns the new database and nothing
//! else. No client program is involved that a dump could give orders.

mod check;
mod values;
mod workers;

use std::io::Read;
use std::thread;

use super::dump::{Dump, Statement};
use super::server::{Served, name, text};
use super::statement::{Changes, rewrite};
use super::trouble;
use super::wire::{Connection, Wrong};
use crate::database::{Copying, Events, Filled, Password, Trouble};
use crate::pattern;
use check::{Plan, plan};
use workers::{Job, Work};

/// As `mariadb` begins, but for what dumps switch off themselves while they are loaded.
const BEGINNING: &str = "SET SESSION sql_mode = DEFAULT, time_zone = DEFAULT, unique_checks = 0, \
     foreign_key_checks = 0, innodb_lock_wait_timeout = 3600, lock_wait_timeout = 3600";

/// As many as two cores can feed.
const WORKERS: usize = 2;

pub(super) fn import(
    served: &Served<'_>,
    dump: &mut (dyn Read + Send),
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    let doing = || format!("importing into the database {}", served.name);
    let wrong = |wrong| trouble(wrong, doing);
    let mut connections = Vec::new();
    for _ in 0..=WORKERS {
        let mut server = served.as_owner(Some(how.watcher)).map_err(wrong)?;
        server.run(BEGINNING).map_err(wrong)?;
        connections.push(server);
    }
    let mut asking = connections.pop().ok_or(Trouble::Stopped)?;
    let longest = asking.one("SELECT @@max_allowed_packet").map_err(wrong)?;
    let longest = longest.and_then(|bytes| bytes.parse::<usize>().ok());
    let longest = longest.unwrap_or(16 << 20).saturating_sub(1024);

    let work = Work::new(WORKERS);
    let mut import = Import {
        dump: Dump::new(dump, longest),
        work: &work,
        target: served.name,
        how,
        own: None,
        serial: false,
        definers: 0,
        replaced: 0,
        notes: Vec::new(),
    };
    let fed = thread::scope(|scope| {
        for (worker, server) in connections.iter_mut().enumerate() {
            let work = &work;
            scope.spawn(move || work.run(worker, server));
        }
        // Also when reading the dump panics, those who wait for work are told that none comes.
        let _closing = work.closing();
        import.feed()
    });
    // What the server refused came first, and is why reading was given up.
    if let Some(failure) = work.failure() {
        return Err(blame(failure.line, failure.wrong, doing));
    }
    fed?;
    for server in &mut connections {
        server.run("COMMIT").map_err(wrong)?;
    }
    let Import {
        dump,
        definers,
        replaced,
        notes,
        ..
    } = import;
    let mut filled = Filled {
        rows: work.rows(),
        bytes: dump.bytes_read(),
        replaced,
        notes,
        ..Filled::default()
    };
    finish(served, &mut asking, how, &mut filled).map_err(wrong)?;
    if definers > 0 {
        filled.notes.push(format!(
            "{definers} definers were dropped: views, triggers and routines belong to the database's own user"
        ));
    }
    Ok(filled)
}

/// Counts, switches events off that are still on, and gives the user its password once more: a dump's
/// own routines may have changed it.
fn finish(
    served: &Served<'_>,
    server: &mut Connection<'_>,
    how: &Copying<'_>,
    filled: &mut Filled,
) -> Result<(), Wrong> {
    let schema = text(served.name);
    let tables = server.one(format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} \
         AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
    ))?;
    filled.tables = tables.and_then(|tables| tables.parse().ok()).unwrap_or(0);
    if how.events == Events::Off {
        let events = server.texts(format!(
            "SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {schema}"
        ))?;
        for event in &events {
            if let [event, status] = event.as_slice()
                && status == "ENABLED"
            {
                server.run(format!("ALTER EVENT {} DISABLE", name(event)))?;
            }
        }
        if !events.is_empty() {
            filled
                .notes
                .push(format!("{} events are switched off", events.len()));
        }
    }
    let password = Password::new(served.password.to_owned());
    super::account::set_password(served, &password)
        .map_err(|fault| Wrong::Broken(std::io::Error::other(fault)))
}

/// The dump's fault where the server understood it and said no; else ours.
fn blame(line: u64, wrong: Wrong, doing: impl FnOnce() -> String) -> Trouble {
    /// Out of room, too many connections, shutting down, out of memory: nothing that a dump says.
    const OURS: [u16; 12] = [
        1021, 1037, 1038, 1040, 1041, 1045, 1053, 1114, 1135, 1158, 1927, 28,
    ];
    match wrong {
        Wrong::Server { code, message } if !OURS.contains(&code) => {
            let (line, message) = placed(line, &message);
            Trouble::Refused(format!("line {line}: {message} (error {code})"))
        }
        other => trouble(other, doing),
    }
}

/// The server counts lines from the statement's first; returns the dump's line and what is left to say.
fn placed(line: u64, message: &str) -> (u64, String) {
    let Some((words, number)) = message.rsplit_once(" at line ") else {
        return (line, message.to_owned());
    };
    match number.trim().parse::<u64>() {
        Ok(within) => (line + within.saturating_sub(1), words.to_owned()),
        Err(_not_a_number) => (line, message.to_owned()),
    }
}

struct Import<'i> {
    dump: Dump<'i>,
    work: &'i Work,
    target: &'i str,
    how: &'i Copying<'i>,
    /// The database that the dump says it is of.
    own: Option<String>,
    /// Foreign keys are checked, so the dump's order is kept to.
    serial: bool,
    definers: u64,
    replaced: u64,
    notes: Vec<String>,
}

impl Import<'_> {
    /// Reads the dump to its end and hands out what is to be run.
    fn feed(&mut self) -> Result<(), Trouble> {
        let mut told = 0;
        while let Some(statement) = self.dump.next()? {
            if self.how.watcher.stopped() {
                return Err(Trouble::Stopped);
            }
            let plan = plan(&statement.text);
            if self.dump.bytes_read() > told {
                told = self.dump.bytes_read();
                let what = match &plan {
                    Plan::Table { table, .. } => table.as_str(),
                    _ => "",
                };
                self.how.watcher.at(told, what);
            }
            if !self.hand_out(statement, plan)? {
                return Ok(());
            }
        }
        self.work.settle();
        Ok(())
    }

    fn hand_out(&mut self, statement: Statement, plan: Plan) -> Result<bool, Trouble> {
        let Statement { text, line } = statement;
        let job = |sql, rows| Job { sql, line, rows };
        Ok(match plan {
            Plan::Skip => true,
            Plan::LeaveOut(what) => {
                self.notes.push(format!("line {line} was left out: {what}"));
                true
            }
            Plan::Refused(why) => {
                return Err(Trouble::Refused(format!("line {line}: {why}")));
            }
            Plan::Everywhere { foreign_keys } => {
                let going = self.work.push_all(None, &text, line);
                if foreign_keys {
                    self.serial = switches_on(&text);
                    return Ok(going && self.work.settle());
                }
                going
            }
            Plan::Database { name, alter } => self.database(&text, line, name, alter)?,
            Plan::Table { table, rows: true } => {
                if self.is_without_rows(&table) {
                    return Ok(true);
                }
                let text = match self.how.replacement {
                    Some(replacement) => {
                        let (text, replaced) = values::replace(text, replacement);
                        self.replaced += replaced;
                        text
                    }
                    None => text,
                };
                let worker = self.work.of_table(&table, self.serial);
                self.work.push(worker, job(text, true))
            }
            Plan::Table { table, rows: false } => {
                let text = self.made_ours(&text);
                let worker = self.work.of_table(&table, self.serial);
                // It ends the transaction of whoever runs it, and would wait for those of others.
                self.work.push_all(Some(worker), b"COMMIT", line)
                    && self.work.push(worker, job(text, false))
            }
            Plan::Alone => {
                let text = self.made_ours(&text);
                self.work.push_all(None, b"COMMIT", line)
                    && self.work.settle()
                    && self.work.push(0, job(text, false))
                    && self.work.settle()
            }
        })
    }

    /// A dump may name the one database that it is of, and stays in it.
    fn database(
        &mut self,
        text: &[u8],
        line: u64,
        of: String,
        alter: bool,
    ) -> Result<bool, Trouble> {
        if let Some(own) = &self.own
            && *own != of
        {
            return Err(Trouble::Refused(format!(
                "line {line}: the dump is of the database {own} and names another one, {of}; \
                 only one can be imported"
            )));
        }
        self.own = Some(of.clone());
        if !alter {
            return Ok(true);
        }
        let text = String::from_utf8_lossy(text).replacen(&name(&of), &name(self.target), 1);
        let sql = text.into_bytes();
        let rows = false;
        Ok(self.work.settle() && self.work.push(0, Job { sql, line, rows }) && self.work.settle())
    }

    /// A statement that makes something, with the new database and its user instead of the old ones.
    fn made_ours(&mut self, text: &[u8]) -> Vec<u8> {
        let own = self.own.as_deref().or(self.dump.database());
        let changes = Changes {
            database: own.map(|own| (own, self.target)),
            definer: "",
            event_off: self.how.events == Events::Off,
        };
        let (text, definer) = rewrite(text, &changes);
        self.definers += u64::from(definer);
        text
    }

    fn is_without_rows(&self, table: &str) -> bool {
        let mut patterns = self.how.without_rows.iter();
        patterns.any(|wanted| pattern::matches(wanted.as_bytes(), table.as_bytes()))
    }
}

/// Whether a `SET` leaves the checks of foreign keys switched on: what it does last with them counts.
fn switches_on(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_uppercase();
    let after = text
        .rsplit_once("FOREIGN_KEY_CHECKS")
        .map_or("", |(_, after)| after);
    let value = after.trim_start().trim_start_matches(['=', ':', ' ', '\'']);
    value.starts_with('1') || value.starts_with("ON") || value.starts_with("TRUE")
}

#[cfg(test)]
mod tests {
    use super::{placed, switches_on};

    #[test]
    fn lines_are_those_of_the_dump() {
        let message = "You have an error near 'x' at line 3";
        assert_eq!(
            placed(10, message),
            (12, "You have an error near 'x'".to_owned())
        );
        assert_eq!(
            placed(10, "Unknown table"),
            (10, "Unknown table".to_owned())
        );
    }

    #[test]
    fn checks_of_foreign_keys_are_known() {
        assert!(switches_on(b"SET FOREIGN_KEY_CHECKS = 1"));
        assert!(switches_on(b"set session foreign_key_checks=ON"));
        assert!(!switches_on(
            b"SET @OLD=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0"
        ));
        assert!(!switches_on(
            b"SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS"
        ));
    }
}
