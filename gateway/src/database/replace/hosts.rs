//! Names of hosts in text: where one stands as a host and ends, and what takes its place.

use aho_corasick::{AhoCorasick, MatchKind};

use super::Edited;
use crate::fault::{Fault, OrFault};

/// The pairs, made ready for searching.
#[derive(Debug, Clone)]
pub(super) struct Hosts {
    /// Finds any of the old names; none if there are none.
    finder: Option<AhoCorasick>,
    /// What each pattern of the finder stands for.
    patterns: Vec<Pattern>,
}

/// One spelling of an old name, and its new one.
#[derive(Debug, Clone)]
struct Pattern {
    /// How its colon is spelt; none if it has no port.
    colon: Option<Spelling>,
    /// The new name.
    new: Vec<u8>,
    /// The scheme that the new address is to have.
    scheme: Option<&'static [u8]>,
}

/// How often slashes and colons are percent-encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Plain,
    Percent,
    Twice,
}

impl Spelling {
    fn colon(self) -> &'static [u8] {
        match self {
            Spelling::Plain => b":",
            Spelling::Percent => b"%3A",
            Spelling::Twice => b"%253A",
        }
    }
}

/// Where the two slashes before a name begin, and how they are spelt.
struct Anchor {
    start: usize,
    spelling: Spelling,
}

impl Hosts {
    pub(super) fn new(pairs: &[(String, String)]) -> Result<Self, Fault> {
        let mut names: Vec<String> = Vec::new();
        let mut patterns = Vec::new();
        let mut olds: Vec<String> = Vec::new();
        for (old, new) in pairs {
            let (scheme, new) = split_scheme(new);
            let port = check(old)?;
            check(new)?;
            if olds.contains(&old.to_ascii_lowercase()) {
                return Err(Fault::new(format!("the host {old} is mapped twice")));
            }
            olds.push(old.to_ascii_lowercase());
            if old == new && scheme.is_none() {
                continue;
            }
            let spellings: &[Option<Spelling>] = if port {
                &[
                    Some(Spelling::Plain),
                    Some(Spelling::Percent),
                    Some(Spelling::Twice),
                ]
            } else {
                &[None]
            };
            for colon in spellings {
                names.push(respelt(old, colon.unwrap_or(Spelling::Plain)));
                patterns.push(Pattern {
                    colon: *colon,
                    new: new.as_bytes().to_vec(),
                    scheme,
                });
            }
        }
        let finder = if names.is_empty() {
            None
        } else {
            // The one kind that tells of names within names.
            let built = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .build(&names);
            Some(built.or_fault(|| "making the search for names of hosts ready")?)
        };
        Ok(Self { finder, patterns })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// Whether any of the old names occurs at all, as a host or not.
    pub(super) fn occur(&self, text: &[u8]) -> bool {
        let Some(finder) = &self.finder else {
            return false;
        };
        finder.is_match(text)
    }

    /// Returns what takes the place of a value that is a host and nothing else.
    pub(super) fn bare(&self, text: &[u8]) -> Option<&[u8]> {
        // Longer than any name can be (RFC 1035, 2.3.4) with its port.
        if text.len() > 255 + 6 {
            return None;
        }
        let found = self
            .finder
            .as_ref()?
            .find_overlapping_iter(text)
            .find(|found| found.range() == (0..text.len()))?;
        let pattern = self.patterns.get(found.pattern().as_usize())?;
        let plain = matches!(pattern.colon, None | Some(Spelling::Plain));
        plain.then_some(&*pattern.new)
    }

    /// Replaces in text in which nothing has a length; none if nothing is to be replaced.
    pub(super) fn text(&self, text: &[u8]) -> Option<Vec<u8>> {
        let finder = self.finder.as_ref()?;
        let mut new = Edited::of(text);
        for found in finder.find_overlapping_iter(text) {
            let Some(pattern) = self.patterns.get(found.pattern().as_usize()) else {
                continue;
            };
            let (before, after) = (
                text.get(..found.start()).unwrap_or_default(),
                text.get(found.end()..).unwrap_or_default(),
            );
            if !ends(after, pattern.colon.is_some()) {
                continue;
            }
            let Some(anchor) = anchor(before) else {
                continue;
            };
            if anchor.start < new.taken() {
                continue;
            }
            if let (Some(scheme), Some(old)) = (pattern.scheme, scheme(before, &anchor)) {
                new.replace(old, Some(scheme));
            }
            let spelling = pattern.colon.unwrap_or(anchor.spelling);
            let name = respelt_bytes(&pattern.new, spelling);
            new.replace(found.range(), Some(name));
        }
        new.finish()
    }
}

/// Splits the scheme from a new name.
fn split_scheme(new: &str) -> (Option<&'static [u8]>, &str) {
    if let Some(name) = new.strip_prefix("https://") {
        (Some(b"https"), name)
    } else if let Some(name) = new.strip_prefix("http://") {
        (Some(b"http"), name)
    } else {
        (None, new)
    }
}

/// Checks that a name can be a host; returns whether it has a port.
fn check(name: &str) -> Result<bool, Fault> {
    let wrong = || {
        Fault::new(format!(
            "{name:?} is no host: give a name such as www.example.com, or with its port example.com:8080"
        ))
    };
    let (host, port) = match name.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (name, None),
    };
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let whole = !host.is_empty() && host.len() <= 255 && host.chars().all(fits);
    let edges = host.starts_with(['.', '-']) || host.ends_with(['.', '-']);
    if !whole || edges || !port_fits {
        return Err(wrong());
    }
    Ok(port.is_some())
}

