//! What is known of somebody who logged in with a certificate.

use std::collections::BTreeMap;

use jiff::Timestamp;
use policy::{PersonName, Role, SiteName, Standing};

use super::trust::Sources;
use crate::state::Model;

/// A certificate whose key was proven and whose signature was verified, as far as it counts for
/// decisions.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The fingerprint of the certified key, `SHA256:…`.
    pub fingerprint: String,
    /// The certified key in wire form (RFC 4253 §6.6).
    pub key: Vec<u8>,
    /// The authority's key in wire form.
    pub authority: Vec<u8>,
    /// The fingerprint of the authority's key.
    pub authority_fingerprint: String,
    /// The number that the authority gave it.
    pub serial: u64,
    /// The id that the authority gave it.
    pub id: String,
    /// From when on it does not count; absent for one without an end.
    pub expires: Option<Timestamp>,
    /// From where it may be used (`source-address`).
    pub sources: Option<Sources>,
    /// The command that takes the place of every other (`force-command`).
    pub forced: Option<String>,
    /// Whether the person is one that the state does not know.
    pub visitor: bool,
    /// Roles that the principals give.
    pub roles: BTreeMap<SiteName, Role>,
}

/// The longest part of a certificate's id that the audit shows.
const LONGEST_ID: usize = 128;

impl Certified {
    /// Returns the holder's standing toward a site: the higher of what the state and what the
    /// certificate's principals give. On a site that does not exist nobody has any.
    pub(super) fn standing(&self, model: &Model, person: &PersonName, site: &SiteName) -> Standing {
        let own = if self.visitor {
            Standing::Stranger
        } else {
            model.standing(person, site)
        };
        let given = self
            .roles
            .get(site)
            .filter(|_| model.sites.contains_key(site));
        match (own, given) {
            (Standing::Stranger, Some(role)) => Standing::Member(*role),
            (Standing::Member(known), Some(role)) => Standing::Member(known.max(*role)),
            (other, _) => other,
        }
    }

    /// Returns how the audit names it: the key, then the certificate.
    pub fn described(&self) -> String {
        let id: String = policy::escape(self.id.as_bytes())
            .chars()
            .take(LONGEST_ID)
            .collect();
        format!(
            "{} (certificate '{id}', serial {}, CA {})",
            self.fingerprint, self.serial, self.authority_fingerprint
        )
    }
}
