//! Another web host: a real `sshd` on a free port whose one account is ours, and a folder to serve.
//! What its account runs goes through a script that can fail as real hosts do.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use crate::clients::{Client, require};
use crate::personas::make_key;
use crate::process::{self, Process};
use crate::wait_for;

/// A host; it can no longer be reached when it is dropped.
pub struct WebHost {
    sshd: Mutex<Option<Process>>,
    address: SocketAddr,
    folder: PathBuf,
}

impl WebHost {
    /// Starts one whose things lie in `parent/name`.
    pub fn start(parent: &Path, name: &str) -> Self {
        require("sshd".as_ref());
        let folder = parent.join(name);
        fs::create_dir_all(folder.join("site")).unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap();
        let host = Self {
            sshd: Mutex::new(None),
            address,
            folder,
        };
        host.new_key();
        let shown = host.folder.display();
        let script = format!(
            "#!/bin/sh\nsaid=$SSH_ORIGINAL_COMMAND\necho \"$said\" >>{shown}/said\n\
             case \"$(cat {shown}/manner):$said\" in\n\
             no-prepare:rsync\\ *) echo 'no space left on device' >&2; exit 11 ;;\n\
             slow:rsync\\ *) exec sleep 1000 ;;\n\
             no-switch:*\"test -d releases/\"*) echo 'read-only file system' >&2; exit 1 ;;\n\
             lost-after-switch:*\"test -d releases/\"*)\n\
                 sh -c \"$said\"; echo lost >{shown}/manner; exit 255 ;;\n\
             lost:*) exit 255 ;;\n\
             esac\nexec sh -c \"$said\"\n"
        );
        let account = host.folder.join("account");
        fs::write(&account, script).unwrap();
        fs::set_permissions(&account, fs::Permissions::from_mode(0o755)).unwrap();
        host.behaves("well");
        fs::write(host.folder.join("authorized_keys"), "").unwrap();
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {shown}/host\n\
             AuthorizedKeysFile {shown}/authorized_keys\nPidFile none\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nMaxStartups 100\n\
             ForceCommand {shown}/account\n",
            address.port()
        );
        fs::write(host.folder.join("config"), config).unwrap();
        host.serve();
        host
    }

    /// Starts its SSH server, again if it has been stopped.
    pub fn serve(&self) {
        // sshd insists on it where it is started by root.
        let _ = fs::create_dir_all("/run/sshd");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .unwrap();
        let mut command = process::command("/usr/sbin/sshd");
        command
            .args(["-D", "-e", "-f"])
            .arg(self.folder.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let sshd = Process::start(command).expect("sshd starts");
        *self.sshd.lock().unwrap() = Some(sshd);
        wait_for("sshd", Duration::from_secs(30), || {
            TcpStream::connect(self.address).ok()
        });
    }

    /// From now on nobody answers there.
    pub fn stop(&self) {
        self.sshd.lock().unwrap().take();
    }

    /// Gives it another host key, once it is served again.
    pub fn new_key(&self) {
        make_key(&self.folder.join("host"), &["-t", "ed25519"], "host");
    }

    /// `well`; `no-prepare`, `slow`: what copies fails or hangs; `no-switch`: what switches fails;
    /// `lost-after-switch`: it switches and then answers nothing more; `lost`: it answers nothing.
    pub fn behaves(&self, manner: &str) {
        fs::write(self.folder.join("manner.new"), manner).unwrap();
        fs::rename(self.folder.join("manner.new"), self.folder.join("manner")).unwrap();
    }

    pub fn fingerprint(&self) -> String {
        let told = Client::new("ssh-keygen")
            .args(["-l", "-f"])
            .arg(self.folder.join("host.pub"))
            .run()
            .ok()
            .out();
        told.split_whitespace().nth(1).unwrap().to_owned()
    }

    /// The address of the site's folder there.
    pub fn destination(&self) -> String {
        let account = nix::unistd::User::from_uid(nix::unistd::geteuid())
            .unwrap()
            .expect("we have an account");
        format!(
            "ssh://{}@127.0.0.1:{}{}",
            account.name,
            self.address.port(),
            self.site().display()
        )
    }

    /// Lets a key in; a line of authorized_keys.
    pub fn let_in(&self, line: &str) {
        fs::write(self.folder.join("authorized_keys"), format!("{line}\n")).unwrap();
    }

    /// The folder that holds the site.
    pub fn site(&self) -> PathBuf {
        self.folder.join("site")
    }

    /// What is served.
    pub fn code(&self) -> PathBuf {
        self.site().join("current/code")
    }

    /// The names of all releases.
    pub fn releases(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.site().join("releases"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
