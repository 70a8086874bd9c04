//! Content on MariaDB that is cut off: the daemon is killed at points of a copy, the server of databases is
//! killed, gone, or does not know the gateway any more, and who sends a dump is killed. What an
//! environment has then is the old content or the new one, and at the next start nothing is left on the
//! server that nobody has.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::wait_for;

use crate::content_scene::{Scene, Server};
use crate::crash_points::{Faults, Point, chosen};

/// A site on MariaDB whose gateway obeys orders.
struct Cut {
    scene: Scene,
    faults: Faults,
}

impl Cut {
    fn new(name: &str) -> Self {
        let scene = Scene::mariadb(name);
        let faults = Faults::new(scene.site.gateway.folder().join("faults"));
        scene.fill("live", 300);
        scene.fill("dev", 100);
        let cut = Self { scene, faults };
        cut.restart();
        cut
    }

    /// Starts the daemon, after it was stopped or killed; returns what it says.
    fn restart(&self) -> String {
        let gateway = &self.scene.site.gateway;
        if gateway.ended_within(Duration::ZERO).is_none() {
            assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
        }
        self.serve()
    }

    fn serve(&self) -> String {
        let gateway = &self.scene.site.gateway;
        let before = gateway.logged().len();
        gateway.serve_with(&[self.faults.variable()]);
        gateway.logged()[before..].to_owned()
    }

    /// Gives Live something that Dev does not have; returns what Dev is to show then.
    fn new_on_live(&self, what: &str) -> String {
        self.scene
            .sql("live", &format!("UPDATE origin SET name = '{what}'"));
        let files = self.scene.fact("live", "FILES");
        fs::write(std::path::Path::new(&files).join("origin.txt"), what).unwrap();
        self.scene.seen("live")
    }

    fn clone(&self) -> support::Client {
        self.scene
            .lead_does(&["env:clone-content", "SITE.live", "dev"])
    }

    /// Requires that there is nothing on the server and in the folders but what environments have and
    /// had.
    #[track_caller]
    fn nothing_is_left(&self, when: &str) {
        let mut kept = BTreeSet::new();
        for environment in ["dev", "test", "live"] {
            let stores = self.scene.folder(environment).join("stores");
            let mut databases = 0;
            for entry in fs::read_dir(stores).unwrap() {
                let account = entry.unwrap().path().join("account.json");
                if let Ok(text) = fs::read_to_string(account) {
                    let account: serde_json::Value = serde_json::from_str(&text).unwrap();
                    kept.insert(account["name"].as_str().unwrap().to_owned());
                    databases += 1;
                }
            }
            assert!(
                databases <= 2,
                "{when}: {environment} keeps {databases} databases"
            );
            let contents = fs::read_dir(self.scene.folder(environment).join("contents")).unwrap();
            assert!(
                contents.count() <= 2,
                "{when}: contents of {environment} are left"
            );
        }
        let server = self.scene.mariadb_server();
        let listed = |sql: &str| -> BTreeSet<String> {
            server.sql(sql).lines().map(str::to_owned).collect()
        };
        assert_eq!(
            listed("SHOW DATABASES LIKE 'f\\_%'"),
            kept,
            "{when}: databases on the server"
        );
        let users = listed("SELECT DISTINCT User FROM mysql.user WHERE User LIKE 'f\\_%'");
        assert_eq!(users, kept, "{when}: users on the server");
    }

    fn recorded(&self) -> Vec<Point> {
        for warming in ["warm-1", "warm-2"] {
            self.new_on_live(warming);
            self.clone().run().ok();
        }
        self.new_on_live("recorded");
        self.faults.record();
        self.clone().run().ok();
        let points = self.faults.recorded();
        points
            .into_iter()
            .filter(|point| !point.is_aside())
            .collect()
    }
}

#[test]
fn the_daemon_is_killed_at_points_of_a_copy_on_mariadb() {
    let cut = Cut::new("cc-daemon");
    let points = cut.recorded();
    let mut turned = false;
    let mut tried = 0;
    for (number, point) in chosen(&points, 1, 4).iter().enumerate() {
        let what = format!("k{number}");
        let (before, new) = (cut.scene.seen("dev"), cut.new_on_live(&what));
        cut.faults.kill(point);
        let finished = cut.clone().run();
        cut.scene.site.gateway.ended();
        cut.faults.clear();
        let said = cut.serve();
        let after = cut.scene.seen("dev");
        assert!(
            after == before || after == new,
            "{point}: a mixture: {after}"
        );
        assert!(after == new || !turned, "{point} leads back");
        assert!(
            after == new || finished.code != Some(0),
            "{point}: success was told: {finished}"
        );
        turned = after == new;
        cut.nothing_is_left(&point.to_string());
        let begun = points.iter().position(|one| one.name == "content-begun");
        let at = points.iter().position(|one| one == point);
        if !turned && at > begun {
            assert!(
                said.contains("which nobody has any more"),
                "{point}: what was cleared away is not listed:\n{said}"
            );
        }
        if !turned {
            cut.clone().run().ok();
            assert_eq!(cut.scene.seen("dev"), new, "{point}: the next try");
        }
        tried += 1;
    }
    assert!(turned, "late enough, it is the new content");
    println!(
        "the daemon was killed at {tried} points of a copy on MariaDB (it has {})",
        points.len()
    );
    cut.scene.site.must(&["audit:verify"]);
}

