//! Who asks, and what standing they have now.

use std::sync::Arc;

use policy::{Action, Limits, Standing, Target};

use super::Gate;
use super::certified::Certified;
use crate::state::Model;

/// Who asks, as proven at login. Roles are not in it: they are looked up at each request, so that
/// a lost role acts at once.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The person.
    pub person: policy::PersonName,
    /// The fingerprint of the key; absent for the local command line, whose user has the
    /// gateway's own rights on the server.
    pub fingerprint: Option<String>,
    /// The certificate, for somebody who logged in with one; the fingerprint is then its key's.
    pub certificate: Option<Arc<Certified>>,
    /// The address of the client, without its port.
    pub address: String,
    /// What the client calls itself.
    pub client: String,
}

/// Whether a question is about what somebody does, or about what they could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Really,
    /// `explain` asks.
    Imagined,
}

impl Identity {
    /// Returns from where they come, for the record of a workflow.
    pub fn origin(&self) -> String {
        format!("{} ({})", self.address, self.client)
    }

    /// Returns how the audit names the key, with the certificate if there is one.
    pub(super) fn described_key(&self) -> Option<String> {
        match &self.certificate {
            Some(certificate) => Some(certificate.described()),
            None => self.fingerprint.clone(),
        }
    }

    /// What the key is limited to. A certificate reaches all that its holder does, for its time.
    pub(super) fn limits(&self, model: &Model) -> Limits {
        match (&self.certificate, &self.fingerprint) {
            (None, Some(fingerprint)) => model
                .keys
                .get(fingerprint)
                .map(|key| key.limits.clone())
                .unwrap_or_default(),
            (Some(_), _) => Limits {
                passing: true,
                ..Limits::default()
            },
            (None, None) => Limits::default(),
        }
    }
}

impl Gate {
    /// Returns somebody's standing toward a site as of now, for lists of what they have a part in.
    pub fn standing(&self, who: &Identity, site: &policy::SiteName) -> Standing {
        let target = Target::Site(site.clone());
        let model = self.state.model();
        let sites = who.limits(&model).sites;
        if !sites.is_empty() && !sites.contains(site) {
            return Standing::Stranger;
        }
        self.standing_for(&model, who, Action::ViewSite, &target, Asked::Really)
    }

    pub(super) fn standing_for(
        &self,
        model: &Model,
        who: &Identity,
        action: Action,
        target: &Target,
        asked: Asked,
    ) -> Standing {
        if who.fingerprint.is_none() {
            let unknown = |site| action != Action::CreateSite && !model.sites.contains_key(site);
            return if target.site().is_some_and(unknown) {
                Standing::Stranger
            } else {
                Standing::ServerAdministrator
            };
        }
        if let Some(ended) = self.trust.ended(model, who, asked) {
            return Standing::Ended(ended);
        }
        let Some(site) = target.site().filter(|_| action != Action::CreateSite) else {
            // A site that is to be made has no team yet.
            return match &who.certificate {
                Some(certificate) if certificate.visitor => Standing::Stranger,
                Some(_) | None => model.server_standing(&who.person),
            };
        };
        match &who.certificate {
            Some(certificate) => certificate.standing(model, &who.person, site),
            None => model.standing(&who.person, site),
        }
    }
}
