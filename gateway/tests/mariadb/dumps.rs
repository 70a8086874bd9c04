//! Dumps of strangers: what may not be done is refused with its line, and nothing of it happens;
//! what is cut off is never taken for whole.

use funicular::database::{Form, Trouble};

use crate::mariadb::Mariadb;
use crate::{copying, exported, import, made, name, over_socket, over_tcp, refused, shop};

#[test]
fn hostile_dumps_are_refused_and_harmless() {
    let server = Mariadb::start();
    let reached = over_tcp(&server);
    let other = made(&reached);
    other
        .query("CREATE TABLE kept (id INT PRIMARY KEY)")
        .unwrap();
    other.query("INSERT INTO kept VALUES (1)").unwrap();
    let other = name(&other).to_owned();
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let mark = mark.to_str().unwrap();
    let users = "SELECT User, Host, Password, authentication_string FROM mysql.user WHERE User NOT LIKE 'f\\_%' ORDER BY 1, 2";
    let before = server.sql(users);
    let hostile = [
        (format!("\\! touch {mark}"), "order to a client"),
        (format!("\\! touch {mark}\n;"), "order to a client"),
        (format!("SELECT 1\\! touch {mark}\n;"), "order to a client"),
        ("\\. /etc/passwd".to_owned(), "order to a client"),
        (format!("system touch {mark};"), "SYSTEM"),
        ("source /etc/passwd;".to_owned(), "SOURCE"),
        (
            format!("DELIMITER //\n\\! touch {mark}\n//"),
            "order to a client",
        ),
        (format!("DROP USER '{other}'@'%';"), "DROP USER"),
        (
            "/*!50003 DROP USER root@localhost */;".to_owned(),
            "DROP USER",
        ),
        ("CREATE USER evil;".to_owned(), "CREATE USER"),
        ("GRANT ALL ON *.* TO evil;".to_owned(), "GRANT"),
        (
            "LOAD DATA INFILE '/etc/passwd' INTO TABLE t;".to_owned(),
            "LOAD DATA",
        ),
        (
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;".to_owned(),
            "LOAD DATA",
        ),
        (format!("SELECT 'x' INTO OUTFILE '{mark}';"), "INTO OUTFILE"),
        (
            format!("SELECT 'x' INTO/**/DUMPFILE '{mark}';"),
            "INTO OUTFILE",
        ),
        ("SET GLOBAL event_scheduler = 1;".to_owned(), "SET GLOBAL"),
        (
            "SET @a = 1, @@GLOBAL.event_scheduler = 1;".to_owned(),
            "SET GLOBAL",
        ),
        ("SET PASSWORD = PASSWORD('x');".to_owned(), "SET PASSWORD"),
        ("SHUTDOWN;".to_owned(), "SHUTDOWN"),
        ("/*!999999 SELECT */ SHUTDOWN;".to_owned(), "SHUTDOWN"),
        (
            "INSTALL PLUGIN x SONAME 'x.so';".to_owned(),
            "INSTALL PLUGIN",
        ),
        (
            "CREATE FUNCTION f RETURNS INTEGER SONAME 'x.so';".to_owned(),
            "SONAME",
        ),
        ("PREPARE s FROM 'DROP TABLE t';".to_owned(), "PREPARE"),
        ("EXECUTE IMMEDIATE 'SHUTDOWN';".to_owned(), "EXECUTE"),
        ("CALL p();".to_owned(), "CALL"),
        (
            format!("USE `{other}`; CREATE DATABASE third;"),
            "names another one",
        ),
        (format!("USE one; USE {other};"), "names another one"),
        (
            format!("DROP DATABASE one; DROP DATABASE {other};"),
            "names another one",
        ),
        (format!("INSERT INTO {other}.kept VALUES (2);"), "denied"),
        (format!("DROP TABLE {other}.kept;"), "denied"),
        (format!("CREATE TABLE {other}.t (a INT);"), "denied"),
        (
            format!("CREATE VIEW v AS SELECT * FROM {other}.kept;"),
            "denied",
        ),
        (format!("RENAME TABLE t TO {other}.t;"), "denied"),
        (
            format!("/*!999999 SELECT */ DROP TABLE {other}.kept;"),
            "denied",
        ),
        (
            format!("/*!999999 SELECT */ DROP USER '{other}'@'%';"),
            "denied",
        ),
        (
            format!("/*!999999 USE x */ DROP DATABASE `{other}`;"),
            "USE",
        ),
        ("SET NAMES sjis;".to_owned(), "utf8mb4"),
        (
            "CREATE TABLE u (a INT) DATA DIRECTORY = '/tmp';".to_owned(),
            "another directory",
        ),
        ("HANDLER t OPEN;".to_owned(), "HANDLER"),
        ("KILL 1;".to_owned(), "KILL"),
    ];
    for (statement, why) in hostile {
        let target = made(&reached);
        let dump = format!("-- a dump\nCREATE TABLE t (a INT);\n{statement}\n");
        let words = refused(import(&target, dump.as_bytes()));
        assert!(words.contains(why), "{statement}: {words}");
        assert!(
            words.contains("line 3") || words.contains("line 4"),
            "{statement}: {words}"
        );
        target.remove().unwrap();
    }
    assert!(!std::path::Path::new(mark).exists());
    assert_eq!(server.sql(users), before);
    assert_eq!(server.sql(&format!("SELECT * FROM {other}.kept")), "1");
    assert_eq!(server.sql("SHOW DATABASES LIKE 'third'"), "");
}

