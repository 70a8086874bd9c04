//! Databases of WordPress and Drupal, as SQLite in memory; what only MariaDB and PostgreSQL can be asked has
//! set answers here, and is asked of the real ones in tests/suite.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{Folder, Score, is};
use crate::database::{Engine, Table};
use crate::fault::{Fault, OrFault};
use crate::site::status::data::{self, Ask, Data};
use crate::site::status::wordpress_data::{Around, oldest_event};
use crate::site::status::{Check, drupal_data, wordpress_data};

/// SQLite that says it is another engine, or is away.
struct Fake {
    engine: Engine,
    connection: Connection,
    away: bool,
    tables: Vec<Table>,
    /// Answers to queries that hold these words.
    said: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Fake {
    fn new(engine: Engine, sql: &str) -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let tables = {
            let mut statement = connection
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
                .unwrap();
            let names = statement
                .query_map([], |row| row.get::<_, String>(0))
                .unwrap();
            names
                .map(|name| Table {
                    name: name.unwrap(),
                    engine: (engine == Engine::Mariadb).then(|| "InnoDB".to_owned()),
                    rows: 1,
                    bytes: 1024,
                })
                .collect()
        };
        Self {
            engine,
            connection,
            away: false,
            tables,
            said: BTreeMap::new(),
        }
    }

    fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }

    fn change(&mut self, table: &str, change: impl FnOnce(&mut Table)) {
        change(
            self.tables
                .iter_mut()
                .find(|one| one.name == table)
                .unwrap(),
        );
    }
}

impl Ask for Fake {
    fn engine(&self) -> Engine {
        self.engine
    }

    fn tables(&self) -> Result<Vec<Table>, Fault> {
        if self.away {
            return Err(Fault::new("asking the server"));
        }
        Ok(self.tables.clone())
    }

    fn query(&self, sql: &str) -> Result<Vec<String>, Fault> {
        if let Some((_, rows)) = self.said.iter().find(|(words, _)| sql.contains(**words)) {
            return Ok(rows.iter().map(|row| (*row).to_owned()).collect());
        }
        let doing = || "asking";
        let mut statement = self.connection.prepare(sql).or_fault(doing)?;
        let rows = statement
            .query_map([], |row| {
                let value: rusqlite::types::Value = row.get(0)?;
                Ok(match value {
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                })
            })
            .or_fault(doing)?;
        rows.collect::<Result<_, _>>().or_fault(doing)
    }
}

#[track_caller]
fn find<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks
        .iter()
        .find(|check| check.check == name)
        .unwrap_or_else(|| panic!("no check {name} in {checks:?}"))
}

fn looked(fake: &Fake) -> Vec<Check> {
    let mut checks = Vec::new();
    let _ = data::look(fake, &mut checks);
    checks
}

#[test]
fn engines_are_asked_for_their_health() {
    let mut fake = Fake::new(Engine::Sqlite, "");
    is(find(&looked(&fake), "database"), Score::Warning, "empty");
    fake = Fake::new(Engine::Sqlite, "CREATE TABLE a (id INTEGER);");
    is(find(&looked(&fake), "database"), Score::Ok, "1 table(s)");
    is(find(&looked(&fake), "integrity"), Score::Ok, "whole");
    fake.said
        .insert("quick_check", vec!["row 1 missing from index x"]);
    is(
        find(&looked(&fake), "integrity"),
        Score::Failure,
        "row 1 missing",
    );
    fake.away = true;
    is(
        find(&looked(&fake), "database"),
        Score::Failure,
        "cannot be reached",
    );

    let mut fake = Fake::new(
        Engine::Mariadb,
        "CREATE TABLE a (id INTEGER); CREATE TABLE b (id INTEGER);",
    );
    fake.said
        .insert("table_collation", vec!["utf8mb4_unicode_ci"]);
    fake.said.insert("index_name = 'PRIMARY'", vec![]);
    let checks = looked(&fake);
    for name in ["database", "storage-engine", "collations", "primary-keys"] {
        assert_eq!(find(&checks, name).score, Score::Ok, "{checks:?}");
    }
    fake.change("b", |table| table.engine = Some("MyISAM".to_owned()));
    fake.said.insert(
        "table_collation",
        vec!["utf8mb4_unicode_ci", "utf8mb4_general_ci"],
    );
    fake.said.insert("index_name = 'PRIMARY'", vec!["b"]);
    let checks = looked(&fake);
    is(
        find(&checks, "storage-engine"),
        Score::Failure,
        "b (MyISAM)",
    );
    is(
        find(&checks, "collations"),
        Score::Warning,
        "different ways",
    );
    is(find(&checks, "primary-keys"), Score::Warning, ": b.");
    fake.said.insert(
        "table_collation",
        vec!["latin1_swedish_ci", "utf8mb4_general_ci"],
    );
    is(
        find(&looked(&fake), "collations"),
        Score::Warning,
        "latin1_swedish_ci",
    );

    let mut fake = Fake::new(Engine::Postgresql, "CREATE TABLE a (id INTEGER);");
    fake.said.insert("indisprimary", vec![]);
    fake.said.insert("indisvalid", vec![]);
    is(find(&looked(&fake), "indexes"), Score::Ok, "whole");
    fake.said.insert("indisvalid", vec!["a_idx"]);
    is(find(&looked(&fake), "indexes"), Score::Failure, "a_idx");
}

