//! Each kind of thing that a database may hold comes through.

use super::{Own, plainly, replacement};
use crate::database::Copying;

/// One of each kind.
const KINDS: &str = r#"
CREATE SCHEMA "Ünïcode; x";
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'glad; \');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 100);
CREATE TABLE author(id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, mood mood, moods mood[], p pair, s short,
    born timestamptz DEFAULT now(), big numeric(30, 10), raw bytea, tags text[], extra jsonb, doc xml, c citext, h hstore, span int4range, rc regclass);
CREATE TABLE "Ünïcode; x"."Böok ""x"""(id bigserial PRIMARY KEY, author int REFERENCES author ON DELETE CASCADE, title varchar(200),
    loud text GENERATED ALWAYS AS (upper(title)) STORED, CHECK (title <> ''));
CREATE TABLE events(at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE events_new PARTITION OF events DEFAULT;
CREATE INDEX ON events(what);
CREATE UNLOGGED TABLE cache_page(id serial PRIMARY KEY, data text);
CREATE TABLE parent(a int);
CREATE TABLE child(b text) INHERITS (parent);
CREATE TABLE log(what text);
CREATE SEQUENCE counter START 5 INCREMENT 3;
CREATE INDEX lower_name ON author(lower(name)) WHERE id > 0;
CREATE VIEW names AS SELECT a.name, b.title FROM author a JOIN "Ünïcode; x"."Böok ""x""" b ON b.author = a.id;
CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM author;
CREATE UNIQUE INDEX ON sums(n);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $fn$ BEGIN INSERT INTO public.log VALUES('it''s; $$ https://live.example.org/'); RETURN NEW; END $fn$;
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC; SELECT CASE WHEN x > 0 THEN x * 2 END; END;
CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1; SELECT 2';
CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text);
CREATE TRIGGER noted AFTER INSERT ON author FOR EACH ROW EXECUTE FUNCTION note();
CREATE RULE quiet AS ON UPDATE TO log DO INSTEAD (INSERT INTO log VALUES('a'); INSERT INTO log VALUES('b'));
ALTER TABLE log ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON log USING (what <> ';');
CREATE STATISTICS st ON a, b FROM child;
COMMENT ON TABLE author IS 'who; wrote -- it';
INSERT INTO author(name, mood, moods, p, s, big, raw, tags, extra, doc, c, h, span, rc) VALUES
    ('Ünal', 'sad', '{sad,"glad; \\"}', ROW(1, 'x,"y'), 's', 1.5, '\x00ff5c', '{"a,b","//live.example.org/"}', '{"u": "https://live.example.org/\u00fc"}', '<a/>', 'CI', 'a=>"https://live.example.org/h"', '[1,5)', 'parent'),
    (E'line\nbreak\ttab\\N', NULL, NULL, NULL, NULL, 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, 'empty', NULL),
    ('\N', 'glad; \', '{}', ROW(NULL, ''), '', 0, '', '{}', 'null', NULL, '', '', NULL, NULL);
INSERT INTO "Ünïcode; x"."Böok ""x"""(author, title) VALUES (1, 'see https://live.example.org/a'), (2, 'b');
INSERT INTO events VALUES ('2010-05-05', 'old'), ('2025-05-05', 'new');
INSERT INTO cache_page(data) SELECT 'x' || i FROM generate_series(1, 100) i;
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 'c');
SELECT nextval('counter'), nextval('counter');
SELECT lo_from_bytea(424242, decode(repeat('00ff', 3000000), 'hex'));
REFRESH MATERIALIZED VIEW sums;
"#;

