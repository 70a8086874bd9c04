//! Who is taken for whom: authorities of certificates, what their principals stand for, what is
//! revoked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// Certificates, revocation and security keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Authorities whose certificates are taken: absolute paths of files with their public keys, or
    /// public keys themselves. Others may stand in the state (`ca:add`).
    pub authorities: Vec<String>,
    /// A key revocation list of OpenSSH, or a plain list of fingerprints and public keys.
    pub revoked: Option<PathBuf>,
    /// How a principal is written that gives a role on a site, with `{site}` and `{role}` in it;
    /// empty for none.
    pub role_principals: String,
    /// Whether FIDO keys let anybody in.
    pub security_keys: SecurityKeys,
    /// What a principal stands for: a person, or `SITE:ROLE`.
    pub principals: BTreeMap<String, String>,
}

/// Whether FIDO keys let anybody in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecurityKeys {
    /// They do, touched or not.
    #[default]
    Allow,
    /// They do not.
    Refuse,
}

impl Identity {
    /// Says what is wrong, as far as the text alone tells.
    pub(super) fn check(&self) -> Result<(), String> {
        let sound = |one: &String| one.starts_with('/') || one.contains(' ');
        if let Some(odd) = self.authorities.iter().find(|one| !sound(one)) {
            return Err(format!(
                "identity.authorities: '{odd}' is neither an absolute path nor a public key"
            ));
        }
        if self
            .revoked
            .as_ref()
            .is_some_and(|path| !path.is_absolute())
        {
            return Err("identity.revoked must be an absolute path".to_owned());
        }
        Ok(())
    }
}