const WORDPRESS: &str = "
    CREATE TABLE wp_posts (id); CREATE TABLE wp_users (id); CREATE TABLE wp_woocommerce_sessions (id);
    CREATE TABLE wp_options (option_name TEXT, option_value TEXT, autoload TEXT);
    INSERT INTO wp_options VALUES ('home', 'https://www.example.org', 'yes'), ('siteurl', 'https://www.example.org/wp', 'on'),
        ('active_plugins', 'a:1:{i:0;s:19:\"akismet/akismet.php\";}', 'yes'),
        ('cron', 'a:3:{i:2000000000;a:1:{s:16:\"wp_version_check\";a:1:{s:32:\"40cd750bba9870f18aada2478b24840a\";a:3:{s:8:\"schedule\";s:10:\"twicedaily\";s:4:\"args\";a:0:{}s:8:\"interval\";i:43200;}}}i:2000000100;a:1:{s:1:\"x\";a:0:{}}s:7:\"version\";i:2;}', 'yes');
";

fn around(url: Option<&str>) -> Around<'_> {
    Around {
        url,
        live_url: None,
        config: None,
        now: 2_000_000_000,
    }
}

fn wordpress(fake: &Fake, around: &Around<'_>) -> Vec<Check> {
    let data = Data::of(fake).unwrap();
    let mut checks = Vec::new();
    wordpress_data::look(Some(&data), around, None, &mut checks);
    checks
}

#[test]
fn each_check_of_wordpress_flips() {
    let mut fake = Fake::new(Engine::Sqlite, WORDPRESS);
    let here = around(Some("https://www.example.org"));
    let checks = wordpress(&fake, &here);
    assert!(
        checks.iter().all(|check| check.score == Score::Ok),
        "{checks:?}"
    );

    fake.run("INSERT INTO wp_options VALUES ('big', zeroblob(0) || printf('%.900000c', 'x'), 'auto'), ('off', printf('%.9000000c', 'x'), 'off');");
    is(
        find(&wordpress(&fake, &here), "wp-autoload"),
        Score::Warning,
        "big (878.9 KB)",
    );
    fake.run("INSERT INTO wp_options VALUES ('more', printf('%.200000c', 'x'), 'yes');");
    is(
        find(&wordpress(&fake, &here), "wp-autoload"),
        Score::Failure,
        "more (",
    );
    fake.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1200)
        INSERT INTO wp_options SELECT CASE i % 2 WHEN 0 THEN '_transient_' ELSE '_site_transient_' END || i, '', 'no' FROM n;");
    is(
        find(&wordpress(&fake, &here), "wp-transients"),
        Score::Warning,
        "1200",
    );
    fake.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000)
        INSERT INTO wp_options SELECT 'xtransient_' || i, '', 'no' FROM n;",
    );
    is(
        find(&wordpress(&fake, &here), "wp-transients"),
        Score::Warning,
        "1200",
    );
    is(
        find(&wordpress(&fake, &here), "wp-options"),
        Score::Warning,
        "11207 option(s)",
    );
    fake.change("wp_woocommerce_sessions", |table| table.rows = 60_000);
    is(
        find(&wordpress(&fake, &here), "wp-sessions"),
        Score::Warning,
        "60000",
    );

    let late = Around {
        now: 2_000_000_000 + 30 * 3600,
        ..around(None)
    };
    is(
        find(&wordpress(&fake, &late), "wp-cron"),
        Score::Warning,
        "overdue for 30 hour(s); cron is to be run by visits",
    );
    let by_system = Around {
        config: Some("define('DISABLE_WP_CRON', true);".to_owned()),
        ..late
    };
    is(
        find(&wordpress(&fake, &by_system), "wp-cron"),
        Score::Warning,
        "by the system",
    );

    let elsewhere = around(Some("https://dev.example.org"));
    is(
        find(&wordpress(&fake, &elsewhere), "wp-address"),
        Score::Failure,
        "dev.example.org, and its options say https://www.example.org",
    );
    let forced = Around {
        config: Some("define('WP_HOME', 1); define('WP_SITEURL', 1);".to_owned()),
        ..around(Some("https://dev.example.org"))
    };
    is(
        find(&wordpress(&fake, &forced), "wp-address"),
        Score::Ok,
        "wp-config.php",
    );
    let copy = Around {
        live_url: Some("https://www.example.org"),
        ..around(None)
    };
    is(
        find(&wordpress(&fake, &copy), "wp-address"),
        Score::Warning,
        "lead to Live",
    );
    is(
        find(&wordpress(&fake, &around(None)), "wp-address"),
        Score::Skipped,
        "No address is set",
    );
}

