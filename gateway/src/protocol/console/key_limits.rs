//! What a key is limited to, as people say it: with options of `ssh-key:add`, or in front of the
//! key as in OpenSSH's authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT).

use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use policy::{ActionGroup, Environment, Limits, SiteName};
use serde::{Deserialize, Serialize};

use crate::audit::{self};
use crate::gate::Sources;

/// Options of `ssh-key:add`.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct KeyLimits {
    /// When it expires: a day (its end) or a time
    #[arg(long, value_name = "DATE", conflicts_with = "valid_for")]
    pub expires: Option<String>,
    /// How long it is valid, such as 30d or 8h
    #[arg(long, value_name = "TIME")]
    pub valid_for: Option<String>,
    /// From where it may be used: addresses and networks, with commas between
    #[arg(long, value_name = "ADDRESSES")]
    pub from: Option<String>,
    /// Only for this site; may be given again
    #[arg(long, value_name = "SITE")]
    pub site: Vec<SiteName>,
    /// Only for this environment; may be given again
    #[arg(long, value_name = "ENV")]
    pub environment: Vec<Environment>,
    /// Only for this: read, sftp, fetch, push, work, deploy, hotfix, database, content, backup or audit; may be given again
    #[arg(long, value_name = "ACTION", value_parser = action)]
    pub action: Vec<String>,
}

fn action(word: &str) -> Result<String, policy::NameError> {
    Ok(word.parse::<ActionGroup>()?.to_string())
}

/// What options come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub expires: Option<Timestamp>,
    pub sources: Option<String>,
    pub limits: Limits,
}

impl KeyLimits {
    /// Reads the options.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub(super) fn read(&self, now: Timestamp) -> Result<Wanted, String> {
        let told = |error: audit::NotATime| error.to_string();
        let expires = match (&self.expires, &self.valid_for) {
            (Some(date), _) => {
                let bare = date.strip_suffix(" UTC").unwrap_or(date);
                Some(audit::parse_until(bare, now).map_err(told)?)
            }
            (None, Some(length)) => Some(later(length, now)?),
            (None, None) => None,
        };
        if expires.is_some_and(|end| end <= now) {
            return Err("This end lies in the past, so the key would open nothing.".to_owned());
        }
        if let Some(sources) = &self.from {
            sources.parse::<Sources>()?;
        }
        let actions = self
            .action
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_, policy::NameError>>()
            .map_err(|error| error.to_string())?;
        Ok(Wanted {
            expires,
            sources: self.from.clone(),
            limits: Limits {
                sites: self.site.iter().cloned().collect(),
                environments: self.environment.iter().cloned().collect(),
                actions,
                passing: expires.is_some() || self.from.is_some(),
            },
        })
    }
}

/// Reads how long something lasts from now on.
///
/// # Errors
/// With a sentence for the person.
pub(super) fn later(length: &str, now: Timestamp) -> Result<Timestamp, String> {
    let odd = || {
        format!(
            "'{}' is no length of time; write 30d, 8h or 2w.",
            policy::escape(length.as_bytes())
        )
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b' ';
    if !length.bytes().all(plain) {
        return Err(odd());
    }
    let ago = audit::parse_since(length, now).map_err(|_| odd())?;
    now.checked_add(now.duration_since(ago)).map_err(|_| odd())
}

/// Parts a line of authorized_keys into its options and the key.
pub(super) fn split_options(line: &str) -> (&str, &str) {
    let line = line.trim();
    let first = line.split([' ', '\t']).next().unwrap_or_default();
    let kinds = ["ssh-", "ecdsa-", "sk-"];
    let begins_with_key =
        kinds.iter().any(|kind| first.starts_with(kind)) && !first.contains(['=', '"', ',']);
    if begins_with_key || line.contains("PRIVATE KEY") {
        return ("", line);
    }
    let mut quoted = false;
    let mut escaped = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => {
                let (options, key) = line.split_at(at);
                return (options, key.trim_start());
            }
            _other => {}
        }
        escaped = character == '\\' && !escaped;
    }
    ("", line)
}

