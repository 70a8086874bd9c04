//! Messages over HTTP, signed.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use super::message::Message;
use super::program::one_line;
use crate::site::tls;
use crate::state::Secret;

/// Sends one message. Returns what was answered, in a few words.
///
/// # Errors
/// With a sentence without a full stop, in which the address does not stand: it may be a secret.
pub(super) fn send(
    url: &str,
    limit: Duration,
    secret: Option<&Secret>,
    message: &Message,
    authorities: Option<&Path>,
) -> Result<String, String> {
    let body = message.json();
    let mut settings = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        // What answers elsewhere was not named by the administrator.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .max_response_header_size(MOST_HEADERS)
        .proxy(None)
        .user_agent(concat!("funicular/", env!("CARGO_PKG_VERSION")));
    if url.starts_with("https:") {
        settings = settings.tls_config(tls::trusting(authorities)?);
    }
    let agent = ureq::Agent::new_with_config(settings.build());
    let mut request = agent
        .post(url)
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", &message.id)
        .header("Funicular-Event", message.event);
    if let Some(secret) = secret {
        let signed = signature(secret, Timestamp::now().as_second(), &body)?;
        request = request.header("Funicular-Signature", signed);
    }
    let answer = request
        .send(body)
        .map_err(|error| explained(error, limit))?;
    let status = answer.status();
    let mut said = Vec::new();
    // Of a long or slow answer no more is needed than is shown.
    let _ = answer
        .into_body()
        .into_reader()
        .take(MOST_ANSWER)
        .read_to_end(&mut said);
    let said = one_line(&String::from_utf8_lossy(&said));
    let words = match (status.as_u16(), said.is_empty()) {
        (300..400, _) => format!("{} (redirects are not followed)", status.as_u16()),
        (_, true) => status.as_u16().to_string(),
        (_, false) => format!("{}: {said}", status.as_u16()),
    };
    if status.is_success() {
        Ok(words)
    } else {
        Err(format!("it answered {words}"))
    }
}

/// How much of an answer is read, in bytes.
const MOST_ANSWER: u64 = 2048;
/// How long the headers of an answer may be, in bytes.
const MOST_HEADERS: usize = 16 << 10;

/// Signs a body for a moment: `t=SECONDS,v1=HMAC`, where the HMAC-SHA-256 (RFC 2104, in lower-case
/// hexadecimal) is of `SECONDS.BODY`, so that nobody sends an old message again as a new one.
pub(super) fn signature(secret: &Secret, seconds: i64, body: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes())
        .map_err(|_| "its secret cannot sign".to_owned())?;
    mac.update(format!("{seconds}.{body}").as_bytes());
    let code = HEXLOWER.encode(&mac.finalize().into_bytes());
    Ok(format!("t={seconds},v1={code}"))
}

fn explained(error: ureq::Error, limit: Duration) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("it did not answer within {} s", limit.as_secs()),
        ureq::Error::HostNotFound => "its host name is not known".to_owned(),
        ureq::Error::ConnectionFailed => "it could not be connected to".to_owned(),
        ureq::Error::Io(error) => {
            format!("the connection failed: {}", one_line(&error.to_string()))
        }
        ureq::Error::Rustls(error) => format!("TLS: {}", one_line(&error.to_string())),
        // The others may quote the address.
        _other => "what it answered is not HTTP".to_owned(),
    }
}

/// Returns an address as it is shown: without its path and query, which may be a secret.
pub(super) fn shown(url: &str) -> String {
    match parts(url) {
        Some((origin, "" | "/")) => format!("{origin}/"),
        Some((origin, _hidden)) => format!("{origin}/…"),
        None => "…".to_owned(),
    }
}

/// Says what is wrong with an address, if anything is.
pub(super) fn check(url: &str) -> Result<(), String> {
    let fits = url.bytes().all(|byte| byte.is_ascii_graphic()) && url.len() <= 2000;
    let Some((origin, _)) = parts(url).filter(|_| fits) else {
        return Err("The address must begin with https:// or http://".to_owned());
    };
    if origin.contains('@') {
        return Err(
            "The address must hold no user and password; what comes from here is known by its signature."
                .to_owned(),
        );
    }
    ureq::http::Uri::try_from(url)
        .ok()
        .filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))
        .map(|_| ())
        .ok_or_else(|| "The address makes no sense.".to_owned())
}

fn parts(url: &str) -> Option<(&str, &str)> {
    let start = ["https://", "http://"]
        .into_iter()
        .find(|scheme| url.starts_with(scheme))?
        .len();
    let rest = url.get(start..)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Some((url.get(..start + end)?, rest.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard_programs() {
        // printf '1.{}' | openssl dgst -sha256 -hmac key
        let signed = signature(&Secret::new("key".to_owned()), 1, "{}").unwrap();
        assert_eq!(
            signed,
            "t=1,v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"
        );
    }

    #[test]
    fn addresses_are_shown_without_what_may_be_secret() {
        for (url, fits, as_shown) in [
            (
                "https://hooks.example/T0/secret",
                true,
                "https://hooks.example/…",
            ),
            (
                "https://hooks.example?token=x",
                true,
                "https://hooks.example/…",
            ),
            ("http://127.0.0.1:8080", true, "http://127.0.0.1:8080/"),
            ("http://[::1]:8080/", true, "http://[::1]:8080/"),
            (
                "https://u:p@hooks.example/",
                false,
                "https://u:p@hooks.example/",
            ),
            ("https:///x", false, "https:///…"),
            ("ftp://x/", false, "…"),
            ("https://a b/", false, "https://a b/"),
            ("", false, "…"),
        ] {
            assert_eq!(check(url).is_ok(), fits, "{url}");
            assert_eq!(shown(url), as_shown, "{url}");
        }
    }
}
