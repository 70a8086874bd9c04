//! Sites that have content, on each engine, and what can be seen of it from outside: by the settings
//! that the gateway writes for a site, as its own programs read them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::mariadb::{self, Mariadb};
use support::{Client, Finished, Gateway, Person, Role, Site};

/// What speaks SQL for a scene.
pub(crate) enum Server {
    Sqlite,
    Mariadb(Mariadb),
}

/// A site whose Dev, Test and Live are deployed, with databases of one engine.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) server: Server,
}

impl Scene {
    /// A site on SQLite, on a gateway that may have others.
    pub(crate) fn sqlite(gateway: &Arc<Gateway>, name: &str) -> Self {
        Self::of(gateway, name, Server::Sqlite)
    }

    /// A site on a MariaDB and a gateway of its own.
    pub(crate) fn mariadb(name: &str) -> Self {
        let server = Mariadb::start();
        let gateway = Arc::new(Gateway::start());
        let address = format!("127.0.0.1:{}", server.port());
        name_server(
            &gateway,
            "mariadb",
            &address,
            mariadb::ACCOUNT,
            mariadb::PASSWORD,
        );
        Self::of(&gateway, name, Server::Mariadb(server))
    }

    fn of(gateway: &Arc<Gateway>, name: &str, server: Server) -> Self {
        let site = gateway.site(name);
        site.deploy_all();
        let scene = Self { site, server };
        if !matches!(scene.server, Server::Sqlite) {
            let engine = scene.engine();
            scene
                .site
                .must(&["site:set", "SITE", "database", engine, "--yes"]);
        }
        scene
    }

    pub(crate) fn engine(&self) -> &'static str {
        match self.server {
            Server::Sqlite => "sqlite",
            Server::Mariadb(_) => "mariadb",
        }
    }

    pub(crate) fn mariadb_server(&self) -> &Mariadb {
        match &self.server {
            Server::Mariadb(server) => server,
            Server::Sqlite => panic!("this site is on SQLite"),
        }
    }

    /// The site's administrator.
    pub(crate) fn lead(&self) -> &Person {
        self.site.person(Role::Administrator)
    }

    pub(crate) fn folder(&self, environment: &str) -> PathBuf {
        let site = self.site.gateway.data().join("sites").join(&self.site.name);
        site.join("environments").join(environment)
    }

    /// The file in which a site's programs find their content.
    pub(crate) fn settings_file(&self, environment: &str) -> PathBuf {
        self.folder(environment).join("settings/settings.json")
    }

    /// One of the facts that the site is told, `DATABASE_NAME` say.
    #[track_caller]
    pub(crate) fn fact(&self, environment: &str, name: &str) -> String {
        let text = fs::read_to_string(self.settings_file(environment)).unwrap();
        let settings: Value = serde_json::from_str(&text).unwrap();
        let fact = &settings[format!("FUNICULAR_{name}")];
        fact.as_str()
            .unwrap_or_else(|| panic!("{environment} is not told {name}: {text}"))
            .to_owned()
    }

    /// Runs statements in the database of an environment, as its site would; returns what they print.
    #[track_caller]
    pub(crate) fn sql(&self, environment: &str, sql: &str) -> String {
        match &self.server {
            Server::Mariadb(server) => server.sql_in(&self.fact(environment, "DATABASE_NAME"), sql),
            Server::Sqlite => python_sqlite(&self.fact(environment, "DATABASE_DIR"), sql)
                .ok()
                .out()
                .trim_end()
                .to_owned(),
        }
    }

    /// Gives an environment a database and files that say where they are from.
    pub(crate) fn fill(&self, environment: &str, rows: usize) {
        let sql = match self.server {
            Server::Sqlite => SQLITE,
            Server::Mariadb(_) => MARIADB,
        };
        let sql = sql
            .replace("ORIGIN", environment)
            .replace("ROWS", &rows.to_string());
        self.sql(environment, &sql);
        let files = PathBuf::from(self.fact(environment, "FILES"));
        fs::write(files.join("origin.txt"), environment).unwrap();
        fs::create_dir_all(files.join("fotos/žluťoučký")).unwrap();
        fs::write(
            files.join("fotos/žluťoučký/kůň.jpg"),
            format!("a horse of {environment}"),
        )
        .unwrap();
    }

    /// What somebody sees of a database and files in the form that [`Scene::queries`] ask for it.
    pub(crate) fn seen(&self, environment: &str) -> String {
        let mut seen: Vec<String> = Vec::new();
        for query in self.queries() {
            seen.push(self.sql(environment, &query));
            if seen == ["0"] || seen == [""] {
                seen = vec!["0".to_owned()];
                break;
            }
        }
        let origin = PathBuf::from(self.fact(environment, "FILES")).join("origin.txt");
        seen.push(match fs::read_to_string(origin) {
            Ok(origin) => format!("files of {origin}"),
            Err(_) => "no files".to_owned(),
        });
        seen.join(" | ")
    }

    /// The queries by which a state is known; the first counts tables.
    pub(crate) fn queries(&self) -> Vec<String> {
        let queries: &[&str] = match self.server {
            Server::Sqlite => SQLITE_QUERIES,
            Server::Mariadb(_) => MARIADB_QUERIES,
        };
        queries.iter().map(|query| (*query).to_owned()).collect()
    }

    /// As the site's administrator over ssh.
    pub(crate) fn lead_does(&self, words: &[&str]) -> Client {
        self.site.console(self.lead(), words)
    }

    /// A dump of an environment's database by the tool that people use, with another origin in it than
    /// it has.
    pub(crate) fn dump(&self, environment: &str, has: &str, origin: &str) -> Vec<u8> {
        let dump = match &self.server {
            Server::Mariadb(server) => {
                let name = self.fact(environment, "DATABASE_NAME");
                let mut command = server.client(
                    "mariadb-dump",
                    &["--routines", "--triggers", "--single-transaction"],
                );
                let output = command.arg(name).output().unwrap();
                assert!(output.status.success(), "{output:?}");
                output.stdout
            }
            Server::Sqlite => {
                let folder = self.fact(environment, "DATABASE_DIR");
                let script = "import glob, sqlite3, sys\n\
                    for line in sqlite3.connect(glob.glob(sys.argv[1] + '/*.db')[0]).iterdump(): print(line)\n";
                Client::new("/usr/bin/python3")
                    .args(["-c", script, &folder])
                    .run()
                    .ok()
                    .stdout
            }
        };
        let dump = String::from_utf8(dump).unwrap();
        let (from, to) = (format!("'{has}'"), format!("'{origin}'"));
        assert!(dump.contains(&from), "it has no {from}");
        dump.replace(&from, &to).into_bytes()
    }
}

