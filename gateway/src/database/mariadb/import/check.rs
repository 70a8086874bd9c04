//! What a statement of a dump does, and whether a dump may do it.
//!
//! What is refused here is refused with its line before the server sees it. The limit itself is the
//! server's: statements run as a user who has rights on one database and no others.

use crate::database::mariadb::statement::{Kind, Token, is, meaningful, named};

/// What is done with a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// It has no meaning here, and no harm.
    Skip,
    /// It is left out, and the person is told why.
    LeaveOut(&'static str),
    /// Every connection runs it: settings of the session.
    Everywhere {
        /// It changes whether foreign keys are checked.
        foreign_keys: bool,
    },
    /// It works on one table alone.
    Table {
        /// The table.
        table: String,
        /// It adds rows by their values.
        rows: bool,
    },
    /// It runs when all before it is done.
    Alone,
    /// It is about a whole database: the dump says which it is of.
    Database {
        /// The name.
        name: String,
        /// It changes the database's own settings.
        alter: bool,
    },
    /// The dump may not do it, as the words say.
    Refused(String),
}

/// Character sets in which a backslash can be half of a character: a statement's end cannot be found
/// in them for certain.
const UNSAFE_CHARSETS: [&str; 5] = ["big5", "cp932", "gb18030", "gbk", "sjis"];

/// Tells what is to be done with a statement.
pub(super) fn plan(statement: &[u8]) -> Plan {
    let mut said = meaningful(statement);
    let Some(verb) = said.next() else {
        return Plan::Skip;
    };
    let word = String::from_utf8_lossy(verb.text).to_ascii_uppercase();
    match word.as_str() {
        "INSERT" | "REPLACE" => rows(statement),
        "SET" => set(statement),
        "CREATE" | "DROP" | "ALTER" => object(statement, &word),
        "USE" => match (said.next().and_then(|token| named(&token)), said.next()) {
            (Some(name), None) => Plan::Database { name, alter: false },
            _ => refused("USE with more than a name"),
        },
        // Nobody else is in this database.
        "LOCK" | "UNLOCK" | "FLUSH" => Plan::Skip,
        "COMMIT" | "BEGIN" | "START" | "ROLLBACK" => match said.next() {
            Some(next) if is(&next, "SLAVE") || is(&next, "REPLICA") => refused("START SLAVE"),
            _ => Plan::Everywhere {
                foreign_keys: false,
            },
        },
        "TRUNCATE" => {
            let first = said.next();
            let name = match first {
                Some(table) if is(&table, "TABLE") => said.next(),
                other => other,
            };
            of_table(name, said.next(), false)
        }
        "SELECT" | "WITH" | "UPDATE" | "DELETE" | "DO" | "ANALYZE" | "OPTIMIZE" | "CHECK"
        | "RENAME" | "SHOW" | "SAVEPOINT" | "RELEASE" | "VALUES" => {
            unless_it_writes_files(statement, Plan::Alone)
        }
        other => {
            let next = said.next().filter(|next| next.kind == Kind::Word);
            let next = next.map_or_else(String::new, |next| {
                format!(
                    " {}",
                    String::from_utf8_lossy(next.text).to_ascii_uppercase()
                )
            });
            refused(&format!("{other}{next}"))
        }
    }
}

fn refused(what: &str) -> Plan {
    let what: String = what.chars().take(60).collect();
    Plan::Refused(format!("{what} is not something that a dump may do here"))
}

fn unless_it_writes_files(statement: &[u8], plan: Plan) -> Plan {
    let mut before = false;
    for token in meaningful(statement) {
        if before && (is(&token, "OUTFILE") || is(&token, "DUMPFILE")) {
            return refused("INTO OUTFILE");
        }
        before = is(&token, "INTO");
    }
    plan
}

/// `INSERT` or `REPLACE`. Only its head is read: the rest is as long as the rows are.
fn rows(statement: &[u8]) -> Plan {
    let mut said = meaningful(statement).skip(1).skip_while(|token| {
        ["INTO", "IGNORE", "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY"]
            .iter()
            .any(|word| is(token, word))
    });
    let table = said.next();
    let mut next = said.next();
    if next.is_some_and(|token| token.is_sign(b'.')) {
        return Plan::Alone;
    }
    let mut depth = 0_u32;
    while let Some(token) = next {
        if token.is_sign(b'(') {
            depth += 1;
        } else if token.is_sign(b')') {
            depth = depth.saturating_sub(1);
        } else if depth == 0 {
            let by_values = is(&token, "VALUES") || is(&token, "VALUE");
            return match table.and_then(|table| named(&table)) {
                Some(table) if by_values => Plan::Table { table, rows: true },
                _ => Plan::Alone,
            };
        }
        next = said.next();
    }
    Plan::Alone
}

