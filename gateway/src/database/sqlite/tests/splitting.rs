//! Statements end where `sqlite3_complete` says, however the input is cut into parts.

use std::io::Read;

use crate::database::sqlite::statements::{Ending, Statements, words};

/// Hands out some bytes at a time.
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
            Ok(Some(statement)) => found.push((
                String::from_utf8(statement.sql.to_vec()).unwrap(),
                statement.line,
            )),
            Ok(None) => return (found, None),
            Err(ending) => return (found, Some(ending)),
        }
    }
}

#[test]
fn statements_end_where_they_end() {
    let sql = "-- a; comment\nSELECT 1; /* ; \n */ INSERT INTO \"a;b\" VALUES('x;''y;\n', [;], `;`);\n\n\
        CREATE /**/ TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; UPDATE a SET end = 'END;'; END;\n\
        SELECT 'ü';;CREATE TABLE trigger_like(a);\n-- the end";
    for part in [1, 2, 3, 7, 100_000] {
        let (found, ending) = split(sql, part);
        assert!(ending.is_none(), "{ending:?}");
        let lines: Vec<u64> = found.iter().map(|(_, line)| *line).collect();
        assert_eq!(lines, [2, 3, 6, 7, 7, 7], "{found:#?}");
        assert!(found[1].0.starts_with("INSERT") && found[1].0.ends_with("`;`);"));
        assert!(found[2].0.ends_with("END;") && found[2].0.starts_with("CREATE"));
        assert_eq!(found[3].0, "SELECT 'ü';");
    }
}

#[test]
fn what_is_cut_off_is_told_with_its_line() {
    let sql = "SELECT 1;\n\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\nSELECT 'a;b'; END;";
    for end in 1..sql.len() {
        let (_, ending) = split(&sql[..end], 3);
        let line = match ending {
            Some(Ending::CutOff(line)) => Some(line),
            None => None,
            other => panic!("{other:?}"),
        };
        let wanted = match end {
            ..9 => Some(1),
            9..=11 => None,
            _ => Some(3),
        };
        assert_eq!(line, wanted, "{:?}", &sql[..end]);
    }
    assert!(matches!(split("/* a", 1).1, Some(Ending::CutOff(1))));
    assert!(matches!(
        split("SELECT 1;\n.shell id\n", 1).1,
        Some(Ending::Dot(2))
    ));
}

#[test]
fn words_are_read_without_strings_and_comments() {
    let found = words(
        "CREATE -- USING x\n VIRTUAL/*y*/TABLE \"a b\" USING fts5(a, 'load_extension(')",
        64,
    );
    assert_eq!(
        found,
        [
            "CREATE", "VIRTUAL", "TABLE", "a b", "USING", "fts5", "(", "a"
        ]
    );
}
