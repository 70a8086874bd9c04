//! Where an import comes from: a stream, a file in the environment's scratch space, or a page.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};

use policy::{Environment, SiteName, SitePath};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::config::Network;
use crate::database::Trouble;
use crate::fault::{Fault, OrFault};
use crate::site::folder::Folder;
use crate::site::{Sites, tls};

/// Where an import comes from.
pub enum Source {
    /// Standard input. Reading it fails where it ends before the sender has said so.
    Stream(Box<dyn Read + Send>),
    /// A path in the environment's scratch space.
    Place(SitePath),
    /// An address of http or https.
    Url(String),
}

impl Source {
    /// Returns what people are told of it, without secrets.
    pub fn described(&self) -> String {
        match self {
            Source::Stream(_) => "standard input".to_owned(),
            Source::Place(path) => format!("/tmp/{path}"),
            Source::Url(url) => {
                let bare = url.split(['?', '#']).next().unwrap_or_default();
                let bare = match (bare.split_once("://"), bare.rsplit_once('@')) {
                    (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
                    _plain => bare.to_owned(),
                };
                policy::escape(bare.as_bytes())
            }
        }
    }

    /// Opens it.
    pub(super) fn open(
        self,
        sites: &Sites,
        site: &SiteName,
        environment: &Environment,
    ) -> Result<Box<dyn Read + Send>, Trouble> {
        match self {
            Source::Stream(stream) => Ok(stream),
            Source::Place(path) => {
                let layout = sites.layout.site(site).environment(environment);
                let tmp = Folder::open(&layout.tmp()).or_fault(|| "opening /tmp")?;
                match tmp.open_file(path.as_bytes()) {
                    Ok(file) => Ok(Box::new(file)),
                    Err(error) => Err(Trouble::Refused(format!(
                        "/tmp/{path} of {site}.{environment} cannot be read: {error}."
                    ))),
                }
            }
            Source::Url(url) => fetch(sites, &url),
        }
    }
}

/// Fetches an address. Whoever may import must not have the gateway ask its own network.
fn fetch(sites: &Sites, url: &str) -> Result<Box<dyn Read + Send>, Trouble> {
    let refused = |why: String| Trouble::Refused(format!("The address cannot be fetched: {why}."));
    let scheme = url
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !matches!(scheme.as_deref(), Some("http" | "https")) {
        return Err(refused("it is neither http nor https".to_owned()));
    }
    let mut settings = ureq::Agent::config_builder()
        .timeout_connect(Some(std::time::Duration::from_secs(30)))
        .http_status_as_error(false)
        .proxy(None)
        .user_agent(concat!(
            "funicular/",
            env!("CARGO_PKG_VERSION"),
            " (import)"
        ));
    if scheme.as_deref() == Some("https") {
        settings = settings.tls_config(tls::trusting(None).map_err(refused)?);
    }
    let resolver = Outside {
        allowed: sites.import_networks.clone(),
        inner: DefaultResolver::default(),
    };
    let agent = ureq::Agent::with_parts(
        settings.build(),
        ureq::unversioned::transport::DefaultConnector::default(),
        resolver,
    );
    let response = agent
        .get(url)
        .call()
        .map_err(|error| refused(error.to_string()))?;
    if !response.status().is_success() {
        return Err(refused(format!("the server answers {}", response.status())));
    }
    let whole: Option<u64> = response
        .headers()
        .get("content-length")
        .and_then(|length| length.to_str().ok()?.parse().ok());
    Ok(Box::new(Whole {
        from: response.into_body().into_reader(),
        left: whole,
    }))
}

/// Finds addresses, and none that lies inside the gateway's own network.
#[derive(Debug)]
struct Outside {
    allowed: Vec<Network>,
    inner: DefaultResolver,
}

impl Resolver for Outside {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut outside = self.empty();
        let fits = |address: &&SocketAddr| {
            is_public(address.ip()) || self.allowed.iter().any(|net| net.contains(address.ip()))
        };
        for address in found.iter().filter(fits) {
            outside.push(*address);
        }
        if outside.is_empty() {
            return Err(ureq::Error::Other(
                "it leads into the gateway's own network, which imports do not reach \
                 (content.import_from_networks in the configuration)"
                    .into(),
            ));
        }
        Ok(outside)
    }
}

/// Returns whether an address is one of the internet's: none of those that IANA's registries of
/// special addresses keep for one machine or network (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_multicast()
                || first == 0
                || first >= 240
                || (first == 100 && (64..128).contains(&second))
                || (first == 192 && second == 0)
                || (first == 198 && (18..20).contains(&second)))
        }
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public(IpAddr::V4(mapped)),
            // 2000::/3 is all that is given out; 2002::/16 and 64:ff9b::/96 hide an IPv4 address.
            None => {
                let [first, second, ..] = address.segments();
                (0x2000..0x4000).contains(&first)
                    && first != 0x2002
                    && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
            }
        },
    }
}

/// A page whose length is known, which must come whole.
struct Whole<R> {
    from: R,
    left: Option<u64>,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        if let Some(left) = &mut self.left {
            if got == 0 && *left > 0 && !buffer.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the page broke off, {left} bytes before its end"),
                ));
            }
            *left = left.saturating_sub(got as u64);
        }
        Ok(got)
    }
}

/// Returns the first bytes of a stream, and the stream with them.
pub(super) fn peek(
    mut from: Box<dyn Read + Send>,
    most: usize,
) -> Result<(Vec<u8>, Box<dyn Read + Send>), Fault> {
    let mut head = Vec::new();
    (&mut from)
        .take(most as u64)
        .read_to_end(&mut head)
        .or_fault(|| "reading what is to be imported")?;
    let whole = io::Cursor::new(head.clone()).chain(from);
    Ok((head, Box::new(whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_asked() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn a_page_that_breaks_off_is_no_whole_page() {
        let mut short = Whole {
            from: &b"half"[..],
            left: Some(8),
        };
        let mut text = Vec::new();
        assert!(short.read_to_end(&mut text).is_err());
    }
}
