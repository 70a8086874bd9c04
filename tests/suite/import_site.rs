//! A whole site from one archive: code as a commit, files and database as content, together or not at all.

use std::fs;
use std::path::Path;

use support::{Client, Role, Shared, Site};

static SHARED: Shared = Shared::new();

const DUMP: &str = "CREATE TABLE page (id INTEGER PRIMARY KEY, title TEXT);\n\
                    INSERT INTO page VALUES (1, 'brought along');\n";

/// An archive of these files.
fn archive(site: &Site, name: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let desk = site.person(Role::Administrator).desk(name);
    let folder = desk.join("site");
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let packed = desk.join("site.tar.gz");
    let tar = Client::new("tar").arg("-czf").arg(&packed).arg("-C");
    tar.arg(&folder).arg(".").run().ok();
    fs::read(packed).unwrap()
}

fn import(site: &Site, who: Role, archive: Vec<u8>) -> support::Finished {
    let person = site.person(who);
    let words = ["import:site", "SITE", "-"];
    site.console(person, &words).input(archive).run()
}

fn title(site: &Site) -> String {
    let exported = site.must(&["export:database", "SITE.dev"]).stdout;
    let file = site.person(Role::Administrator).desk("exported").join("db");
    fs::write(&file, exported).unwrap();
    let asked = Client::new("sqlite3")
        .arg(&file)
        .arg("SELECT title FROM page");
    asked.run().ok().out()
}

#[test]
fn code_files_and_database_come_together() {
    let site = SHARED.gateway().site("is-whole");
    let whole = archive(
        &site,
        "is-whole",
        &[
            ("code/index.html", "<h1>Brought along</h1>\n"),
            ("files/picture.jpg", "a picture"),
            ("database.sql", DUMP),
        ],
    );
    import(&site, Role::Developer, whole)
        .ok()
        .says("Imported the site");
    let code = site.tree("dev", "code");
    assert_eq!(
        code.content("index.html"),
        Some(&b"<h1>Brought along</h1>\n"[..])
    );
    let files = site.tree("dev", "files");
    assert_eq!(files.content("picture.jpg"), Some(&b"a picture"[..]));
    assert_eq!(title(&site).trim(), "brought along");
    let log = site.must(&["env:code-log", "SITE.dev"]).out();
    assert!(log.contains("Import the site"), "{log}");
    // What it had is one undo away, and the code is a commit like any other.
    site.must(&["env:undo-content", "SITE.dev"]);
    assert!(!site.tree("dev", "files").holds("picture.jpg"));
}

#[test]
fn what_is_not_whole_changes_nothing() {
    let site = SHARED.gateway().site("is-refused");
    let before = (site.tree("dev", "code"), site.tree("dev", "files"));
    let cut = DUMP.trim_end().trim_end_matches(';').trim_end_matches(')');
    for (name, files, said) in [
        (
            "is-nothing",
            &[("readme.txt", "no site")][..],
            "has nothing of a site",
        ),
        (
            "is-cut",
            &[
                ("code/index.html", "never\n"),
                ("files/never.jpg", "never"),
                ("database.sql", cut),
            ],
            "line 2",
        ),
        (
            "is-git",
            &[("code/.git/config", "[core]"), ("files/never.jpg", "never")],
            "code",
        ),
    ] {
        let done = import(&site, Role::Developer, archive(&site, name, files));
        done.fails().says(said);
    }
    let whole = archive(&site, "is-viewer", &[("files/never.jpg", "never")]);
    let done = import(&site, Role::Viewer, whole).code(3);
    done.says("viewer").says("[incident ");
    before.0.must_equal(&site.tree("dev", "code"));
    before.1.must_equal(&site.tree("dev", "files"));
    let uploads = site.disk("dev", "uploads");
    let left = fs::read_dir(Path::new(&uploads)).unwrap().count();
    assert_eq!(left, 0, "the archives are gone");
}
