//! A real MariaDB server of a test's own: an ordinary process with its files in a temporary folder,
//! a socket and a port. Nothing of an installed service is used or started.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{self, Process};

/// The account that a gateway is given on the server, which may make databases and users.
pub const ACCOUNT: &str = "gateway";
/// Its password.
pub const PASSWORD: &str = "of the gateway's \\ account";

/// How long the server may take to begin or to end, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(120);

/// Many servers run side by side: none takes much, and none the kernel's few places for asynchronous
/// reading and writing.
const SMALL: [&str; 2] = ["--innodb-use-native-aio=0", "--innodb-buffer-pool-size=64M"];

/// A running server; killed and removed on drop.
pub struct Mariadb {
    folder: tempfile::TempDir,
    port: u16,
    options: Vec<String>,
    server: Option<Process>,
}

impl Mariadb {
    /// Starts a server with its defaults, but for what would only cost a test time.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more options of `mariadbd`.
    pub fn start_with(options: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("mariadb")
            .tempdir()
            .unwrap();
        Self::start_in(folder, options)
    }

    /// Starts a server with its files in this folder.
    pub fn start_in(folder: tempfile::TempDir, options: &[&str]) -> Self {
        let data = folder.path().join("data");
        // In a common folder, temporary tables of two servers take each other's names.
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let temporary = format!("--tmpdir={}", folder.path().join("tmp").display());
        let made = Command::new("mariadb-install-db")
            .args([
                "--no-defaults",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ])
            .args(as_root())
            .args(SMALL)
            .arg(&temporary)
            .arg(format!("--datadir={}", data.display()))
            .output()
            .expect("mariadb-install-db is there (tests/install-clients.sh)");
        assert!(made.status.success(), "mariadb-install-db: {made:?}");
        let mut server = Self {
            folder,
            port: free_port(),
            options: options
                .iter()
                .map(|option| (*option).to_owned())
                .chain([temporary])
                .collect(),
            server: None,
        };
        server.run();
        let account = format!("'{}'", PASSWORD.replace('\\', "\\\\").replace('\'', "\\'"));
        for host in ["%", "localhost"] {
            server.sql(&format!(
                "CREATE USER '{ACCOUNT}'@'{host}' IDENTIFIED BY {account}; \
                 GRANT ALL PRIVILEGES ON *.* TO '{ACCOUNT}'@'{host}' WITH GRANT OPTION"
            ));
        }
        server
    }

    /// Starts the server again after [`Mariadb::kill`].
    pub fn run(&mut self) {
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let mut command = process::command("mariadbd");
        command
            .arg("--no-defaults")
            .args(as_root())
            .arg(format!(
                "--datadir={}",
                self.folder.path().join("data").display()
            ))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!(
                "--pid-file={}",
                self.folder.path().join("pid").display()
            ))
            .arg(format!("--port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args(SMALL)
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.server =
            Some(Process::start(command).expect("mariadbd is there (tests/install-clients.sh)"));
        let deadline = Instant::now() + LIMIT;
        while !self.answers() {
            assert!(
                Instant::now() < deadline,
                "mariadbd did not begin: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server without a warning.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.signal(Signal::SIGKILL);
            assert!(server.wait(LIMIT).is_some(), "mariadbd does not end");
        }
    }

    /// Where its socket is.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that everything of it is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn answers(&self) -> bool {
        let mut command = self.client("mariadb", &["-e", "SELECT 1"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// A client program that signs in as the server's root.
    pub fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .arg("--no-defaults")
            .arg(format!("--socket={}", self.socket().display()))
            .args(["--user=root", "--default-character-set=utf8mb4"])
            .args(arguments);
        command
    }

    /// Runs statements as root and returns what they print: rows by lines, columns by tabs.
    pub fn sql(&self, sql: &str) -> String {
        self.sql_in("", sql)
    }

    /// As [`Mariadb::sql`], in a database.
    pub fn sql_in(&self, database: &str, sql: &str) -> String {
        let result = self.feed(database, sql.as_bytes());
        result.unwrap_or_else(|words| panic!("{words}"))
    }

    /// Gives the `mariadb` program what it reads; the error is what it says.
    pub fn feed(&self, database: &str, input: &[u8]) -> Result<String, String> {
        let mut command = self.client(
            "mariadb",
            &["--batch", "--skip-column-names", "--binary-mode"],
        );
        if !database.is_empty() {
            command.arg(database);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the mariadb client is there (tests/install-clients.sh)");
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // It may have ended at an error.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().unwrap()
        });
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned())
    }
}

fn as_root() -> Option<&'static str> {
    nix::unistd::geteuid().is_root().then_some("--user=root")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
