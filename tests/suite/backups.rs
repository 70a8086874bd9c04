//! Backups from outside: made while a site is being used, destroyed, brought back and compared; and all
//! that must not leave half of one.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::gateway::Setting;
use support::process::{self, Process};
use support::{Gateway, Person, Role, Site, Tree};

/// A site whose Live has files and an SQLite database, with a row for each file.
pub(crate) struct Scene {
    pub(crate) site: Site,
}

/// How long background work may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

impl Scene {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &[])
    }

    pub(crate) fn with(name: &str, settings: &[Setting]) -> Self {
        let gateway = Arc::new(Gateway::start_with(settings));
        let site = gateway.site(name);
        site.must(&["site:set", "SITE", "database", "sqlite"]);
        site.deploy_all();
        let scene = Self { site };
        for environment in ["live", "dev"] {
            scene.sql(environment, "CREATE TABLE upload (name TEXT PRIMARY KEY)");
        }
        let files = scene.files("live");
        fs::create_dir_all(files.join("2026/11")).unwrap();
        for number in 0..20 {
            let name = format!("2026/11/photo {number}.jpg");
            fs::write(files.join(&name), name.repeat(1000)).unwrap();
            scene.sql("live", &format!("INSERT INTO upload VALUES ('{name}')"));
        }
        std::os::unix::fs::symlink("2026/11/photo 1.jpg", files.join("link")).unwrap();
        scene
    }

    fn content(&self, environment: &str) -> PathBuf {
        let sites = self.site.gateway.data().join("sites");
        let content = sites
            .join(&self.site.name)
            .join("environments")
            .join(environment)
            .join("content");
        fs::canonicalize(content).unwrap()
    }

    pub(crate) fn files(&self, environment: &str) -> PathBuf {
        self.content(environment).join("files")
    }

    /// As WordPress's plugin calls it, since a site finds its database by its name.
    pub(crate) fn database(&self, environment: &str) -> PathBuf {
        self.content(environment).join("database/data/.ht.sqlite")
    }

    pub(crate) fn sql(&self, environment: &str, sql: &str) -> String {
        let output = Command::new("sqlite3")
            .arg("-cmd")
            .arg(".timeout 10000")
            .arg(self.database(environment))
            .arg(sql)
            .output()
            .expect("sqlite3, which tests/install-clients.sh installs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn rows(&self, environment: &str) -> Vec<String> {
        let said = self.sql(environment, "SELECT name FROM upload ORDER BY name");
        said.lines().map(str::to_owned).collect()
    }

    pub(crate) fn tree(&self, environment: &str) -> Tree {
        Tree::read(self.files(environment))
    }

    /// The ids of an environment's backups, the newest first.
    pub(crate) fn ids(&self, environment: &str) -> Vec<String> {
        let place = format!("SITE.{environment}");
        let said = self.site.must(&["backup:list", &place, "--field", "id"]);
        said.out().lines().map(str::to_owned).collect()
    }

    pub(crate) fn make(&self, environment: &str) -> String {
        let place = format!("SITE.{environment}");
        self.site.must(&["backup:create", &place]);
        self.ids(environment).remove(0)
    }

    pub(crate) fn restore(&self, environment: &str, id: &str, more: &[&str]) -> support::Client {
        let place = format!("SITE.{environment}");
        let named = format!("{}.{environment}", self.site.name);
        let words = ["backup:restore", &place, id, "--confirm", &named];
        self.site.command(&[&words[..], more].concat())
    }

    fn person(&self, role: Role) -> &Person {
        self.site.person(role)
    }

    /// What restic itself lists, as an administrator would without the gateway.
    pub(crate) fn snapshots(&self) -> usize {
        let above = self.site.gateway.data().join("sites").join(&self.site.name);
        let output = Command::new("restic")
            .args(["--no-cache", "--no-lock", "--json", "--repo"])
            .arg(above.join("backups.restic"))
            .arg("--password-file")
            .arg(above.join("backups.password"))
            .arg("snapshots")
            .output()
            .expect("restic, which tests/install-clients.sh installs");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.matches("\"short_id\"").count()
    }
}

