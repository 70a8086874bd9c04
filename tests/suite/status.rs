//! `env:status` from outside: a site that is well, and one in which each thing is made wrong in turn.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use support::{Clone, Role, Site};

use crate::deploys;
use crate::work;

/// What a check found: its score, and finding and action in one text.
fn check(site: &Site, environment: &str, name: &str) -> (String, String) {
    let report = report(site, environment);
    let found = report["checks"]
        .as_array()
        .and_then(|checks| checks.iter().find(|check| check["check"] == name))
        .unwrap_or_else(|| panic!("no check {name} in {report:#}"));
    let text = |field: &str| found[field].as_str().expect("a text").to_owned();
    (
        text("score"),
        format!("{} {}", text("finding"), text("action")),
    )
}

pub(crate) fn report(site: &Site, environment: &str) -> Value {
    let place = format!("SITE.{environment}");
    let printed = site.must(&["env:status", &place, "--format", "json"]).out();
    serde_json::from_str(&printed).expect("one object of JSON")
}

#[track_caller]
pub(crate) fn expect(site: &Site, environment: &str, name: &str, score: &str, words: &str) {
    let (found, text) = check(site, environment, name);
    assert!(
        found == score && text.contains(words),
        "{environment} {name}: {found}, {text}; and not {score} with '{words}'"
    );
}

pub(crate) fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_status_is_for_who_may_view_and_changes_nothing() {
    let (site, tom) = work::site("st-view");
    let before = site.tree("dev", "code");
    let vera = site.person(Role::Viewer);
    let shown = site.console(vera, &["env:status", "SITE.dev"]).run().ok();
    for words in ["CHECK", "large-files", "all work is committed", "skipped."] {
        let screen = shown.screen().to_lowercase();
        assert!(screen.contains(&words.to_lowercase()), "{words}: {screen}");
    }
    // Nobody else is told even whether there is such a site; the refusal is a row.
    let sten = site.person(Role::Stranger);
    let refused = site
        .console(sten, &["env:status", "SITE.dev"])
        .run()
        .code(3);
    refused.says("[incident ").says_not("large-files");
    let rows = deploys::rows(&site, &["audit:list", "--decision", "refuse"]);
    assert!(
        rows.iter().any(|row| row["person"] == sten.name),
        "{rows:?}"
    );
    site.console(&tom, &["env:status", "SITE.nope"])
        .run()
        .code(3)
        .says("[incident ");
    site.console(&tom, &["env:status", "SITE.dev", "--fail-on", "never"])
        .run()
        .code(2);
    assert!(site.tree("dev", "code") == before);
}

#[test]
fn the_exit_status_is_asked_for() {
    let (site, tom) = work::site("st-exit");
    let status = |more: &[&str]| {
        let words = [&["env:status", "SITE.dev"], more].concat();
        site.console(&tom, &words).run()
    };
    work::edit(&site, &tom, "index.php", "<?php echo 'work';\n");
    assert_eq!(report(&site, "dev")["score"], "warning");
    status(&[]).code(0).says("What to do:").says("env:commit");
    status(&["--fail-on", "failure"]).code(0);
    status(&["--fail-on", "warning"]).code(1).says("is warning");
    fs::write(
        site.disk("dev", "files").join("shell.php"),
        "<?php system($_GET['c']); /* a door that somebody has left open here */\n",
    )
    .unwrap();
    assert_eq!(report(&site, "dev")["score"], "failure");
    status(&["--fail-on", "failure"]).code(1).says("is failure");
    let names = status(&["--field", "check"]).ok().out();
    assert_eq!(names.lines().next(), Some("php-in-files"), "{names}");
}

