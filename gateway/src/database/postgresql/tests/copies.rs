//! Copies are of one moment, nobody waits for them, and one that fails is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::server::Postgresql;
use super::{ADMINISTRATOR, Own, PASSWORD, Postgresql as Server, SECRET, on, plainly, running};
use crate::database::{Copying, Database, Events, Password, Trouble, Watcher};

/// Writes the same number to two tables, each time in one transaction, until told to end; returns
/// the longest time that took.
fn write(own: &Own, ended: &AtomicBool, times: &AtomicU64) -> Duration {
    let mut config = postgres::Config::new();
    let folder = running().socket();
    let mut client = config
        .host_path(folder.parent().unwrap())
        .port(running().port())
        .user(&own.name)
        .dbname(&own.name)
        .password(SECRET)
        .connect(postgres::NoTls)
        .unwrap();
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS one(n int8); CREATE TABLE IF NOT EXISTS two(n int8)",
        )
        .unwrap();
    let mut longest = Duration::ZERO;
    let mut number = 0_i64;
    while !ended.load(Ordering::Relaxed) {
        let began = Instant::now();
        client
            .batch_execute(&format!(
                "BEGIN; INSERT INTO one VALUES({number}); INSERT INTO two VALUES({number}); COMMIT"
            ))
            .unwrap();
        longest = longest.max(began.elapsed());
        number += 1;
        times.fetch_add(1, Ordering::Relaxed);
    }
    longest
}

#[test]
fn copies_are_of_one_moment() {
    let live = Own::new();
    live.site("CREATE TABLE bulk AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 20000) i; CREATE INDEX ON bulk(i)");
    let (ended, times) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(&live, &ended, &times));
        while times.load(Ordering::Relaxed) < 5 {
            std::thread::yield_now();
        }
        let mut last = -1;
        for _ in 0..6 {
            let dev = Own::new();
            live.database.copy_to(&dev.database, &plainly()).unwrap();
            let ask = |sql: &str| -> i64 { dev.database.query(sql).unwrap()[0].parse().unwrap() };
            let (one, two) = (ask("SELECT max(n) FROM one"), ask("SELECT max(n) FROM two"));
            assert_eq!(one, two);
            assert_eq!(one + 1, ask("SELECT count(*) FROM one"));
            assert!(one > last, "the source stood still");
            last = one;
        }
        ended.store(true, Ordering::Relaxed);
        println!("longest write beside copies: {:?}", writing.join().unwrap());
    });
}

struct After(AtomicU64, u64);

impl Watcher for After {
    fn at(&self, _bytes: u64, _what: &str) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= self.1
    }
}

#[test]
fn who_says_so_stops_a_copy_and_an_import() {
    let live = Own::new();
    live.site("CREATE TABLE bulk AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 20000) i");
    let watcher = After(AtomicU64::new(0), 2);
    let how = Copying {
        without_rows: &[],
        replacement: None,
        events: Events::Kept,
        watcher: &watcher,
    };
    let dev = Own::new();
    let result = live.database.copy_to(&dev.database, &how);
    assert!(matches!(result, Err(Trouble::Stopped)), "{result:?}");
    let dump = live.dumped(&[]);
    let watcher = After(AtomicU64::new(0), 10);
    let how = Copying {
        watcher: &watcher,
        ..how
    };
    let own = Own::new();
    let form = crate::database::Form::of(&dump);
    let result = own.database.import(&mut &dump[..], form, &how);
    assert!(matches!(result, Err(Trouble::Stopped)), "{result:?}");
    assert!(own.database.tables().unwrap().is_empty());
}

/// Kills the server in the midst of a table.
struct Killing<'a>(&'a Postgresql, AtomicBool);

impl Watcher for Killing<'_> {
    fn at(&self, _bytes: u64, what: &str) {
        if what == "bulk" && !self.1.swap(true, Ordering::Relaxed) {
            self.0.kill();
        }
    }
    fn stopped(&self) -> bool {
        false
    }
}

#[test]
fn a_server_that_is_killed_in_a_copy_is_a_fault() {
    let server = Server::start();
    let made = |name: &str| {
        let database = Database::Served {
            server: on(&server),
            name: name.into(),
            user: name.into(),
            password: Password::new(SECRET.into()),
        };
        database.create().unwrap();
        database
    };
    let (live, dev) = (made("live"), made("dev"));
    let sql = "CREATE TABLE bulk AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 20000) i; ALTER TABLE bulk OWNER TO live";
    assert!(
        server
            .psql("live", ADMINISTRATOR, PASSWORD, sql)
            .status
            .success()
    );
    let watcher = Killing(&server, AtomicBool::new(false));
    let how = Copying {
        without_rows: &[],
        replacement: None,
        events: Events::Kept,
        watcher: &watcher,
    };
    let result = live.copy_to(&dev, &how);
    assert!(watcher.1.load(Ordering::Relaxed));
    match result {
        Err(Trouble::Fault(fault)) => assert!(!fault.to_string().contains(SECRET), "{fault}"),
        other => panic!("{other:?}"),
    }
}