#[track_caller]
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_was_destroyed_comes_back_byte_for_byte_and_goes_down_but_not_up() {
    let scene = Scene::new("bk-back");
    let (tree, rows) = (scene.tree("live"), scene.rows("live"));
    let id = scene.make("live");
    fs::remove_dir_all(scene.files("live").join("2026")).unwrap();
    fs::write(scene.files("live").join("link-too"), "junk").unwrap();
    fs::remove_file(scene.database("live")).unwrap();
    let tom = scene.person(Role::TeamMember);
    // Neither without the name, nor by whom Live is not entrusted to; nothing changes.
    let destroyed = scene.tree("live");
    scene
        .site
        .command(&["backup:restore", "SITE.live", &id])
        .run()
        .code(3)
        .says("--confirm bk-back.live")
        .says("[incident ");
    let words = [
        "backup:restore",
        "SITE.live",
        &id,
        "--confirm",
        "bk-back.live",
    ];
    scene
        .site
        .console(tom, &words)
        .run()
        .code(3)
        .says("[incident ");
    destroyed.must_equal(&scene.tree("live"));
    scene
        .restore("live", &id, &[])
        .run()
        .ok()
        .says("Restored files and database");
    tree.must_equal(&scene.tree("live"));
    assert_eq!(scene.rows("live"), rows);
    // What was there before is a backup as well.
    assert_eq!(scene.ids("live").len(), 2);

    scene.restore("dev", &id, &["--from", "live"]).run().ok();
    tree.must_equal(&scene.tree("dev"));
    assert_eq!(scene.rows("dev"), rows);
    let below = scene.make("dev");
    let before = scene.tree("live");
    scene
        .restore("live", &below, &["--from", "dev"])
        .run()
        .code(3)
        .says("not restored upward");
    scene
        .restore("live", &id, &["--element", "code"])
        .run()
        .code(3)
        .says("changes by deploys only");
    before.must_equal(&scene.tree("live"));
    let audit = scene.site.must(&["audit:list", "--format", "json"]).out();
    for rule in [
        "name-not-typed",
        "restore-goes-down",
        "only-where-code-enters",
    ] {
        assert!(audit.contains(rule), "no row of {rule}");
    }
}

