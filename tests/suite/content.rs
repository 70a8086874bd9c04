//! Content in ordinary use: it comes down with the names of hosts replaced and private data gone before
//! anybody can read it, comes and goes with a deploy or not at all, and who was at work in the files meanwhile
//! is told.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use support::{Client, Clone, Role, Shared, clients, wait_for};

use crate::content_scene::Scene;
use crate::sftp_python::PARAMIKO;
use crate::steps::step;

static SHARED: Shared = Shared::new();

/// A site in Git mode whose Live has content, and a clone of its code.
fn scene(name: &str) -> (Scene, Clone) {
    let scene = Scene::sqlite(&SHARED.gateway(), name);
    scene.site.set_mode("git");
    scene.fill("live", 500);
    let clone = Clone::new(&scene.site, scene.site.person(Role::TeamMember));
    (scene, clone)
}

/// Brings a funicular.toml to all environments.
fn with_steps(scene: &Scene, clone: &Clone, file: &str) {
    clone.commit("funicular.toml", file);
    clone.must(&["push", "--quiet", "dev", "main"]);
    scene.site.deploy_all();
}

/// A step that runs statements on the content that it is told of.
fn sql_step(name: &str, event: &str, sql: &str) -> String {
    let script = format!(
        "import glob, os, sqlite3\n\
         for name in glob.glob(os.environ[\"FUNICULAR_DATABASE_DIR\"] + \"/*.db\"):\n    \
             sqlite3.connect(name).executescript(\"{sql}\")\n"
    );
    format!(
        "[[step]]\nname = '{name}'\nevent = '{event}'\nstage = 'before'\n\
         command = ['/usr/bin/python3', '-c', '''{script}''']\n"
    )
}

#[test]
fn content_comes_down_with_its_hosts_replaced_and_its_people_removed() {
    let (scene, clone) = scene("c-down");
    let sanitise = sql_step(
        "sanitise",
        "clone_content",
        "DELETE FROM people WHERE 1 = 1;",
    );
    with_steps(&scene, &clone, &sanitise);
    scene.sql(
        "live",
        "CREATE TABLE people (mail TEXT); INSERT INTO people VALUES ('anna@example.net');
         CREATE TABLE pages (url TEXT, kept TEXT);
         INSERT INTO pages VALUES ('https://www.example.org/a', 's:23:\"https://www.example.org\";');",
    );
    scene.site.must(&[
        "domain:map",
        "SITE",
        "live",
        "dev",
        "www.example.org=dev.example.org",
    ]);
    let live = scene.seen("live");
    let tom = scene.site.person(Role::TeamMember);
    let done = scene
        .site
        .console(tom, &["env:clone-content", "SITE.live", "dev"])
        .run()
        .ok();
    done.says("Cloned files and database from \"live\" to \"dev\".");
    assert_eq!(scene.seen("dev"), live, "all else is there");
    assert_eq!(scene.sql("dev", "SELECT count(*) FROM people"), "0");
    assert_eq!(
        scene.sql("live", "SELECT mail FROM people"),
        "anna@example.net"
    );
    assert_eq!(
        scene.sql("dev", "SELECT url, kept FROM pages"),
        "https://dev.example.org/a\ts:23:\"https://dev.example.org\";"
    );
    assert_eq!(
        scene.sql("live", "SELECT url FROM pages"),
        "https://www.example.org/a"
    );
    // No version of Dev's has ever held her, on the disk either.
    let found = Client::new("grep")
        .args(["-rlaF", "anna@example.net"])
        .arg(scene.folder("dev").join("stores"))
        .run();
    assert_eq!(found.out(), "", "raw data of Live in what belongs to Dev");
    let horse = PathBuf::from(scene.fact("dev", "FILES")).join("fotos/žluťoučký/kůň.jpg");
    assert_eq!(fs::read_to_string(horse).unwrap(), "a horse of live");

    // A step that fails: there is no copy.
    let fails = step(
        "sanitise",
        "'clone_content'",
        "before",
        "echo cannot; exit 7",
    );
    with_steps(&scene, &clone, &fails);
    let whole = whole(&scene, "dev");
    let done = scene
        .site
        .console(tom, &["env:clone-content", "SITE.live", "dev"])
        .run()
        .fails();
    assert!(done.screen().contains("sanitise"), "{done}");
    assert_eq!(self::whole(&scene, "dev"), whole);
}