/// Adds what the options in front of a key say.
///
/// # Errors
/// With a sentence for the person: what is not understood could be what limits the key.
pub(super) fn add_options(
    wanted: &mut Wanted,
    options: &str,
    now: Timestamp,
) -> Result<(), String> {
    for option in parted(options) {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.trim_matches('"'))),
            None => (option, None),
        };
        match (name.to_ascii_lowercase().as_str(), value) {
            ("expiry-time", Some(value)) => {
                let end = expiry_time(value).ok_or_else(|| {
                    format!(
                        "'{}' is no expiry-time; write YYYYMMDD or YYYYMMDDHHMM, which are UTC here.",
                        policy::escape(value.as_bytes())
                    )
                })?;
                if end <= now {
                    return Err(
                        "The key's expiry-time lies in the past, so it would open nothing."
                            .to_owned(),
                    );
                }
                wanted.expires = Some(wanted.expires.map_or(end, |known| known.min(end)));
            }
            ("from", Some(value)) => {
                value.parse::<Sources>()?;
                if wanted.sources.is_some() {
                    return Err(
                        "From where the key may be used is said twice; say it once.".to_owned()
                    );
                }
                wanted.sources = Some(value.to_owned());
            }
            // What these take away is given to nobody here.
            ("no-pty" | "no-agent-forwarding" | "no-x11-forwarding" | "no-user-rc", None) => {}
            ("verify-required" | "no-touch-required", None) => {
                return Err(
                    "Whether a security key was touched or a person verified cannot be checked here, so this option is not taken; see SECURITY.md."
                        .to_owned(),
                );
            }
            _unknown => {
                return Err(format!(
                    "The option '{}' in front of the key is not known here; from=\"…\" and expiry-time=\"…\" are, and --site, --environment and --action limit what a key may do.",
                    policy::escape(name.as_bytes())
                ));
            }
        }
    }
    Ok(())
}

/// The options at their commas, but for those in quotes.
fn parted(options: &str) -> Vec<&str> {
    let mut quoted = false;
    let mut parts = options
        .split(move |character| {
            quoted ^= character == '"';
            character == ',' && !quoted
        })
        .collect::<Vec<_>>();
    if options.is_empty() {
        parts.clear();
    }
    parts
}

/// Reads `YYYYMMDD[HHMM[SS]][Z]`.
fn expiry_time(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let format = match digits.len() {
        8 => return midnight(digits),
        12 => "%Y%m%d%H%M",
        14 => "%Y%m%d%H%M%S",
        _other => return None,
    };
    let time = DateTime::strptime(format, digits).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn midnight(digits: &str) -> Option<Timestamp> {
    let day = jiff::civil::Date::strptime("%Y%m%d", digits).ok()?;
    Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T00:00:00Z".parse().unwrap()
    }

    fn options(text: &str) -> Result<Wanted, String> {
        let mut wanted = Wanted::default();
        add_options(&mut wanted, text, now()).map(|()| wanted)
    }

    #[test]
    fn lines_part_at_the_key() {
        for (line, expected) in [
            ("ssh-ed25519 AAAA me", ("", "ssh-ed25519 AAAA me")),
            (
                "from=\"a, b\",no-pty ssh-rsa AAAA",
                ("from=\"a, b\",no-pty", "ssh-rsa AAAA"),
            ),
            (
                "command=\"say \\\"x y\\\"\" ssh-rsa AAAA",
                ("command=\"say \\\"x y\\\"\"", "ssh-rsa AAAA"),
            ),
            ("nothing", ("", "nothing")),
        ] {
            assert_eq!(split_options(line), expected);
        }
    }

    #[test]
    fn options_in_front_of_a_key_are_honoured_or_refused() {
        let known =
            options("from=\"10.0.0.0/8,!10.1.1.1\",no-pty,expiry-time=\"20270101\"").unwrap();
        assert_eq!(known.sources.as_deref(), Some("10.0.0.0/8,!10.1.1.1"));
        assert_eq!(known.expires, Some("2027-01-01T00:00:00Z".parse().unwrap()));
        let exact = options("expiry-time=\"202701011234Z\"").unwrap().expires;
        assert_eq!(exact, Some("2027-01-01T12:34:00Z".parse().unwrap()));
        for odd in [
            "command=\"ls\"",
            "restrict",
            "cert-authority",
            "from=\"example.org\"",
            "from",
            "expiry-time=\"soon\"",
            "expiry-time=\"20200101\"",
            "expiry-time=\"20271399\"",
            "no-pty=\"x\"",
            "verify-required",
            "no-pty,,no-user-rc",
            "from=\"10.0.0.1\",from=\"10.0.0.2\"",
        ] {
            assert!(options(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn lengths_and_ends_are_read() {
        let read = |expires: Option<&str>, valid_for: Option<&str>| {
            let limits = KeyLimits {
                expires: expires.map(str::to_owned),
                valid_for: valid_for.map(str::to_owned),
                ..KeyLimits::default()
            };
            limits.read(now()).map(|wanted| wanted.expires)
        };
        let at = |text: &str| Ok(Some(text.parse().unwrap()));
        assert_eq!(read(None, Some("30d")), at("2026-12-23T00:00:00Z"));
        assert_eq!(read(None, Some("2h")), at("2026-11-23T02:00:00Z"));
        assert_eq!(
            read(Some("2026-12-01"), None),
            at("2026-12-01T23:59:59.999999Z")
        );
        for (expires, valid_for) in [
            (Some("2020-01-01"), None),
            (Some("never"), None),
            (None, Some("2027-01-01")),
            (None, Some("long")),
            (None, Some("0s")),
            (None, Some("-1d")),
        ] {
            assert!(
                read(expires, valid_for).is_err(),
                "{expires:?} {valid_for:?}"
            );
        }
    }
}
