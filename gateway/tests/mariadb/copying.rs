//! Every kind of object arrives, by a copy and by a dump.

use funicular::database::{Copying, Events};

use crate::mariadb::Mariadb;
use crate::{Patient, copying, exported, import, made, name, over_socket, over_tcp, shop};

#[test]
fn a_copy_has_everything() {
    let server = Mariadb::start();
    let reached = over_tcp(&server);
    let (source, target) = (made(&reached), made(&reached));
    shop::fill(&server, name(&source));
    let filled = source.copy_to(&target, &copying(&[], None)).unwrap();
    assert_eq!(filled.tables, 11);
    assert_eq!(filled.rows, 3 + 3 + 3 + 1 + 2 + 2 + 1 + 1 + 2);
    for noted in ["MyISAM", "Aria", "history", "1 events"] {
        assert!(
            filled.notes.iter().any(|note| note.contains(noted)),
            "{noted}: {:?}",
            filled.notes
        );
    }
    assert_same(&server, name(&source), name(&target));
    assert_belongs_to_its_user(&server, name(&target));

    // It goes on working when the source and its user are gone.
    source.remove().unwrap();
    let names = target.query("SELECT t FROM a_view ORDER BY 1").unwrap();
    assert_eq!(names, ["0", "2", "4"]);
    target
        .query("INSERT INTO orte VALUES (NULL, 'neu')")
        .unwrap();
    assert_eq!(target.query("SELECT MAX(id) FROM orte").unwrap(), ["500"]);
    let log = target.query("SELECT what FROM log ORDER BY id").unwrap();
    assert_eq!(log, ["neu;x", "bneu;x"]);
}

/// Tables that are big enough for their indexes to be made after their rows.
const INDEXED: &str = "\
    CREATE TABLE plain (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(60) COMMENT 'KEY `x` (`y`),', \
      v INT AS (a + 1) VIRTUAL, t TEXT, UNIQUE KEY u (b), KEY two (a, b(10)) COMMENT 'it''s, (so', KEY v (v), \
      KEY one (b DESC) USING BTREE, FULLTEXT KEY words (t), CONSTRAINT c CHECK (a >= 0)); \
    INSERT INTO plain (a, b, t) SELECT seq % 10, CONCAT(seq, REPEAT('b', 40)), REPEAT('t ', 100) FROM seq_1_to_8000; \
    CREATE TABLE parent (id INT, code VARCHAR(300), n INT, PRIMARY KEY (id), KEY code (code), KEY n (n)); \
    INSERT INTO parent SELECT seq, CONCAT(seq, REPEAT('c', 250)), seq FROM seq_1_to_8000; \
    CREATE TABLE child (id INT PRIMARY KEY, code VARCHAR(300), n INT, KEY n (n), \
      CONSTRAINT f FOREIGN KEY (code) REFERENCES parent (code) ON DELETE CASCADE); \
    INSERT INTO child SELECT id, code, n FROM parent; \
    CREATE TABLE counted (a VARCHAR(300), id INT NOT NULL AUTO_INCREMENT, KEY id (id), KEY a (a)); \
    INSERT INTO counted (a) SELECT code FROM parent; \
    CREATE TABLE skipped (id INT PRIMARY KEY, a VARCHAR(300), KEY a (a)); \
    INSERT INTO skipped SELECT id, code FROM parent; \
    ANALYZE TABLE plain, parent, child, counted, skipped";

#[test]
fn indexes_that_are_made_after_the_rows_are_the_same() {
    let server = Mariadb::start();
    let reached = over_socket(&server);
    let (source, target) = (made(&reached), made(&reached));
    server.sql_in(name(&source), INDEXED);
    let without = ["skipped".to_owned()];
    let filled = source.copy_to(&target, &copying(&without, None)).unwrap();
    assert_eq!((filled.tables, filled.rows), (5, 4 * 8000));
    server.sql_in(name(&source), "TRUNCATE TABLE skipped");
    for table in ["plain", "parent", "child", "counted", "skipped"] {
        let of = |database| {
            [
                server.sql_in(database, &format!("SHOW CREATE TABLE {table}")),
                server
                    .sql_in(database, &format!("CHECKSUM TABLE {table}"))
                    .replace(database, "db"),
                server
                    .sql_in(database, &format!("CHECK TABLE {table}"))
                    .replace(database, "db"),
            ]
        };
        assert_eq!(of(name(&source)), of(name(&target)));
    }
    let used =
        target.query("SELECT COUNT(*) FROM plain FORCE INDEX (two) WHERE a = 3 AND b LIKE '3b%'");
    assert_eq!(used.unwrap(), ["1"]);
    target.query("DELETE FROM parent WHERE id = 5").unwrap();
    let left = target.query("SELECT COUNT(*) FROM child").unwrap();
    assert_eq!(left, ["7999"]);
}

