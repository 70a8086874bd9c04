//! The database of WordPress.

use super::databases::{Fake, find};
use super::{Folder, Score, is};
use crate::database::Engine;
use crate::site::status::data::Data;
use crate::site::status::wordpress_data::{Around, oldest_event};
use crate::site::status::{Check, wordpress_data};

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
