//! Where an environment is served, so that its releases can be tried there.

use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::{Sites, database, runtime};
use crate::state::Front;

/// Says where an environment is served.
///
/// # Errors
/// When it cannot be kept.
pub fn set(sites: &Sites, mut permit: Permit, front: &Front) -> Result<(), Fault> {
    let word = |one: &Option<String>| one.clone().unwrap_or_else(|| "none".to_owned());
    permit.describe(format!(
        "url {}, fastcgi {}",
        word(&front.url),
        word(&front.fastcgi)
    ));
    let (site, environment) = (permit.site()?, permit.environment()?);
    sites.state.set_front(site, environment, front)?;
    runtime::refresh(sites, &permit, site, environment);
    permit.finish(Outcome::Done)
}

/// Returns the address of a site as it is kept, if it is one: `http` or `https`, a host, perhaps a
/// port and a path, and nothing else.
pub fn url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let with_port = if host
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.contains(']'))
    {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    database::address(&with_port)?;
    let clean = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte);
    path.bytes()
        .all(clean)
        .then(|| text.trim_end_matches('/').to_owned())
}

/// Returns where a FastCGI server listens as it is kept, `HOST:PORT` or `unix:PATH`, if it is that.
pub fn fastcgi(text: &str) -> Option<String> {
    match text.strip_prefix("unix:") {
        Some(path) => {
            let fits = path.starts_with('/') && !path.chars().any(char::is_control);
            // sun_path of unix(7) holds 107 bytes and a NUL.
            (fits && path.len() <= 107).then(|| text.to_owned())
        }
        None => database::address(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_sites() {
        for (text, kept) in [
            ("https://www.example.org/", Some("https://www.example.org")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("http://[::1]:8080/sub/", Some("http://[::1]:8080/sub")),
            ("http://[::1]", Some("http://[::1]")),
            ("ftp://example.org", None),
            ("http://", None),
            ("http://user@host", None),
            ("http://host/?a", None),
            ("http://host/a b", None),
            ("none", None),
        ] {
            assert_eq!(url(text).as_deref(), kept, "{text}");
        }
    }

    #[test]
    fn addresses_of_fastcgi_servers() {
        assert_eq!(
            fastcgi("unix:/run/php/fpm.sock").as_deref(),
            Some("unix:/run/php/fpm.sock")
        );
        assert_eq!(fastcgi("127.0.0.1:9000").as_deref(), Some("127.0.0.1:9000"));
        assert_eq!(fastcgi("unix:fpm.sock"), None);
        assert_eq!(fastcgi(&format!("unix:/{}", "a".repeat(107))), None);
        assert_eq!(fastcgi("9000"), None);
    }
}
