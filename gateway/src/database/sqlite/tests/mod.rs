//! Copies, imports and exports of SQLite databases, with writers in processes of their own, as PHP's are.

mod copies;
mod dumps;
mod figures;
mod kinds;
mod splitting;

use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::database::{Copying, Database, Events, Filled, Form, Trouble, Watcher, replace};

pub(super) struct Nobody;

impl Watcher for Nobody {
    fn at(&self, _bytes: u64, _what: &str) {}
    fn stopped(&self) -> bool {
        false
    }
}

pub(super) fn plainly() -> Copying<'static> {
    Copying {
        without_rows: &[],
        replacement: None,
        events: Events::Kept,
        watcher: &Nobody,
    }
}

/// A temporary folder with databases in it.
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder of databases, which is made.
    pub(super) fn database(&self, name: &str) -> Database {
        let database = Database::Sqlite {
            folder: self.path(name),
        };
        database.create().unwrap();
        database
    }

    /// Opens a file as a site does.
    pub(super) fn site(&self, path: &str) -> Connection {
        Connection::open(self.path(path)).unwrap()
    }
}

pub(super) fn copied(place: &Place, from: &str, to: &str, how: &Copying<'_>) -> Filled {
    let source = Database::Sqlite {
        folder: place.path(from),
    };
    source.copy_to(&place.database(to), how).unwrap()
}

pub(super) fn imported(
    database: &Database,
    dump: impl AsRef<[u8]>,
    form: Form,
) -> Result<Filled, Trouble> {
    database.import(&mut dump.as_ref(), form, &plainly())
}

/// What is said to whoever sends a dump that is refused.
pub(super) fn refusal(result: Result<Filled, Trouble>) -> String {
    match result {
        Err(Trouble::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// Names that are replaced, with the engine's own means.
pub(super) fn replacement() -> replace::Replacement {
    replace::Replacement::new(&[("live.example.org".into(), "dev.example.org".into())]).unwrap()
}

/// What `sqlite3` says.
pub(super) fn sqlite3(path: &Path, sql: &str) -> String {
    let output = Command::new("sqlite3")
        .arg("-batch")
        .arg(path)
        .arg(sql)
        .output()
        .expect("This test needs sqlite3. tests/install-clients.sh installs it.");
    assert!(output.status.success(), "{sql}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A program that writes the same number to two tables, each time in one transaction, until its
/// input ends; and then tells how often, and how long the longest took in milliseconds.
const WRITER: &str = "
import sqlite3, sys, threading, time
paths, mode, pause = sys.argv[3:], sys.argv[1], float(sys.argv[2])
base = sqlite3.connect(paths[0], timeout=60, isolation_level=None)
for number, path in enumerate(paths[1:]):
    base.execute('attach ? as d%d' % number, (path,))
other = 'd0' if len(paths) > 1 else 'main'
for schema in ['main'] + ['d%d' % number for number in range(len(paths) - 1)]:
    base.execute('pragma %s.journal_mode=%s' % (schema, mode))
    base.execute('pragma %s.synchronous=off' % schema)
base.execute('create table if not exists main.one(n integer primary key, filler blob)')
base.execute('create table if not exists %s.two(n integer primary key, filler blob)' % other)
ended = threading.Event()
def wait():
    sys.stdin.read()
    ended.set()
threading.Thread(target=wait, daemon=True).start()
print('ready', flush=True)
count, longest = 0, 0
filler = bytes(3000)
while not ended.is_set():
    began = time.monotonic()
    base.execute('begin immediate')
    base.execute('insert into main.one values(?, ?)', (count, filler))
    base.execute('insert into %s.two values(?, ?)' % other, (count, filler))
    base.execute('update main.one set filler=? where n = ? / 2', (filler, count))
    base.execute('commit')
    longest = max(longest, time.monotonic() - began)
    count += 1
    time.sleep(pause)
print(count, int(longest * 1000), flush=True)
";

pub(super) struct Writer {
    child: Child,
}

/// How often a writer wrote, and how long the longest time took in milliseconds.
pub(super) struct Wrote {
    pub(super) times: u64,
    pub(super) longest: u64,
}

impl Writer {
    pub(super) fn start(mode: &str, pause: &str, paths: &[PathBuf]) -> Self {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", WRITER, mode, pause])
            .args(paths)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut reader = std::io::BufReader::with_capacity(1, child.stdout.take().unwrap());
        reader.read_line(&mut first).unwrap();
        assert_eq!(first.trim(), "ready");
        child.stdout = Some(reader.into_inner());
        Self { child }
    }

    pub(super) fn end(mut self) -> Wrote {
        drop(self.child.stdin.take());
        let output = std::io::read_to_string(self.child.stdout.take().unwrap()).unwrap();
        assert!(self.child.wait().unwrap().success());
        let (times, longest) = output.trim().split_once(' ').unwrap();
        Wrote {
            times: times.parse().unwrap(),
            longest: longest.parse().unwrap(),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fills a table until the file has about so many bytes.
pub(super) fn grow(connection: &Connection, bytes: u64) {
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous=OFF; CREATE TABLE IF NOT EXISTS bulk(id INTEGER PRIMARY KEY, title TEXT, body TEXT);
             CREATE INDEX IF NOT EXISTS bulk_title ON bulk(title);
             INSERT INTO bulk(title, body) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
             SELECT 'title ' || i, hex(randomblob(400)) FROM n;",
            bytes / 850
        ))
        .unwrap();
}

pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}
