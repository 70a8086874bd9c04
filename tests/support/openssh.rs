//! A plain OpenSSH server in the gateway's place, for those who write client tests: with
//! FUNICULAR_TESTS_AGAINST=openssh a client's script is proven against a server known to be right.
//! Needs root. No test of the suite depends on it, and none about policy can pass with it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::gateway::{Gateway, sample_tree};
use crate::process::{self, Process};
use crate::{personas, wait_for};

/// Says whether OpenSSH is to stand in for the gateway.
pub fn stands_in() -> bool {
    std::env::var_os("FUNICULAR_TESTS_AGAINST").is_some_and(|server| server == "openssh")
}

/// Returns the folder below which temporary folders are made: sshd insists that each folder above a
/// chroot is writable by root alone, so /tmp will not do for it.
pub fn top() -> PathBuf {
    if stands_in() {
        "/run".into()
    } else {
        std::env::temp_dir()
    }
}

/// An `sshd` whose root is one site's tree.
pub struct Server {
    _sshd: Process,
    address: SocketAddr,
    top: PathBuf,
}

impl Server {
    pub fn start(gateway: &Gateway, site: &str) -> Self {
        let folder = gateway.folder.path().join("stand-in").join(site);
        let top = folder.join("root");
        for area in ["code", "files", "logs", "tmp", "backups"] {
            fs::create_dir_all(top.join(area)).unwrap();
        }
        sample_tree().write(top.join("code"));
        fs::create_dir_all("/run/sshd").unwrap();
        personas::make_key(&folder.join("host"), &["-t", "ed25519"], "host");
        let keys: String = gateway
            .people()
            .iter()
            .map(|person| fs::read_to_string(person.public_key()).unwrap())
            .collect();
        fs::write(folder.join("authorized_keys"), keys).unwrap();
        let address = free_address();
        fs::write(
            folder.join("sshd_config"),
            configuration(address, &folder, &top),
        )
        .unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = process::command("/usr/sbin/sshd");
        command
            .args(["-D", "-e", "-f"])
            .arg(folder.join("sshd_config"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let sshd = Process::start(command).expect("sshd starts");
        wait_for("sshd", Duration::from_secs(10), || {
            TcpStream::connect(address).ok()
        });
        let host_key = fs::read_to_string(folder.join("host.pub")).unwrap();
        for person in gateway.people() {
            person.add_host(site, address);
            let known = fs::read_to_string(person.known_hosts()).unwrap();
            fs::write(person.known_hosts(), format!("{known}gateway {host_key}")).unwrap();
        }
        Self {
            _sshd: sshd,
            address,
            top,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn top(&self) -> &Path {
        &self.top
    }
}

fn configuration(address: SocketAddr, folder: &Path, top: &Path) -> String {
    format!(
        "Port {}\nListenAddress {}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n\
         PidFile none\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nSubsystem sftp internal-sftp\n\
         ChrootDirectory {top}\nForceCommand internal-sftp -d /\nMaxStartups 100\nMaxSessions 100\n",
        address.port(),
        address.ip(),
        folder = folder.display(),
        top = top.display(),
    )
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
}
