//! Copies are of one moment, and nobody waits long for them.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Place, Writer, copied, grow, plainly, sqlite3};
use crate::database::{Copying, Database, Events, Trouble, Watcher};

/// Copies again and again while a program writes; each copy is whole and of one moment.
fn under_a_writer(mode: &str, bytes: u64, several: bool, copies: u32) -> u64 {
    let place = Place::new();
    place.database("live");
    if bytes > 0 {
        let site = place.site("live/a.sqlite");
        site.query_row(&format!("PRAGMA journal_mode={mode}"), [], |_| Ok(()))
            .unwrap();
        grow(&site, bytes);
    }
    let mut paths = vec![place.path("live/a.sqlite")];
    if several {
        paths.push(place.path("live/b.db"));
    }
    let writer = Writer::start(mode, "0.001", &paths);
    let mut last = -1;
    let mut grown = 0;
    for number in 0..copies {
        let name = format!("copy{number}");
        copied(&place, "live", &name, &plainly());
        let copy = Database::Sqlite {
            folder: place.path(&name),
        };
        let one = copy.query("SELECT coalesce(max(n), -1) FROM one").unwrap();
        let two = copy.query("SELECT coalesce(max(n), -1) FROM two").unwrap();
        assert_eq!(one, two, "{mode}: copy {number} is of two moments");
        let counts = copy.query("SELECT count(*) - 1 FROM one").unwrap();
        assert_eq!(counts, one);
        assert_eq!(
            sqlite3(
                &place.path(&name).join("a.sqlite"),
                "pragma integrity_check"
            ),
            "ok\n"
        );
        let file = place.path(&name).join("a.sqlite");
        let kept = sqlite3(&file, "pragma journal_mode");
        assert_eq!(kept == "wal\n", mode == "wal", "its kind of journal");
        let at: i64 = one[0].parse().unwrap();
        assert!(
            at >= last,
            "copy {number} is older than the one before: {at} after {last}"
        );
        grown += u32::from(at > last);
        last = at;
        fs::remove_dir_all(place.path(&name)).unwrap();
    }
    let wrote = writer.end();
    assert!(
        grown > copies / 4,
        "the source stood still: {grown} of {copies}"
    );
    assert!(wrote.times > u64::from(copies));
    wrote.longest
}

#[test]
fn copies_with_a_log_are_of_one_moment() {
    let longest = under_a_writer("wal", 0, false, 60);
    println!("longest write beside copies with a log: {longest} ms");
}

#[test]
fn copies_with_a_rollback_journal_are_of_one_moment() {
    let longest = under_a_writer("delete", 0, false, 60);
    println!("longest write beside copies with a rollback journal: {longest} ms");
}

#[test]
fn several_databases_are_of_one_moment() {
    for mode in ["wal", "truncate"] {
        under_a_writer(mode, 0, true, 30);
    }
}

#[test]
fn writers_do_not_wait_for_a_large_database_with_a_log() {
    let longest = under_a_writer("wal", 150 << 20, false, 4);
    println!("longest write beside copies of 150 MB with a log: {longest} ms");
    // 100 ms are measured by the benchmark, on a machine that does nothing else.
    assert!(longest < 2000, "{longest} ms");
}

#[test]
fn a_large_database_with_a_rollback_journal_is_copied_in_a_quiet_moment_or_says_so() {
    let place = Place::new();
    place.database("live");
    grow(&place.site("live/a.sqlite"), 80 << 20);
    let filled = copied(&place, "live", "quiet", &plainly());
    assert!(filled.notes.is_empty(), "{:?}", filled.notes);
    let writer = Writer::start("delete", "0.001", &[place.path("live/a.sqlite")]);
    for number in 0..2 {
        let name = format!("copy{number}");
        let filled = copied(&place, "live", &name, &plainly());
        println!("{:?}", filled.notes);
        let file = place.path(&name).join("a.sqlite");
        assert_eq!(sqlite3(&file, "pragma integrity_check"), "ok\n");
        let agree = "select (select max(n) from one) = (select max(n) from two)";
        assert_eq!(sqlite3(&file, agree), "1\n");
    }
    println!("longest: {} ms", writer.end().longest);
}