#[test]
fn a_copy_goes_to_another_server() {
    let (one, other) = (Mariadb::start(), Mariadb::start());
    let (source, target) = (made(&over_socket(&one)), made(&over_socket(&other)));
    shop::fill(&one, name(&source));
    source.copy_to(&target, &copying(&[], None)).unwrap();
    let seen = |server, name| shop::comparable(shop::seen(server, name), name);
    assert_eq!(seen(&one, name(&source)), seen(&other, name(&target)));
}

#[test]
fn a_dump_of_ours_has_everything() {
    let server = Mariadb::start();
    let reached = over_tcp(&server);
    let (source, target) = (made(&reached), made(&reached));
    shop::fill(&server, name(&source));
    let dump = exported(&source);
    assert!(!String::from_utf8_lossy(&dump).contains(name(&source)));
    let filled = import(&target, &dump).unwrap();
    assert_eq!((filled.tables, filled.rows), (11, 18));
    assert_eq!(filled.bytes, dump.len() as u64);
    assert_same(&server, name(&source), name(&target));
    assert_belongs_to_its_user(&server, name(&target));

    // The engine's own client reads it too.
    server.sql("CREATE DATABASE plain CHARACTER SET utf8mb4");
    server.feed("plain", &dump).unwrap();
    assert_same(&server, name(&source), "plain");
}

#[test]
fn a_dump_of_mariadb_dump_has_everything() {
    let server = Mariadb::start();
    let reached = over_tcp(&server);
    let source = made(&reached);
    shop::fill(&server, name(&source));
    for arguments in [
        ["--routines", "--triggers", "--events", "--hex-blob"].as_slice(),
        ["--routines", "--events", "--databases"].as_slice(),
        [
            "--routines",
            "--events",
            "--skip-opt",
            "--add-drop-database",
            "--databases",
        ]
        .as_slice(),
    ] {
        let mut dump = server.client("mariadb-dump", arguments);
        let dump = dump.arg(name(&source)).output().unwrap();
        assert!(dump.status.success());
        let target = made(&reached);
        let filled = import(&target, &dump.stdout).unwrap();
        assert_eq!((filled.tables, filled.rows), (11, 18), "{arguments:?}");
        assert!(filled.notes.iter().any(|note| note.contains("definers")));
        // What mariadb-dump itself loses: digits of a FLOAT.
        let float = |seen: Vec<String>| -> Vec<String> {
            seen.into_iter()
                .filter(|text| !text.contains("16777216"))
                .collect()
        };
        let seen = |name| float(shop::comparable(shop::seen(&server, name), name));
        assert_eq!(
            seen(name(&source)).len(),
            seen(name(&target)).len() - 1,
            "{arguments:?}"
        );
        assert_belongs_to_its_user(&server, name(&target));
    }
}

#[test]
fn rows_are_left_out_and_events_kept() {
    let server = Mariadb::start();
    let reached = over_socket(&server);
    let (source, target) = (made(&reached), made(&reached));
    shop::fill(&server, name(&source));
    let without = ["lat*".to_owned(), "my".to_owned()];
    let how = Copying {
        without_rows: &without,
        replacement: None,
        events: Events::Kept,
        watcher: &Patient,
    };
    source.copy_to(&target, &how).unwrap();
    assert_eq!(target.query("SELECT COUNT(*) FROM latin").unwrap(), ["0"]);
    assert_eq!(target.query("SELECT COUNT(*) FROM my").unwrap(), ["0"]);
    assert_eq!(target.query("SELECT COUNT(*) FROM orte").unwrap(), ["3"]);
    let status = "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()";
    assert_eq!(target.query(status).unwrap(), ["ENABLED"]);
}

#[test]
fn a_server_that_logs_statements_takes_triggers_and_functions() {
    let server = Mariadb::start_with(&["--log-bin=binlog", "--binlog-format=ROW"]);
    let reached = over_tcp(&server);
    let (source, target) = (made(&reached), made(&reached));
    shop::fill(&server, name(&source));
    source.copy_to(&target, &copying(&[], None)).unwrap();
    assert_same(&server, name(&source), name(&target));
    assert_belongs_to_its_user(&server, name(&target));
}

fn assert_same(server: &Mariadb, one: &str, other: &str) {
    let seen = |name| shop::comparable(shop::seen(server, name), name);
    let (one, other) = (seen(one), seen(other));
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
}

fn assert_belongs_to_its_user(server: &Mariadb, database: &str) {
    let definers = server.sql(&format!(
        "SELECT DISTINCT d FROM (SELECT DEFINER d FROM information_schema.VIEWS WHERE TABLE_SCHEMA = '{database}' \
         UNION SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '{database}' \
         UNION SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '{database}' \
         UNION SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '{database}') x"
    ));
    assert!(
        definers.lines().count() == 1 && definers.starts_with(&format!("{database}@")),
        "{definers}"
    );
    let on = server.sql(&format!(
        "SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '{database}' AND STATUS = 'ENABLED'"
    ));
    assert_eq!(on, "0");
}
