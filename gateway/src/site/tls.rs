//! Whose certificates are trusted when the gateway itself asks a web server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Where systems keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Returns how servers are checked, by the authorities in a file, or those of the system.
///
/// # Errors
/// With a sentence without a full stop, when there are none that can be read.
pub(super) fn trusting(authorities: Option<&Path>) -> Result<TlsConfig, String> {
    let roots = certificates(authorities)?;
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}

/// Returns the same authorities for who speaks TLS without HTTP.
///
/// # Errors
/// As [`trusting`].
pub(super) fn roots(authorities: Option<&Path>) -> Result<rustls::RootCertStore, String> {
    let mut store = rustls::RootCertStore::empty();
    let all = certificates(authorities)?;
    // Systems keep some that are too odd for the library; the others count.
    store.add_parsable_certificates(all.iter().map(|one| one.der().to_vec().into()));
    Ok(store)
}

fn certificates(authorities: Option<&Path>) -> Result<Vec<Certificate<'static>>, String> {
    let file = match authorities {
        Some(file) => file.to_path_buf(),
        None => SYSTEM_AUTHORITIES
            .iter()
            .map(PathBuf::from)
            .find(|file| file.exists())
            .ok_or("this server has no certificates of authorities (install ca-certificates)")?,
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        format!(
            "the authorities in {} cannot be read: {error}",
            file.display()
        )
    };
    let pem = std::fs::read(&file).map_err(|error| unreadable(&error))?;
    let mut roots = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unreadable(&error))? {
            roots.push(certificate.to_owned());
        }
    }
    Ok(roots)
}