/// What is asked of each copy; the answers are the source's.
const QUESTIONS: &[&str] = &[
    "SELECT a::text FROM author a ORDER BY id",
    "SELECT b::text FROM \"Ünïcode; x\".\"Böok \"\"x\"\"\" b ORDER BY id",
    "SELECT n::text FROM names n ORDER BY 1",
    "SELECT n FROM sums",
    "SELECT tableoid::regclass || events::text FROM events ORDER BY 1",
    "SELECT count(*) FROM ONLY parent",
    "SELECT child::text FROM child",
    "SELECT count(*) || coalesce(max(data), '') FROM cache_page",
    "SELECT last_value || ' ' || is_called FROM counter",
    "SELECT last_value FROM author_id_seq",
    "SELECT last_value FROM \"Ünïcode; x\".\"Böok \"\"x\"\"_id_seq\"",
    "SELECT twice(4) || longest(x) FROM unnest('{a,b}'::text[]) x",
    "SELECT md5(lo_get(424242)) || length(lo_get(424242))",
    "SELECT obj_description('author'::regclass)",
    "SELECT count(*) FROM log",
    "SELECT indexdef FROM pg_indexes WHERE schemaname NOT LIKE 'pg\\_%' ORDER BY 1",
    "SELECT conrelid::regclass || conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace >= 2200 AND contype <> 't' ORDER BY 1",
    "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
    "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p') AND prolang <> 13 ORDER BY 1",
    "SELECT polname FROM pg_policy",
    "SELECT extname FROM pg_extension ORDER BY 1",
    "SELECT attname::text || attidentity::text || attgenerated::text FROM pg_attribute WHERE attidentity <> '' OR attgenerated <> '' ORDER BY 1",
    "SELECT relname::text || relpersistence::text FROM pg_class WHERE relpersistence = 'u' AND relname !~ '^pg_toast' ORDER BY 1",
    "SELECT DISTINCT relowner::regrole = current_user::regrole FROM pg_class WHERE oid >= 16384",
    "SHOW search_path",
];

fn answers(own: &Own) -> Vec<Vec<String>> {
    QUESTIONS
        .iter()
        .map(|sql| {
            own.database
                .query(sql)
                .unwrap_or_else(|fault| panic!("{sql}: {fault}"))
        })
        .collect()
}

fn live() -> Own {
    let live = Own::new();
    live.site(KINDS);
    live
}

fn assert_same(one: &Own, other: &Own, without: &[&str]) {
    let (one, other) = (answers(one), answers(other));
    for ((question, one), other) in QUESTIONS.iter().zip(one).zip(other) {
        if !without.contains(question) {
            assert_eq!(one, other, "{question}");
            assert!(!one.is_empty(), "{question}");
        }
    }
}

#[test]
fn each_kind_comes_through_a_copy() {
    let live = live();
    live.site(&format!(
        "ALTER DATABASE \"{}\" SET search_path = \"$user\", public, \"Ünïcode; x\"",
        live.name.replace('"', "\"\"")
    ));
    let dev = Own::new();
    let filled = live.database.copy_to(&dev.database, &plainly()).unwrap();
    assert!(filled.notes.is_empty(), "{:?}", filled.notes);
    assert_eq!(filled.tables, 9, "{filled:?}");
    assert_eq!(filled.rows, 3 + 2 + 2 + 100 + 2 + 3, "{filled:?}");
    assert_same(&live, &dev, &[]);
    // It goes on from there.
    dev.site("INSERT INTO author(name) VALUES('next')");
    assert_eq!(
        dev.database.query("SELECT max(id) FROM author").unwrap(),
        ["4"]
    );
    let tables = dev.database.tables().unwrap();
    assert!(
        tables
            .iter()
            .any(|table| table.name == "Ünïcode; x.Böok \"x\""),
        "{tables:?}"
    );
    assert!(
        tables
            .iter()
            .any(|table| table.name == "cache_page" && table.rows == 100)
    );
}