/// Names a server of databases in a gateway's configuration, and starts it with that.
pub(crate) fn name_server(
    gateway: &Gateway,
    engine: &str,
    address: &str,
    user: &str,
    password: &str,
) {
    let file = gateway.folder().join(format!("{engine}.password"));
    fs::write(&file, password).unwrap();
    let mut text = fs::read_to_string(gateway.config()).unwrap();
    text += &format!(
        "\n[[database_server]]\nname = '{engine}'\nengine = '{engine}'\naddress = '{address}'\n\
         user = '{user}'\npassword_file = '{}'\n",
        file.display()
    );
    fs::write(gateway.config(), text).unwrap();
    assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
    gateway.serve();
}

/// Runs statements in the one database of a folder, which is made if there is none.
fn python_sqlite(folder: &str, sql: &str) -> Finished {
    const SCRIPT: &str = r#"
import glob, sqlite3, sys
found = [name for name in glob.glob(sys.argv[1] + '/*') if not name.endswith(('-wal', '-shm', '-journal'))]
database = sqlite3.connect(found[0] if found else sys.argv[1] + '/site.db', timeout=30, isolation_level=None)
sql = sys.stdin.read()
if sql.lstrip().upper().startswith('SELECT'):
    for row in database.execute(sql): print('\t'.join('NULL' if value is None else str(value) for value in row))
else:
    database.executescript(sql)
"#;
    Client::new("/usr/bin/python3")
        .args(["-c", SCRIPT, folder])
        .input(sql)
        .run()
}

/// One of everything that a database may hold; `ORIGIN` is where it is from.
const MARIADB: &str = r#"
CREATE TABLE counter_a (n BIGINT); INSERT INTO counter_a VALUES (0);
CREATE TABLE origin (name VARCHAR(40)); INSERT INTO origin VALUES ('ORIGIN');
CREATE TABLE eltern (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL,
  laenge INT AS (CHAR_LENGTH(name)) VIRTUAL, laut VARCHAR(120) AS (CONCAT(name, '!')) STORED);
CREATE TABLE children (id INT PRIMARY KEY AUTO_INCREMENT, parent INT NOT NULL, words TEXT,
  KEY (words(40)), CONSTRAINT parent FOREIGN KEY (parent) REFERENCES eltern (id) ON DELETE CASCADE);
CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200));
CREATE TABLE old_ways (id INT PRIMARY KEY, words TEXT, FULLTEXT KEY (words)) ENGINE=MyISAM;
CREATE TABLE uploads (id INT PRIMARY KEY, path VARCHAR(200) NOT NULL);
CREATE TABLE `ünïcödé 東京` (`schlüssel ä` INT PRIMARY KEY, `wörter` VARCHAR(80));
CREATE TABLE zz_counter (n BIGINT); INSERT INTO zz_counter VALUES (0);
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2;
CREATE PROCEDURE note(IN what VARCHAR(200)) INSERT INTO log (what) VALUES (what);
INSERT INTO eltern (name) SELECT CONCAT('parent ', seq, ' ñ') FROM seq_1_to_50;
INSERT INTO children (parent, words) SELECT 1 + seq % 50, CONCAT(seq, ' ', REPEAT(MD5(seq), 6)) FROM seq_1_to_ROWS;
INSERT INTO old_ways SELECT seq, MD5(seq) FROM seq_1_to_200;
INSERT INTO `ünïcödé 東京` VALUES (1, 'naïve 🚡'), (2, 'kůň');
CREATE VIEW names AS SELECT e.name, e.laut, twice(e.laenge) AS doubled, COUNT(*) AS children
  FROM eltern e JOIN children c ON c.parent = e.id GROUP BY e.id;
CREATE TRIGGER noted AFTER INSERT ON eltern FOR EACH ROW CALL note(NEW.name);
"#;

const MARIADB_QUERIES: &[&str] = &[
    "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()",
    "SELECT name FROM origin",
    "SELECT IF(a.n = z.n, 'agrees', CONCAT('MIXED: ', a.n, ' and ', z.n)) FROM counter_a a, zz_counter z",
    "SELECT COUNT(*) FROM children",
    "SELECT COUNT(*) FROM names WHERE laut LIKE '%!' AND doubled > 0",
    "SELECT COUNT(*) FROM old_ways",
    "SELECT GROUP_CONCAT(`wörter` ORDER BY `schlüssel ä`) FROM `ünïcödé 東京`",
    "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()",
];

const SQLITE: &str = r#"
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE counter_a (n INTEGER); INSERT INTO counter_a VALUES (0);
CREATE TABLE origin (name TEXT); INSERT INTO origin VALUES ('ORIGIN');
CREATE TABLE eltern (id INTEGER PRIMARY KEY, name TEXT NOT NULL, laut TEXT AS (name || '!') STORED);
CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES eltern (id), words TEXT);
CREATE INDEX words ON children (words);
CREATE TABLE log (id INTEGER PRIMARY KEY, what TEXT);
CREATE TABLE uploads (id INTEGER PRIMARY KEY, path TEXT NOT NULL);
CREATE TABLE "ünïcödé 東京" ("schlüssel ä" INTEGER PRIMARY KEY, "wörter" TEXT);
CREATE TABLE zz_counter (n INTEGER); INSERT INTO zz_counter VALUES (0);
WITH RECURSIVE seq(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < 50)
  INSERT INTO eltern (name) SELECT 'parent ' || n || ' ñ' FROM seq;
WITH RECURSIVE seq(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < ROWS)
  INSERT INTO children (parent, words) SELECT 1 + n % 50, n || hex(zeroblob(90)) FROM seq;
INSERT INTO "ünïcödé 東京" VALUES (1, 'naïve 🚡'), (2, 'kůň');
CREATE VIEW names AS SELECT e.name, e.laut, COUNT(*) AS children FROM eltern e JOIN children c ON c.parent = e.id GROUP BY e.id;
CREATE TRIGGER noted AFTER INSERT ON eltern BEGIN INSERT INTO log (what) VALUES (NEW.name); END;
COMMIT;
"#;

const SQLITE_QUERIES: &[&str] = &[
    "SELECT COUNT(*) FROM sqlite_master WHERE type IN ('table', 'view')",
    "SELECT name FROM origin",
    "SELECT CASE WHEN a.n = z.n THEN 'agrees' ELSE 'MIXED: ' || a.n || ' and ' || z.n END FROM counter_a a, zz_counter z",
    "SELECT COUNT(*) FROM children",
    "SELECT COUNT(*) FROM names WHERE laut LIKE '%!'",
    "SELECT group_concat(\"wörter\", ',') FROM \"ünïcödé 東京\"",
    "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger'",
];
