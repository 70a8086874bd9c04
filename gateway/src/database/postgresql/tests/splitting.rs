//! Statements end where psql ends them, however the input is cut into parts.

use std::io::Read;

use crate::database::postgresql::statements::{Ending, Statements};
use crate::database::postgresql::words::words;

struct Parts<'a>(&'a [u8], usize);

impl Read for Parts<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = self.1.min(into.len());
        Read::read(&mut self.0, &mut into[..most])
    }
}

fn split(sql: &str, part: usize) -> (Vec<(String, u64)>, Option<Ending>) {
    let mut statements = Statements::new(Parts(sql.as_bytes(), part));
    let mut found = Vec::new();
    loop {
        match statements.next() {
            Ok(Some(statement)) => {
                let sql = String::from_utf8(statement.sql).unwrap();
                let rows = sql.ends_with("FROM stdin");
                found.push((sql, statement.line));
                if rows {
                    let mut all = Vec::new();
                    let line = statements.begin_rows().unwrap();
                    loop {
                        match statements.rows() {
                            Ok(Some(part)) => all.extend_from_slice(part),
                            Ok(None) => break,
                            Err(ending) => return (found, Some(ending)),
                        }
                    }
                    found.push((String::from_utf8(all).unwrap(), line));
                }
            }
            Ok(None) => return (found, None),
            Err(ending) => return (found, Some(ending)),
        }
    }
}

#[test]
fn statements_end_where_they_end() {
    let wanted = [
        ("SELECT 'a;''b\\', E'it\\'s;', \"x;\"\"y\", U&'d\\0061;'", 3),
        ("SELECT $$;$$, $a_1$ $$ ; $a$ $a_1$, $1, a$b$c", 4),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; SELECT CASE WHEN true THEN 1 END; END",
            5,
        ),
        (
            "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END",
            6,
        ),
        ("CREATE RULE r AS ON UPDATE TO a DO (SELECT 1; SELECT 2)", 7),
        ("COPY a (b) FROM stdin", 8),
        ("1\\.\n\\.x\n;';\n", 9),
        ("SELECT 1e5, 'end' -- ;'\n", 13),
        ("INSERT INTO begin VALUES('ü')", 15),
        ("COPY a FROM stdin", 15),
        ("", 16),
    ];
    let sql = "/* a; /* nested; */ ' */ -- b;\n\\restrict a'b\n\
        SELECT 'a;''b\\', E'it\\'s;', \"x;\"\"y\", U&'d\\0061;';\n\
        SELECT $$;$$, $a_1$ $$ ; $a$ $a_1$, $1, a$b$c;\n\
        CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; SELECT CASE WHEN true THEN 1 END; END;\n\
        CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END;\n\
        CREATE RULE r AS ON UPDATE TO a DO (SELECT 1; SELECT 2);\n\
        COPY a (b) FROM stdin;\n1\\.\n\\.x\n;';\n\\.\n\
        SELECT 1e5, 'end' -- ;'\n;;\n\
        INSERT INTO begin VALUES('ü'); COPY a FROM stdin;\n\\.\n\\unrestrict a'b\n-- end";
    for part in [1, 2, 5, 17, 100_000] {
        let (found, ending) = split(sql, part);
        assert!(ending.is_none(), "{ending:?} {found:#?}");
        let found: Vec<_> = found.iter().map(|(sql, line)| (&**sql, *line)).collect();
        assert_eq!(found, wanted, "in parts of {part}");
    }
}

#[test]
fn what_is_cut_off_is_told() {
    for (sql, wanted) in [
        ("SELECT 1;\nSELECT $$ a;", "CutOff(2)"),
        ("SELECT 'a;", "CutOff(1)"),
        ("SELECT 1", "CutOff(1)"),
        ("SELECT 1; /* a", "CutOff(1)"),
        ("COPY a FROM stdin;\n1\n2\n", "CutOffInRows(4)"),
        ("COPY a FROM stdin;\n1\n2\n\\", "CutOffInRows(4)"),
        ("SELECT 1;\n\\! id\n", "Command(2, \"\\\\!\")"),
        ("SELECT 1 \\gexec\n", "Command(1, \"\\\\gexec\")"),
        ("\\connect other\n", "Command(1, \"\\\\connect\")"),
        (
            "--\n-- PostgreSQL database dump\n--\nSELECT 1;\n",
            "WithoutEnd",
        ),
    ] {
        for part in [1, 3, 1000] {
            let (_, ending) = split(sql, part);
            assert_eq!(format!("{:?}", ending.expect(sql)), wanted, "{sql}");
        }
    }
    let whole = "-- PostgreSQL database dump\nSELECT 1;\n-- PostgreSQL database dump complete\n";
    assert!(split(whole, 1).1.is_none());
}

#[test]
fn words_are_read_without_strings_and_comments() {
    let found = words("ALTER /* x */ TABLE -- y\n public.\"a b\" OWNER TO 'z'", 64);
    assert_eq!(
        found,
        ["ALTER", "TABLE", "PUBLIC", ".", "a b", "OWNER", "TO", "'"]
    );
}
