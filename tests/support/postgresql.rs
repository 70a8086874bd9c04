//! A real PostgreSQL in a folder of its own. It stands alone, so that the gateway's own tests can take
//! it as a file (`#[path]`).

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A server; it ends, and its folder goes, when this is dropped or the process ends in any way.
pub struct Postgresql {
    guard: Child,
    until: Option<ChildStdin>,
    folder: PathBuf,
    port: u16,
}

/// The account of the server, which may all.
pub const ADMINISTRATOR: &str = "postgres";
/// Its password.
pub const PASSWORD: &str = "the administrator's";

impl Postgresql {
    /// Makes a server and starts it. It asks everybody for a password.
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fpg-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        // It refuses to run as root.
        if nix::unistd::geteuid().is_root() {
            for path in [folder.clone(), folder.join("password")] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let made = run(as_server("initdb")
            .args([
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ])
            .arg(format!("--username={ADMINISTRATOR}"))
            .arg(format!("--pwfile={}", folder.join("password").display()))
            .arg("--pgdata")
            .arg(folder.join("data")));
        assert!(made.status.success(), "{made:?}");
        // Ends the server and clears up as soon as its input ends: when nobody holds the pipe any more.
        let script = "\"$@\" & pid=$!; read -r _; kill -QUIT $pid; wait $pid; rm -rf \"$FOLDER\"";
        let mut command = as_account("/bin/sh".as_ref());
        command
            .args(["-c", script, "sh"])
            .arg(program("postgres"))
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(&folder)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c"])
            .arg(format!("port={port}"))
            .env("FOLDER", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .process_group(0);
        let mut guard = command.spawn().unwrap();
        let server = Self {
            until: guard.stdin.take(),
            guard,
            folder,
            port,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !server
            .psql("postgres", ADMINISTRATOR, PASSWORD, "select 1")
            .status
            .success()
        {
            assert!(Instant::now() < deadline, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// The socket that it makes.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", self.port))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it with all its processes, as a crash of the machine would.
    pub fn kill(&self) {
        let file = self.folder.join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap();
        let pid: i32 = text.lines().next().unwrap().parse().unwrap();
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
    }

    /// Runs SQL with psql.
    pub fn psql(&self, database: &str, user: &str, password: &str, sql: &str) -> Output {
        let mut command = self.client("psql", database, user, password);
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let sql = sql.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(sql.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// A client program of its own version, with what it needs to connect.
    pub fn client(&self, name: &str, database: &str, user: &str, password: &str) -> Command {
        let mut command = Command::new(program(name));
        command
            .env("PGHOST", &self.folder)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", user)
            .env("PGPASSWORD", password)
            .env("PGDATABASE", database);
        command
    }
}

impl Drop for Postgresql {
    fn drop(&mut self) {
        drop(self.until.take());
        let _ = self.guard.wait();
    }
}

/// Debian's nobody.
const NOBODY: u32 = 65534;

fn as_server(name: &str) -> Command {
    as_account(&program(name))
}

fn as_account(program: &Path) -> Command {
    if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")])
            .args(["--clear-groups", "--"])
            .arg(program);
        command.current_dir("/");
        command
    } else {
        Command::new(program)
    }
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// Where a program of PostgreSQL's is: Debian keeps each version in a folder of its own.
pub fn program(name: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|version| version.unwrap().path().join("bin").join(name))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| {
        panic!("This test needs {name}, from the Debian package postgresql. tests/install-clients.sh installs it.")
    })
}
