//! A database with one of everything, and what there is to see of it.

use crate::mariadb::Mariadb;

/// Statements that fill a database with every kind of object.
pub(crate) const EVERYTHING: &str = r#"
SET NAMES utf8mb4, time_zone = '+03:00', sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO';
CREATE SEQUENCE numbers START WITH 100 INCREMENT BY 7 CACHE 10 CYCLE MAXVALUE 900;
SELECT NEXTVAL(numbers);
CREATE TABLE orte (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(50) NOT NULL UNIQUE) AUTO_INCREMENT = 500;
INSERT INTO orte VALUES (0, 'null'), (1, 'Zürich'), (2, 'naïve 🚡 東京');
CREATE TABLE kinds (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  ort INT, small TINYINT ZEROFILL, amount DECIMAL(20,6), f FLOAT, f2 FLOAT(7,3), d DOUBLE, b BIT(13), flag BIT(1),
  at TIMESTAMP(6) NULL, day DATE, moment DATETIME(3), t TIME(2), y YEAR,
  words TEXT, latin VARCHAR(100) CHARACTER SET latin1, wide VARCHAR(40) CHARACTER SET utf16, two CHAR(10) CHARACTER SET ucs2,
  raw LONGBLOB, fixed BINARY(8), vb VARBINARY(30), choice ENUM('a','b''c','ü'), many SET('x','y','z'),
  place POINT, area GEOMETRY, doc JSON, ip INET6, four INET4, u UUID,
  doubled BIGINT AS (small * 2) VIRTUAL, stored VARCHAR(120) AS (CONCAT(words, '!')) STORED,
  hidden INT INVISIBLE DEFAULT 7, number BIGINT DEFAULT NEXTVAL(numbers), packed TEXT COMPRESSED,
  KEY doubled (doubled), KEY words (words(20)), FULLTEXT KEY search (words),
  CONSTRAINT ort FOREIGN KEY (ort) REFERENCES orte (id) ON DELETE SET NULL,
  CONSTRAINT positive CHECK (amount >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='it''s `all`';
INSERT INTO kinds (ort, small, amount, f, f2, d, b, flag, at, day, moment, t, y, words, latin, wide, two, raw, fixed, vb, choice, many, place, area, doc, ip, four, u, hidden, packed) VALUES
 (1, 5, 12345678901234.567891, 16777217, 1234.567, 0.1, b'1010101010101', b'1', '2024-03-31 02:30:00.123456', '0000-00-00', '2024-02-31 00:00:00.5', '-838:59:59.00', 2024,
  'tab\tnew\nline\\back\0nul 🚡', 'café', 'wíde 🚡', 'zwei', 0x0001020304090A0D1A5C27FF00, 0x00FF, 0x5C4E, 'b''c', 'x,z',
  POINT(1.5, -2.25), ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'), '{"a": "b\\n"}', '2001:db8::ff00:1', '10.0.0.1', '123e4567-e89b-12d3-a456-426614174000', 3, REPEAT('p', 500)),
 (NULL, NULL, NULL, 3.4e38, NULL, 2.2250738585072014e-308, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  '\\N', '', '', '', '', '', '', NULL, '', NULL, NULL, NULL, '::', NULL, NULL, NULL, ''),
 (2, 1, 0, -0.0000001, 0, -1e300, b'0', b'0', '1970-01-01 03:00:01', '2024-12-31', '0000-00-00 00:00:00', '00:00:00', 1901,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'ü', 'y', NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL);
CREATE TABLE nokey (a INT, b TEXT) ENGINE=InnoDB ROW_FORMAT=COMPRESSED;
INSERT INTO nokey VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
CREATE TABLE `über ``table``` (`spalte ä` INT, `b``c` INT, PRIMARY KEY (`spalte ä`));
INSERT INTO `über ``table``` VALUES (1, 2);
CREATE TABLE parts (id INT NOT NULL, day DATE NOT NULL, PRIMARY KEY (id, day))
 PARTITION BY RANGE (YEAR(day)) (PARTITION p0 VALUES LESS THAN (2020), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, '2019-01-01'), (2, '2024-01-01');
CREATE TABLE my (id INT PRIMARY KEY, t TEXT, FULLTEXT KEY (t)) ENGINE=MyISAM;
INSERT INTO my VALUES (1, 'some words'), (2, 'others');
CREATE TABLE ar (id INT PRIMARY KEY, t TEXT) ENGINE=Aria TRANSACTIONAL=0;
INSERT INTO ar VALUES (1, 'aria');
CREATE TABLE versions (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING;
INSERT INTO versions VALUES (1, 1);
UPDATE versions SET v = 2;
CREATE TABLE latin (id INT PRIMARY KEY, t VARCHAR(50)) DEFAULT CHARSET=latin1;
INSERT INTO latin VALUES (1, 'Ärger'), (2, 'ÿ€');
CREATE TABLE empty_one (id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 77;
CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(100));
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2;
CREATE VIEW z_view AS SELECT id, name FROM orte WHERE name <> 'it''s; DEFINER=`x`@`y`';
CREATE OR REPLACE SQL SECURITY INVOKER VIEW a_view AS SELECT z.id, twice(z.id) AS t FROM z_view z;
DELIMITER //
CREATE PROCEDURE note(IN what VARCHAR(100))
 COMMENT 'it;s'
BEGIN
  -- a comment; with a semicolon
  INSERT INTO log (what) VALUES (CONCAT(what, ';', "x"));
END //
CREATE TRIGGER orte_second AFTER INSERT ON orte FOR EACH ROW CALL note(CONCAT('b', NEW.name)) //
CREATE TRIGGER orte_first AFTER INSERT ON orte FOR EACH ROW PRECEDES orte_second BEGIN CALL note(NEW.name); END //
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ON COMPLETION PRESERVE ENABLE COMMENT 'enable' DO BEGIN CALL note('event'); END //
DELIMITER ;
"#;

/// Fills a database with [`EVERYTHING`].
pub(crate) fn fill(server: &Mariadb, database: &str) {
    server.sql_in(database, EVERYTHING);
}

/// All there is to see of a database: how everything in it is made, and its rows.
pub(crate) fn seen(server: &Mariadb, database: &str) -> Vec<String> {
    let sql = |sql: &str| server.sql_in(database, sql);
    let names =
        |sql_text: &str| -> Vec<String> { sql(sql_text).lines().map(str::to_owned).collect() };
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let mut seen = Vec::new();
    seen.push(sql("SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE()"));
    for name in names(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1",
    ) {
        let table = quoted(&name);
        seen.push(sql(&format!("SHOW CREATE TABLE {table}")));
        let columns = names(&format!(
            "SELECT GROUP_CONCAT(CONCAT('HEX(`', REPLACE(COLUMN_NAME, '`', '``'), '`)') ORDER BY ORDINAL_POSITION SEPARATOR ', ') \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{}'",
            name.replace('\'', "''")
        ));
        let rows = sql(&format!(
            "SET time_zone = '+00:00'; SELECT {} FROM {table}",
            columns[0]
        ));
        let mut rows: Vec<_> = rows.lines().collect();
        rows.sort_unstable();
        seen.push(format!("{name}: {rows:?}"));
        if ["kinds"].contains(&name.as_str()) {
            // Hexadecimal digits of a number are those of its whole part.
            seen.push(sql("SELECT id, amount, CAST(f AS DOUBLE), CAST(f2 AS DOUBLE), d, at, moment, t FROM kinds ORDER BY id"));
        }
    }
    for (kind, list) in [
        (
            "VIEW",
            "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1",
        ),
        (
            "TRIGGER",
            "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1",
        ),
        (
            "PROCEDURE",
            "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_TYPE = 'PROCEDURE' ORDER BY 1",
        ),
        (
            "FUNCTION",
            "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_TYPE = 'FUNCTION' ORDER BY 1",
        ),
        (
            "EVENT",
            "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY 1",
        ),
        (
            "SEQUENCE",
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'SEQUENCE' ORDER BY 1",
        ),
    ] {
        for name in names(list) {
            let made = sql(&format!("SHOW CREATE {kind} {}", quoted(&name)));
            seen.push(made);
        }
    }
    seen.push(sql("SELECT TRIGGER_NAME, ACTION_ORDER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1"));
    seen.push(sql("SELECT next_not_cached_value FROM numbers"));
    seen.push(sql("SELECT * FROM a_view ORDER BY 1"));
    seen
}

/// What is the same in a database and its copy: without the names of the two, and of when it was made.
pub(crate) fn comparable(seen: Vec<String>, database: &str) -> Vec<String> {
    seen.into_iter()
        .map(|text| {
            let mut text = text.replace(&format!("`{database}`"), "`db`");
            while let Some(at) = text.find("DEFINER=`") {
                let rest = &text[at..];
                let end = rest
                    .match_indices('`')
                    .nth(3)
                    .map_or(rest.len(), |(end, _)| end + 1);
                text.replace_range(at..at + end, "DEFINER");
            }
            // The last column of a trigger is the moment it was made.
            match text.rsplit_once('\t') {
                Some((head, time)) if time.starts_with("20") && time.contains(':') => {
                    head.to_owned()
                }
                _ => text.replace(" DISABLE ", " ENABLE "),
            }
        })
        .collect()
}
