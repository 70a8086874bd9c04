//! The certificate that an address shows: whether it is trusted and for this name, and when it ends.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, ClientConnection};

use super::Check;
use crate::site::tls;
use crate::state::for_people;

/// Automatic authorities renew a month before the end; two weeks before it, that has failed.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// So little time is left for a person to act.
const NOW: SignedDuration = SignedDuration::from_hours(3 * 24);

/// What was seen.
#[derive(Debug)]
pub(super) enum Seen {
    /// It is trusted, for this name, until then; none if its end cannot be read.
    Good(Option<Timestamp>),
    /// It is not, as the words say.
    Bad(String),
    /// There was none to look at.
    Nothing(String),
}

pub(super) fn look(
    host: &str,
    sockets: &[SocketAddr],
    authorities: Option<&Path>,
    timeout: Duration,
) -> Seen {
    handshake(host, sockets, authorities, timeout).unwrap_or_else(|seen| seen)
}

fn handshake(
    host: &str,
    sockets: &[SocketAddr],
    authorities: Option<&Path>,
    timeout: Duration,
) -> Result<Seen, Seen> {
    let nothing = |error: &dyn std::fmt::Display| Seen::Nothing(error.to_string());
    let roots = tls::roots(authorities).map_err(Seen::Nothing)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| nothing(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| nothing(&error))?;
    let mut connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| nothing(&error))?;
    let mut socket = connect(sockets, timeout).map_err(|error| nothing(&error))?;
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut socket) {
            let known = error.get_ref().and_then(|inner| inner.downcast_ref());
            return Err(match known {
                Some(rustls::Error::InvalidCertificate(error)) => Seen::Bad(why(error)),
                _other => nothing(&error),
            });
        }
    }
    connection.send_close_notify();
    let _ = connection.write_tls(&mut socket);
    let _ = socket.flush();
    let end = connection
        .peer_certificates()
        .and_then(<[_]>::first)
        .and_then(|certificate| not_after(certificate));
    Ok(Seen::Good(end))
}

/// Tries one address after the other, as browsers do.
fn connect(sockets: &[SocketAddr], timeout: Duration) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("it has no address");
    for socket in sockets.iter().take(4) {
        match TcpStream::connect_timeout(socket, timeout / 4) {
            Ok(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn why(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        // The second: by somebody who has the name of one who is.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "nobody who is trusted has signed it".to_owned()
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        other => other.to_string(),
    }
}

pub(super) fn check(seen: Seen, now: Timestamp, host: &str) -> Check {
    const NAME: &str = "certificate";
    let renew = "Renew it, and see why that does not happen by itself.";
    match seen {
        Seen::Nothing(why) => Check::failure(
            NAME,
            format!("No certificate could be looked at: {why}."),
            "Look whether the web server runs and serves this name over TLS.",
        ),
        Seen::Bad(why) => Check::failure(
            NAME,
            format!("The certificate of {host} is not taken by browsers: {why}."),
            "Install one for this name, with its whole chain.",
        ),
        Seen::Good(None) => Check::ok(NAME, "The certificate is taken; its end cannot be read."),
        Seen::Good(Some(end)) => {
            let found = format!("The certificate is good until {}.", for_people(end));
            let left = end.duration_since(now);
            if left < NOW {
                Check::failure(NAME, found, renew)
            } else if left < SOON {
                Check::warning(NAME, found, renew)
            } else {
                Check::ok(NAME, found)
            }
        }
    }
}

/// Returns the end of a certificate's time (RFC 5280, 4.1: the sixth field of its first part is the
/// subject, the one before it the validity).
pub(super) fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = part(der, 0x30)?;
    let (mut fields, _) = part(certificate, 0x30)?;
    if let Some((_version, rest)) = part(fields, 0xA0) {
        fields = rest;
    }
    let (_serial, fields) = part(fields, 0x02)?;
    let (_algorithm, fields) = part(fields, 0x30)?;
    let (_issuer, fields) = part(fields, 0x30)?;
    let (validity, _) = part(fields, 0x30)?;
    let (_begin, end) = time(validity)?;
    let (end, _) = time(end)?;
    end
}

/// Splits a value with this tag from what follows it (X.690, 8.1).
fn part(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, mut rest) = rest.split_first()?;
    let mut size = usize::from(*length);
    if size >= 0x80 {
        let (digits, after) = rest.split_at_checked(size & 0x7F)?;
        size = digits.iter().try_fold(0_usize, |size, digit| {
            size.checked_mul(256)?.checked_add(usize::from(*digit))
        })?;
        rest = after;
    }
    rest.split_at_checked(size)
}

/// Reads a UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5); the time is none if it cannot be one.
fn time(bytes: &[u8]) -> Option<(Option<Timestamp>, &[u8])> {
    let (text, long, rest) = match part(bytes, 0x17) {
        Some((text, rest)) => (text, false, rest),
        None => part(bytes, 0x18).map(|(text, rest)| (text, true, rest))?,
    };
    Some((moment(text, long), rest))
}

fn moment(text: &[u8], long: bool) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = text.split_at_checked(if long { 4 } else { 2 })?;
    let mut year: i16 = year.parse().ok()?;
    if !long {
        year += if year < 50 { 2000 } else { 1900 };
    }
    let number = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    civil::DateTime::new(
        year,
        number(0)?,
        number(2)?,
        number(4)?,
        number(6)?,
        number(8)?,
        0,
    )
    .ok()?
    .to_zoned(TimeZone::UTC)
    .ok()
    .map(|zoned| zoned.timestamp())
}
