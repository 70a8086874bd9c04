//! What can be cut off while content is replaced: cloned, imported, emptied, brought back, brought by a deploy;
//! on SQLite, where all of it is on one disk.

use std::fs;
use std::path::{Path, PathBuf};

use support::{Client, Tree};

use crate::crash_operations::Wanted;
use crate::crash_site::Scene;

/// Gives Live something new.
pub(crate) fn new_on_live(scene: &Scene, what: &str) -> Wanted {
    write(scene, "live", what);
    Wanted::Content(what.to_owned())
}

pub(crate) fn clone(scene: &Scene) -> Client {
    scene.admin(&["env:clone-content", "SITE.live", "dev"])
}

/// Gives Live something new, and Dev a commit that Test has not had.
pub(crate) fn new_on_both(scene: &Scene, what: &str) -> Wanted {
    let commit = scene.change(what);
    scene.push().run().ok();
    write(scene, "live", what);
    Wanted::Both(commit, what.to_owned())
}

pub(crate) fn deploy(scene: &Scene) -> Client {
    scene.admin(&["env:deploy", "SITE.test", "--sync-content"])
}

/// Dev has something, of which the database or the files are then replaced.
pub(crate) fn dump_to_come(scene: &Scene, what: &str) -> Wanted {
    write(scene, "dev", &format!("before-{what}"));
    Wanted::Database(what.to_owned())
}

pub(crate) fn import_database(scene: &Scene, what: &str) -> Client {
    scene
        .admin(&["import:database", "SITE.dev", "-"])
        .input(sql(what))
}

pub(crate) fn files_to_come(scene: &Scene, what: &str) -> Wanted {
    write(scene, "dev", &format!("before-{what}"));
    Wanted::Files(what.to_owned())
}

pub(crate) fn import_files(scene: &Scene, what: &str) -> Client {
    let folder = scene.tom.desk(&format!("archive-{what}"));
    write_files(&folder, what);
    let archive = Client::new("tar")
        .arg("-C")
        .arg(&folder)
        .args(["-cz", "."])
        .run()
        .ok()
        .stdout;
    scene
        .admin(&["import:files", "SITE.dev", "-"])
        .input(archive)
}

pub(crate) fn something_there(scene: &Scene, what: &str) -> Wanted {
    write(scene, "dev", what);
    Wanted::Content(String::new())
}

pub(crate) fn wipe(scene: &Scene) -> Client {
    scene.admin(&["env:wipe", "SITE.dev"])
}

pub(crate) fn wiped(scene: &Scene, what: &str) -> Wanted {
    write(scene, "dev", what);
    wipe(scene).run().ok();
    Wanted::Content(what.to_owned())
}

pub(crate) fn undo(scene: &Scene) -> Client {
    scene.admin(&["env:undo-content", "SITE.dev"])
}

/// What an environment holds of files and database, in words that a mixture shows in.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Content {
    pub(crate) files: String,
    pub(crate) database: String,
}

/// Reads what an environment holds; that it leads somewhere, and that nothing is left beside it.
#[track_caller]
pub(crate) fn content(scene: &Scene, environment: &str) -> Content {
    let folder = scene.folder(environment);
    let here = fs::canonicalize(folder.join("content")).unwrap();
    let listed = |name: &str| -> Vec<PathBuf> {
        let found = fs::read_dir(folder.join(name)).unwrap();
        found.map(|entry| entry.unwrap().path()).collect()
    };
    // What it has, what it had, and old files that the next copy begins with.
    let (contents, mut stores) = (listed("contents"), listed("stores"));
    assert!(contents.len() <= 2, "{environment} keeps {contents:?}");
    stores.retain(|path| !path.ends_with("files-spare"));
    for kept in &contents {
        for half in ["files", "database"] {
            let store = fs::canonicalize(kept.join(half)).unwrap();
            stores.retain(|path| !store.starts_with(path));
        }
    }
    assert!(stores.is_empty(), "nobody has {stores:?}");
    let database = here.join("database/data");
    assert_eq!(
        fs::canonicalize(folder.join("settings/settings.json")).unwrap(),
        here.join("settings.json"),
        "what the site of {environment} reads"
    );
    let files = Tree::read(fs::canonicalize(here.join("files")).unwrap());
    Content {
        files: of_files(&files),
        database: of_database(&database),
    }
}

/// One word if all files say the same, and all of them else.
fn of_files(files: &Tree) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut count = 0;
    for path in files.paths() {
        if let Some(text) = files.content(path) {
            count += 1;
            let text = String::from_utf8_lossy(text).into_owned();
            if !said.contains(&text) {
                said.push(text);
            }
        }
    }
    match said.as_slice() {
        [] => String::new(),
        [one] if count == FILES => one.clone(),
        _mixture => format!("{count} files: {said:?}"),
    }
}

/// One word if all rows say the same, and all that is there else.
fn of_database(folder: &Path) -> String {
    let found = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let Some(file) = found.into_iter().find(|path| {
        path.extension()
            .is_some_and(|kind| kind == "db" || kind == "sqlite")
    }) else {
        return String::new();
    };
    const SCRIPT: &str = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30)
whole = database.execute('PRAGMA integrity_check').fetchone()[0]
tables = [name for (name,) in database.execute(\"SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1\")]
rows = {name: database.execute(f'SELECT said, count(*) FROM {name} GROUP BY 1').fetchall() for name in tables}
words = {said for found in rows.values() for said, _ in found}
same = whole == 'ok' and len(words) == 1 and [[count for _, count in found] for found in rows.values()] == [[1], [200]]
print(words.pop() if same else '' if whole == 'ok' and not tables else f'{whole} {rows}')
";
    let read = Client::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .arg(file)
        .run()
        .ok();
    read.out().trim_end().to_owned()
}

const FILES: usize = 30;

fn write(scene: &Scene, environment: &str, what: &str) {
    let content = fs::canonicalize(scene.folder(environment).join("content")).unwrap();
    let files = fs::canonicalize(content.join("files")).unwrap();
    for entry in fs::read_dir(&files).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    write_files(&files, what);
    let database = content.join("database/data");
    const SCRIPT: &str = "
import glob, os, sqlite3, sys
for name in glob.glob(sys.argv[1] + '/*'): os.unlink(name)
sqlite3.connect(sys.argv[1] + '/site.db').executescript(sys.stdin.read())
";
    Client::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .arg(database)
        .input(sql(what))
        .run()
        .ok();
}

fn write_files(folder: &Path, what: &str) {
    for number in 0..FILES {
        let path = folder.join(format!("folder {}/{number}.txt", number % 3));
        fs::create_dir_all(path.parent().expect("it lies in a folder")).unwrap();
        fs::write(path, what).unwrap();
    }
}

fn sql(what: &str) -> String {
    let rows: Vec<String> = (0..200).map(|_row| format!("('{what}')")).collect();
    format!(
        "CREATE TABLE a (said TEXT);\nINSERT INTO a VALUES ('{what}');\n\
         CREATE TABLE z (said TEXT);\nINSERT INTO z VALUES {};\n",
        rows.join(", ")
    )
}