fn set(statement: &[u8]) -> Plan {
    let mut foreign_keys = false;
    let mut begins = false;
    let mut signs = 0;
    for token in meaningful(statement) {
        if begins {
            if token.is_sign(b'@') && signs < 2 {
                signs += 1;
                continue;
            }
            let text = String::from_utf8_lossy(token.text).to_ascii_uppercase();
            match text.as_str() {
                _ if signs == 1 => {}
                "GLOBAL" => {
                    let mut all = meaningful(statement);
                    let gtid = all.any(|token| is(&token, "GTID_PURGED"));
                    if gtid {
                        return Plan::LeaveOut("GTID_PURGED, which is for servers that replicate");
                    }
                    return refused("SET GLOBAL");
                }
                "PERSIST" | "PERSIST_ONLY" | "PASSWORD" | "ROLE" | "DEFAULT" | "STATEMENT" => {
                    return refused(&format!("SET {text}"));
                }
                _ => {}
            }
            begins = false;
            signs = 0;
        }
        begins |= is(&token, "SET") || token.is_sign(b',');
        foreign_keys |= is(&token, "FOREIGN_KEY_CHECKS");
        if is(&token, "AUTHORIZATION") {
            return refused("SET SESSION AUTHORIZATION");
        }
        if let Some(name) = named(&token) {
            if UNSAFE_CHARSETS
                .iter()
                .any(|set| name.eq_ignore_ascii_case(set))
            {
                return Plan::Refused(format!(
                    "the dump is written in {name}; write it in utf8mb4 \
                     (--default-character-set=utf8mb4)"
                ));
            }
            if name.to_ascii_uppercase().contains("NO_BACKSLASH_ESCAPES") {
                return Plan::Refused(
                    "NO_BACKSLASH_ESCAPES is not known here; write the dump without it".to_owned(),
                );
            }
        }
    }
    let mut said = meaningful(statement).skip(1);
    let log_bin = said.by_ref().take(6).any(|token| is(&token, "SQL_LOG_BIN"));
    let copies = meaningful(statement)
        .nth(2)
        .is_some_and(|token| token.kind == Kind::Word);
    if log_bin && !copies {
        return Plan::LeaveOut("SQL_LOG_BIN, which is for servers that replicate");
    }
    Plan::Everywhere { foreign_keys }
}

/// `CREATE`, `DROP` or `ALTER` of something.
fn object(statement: &[u8], verb: &str) -> Plan {
    const OBJECTS: [&str; 16] = [
        "TABLE",
        "VIEW",
        "TRIGGER",
        "PROCEDURE",
        "FUNCTION",
        "EVENT",
        "SEQUENCE",
        "INDEX",
        "PACKAGE",
        "DATABASE",
        "SCHEMA",
        "USER",
        "ROLE",
        "SERVER",
        "TABLESPACE",
        "LOGFILE",
    ];
    let mut said = meaningful(statement).skip(1);
    let what = said
        .by_ref()
        .take(24)
        .find_map(|token| OBJECTS.iter().find(|object| is(&token, object)).copied());
    let conditional = |token: &Token<'_>| {
        ["IF", "NOT", "EXISTS", "IGNORE", "NOWAIT"]
            .iter()
            .any(|word| is(token, word))
    };
    let mut said = said.skip_while(conditional);
    match what {
        Some("DATABASE" | "SCHEMA") => match said.next().and_then(|token| named(&token)) {
            Some(name) => Plan::Database {
                name,
                alter: verb == "ALTER",
            },
            None => refused(&format!("{verb} DATABASE")),
        },
        Some("TABLE") => table(statement, said.next(), said.next()),
        Some("EVENT" | "USER") if verb == "ALTER" => {
            refused(&format!("{verb} {}", what.unwrap_or("")))
        }
        Some("FUNCTION") if meaningful(statement).any(|token| is(&token, "SONAME")) => {
            refused("CREATE FUNCTION … SONAME")
        }
        Some(
            "VIEW" | "TRIGGER" | "PROCEDURE" | "FUNCTION" | "EVENT" | "SEQUENCE" | "INDEX"
            | "PACKAGE",
        ) => unless_it_writes_files(statement, Plan::Alone),
        other => refused(&format!("{verb} {}", other.unwrap_or("of this kind"))),
    }
}