#[test]
fn each_kind_comes_through_an_export_and_an_import() {
    let live = live();
    let mut dump = Vec::new();
    live.database.export(&mut dump, &plainly()).unwrap();
    let back = Own::new();
    let filled = back.import(&dump).unwrap();
    assert!(filled.notes.is_empty(), "{:?}", filled.notes);
    assert_eq!(filled.rows, 112);
    assert_eq!(filled.bytes, dump.len() as u64);
    assert_same(&live, &back, &["SHOW search_path"]);
    // And psql reads it.
    let other = Own::new();
    other.site(std::str::from_utf8(&dump).unwrap());
    assert_same(&live, &other, &["SHOW search_path"]);
}

#[test]
fn each_kind_comes_through_what_pg_dump_writes_by_itself() {
    let live = live();
    for arguments in [
        &["--format=custom"][..],
        &["--format=custom", "--compress=0"],
        &["--inserts", "--clean", "--if-exists"],
        &["--clean"],
        &["--column-inserts", "--quote-all-identifiers"],
    ] {
        let dump = live.dumped(arguments);
        let back = Own::new();
        let filled = back
            .import(&dump)
            .unwrap_or_else(|trouble| panic!("{arguments:?}: {trouble:?}"));
        println!("{arguments:?}: {:?}", filled.notes);
        assert_same(&live, &back, &["SHOW search_path"]);
    }
}

#[test]
fn tables_without_their_rows_are_made_all_the_same() {
    let live = live();
    let without = ["cache_*".to_owned(), "log".to_owned()];
    let how = Copying {
        without_rows: &without,
        ..plainly()
    };
    let dev = Own::new();
    live.database.copy_to(&dev.database, &how).unwrap();
    assert_eq!(
        dev.database
            .query("SELECT count(*) FROM cache_page")
            .unwrap(),
        ["0"]
    );
    assert_eq!(
        dev.database.query("SELECT count(*) FROM author").unwrap(),
        ["3"]
    );
    let mut dump = Vec::new();
    live.database.export(&mut dump, &how).unwrap();
    let back = Own::new();
    back.import(&dump).unwrap();
    assert_eq!(
        back.database
            .query("SELECT count(*) FROM cache_page")
            .unwrap(),
        ["0"]
    );
    assert_eq!(
        back.database.query("SELECT count(*) FROM author").unwrap(),
        ["3"]
    );
}

#[test]
fn names_are_replaced_in_every_text() {
    let replacement = replacement();
    if replacement.apply(b"https://live.example.org/").is_none() {
        println!("nothing is replaced by this build");
    }
    let live = live();
    let how = Copying {
        replacement: Some(&replacement),
        ..plainly()
    };
    let dev = Own::new();
    let filled = live.database.copy_to(&dev.database, &how).unwrap();
    if filled.replaced == 0 {
        // Then it is a copy in text, and as whole.
        assert_same(&live, &dev, &[]);
        return;
    }
    assert!(filled.replaced >= 4, "{filled:?}");
    let text = dev
        .database
        .query("SELECT a::text FROM author a UNION ALL SELECT b::text FROM \"Ünïcode; x\".\"Böok \"\"x\"\"\" b")
        .unwrap()
        .join("\n");
    assert!(!text.contains("live.example.org"), "{text}");
    assert!(text.contains("dev.example.org"), "{text}");
}

/// An extension that only an administrator may make is made in a copy, where the source has it; a
/// dump does not get it.
#[test]
fn an_extension_that_is_the_administrators_comes_along_with_a_copy_alone() {
    let live = Own::new();
    live.administrator("CREATE EXTENSION pg_stat_statements");
    live.site("CREATE TABLE a(b int); INSERT INTO a VALUES(1)");
    let dev = Own::new();
    live.database.copy_to(&dev.database, &plainly()).unwrap();
    let there = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'";
    assert_eq!(dev.database.query(there).unwrap(), ["1"]);
    let back = Own::new();
    let filled = back.import(live.dumped(&[])).unwrap();
    assert!(
        filled
            .notes
            .iter()
            .any(|note| note.contains("pg_stat_statements")),
        "{:?}",
        filled.notes
    );
    assert_eq!(back.database.query(there).unwrap(), ["0"]);
}
