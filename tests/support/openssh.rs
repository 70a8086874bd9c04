//! A plain OpenSSH server in the gateway's place, for those who write client tests: with
//! FUNICULAR_TESTS_AGAINST=openssh a client's script is proven against a server known to be right.
//! Needs root. No test of the suite depends on it, and none about policy can pass with it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
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

/// Two `sshd`s for one site: one whose root is the site's tree, and one that runs git in its
/// repository. A push to main is checked out into the tree; there are no environments and no rules.
pub struct Server {
    sftp: Daemon,
    git: Daemon,
    folder: PathBuf,
}

struct Daemon {
    _sshd: Process,
    address: SocketAddr,
}

impl Server {
    pub fn start(gateway: &Gateway, site: &str) -> Self {
        let folder = gateway.folder().join("stand-in").join(site);
        for area in ["code", "files", "logs", "tmp", "backups"] {
            fs::create_dir_all(folder.join("root").join(area)).unwrap();
        }
        sample_tree().write(folder.join("root/code"));
        make_repository(gateway, &folder);
        personas::make_key(&folder.join("host"), &["-t", "ed25519"], "host");
        let keys: String = gateway
            .people()
            .iter()
            .map(|person| fs::read_to_string(person.public_key()).unwrap())
            .collect();
        fs::write(folder.join("authorized_keys"), keys).unwrap();
        let folder_shown = folder.display();
        let in_tree =
            format!("ChrootDirectory {folder_shown}/root\nForceCommand internal-sftp -d /\n");
        let sftp = Daemon::start(&folder, "sftp", &in_tree);
        let git = Daemon::start(
            &folder,
            "git",
            &format!("ForceCommand {folder_shown}/git\n"),
        );
        let host_key = fs::read_to_string(folder.join("host.pub")).unwrap();
        for person in gateway.people() {
            person.add_host(site, sftp.address);
            person.add_host(&format!("git-{site}"), git.address);
            let known = fs::read_to_string(person.known_hosts()).unwrap();
            fs::write(person.known_hosts(), format!("{known}gateway {host_key}")).unwrap();
        }
        Self { sftp, git, folder }
    }

    pub fn address(&self) -> SocketAddr {
        self.sftp.address
    }

    pub fn git_port(&self) -> u16 {
        self.git.address.port()
    }

    pub fn top(&self) -> PathBuf {
        self.folder.join("root")
    }

    pub fn repository(&self) -> PathBuf {
        self.folder.join("repository.git")
    }
}

impl Daemon {
    fn start(folder: &Path, name: &str, serves: &str) -> Self {
        fs::create_dir_all("/run/sshd").unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap();
        let config = folder.join(format!("{name}.config"));
        let shown = folder.display();
        let text = format!(
            "Port {}\nListenAddress {}\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/authorized_keys\n\
             PidFile none\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nAcceptEnv GIT_PROTOCOL\n\
             Subsystem sftp internal-sftp\nMaxStartups 100\nMaxSessions 100\n{serves}",
            address.port(),
            address.ip(),
        );
        fs::write(&config, text).unwrap();
        let log = File::create(folder.join(format!("{name}.log"))).unwrap();
        let mut command = process::command("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(config);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let sshd = Process::start(command).expect("sshd starts");
        wait_for("sshd", Duration::from_secs(10), || {
            TcpStream::connect(address).ok()
        });
        Self {
            _sshd: sshd,
            address,
        }
    }
}

fn make_repository(gateway: &Gateway, folder: &Path) {
    let repository = folder.join("repository.git");
    let ada = &gateway.people()[0];
    let git = |args: &[&str]| ada.client("git").args(args).run().ok();
    let (from, to) = (
        gateway.sample().display().to_string(),
        repository.display().to_string(),
    );
    git(&["clone", "--quiet", "--bare", &from, &to]);
    for setting in [
        "receive.advertisePushOptions",
        "receive.fsckObjects",
        "uploadpack.allowFilter",
        "uploadpack.allowAnySHA1InWant",
    ] {
        git(&["-C", &to, "config", setting, "true"]);
    }
    let program = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program(
        "git",
        format!("command=${{SSH_ORIGINAL_COMMAND%% *}}\nexec git \"${{command#git-}}\" {to}"),
    );
    program(
        "repository.git/hooks/pre-receive",
        "while read old new name; do case $name in\nrefs/heads/*|refs/tags/v*) ;;\n\
         *) echo \"Refused: $name is no branch. Push a branch instead. [incident 0]\"; exit 1;;\nesac; done"
            .to_owned(),
    );
    program(
        "repository.git/hooks/post-receive",
        format!(
            "echo deploying\ngit --work-tree={}/root/code checkout -f main",
            folder.display()
        ),
    );
}
