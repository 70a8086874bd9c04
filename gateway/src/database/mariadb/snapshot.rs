//! One moment of a database, seen by several connections, while its writers go on.
//!
//! The moment is made by holding back commits for as long as it takes to begin a transaction on each
//! connection: some milliseconds. The lock is never waited for longer than writers may stand still.

use std::thread;
use std::time::{Duration, Instant};

use super::server::{Served, is_mariadb};
use super::wire::{Connection, Wrong};
use crate::database::Watcher;

/// How long a try may hold writers back, waiting for those before it. With the time to begin the
/// transactions this stays well below 100 ms.
const WAIT: &str = "0.03";
/// How long is rested between two tries.
const REST: Duration = Duration::from_millis(120);
/// How long is tried in all.
const PATIENCE: Duration = Duration::from_secs(120);

const NO_PRIVILEGE: [u16; 3] = [1044, 1045, 1227];
const LOCK_WAIT_TIMEOUT: u16 = 1205;
const INTERRUPTED: [u16; 3] = [1317, 1969, 3024];

/// Connections that see the same moment.
pub(super) struct Snapshot<'w> {
    /// Each reads as of that moment.
    pub(super) readers: Vec<Connection<'w>>,
    /// How long commits were held back.
    pub(super) held: Duration,
}

/// Takes a snapshot with so many connections; with one alone where the account may not lock.
pub(super) fn take<'w>(
    served: &Served<'_>,
    readers: usize,
    watcher: &'w dyn Watcher,
) -> Result<Snapshot<'w>, Wrong> {
    let mut connections = Vec::new();
    for _ in 0..readers.max(1) {
        let mut reader = served.as_gateway(Some(served.name), Some(watcher))?;
        reader.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        // Values come as they are stored, whatever character set they are in.
        reader.run("SET character_set_results = binary")?;
        connections.push(reader);
    }
    if readers <= 1 {
        begin_all(&mut connections)?;
        let held = Duration::ZERO;
        let readers = connections;
        return Ok(Snapshot { readers, held });
    }
    let mut holder = served.as_gateway(None, Some(watcher))?;
    let lock = if is_mariadb(&mut holder)? {
        Lock::Stage
    } else {
        Lock::Global
    };
    let began = Instant::now();
    let held = loop {
        match moment(&mut holder, &mut connections, lock) {
            Ok(held) => break held,
            Err(wrong) if NO_PRIVILEGE.contains(&wrong.code()) => {
                connections.truncate(1);
                begin_all(&mut connections)?;
                break Duration::ZERO;
            }
            Err(wrong)
                if (wrong.code() == LOCK_WAIT_TIMEOUT || INTERRUPTED.contains(&wrong.code()))
                    && began.elapsed() < PATIENCE =>
            {
                if watcher.stopped() {
                    return Err(Wrong::Stopped);
                }
                thread::sleep(REST);
            }
            Err(wrong) => return Err(wrong),
        }
    };
    Ok(Snapshot {
        readers: connections,
        held,
    })
}

#[derive(Clone, Copy)]
enum Lock {
    /// MariaDB's stages of a backup: only commits are held back, and a long statement of somebody
    /// else is not waited for.
    Stage,
    /// `FLUSH TABLES WITH READ LOCK`, of MySQL.
    Global,
}

/// Holds commits back, begins the transactions, and lets go.
fn moment(
    holder: &mut Connection<'_>,
    readers: &mut [Connection<'_>],
    lock: Lock,
) -> Result<Duration, Wrong> {
    let (before, take, release) = match lock {
        // Another backup is waited for where nobody is held back yet.
        Lock::Stage => (
            format!("SET SESSION lock_wait_timeout = 2, max_statement_time = {WAIT}"),
            "BACKUP STAGE BLOCK_COMMIT",
            "BACKUP STAGE END",
        ),
        Lock::Global => (
            "SET SESSION lock_wait_timeout = 1".to_owned(),
            "FLUSH TABLES WITH READ LOCK",
            "UNLOCK TABLES",
        ),
    };
    if matches!(lock, Lock::Stage) {
        holder.run("SET SESSION lock_wait_timeout = 2, max_statement_time = 0")?;
        holder.run("BACKUP STAGE START")?;
        // What this waits for are changes to tables without transactions, and no others stand still.
        if let Err(wrong) = holder.run("BACKUP STAGE FLUSH") {
            let _ = holder.run(release);
            return Err(wrong);
        }
    }
    let prepared = holder.run(before);
    let began = Instant::now();
    let taken = prepared.and_then(|_done| holder.run(take));
    let begun = taken.and_then(|_done| begin_all(readers));
    if matches!(lock, Lock::Stage) {
        holder.run("SET SESSION max_statement_time = 0")?;
    }
    let released = holder.run(release);
    let held = began.elapsed();
    begun?;
    released?;
    Ok(held)
}

/// Begins a transaction on each, all at once.
fn begin_all(readers: &mut [Connection<'_>]) -> Result<(), Wrong> {
    for reader in readers.iter_mut() {
        reader.send(b"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
    }
    for reader in readers.iter_mut() {
        reader.finish()?;
    }
    Ok(())
}
