//! Each kind of thing that a database may hold comes through.

use std::fs;

use super::{Place, copied, imported, plainly, replacement, sqlite3};
use crate::database::{Copying, Database, Form};

/// One of each kind.
const KINDS: &str = "
PRAGMA user_version = 7;
CREATE TABLE author(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT COLLATE NOCASE UNIQUE, born REAL DEFAULT 1.5);
CREATE TABLE \"böok; \"\"x\"\"\"(id INTEGER PRIMARY KEY, author REFERENCES author(id), title TEXT, data BLOB,
    loud TEXT GENERATED ALWAYS AS (upper(title)) VIRTUAL, kept INT AS (length(title)) STORED, CHECK(length(title) < 500));
CREATE TABLE pairs(a TEXT, b TEXT, c, PRIMARY KEY(a, b)) WITHOUT ROWID;
CREATE TABLE named(rowid TEXT, value TEXT);
CREATE TABLE strictly(a INT, b TEXT) STRICT;
CREATE INDEX partial ON author(name) WHERE born > 1;
CREATE INDEX expression ON author(lower(name));
CREATE VIEW names AS SELECT name, title FROM author JOIN \"böok; \"\"x\"\"\" AS b ON b.author = author.id;
CREATE TABLE log(what TEXT);
CREATE TRIGGER noted AFTER UPDATE ON author BEGIN INSERT INTO log VALUES('https://live.example.org/x;'); END;
CREATE VIRTUAL TABLE search USING fts5(title, body);
CREATE VIRTUAL TABLE old USING fts4(body);
CREATE VIRTUAL TABLE external USING fts5(title, content='böok; \"x\"', content_rowid='id');
CREATE VIRTUAL TABLE places USING rtree(id, x0, x1);
INSERT INTO author(name, born) VALUES('Ünal https://live.example.org/u', 1900), ('O''Neil', 1.0e300);
INSERT INTO \"böok; \"\"x\"\"\"(author, title, data) VALUES(1, 'see //live.example.org/a''b;\n-- no comment', x'00ff10'), (2, NULL, zeroblob(3));
INSERT INTO pairs VALUES('https://live.example.org', 'k', 1), ('b', 'http:\\/\\/live.example.org\\/', NULL);
INSERT INTO named VALUES('live.example.org', '//live.example.org/');
INSERT INTO strictly VALUES(9223372036854775807, '//live.example.org');
INSERT INTO search VALUES('first', 'the https://live.example.org/page'), ('second', 'nothing');
INSERT INTO old VALUES('old words at //live.example.org here');
INSERT INTO external(external) VALUES('rebuild');
INSERT INTO places VALUES(1, 0.5, 2.5);
ANALYZE;
";

/// What is asked of each copy; the answers are the source's.
const QUESTIONS: [&str; 14] = [
    "SELECT group_concat(type || name || coalesce(sql, ''), '|') FROM (SELECT * FROM sqlite_schema ORDER BY type, name)",
    "SELECT quote(id) || quote(name) || quote(born) FROM author ORDER BY id",
    "SELECT quote(id) || quote(author) || quote(title) || quote(data) || quote(loud) || quote(kept) FROM \"böok; \"\"x\"\"\" ORDER BY id",
    "SELECT quote(a) || quote(b) || quote(c) FROM pairs ORDER BY a",
    "SELECT quote(rowid) || quote(value) || _rowid_ FROM named",
    "SELECT quote(a) || quote(b) FROM strictly",
    "SELECT quote(name) || quote(title) FROM names ORDER BY 1",
    "SELECT count(*) FROM log",
    "SELECT title FROM search WHERE search MATCH 'page'",
    "SELECT count(*) FROM old WHERE old MATCH 'words'",
    "SELECT count(*) FROM external WHERE external MATCH 'see'",
    "SELECT id FROM places WHERE x0 < 1",
    "SELECT seq FROM sqlite_sequence WHERE name = 'author'",
    "PRAGMA user_version",
];