#[test]
fn a_dump_cannot_change_its_users_password() {
    let server = Mariadb::start();
    let target = made(&over_tcp(&server));
    // The server reads another statement than the one that stands first.
    let dump = "/*!999999 SELECT */ SET PASSWORD = PASSWORD('x');\nCREATE TABLE t (a INT);\n";
    import(&target, dump.as_bytes()).unwrap();
    assert_eq!(target.tables().unwrap().len(), 1);
}

#[test]
fn a_dump_that_is_cut_off_is_never_taken_for_whole() {
    let server = Mariadb::start();
    let reached = over_socket(&server);
    let source = made(&reached);
    shop::fill(&server, name(&source));
    let mut theirs = server.client("mariadb-dump", &["--routines", "--events", name(&source)]);
    for (whole, step) in [
        (exported(&source), 997),
        (theirs.output().unwrap().stdout, 1499),
    ] {
        let last_line = b"-- Dump completed";
        let end = whole
            .windows(last_line.len())
            .rposition(|line| line == last_line)
            .unwrap();
        // The last line may lack its end; before that, nothing may be missing.
        let cuts = (1..end)
            .step_by(step)
            .chain([end - 1, end, end + 1, end + 16]);
        for cut in cuts {
            let target = made(&reached);
            let result = import(&target, &whole[..cut]);
            let words = refused(result);
            let known = ["cut off", "line", "holds nothing"]
                .iter()
                .any(|word| words.contains(word));
            assert!(known, "{cut}: {words}");
            target.remove().unwrap();
        }
        let target = made(&reached);
        import(&target, &whole[..end + last_line.len()]).unwrap();
    }
}

#[test]
fn what_has_no_last_line_still_ends_with_a_whole_statement() {
    let server = Mariadb::start();
    let reached = over_socket(&server);
    for (dump, line) in [
        ("", "holds nothing"),
        ("-- only a comment\n", "holds nothing"),
        (
            "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1),\n(2)",
            "at line 3",
        ),
        (
            "CREATE TABLE t (a INT);\nINSERT INTO t VALUES ('x",
            "in the middle of a text",
        ),
        (
            "CREATE TABLE t (a INT);\n/* x",
            "in the middle of a comment",
        ),
        (
            "CREATE TABLE t (a INT);\n/*!40101 SET NAMES utf8",
            "begins at line 2",
        ),
        (
            "CREATE TABLE t (a INT);\nDELIMITER ;;\nCREATE PROCEDURE p() BEGIN SELECT 1; END;",
            "begins at line 3",
        ),
        (
            "/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\nCREATE TABLE t (a INT);\n",
            "cut off",
        ),
        ("START TRANSACTION;\nCREATE TABLE t (a INT);\n", "cut off"),
    ] {
        let words = refused(import(&made(&reached), dump.as_bytes()));
        assert!(words.contains(line), "{dump}: {words}");
    }
    let wrong = "CREATE TABLE t (a INT);\n\nINSERT INTO t\nVALUES (1),\n  (2 3);\n";
    let words = refused(import(&made(&reached), wrong.as_bytes()));
    assert!(
        words.starts_with("line 5: ") && words.contains("near '3)'"),
        "{words}"
    );
    let result = made(&reached).import(
        &mut [0_u8; 4].as_slice(),
        Form::SqliteFile,
        &copying(&[], None),
    );
    assert!(matches!(result, Err(Trouble::Refused(_))));
}