#[test]
fn the_server_of_databases_is_killed_or_gone_or_knows_nobody() {
    let mut cut = Cut::new("cc-server");
    let points = cut.recorded();
    let held = [
        "content-begun",
        "database copy: the moment is taken",
        "database copy: tables are made",
        "database copy: rows are there",
        "clone-database",
        "content-synced",
        "content-pointer-renamed",
    ];
    for (number, name) in held.iter().enumerate() {
        let point = points.iter().find(|point| point.name == *name);
        let point = point.unwrap_or_else(|| panic!("{name} is not in {points:?}"));
        let what = format!("s{number}");
        let (before, new) = (cut.scene.seen("dev"), cut.new_on_live(&what));
        cut.faults.hold(point);
        let copying = cut.clone().start();
        assert!(cut.faults.reached_before(|| false), "{name} is not reached");
        server(&mut cut).kill();
        cut.faults.clear();
        let finished = copying.finish();
        // Whoever starts while the server is away starts all the same, and says what it cannot do.
        if number == 1 {
            cut.restart();
        }
        server(&mut cut).run();
        let after = cut.scene.seen("dev");
        let told = finished.code == Some(0);
        assert_eq!(
            after,
            if told { new.clone() } else { before },
            "{name}: {finished}"
        );
        if !told {
            finished.says("Nothing was changed");
        }
        cut.restart();
        cut.nothing_is_left(name);
        cut.clone().run().ok();
        assert_eq!(cut.scene.seen("dev"), new, "{name}: the next try");
    }

    // Gone before anything begins.
    let whole = cut.scene.seen("dev");
    server(&mut cut).kill();
    for words in [
        &["env:clone-content", "SITE.live", "dev"][..],
        &["env:wipe", "SITE.dev"],
        &["import:database", "SITE.dev", "-"],
    ] {
        cut.scene
            .lead_does(words)
            .input("CREATE TABLE a (b INT);")
            .run()
            .fails();
    }
    server(&mut cut).run();
    assert_eq!(cut.scene.seen("dev"), whole);

    // It does not know the gateway any more.
    let change = |cut: &mut Cut, password: &str| {
        let password = password.replace('\\', "\\\\").replace('\'', "\\'");
        for host in ["%", "localhost"] {
            server(cut).sql(&format!(
                "ALTER USER 'gateway'@'{host}' IDENTIFIED BY '{password}'"
            ));
        }
    };
    change(&mut cut, "another");
    // Why is for the administrator, in the log.
    let from = cut.scene.site.gateway.logged().len();
    cut.clone().run().fails().says("Nothing was changed");
    let said = cut.scene.site.gateway.logged()[from..].to_lowercase();
    assert!(said.contains("access denied"), "{said}");
    change(&mut cut, support::mariadb::PASSWORD);
    assert_eq!(cut.scene.seen("dev"), whole);
    cut.restart();
    cut.nothing_is_left("after a wrong password");
    cut.clone().run().ok();
    cut.scene.site.must(&["audit:verify"]);
}

#[test]
fn who_sends_a_dump_is_killed() {
    let cut = Cut::new("cc-dump");
    let whole = cut.scene.seen("dev");
    let dump = cut.scene.dump("dev", "dev", "dump");
    for (number, part) in [dump.len() / 3, dump.len() - 30].into_iter().enumerate() {
        let mut sending = cut
            .scene
            .lead_does(&["import:database", "SITE.dev", "-"])
            .start_piped();
        let mut stdin = sending.child().stdin.take().unwrap();
        stdin.write_all(&dump[..part]).unwrap();
        stdin.flush().unwrap();
        let listing = || {
            cut.scene
                .site
                .must(&["workflow:list", "SITE", "--format", "json"])
                .out()
        };
        wait_for("the import to begin", Duration::from_secs(60), || {
            listing().contains("running").then_some(())
        });
        sending.signal_group(Signal::SIGKILL);
        drop(stdin);
        wait_for("the import to end", Duration::from_secs(60), || {
            (!listing().contains("running")).then_some(())
        });
        assert_eq!(cut.scene.seen("dev"), whole, "{number}: {}", listing());
        cut.nothing_is_left("after a dump that was cut off");
    }
    let import = cut.scene.lead_does(&["import:database", "SITE.dev", "-"]);
    import.input(&dump).run().ok();
    assert_eq!(
        cut.scene.seen("dev"),
        whole.replacen("| dev |", "| dump |", 1)
    );
}

fn server(cut: &mut Cut) -> &mut support::mariadb::Mariadb {
    match &mut cut.scene.server {
        Server::Mariadb(server) => server,
        Server::Sqlite => panic!("this site is on MariaDB"),
    }
}