fn answers(database: &Database) -> Vec<Vec<String>> {
    QUESTIONS
        .iter()
        .map(|sql| {
            database
                .query(sql)
                .unwrap_or_else(|fault| panic!("{sql}: {fault}"))
        })
        .collect()
}

fn live(place: &Place) -> Database {
    let database = place.database("live");
    place.site("live/site.db").execute_batch(KINDS).unwrap();
    database
}

#[test]
fn each_kind_comes_through_a_copy() {
    let place = Place::new();
    let live = live(&place);
    copied(&place, "live", "dev", &plainly());
    let dev = place.database("dev");
    assert_eq!(answers(&live), answers(&dev));
    assert_eq!(
        sqlite3(&place.path("dev/site.db"), "pragma integrity_check"),
        "ok\n"
    );
}

#[test]
fn each_kind_comes_through_an_export_and_an_import() {
    let place = Place::new();
    let live = live(&place);
    let mut file = Vec::new();
    live.export(&mut file, &plainly()).unwrap();
    assert_eq!(Form::of(&file), Form::SqliteFile);
    // The engine's own client reads it.
    fs::write(place.path("export.sqlite"), &file).unwrap();
    assert_eq!(
        sqlite3(&place.path("export.sqlite"), "select count(*) from author"),
        "2\n"
    );
    let back = place.database("back");
    back.create_like(&live).unwrap();
    let filled = imported(&back, &file, Form::SqliteFile).unwrap();
    assert_eq!(filled.bytes, file.len() as u64);
    assert_eq!(answers(&live), answers(&back));
    assert!(place.path("back/site.db").exists(), "it keeps its name");
    // Nothing is left beside the databases.
    let left: Vec<_> = fs::read_dir(place.path(".")).unwrap().collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn each_kind_comes_through_what_sqlite3_dumps() {
    let place = Place::new();
    let live = live(&place);
    let dump = sqlite3(&place.path("live/site.db"), ".dump");
    assert!(dump.contains("writable_schema"), "{dump}");
    let dev = place.database("dev");
    imported(&dev, &dump, Form::Sql).unwrap();
    let (mut wanted, mut found) = (answers(&live), answers(&dev));
    // How the schema is spelled is the dump's; and it does not keep the version.
    for answers in [&mut wanted, &mut found] {
        answers.remove(0);
        answers.pop();
    }
    assert_eq!(wanted, found);
    let file = place.path("dev/database.sqlite");
    assert_eq!(sqlite3(&file, "pragma integrity_check"), "ok\n");
    let objects = "select group_concat(name) from (select name from sqlite_schema order by name)";
    assert_eq!(
        sqlite3(&file, objects),
        sqlite3(&place.path("live/site.db"), objects)
    );
}

#[test]
fn several_databases_come_through_an_export_and_an_import() {
    let place = Place::new();
    let live = place.database("live");
    for name in ["wiki.sqlite", "wiki_jobqueue.sqlite", "ünïcode"] {
        place
            .site(&format!("live/{name}"))
            .execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES(1)")
            .unwrap();
    }
    let mut archive = Vec::new();
    live.export(&mut archive, &plainly()).unwrap();
    assert_eq!(Form::of(&archive), Form::SqliteFile);
    let back = place.database("back");
    back.create_like(&live).unwrap();
    imported(&back, &archive, Form::SqliteFile).unwrap();
    assert_eq!(back.tables().unwrap().len(), 3);
    assert!(place.path("back/ünïcode").exists());
    assert_eq!(back.query("SELECT a FROM t").unwrap(), ["1", "1", "1"]);
}

#[test]
fn rows_that_are_not_wanted_stay_behind_and_cannot_be_found_in_the_file() {
    for mode in ["wal", "delete"] {
        let place = Place::new();
        place.database("live");
        let site = place.site("live/a.db");
        site.execute_batch(&format!(
            "PRAGMA journal_mode={mode};
             CREATE TABLE cache_page(id INTEGER PRIMARY KEY, data TEXT); CREATE TABLE sessions(a TEXT); CREATE TABLE posts(a TEXT);
             CREATE TRIGGER kept BEFORE DELETE ON sessions BEGIN SELECT raise(ABORT, 'no'); END;
             INSERT INTO sessions VALUES('secret-of-a-visitor'); INSERT INTO posts VALUES('post');
             INSERT INTO cache_page(data) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT 'secret-of-a-visitor' || i FROM n;"
        ))
        .unwrap();
        let without = ["cache_*".to_owned(), "sessions".to_owned()];
        let how = Copying {
            without_rows: &without,
            ..plainly()
        };
        copied(&place, "live", "dev", &how);
        let dev = place.database("dev");
        let count = |table: &str| dev.query(&format!("SELECT count(*) FROM {table}")).unwrap();
        assert_eq!(count("cache_page"), ["0"]);
        assert_eq!(count("sessions"), ["0"]);
        assert_eq!(count("posts"), ["1"]);
        let file = fs::read(place.path("dev/a.db")).unwrap();
        let secret = b"secret-of-a-visitor";
        assert!(!file.windows(secret.len()).any(|part| part == secret));
        assert_eq!(
            sqlite3(&place.path("dev/a.db"), "pragma journal_mode").trim(),
            mode
        );
        assert_eq!(fs::read_dir(place.path("dev")).unwrap().count(), 1);
    }
}

#[test]
fn names_are_replaced_in_every_text() {
    let place = Place::new();
    live(&place);
    // A client that knows neither the collation nor the function writes to it all the same.
    let replacement = replacement();
    if replacement.apply(b"https://live.example.org/").is_none() {
        println!("nothing is replaced by this build");
        return;
    }
    let how = Copying {
        replacement: Some(&replacement),
        ..plainly()
    };
    let filled = copied(&place, "live", "dev", &how);
    assert!(filled.notes.is_empty(), "{:?}", filled.notes);
    let file = place.path("dev/site.db");
    let dump = sqlite3(&file, ".dump");
    let left: Vec<_> = dump
        .lines()
        .filter(|line| line.contains("live.example.org"))
        // What a trigger says is code, and a name without // is a name.
        .filter(|line| !line.starts_with("CREATE TRIGGER"))
        .collect();
    println!("{left:#?} {filled:?}");
    assert!(filled.replaced >= 8, "{filled:?}");
    assert_eq!(
        sqlite3(&file, "select count(*) from log"),
        "0\n",
        "no trigger ran"
    );
    assert_eq!(sqlite3(&file, "pragma integrity_check"), "ok\n");
    let found = sqlite3(
        &file,
        "select count(*) from search where search match '\"dev example org\"'",
    );
    assert_eq!(found, "1\n");
}

#[test]
fn a_database_with_a_collation_of_the_sites_own_is_copied() {
    let place = Place::new();
    place.database("live");
    let site = place.site("live/a.db");
    site.create_collation("MINE", |one: &str, other: &str| one.cmp(other))
        .unwrap();
    site.create_collation("NOCASE_UTF8", |one: &str, other: &str| {
        one.to_lowercase().cmp(&other.to_lowercase())
    })
    .unwrap();
    site.execute_batch(
        "CREATE TABLE a(b TEXT COLLATE MINE); CREATE INDEX c ON a(b); INSERT INTO a VALUES('x'), ('y');
         CREATE TABLE d(e TEXT COLLATE NOCASE_UTF8 PRIMARY KEY); INSERT INTO d VALUES('Ä'), ('ö');",
    )
    .unwrap();
    let filled = copied(&place, "live", "dev", &plainly());
    println!("{:?}", filled.notes);
    let dev = place.database("dev");
    assert_eq!(
        dev.query("SELECT count(*) FROM d WHERE e = 'ä'").unwrap(),
        ["1"]
    );
    let tables: Vec<_> = dev
        .tables()
        .unwrap()
        .into_iter()
        .map(|table| (table.name, table.rows))
        .collect();
    assert_eq!(tables, [("a".to_owned(), 2), ("d".to_owned(), 2)]);
}
