//! Fault points: places in an operation where a test can have this process killed, held or left
//! without room on its disk, to see that what follows is the old state or the new one; and where
//! it can have one session panic, to see that it alone ends. Does nothing in released builds.
//!
//! A debug build that was started with `FUNICULAR_CRASH_AT` set to a point's name kills itself
//! there. One that was started with `FUNICULAR_FAULTS` set to a folder looks there for an order at
//! each point: see `obey`. With `FUNICULAR_WAIT_IN` it waits at a point while a file of its name is in
//! that folder, and says so beside it. The order can change while the process runs, and one of the orders is to
//! write down each point that is passed, so that no list of points has to be kept anywhere.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::signal::{Signal, raise};

/// Marks a place where a crash or a full disk must leave the old state or the new one.
pub fn point(name: &str) {
    point_of("", name);
}

/// As [`point`], for code that many operations share: `what` says which of them it is.
pub fn point_of(part: &str, what: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    static WANTED: OnceLock<[Option<OsString>; 3]> = OnceLock::new();
    let [crash_at, orders, gates] = WANTED.get_or_init(|| {
        [
            "FUNICULAR_CRASH_AT",
            "FUNICULAR_FAULTS",
            "FUNICULAR_WAIT_IN",
        ]
        .map(std::env::var_os)
    });
    if crash_at.is_none() && orders.is_none() && gates.is_none() {
        return;
    }
    let name = match part {
        "" => what.to_owned(),
        part => format!("{part}: {what}"),
    };
    if crash_at.as_ref().is_some_and(|at| *at == *name) {
        die();
    }
    if let Some(folder) = gates {
        wait_in(Path::new(folder), &name);
    }
    if let Some(folder) = orders
        && let Err(error) = obey(Path::new(folder), &name)
    {
        tracing::error!("an order of a test cannot be carried out: {error}");
    }
}

fn wait_in(folder: &Path, name: &str) {
    let gate = folder.join(name);
    if gate.exists() {
        let _ = fs::write(gate.with_extension("reached"), "");
    }
    while gate.exists() {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Does what the file `order` in a folder says about a point. Its lines are a verb, the point's
/// name, how many times it is passed until something happens, a path, and whatever makes the order
/// another one than the one before: counting begins anew with each order.
///
/// - `record`: the name of each point is added to the file `passed`.
/// - `kill`: the process kills itself.
/// - `hold`: the process stands still at the point until the order changes.
/// - `fill`: a file is made at the path that takes up all room on its file system.
///
/// The file `reached` exists as soon as it has happened, except after `kill`.
fn obey(folder: &Path, name: &str) -> io::Result<()> {
    static PASSED: Mutex<(String, Option<HashMap<String, usize>>)> =
        Mutex::new((String::new(), None));
    let read = || match fs::read_to_string(folder.join("order")) {
        Ok(order) => Ok(order),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    };
    let order = read()?;
    let mut lines = order.lines();
    let (verb, at) = (lines.next(), lines.next());
    let (when, path) = (lines.next(), lines.next());
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    if passed.0 != order {
        *passed = (order.clone(), None);
    }
    if verb == Some("record") {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(folder.join("passed"))?;
        return file.write_all(format!("{name}\n").as_bytes());
    }
    if at != Some(name) {
        return Ok(());
    }
    let times = passed
        .1
        .get_or_insert_default()
        .entry(name.to_owned())
        .or_default();
    *times += 1;
    if when.and_then(|when| when.parse().ok()) != Some(*times) {
        return Ok(());
    }
    drop(passed);
    let reached = || File::create(folder.join("reached"));
    match (verb, path) {
        (Some("kill"), _) => die(),
        (Some("hold"), _) => {
            reached()?;
            while read()? == order {
                thread::sleep(Duration::from_millis(1));
            }
        }
        (Some("fill"), Some(path)) => {
            fill(Path::new(path))?;
            reached()?;
        }
        _other => {}
    }
    Ok(())
}

fn die() {
    let _ = raise(Signal::SIGKILL);
}

/// Makes a file that takes up all room there is, to the last block.
fn fill(path: &Path) -> io::Result<()> {
    let mut ballast = File::create(path)?;
    let mut length: i64 = 0;
    let mut more: i64 = 1 << 32;
    while more >= 512 {
        match fallocate(&ballast, FallocateFlags::empty(), length, more) {
            Ok(()) => length += more,
            Err(_full) => more /= 2,
        }
    }
    // What a file system keeps back from `fallocate` it may still give to a write.
    while ballast.write_all(&[0; 512]).is_ok() {}
    Ok(())
}

/// Panics if the process was started with `FUNICULAR_PANIC_ON` set to something that stands in what
/// a client said.
#[expect(clippy::panic, reason = "a test sees what a panic does")]
pub fn panic_on(said: &[u8]) {
    if !cfg!(debug_assertions) {
        return;
    }
    if let Some(wanted) = std::env::var_os("FUNICULAR_PANIC_ON") {
        let wanted = wanted.as_encoded_bytes();
        if !wanted.is_empty() && said.windows(wanted.len()).any(|part| part == wanted) {
            panic!("a test asked for this panic");
        }
    }
}
