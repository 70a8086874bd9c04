//! Servers that go away, disks that are full, people who say stop.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

use funicular::database::{Copying, Events, Form, Trouble, Watcher};

use crate::mariadb::Mariadb;
use crate::{copying, made, name, over_socket, over_tcp, refused};

/// Acts once when so many bytes have passed.
struct At<F: Fn() + Sync> {
    bytes: u64,
    act: F,
    acted: AtomicBool,
    stops: bool,
}

impl<F: Fn() + Sync> Watcher for At<F> {
    fn at(&self, bytes: u64, _what: &str) {
        if bytes >= self.bytes && !self.acted.swap(true, Ordering::SeqCst) {
            (self.act)();
        }
    }

    fn stopped(&self) -> bool {
        self.stops && self.acted.load(Ordering::SeqCst)
    }
}

fn fill(server: &Mariadb, database: &str) {
    server.sql_in(
        database,
        "CREATE TABLE big (id INT PRIMARY KEY AUTO_INCREMENT, t TEXT); \
         INSERT INTO big (t) SELECT REPEAT('0123456789', 100) FROM seq_1_to_40000; \
         CREATE TABLE small (id INT PRIMARY KEY); INSERT INTO small SELECT seq FROM seq_1_to_100",
    );
}

#[test]
fn a_server_that_is_killed_ends_a_copy_with_an_error() {
    for kill_source in [true, false] {
        let (one, other) = (Mariadb::start(), Mariadb::start());
        let (source, target) = (made(&over_tcp(&one)), made(&over_socket(&other)));
        fill(&one, name(&source));
        let killed = std::sync::Mutex::new(if kill_source { one } else { other });
        let watcher = At {
            bytes: 3 << 20,
            act: || killed.lock().unwrap().kill(),
            acted: AtomicBool::new(false),
            stops: false,
        };
        let how = Copying {
            without_rows: &[],
            replacement: None,
            events: Events::Off,
            watcher: &watcher,
        };
        let result = source.copy_to(&target, &how);
        assert!(matches!(result, Err(Trouble::Fault(_))), "{result:?}");
        assert!(watcher.acted.load(Ordering::SeqCst));
        let mut killed = killed.into_inner().unwrap();
        killed.run();
        let (here, gone) = if kill_source {
            (&source, 40_000)
        } else {
            (&target, 0)
        };
        let count = here.query("SELECT COUNT(*) FROM big").unwrap();
        if kill_source {
            assert_eq!(count, [gone.to_string()]);
        }
        // What is left of it can be taken away, and made again.
        if !kill_source {
            target.remove().unwrap();
            target.create().unwrap();
            source.copy_to(&target, &copying(&[], None)).unwrap();
            assert_eq!(target.query("SELECT COUNT(*) FROM big").unwrap(), ["40000"]);
        }
    }
}

#[test]
fn a_copy_and_an_import_stop_when_told() {
    let server = Mariadb::start();
    let reached = over_tcp(&server);
    let (source, target) = (made(&reached), made(&reached));
    fill(&server, name(&source));
    let watcher = At {
        bytes: 2 << 20,
        act: || {},
        acted: AtomicBool::new(false),
        stops: true,
    };
    let how = Copying {
        without_rows: &[],
        replacement: None,
        events: Events::Off,
        watcher: &watcher,
    };
    assert!(matches!(
        source.copy_to(&target, &how),
        Err(Trouble::Stopped)
    ));
    target.remove().unwrap();
    target.create().unwrap();
    let dump = crate::exported(&source);
    watcher.acted.store(false, Ordering::SeqCst);
    let stopped = target.import(&mut dump.as_slice(), Form::Sql, &how);
    assert!(matches!(stopped, Err(Trouble::Stopped)), "{stopped:?}");
    target.remove().unwrap();
}

/// A reader whose connection breaks.
struct Breaking(u64);

impl Read for Breaking {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let line = b"INSERT INTO t VALUES (1);\n";
        if self.0 == 0 {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        self.0 -= 1;
        let length = line.len().min(into.len());
        into[..length].copy_from_slice(&line[..length]);
        Ok(length)
    }
}

#[test]
fn a_dump_that_cannot_be_read_to_its_end_is_an_error() {
    let server = Mariadb::start();
    let target = made(&over_tcp(&server));
    target.query("CREATE TABLE t (a INT)").unwrap();
    let result = target.import(&mut Breaking(100), Form::Sql, &copying(&[], None));
    assert!(matches!(result, Err(Trouble::Fault(_))), "{result:?}");
}

#[test]
fn a_full_disk_of_the_server_is_an_error() {
    let server = Mariadb::start_with(&[
        "--innodb-data-file-path=ibdata1:12M:autoextend",
        "--max-heap-table-size=16384",
    ]);
    let reached = over_tcp(&server);
    let (source, target) = (made(&reached), made(&reached));
    // A table in memory is full as a disk is: the same error of the server (1114).
    server.sql_in(
        name(&source),
        "SET max_heap_table_size = 16777216; \
         CREATE TABLE m (id INT PRIMARY KEY, t VARCHAR(200)) ENGINE=MEMORY; \
         INSERT INTO m SELECT seq, REPEAT('x', 100) FROM seq_1_to_5000",
    );
    let result = source.copy_to(&target, &copying(&[], None));
    assert!(matches!(result, Err(Trouble::Fault(_))), "{result:?}");
    let dump = crate::exported(&source);
    let again = made(&reached);
    let result = crate::import(&again, &dump);
    let Err(Trouble::Fault(fault)) = result else {
        panic!("{result:?}");
    };
    assert!(fault.to_string().contains("is full"), "{fault}");
}

#[test]
fn a_table_that_is_altered_meanwhile_is_told() {
    let server = Mariadb::start();
    let reached = over_tcp(&server);
    let (source, target) = (made(&reached), made(&reached));
    fill(&server, name(&source));
    let database = name(&source).to_owned();
    // Two tables are read at once, the biggest first; so this one waits.
    server.sql_in(
        &database,
        "CREATE TABLE bigger LIKE big; INSERT INTO bigger SELECT * FROM big; \
         CREATE TABLE altered (id INT PRIMARY KEY, v INT); INSERT INTO altered VALUES (1, 1); \
         ANALYZE TABLE big, bigger, altered, small",
    );
    let watcher = At {
        bytes: 2 << 20,
        act: || {
            server.sql_in(&database, "ALTER TABLE altered ADD w INT, ALGORITHM=COPY");
        },
        acted: AtomicBool::new(false),
        stops: false,
    };
    let how = Copying {
        without_rows: &[],
        replacement: None,
        events: Events::Off,
        watcher: &watcher,
    };
    let words = refused(source.copy_to(&target, &how));
    assert!(words.contains("the table altered was altered"), "{words}");
}