#[test]
fn dumps_of_other_programs_are_read() {
    let server = Mariadb::start();
    let reached = over_tcp(&server);
    let long = "x".repeat(5 << 20);
    let blob: Vec<u8> = (0..=255_u8).collect();
    let mut binary = b"CREATE TABLE b (v LONGBLOB);\nINSERT INTO b VALUES (_binary '".to_vec();
    for byte in blob.iter().copied() {
        match byte {
            b'\'' | b'\\' => binary.extend([b'\\', byte]),
            0 => binary.extend(b"\\0"),
            other => binary.push(other),
        }
    }
    binary.extend(b"');\n");
    for (what, dump, query, expected) in [
        (
            "phpMyAdmin",
            b"\xef\xbb\xbf-- phpMyAdmin SQL Dump\r\n--\r\n-- Database: `shop`\r\n--\r\nSET SQL_MODE = \"NO_AUTO_VALUE_ON_ZERO\";\r\nSTART TRANSACTION;\r\n\
SET time_zone = \"+00:00\";\r\n/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\r\n/*!40101 SET NAMES utf8mb4 */;\r\n\
CREATE DATABASE IF NOT EXISTS `shop` DEFAULT CHARACTER SET utf8mb4;\r\nUSE `shop`;\r\nDELIMITER $$\r\n\
CREATE DEFINER=`root`@`localhost` PROCEDURE `p` ()   BEGIN SELECT 1; END$$\r\nDELIMITER ;\r\n\
CREATE TABLE `t` (\r\n  `a` int NOT NULL,\r\n  `b` text\r\n) ENGINE=InnoDB;\r\nINSERT INTO `t` (`a`, `b`) VALUES\r\n(1, 'a;\\'\\r\\n'),\r\n(2, 'b''');\r\n\
ALTER TABLE `t`\r\n  ADD PRIMARY KEY (`a`);\r\nALTER TABLE `shop`.`t` ADD c INT;\r\nCOMMIT;\r\n/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;\r\n".to_vec(),
            "SELECT GROUP_CONCAT(HEX(b) ORDER BY a) FROM t",
            "613B270D0A,6227",
        ),
        (
            "HeidiSQL",
            b"/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\n/*!50503 SET NAMES utf8mb4 */;\n\
CREATE TABLE IF NOT EXISTS `t` (`a` int(11) NOT NULL) ENGINE=InnoDB;\n/*!40000 ALTER TABLE `t` DISABLE KEYS */;\nREPLACE INTO `t` (`a`) VALUES\n\t(1),\n\t(2);\n\
/*!40000 ALTER TABLE `t` ENABLE KEYS */;\nSET @OLDTMP_SQL_MODE=@@SQL_MODE, SQL_MODE='STRICT_TRANS_TABLES';\nDELIMITER //\n\
CREATE TRIGGER `tr` BEFORE INSERT ON `t` FOR EACH ROW BEGIN SET NEW.a = 1; END//\nDELIMITER ;\nSET SQL_MODE=@OLDTMP_SQL_MODE;\n\
/*!40101 SET CHARACTER_SET_CLIENT=IFNULL(@OLD_CHARACTER_SET_CLIENT, '') */;\n".to_vec(),
            "SELECT COUNT(*) FROM t",
            "2",
        ),
        (
            "a dump of MySQL that replicates",
            b"-- MySQL dump 10.13\nSET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;\nSET @@SESSION.SQL_LOG_BIN= 0;\nSET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'x:1-2';\n\
CREATE TABLE t (a INT);\nLOCK TABLES `t` WRITE;\nINSERT INTO t VALUES (1);\nUNLOCK TABLES;\nSET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;\n-- Dump completed on 2024-01-01\n".to_vec(),
            "SELECT COUNT(*) FROM t",
            "1",
        ),
        (
            "new dumps of MariaDB",
            b"/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\nCREATE TABLE t (a INT);\nset autocommit=0;\nINSERT INTO t VALUES (1);\ncommit;\n-- Dump completed\n".to_vec(),
            "SELECT COUNT(*) FROM t",
            "1",
        ),
        (
            "old dumps of MariaDB in the sandbox",
            b"/*!999999\\- enable the sandbox mode */ \nCREATE TABLE t (a INT); -- x\n# y ; \nINSERT INTO t VALUES (1)/* ; */;;\n".to_vec(),
            "SELECT COUNT(*) FROM t",
            "1",
        ),
        (
            "long statements",
            format!("CREATE TABLE t (a LONGTEXT);\nINSERT INTO t VALUES ('{long}');\n").into_bytes(),
            "SELECT LENGTH(a) FROM t",
            "5242880",
        ),
        ("bytes", binary, "SELECT LOWER(HEX(v)) FROM b", &*blob.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        (
            "latin1",
            b"SET NAMES latin1;\nCREATE TABLE t (a VARCHAR(9)) CHARSET latin1;\nINSERT INTO t VALUES ('caf\xe9');\n".to_vec(),
            "SELECT HEX(a) FROM t",
            "636166E9",
        ),
    ] {
        let target = made(&reached);
        let filled = import(&target, &dump).unwrap_or_else(|trouble| panic!("{what}: {trouble:?}"));
        assert_eq!(target.query(query).unwrap(), [expected], "{what}");
        assert_eq!(filled.bytes, dump.len() as u64, "{what}");
    }
    let too_long = format!(
        "CREATE TABLE t (a LONGTEXT);\nINSERT INTO t VALUES ('{}');\n",
        "x".repeat(17 << 20)
    );
    let words = refused(import(&made(&reached), too_long.as_bytes()));
    assert!(
        words.contains("line 2") && words.contains("max_allowed_packet"),
        "{words}"
    );
}