fn respelt(name: &str, spelling: Spelling) -> String {
    let colon = match spelling {
        Spelling::Plain => ":",
        Spelling::Percent => "%3A",
        Spelling::Twice => "%253A",
    };
    name.replace(':', colon)
}

fn respelt_bytes(name: &[u8], spelling: Spelling) -> Vec<u8> {
    let mut new = Vec::with_capacity(name.len() + 4);
    for &byte in name {
        if byte == b':' {
            new.extend_from_slice(spelling.colon());
        } else {
            new.push(byte);
        }
    }
    new
}

/// Whether a name that is followed by these bytes ends there.
fn ends(after: &[u8], has_port: bool) -> bool {
    let part_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    match after {
        [] => true,
        [b'@', ..] => false,
        [digit, ..] if has_port => !digit.is_ascii_digit(),
        // A port of its own: another address.
        [b':', digit, ..] => !digit.is_ascii_digit(),
        [b'%', b'3', b'a' | b'A', digit, ..] | [b'%', b'2', b'5', b'3', b'a' | b'A', digit, ..] => {
            !digit.is_ascii_digit()
        }
        // The end of a sentence is not the next part of a name.
        [b'.', next, ..] => !(part_of_name(next) || *next == b'-' || *next >= 0x80),
        [b'-', next, ..] => !(part_of_name(next) || matches!(next, b'-' | b'.')),
        [byte, ..] => !part_of_name(byte),
    }
}

/// Finds the two slashes right before a name.
fn anchor(before: &[u8]) -> Option<Anchor> {
    for (two, spelling) in [
        (&b"%2f%2f"[..], Spelling::Percent),
        (&b"%252f%252f"[..], Spelling::Twice),
    ] {
        if let Some(start) = before.len().checked_sub(two.len())
            && before
                .get(start..)
                .is_some_and(|end| end.eq_ignore_ascii_case(two))
        {
            return Some(Anchor { start, spelling });
        }
    }
    let first = without_backslashes(before.strip_suffix(b"/")?).strip_suffix(b"/")?;
    Some(Anchor {
        start: without_backslashes(first).len(),
        spelling: Spelling::Plain,
    })
}

fn without_backslashes(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != b'\\');
    text.get(..end.map_or(0, |at| at + 1)).unwrap_or_default()
}

/// Finds the scheme before two slashes.
fn scheme(before: &[u8], anchor: &Anchor) -> Option<std::ops::Range<usize>> {
    let text = before.get(..anchor.start)?;
    let colon = anchor.spelling.colon();
    let end = [colon, b":"].iter().find_map(|colon| {
        let at = text.len().checked_sub(colon.len())?;
        text.get(at..)?.eq_ignore_ascii_case(colon).then_some(at)
    })?;
    let text = text.get(..end)?;
    for word in [&b"https"[..], b"http"] {
        let Some(start) = end.checked_sub(word.len()) else {
            continue;
        };
        let before_it = start.checked_sub(1).and_then(|at| text.get(at));
        if text.get(start..)?.eq_ignore_ascii_case(word)
            && !before_it.is_some_and(u8::is_ascii_alphanumeric)
        {
            return Some(start..end);
        }
    }
    None
}
