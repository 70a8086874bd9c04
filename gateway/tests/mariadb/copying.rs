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
