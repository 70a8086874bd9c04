//! Which keys and certificates still count: trusted authorities, revocation, ends, addresses. What
//! lies in files is read again when a file changes, and open sessions are decided anew.

mod files;
mod krl;
mod principals;
mod revoked;
mod sources;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use policy::{Ended, PersonName};

pub use sources::Sources;

use super::certified::Certified;
use super::identity::{Asked, Identity};
use crate::config::{self, SecurityKeys};
use crate::fault::Fault;
use crate::state::{Key, Model, State, for_people};
use files::{Stamp, Watched};
use principals::Principals;
use revoked::{Revoked, Suspect, SuspectCertificate};

/// How often files and ends are looked at; what they change acts on open sessions within a second.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// What a key or certificate is trusted by. One for the whole daemon.
#[derive(Debug)]
pub struct Trust {
    state: Arc<State>,
    principals: Principals,
    security_keys: SecurityKeys,
    authorities: Vec<Authorities>,
    revocation: Option<PathBuf>,
    lists: RwLock<Lists>,
    seen: Mutex<Seen>,
}

/// One entry of `identity.authorities`.
#[derive(Debug)]
enum Authorities {
    Key(String),
    File(PathBuf),
}

/// What was read from files.
#[derive(Debug, Default)]
struct Lists {
    /// Fingerprints of authorities that the configuration names.
    authorities: Vec<String>,
    /// The last list that could be read whole.
    revoked: Option<Arc<Revoked>>,
    /// Whether the list cannot be read now.
    broken: bool,
}

/// What was looked at last.
#[derive(Debug, Default)]
struct Seen {
    stamps: Vec<Option<Stamp>>,
    /// When the certificates of open sessions end.
    ends: Vec<Timestamp>,
    until: Option<Timestamp>,
}

/// The most ends of open certificates that are waited for one by one; beyond, all sessions are
/// decided anew at each look.
const MOST_ENDS: usize = 100_000;

impl Trust {
    /// Trusts no certificate and revokes nothing.
    pub fn none(state: Arc<State>) -> Self {
        Self {
            state,
            principals: Principals::default(),
            security_keys: SecurityKeys::Allow,
            authorities: Vec::new(),
            revocation: None,
            lists: RwLock::default(),
            seen: Mutex::default(),
        }
    }

    /// Reads what the configuration names. A file that cannot be read stops nothing but what it
    /// stands for; the log says so.
    ///
    /// # Errors
    /// When the configuration makes no sense.
    pub fn new(state: Arc<State>, identity: &config::Identity) -> Result<Self, Fault> {
        let (authorities, principals) = read_words(identity)?;
        let trust = Self {
            principals,
            security_keys: identity.security_keys,
            authorities,
            revocation: identity.revoked.clone(),
            ..Self::none(state)
        };
        trust.look();
        Ok(trust)
    }

