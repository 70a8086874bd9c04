//! Dumps that are hostile, wrong or cut off are refused with the place, and reach nothing.

use std::fs;

use rusqlite::Connection;

use super::{Place, grow, imported, refusal, sqlite3};
use crate::database::Form;

#[test]
fn what_reaches_out_is_refused_with_its_line() {
    let place = Place::new();
    let bait = place.path("bait.sqlite");
    Connection::open(&bait)
        .unwrap()
        .execute_batch("CREATE TABLE kept(a); INSERT INTO kept VALUES(1)")
        .unwrap();
    let before = fs::read(&bait).unwrap();
    let new = place.path("made").display().to_string();
    let bait = bait.display();
    let hostile = [
        format!("ATTACH '{bait}' AS b; DROP TABLE b.kept;"),
        format!("ATTACH DATABASE '{new}' AS lol; CREATE TABLE lol.pwn(a TEXT);"),
        format!("/**/ATTACH/**/'{new}' AS b;"),
        "DETACH main;".into(),
        format!("VACUUM INTO '{new}';"),
        format!("VACUUM main INTO '{new}';"),
        ".shell touch made".into(),
        "  .output made".into(),
        ".read /etc/passwd".into(),
        "SELECT load_extension('/tmp/x.so');".into(),
        "CREATE TABLE x(a DEFAULT (load_extension('x'))); INSERT INTO x DEFAULT VALUES;".into(),
        format!("SELECT writefile('{new}', 'x');"),
        "SELECT readfile('/etc/passwd');".into(),
        "SELECT fts3_tokenizer('simple', x'4141414141414141');".into(),
        "PRAGMA temp_store_directory = '/tmp';".into(),
        "PRAGMA mmap_size = 1000000000;".into(),
        "PRAGMA trusted_schema = ON;".into(),
        "PRAGMA data_store_directory = '/';".into(),
        "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = 'x';".into(),
        "PRAGMA writable_schema=ON; DELETE FROM sqlite_master;".into(),
        "INSERT INTO sqlite_schema VALUES('trigger','t','t',0,'CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT 1; END');".into(),
        "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','t','t',0,'CREATE VIRTUAL TABLE t USING csv(filename=/etc/passwd)');".into(),
        "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','t','t',0,'CREATE TABLE t(a)');".into(),
        "CREATE VIRTUAL TABLE t USING csv(filename='/etc/passwd');".into(),
        "CREATE VIRTUAL TABLE t USING fsdir;".into(),
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c;".into(),
        "CREATE TABLE t(a); INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c;".into(),
        "EXPLAIN SELECT 1;".into(),
        "ROLLBACK;".into(),
        "GRANT ALL ON *.* TO 'x'@'%';".into(),
        "SELECT * FROM pragma_database_list;".into(),
        "DROP TABLE sqlite_schema;".into(),
    ];
    for (number, dump) in hostile.iter().enumerate() {
        let target = place.database(&format!("dev{number}"));
        let dump = format!("CREATE TABLE before(a);\n\n{dump}");
        let why = refusal(imported(&target, &dump, Form::Sql));
        assert!(why.contains("line 3"), "{dump}: {why}");
        target.remove().unwrap();
        assert!(!place.path("made").exists(), "{dump}");
    }
    assert_eq!(fs::read(place.path("bait.sqlite")).unwrap(), before);
}

#[test]
fn a_wrong_statement_is_told_with_line_and_text() {
    let place = Place::new();
    let cases = [
        (
            "CREATE TABLE a(b);\nINSERT INTO a\nVALUSE(1);",
            "line 3",
            "VALUSE",
        ),
        (
            "CREATE TABLE a(b);\nINSERT INTO nowhere VALUES(1);",
            "line 2",
            "nowhere",
        ),
        (
            "CREATE TABLE a(b UNIQUE);\nINSERT INTO a VALUES(1);\nINSERT INTO a VALUES(1);",
            "line 3",
            "UNIQUE",
        ),
        (
            "CREATE TABLE `a` (`id` int) ENGINE=InnoDB;",
            "line 1",
            "=InnoDB",
        ),
    ];
    for (number, (dump, line, near)) in cases.into_iter().enumerate() {
        let why = refusal(imported(
            &place.database(&format!("{number}")),
            dump,
            Form::Sql,
        ));
        assert!(why.contains(line) && why.contains(near), "{dump}: {why}");
    }
    let why = refusal(imported(
        &place.database("bytes"),
        b"SELECT 1;\nSELECT '\xff';",
        Form::Sql,
    ));
    assert!(why.contains("line 2") && why.contains("UTF-8"), "{why}");
    let why = refusal(imported(
        &place.database("pg"),
        b"PGDMP",
        Form::PostgresqlCustom,
    ));
    assert!(why.contains("PostgreSQL"), "{why}");
}

/// The dump of a small database, cut off at every byte: refused, but where nothing is missing.
#[test]
fn a_dump_that_is_cut_off_anywhere_is_refused() {
    let place = Place::new();
    place.database("live");
    place
        .site("live/a")
        .execute_batch(
            "CREATE TABLE a(b TEXT); INSERT INTO a VALUES('x;y'), ('ü'); CREATE INDEX i ON a(b);
             CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a; END;",
        )
        .unwrap();
    let dump = sqlite3(&place.path("live/a"), ".dump");
    let whole = dump.trim_end().len();
    let begin = dump.find("BEGIN").unwrap();
    for end in 0..dump.len() {
        let target = place.database("dev");
        let result = imported(&target, &dump.as_bytes()[..end], Form::Sql);
        target.remove().unwrap();
        if end >= whole || (end == 0 || end >= "PRAGMA foreign_keys=OFF;".len()) && end <= begin {
            // Without a single statement there is nothing that could be missed.
            continue;
        }
        let why = refusal(result);
        assert!(
            why.contains("cut off") || why.contains("UTF-8"),
            "{end}: {why}"
        );
    }
    imported(&place.database("dev"), &dump, Form::Sql).unwrap();
}

