//! Login: from a proven key to an identity, and what those are told who do not get in.

use std::sync::Arc;

use policy::{PersonName, Refusal};
use russh::keys::{Algorithm, HashAlg, ssh_key};

use crate::audit::Who;
use crate::gate::Gate;
use crate::state::State;

/// What has happened on a connection before anybody was let in.
#[derive(Debug)]
pub(super) struct Login {
    gate: Arc<Gate>,
    state: Arc<State>,
    address: String,
    user: Option<String>,
    tried: Vec<String>,
    with_sha1: bool,
    told: bool,
    over: bool,
}

/// Keys of a connection that are remembered for the audit.
const MOST_REMEMBERED: usize = 5;

impl Login {
    /// Begins for a client at this address.
    pub(super) fn new(gate: Arc<Gate>, state: Arc<State>, address: String) -> Self {
        Self {
            gate,
            state,
            address,
            user: None,
            tried: Vec::new(),
            with_sha1: false,
            told: false,
            over: false,
        }
    }

    /// Notes that somebody wants to be let in.
    pub(super) fn attempt(&mut self, user: &str) {
        self.user = Some(policy::escape(user.as_bytes()));
    }

    /// Notes a key of a kind that this gateway does not take.
    pub(super) fn not_taken(&mut self, key: &ssh_key::PublicKey, algorithm: &Algorithm) {
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        self.remember(format!(
            "{fingerprint} ({algorithm}, a kind that is not taken here)"
        ));
    }

    /// Returns whether a key is worth proving. Nothing else may follow from an offer, since
    /// whoever offers a public key need not own it (RFC 4252 §7).
    pub(super) fn offered(&mut self, key: &ssh_key::PublicKey, algorithm: &Algorithm) -> bool {
        self.owner(key, algorithm).is_some()
    }

    /// Returns whom a key has let in; call with a key whose signature has been verified.
    pub(super) fn proven(
        &mut self,
        key: &ssh_key::PublicKey,
        algorithm: &Algorithm,
    ) -> Option<(PersonName, String)> {
        let found = self.owner(key, algorithm)?;
        self.over = true;
        Some(found)
    }

    /// Returns what to tell a client whose keys were not taken, once.
    pub(super) fn advice(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        let mut text = String::from("Funicular lets people in by their public key only.\n");
        if self.with_sha1 {
            text.push_str("Your RSA key was offered with SHA-1 signatures (ssh-rsa), which are not taken: use a newer client.\n");
        }
        match self.tried.last() {
            Some(key) => text.push_str(&format!(
                "No key that your client offered is known here; the last was {key}.\n"
            )),
            None => text.push_str("Your client offered no key.\n"),
        }
        text.push_str("Send the .pub file of your key to the administrator, who adds it with: ssh-key:add FILE --user NAME\n");
        Some(text)
    }

    fn owner(
        &mut self,
        key: &ssh_key::PublicKey,
        algorithm: &Algorithm,
    ) -> Option<(PersonName, String)> {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        if *algorithm == (Algorithm::Rsa { hash: None }) {
            self.with_sha1 = true;
            self.remember(format!("{fingerprint} (ssh-rsa)"));
            return None;
        }
        let owner = self
            .state
            .model()
            .keys
            .get(&fingerprint)
            .map(|key| key.person.clone());
        match owner {
            Some(person) => Some((person, fingerprint)),
            None => {
                self.remember(fingerprint);
                None
            }
        }
    }

    fn remember(&mut self, fingerprint: String) {
        if !self.tried.contains(&fingerprint) && self.tried.len() < MOST_REMEMBERED {
            self.tried.push(fingerprint);
        }
    }
}

impl Drop for Login {
    /// A connection that asked to be let in and was not leaves a row.
    fn drop(&mut self) {
        let Some(user) = self.user.take().filter(|_| !self.over) else {
            return;
        };
        let refusal = Refusal {
            rule: "login-failed",
            message: if self.tried.is_empty() {
                format!("A login as '{user}' failed; no key was offered.")
            } else {
                format!(
                    "A login as '{user}' failed; keys tried: {}.",
                    self.tried.join(", ")
                )
            },
            hint: String::new(),
        };
        let who = Who {
            address: Some(self.address.clone()),
            ..Who::default()
        };
        if let Err(fault) = self
            .gate
            .refuse_outright(who, "login", Some(user), &refusal)
        {
            tracing::error!("a failed login could not be recorded: {fault}");
        }
    }
}