#[test]
fn elements_are_handed_out_as_archives_that_other_programs_read() {
    let scene = Scene::new("bk-get");
    let id = scene.make("live");
    let ada = scene.person(Role::Administrator);
    let get = |element: &str| {
        let words = ["backup:get", "SITE.live", &id, "--element", element];
        scene.site.console(ada, &words).run().ok().stdout
    };
    let out = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: Vec<u8>| {
        let path = out.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let run = |program: &str, words: &[&str]| {
        let output = Command::new(program)
            .current_dir(out.path())
            .args(words)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let archive = put("files.tar.gz", get("files"));
    run("tar", &["-xzf", &archive]);
    let unpacked = Tree::read(out.path().join("files_live"));
    unpacked.must_equal(&scene.tree("live"));
    put("database.sqlite.gz", get("database"));
    run("gzip", &["-d", "database.sqlite.gz"]);
    let rows = run(
        "sqlite3",
        &["database.sqlite", "SELECT count(*) FROM upload"],
    );
    assert_eq!(rows.trim(), "20");
    let bundle = put("code.bundle", get("code"));
    run("git", &["clone", "--quiet", &bundle, "clone"]);
    assert!(out.path().join("clone/index.php").exists());
    let words = [
        "backup:get",
        "SITE.live",
        &id,
        "--element",
        "files",
        "--to",
        "x.tar.gz",
    ];
    scene
        .site
        .console(ada, &words)
        .run()
        .ok()
        .says("/backups/x.tar.gz");
    let disk = scene.site.disk("live", "backups").join("x.tar.gz");
    assert_eq!(
        fs::read(disk).unwrap().len(),
        fs::metadata(&archive).unwrap().len() as usize
    );
    let words = [
        "backup:get",
        "SITE.live",
        &id,
        "--element",
        "files",
        "--to",
        "../x",
    ];
    scene.site.console(ada, &words).run().fails();
    // Live's data is no developer's.
    let dave = scene.person(Role::Developer);
    for words in [
        &["backup:get", "SITE.live", &id, "--element", "files"][..],
        &["backup:create", "SITE.live"],
        &["backup:automatic:enable", "SITE.live"],
    ] {
        scene
            .site
            .console(dave, words)
            .run()
            .code(3)
            .says("[incident ");
    }
}

#[test]
fn every_row_has_its_file_though_the_site_is_being_used() {
    let scene = Scene::new("bk-used");
    let mut command = process::command("python3");
    command
        .arg("-c")
        .arg(WRITER)
        .arg(scene.files("live"))
        .arg(scene.database("live"));
    let writer = Process::start(command).expect("python3");
    until("uploads come", || {
        scene.rows("live").iter().any(|row| row == "upload-20")
    });
    let id = scene.make("live");
    let after = scene.rows("live");
    drop(writer);
    scene.restore("live", &id, &[]).run().ok();
    let rows = scene.rows("live");
    assert!(rows.len() > 20, "{rows:?}");
    assert!(
        rows != after,
        "nothing was written while the backup was made"
    );
    let files = scene.files("live");
    let lost: Vec<_> = rows
        .iter()
        .filter(|row| !files.join(row).is_file())
        .collect();
    assert!(
        lost.is_empty(),
        "{} rows without their file: {lost:?}",
        lost.len()
    );
}

/// Uploads and removes files as a site does, a file before its row and a row before its file. What it
/// removes has been there for a while.
const WRITER: &str = "
import os, sqlite3, sys, time
files, path = sys.argv[1:]
database = sqlite3.connect(path, timeout=30, isolation_level=None)
def put(name):
    with open(os.path.join(files, name), 'w') as file:
        file.write(name * 50)
    database.execute('INSERT INTO upload VALUES (?)', (name,))
database.execute('BEGIN')
for number in range(4000):
    put(f'old-{number}')
database.execute('COMMIT')
number = 0
while True:
    put(f'upload-{number}')
    if number < 4000:
        old = f'old-{number}'
        database.execute('DELETE FROM upload WHERE name = ?', (old,))
        os.remove(os.path.join(files, old))
    number += 1
    time.sleep(0.005)
";

#[test]
fn what_was_missed_is_made_when_the_gateway_is_back_and_what_is_over_goes() {
    let scene = Scene::new("bk-missed");
    let id = scene.make("live");
    let enable = [
        "backup:automatic:enable",
        "SITE.live",
        "--day",
        "monday",
        "--hour",
        "3",
    ];
    scene.site.must(&enable);
    scene
        .site
        .must(&["backup:automatic:info", "SITE.live"])
        .says("monday")
        .says("03:");
    let gateway = &scene.site.gateway;
    gateway.stop(Signal::SIGTERM);
    let since = "UPDATE backup_schedule SET since = '2026-01-01T00:00:00Z';
        UPDATE backup SET expires = '2026-01-01T00:00:00Z';";
    let done = Command::new("sqlite3")
        .arg(gateway.data().join("state.db"))
        .arg(since)
        .status()
        .unwrap();
    assert!(done.success());
    gateway.serve();
    until("a backup that was missed", || {
        let ids = scene.ids("live");
        ids.len() == 1 && !ids.contains(&id)
    });
    let made = scene.site.must(&["backup:info", "SITE.live", "latest"]);
    made.says("weekly").says("automated");
    let audit = scene.site.must(&["audit:list", "--format", "json"]).out();
    assert!(audit.contains("backup_automatic") && audit.contains("its time is over"));
    scene.site.must(&["backup:automatic:disable", "SITE.live"]);
}