#[test]
fn a_file_that_is_cut_off_or_damaged_is_refused() {
    let place = Place::new();
    place.database("live");
    grow(&place.site("live/a"), 1 << 20);
    let file = fs::read(place.path("live/a")).unwrap();
    let target = place.database("dev");
    for end in [
        0,
        1,
        15,
        16,
        99,
        100,
        511,
        4095,
        4096,
        5000,
        8192,
        file.len() / 2,
        file.len() - 4096,
        file.len() - 1,
    ] {
        let why = refusal(imported(&target, &file[..end], Form::SqliteFile));
        println!("{end}: {why}");
        target.remove().unwrap();
        target.create().unwrap();
    }
    let mut damaged = file.clone();
    let middle = damaged.len() / 2 / 4096 * 4096;
    damaged[middle..middle + 4096].fill(7);
    refusal(imported(&target, &damaged, Form::SqliteFile));
    target.remove().unwrap();
    target.create().unwrap();
    for number in 0..200_usize {
        let mut damaged = file.clone();
        for at in 0..20 {
            let place = (number * 7919 + at * 104_729) % damaged.len();
            damaged[place] = damaged[place].wrapping_add(number as u8 | 1);
        }
        // Whatever it is, it is refused or is whole.
        let _ = imported(&target, &damaged, Form::SqliteFile);
        target.remove().unwrap();
        target.create().unwrap();
    }
    imported(&target, &file, Form::SqliteFile).unwrap();
}

#[test]
fn a_file_that_reaches_out_is_refused() {
    let place = Place::new();
    for (number, schema) in [
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT load_extension('/tmp/x'); END",
        "CREATE VIEW v AS SELECT \"load_extension\" ('/tmp/x')",
        "CREATE VIEW v AS SELECT writefile('/tmp/x', 'y')",
        "CREATE VIEW v AS SELECT Fts3_Tokenizer('a', x'00')",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("file{number}");
        let site = place.site(&name);
        site.execute_batch("CREATE TABLE a(b)").unwrap();
        site.execute_batch(schema).unwrap();
        drop(site);
        let file = fs::read(place.path(&name)).unwrap();
        let why = refusal(imported(
            &place.database(&format!("dev{number}")),
            file,
            Form::SqliteFile,
        ));
        assert!(why.contains("reaches out"), "{why}");
    }
    let site = place.site("virtual");
    site.execute_batch(
        "CREATE TABLE a(b); PRAGMA writable_schema=ON;
         INSERT INTO sqlite_schema VALUES('table','t','t',0,'CREATE VIRTUAL TABLE t USING csv(filename=''/etc/passwd'')');",
    )
    .unwrap();
    drop(site);
    let file = fs::read(place.path("virtual")).unwrap();
    refusal(imported(&place.database("dev"), file, Form::SqliteFile));
}

#[test]
fn an_archive_with_anything_but_databases_is_refused() {
    let place = Place::new();
    place
        .site("good")
        .execute_batch("CREATE TABLE a(b)")
        .unwrap();
    let good = fs::read(place.path("good")).unwrap();
    type Add = fn(&mut tar::Builder<Vec<u8>>, &[u8]);
    let cases: [(&str, Add); 4] = [
        ("no SQLite database", |archive, _| {
            let mut header = tar::Header::new_ustar();
            header.set_size(5);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, "x.php", &b"<?php"[..])
                .unwrap();
        }),
        ("link", |archive, _| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive
                .append_link(&mut header, "link", "/etc/passwd")
                .unwrap();
        }),
        ("..", |archive, good| {
            let mut header = tar::Header::new_ustar();
            header.set_size(good.len() as u64);
            let name = b"../outside";
            header.as_mut_bytes()[..name.len()].copy_from_slice(name);
            header.set_cksum();
            archive.append(&header, good).unwrap();
        }),
        ("/", |archive, good| {
            let mut header = tar::Header::new_ustar();
            header.set_size(good.len() as u64);
            let name = b"/tmp/outside-of-it";
            header.as_mut_bytes()[..name.len()].copy_from_slice(name);
            header.set_cksum();
            archive.append(&header, good).unwrap();
        }),
    ];
    for (number, (what, add)) in cases.into_iter().enumerate() {
        let mut archive = tar::Builder::new(Vec::new());
        add(&mut archive, &good);
        let archive = archive.into_inner().unwrap();
        let why = refusal(imported(
            &place.database(&format!("dev{number}")),
            archive,
            Form::SqliteFile,
        ));
        println!("{what}: {why}");
        assert!(!place.path("outside").exists());
    }
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(good.len() as u64);
    archive.append_data(&mut header, "a", &good[..]).unwrap();
    let archive = archive.into_inner().unwrap();
    for end in [512, 600, 512 + 4096, 512 + good.len() - 1] {
        refusal(imported(
            &place.database(&format!("cut{end}")),
            &archive[..end],
            Form::SqliteFile,
        ));
    }
    imported(&place.database("whole"), &archive, Form::SqliteFile).unwrap();
}
