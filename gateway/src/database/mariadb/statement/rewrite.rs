//! A statement with another owner, in another database, or with an event switched off.

use super::{Kind, Token, Tokens, is, named};
use crate::database::mariadb::server::name;

/// What is changed in a statement.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::database::mariadb) struct Changes<'a> {
    /// Where a name is qualified with the first database, it is qualified with the second; with the
    /// empty name it is not qualified any more.
    pub(in crate::database::mariadb) database: Option<(&'a str, &'a str)>,
    /// What is written for the definer, with a blank after it; the empty text leaves it out, and then
    /// it is whoever runs the statement. It is put in where there was none.
    pub(in crate::database::mariadb) definer: &'a str,
    /// An event is created switched off.
    pub(in crate::database::mariadb) event_off: bool,
}

/// Returns the statement with its changes, and whether a definer was taken out of it.
pub(in crate::database::mariadb) fn rewrite(
    statement: &[u8],
    changes: &Changes<'_>,
) -> (Vec<u8>, bool) {
    let all: Vec<Token<'_>> = Tokens::new(statement)
        .filter(|token| token.kind != Kind::Blank)
        .collect();
    let said: Vec<Token<'_>> = all
        .iter()
        .filter(|token| token.kind != Kind::Guard)
        .copied()
        .collect();
    let mut edits: Vec<(usize, usize, Vec<u8>)> = Vec::new();
    let definer = definer(&said);
    if let Some((start, end)) = definer {
        edits.push((start, end, changes.definer.trim_end().into()));
    } else if let Some(first) = said.first()
        && !changes.definer.is_empty()
        && is(first, "CREATE")
    {
        let after = said
            .get(1..3)
            .filter(|two| matches!(two, [or, replace] if is(or, "OR") && is(replace, "REPLACE")))
            .and_then(|two| two.last())
            .unwrap_or(first);
        edits.push((
            after.end(),
            after.end(),
            format!(" {}", changes.definer.trim_end()).into(),
        ));
    }
    if let Some((from, to)) = changes.database {
        qualify(&said, from, to, &mut edits);
    }
    if changes.event_off {
        edits.extend(switch_off(&said));
    }
    edits.sort_by_key(|edit| edit.0);

    let mut out = Vec::with_capacity(statement.len());
    let mut at = 0;
    for (start, end, put) in edits {
        if start < at {
            continue;
        }
        out.extend_from_slice(statement.get(at..start).unwrap_or_default());
        out.extend(put);
        at = end;
    }
    out.extend_from_slice(statement.get(at..).unwrap_or_default());
    (out, definer.is_some())
}

