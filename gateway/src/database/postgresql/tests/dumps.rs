//! Dumps that are hostile, wrong or cut off are refused with the place, and leave nothing.

use super::{Own, refusal, running};
use crate::database::{Form, Trouble};

#[test]
fn what_reaches_out_is_refused_with_its_line() {
    let own = Own::new();
    let marker = std::env::temp_dir().join(format!("funicular-pg-marker-{}", std::process::id()));
    let marker = marker.display();
    let others = Own::new();
    others.site("CREATE TABLE kept(a int)");
    let other = others.name.replace('"', "\"\"");
    let hostile = [
        format!("\\! touch {marker}"),
        format!("\\o {marker}"),
        "\\connect postgres".into(),
        "\\copy a from '/etc/passwd'".into(),
        format!("\\i {marker}"),
        "SELECT 'touch x' \\gexec".into(),
        format!("COPY a FROM PROGRAM 'touch {marker}';"),
        format!("COPY a TO PROGRAM 'cat > {marker}';"),
        "COPY a FROM '/etc/passwd';".into(),
        format!("COPY a TO '{marker}';"),
        format!("COPY (SELECT 1) TO '{marker}';"),
        "COPY a TO STDOUT;".into(),
        "COPY a FROM STDIN BINARY;".into(),
        format!("DO $$ BEGIN EXECUTE 'COPY a TO ''{marker}'''; END $$;"),
        format!("DO $$ BEGIN EXECUTE 'COPY a FROM PROGRAM ''touch {marker}'''; END $$;"),
        "DROP USER postgres;".into(),
        "CREATE ROLE evil SUPERUSER;".into(),
        "CREATE USER evil;".into(),
        "ALTER ROLE postgres PASSWORD 'x';".into(),
        "DO $$ BEGIN EXECUTE 'CREATE ROLE evil'; END $$;".into(),
        "SET ROLE postgres;".into(),
        "SET SESSION AUTHORIZATION postgres;".into(),
        "SET LOCAL ROLE postgres;".into(),
        "RESET ROLE;".into(),
        "SELECT set_config('role', 'postgres', false);".into(),
        "SELECT set_config('session_authorization', 'postgres', false);".into(),
        "CREATE DATABASE evil;".into(),
        format!("DROP DATABASE \"{other}\";"),
        format!("ALTER DATABASE \"{other}\" SET search_path = x;"),
        "ALTER SYSTEM SET shared_preload_libraries = 'x';".into(),
        "LOAD '/tmp/x.so';".into(),
        "SELECT lo_import('/etc/passwd');".into(),
        "SELECT pg_read_file('/etc/passwd');".into(),
        "SELECT pg_ls_dir('/');".into(),
        format!("SELECT lo_export(1, '{marker}');"),
        "CREATE FUNCTION x() RETURNS int LANGUAGE c AS '/lib/x.so', 'system';".into(),
        "CREATE LANGUAGE plpython3u;".into(),
        "CREATE SERVER s FOREIGN DATA WRAPPER w;".into(),
        "CREATE TABLESPACE t LOCATION '/tmp';".into(),
        "VACUUM;".into(),
        "CREATE INDEX CONCURRENTLY ON a(b);".into(),
        "PREPARE TRANSACTION 'x';".into(),
        "ROLLBACK;".into(),
        "SET client_encoding = 'LATIN1';".into(),
        "SET standard_conforming_strings = off;".into(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres';".into(),
        "DROP OWNED BY postgres;".into(),
        "REASSIGN OWNED BY postgres TO x;".into(),
    ];
    for dump in &hostile {
        let dump = format!("CREATE TABLE a(b text);\n\n{dump}\n");
        let why = refusal(own.import(&dump));
        assert!(why.contains("line 3"), "{dump}: {why}");
        assert!(own.database.tables().unwrap().is_empty(), "{dump}");
        assert!(
            !std::path::Path::new(&marker.to_string()).exists(),
            "{dump}"
        );
    }
    let evil = others.administrator("select count(*) from pg_roles where rolname = 'evil'");
    assert_eq!(evil, "0\n");
    assert_eq!(others.database.tables().unwrap().len(), 1);
    let why = refusal(
        own.database
            .import(&mut &b"x"[..], Form::SqliteFile, &super::plainly()),
    );
    assert!(why.contains("SQLite"), "{why}");
}

#[test]
fn what_is_only_somebody_elses_is_left_out_and_said() {
    let own = Own::new();
    let filled = own
        .import(
            "SET lock_timeout = 0; SET transaction_timeout = 0; SET made_up_setting = 1; SET client_encoding = 'UTF8';
             SET standard_conforming_strings = on; SET default_with_oids = false; SET default_tablespace = '';
             CREATE SCHEMA public; DROP TABLE nowhere; ALTER TABLE ONLY public.nowhere DROP CONSTRAINT x; DROP FUNCTION public.f();
             BEGIN; CREATE TABLE a(b int); ALTER TABLE public.a OWNER TO somebody; GRANT ALL ON a TO nobody_known;
             COMMIT; COMMENT ON EXTENSION plpgsql IS 'x'; CREATE PUBLICATION p FOR ALL TABLES;
             ALTER DEFAULT PRIVILEGES FOR ROLE x GRANT ALL ON TABLES TO y; INSERT INTO a VALUES(1);",
        )
        .unwrap();
    assert_eq!(filled.notes.len(), 3, "{:?}", filled.notes);
    assert_eq!(own.database.query("SELECT b FROM a").unwrap(), ["1"]);
}

#[test]
fn a_table_may_have_many_columns() {
    let own = Own::new();
    let names: Vec<String> = (0..80).map(|number| format!("c{number}")).collect();
    let (made, names) = (names.join(" int, "), names.join(", "));
    let row = ["1"; 80].join("\t");
    let dump = format!("CREATE TABLE a({made} int);\nCOPY a ({names}) FROM stdin;\n{row}\n\\.\n");
    assert_eq!(own.import(&dump).unwrap().rows, 1);
}

#[test]
fn a_wrong_statement_is_told_with_line_and_text() {
    let own = Own::new();
    for (dump, line, near) in [
        (
            "CREATE TABLE a(b int);\nINSERT INTO a\nVALUSE(1);",
            "line 3",
            "VALUSE",
        ),
        (
            "CREATE TABLE a(b int);\n\nINSERT INTO nowhere VALUES(1);",
            "line 3",
            "nowhere",
        ),
        (
            "CREATE TABLE a(b int PRIMARY KEY);\nINSERT INTO a VALUES(1);\nINSERT INTO a VALUES(1);",
            "line 3",
            "duplicate",
        ),
        (
            "CREATE TABLE a(b int);\nCOPY a FROM stdin;\n1\nx\n\\.\n",
            "from line 3",
            "line 2",
        ),
        (
            "CREATE TABLE a(b int);\nCOPY a FROM stdin;\n1\t2\n\\.\n",
            "from line 3",
            "extra data",
        ),
        ("CREATE TABLE `a` (`id` int) ENGINE=InnoDB;", "line 1", "`"),
        ("BEGIN;\nCREATE TABLE a(b int);", "cut off", "line 1"),
    ] {
        let why = refusal(own.import(dump));
        assert!(why.contains(line) && why.contains(near), "{dump}: {why}");
        assert!(own.database.tables().unwrap().is_empty(), "{dump}");
    }
    // Many rows, so that the server's refusal comes while they are still being sent.
    let mut many = b"CREATE TABLE a(b int);\nCOPY a FROM stdin;\n".to_vec();
    many.extend(b"x\n".repeat(3_000_000));
    many.extend(b"\\.\n");
    let why = refusal(own.import(&many));
    assert!(
        why.contains("from line 3") && why.contains("line 1"),
        "{why}"
    );
    let why = refusal(own.import(b"SELECT 1;\nSELECT '\xff';"));
    assert!(why.contains("line 2") && why.contains("UTF-8"), "{why}");
    let why = refusal(own.import(b"CREATE TABLE a(b text);\nCOPY a FROM stdin;\n\xff\n\\.\n"));
    assert!(why.contains("invalid byte sequence"), "{why}");
}

/// Dumps of pg_dump's, cut off at many places: refused, and nothing is left.
#[test]
fn a_dump_that_is_cut_off_anywhere_is_refused() {
    let live = Own::new();
    live.site(
        "CREATE TABLE a(b text PRIMARY KEY); INSERT INTO a SELECT 'ü' || i FROM generate_series(1, 40) i;
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;",
    );
    let plain = live.dumped(&[]);
    let custom = live.dumped(&["--format=custom"]);
    let own = Own::new();
    let whole = String::from_utf8_lossy(&plain)
        .find("dump complete")
        .unwrap()
        + "dump complete".len();
    for (dump, whole) in [(&plain, whole), (&custom, custom.len())] {
        let step = (whole / 150).max(1);
        for end in (1..whole)
            .step_by(step)
            .chain([whole - 1, whole - 2, whole - 30])
        {
            let cut = &dump[..end];
            // What does not even have the header of a dump is no dump: it may hold nothing.
            if dump.len() == plain.len() && end < 40 {
                continue;
            }
            let why = match own
                .database
                .import(&mut &cut[..], Form::of(dump), &super::plainly())
            {
                Err(Trouble::Refused(why)) => why,
                other => panic!("{end} of {whole}: {other:?}"),
            };
            assert!(
                why.contains("cut off") || why.contains("pg_restore") || why.contains("UTF-8"),
                "{end} of {whole}: {why}"
            );
            assert!(own.database.tables().unwrap().is_empty());
        }
        own.database
            .import(&mut &dump[..], Form::of(dump), &super::plainly())
            .unwrap();
        own.site("DROP TABLE a; DROP FUNCTION f");
    }
    assert!(running().socket().exists());
}

/// A custom dump that nobody would have made.
#[test]
fn a_damaged_custom_dump_is_refused_or_whole() {
    let live = Own::new();
    live.site("CREATE TABLE a(b text); INSERT INTO a SELECT i FROM generate_series(1, 1000) i");
    let custom = live.dumped(&["--format=custom"]);
    for number in 0..20_usize {
        let mut damaged = custom.clone();
        for at in 0..3 {
            let place = 5 + (number * 7919 + at * 104_729) % (damaged.len() - 5);
            damaged[place] ^= 0x55;
        }
        let own = Own::new();
        match own.import(&damaged) {
            Ok(_) => {}
            Err(Trouble::Refused(why)) => {
                println!("{why}");
                assert!(own.database.tables().unwrap().is_empty());
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