#[test]
fn plugins_that_are_active_and_missing_are_told() {
    let fake = Fake::new(Engine::Sqlite, WORDPRESS);
    let data = Data::of(&fake).unwrap();
    let look = |code: &Folder| {
        let tree = code.tree();
        let mut checks = Vec::new();
        wordpress_data::look(Some(&data), &around(None), Some((&tree, "")), &mut checks);
        find(&checks, "wp-active-plugins").clone()
    };
    let with = Folder::with(&[(
        "wp-content/plugins/akismet/akismet.php",
        "<?php\n/* Plugin Name: Akismet */",
    )]);
    is(&look(&with), Score::Ok, "1 plugin(s)");
    is(
        &look(&Folder::with(&[("index.php", "")])),
        Score::Failure,
        "akismet/akismet.php",
    );
}

#[test]
fn the_index_on_autoload_is_asked_for() {
    let mut fake = Fake::new(Engine::Mariadb, WORDPRESS);
    fake.said
        .insert("column_name = 'autoload'", vec!["autoload"]);
    // SQLite knows CONCAT from 3.44 on, and nothing else here is MariaDB's own.
    is(
        find(&wordpress(&fake, &around(None)), "wp-autoload-index"),
        Score::Ok,
        "by an index",
    );
    fake.said.insert("column_name = 'autoload'", vec![]);
    is(
        find(&wordpress(&fake, &around(None)), "wp-autoload-index"),
        Score::Warning,
        "wp_options has no index",
    );
}

#[test]
fn another_database_is_not_taken_for_wordpress() {
    let fake = Fake::new(
        Engine::Sqlite,
        "CREATE TABLE my_options (id); CREATE TABLE \"a;b_options\" (id);",
    );
    let checks = wordpress(&fake, &around(None));
    is(find(&checks, "wp-database"), Score::Skipped, "not there");
    let two = Fake::new(
        Engine::Sqlite,
        &(WORDPRESS.to_owned()
            + "CREATE TABLE wp_2_options (id); CREATE TABLE wp_2_posts (id); CREATE TABLE wp_2_users (id);"),
    );
    assert_eq!(
        Data::of(&two)
            .unwrap()
            .prefix(&["options", "posts", "users"])
            .as_deref(),
        Some("wp_")
    );
}

#[test]
fn the_oldest_event_is_found_among_keys_only() {
    assert_eq!(oldest_event("a:1:{s:7:\"version\";i:2;}"), None);
    assert_eq!(oldest_event(""), None);
    assert_eq!(oldest_event("i:"), None);
    assert_eq!(
        oldest_event(
            "a:2:{i:1700000300;a:1:{s:1:\"x\";a:1:{s:1:\"y\";a:1:{s:4:\"args\";a:1:{i:0;i:1600000000;}}}}i:1700000000;a:1:{s:1:\"z\";a:0:{}}}"
        ),
        Some(1_700_000_000)
    );
}

const DRUPAL: &str = "
    CREATE TABLE d_key_value (collection TEXT, name TEXT, value TEXT);
    CREATE TABLE d_config (collection TEXT, name TEXT, data TEXT);
    CREATE TABLE d_watchdog (id); CREATE TABLE d_cache_page (id); CREATE TABLE d_sessions (id);
    INSERT INTO d_key_value VALUES ('system.schema', 'shop', 's:4:\"9001\";'), ('system.schema', 'node', 'i:8700;'), ('state', 'x', 'i:1;');
    INSERT INTO d_config VALUES ('', 'system.performance', 'a:2:{s:5:\"cache\";a:1:{s:4:\"page\";a:1:{s:7:\"max_age\";i:900;}}s:3:\"css\";a:2:{s:10:\"preprocess\";b:1;s:4:\"gzip\";b:1;}s:2:\"js\";a:1:{s:10:\"preprocess\";b:1;}}'),
        ('', 'system.logging', 'a:1:{s:11:\"error_level\";s:4:\"hide\";}'), ('language.de', 'system.logging', 'x');