/// Where `DEFINER = somebody` stands in the head of a statement.
fn definer(said: &[Token<'_>]) -> Option<(usize, usize)> {
    let head = said
        .iter()
        .position(|token| {
            [
                "TRIGGER",
                "VIEW",
                "PROCEDURE",
                "FUNCTION",
                "EVENT",
                "PACKAGE",
                "TABLE",
            ]
            .iter()
            .any(|what| is(token, what))
        })
        .unwrap_or(0);
    let at = said
        .get(..head)?
        .iter()
        .position(|token| is(token, "DEFINER"))?;
    let start = said.get(at)?;
    if !said.get(at + 1)?.is_sign(b'=') {
        return None;
    }
    let mut last = said.get(at + 2)?;
    match (said.get(at + 3), said.get(at + 4)) {
        (Some(open), Some(close)) if open.is_sign(b'(') && close.is_sign(b')') => last = close,
        (Some(sign), Some(host)) if sign.is_sign(b'@') => last = host,
        _ => {}
    }
    Some((start.start, last.end()))
}

fn qualify(said: &[Token<'_>], from: &str, to: &str, edits: &mut Vec<(usize, usize, Vec<u8>)>) {
    let without = to.is_empty();
    let to = if without { String::new() } else { name(to) };
    let mut before: Option<&Token<'_>> = None;
    for pair in said.windows(2) {
        let [token, next] = pair else { continue };
        let qualifies = matches!(token.kind, Kind::Word | Kind::Name)
            && next.is_sign(b'.')
            && !before.is_some_and(|before| before.is_sign(b'.') || before.is_sign(b'@'));
        if qualifies && named(token).is_some_and(|named| named == from) {
            let end = if without { next.end() } else { token.end() };
            edits.push((token.start, end, to.clone().into_bytes()));
        }
        before = Some(token);
    }
}

/// What makes a `CREATE EVENT` leave its event switched off.
fn switch_off(said: &[Token<'_>]) -> Option<(usize, usize, Vec<u8>)> {
    let created = said.iter().take_while(|token| !is(token, "DO"));
    if !created.clone().any(|token| is(token, "EVENT")) {
        return None;
    }
    let schedule = created.clone().position(|token| is(token, "SCHEDULE"))?;
    for token in created.skip(schedule) {
        if is(token, "ENABLE") {
            return Some((token.start, token.end(), b"DISABLE".to_vec()));
        }
        if is(token, "DISABLE") {
            return None;
        }
        if is(token, "COMMENT") {
            return Some((token.start, token.start, b"DISABLE ".to_vec()));
        }
    }
    let body = said.iter().find(|token| is(token, "DO"))?;
    Some((body.start, body.start, b"DISABLE ".to_vec()))
}

#[cfg(test)]
mod tests {
    use super::{Changes, rewrite};

    fn changed(statement: &str, changes: &Changes<'_>) -> String {
        String::from_utf8(rewrite(statement.as_bytes(), changes).0).unwrap()
    }

    #[test]
    fn a_definer_is_left_out_or_another() {
        let none = Changes::default();
        for (statement, without) in [
            (
                "CREATE DEFINER=`root`@`%` TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET @definer='DEFINER=x'",
                "CREATE  TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET @definer='DEFINER=x'",
            ),
            (
                "/*!50003 CREATE*/ /*!50017 DEFINER=root@'local host'*/ /*!50003 TRIGGER a */",
                "/*!50003 CREATE*/ /*!50017 */ /*!50003 TRIGGER a */",
            ),
            (
                "create algorithm=merge definer = current_user() sql security definer view v as select 1",
                "create algorithm=merge  sql security definer view v as select 1",
            ),
            (
                "CREATE VIEW definer AS SELECT 1",
                "CREATE VIEW definer AS SELECT 1",
            ),
        ] {
            assert_eq!(changed(statement, &none), without);
        }
        let other = Changes {
            definer: "DEFINER=`u`@`h` ",
            ..none
        };
        assert_eq!(
            changed("CREATE PROCEDURE p() SELECT 1", &other),
            "CREATE DEFINER=`u`@`h` PROCEDURE p() SELECT 1"
        );
        assert_eq!(
            changed("CREATE OR REPLACE DEFINER=a@b VIEW v AS SELECT 1", &other),
            "CREATE OR REPLACE DEFINER=`u`@`h` VIEW v AS SELECT 1"
        );
    }

    #[test]
    fn names_in_the_old_database_are_of_the_new_one() {
        let changes = Changes {
            database: Some(("old", "n`w")),
            ..Changes::default()
        };
        assert_eq!(
            changed(
                "SELECT old.t.old, `old`.`f`(t.old.x, 'old.x') FROM old, b.old",
                &changes
            ),
            "SELECT `n``w`.t.old, `n``w`.`f`(t.old.x, 'old.x') FROM old, b.old"
        );
    }

    #[test]
    fn an_event_is_switched_off() {
        let changes = Changes {
            event_off: true,
            ..Changes::default()
        };
        for (statement, off) in [
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY ON COMPLETION PRESERVE ENABLE DO SET @a = 1",
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY ON COMPLETION PRESERVE DISABLE DO SET @a = 1",
            ),
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO ALTER EVENT x ENABLE",
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO ALTER EVENT x ENABLE",
            ),
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY COMMENT 'ENABLE' DO SELECT 1",
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE COMMENT 'ENABLE' DO SELECT 1",
            ),
            ("CREATE TABLE t (enable int)", "CREATE TABLE t (enable int)"),
        ] {
            assert_eq!(changed(statement, &changes), off);
        }
    }
}
