//! The database of Drupal.

use super::databases::{Fake, find};
use super::{Folder, Score, is};
use crate::database::Engine;
use crate::site::status::data::Data;
use crate::site::status::drupal_data;

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
