//! Login: from a proven key or certificate to an identity, and what those are told who do not get
//! in.

use std::sync::Arc;

use policy::{PersonName, Refusal};
use russh::keys::{Algorithm, Certificate, HashAlg, ssh_key};

use super::overheard::{self, Overheard};
use super::{certificates, keys};
use crate::audit::Who;
use crate::gate::{Certified, Gate};
use crate::site::crash;
use crate::state::State;

/// Whom a key or certificate has let in.
#[derive(Debug)]
pub(super) struct Entered {
    /// The person.
    pub person: PersonName,
    /// The fingerprint of the key.
    pub fingerprint: String,
    /// The certificate, if it was one.
    pub certificate: Option<Arc<Certified>>,
}

/// What has happened on a connection before anybody was let in.
#[derive(Debug)]
pub(super) struct Login {
    gate: Arc<Gate>,
    state: Arc<State>,
    address: String,
    user: Option<String>,
    tried: Vec<String>,
    /// Why what was proven did not count, in sentences.
    reasons: Vec<String>,
    /// The key or certificate that was proven last, and did not count.
    proven: Option<String>,
    with_sha1: bool,
    told: bool,
    over: bool,
}

/// Keys of a connection that are remembered for the audit, and reasons.
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
            reasons: Vec::new(),
            proven: None,
            with_sha1: false,
            told: false,
            over: false,
        }
    }

    /// Notes that somebody wants to be let in.
    pub(super) fn attempt(&mut self, user: &str) {
        crash::panic_on(user.as_bytes());
        self.user = Some(policy::escape(user.as_bytes()));
        self.hear();
    }

    /// Notes a key of a kind that this gateway does not take.
    pub(super) fn not_taken(&mut self, key: &ssh_key::PublicKey, algorithm: &Algorithm) {
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        self.remember(format!(
            "{fingerprint} ({algorithm}, a kind that is not taken here)"
        ));
    }

    /// Returns whether a key is worth proving. Nothing else may follow from an offer, since
    /// whoever offers a public key need not own it (RFC 4252 §7). A certificate is offered as its
    /// bare key, which is as a rule unknown: where certificates are taken, any key may be proven.
    pub(super) fn offered(&mut self, key: &ssh_key::PublicKey, algorithm: &Algorithm) -> bool {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        if self.is_sha1(&fingerprint, algorithm) {
            return false;
        }
        if self.state.model().keys.contains_key(&fingerprint) {
            return true;
        }
        self.remember(fingerprint);
        self.gate.trust().takes_certificates()
    }

    /// Returns whom a key has let in; call with a key whose signature has been verified.
    pub(super) fn proven(
        &mut self,
        key: &ssh_key::PublicKey,
        algorithm: &Algorithm,
    ) -> Option<Entered> {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        if self.is_sha1(&fingerprint, algorithm) {
            return None;
        }
        let known = self.state.model().keys.get(&fingerprint).cloned();
        let Some(known) = known else {
            self.remember(fingerprint);
            return None;
        };
        let trust = self.gate.trust();
        let judged = keys::fit(key.key_data(), trust.takes_security_keys())
            .and_then(|()| trust.admit_key(&known, &self.address));
        match judged {
            Ok(()) => {
                self.over = true;
                Some(Entered {
                    person: known.person,
                    fingerprint,
                    certificate: None,
                })
            }
            Err(reason) => {
                self.proven = Some(fingerprint.clone());
                self.remember(fingerprint);
                self.because(reason);
                None
            }
        }
    }

    /// Returns whom a certificate has let in; call with one whose key was proven and whose
    /// signature was verified.
    pub(super) fn certified(&mut self, certificate: &Certificate) -> Option<Entered> {
        let trust = self.gate.trust();
        let admitted = certificates::read(certificate, trust.takes_security_keys())
            .and_then(|read| trust.admit(read, certificate.valid_principals(), &self.address));
        match admitted {
            Ok((person, certified)) => {
                self.over = true;
                Some(Entered {
                    person,
                    fingerprint: certified.fingerprint.clone(),
                    certificate: Some(Arc::new(certified)),
                })
            }
            Err(reason) => {
                let key = certificate.public_key().fingerprint(HashAlg::Sha256);
                let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
                let id: String = policy::escape(certificate.key_id().as_bytes())
                    .chars()
                    .take(128)
                    .collect();
                let named = format!(
                    "{key} (certificate '{id}', serial {}, CA {authority})",
                    certificate.serial()
                );
                self.proven = Some(named.clone());
                self.remember(named);
                self.because(reason);
                None
            }
        }
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
        for reason in &self.reasons {
            text.push_str(reason);
            text.push('\n');
        }
        match self.tried.last() {
            Some(key) if self.reasons.is_empty() => text.push_str(&format!(
                "No key that your client offered is known here; the last was {key}.\n"
            )),
            Some(_) => {}
            None if self.reasons.is_empty() => text.push_str("Your client offered no key.\n"),
            None => {}
        }
        text.push_str("Send the .pub file of your key to the administrator, who adds it with: ssh-key:add FILE --user NAME\n");
        Some(text)
    }

    /// A signature with SHA-1 proves nothing, whatever the key.
    fn is_sha1(&mut self, fingerprint: &str, algorithm: &Algorithm) -> bool {
        let sha1 = *algorithm == (Algorithm::Rsa { hash: None });
        if sha1 {
            self.with_sha1 = true;
            self.remember(format!("{fingerprint} (ssh-rsa)"));
        }
        sha1
    }

    fn hear(&mut self) {
        match overheard::take() {
            Some(Overheard::Dates) => self.because(
                "Your certificate has expired or is not valid yet; ssh-keygen -L -f FILE-cert.pub shows its dates. Have your key signed anew."
                    .to_owned(),
            ),
            Some(Overheard::Signature) => self.because(
                "The signature of your certificate is not that of the authority it names; have your key signed anew."
                    .to_owned(),
            ),
            None => {}
        }
    }

    fn because(&mut self, reason: String) {
        if !self.reasons.contains(&reason) && self.reasons.len() < MOST_REMEMBERED {
            self.reasons.push(reason);
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
        self.hear();
        // russh asks nobody about a certificate that it refuses itself, so no name is known then.
        let unheard = (!self.reasons.is_empty()).then(|| "unknown".to_owned());
        let user = self.user.take().or(unheard);
        let Some(user) = user.filter(|_| !self.over) else {
            return;
        };
        let mut message = if self.tried.is_empty() {
            format!("A login as '{user}' failed; no key was offered.")
        } else {
            format!(
                "A login as '{user}' failed; keys tried: {}.",
                self.tried.join(", ")
            )
        };
        for reason in &self.reasons {
            message.push(' ');
            message.push_str(reason);
        }
        let refusal = Refusal {
            rule: "login-failed",
            message,
            hint: String::new(),
        };
        let who = Who {
            fingerprint: self.proven.take(),
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