fn table(statement: &[u8], name: Option<Token<'_>>, next: Option<Token<'_>>) -> Plan {
    let alone = meaningful(statement).any(|token| {
        ["SELECT", "LIKE", "RENAME", "EXCHANGE", "UNION"]
            .iter()
            .any(|word| is(&token, word))
    });
    for token in meaningful(statement) {
        if is(&token, "DIRECTORY") {
            return Plan::Refused("a table in another directory is not made here".to_owned());
        }
    }
    unless_it_writes_files(
        statement,
        if alone {
            Plan::Alone
        } else {
            of_table(name, next, false)
        },
    )
}

fn of_table(name: Option<Token<'_>>, next: Option<Token<'_>>, rows: bool) -> Plan {
    if next.is_some_and(|next| next.is_sign(b'.') || next.is_sign(b',')) {
        return Plan::Alone;
    }
    match name.and_then(|name| named(&name)) {
        Some(table) => Plan::Table { table, rows },
        None => Plan::Alone,
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, plan};

    #[test]
    fn what_a_dump_does_is_planned() {
        let table = |rows| Plan::Table {
            table: "t".to_owned(),
            rows,
        };
        let database = |name: &str| Plan::Database {
            name: name.to_owned(),
            alter: false,
        };
        for (statement, expected) in [
            ("INSERT INTO `t` VALUES (1,'x')", table(true)),
            ("REPLACE INTO t (a, `b`) VALUES (1,2)", table(true)),
            ("INSERT INTO t SELECT * FROM u", Plan::Alone),
            ("CREATE TABLE IF NOT EXISTS `t` (a int)", table(false)),
            ("/*!40000 ALTER TABLE `t` DISABLE KEYS */", table(false)),
            ("CREATE TABLE t LIKE u", Plan::Alone),
            ("DROP TABLE IF EXISTS `t`", table(false)),
            ("DROP TABLE a, t", Plan::Alone),
            ("USE `shop`", database("shop")),
            (
                "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8 */",
                database("shop"),
            ),
            ("LOCK TABLES `t` WRITE", Plan::Skip),
            (
                "/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */",
                Plan::Everywhere { foreign_keys: true },
            ),
            (
                "SET @global = 1, sql_mode = 'ANSI'",
                Plan::Everywhere {
                    foreign_keys: false,
                },
            ),
            (
                "SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN",
                Plan::Everywhere {
                    foreign_keys: false,
                },
            ),
        ] {
            assert_eq!(plan(statement.as_bytes()), expected, "{statement}");
        }
        for left_out in [
            "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ ''",
            "SET @@SESSION.SQL_LOG_BIN= 0",
        ] {
            let plan = plan(left_out.as_bytes());
            assert!(matches!(plan, Plan::LeaveOut(_)), "{left_out}: {plan:?}");
        }
    }

    #[test]
    fn what_a_dump_may_not_do_is_refused() {
        for statement in [
            "DROP USER root@localhost",
            "/*!50000 CREATE USER x */",
            "GRANT ALL ON *.* TO x",
            "SET GLOBAL general_log = 1",
            "SET @a = 1, @@global.x = 1",
            "SET PASSWORD = PASSWORD('x')",
            "SET NAMES gbk",
            "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
            "SHUTDOWN",
            "INSTALL PLUGIN x SONAME 'x.so'",
            "CREATE FUNCTION f RETURNS INTEGER SONAME 'x.so'",
            "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "SELECT 1 INTO /* x */ DUMPFILE '/tmp/x'",
            "PREPARE s FROM 'DROP USER x'",
            "EXECUTE IMMEDIATE 'DROP USER x'",
            "CALL p()",
            "KILL 1",
            "CHANGE MASTER TO MASTER_HOST = 'x'",
            "ALTER USER CURRENT_USER() IDENTIFIED BY 'x'",
            "ALTER EVENT e ENABLE",
            "CREATE TABLE t (a int) DATA DIRECTORY '/tmp'",
            "source /etc/passwd",
            "system id",
        ] {
            let plan = plan(statement.as_bytes());
            assert!(matches!(plan, Plan::Refused(_)), "{statement}: {plan:?}");
        }
    }
}
