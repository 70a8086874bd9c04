//! WordPress and Drupal by their code.

use jiff::civil::date;

use super::{Folder, Score, is};
use crate::site::status::ground::System;
use crate::site::status::{drupal, php, wordpress};

#[test]
fn systems_are_known_by_their_files() {
    let system = |path: &str| System::of(&Folder::with(&[(path, "")]).tree());
    let root = |root: &str| root.to_owned();
    assert_eq!(
        system("wp-includes/version.php"),
        System::WordPress { root: root("") }
    );
    assert_eq!(
        system("web/wp/wp-includes/version.php"),
        System::WordPress {
            root: root("web/wp/")
        }
    );
    assert_eq!(
        system("web/core/lib/Drupal.php"),
        System::Drupal { root: root("web/") }
    );
    assert_eq!(
        system("modules/system/system.module"),
        System::Drupal7 { root: root("") }
    );
    assert_eq!(system("index.php"), System::Other);
}

#[test]
fn php_is_read_without_its_comments() {
    let code = php::without_comments(
        "<?php // define('WP_DEBUG', true);\n# define('WP_DEBUG', true)\n/* define('WP_DEBUG',\n true); */\n\
         $u = 'http://x # no comment'; #[Attribute]\ndefine( \"WP_DEBUG\" , f(1, (2)) );\nif (A == 1) {}",
    );
    assert!(!code.contains("true"), "{code}");
    assert!(
        code.contains("http://x # no comment'") && code.contains("#[Attribute]"),
        "{code}"
    );
    assert_eq!(php::defined(&code, "WP_DEBUG"), Some("f(1, (2))"));
    assert_eq!(php::defined(&code, "DEBUG"), None);
    assert_eq!(php::defined("echo 'WP_DEBUG', 1;", "WP_DEBUG"), None);
    for (text, is) in [
        ("true", true),
        ("TRUE", true),
        ("1", true),
        ("'1'", true),
        ("false", false),
        ("getenv('X')", false),
    ] {
        assert_eq!(php::is_true(text), is, "{text}");
    }
    let settings =
        "$settings['a'] = 1; $settings['a'] = [2]; if ($settings['b'] == 3) {} $x = ['b' => 4];";
    assert_eq!(php::assigned(settings, "$settings['a']"), Some("[2]"));
    assert_eq!(php::assigned(settings, "$settings['b']"), None);
    let data = "a:2:{s:7:\"max_age\";i:900;s:3:\"css\";a:1:{s:10:\"preprocess\";b:1;}}";
    assert_eq!(php::serialised(data, "max_age"), Some("i:900"));
    assert_eq!(php::number("i:900"), Some(900));
    assert_eq!(php::number("s:4:\"8001\""), Some(8001));
}

#[test]
fn old_versions_of_wordpress_are_told() {
    let version = |text: &str| {
        let text = format!("<?php\n$wp_version = '{text}';\n");
        let code = Folder::with(&[("wp-includes/version.php", &text)]);
        wordpress::version(&code.tree(), "")
    };
    is(&version("6.9.1"), Score::Ok, "6.9.1");
    is(&version("7.2"), Score::Ok, "7.2");
    is(&version("6.9-beta2"), Score::Ok, "6.9-beta2");
    is(&version("6.1.9"), Score::Warning, "6.1.9 is old");
    is(&version("5.0"), Score::Warning, "old");
    is(&version("4.6.30"), Score::Failure, "no more security fixes");
    let empty = Folder::with(&[("wp-includes/version.php", "<?php")]);
    is(
        &wordpress::version(&empty.tree(), ""),
        Score::Warning,
        "cannot be read",
    );
}

#[test]
fn debugging_counts_where_visitors_are() {
    let debugging = |config: &str, deployed, live| {
        wordpress::debugging(Some(&php::without_comments(config)), deployed, live)
    };
    let on = "define('WP_DEBUG', true); define( 'SAVEQUERIES', 1 );";
    is(
        &debugging(on, true, true),
        Score::Failure,
        "WP_DEBUG, SAVEQUERIES on",
    );
    is(&debugging(on, true, false), Score::Warning, "WP_DEBUG");
    is(&debugging(on, false, false), Score::Ok, "WP_DEBUG");
    is(
        &debugging("// define('WP_DEBUG', true);", true, true),
        Score::Ok,
        "off",
    );
    is(
        &debugging("define('WP_DEBUG', $x === 'dev');", true, true),
        Score::Ok,
        "off",
    );
    is(
        &wordpress::debugging(None, true, true),
        Score::Skipped,
        "no wp-config.php",
    );
}

#[test]
fn plugins_are_found_by_their_headers() {
    let code = Folder::with(&[
        ("wp-includes/version.php", ""),
        (
            "wp-content/plugins/hello.php",
            "<?php\n/*\nPlugin Name: Hello Dolly\nVersion: 1.7.2\n*/",
        ),
        (
            "wp-content/plugins/akismet/akismet.php",
            "<?php\n/**\n * Plugin Name: Akismet\n * Version: 5.3\n */",
        ),
        (
            "wp-content/plugins/akismet/class.akismet.php",
            "<?php // Version: 9",
        ),
        (
            "wp-content/plugins/akismet/deep/er.php",
            "<?php\n/* Plugin Name: No */",
        ),
        (
            "wp-content/plugins/index.php",
            "<?php // Silence is golden.",
        ),
    ]);
    let found: Vec<_> = wordpress::plugins_of(&code.tree(), "")
        .into_iter()
        .map(|plugin| (plugin.file, plugin.version))
        .collect();
    let expected = [("akismet/akismet.php", "5.3"), ("hello.php", "1.7.2")];
    assert_eq!(
        found,
        expected.map(|(file, version)| (file.to_owned(), version.to_owned()))
    );
}

#[test]
fn versions_of_drupal_have_their_ends() {
    let eight = |text: &str, today| {
        let text = format!("<?php\nclass Drupal {{\n  const VERSION = '{text}';\n}}");
        let code = Folder::with(&[("web/core/lib/Drupal.php", &text)]);
        drupal::version(&code.tree(), "web/", false, today)
    };
    is(&eight("11.1.2", date(2026, 1, 1)), Score::Ok, "11.1.2");
    is(&eight("10.4.0", date(2026, 1, 1)), Score::Ok, "2026-12-09");
    is(
        &eight("10.4.0", date(2026, 10, 1)),
        Score::Warning,
        "until 2026-12-09",
    );
    is(
        &eight("10.4.0", date(2027, 1, 1)),
        Score::Failure,
        "since 2026-12-09",
    );
    is(
        &eight("9.5.11", date(2026, 1, 1)),
        Score::Failure,
        "since 2023-11-01",
    );
    let seven = Folder::with(&[(
        "includes/bootstrap.inc",
        "<?php\ndefine('VERSION', '7.103');",
    )]);
    is(
        &drupal::version(&seven.tree(), "", true, date(2026, 1, 1)),
        Score::Failure,
        "7.103",
    );
}

#[test]
fn trusted_hosts_are_asked_for() {
    let set = "$settings['trusted_host_patterns'] = ['^a$'];";
    is(
        &drupal::trusted_hosts(set, false, true),
        Score::Ok,
        "is set",
    );
    is(
        &drupal::trusted_hosts("", false, true),
        Score::Failure,
        "not set",
    );
    is(
        &drupal::trusted_hosts("", false, false),
        Score::Warning,
        "not set",
    );
    is(
        &drupal::trusted_hosts("", true, true),
        Score::Skipped,
        "base_url",
    );
}