    /// Says whether the configuration makes sense, as far as its own words tell.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(identity: &config::Identity) -> Result<(), Fault> {
        read_words(identity).map(|_| ())
    }

    /// Looks at files and ends for ever.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let trust = Arc::clone(&self);
            // A file may lie on a slow disk.
            let looked = tokio::task::spawn_blocking(move || trust.look()).await;
            if let Err(error) = looked {
                tracing::error!("looking at revoked keys: {error}");
            }
        }
    }

    /// Returns true if FIDO keys let anybody in.
    pub fn takes_security_keys(&self) -> bool {
        self.security_keys == SecurityKeys::Allow
    }

    /// Returns true if there is an authority whose certificates could be taken.
    pub fn takes_certificates(&self) -> bool {
        !self.authorities.is_empty() || !self.state.model().authorities.is_empty()
    }

    /// Returns the fingerprints of the authorities that the configuration names.
    pub fn configured_authorities(&self) -> Vec<String> {
        self.lists().authorities.clone()
    }

    /// Decides whether a certificate lets somebody in from an address, and as whom. The holder has
    /// proven the key, and the authority's signature was verified. Who and with which roles is
    /// written into it.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub fn admit(
        &self,
        mut given: Certified,
        principals: &[String],
        address: &str,
    ) -> Result<(PersonName, Certified), String> {
        let model = self.state.model();
        if !self.trusts(&model, &given.authority_fingerprint) {
            return Err(format!(
                "Your certificate is signed by {}, which is no authority that is trusted here; the administrator can add it: ca:add FILE.",
                given.authority_fingerprint
            ));
        }
        if let Some(ended) = self.revocation_of(&given.key, Some(&given)) {
            return Err(match ended {
                Ended::RevocationUnknown => UNREADABLE.to_owned(),
                _revoked => "Your certificate has been revoked; have your key signed anew, or ask the administrator.".to_owned(),
            });
        }
        if is_over(given.expires) {
            return Err("Your certificate has expired; have your key signed anew.".to_owned());
        }
        if given
            .sources
            .as_ref()
            .is_some_and(|sources| !sources.hold(address))
        {
            return Err(format!(
                "Your certificate may not be used from {address} (source-address); connect from where it may, or have one signed for here."
            ));
        }
        let resolved = self.principals.resolve(principals, &given.id, &model)?;
        given.visitor = resolved.visitor;
        given.roles = resolved.roles;
        if let Some(end) = given.expires {
            let mut seen = self.seen();
            if seen.ends.len() < MOST_ENDS {
                seen.ends.push(end);
            }
        }
        Ok((resolved.person, given))
    }

    /// Decides whether a key that was proven lets its owner in from an address.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub fn admit_key(&self, key: &Key, address: &str) -> Result<(), String> {
        match self.end_of_key(key, Some(address)) {
            None => Ok(()),
            Some(Ended::KeyExpired) => Err(format!(
                "Your key {} expired at {}; have a key added again: ssh-key:add FILE --user {}.",
                key.fingerprint,
                key.expires.map(for_people).unwrap_or_default(),
                key.person
            )),
            Some(Ended::KeyElsewhere) => Err(format!(
                "Your key {} may not be used from {address}, only from {}.",
                key.fingerprint,
                key.sources.as_deref().unwrap_or_default()
            )),
            Some(Ended::RevocationUnknown) => Err(UNREADABLE.to_owned()),
            Some(_revoked) => Err(format!(
                "Your key {} has been revoked; use another one.",
                key.fingerprint
            )),
        }
    }

    /// Returns why what somebody logged in with no longer counts, if it does not. Of somebody who
    /// is only imagined nobody knows the address, and without a key they may have a certificate.
    pub(super) fn ended(&self, model: &Model, who: &Identity, asked: Asked) -> Option<Ended> {
        let Some(certificate) = &who.certificate else {
            let fingerprint = who.fingerprint.as_ref()?;
            let known = model.keys.get(fingerprint);
            let key = known.filter(|key| key.person == who.person);
            let certified = fingerprint.is_empty()
                && self.takes_certificates()
                && model.people.contains_key(&who.person);
            return match (key, asked) {
                (Some(key), Asked::Really) => self.end_of_key(key, Some(&who.address)),
                (Some(key), Asked::Imagined) => self.end_of_key(key, None),
                (None, Asked::Imagined) if certified => None,
                (None, _) => Some(Ended::KeyRemoved),
            };
        };
        if is_over(certificate.expires) {
            return Some(Ended::CertificateExpired);
        }
        if !self.trusts(model, &certificate.authority_fingerprint) {
            return Some(Ended::AuthorityRemoved);
        }
        // A visitor whose name became somebody's would otherwise act under that name.
        if model.people.contains_key(&who.person) == certificate.visitor {
            return Some(Ended::PersonRemoved);
        }
        self.revocation_of(&certificate.key, Some(certificate))
    }

    fn end_of_key(&self, key: &Key, address: Option<&str>) -> Option<Ended> {
        if is_over(key.expires) {
            return Some(Ended::KeyExpired);
        }
        if let (Some(sources), Some(address)) = (&key.sources, address) {
            let holds = sources
                .parse::<Sources>()
                .is_ok_and(|sources| sources.hold(address));
            if !holds {
                return Some(Ended::KeyElsewhere);
            }
        }
        self.revocation.as_ref()?;
        let Some(blob) = revoked::key_blob(&key.line) else {
            return Some(Ended::RevocationUnknown);
        };
        self.revocation_of(&blob, None)
    }

    /// While the list cannot be read, no certificate is taken, since short lists of long-lived
    /// certificates are what it is for. Keys are still judged by the last list that was whole; if
    /// there never was one, they are not taken either.
    fn revocation_of(&self, key: &[u8], certificate: Option<&Certified>) -> Option<Ended> {
        self.revocation.as_ref()?;
        let lists = self.lists();
        let Some(revoked) = lists.revoked.as_ref() else {
            return Some(Ended::RevocationUnknown);
        };
        let suspect = Suspect {
            key,
            certificate: certificate.map(|certificate| SuspectCertificate {
                authority: &certificate.authority,
                serial: certificate.serial,
                id: certificate.id.as_bytes(),
            }),
        };
        if revoked.holds(suspect) {
            return Some(Ended::Revoked);
        }
        (lists.broken && certificate.is_some()).then_some(Ended::RevocationUnknown)
    }

    fn trusts(&self, model: &Model, authority: &str) -> bool {
        model.authorities.contains_key(authority)
            || self.lists().authorities.iter().any(|one| one == authority)
    }

    /// Reads what has changed, and lets open sessions be decided anew if something has.
    fn look(&self) {
        let files = self.authorities.iter().filter_map(|one| match one {
            Authorities::File(path) => Some(path),
            Authorities::Key(_) => None,
        });
        let stamps: Vec<Option<Stamp>> = files
            .chain(&self.revocation)
            .map(|path| Stamp::of(path))
            .collect();
        let now = Timestamp::now();
        let mut seen = self.seen();
        let first = seen.until.is_none();
        let changed = first || seen.stamps != stamps;
        let before = seen.until.replace(now).unwrap_or(now);
        let waiting = seen.ends.len();
        let full = waiting >= MOST_ENDS;
        seen.ends.retain(|end| *end > now);
        let ended = full || seen.ends.len() != waiting;
        seen.stamps = stamps;
        drop(seen);
        if changed {
            self.read_lists();
        }
        let keys_ended = self
            .state
            .model()
            .keys
            .values()
            .filter_map(|key| key.expires)
            .any(|end| before < end && end <= now);
        if !first && (changed || ended || keys_ended) {
            self.state.touch();
        }
    }

    fn read_lists(&self) {
        let mut authorities = Vec::new();
        for one in &self.authorities {
            match one {
                Authorities::Key(fingerprint) => authorities.push(fingerprint.clone()),
                Authorities::File(path) => match files::authorities(path) {
                    Ok(found) => authorities.extend(found),
                    Err(problem) => tracing::error!(
                        "no certificate of the authorities in {} is taken: {problem}",
                        path.display()
                    ),
                },
            }
        }
        let read = self.revocation.as_ref().map(|path| {
            let read = Watched(path).read().and_then(|bytes| Revoked::read(&bytes));
            if let Err(problem) = &read {
                tracing::error!(
                    "the list of revoked keys {} cannot be used, so no certificate is taken: {problem}",
                    path.display()
                );
            } else {
                tracing::info!("read the list of revoked keys {}", path.display());
            }
            read
        });
        let mut lists = self.lists.write().unwrap_or_else(PoisonError::into_inner);
        lists.authorities = authorities;
        match read {
            Some(Ok(revoked)) => {
                lists.revoked = Some(Arc::new(revoked));
                lists.broken = false;
            }
            Some(Err(_)) => lists.broken = true,
            None => {}
        }
    }

    fn lists(&self) -> std::sync::RwLockReadGuard<'_, Lists> {
        self.lists.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_words(identity: &config::Identity) -> Result<(Vec<Authorities>, Principals), Fault> {
    let authorities = identity.authorities.iter().map(|one| {
        if one.starts_with('/') {
            return Ok(Authorities::File(PathBuf::from(one)));
        }
        let blob = revoked::key_blob(one)
            .ok_or_else(|| Fault::new(format!("identity.authorities: '{one}' is no public key")))?;
        Ok(Authorities::Key(revoked::fingerprint(&blob)))
    });
    let principals = Principals::read(&identity.principals, &identity.role_principals);
    Ok((
        authorities.collect::<Result<_, Fault>>()?,
        principals.map_err(Fault::new)?,
    ))
}

fn is_over(end: Option<Timestamp>) -> bool {
    end.is_some_and(|end| end <= Timestamp::now())
}

const UNREADABLE: &str = "The gateway cannot read its list of revoked keys, so it takes no certificate; tell the administrator, whose log says what is wrong with it.";