#[test]
fn a_deploy_brings_code_and_content_together_or_neither() {
    let (scene, clone) = scene("c-deploy");
    let marks = sql_step("updatedb", "updatedb", "CREATE TABLE updated (n INTEGER);");
    clone.commit("funicular.toml", &marks);
    let version = clone.commit("index.php", "<?php echo 'second';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    let deploy = ["env:deploy", "SITE.test", "--sync-content", "--updatedb"];
    let tom = scene.site.person(Role::TeamMember);
    scene.site.console(tom, &deploy).run().ok();
    assert_eq!(runs(&scene), version);
    assert_eq!(scene.fact("test", "COMMIT"), version);
    assert_eq!(scene.sql("test", "SELECT name FROM origin"), "live");
    assert_eq!(
        scene.sql(
            "test",
            "SELECT count(*) FROM sqlite_master WHERE name = 'updated'"
        ),
        "1"
    );
    assert_eq!(
        scene.sql(
            "live",
            "SELECT count(*) FROM sqlite_master WHERE name = 'updated'"
        ),
        "0"
    );

    // An update that fails is a deploy that fails: code, files and database are as they were.
    clone.commit(
        "funicular.toml",
        &step("updatedb", "'updatedb'", "before", "echo no; exit 3"),
    );
    clone.commit("index.php", "<?php echo 'third';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    scene.sql("live", "UPDATE origin SET name = 'newer'");
    let before = (whole(&scene, "test"), runs(&scene), generations(&scene));
    let failed = scene.site.console(tom, &deploy).run().fails();
    assert!(failed.screen().contains("updatedb"), "{failed}");
    assert_eq!(
        (whole(&scene, "test"), runs(&scene), generations(&scene)),
        before
    );
    let rows = scene
        .site
        .must(&[
            "audit:list",
            "--site",
            "SITE",
            "--env",
            "test",
            "--format",
            "json",
        ])
        .out();
    let rows: Value = serde_json::from_str(&rows).unwrap();
    let failed = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["outcome"] == "failed")
        .count();
    assert_eq!(failed, 1, "{rows}");
    // Without it the same code goes, with the content.
    scene.site.console(tom, &deploy[..3]).run().ok();
    assert_eq!(scene.sql("test", "SELECT name FROM origin"), "newer");
}

#[test]
fn who_was_writing_files_when_they_were_replaced_is_told() {
    let (scene, _clone) = scene("c-handle");
    let tom = scene.site.person(Role::TeamMember);
    let desk = tom.desk("c-handle");
    let script = format!(
        "{PARAMIKO}
import time
file = sftp.open('/files/late.txt', 'w')
file.write('first half\\n'); file.flush()
open('opened', 'w').close()
while not os.path.exists('turned'): time.sleep(0.01)
try:
    file.write('second half\\n'); file.flush(); file.close()
    print('WRITTEN')
except (IOError, OSError) as error:
    print('REFUSED', error)
with sftp.open('/files/origin.txt') as there: print(there.read().decode())
"
    );
    let writing = clients::python("paramiko", &script)
        .env("HOME", tom.home())
        .env("HOST", scene.site.address().ip().to_string())
        .env("PORT", scene.site.address().port().to_string())
        .env("LOGIN", scene.site.login("dev"))
        .env("KEY", tom.key())
        .folder(&desk)
        .start();
    wait_for("the file to be open", Duration::from_secs(60), || {
        desk.join("opened").exists().then_some(())
    });
    scene
        .site
        .console(tom, &["env:clone-content", "SITE.live", "dev"])
        .run()
        .ok();
    let files = PathBuf::from(scene.fact("dev", "FILES"));
    fs::write(desk.join("turned"), "").unwrap();
    let said = writing.finish().ok();
    println!("{}", said.out());
    assert!(said.out().contains("REFUSED"), "{said}");
    assert!(
        said.out().contains("live"),
        "a new handle reads the new content: {said}"
    );
    assert!(
        !files.join("late.txt").exists(),
        "half a file of the former content"
    );
}

#[test]
fn an_rsync_that_runs_meanwhile_ends_in_one_content() {
    let (scene, _clone) = scene("c-rsync");
    let tom = scene.site.person(Role::TeamMember);
    let desk = tom.desk("c-rsync");
    for number in 0..400 {
        fs::create_dir_all(desk.join("many")).unwrap();
        fs::write(
            desk.join(format!("many/{number}.txt")),
            format!("{number}\n").repeat(300),
        )
        .unwrap();
    }
    let rsync = || {
        tom.client("rsync")
            .args(["-a", "--bwlimit=700", "-e", &tom.ssh_command(), "many/"])
            .arg(format!("{}:/files/many/", scene.site.destination("dev")))
            .folder(&desk)
    };
    let running = rsync().start();
    let there = || PathBuf::from(scene.fact("dev", "FILES")).join("many");
    wait_for("rsync to have begun", Duration::from_secs(60), || {
        fs::read_dir(there()).ok()?.next().map(drop)
    });
    scene
        .site
        .console(tom, &["env:clone-content", "SITE.live", "dev"])
        .run()
        .ok();
    let done = running.finish();
    println!("rsync while content turned: {done}");
    let now = there();
    if done.code == Some(0) {
        assert!(now.is_dir(), "it was told of success, and nothing is there");
    }
    assert_eq!(scene.sql("dev", "SELECT name FROM origin"), "live");
    // What it was told has failed is repeated, and then all is there.
    rsync().run().ok();
    assert_eq!(fs::read_dir(now).unwrap().count(), 400);
}

fn runs(scene: &Scene) -> String {
    scene
        .site
        .must(&["env:info", "SITE.test", "--field", "commit"])
        .out()
        .trim()
        .to_owned()
}

fn generations(scene: &Scene) -> PathBuf {
    fs::canonicalize(scene.folder("test").join("current")).unwrap()
}

/// What leads where, the database and the files of an environment.
fn whole(scene: &Scene, environment: &str) -> (PathBuf, String, support::Tree) {
    let content = fs::canonicalize(scene.folder(environment).join("content")).unwrap();
    let files = support::Tree::read(PathBuf::from(scene.fact(environment, "FILES")));
    (content, scene.seen(environment), files)
}
