//! Sites with content, and looks at what is left of it, for the scenarios of refusals.

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::screen::Screen;
use support::{Client, Finished, Person, Role, Shared, Site};

pub(crate) static SHARED: Shared = Shared::new();

pub(crate) const DUMP: &str = "CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT);\n\
                    INSERT INTO page VALUES (1, 'first');\n";

/// A site whose Live and Test have a page and a picture, and whose Dev has a former content.
pub(crate) fn filled(name: &str) -> Site {
    let site = SHARED.gateway().site(name);
    site.deploy_all();
    let desk = site.person(Role::Administrator).desk(name);
    let archive = desk.join("files.tar");
    fs::write(desk.join("picture.jpg"), name).unwrap();
    let tar = Client::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(&desk);
    tar.arg("picture.jpg").run().ok();
    let archive = fs::read(&archive).unwrap();
    for environment in ["dev", "test", "live"] {
        let place = format!("SITE.{environment}");
        let full = format!("{name}.{environment}");
        let more = ["-", "--confirm", &full];
        let import = |what: &str, input: &[u8]| {
            let words = [&[what, &place][..], &more].concat();
            site.command(&words).input(input).run().ok();
        };
        import("import:database", DUMP.as_bytes());
        import("import:files", &archive);
    }
    site
}

/// All that an environment's folder holds but for logs: names, kinds, and where links lead.
pub(crate) fn content(site: &Site, environment: &str) -> Vec<String> {
    let folder = site.gateway.data().join("sites").join(&site.name);
    let folder = folder.join("environments").join(environment);
    let mut found = Vec::new();
    list(&folder, &folder, &mut found);
    found.sort();
    found
}

fn list(top: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(top).unwrap().display().to_string();
        if kind.is_symlink() {
            found.push(format!(
                "{name} -> {}",
                fs::read_link(&path).unwrap().display()
            ));
        } else if kind.is_dir() && name != "logs" && name != "uploads" {
            found.push(format!("{name}/"));
            list(top, &path, found);
        } else if kind.is_file() {
            found.push(format!(
                "{name} {} {:?}",
                kind.len(),
                kind.modified().unwrap()
            ));
        }
    }
}

/// There is a row of it, with the rule whose sentence the client was told. One that is like those before
/// it is counted in their row, so it is not looked for by its incident.
#[track_caller]
pub(crate) fn audited(site: &Site, done: &Finished, action: &str, rule: &str) {
    assert!(done.screen().contains("[incident "), "no incident: {done}");
    let words = [
        "audit:list",
        "--site",
        "SITE",
        "--rule",
        rule,
        "--limit",
        "500",
    ];
    let printed = site.must(&[&words[..], &["--format", "json"]].concat());
    let rows: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    let is_it = |row: &&Value| row["action"] == action && row["decision"] == "refuse";
    assert!(
        rows.iter().any(|row| is_it(&row)),
        "no row of {action} by {rule}: {rows:?}: {done}"
    );
}

/// Wipes Live at a terminal, answering the question by these keys.
pub(crate) fn asked(site: &Site, who: &Person, keys: &str) -> (Option<i32>, String) {
    let client = who
        .openssh("ssh")
        .args(["-tt", "console@gateway", "env:wipe"])
        .arg(format!("{}.live", site.name));
    let mut screen = Screen::start(client);
    screen.shows("type its name");
    screen.types(keys.as_bytes());
    screen.ends()
}

pub(crate) fn exported(site: &Site, environment: &str) -> String {
    let place = format!("SITE.{environment}");
    let done = site.must(&["export:files", &place, "--archive", "tar"]);
    let listed = Client::new("tar")
        .args(["-tf", "-"])
        .input(done.stdout)
        .run();
    listed.ok().out()
}