";

#[test]
fn each_check_of_drupal_flips() {
    let mut fake = Fake::new(Engine::Sqlite, DRUPAL);
    let code = Folder::with(&[
        (
            "core/modules/node/node.install",
            "<?php\nfunction node_update_8700() {}\nfunction node_update_last_removed() { return 8600; }",
        ),
        (
            "modules/shop/shop.install",
            "<?php\nfunction shop_update_9001() {}",
        ),
        (
            "modules/other/other.install",
            "<?php\nfunction other_update_9999() {}",
        ),
    ]);
    let look = |fake: &Fake, deployed| {
        let data = Data::of(fake).unwrap();
        let tree = code.tree();
        let mut checks = Vec::new();
        drupal_data::look(Some(&data), false, deployed, Some(&tree), &mut checks);
        checks
    };
    let checks = look(&fake, true);
    assert_eq!(checks.len(), 6);
    assert!(
        checks.iter().all(|check| check.score == Score::Ok),
        "{checks:?}"
    );

    code.put(
        "modules/shop/shop.install",
        "<?php\nfunction shop_update_9001() {}\nfunction shop_update_10002(&$sandbox) {}",
    );
    is(
        find(&look(&fake, true), "drupal-updates"),
        Score::Failure,
        "updates of shop.",
    );
    fake.run("UPDATE d_config SET data = replace(replace(data, 'i:900', 'i:0'), 's:2:\"js\";a:1:{s:10:\"preprocess\";b:1', 's:2:\"js\";a:1:{s:10:\"preprocess\";b:0') WHERE name = 'system.performance';
              UPDATE d_config SET data = 'a:1:{s:11:\"error_level\";s:7:\"verbose\";}' WHERE name = 'system.logging' AND collection = '';");
    let checks = look(&fake, true);
    is(find(&checks, "drupal-caching"), Score::Warning, "max_age");
    is(
        find(&checks, "drupal-caching"),
        Score::Warning,
        "scripts are not joined",
    );
    is(
        find(&checks, "drupal-errors"),
        Score::Warning,
        "shown to visitors",
    );
    is(
        find(&look(&fake, false), "drupal-errors"),
        Score::Ok,
        "shown",
    );
    fake.change("d_watchdog", |table| table.rows = 200_000);
    fake.change("d_cache_page", |table| table.bytes = 2 << 30);
    fake.change("d_sessions", |table| table.rows = 200_000);
    let checks = look(&fake, true);
    is(find(&checks, "drupal-log"), Score::Warning, "200000");
    is(find(&checks, "drupal-caches"), Score::Warning, "2.0 GB");
    is(find(&checks, "drupal-sessions"), Score::Warning, "200000");
}

#[test]
fn drupal_seven_is_asked_in_its_own_words() {
    let fake = Fake::new(
        Engine::Sqlite,
        "CREATE TABLE system (name TEXT, type TEXT, status INT, schema_version INT);
         CREATE TABLE variable (name TEXT, value TEXT);
         INSERT INTO system VALUES ('node', 'module', 1, 7016), ('off', 'module', 0, 1), ('bartik', 'theme', 1, 0);
         INSERT INTO variable VALUES ('cache', 's:1:\"1\";'), ('preprocess_css', 'i:1;'), ('preprocess_js', 'b:1;'), ('error_level', 's:1:\"0\";');",
    );
    let code = Folder::with(&[
        (
            "modules/node/node.install",
            "<?php\nfunction node_update_7016() {}",
        ),
        (
            "modules/off/off.install",
            "<?php\nfunction off_update_7016() {}",
        ),
    ]);
    let look = || {
        let data = Data::of(&fake).unwrap();
        let tree = code.tree();
        let mut checks = Vec::new();
        drupal_data::look(Some(&data), true, true, Some(&tree), &mut checks);
        checks
    };
    let checks = look();
    assert!(
        checks.iter().all(|check| check.score == Score::Ok),
        "{checks:?}"
    );
    fake.run("UPDATE variable SET value = 'i:0;' WHERE name = 'cache'; DELETE FROM variable WHERE name = 'error_level'; UPDATE system SET schema_version = 7015 WHERE name = 'node';");
    let checks = look();
    is(
        find(&checks, "drupal-caching"),
        Score::Warning,
        "pages of visitors",
    );
    is(find(&checks, "drupal-errors"), Score::Warning, "shown");
    is(find(&checks, "drupal-updates"), Score::Failure, "node");
}
