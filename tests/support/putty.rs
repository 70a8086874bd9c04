//! PuTTY's programs: they keep a key in a form of their own, and are told the gateway's host keys.

use std::path::{Path, PathBuf};

use crate::clients::Client;
use crate::personas::Person;
use crate::site::Site;

/// Prepares one of them (`pscp`, `psftp`) at `desk`, with the person's key and the gateway's.
pub fn client(program: &str, site: &Site, person: &Person, desk: &Path) -> Client {
    let known = person.client("ssh-keygen").arg("-lf");
    let known = known.arg(person.known_hosts()).run().ok().out();
    let fingerprints = known
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    let host_keys = fingerprints.flat_map(|fingerprint| ["-hostkey", fingerprint]);
    person
        .client(program)
        .folder(desk)
        .args(["-batch", "-P", &site.address().port().to_string(), "-i"])
        .arg(key(person, desk))
        .args(host_keys)
}

/// Returns the person's key as PuTTY has keys; it is made at `desk`.
pub fn key(person: &Person, desk: &Path) -> PathBuf {
    let key = desk.join("id.ppk");
    if !key.exists() {
        let puttygen = person.client("puttygen").arg(person.key());
        puttygen.args(["-O", "private", "-o"]).arg(&key).run().ok();
    }
    key
}

/// Returns an environment as PuTTY's programs name it.
pub fn address(site: &Site, environment: &str) -> String {
    format!("{}@{}", site.login(environment), site.address().ip())
}
