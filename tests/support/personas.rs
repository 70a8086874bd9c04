//! The people of the tests: each has a key, an ssh configuration and a home of their own.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io::Write};

use crate::clients::Client;

/// What a person may do on the sites of the tests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Administrator of the whole server; made by `init`.
    Administrator,
    TeamMember,
    Developer,
    Viewer,
    /// Has an account and a key, and no part in any site.
    Stranger,
    /// As the stranger, and means harm.
    Attacker,
}

impl Role {
    pub const ALL: [Self; 6] = [
        Self::Administrator,
        Self::TeamMember,
        Self::Developer,
        Self::Viewer,
        Self::Stranger,
        Self::Attacker,
    ];

    /// Returns the login of the person who has this role.
    pub fn person(self) -> &'static str {
        match self {
            Self::Administrator => "ada",
            Self::TeamMember => "tom",
            Self::Developer => "dana",
            Self::Viewer => "vera",
            Self::Stranger => "sten",
            Self::Attacker => "mallory",
        }
    }

    /// Returns the role's name in a site's team, for those who are in one.
    pub fn in_team(self) -> Option<&'static str> {
        match self {
            Self::TeamMember => Some("team_member"),
            Self::Developer => Some("developer"),
            Self::Viewer => Some("viewer"),
            Self::Administrator | Self::Stranger | Self::Attacker => None,
        }
    }
}

/// A person at a computer of their own.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    home: PathBuf,
}

impl Person {
    /// Makes the person's home below `people`, with a new ed25519 key.
    pub fn new(people: &Path, name: &str) -> Self {
        let person = Self {
            name: name.to_owned(),
            home: people.join(name),
        };
        fs::create_dir_all(&person.home).unwrap();
        make_key(&person.key(), &["-t", "ed25519"], name);
        fs::write(
            person.home.join(".gitconfig"),
            format!(
                "[user]\n\tname = {name}\n\temail = {name}@example.org\n[init]\n\tdefaultBranch = main\n\
                 [advice]\n\tdetachedHead = false\n[protocol \"file\"]\n\tallow = always\n"
            ),
        )
        .unwrap();
        fs::write(person.config(), "").unwrap();
        person.install_ssh();
        person
    }

    /// Tells the person's ssh where `gateway` is and which host keys it has.
    pub fn meet(&self, gateway: SocketAddr, known_hosts: &str) {
        let home = self.home.display();
        fs::write(self.known_hosts(), known_hosts).unwrap();
        fs::write(
            self.config(),
            format!(
                "Host gateway\n  HostName {}\n  Port {}\nHost *\n  HostKeyAlias gateway\n  \
                 UserKnownHostsFile {home}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  \
                 IdentityFile {home}/id\n  IdentitiesOnly yes\n  IdentityAgent none\n  \
                 BatchMode yes\n  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  \
                 ConnectTimeout 30\n  LogLevel INFO\n",
                gateway.ip(),
                gateway.port()
            ),
        )
        .unwrap();
    }

    /// Adds a host to the person's ssh configuration.
    pub fn add_host(&self, alias: &str, at: SocketAddr) {
        let config = fs::read_to_string(self.config()).unwrap();
        let host = format!(
            "Host {alias}\n  HostName {}\n  Port {}\n",
            at.ip(),
            at.port()
        );
        fs::write(self.config(), host + &config).unwrap();
    }

    /// The same person, with the same key, at a computer whose settings may be changed.
    #[must_use]
    pub fn at_another_computer(&self, name: &str) -> Self {
        let home = self.home.with_file_name(format!("{}-{name}", self.name));
        fs::create_dir_all(&home).unwrap();
        for file in ["id", "id.pub", "known_hosts", ".gitconfig"] {
            if self.home.join(file).exists() {
                fs::copy(self.home.join(file), home.join(file)).unwrap();
            }
        }
        let config = fs::read_to_string(self.config()).unwrap();
        let (here, there) = (self.home.display().to_string(), home.display().to_string());
        fs::write(home.join("config"), config.replace(&here, &there)).unwrap();
        let person = Self {
            name: self.name.clone(),
            home,
        };
        person.install_ssh();
        person
    }

    /// The same person, with the same key, at a computer that has this address.
    #[must_use]
    pub fn coming_from(&self, address: &str) -> Self {
        let person = self.at_another_computer(address);
        let config = fs::read_to_string(person.config()).unwrap();
        fs::write(person.config(), format!("BindAddress {address}\n{config}")).unwrap();
        person
    }

    /// Holds an `ssh` that knows the person's configuration, as the one in `~/.ssh` would be known.
    pub fn bin(&self) -> PathBuf {
        self.home.join("bin")
    }

    fn install_ssh(&self) {
        let ssh = self.bin().join("ssh");
        fs::create_dir_all(self.bin()).unwrap();
        let script = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n",
            self.config().display()
        );
        fs::write(&ssh, script).unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The person's private key; `.pub` stands beside it.
    pub fn key(&self) -> PathBuf {
        self.home.join("id")
    }

    pub fn public_key(&self) -> PathBuf {
        self.home.join("id.pub")
    }

    pub fn config(&self) -> PathBuf {
        self.home.join("config")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.home.join("known_hosts")
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Makes an empty folder of the person's own.
    pub fn desk(&self, name: &str) -> PathBuf {
        let desk = self.home.join("desks").join(name);
        fs::create_dir_all(&desk).unwrap();
        desk
    }

    /// Prepares any program as this person.
    pub fn client(&self, program: &str) -> Client {
        Client::new(program)
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSH_COMMAND", self.ssh_command())
            .folder(&self.home)
    }

    /// Prepares `ssh`, `sftp` or `scp` with the person's configuration.
    pub fn openssh(&self, program: &str) -> Client {
        self.client(program).arg("-F").arg(self.config())
    }

    /// Prepares a command on the console: `ssh funicular@gateway WORDS`.
    pub fn console(&self, words: &[&str]) -> Client {
        self.openssh("ssh")
            .arg("-T")
            .arg("console@gateway")
            .args(words.iter().map(|word| quoted(word)))
    }

    pub fn ssh_command(&self) -> String {
        format!("ssh -F {}", self.config().display())
    }
}

/// Makes a key pair at `path` with `ssh-keygen`.
pub fn make_key(path: &Path, options: &[&str], comment: &str) {
    let _ = fs::remove_file(path);
    Client::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", comment])
        .args(options)
        .arg("-f")
        .arg(path)
        .run()
        .ok();
}

/// Writes `word` for the remote side, which splits the command line as a shell would.
pub fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    let mut quoted = Vec::new();
    let _ = write!(quoted, "'{}'", word.replace('\'', r"'\''"));
    String::from_utf8(quoted).expect("quoting keeps UTF-8")
}
