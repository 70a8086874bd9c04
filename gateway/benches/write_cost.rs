//! What the decision and the audit of one write cost: `cargo bench -p funicular`. A permit is asked
//! for and finished as SFTP does it for each file, with the real gate, state and audit; the time is
//! the session's, the CPU time that of the whole process and, of that, of the audit's writer.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement without its input is none"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use funicular::audit::{Audit, Filter, Outcome};
use funicular::gate::{Evidence, Gate, Identity};
use funicular::state::{NewSite, State};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use policy::{Action, Area, Environment, PersonName, SitePath, Target, TreeChange};

/// As many files as the tree of the benchmark has.
const WRITES: u32 = 5000;
const ROUNDS: usize = 5;

fn main() {
    // In memory where there is such a place, as in bench/run.
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = tempfile::tempdir_in(base).unwrap();
    let mut rounds: Vec<Cost> = (0..ROUNDS)
        .map(|round| one_round(&folder.path().join(round.to_string())))
        .collect();
    rounds.sort_by_key(|cost| cost.all);
    let cost = rounds.get(ROUNDS / 2).unwrap();
    println!(
        "decision and audit of a write, {WRITES} writes, median of {ROUNDS} rounds: \
         {:.1} us of the session, {:.1} us of CPU in all, {:.1} us of it the audit's writer",
        micros(cost.session),
        micros(cost.all),
        micros(cost.writer)
    );
}

fn micros(all: Duration) -> f64 {
    all.as_secs_f64() * 1e6 / f64::from(WRITES)
}

/// What all writes of a round took.
struct Cost {
    /// Time of the session.
    session: Duration,
    /// CPU time of the process.
    all: Duration,
    /// CPU time of the thread that writes the audit, but for what it does when that is closed.
    writer: Duration,
}

fn one_round(folder: &Path) -> Cost {
    std::fs::create_dir(folder).unwrap();
    let (state, audit) = (folder.join("state.db"), folder.join("audit.db"));
    State::create(&state).unwrap();
    let state = Arc::new(State::open(&state).unwrap());
    let person = PersonName::local();
    state
        .add_site(&NewSite {
            name: "acme".parse().unwrap(),
            trunk: "main".to_owned(),
            files_path: None,
            commit: git2::Oid::ZERO_SHA1,
            generation: 1,
            person: person.clone(),
        })
        .unwrap();
    Audit::create(&audit).unwrap();
    let audit = Arc::new(Audit::open(&audit).unwrap());
    let address = "gateway.example.org:2222".to_owned();
    let gate = Arc::new(Gate::new(state, Arc::clone(&audit), address));
    let who = Identity {
        person,
        fingerprint: None,
        certificate: None,
        address: "203.0.113.7".to_owned(),
        client: "SSH-2.0-OpenSSH_9.2".to_owned(),
    };
    let targets: Vec<Target> = (0..WRITES)
        .map(|number| {
            let path = format!(
                "wp-content/plugins/plugin-{}/file-{number}.php",
                number % 50
            );
            Target::Tree(
                "acme".parse().unwrap(),
                Environment::Dev,
                Area::Code,
                SitePath::normalize(path.as_bytes()).unwrap(),
            )
        })
        .collect();
    let before = cpu_time();
    for _ in &targets {
        pause();
    }
    let pauses = cpu_time().checked_sub(before).unwrap();
    let before = cpu_time();
    let mut session = Duration::ZERO;
    for target in &targets {
        let begun = Instant::now();
        let action = Action::ChangeTree(TreeChange::Write);
        let mut permit = gate
            .authorize(&who, action, target, Evidence::default())
            .unwrap();
        permit.still_holds().unwrap();
        permit.add_bytes(4096);
        permit.finish(Outcome::Done).unwrap();
        session += begun.elapsed();
        pause();
    }
    // Has the last rows committed; to read one of them costs little.
    let last = Filter {
        limit: Some(1),
        ..Filter::default()
    };
    audit.list(&last).unwrap();
    let writer = writer_time();
    audit.close().unwrap();
    let all = cpu_time().checked_sub(before).unwrap();
    Cost {
        session,
        all: all.saturating_sub(pauses),
        writer,
    }
}

/// Of the one audit that is open.
fn writer_time() -> Duration {
    let nanos = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| task.unwrap().path())
        .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "audit\n"))
        .and_then(|task| std::fs::read_to_string(task.join("schedstat")).ok())
        .and_then(|times| times.split(' ').next()?.parse().ok());
    Duration::from_nanos(nanos.unwrap())
}

/// An upload does something else in between, so that the writer runs beside it and commits in as
/// many groups as it really would. What this itself costs is taken off.
fn pause() {
    std::thread::sleep(Duration::from_micros(200));
}

fn cpu_time() -> Duration {
    let used = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}
