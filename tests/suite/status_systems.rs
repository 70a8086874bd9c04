//! `env:status` of WordPress and Drupal, by their code, and of code that somebody has set traps in.

use std::fs;
use std::os::unix::fs::symlink;

use support::Clone;

use crate::status::{expect, mode, report};
use crate::work;

#[test]
fn what_people_plant_in_code_is_not_followed() {
    let (site, _) = work::site("st-traps");
    let code = site.disk("dev", "code");
    let secret = site.gateway.folder().join("st-secret");
    fs::write(&secret, "<?php $wp_version = 'TOP-SECRET';").unwrap();
    fs::create_dir(code.join("wp-includes")).unwrap();
    symlink(&secret, code.join("wp-includes/version.php")).unwrap();
    nix::unistd::mkfifo(&code.join("wp-config.php"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("/", code.join("all")).unwrap();
    let printed = report(&site, "dev").to_string();
    assert!(!printed.contains("TOP-SECRET"), "{printed}");
    expect(&site, "dev", "wp-version", "warning", "cannot be read");
    expect(&site, "dev", "wp-debug", "skipped", "");
}

#[test]
fn wordpress_is_known_by_its_code() {
    let (site, tom) = work::site("st-wordpress");
    site.set_mode("git");
    let clone = Clone::new(&site, &tom);
    let deploy = || {
        clone.must(&["push", "--quiet", "dev", "HEAD:main"]);
        site.deploy_all();
    };
    clone.commit("wp-includes/version.php", "<?php\n$wp_version = '6.9.1';\n");
    clone.commit(
        "wp-config.php",
        "<?php\n// define('WP_DEBUG', true);\ndefine('AUTH_KEY', 'x');\n",
    );
    clone.commit("wp-content/object-cache.php", "<?php\n");
    clone.commit(
        "wp-content/plugins/akismet/akismet.php",
        "<?php\n/*\nPlugin Name: Akismet\nVersion: 5.3\n*/\n",
    );
    deploy();
    expect(&site, "live", "wp-version", "ok", "6.9.1");
    expect(&site, "live", "wp-debug", "ok", "");
    expect(&site, "live", "wp-keys", "ok", "");
    expect(&site, "live", "wp-object-cache", "ok", "");
    expect(&site, "live", "wp-plugins", "ok", "akismet 5.3");
    expect(&site, "live", "wp-database", "skipped", "");
    clone.commit("wp-includes/version.php", "<?php\n$wp_version = '4.1';\n");
    clone.commit(
        "wp-config.php",
        "<?php\ndefine( 'WP_DEBUG', true );\ndefine('AUTH_KEY', 'put your unique phrase here');\n",
    );
    clone.must(&["rm", "--quiet", "wp-content/object-cache.php"]);
    clone.commit(
        "wp-content/plugins/query-monitor/query-monitor.php",
        "<?php\n/*\nPlugin Name: Query Monitor\n*/\n",
    );
    deploy();
    expect(&site, "live", "wp-version", "failure", "4.1");
    expect(&site, "live", "wp-debug", "failure", "WP_DEBUG");
    expect(&site, "test", "wp-debug", "warning", "WP_DEBUG");
    expect(&site, "dev", "wp-debug", "ok", "WP_DEBUG");
    expect(&site, "live", "wp-keys", "failure", "sample");
    expect(&site, "live", "wp-object-cache", "warning", "");
    expect(&site, "live", "wp-plugins", "warning", "query-monitor");
}

#[test]
fn drupal_is_known_by_its_code() {
    let (site, tom) = work::site("st-drupal");
    site.set_mode("git");
    let clone = Clone::new(&site, &tom);
    let deploy = || {
        clone.must(&["push", "--quiet", "dev", "HEAD:main"]);
        site.deploy_all();
    };
    let settings = "web/sites/default/settings.php";
    clone.commit(
        "web/core/lib/Drupal.php",
        "<?php\nclass Drupal {\n  const VERSION = '11.2.0';\n}\n",
    );
    clone.commit(settings, "<?php\n$settings['trusted_host_patterns'] = ['^example$'];\n$settings['hash_salt'] = 'x';\n");
    deploy();
    for name in [
        "drupal-version",
        "drupal-settings",
        "drupal-trusted-hosts",
        "drupal-development",
    ] {
        expect(&site, "live", name, "ok", "");
    }
    clone.commit(
        "web/core/lib/Drupal.php",
        "<?php\nclass Drupal {\n  const VERSION = '9.5.1';\n}\n",
    );
    clone.commit(settings, "<?php\n# $settings['trusted_host_patterns'] = ['^example$'];\n$settings['update_free_access'] = TRUE;\n");
    deploy();
    mode(&site.disk("live", "code").join(settings), 0o666);
    expect(&site, "live", "drupal-version", "failure", "9.5.1");
    expect(&site, "live", "drupal-trusted-hosts", "failure", "");
    expect(&site, "test", "drupal-trusted-hosts", "warning", "");
    expect(
        &site,
        "live",
        "drupal-development",
        "failure",
        "update_free_access",
    );
    expect(&site, "live", "drupal-settings", "failure", settings);
}

#[test]
fn the_database_of_an_environment_is_looked_at() {
    let (site, tom) = work::site("st-database");
    expect(&site, "dev", "database", "warning", "is empty");
    let url = "http://dev.example.org";
    site.must(&["env:set", "SITE.dev", "url", url]);
    work::edit(&site, &tom, "wp-config.php", "<?php\n");
    let code = site.disk("dev", "code");
    fs::create_dir(code.join("wp-includes")).unwrap();
    fs::write(
        code.join("wp-includes/version.php"),
        "<?php\n$wp_version = '6.9';\n",
    )
    .unwrap();
    // Where the site itself is told that it is.
    let settings = fs::read(site.disk("dev", "settings").join("settings.json")).unwrap();
    let settings: serde_json::Value = serde_json::from_slice(&settings).unwrap();
    let folder = settings["FUNICULAR_DATABASE_DIR"].as_str();
    let folder = std::path::Path::new(folder.expect("the site has SQLite"));
    let database = folder.join("wordpress.sqlite");
    let sql = |text: &str| {
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.executescript(sys.argv[2])\nc.commit()";
        support::Client::new("python3")
            .args(["-c", script])
            .arg(&database)
            .arg(text)
            .run()
            .ok();
    };
    sql("CREATE TABLE wp_posts (id INTEGER PRIMARY KEY); CREATE TABLE wp_users (id INTEGER PRIMARY KEY);
         CREATE TABLE wp_options (option_name TEXT, option_value TEXT, autoload TEXT);
         INSERT INTO wp_options VALUES ('home', 'http://dev.example.org', 'yes'), ('siteurl', 'http://dev.example.org', 'yes');");
    expect(&site, "dev", "database", "ok", "sqlite: 3 table(s)");
    expect(&site, "dev", "integrity", "ok", "");
    expect(&site, "dev", "wp-autoload", "ok", "");
    expect(&site, "dev", "wp-address", "ok", "dev.example.org");
    sql(
        "UPDATE wp_options SET option_value = 'https://www.example.org';
         INSERT INTO wp_options VALUES ('left', printf('%.2000000c', 'x'), 'on');",
    );
    expect(&site, "dev", "wp-autoload", "failure", "left (1.9 MB)");
    expect(
        &site,
        "dev",
        "wp-address",
        "failure",
        "https://www.example.org",
    );
    // All but the header, by which it is known.
    let mut bytes = fs::read(&database).unwrap();
    bytes.iter_mut().skip(100).for_each(|byte| *byte = 0xFF);
    fs::write(&database, bytes).unwrap();
    expect(&site, "dev", "database", "failure", "cannot be reached");
}
