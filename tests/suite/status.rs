//! `env:status` from outside: a site that is well, and one in which each thing is made wrong in turn.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use support::{Client, Clone, Gateway, Role, Site, Web};

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

fn report(site: &Site, environment: &str) -> Value {
    let place = format!("SITE.{environment}");
    let printed = site.must(&["env:status", &place, "--format", "json"]).out();
    serde_json::from_str(&printed).expect("one object of JSON")
}

#[track_caller]
fn expect(site: &Site, environment: &str, name: &str, score: &str, words: &str) {
    let (found, text) = check(site, environment, name);
    assert!(
        found == score && text.contains(words),
        "{environment} {name}: {found}, {text}; and not {score} with '{words}'"
    );
}

fn mode(path: &Path, mode: u32) {
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
        .code(1)
        .says("no environment 'nope'");
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
fn the_address_is_asked_as_a_visitor_would() {
    let (site, tom) = work::site("st-address");
    expect(&site, "live", "domain", "skipped", "No address is set");
    let status = Arc::new(AtomicU16::new(200));
    let web = {
        let status = Arc::clone(&status);
        Web::start(move |_| match status.load(Ordering::SeqCst) {
            1 => (200, "Error establishing a database connection".to_owned()),
            status => (status, "<html>hello</html>".to_owned()),
        })
    };
    site.must(&["env:set", "SITE.live", "url", &web.url()]);
    site.deploy_all();
    expect(&site, "live", "domain", "ok", "127.0.0.1");
    expect(&site, "live", "answer", "ok", "200");
    expect(
        &site,
        "live",
        "certificate",
        "warning",
        "without encryption",
    );
    status.store(1, Ordering::SeqCst);
    expect(&site, "live", "answer", "failure", "database connection");
    status.store(403, Ordering::SeqCst);
    expect(&site, "live", "answer", "warning", "403");
    // A release that fails its probe is told until it is allowed again.
    site.set_mode("git");
    let clone = Clone::new(&site, &tom);
    status.store(500, Ordering::SeqCst);
    let commit = clone.commit(
        "funicular.toml",
        "[[probe]]\nname = \"page\"\nstage = \"after\"\npath = \"/\"\nenvironments = [\"live\"]\ntimeout = 5\n",
    );
    clone.must(&["push", "--quiet", "dev", "HEAD:main"]);
    site.must(&["env:deploy", "SITE.test"]);
    expect(&site, "live", "failed-releases", "ok", "");
    site.command(&["env:deploy", "SITE.live"]).run().fails();
    expect(&site, "live", "failed-releases", "warning", "500");
    expect(&site, "live", "answer", "failure", "500");
    site.must(&["release:allow", "SITE.live", &commit]);
    expect(&site, "live", "failed-releases", "ok", "");
    drop(web);
    expect(&site, "live", "answer", "failure", "does not answer");
    // RFC 6761: never to be found.
    site.must(&["env:set", "SITE.live", "url", "http://nowhere.invalid"]);
    expect(
        &site,
        "live",
        "domain",
        "failure",
        "nowhere.invalid leads nowhere",
    );
    expect(&site, "live", "answer", "skipped", "");
}

#[test]
fn certificates_are_looked_at() {
    let gateway = Arc::new(Gateway::start());
    let folder = gateway.folder().join("tls");
    let authority = authority(&folder);
    let shown = format!("\"{}\"", authority.display());
    support::gateway::change_setting(&gateway.config(), "targets", "ca_file", &shown);
    gateway.stop(nix::sys::signal::Signal::SIGTERM);
    gateway.serve();
    let site = gateway.site("st-tls");
    for (name, days, score, words) in [
        ("localhost", 90, "ok", "good until"),
        ("localhost", 10, "warning", "good until"),
        ("localhost", 2, "failure", "good until"),
        ("other.example", 90, "failure", "another name"),
    ] {
        let (port, _server) = serve(&folder, name, days);
        site.must(&[
            "env:set",
            "SITE.live",
            "url",
            &format!("https://localhost:{port}"),
        ]);
        expect(&site, "live", "certificate", score, words);
        let well = name == "localhost";
        expect(
            &site,
            "live",
            "answer",
            if well { "ok" } else { "failure" },
            "",
        );
    }
    let elsewhere = folder.join("elsewhere");
    let _other = self::authority(&elsewhere);
    let (port, _server) = serve(&elsewhere, "localhost", 90);
    site.must(&[
        "env:set",
        "SITE.live",
        "url",
        &format!("https://localhost:{port}"),
    ]);
    expect(
        &site,
        "live",
        "certificate",
        "failure",
        "nobody who is trusted",
    );
}

fn openssl(folder: &Path, words: &str) {
    Client::new("openssl")
        .args(words.split_whitespace())
        .folder(folder)
        .run()
        .ok();
}

/// Makes an authority; returns the file with its certificate.
fn authority(folder: &Path) -> std::path::PathBuf {
    fs::create_dir_all(folder).unwrap();
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 900 -keyout ca.key -out ca.pem -subj /CN=ours",
    );
    folder.join("ca.pem")
}

/// Serves pages with a certificate of the authority in `folder`; returns the port.
fn serve(folder: &Path, name: &str, days: u32) -> (u16, support::process::Process) {
    openssl(
        folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out csr -subj /CN=site",
    );
    fs::write(folder.join("ext"), format!("subjectAltName=DNS:{name}\n")).unwrap();
    openssl(
        folder,
        &format!(
            "x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile ext -out pem"
        ),
    );
    let script = "
import http.server, ssl
class Says(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Says)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('pem', 'key')
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_port, flush=True)
server.serve_forever()
";
    let mut server = Client::new("python3")
        .args(["-c", script])
        .folder(folder)
        .start_piped();
    let stdout = server.child().stdout.take().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    (line.trim().parse().unwrap(), server)
}