#[test]
fn what_lies_beside_comes_along_and_links_out_do_not() {
    let place = Place::new();
    place.database("live");
    let elsewhere = place.path("elsewhere.sqlite");
    rusqlite::Connection::open(&elsewhere)
        .unwrap()
        .execute_batch("CREATE TABLE secret(a)")
        .unwrap();
    place
        .site("live/.ht.sqlite")
        .execute_batch("CREATE TABLE a(b); INSERT INTO a VALUES('ü')")
        .unwrap();
    fs::create_dir(place.path("live/more")).unwrap();
    place
        .site("live/more/x")
        .execute_batch("CREATE TABLE c(d)")
        .unwrap();
    fs::write(place.path("live/.htaccess"), "Deny from all").unwrap();
    fs::write(place.path("live/empty.sqlite"), "").unwrap();
    fs::write(place.path("live/notes-wal"), "no log").unwrap();
    symlink(".ht.sqlite", place.path("live/current")).unwrap();
    symlink(&elsewhere, place.path("live/out.sqlite")).unwrap();
    symlink("../elsewhere.sqlite", place.path("live/out2.sqlite")).unwrap();
    let filled = copied(&place, "live", "dev", &plainly());
    assert_eq!(filled.tables, 2);
    assert_eq!(filled.notes.len(), 2, "{:?}", filled.notes);
    let mut names: Vec<_> = fs::read_dir(place.path("dev"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".ht.sqlite",
            ".htaccess",
            "current",
            "empty.sqlite",
            "more",
            "notes-wal"
        ]
    );
    assert_eq!(
        sqlite3(&place.path("dev/current"), "select b from a"),
        "ü\n"
    );
    let tables = place.database("dev").tables().unwrap();
    let names: Vec<_> = tables.iter().map(|table| &*table.name).collect();
    assert_eq!(names, [".ht.sqlite: a", "more/x: c"]);
}

#[test]
fn a_site_that_holds_the_database_all_the_time_is_told_of() {
    let place = Place::new();
    place.database("live");
    let site = place.site("live/a.sqlite");
    site.execute_batch("CREATE TABLE a(b); BEGIN IMMEDIATE; INSERT INTO a VALUES(1)")
        .unwrap();
    struct Soon(std::time::Instant);
    impl Watcher for Soon {
        fn at(&self, _bytes: u64, _what: &str) {}
        fn stopped(&self) -> bool {
            self.0.elapsed().as_secs() > 1
        }
    }
    // Whoever waits may also go away.
    let result = std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let watcher = Soon(std::time::Instant::now());
            let how = Copying {
                without_rows: &[],
                replacement: None,
                events: Events::Kept,
                watcher: &watcher,
            };
            let source = Database::Sqlite {
                folder: place.path("live"),
            };
            source.copy_to(&place.database("dev"), &how)
        });
        copying.join().unwrap()
    });
    assert!(
        matches!(&result, Err(Trouble::Refused(_) | Trouble::Stopped)),
        "{result:?}"
    );
    site.execute_batch("COMMIT").unwrap();
}

#[test]
fn a_damaged_database_is_refused() {
    let place = Place::new();
    place.database("live");
    grow(&place.site("live/a.sqlite"), 1 << 20);
    let path = place.path("live/a.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 8192].fill(0x55);
    fs::write(&path, bytes).unwrap();
    let source = Database::Sqlite {
        folder: place.path("live"),
    };
    match source.copy_to(&place.database("dev"), &plainly()) {
        Err(Trouble::Refused(why)) => assert!(why.contains("damaged"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// A site that was killed leaves a journal, or a log, that the next who opens it uses.
#[test]
fn what_a_killed_site_left_is_no_part_of_a_copy() {
    for mode in ["delete", "wal"] {
        let place = Place::new();
        place.database("live");
        let path = place.path("live/a.sqlite");
        let program = "
import sqlite3, os, sys
base = sqlite3.connect(sys.argv[1], isolation_level=None)
base.execute('pragma journal_mode=' + sys.argv[2])
base.execute('create table a(b)')
base.execute('insert into a values(1)')
base.execute('pragma cache_size=10')
base.execute('pragma cache_spill=1')
base.execute('begin')
for number in range(2000):
    base.execute('insert into a values(randomblob(2000))')
os.kill(os.getpid(), 9)
";
        let status = std::process::Command::new("/usr/bin/python3")
            .args(["-c", program])
            .arg(&path)
            .arg(mode)
            .status()
            .unwrap();
        assert!(!status.success());
        copied(&place, "live", "dev", &plainly());
        let copy = place.path("dev/a.sqlite");
        assert_eq!(sqlite3(&copy, "select count(*) from a"), "1\n", "{mode}");
        assert_eq!(sqlite3(&copy, "pragma integrity_check"), "ok\n");
        assert_eq!(sqlite3(&path, "select count(*) from a"), "1\n", "{mode}");
    }
}
