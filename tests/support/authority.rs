//! A certificate authority made of `ssh-keygen`, and people who come with its certificates.

use std::fs;
use std::path::{Path, PathBuf};

use crate::clients::{Client, Finished};
use crate::gateway::Gateway;
use crate::personas::{Person, make_key};

/// An authority: a key that signs others.
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// Makes a new key in a folder below `top`.
    pub fn new(top: &Path, name: &str) -> Self {
        let folder = top.join("authorities").join(name);
        fs::create_dir_all(&folder).unwrap();
        make_key(&folder.join("ca"), &["-t", "ed25519"], name);
        Self { folder }
    }

    /// Takes a key that is there, a person's say.
    pub fn with_key(top: &Path, name: &str, key: &Path) -> Self {
        let folder = top.join("authorities").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(key, folder.join("ca")).unwrap();
        fs::copy(key.with_extension("pub"), folder.join("ca.pub")).unwrap();
        Self { folder }
    }

    pub fn public_key(&self) -> PathBuf {
        self.folder.join("ca.pub")
    }

    /// Returns `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.public_key())
    }

    /// Signs a person's key, with `ssh-keygen`'s own options; the person's ssh finds the
    /// certificate beside the key.
    pub fn sign(&self, person: &Person, options: &[&str]) -> PathBuf {
        let certificate = person.home().join("id-cert.pub");
        let _ = fs::remove_file(&certificate);
        Client::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(self.folder.join("ca"))
            .args(options)
            .arg(person.public_key())
            .run()
            .ok();
        certificate
    }

    /// Makes a revocation list from the lines that `ssh-keygen -k` reads, about this authority.
    pub fn revoke(&self, into: &Path, lines: &str) {
        let lines_file = self.folder.join("revoked-lines");
        fs::write(&lines_file, lines).unwrap();
        let fresh = into.with_extension("new");
        Client::new("ssh-keygen")
            .args(["-q", "-k", "-s"])
            .arg(self.public_key())
            .arg("-f")
            .arg(&fresh)
            .arg(&lines_file)
            .run()
            .ok();
        fs::rename(fresh, into).unwrap();
    }
}

/// Makes somebody whom the gateway knows nothing of, at a computer that knows the gateway.
pub fn newcomer(gateway: &Gateway, name: &str) -> Person {
    let person = Person::new(&gateway.folder().join("newcomers"), name);
    let known_hosts = fs::read_to_string(gateway.people()[0].known_hosts()).unwrap();
    person.meet(gateway.address(), &known_hosts);
    person
}

/// Logs in to the console and lets ssh show why it was not let in.
pub fn try_to_enter(person: &Person) -> Finished {
    person
        .openssh("ssh")
        .args(["-T", "-o", "BatchMode=no"])
        .args([
            "-o",
            "PreferredAuthentications=publickey,keyboard-interactive",
        ])
        .arg("console@gateway")
        .run()
}

/// Returns the fingerprint of the public key in a file.
pub fn fingerprint(file: &Path) -> String {
    let listed = Client::new("ssh-keygen").arg("-lf").arg(file).run().ok();
    let listed = listed.out();
    let found = listed.split_whitespace().nth(1);
    found.expect("a fingerprint in the second place").to_owned()
}
