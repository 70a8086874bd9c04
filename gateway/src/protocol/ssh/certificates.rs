//! OpenSSH user certificates (OpenSSH's PROTOCOL.certkeys): everything about one that the
//! certificate itself tells. russh has verified its signature, its dates and that the client holds
//! the key; whether its authority is trusted and who it stands for is the gate's to say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg};

use super::keys;
use crate::gate::{Certified, Sources};

/// The most principals that are looked at.
const MOST_PRINCIPALS: usize = 256;

/// Reads a certificate whose key was proven.
///
/// # Errors
/// With a sentence for the person.
pub(super) fn read(certificate: &Certificate, security_keys: bool) -> Result<Certified, String> {
    if certificate.cert_type() != CertType::User {
        return Err(
            "Your certificate is for a host, not for a user; have your key signed without -h."
                .to_owned(),
        );
    }
    let key = certificate.public_key();
    keys::fit(key, security_keys).map_err(|why| format!("The key in your certificate: {why}"))?;
    let authority = certificate.signature_key();
    // A certificate is no key, whoever signed it: else whom an authority certified could certify
    // others. Security keys as authorities are OpenSSH's business, not that of a login.
    keys::fit(authority, true)
        .map_err(|why| format!("The authority of your certificate: {why}"))?;
    if let Algorithm::Rsa { hash } = certificate.signature().algorithm()
        && !matches!(hash, Some(HashAlg::Sha256 | HashAlg::Sha512))
    {
        return Err(
            "Your certificate is signed with SHA-1, which is not taken; have it signed with: ssh-keygen -t rsa-sha2-512 -s CA."
                .to_owned(),
        );
    }
    if certificate.valid_principals().len() > MOST_PRINCIPALS {
        return Err(format!(
            "Your certificate names {} principals; at most {MOST_PRINCIPALS} are taken.",
            certificate.valid_principals().len()
        ));
    }
    let blob = |key: &KeyData| {
        keys::wire_form(key).ok_or_else(|| "Your certificate cannot be written down.".to_owned())
    };
    let mut read = Certified {
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        key: blob(key)?,
        authority: blob(authority)?,
        authority_fingerprint: authority.fingerprint(HashAlg::Sha256).to_string(),
        serial: certificate.serial(),
        id: certificate.key_id().to_owned(),
        expires: end(certificate.valid_before()),
        sources: None,
        forced: None,
        visitor: false,
        roles: BTreeMap::new(),
    };
    dates(certificate)?;
    for (name, value) in certificate.critical_options().iter() {
        option(&mut read, name, value)?;
    }
    Ok(read)
}

/// russh has looked at the dates, but by rules of its own: what ends beyond its range it takes for
/// endless, and a certificate is valid in the last second before its end, not in the one after.
fn dates(certificate: &Certificate) -> Result<(), String> {
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    if certificate.valid_after() > now {
        return Err("Your certificate is not valid yet.".to_owned());
    }
    if certificate.valid_before() <= now {
        return Err("Your certificate has expired; have your key signed anew.".to_owned());
    }
    Ok(())
}

/// One critical option. What is not understood could be what forbids this very login.
fn option(read: &mut Certified, name: &str, value: &str) -> Result<(), String> {
    match name {
        "source-address" => {
            read.sources = Some(
                Sources::networks(value)
                    .map_err(|why| format!("Your certificate's source-address: {why}"))?,
            );
        }
        "force-command" => read.forced = Some(value.to_owned()),
        "verify-required" => {
            return Err(
                "Your certificate has the option verify-required, which this gateway cannot check and so does not take; have it signed without."
                    .to_owned(),
            );
        }
        other => {
            return Err(format!(
                "Your certificate has the critical option '{}', which is unknown here, so it is not taken; have it signed without.",
                policy::escape(other.as_bytes())
            ));
        }
    }
    Ok(())
}

/// Returns the end of a certificate, unless that lies beyond all calendars.
fn end(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}