#[test]
fn work_that_is_not_where_it_should_be_is_told() {
    let (site, tom) = work::site("st-work");
    expect(&site, "dev", "work", "ok", "");
    expect(
        &site,
        "live",
        "release",
        "warning",
        "Nothing has been deployed",
    );
    work::edit(&site, &tom, "lib/new.php", "<?php\n");
    expect(
        &site,
        "dev",
        "work",
        "warning",
        "1 file(s) hold work that is not committed: lib/new.php",
    );
    site.must(&["env:commit", "SITE.dev", "-m", "new"]);
    expect(&site, "dev", "work", "ok", "committed");
    site.deploy_all();
    expect(&site, "live", "drift", "ok", "the same commits");
    expect(&site, "live", "release", "ok", "byte by byte");
    // A release is changed past the gateway.
    let page = site.disk("live", "code").join("index.php");
    let was = fs::read(&page).unwrap();
    fs::remove_file(&page).unwrap();
    fs::write(&page, "<?php echo 'defaced';\n").unwrap();
    expect(&site, "live", "release", "failure", "index.php");
    fs::write(&page, was).unwrap();
    expect(&site, "live", "release", "ok", "");

    site.set_mode("git");
    let clone = Clone::new(&site, &tom);
    clone.commit("index.php", "<?php echo 'fixed';\n");
    clone.must(&[
        "push",
        "--quiet",
        "-o",
        "reason=it was wrong",
        "live",
        "HEAD:hotfix/typo",
    ]);
    expect(&site, "live", "hotfixes", "warning", "typo");
    expect(
        &site,
        "live",
        "drift",
        "warning",
        "1 commit(s) of live are not on test",
    );
    expect(&site, "dev", "drift", "warning", "not on dev");
    site.must(&["hotfix:merge", "SITE", "typo"]);
    expect(&site, "live", "hotfixes", "ok", "");
    expect(&site, "dev", "drift", "ok", "");
    site.deploy_all();
    expect(&site, "live", "drift", "ok", "");
    // What waits is told, and what waits for long is not well.
    clone.must(&["pull", "--quiet", "dev", "main"]);
    fs::write(clone.folder().join("old.txt"), "old").unwrap();
    clone.must(&["add", "--all"]);
    let long_ago = "2020-01-01T00:00:00Z";
    clone
        .git(&["commit", "--quiet", "-m", "old"])
        .env("GIT_COMMITTER_DATE", long_ago)
        .run()
        .ok();
    clone.must(&["push", "--quiet", "dev", "HEAD:main"]);
    expect(&site, "test", "drift", "warning", "30 days");
    site.must(&["env:deploy", "SITE.test"]);
    expect(&site, "test", "drift", "ok", "");
    expect(
        &site,
        "live",
        "drift",
        "warning",
        "1 commit(s) of test wait",
    );
}

#[test]
fn files_are_looked_at_as_they_lie() {
    let (site, tom) = work::site("st-files");
    site.set_mode("git");
    site.deploy_all();
    let (files, code) = (site.disk("live", "files"), site.disk("live", "code"));
    let upload = files.join("photo.jpg");
    fs::write(&upload, "jpeg").unwrap();
    mode(&upload, 0o644);
    for name in [
        "files-readable",
        "files-open",
        "code-writable",
        "php-in-files",
        "exposed-repository",
        "dumps",
        "secrets",
        "settings-private",
        "large-files",
    ] {
        expect(&site, "live", name, "ok", "");
    }
    mode(&upload, 0o600);
    expect(&site, "live", "files-readable", "warning", "photo.jpg");
    mode(&upload, 0o646);
    expect(&site, "live", "files-open", "warning", "photo.jpg");
    mode(&upload, 0o644);
    expect(&site, "live", "files-open", "ok", "");
    // The folder's own permissions, and nobody's.
    let folder = files.canonicalize().unwrap();
    let was = fs::metadata(&folder).unwrap().permissions();
    mode(&folder, 0o555);
    expect(
        &site,
        "live",
        "files-writable",
        "failure",
        "Nobody may write",
    );
    fs::set_permissions(&folder, was).unwrap();
    let page = code.join("lib/menu.php");
    mode(&page, 0o666);
    expect(&site, "live", "code-writable", "failure", "lib/menu.php");
    mode(&page, 0o664);
    expect(&site, "live", "code-writable", "warning", "lib/menu.php");
    mode(&page, 0o644);
    fs::create_dir(files.join(".git")).unwrap();
    fs::write(files.join(".git/config"), "[remote]").unwrap();
    expect(&site, "live", "exposed-repository", "failure", ".git");
    fs::remove_dir_all(files.join(".git")).unwrap();
    fs::write(files.join("a\u{1b}[2J.phtml"), "<?php").unwrap();
    let (score, text) = check(&site, "live", "php-in-files");
    assert!(score == "failure" && !text.contains('\u{1b}'), "{text:?}");
    let settings = site.disk("live", "settings").join("settings.json");
    mode(&settings, 0o644);
    expect(
        &site,
        "live",
        "settings-private",
        "failure",
        "settings.json",
    );
    mode(&settings, 0o640);
    expect(&site, "live", "settings-private", "ok", "");

    let clone = Clone::new(&site, &tom);
    clone.commit(".env", "PASSWORD=1\n");
    clone.commit("dump.sql", "-- MariaDB dump 10.19\nCREATE TABLE x;\n");
    clone.commit("film.mp4", &"film".repeat(3 << 20));
    clone.must(&["push", "--quiet", "dev", "HEAD:main"]);
    expect(&site, "dev", "secrets", "warning", ".env");
    expect(&site, "dev", "dumps", "failure", "dump.sql");
    expect(&site, "dev", "large-files", "warning", "film.mp4 (12.0 MB)");
    expect(&site, "live", "large-files", "ok", "");
    expect(&site, "live", "backups", "failure", "no backups yet");
    expect(&site, "dev", "backups", "skipped", "no backups yet");
}
