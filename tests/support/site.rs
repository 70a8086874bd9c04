//! One site of a test, and the ways in which people reach it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clients::{Client, Finished};
use crate::gateway::Gateway;
use crate::openssh;
use crate::personas::{Person, Role};
use crate::tree::Tree;

/// A site with its team; Dev is in SFTP mode, Test and Live are not deployed yet.
pub struct Site {
    pub gateway: Arc<Gateway>,
    pub name: String,
    stand_in: Option<openssh::Server>,
}

impl Site {
    pub(crate) fn create(gateway: &Arc<Gateway>, name: &str, options: &[&str]) -> Self {
        let mut site = Self {
            gateway: gateway.clone(),
            name: name.to_owned(),
            stand_in: None,
        };
        if openssh::stands_in() {
            site.stand_in = Some(openssh::Server::start(gateway, name));
            return site;
        }
        let from = gateway.sample().display().to_string();
        gateway.must(&[&["site:create", name, "--from", &from], options].concat());
        for role in Role::ALL {
            if let Some(in_team) = role.in_team() {
                gateway.must(&["site:team:add", name, role.person(), in_team]);
            }
        }
        site
    }

    pub fn person(&self, role: Role) -> &Person {
        self.gateway.person(role)
    }

    /// Returns `dev.acme@gateway`, which each person's ssh configuration can reach.
    pub fn destination(&self, environment: &str) -> String {
        format!("{}@{}", self.login(environment), self.host())
    }

    pub fn login(&self, environment: &str) -> String {
        match self.stand_in {
            Some(_) => "root".to_owned(),
            None => format!("{environment}.{}", self.name),
        }
    }

    fn host(&self) -> &str {
        if self.stand_in.is_some() {
            &self.name
        } else {
            "gateway"
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.stand_in
            .as_ref()
            .map_or(self.gateway.address(), openssh::Server::address)
    }

    /// Returns the address that git uses for `environment`.
    pub fn url(&self, environment: &str) -> String {
        if let Some(stand_in) = &self.stand_in {
            return format!(
                "ssh://root@127.0.0.1:{}/repository.git",
                stand_in.git_port()
            );
        }
        format!("ssh://{}/repository.git", self.destination(environment))
    }

    /// Prepares `ssh` with one of git's commands, for who speaks git's protocol by hand.
    pub fn ssh_for_git(&self, person: &Person, environment: &str, command: &str) -> Client {
        let host = match self.stand_in {
            Some(_) => format!("root@git-{}", self.name),
            None => self.destination(environment),
        };
        person.openssh("ssh").args(["-T", &host, command])
    }

    /// Prepares OpenSSH `sftp` with `batch` as its commands.
    pub fn sftp(&self, person: &Person, environment: &str, batch: impl AsRef<[u8]>) -> Client {
        self.sftp_with(person, environment, &[], batch)
    }

    /// As `sftp`, with further options.
    pub fn sftp_with(
        &self,
        person: &Person,
        environment: &str,
        options: &[&str],
        batch: impl AsRef<[u8]>,
    ) -> Client {
        person
            .openssh("sftp")
            .args(options)
            .args(["-b", "-"])
            .arg(self.destination(environment))
            .input(batch)
    }

    /// Runs a command of the command line on the server itself, which must succeed. The words
    /// `SITE` and `SITE.` at the start of a word stand for this site's name.
    #[track_caller]
    pub fn must(&self, words: &[&str]) -> Finished {
        self.command(words).run().ok()
    }

    /// Prepares a command on the server itself; `SITE` stands for the site's name.
    pub fn command(&self, words: &[&str]) -> Client {
        let words = self.named(words);
        self.gateway
            .command(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Prepares a command over ssh as `person`; `SITE` stands for the site's name.
    pub fn console(&self, person: &Person, words: &[&str]) -> Client {
        let words = self.named(words);
        person.console(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn named(&self, words: &[&str]) -> Vec<String> {
        words
            .iter()
            .map(|word| match word.strip_prefix("SITE") {
                Some(rest) if rest.is_empty() || rest.starts_with('.') => self.name.clone() + rest,
                _ => (*word).to_owned(),
            })
            .collect()
    }

    /// Puts Dev into `sftp` or `git` mode.
    #[track_caller]
    pub fn set_mode(&self, mode: &str) {
        if self.stand_in.is_some() {
            return;
        }
        self.must(&["connection:set", "SITE.dev", mode, "--yes"]);
    }

    /// Deploys what Dev runs to Test, and that to Live.
    #[track_caller]
    pub fn deploy_all(&self) {
        if self.stand_in.is_some() {
            return;
        }
        self.must(&["env:deploy", "SITE.test", "--note", "to test"]);
        self.must(&["env:deploy", "SITE.live", "--note", "to live"]);
    }

    /// Returns the folder on the gateway's disk that holds `area` (`code`, `files` …).
    pub fn disk(&self, environment: &str, area: &str) -> PathBuf {
        if let Some(stand_in) = &self.stand_in {
            return stand_in.top().join(area);
        }
        let environment = self
            .gateway
            .data()
            .join("sites")
            .join(&self.name)
            .join("environments")
            .join(environment);
        let current = environment.join("current").join(area);
        if current.exists() {
            current
        } else {
            environment.join(area)
        }
    }

    /// Returns the bare repository on the gateway's disk.
    pub fn repository(&self) -> PathBuf {
        if let Some(stand_in) = &self.stand_in {
            return stand_in.repository();
        }
        self.gateway
            .data()
            .join("sites")
            .join(&self.name)
            .join("repository.git")
    }

    /// Reads an area from the gateway's disk.
    pub fn tree(&self, environment: &str, area: &str) -> Tree {
        Tree::read(self.disk(environment, area))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "-- site {}: the daemon's log ends so --\n{}",
                self.name,
                self.gateway.log_tail()
            );
        }
    }
}
