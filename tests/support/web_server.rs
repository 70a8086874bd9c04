//! A real nginx with a real PHP-FPM, in a folder of its own and on a free port.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::clients::require;
use crate::process::{self, Process};
use crate::wait_for;

/// The two servers; stopped on drop.
pub struct WebServer {
    _nginx: Process,
    _php: Process,
    address: SocketAddr,
    folder: PathBuf,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl WebServer {
    /// Starts both. In `server`, a server block of nginx, `PORT` and `SOCKET` stand for what is free;
    /// `php` are lines of the pool.
    pub fn start(folder: &Path, server: &str, php: &str) -> Self {
        require("nginx".as_ref());
        fs::create_dir_all(folder).unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap();
        let shown = folder.display();
        let root = nix::unistd::geteuid().is_root();
        let account = if root {
            "user = root\ngroup = root\n"
        } else {
            ""
        };
        fs::write(
            folder.join("php.conf"),
            format!(
                "[global]\npid = {shown}/php.pid\nerror_log = {shown}/php.log\ndaemonize = no\n\
                 process_control_timeout = 10s\n[www]\n{account}listen = {shown}/php.sock\n\
                 pm = static\n{php}\n"
            ),
        )
        .unwrap();
        let server = server
            .replace("PORT", &address.port().to_string())
            .replace("SOCKET", &format!("{shown}/php.sock"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|what| format!("{what}_temp_path {shown}/{what};\n"))
            .collect();
        let user = if root { "user root;\n" } else { "" };
        let parameters = "fastcgi_param QUERY_STRING $query_string;\n\
             fastcgi_param REQUEST_METHOD $request_method;\n\
             fastcgi_param CONTENT_TYPE $content_type;\n\
             fastcgi_param CONTENT_LENGTH $content_length;\n\
             fastcgi_param SCRIPT_NAME $fastcgi_script_name;\n\
             fastcgi_param REQUEST_URI $request_uri;\n\
             fastcgi_param SERVER_PROTOCOL $server_protocol;\n";
        fs::write(folder.join("fastcgi_params"), parameters).unwrap();
        fs::write(
            folder.join("nginx.conf"),
            format!(
                "{user}daemon off;\npid {shown}/nginx.pid;\nworker_processes 2;\n\
                 events {{ worker_connections 256; }}\n\
                 http {{\naccess_log off;\n{temporary}{server}\n}}\n"
            ),
        )
        .unwrap();
        let start = |program: &Path, arguments: &[&str], log: &str| {
            let mut command = process::command(program);
            let log = File::create(folder.join(log)).unwrap();
            command
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
            Process::start(command).expect("it starts")
        };
        let pool = folder.join("php.conf").display().to_string();
        let allow_root: &[&str] = if root { &["-R"] } else { &[] };
        let fpm = [&["--nodaemonize", "--fpm-config", &pool], allow_root].concat();
        let php = start(&php_fpm(), &fpm, "php.err");
        let socket = folder.join("php.sock");
        wait_for("PHP-FPM", Duration::from_secs(30), || {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
        let config = folder.join("nginx.conf").display().to_string();
        let errors = folder.join("nginx.log").display().to_string();
        let arguments = ["-c", &config, "-e", &errors, "-p", &shown.to_string()];
        let nginx = start(Path::new("/usr/sbin/nginx"), &arguments, "nginx.err");
        wait_for("nginx", Duration::from_secs(30), || {
            TcpStream::connect(address).ok()
        });
        Self {
            _nginx: nginx,
            _php: php,
            address,
            folder: folder.to_owned(),
        }
    }

    /// The file with the number of PHP-FPM's process.
    pub fn php_pid_file(&self) -> PathBuf {
        self.folder.join("php.pid")
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn get(&self, path: &str) -> Answer {
        get(self.address, path)
    }
}

/// Asks a web server for a page.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: www.example.org\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no HTTP: {answer:?}")),
        body: body.to_owned(),
    }
}

/// Debian's has the version in its name.
fn php_fpm() -> PathBuf {
    fs::read_dir("/usr/sbin")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"))
        })
        .expect("This test needs PHP-FPM, from the Debian package php-fpm. tests/install-clients.sh installs it.")
}
