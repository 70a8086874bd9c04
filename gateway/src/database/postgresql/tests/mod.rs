//! PostgreSQL, with a real server.

mod copies;
mod dumps;
mod figures;
mod kinds;
mod splitting;

#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "it is the suite's, of which these tests use a part"
)]
#[path = "../../../../../tests/support/postgresql.rs"]
mod server;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::database::{
    Address, Copying, Database, Engine, Events, Filled, Form, Password, Server, Trouble, Watcher,
    replace,
};
use server::{ADMINISTRATOR, PASSWORD, Postgresql};

/// The server that all tests share; its folder goes when this process ends.
pub(super) fn running() -> &'static Postgresql {
    static RUNNING: OnceLock<Postgresql> = OnceLock::new();
    RUNNING.get_or_init(Postgresql::start)
}

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

pub(super) fn replacement() -> replace::Replacement {
    replace::Replacement::new(&[("live.example.org".into(), "dev.example.org".into())]).unwrap()
}

pub(super) fn on(server: &Postgresql) -> Arc<Server> {
    Arc::new(Server {
        name: "main".into(),
        engine: Engine::Postgresql,
        address: Address::Socket(server.socket()),
        user: ADMINISTRATOR.into(),
        password: Some(Password::new(PASSWORD.into())),
    })
}

/// A database of its own, which is made, and removed on drop.
pub(super) struct Own {
    pub(super) database: Database,
    pub(super) name: String,
    server: &'static Postgresql,
}

pub(super) const SECRET: &str = "it's a \\ secret";

impl Own {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("f_acme_\"Ü\"_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let server = running();
        let database = Database::Served {
            server: on(server),
            name: name.clone(),
            user: name.clone(),
            password: Password::new(SECRET.into()),
        };
        database.create().unwrap();
        Self {
            database,
            name,
            server,
        }
    }

    /// Runs SQL as the site does.
    pub(super) fn site(&self, sql: &str) -> String {
        let output = self.server.psql(&self.name, &self.name, SECRET, sql);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs SQL as the administrator.
    pub(super) fn administrator(&self, sql: &str) -> String {
        let output = self.server.psql(&self.name, ADMINISTRATOR, PASSWORD, sql);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn import(&self, dump: impl AsRef<[u8]>) -> Result<Filled, Trouble> {
        self.database
            .import(&mut dump.as_ref(), Form::of(dump.as_ref()), &plainly())
    }

    /// What pg_dump writes of it.
    pub(super) fn dumped(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self
            .server
            .client("pg_dump", &self.name, &self.name, SECRET)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.database.remove();
    }
}

/// What is said to whoever sends a dump that is refused.
pub(super) fn refusal(result: Result<Filled, Trouble>) -> String {
    match result {
        Err(Trouble::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn making_and_removing_may_be_repeated_and_keeps_others_out() {
    let (one, other) = (Own::new(), Own::new());
    one.database.create().unwrap();
    assert_eq!(
        one.database.query("SELECT current_user").unwrap(),
        [one.name.as_str()]
    );
    let output = running().psql(&one.name, &other.name, SECRET, "select 1");
    assert!(!output.status.success(), "another site's user is let in");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("permission denied"), "{said}");
    // A new password; the old one is none any more.
    let new = Password::new("new".into());
    one.database.set_password(&new).unwrap();
    assert!(one.database.tables().is_err());
    let mut changed = one.database.clone();
    if let Database::Served { password, .. } = &mut changed {
        *password = new;
    }
    assert!(changed.tables().unwrap().is_empty());
    let kept = one.administrator("select rolpassword like 'SCRAM-SHA-256%' and not rolsuper and not rolcreatedb from pg_authid where rolname like 'f_acme%' limit 1");
    assert_eq!(kept, "t\n");
    // Somebody is connected.
    let mut client = running()
        .client("psql", &one.name, &one.name, "new")
        .args(["-c", "select pg_sleep(60)"])
        .spawn()
        .unwrap();
    while one.administrator("select count(*) from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'") != "1\n" {}
    one.database.remove().unwrap();
    one.database.remove().unwrap();
    assert!(!client.wait().unwrap().success());
    assert!(one.database.tables().is_err());
    assert_eq!(
        other.administrator(&format!(
            "select count(*) from pg_roles where rolname = '{}'",
            one.name
        )),
        "0\n"
    );
}

/// As the gateway calls it: from a thread of a runtime.
#[test]
fn it_works_on_the_threads_of_a_runtime() {
    let own = Own::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let database = own.database.clone();
    runtime.block_on(async move {
        let one = database.clone();
        tokio::task::spawn_blocking(move || one.tables().unwrap())
            .await
            .unwrap();
        tokio::spawn(async move {
            tokio::task::block_in_place(|| {
                let target = Own::new();
                database.copy_to(&target.database, &plainly()).unwrap();
            });
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_server_that_is_away_or_a_wrong_password_is_a_fault() {
    let own = Own::new();
    let mut wrong = own.database.clone();
    if let Database::Served { password, .. } = &mut wrong {
        *password = Password::new("wrong".into());
    }
    let mut away = own.database.clone();
    if let Database::Served { server, .. } = &mut away {
        let mut other = (**server).clone();
        other.address = Address::Socket("/nonexistent/.s.PGSQL.5432".into());
        *server = Arc::new(other);
    }
    for database in [wrong, away] {
        assert!(database.tables().is_err());
        for result in [
            database.copy_to(&own.database, &plainly()),
            own.database.copy_to(&database, &plainly()),
            database.import(&mut &b"SELECT 1;"[..], Form::Sql, &plainly()),
        ] {
            match result {
                Err(Trouble::Fault(fault)) => {
                    let told = fault.to_string();
                    assert!(
                        !told.contains("wrong\"") && !told.contains("secret"),
                        "{told}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(own.database.tables().unwrap().is_empty());
}
