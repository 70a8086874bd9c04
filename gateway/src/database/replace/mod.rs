//! Replaces names of hosts in what a database holds, also inside PHP's serialised values and JSON.
//!
//! What is replaced, and what is not:
//! - `//host`, so that `https://host`, `http://host` and `//host` are one rule; with any backslashes before the
//!   slashes (JSON within JSON), and percent-encoded (`%2F%2Fhost`, `%252F%252Fhost`). Case is ignored.
//! - a host that ends there: not `//host.au`, `//myhost`, `//host-two`, nor `//host:8080` unless the port is part
//!   of the pair; not what stands before an `@`. Addresses of mail have no `//` and stay.
//! - a value that is the host and nothing else (`wp_site.domain`, `wp_blogs.domain`, a string `domain` in a
//!   serialised array). A title that is exactly the host is one, too.
//! - all pairs at once, so that A to B and B to A is an exchange.
//! - in serialised values: strings, with their lengths; names of keys, properties and classes stay, and so do
//!   numbers, references, enums and the payload of `C:`, whose form only its class knows. In JSON: strings and, as
//!   addresses only, keys.
//! - not: what is compressed, encrypted or base64, or host names that are written with `\u` escapes.
//!
//! What PHP can unserialise it can afterwards: a structure is rewritten as a whole or, where it is deeper
//! than 24 levels, left alone. What only looks like one (a wrong length, a value that was cut) is text.

mod hosts;
mod json;
mod serialised;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use hosts::Hosts;

use crate::fault::Fault;

/// How many structures within strings of structures are followed; WordPress's deepest known are three.
const DEEPEST: usize = 24;

/// What is replaced by what.
#[derive(Debug, Clone)]
pub struct Replacement {
    hosts: Hosts,
}

impl Replacement {
    /// Takes pairs of names of hosts, with the port if there is one: the old one and the new one. The new one
    /// may begin with `http://` or `https://`: an address that names a scheme then gets that one.
    ///
    /// # Errors
    /// When a name is no host, or an old one is there twice; the sentence is for the person.
    pub fn new(pairs: &[(String, String)]) -> Result<Self, Fault> {
        let hosts = Hosts::new(pairs)?;
        Ok(Self { hosts })
    }

    /// Returns whether there is nothing to replace: no pair, or only pairs of a name with itself.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Returns the value with everything replaced; none where nothing is to be replaced. Never fails: any bytes will do.
    pub fn apply(&self, value: &[u8]) -> Option<Vec<u8>> {
        self.value(value, 0)
    }

    /// Replaces in a whole value, or in a whole string within one.
    fn value(&self, value: &[u8], depth: usize) -> Option<Vec<u8>> {
        if !self.hosts.occur(value) {
            return None;
        }
        if let Some(new) = self.hosts.bare(value) {
            return Some(new.to_vec());
        }
        self.structured(value, depth)
            .unwrap_or_else(|| self.hosts.text(value))
    }

    /// Replaces in a value that is JSON, or has something serialised in it; none for mere text.
    fn structured(&self, value: &[u8], depth: usize) -> Option<Option<Vec<u8>>> {
        if json::is_whole(value) {
            return Some(if depth < DEEPEST {
                json::rewrite(value, self, depth)
            } else {
                None
            });
        }
        let places = serialised::places(value);
        if places.is_empty() {
            return None;
        }
        if depth >= DEEPEST {
            return Some(None);
        }
        let mut new = Edited::of(value);
        let mut done = 0;
        for place in places {
            let between = value.get(done..place.start).unwrap_or_default();
            new.replace(done..place.start, self.hosts.text(between));
            let inside = value.get(place.clone()).unwrap_or_default();
            new.replace(place.clone(), serialised::rewrite(inside, self, depth));
            done = place.end;
        }
        let rest = value.get(done..).unwrap_or_default();
        new.replace(done..value.len(), self.hosts.text(rest));
        Some(new.finish())
    }
}

/// A value of which parts are exchanged, in their order; nothing is copied before the first.
struct Edited<'a> {
    old: &'a [u8],
    new: Vec<u8>,
    taken: usize,
}

impl<'a> Edited<'a> {
    fn of(old: &'a [u8]) -> Self {
        Self {
            old,
            new: Vec::new(),
            taken: 0,
        }
    }

    /// Puts bytes in the place of a range, if there are any; ranges must not go back.
    fn replace<'b>(&mut self, range: std::ops::Range<usize>, by: Option<impl Into<Cow<'b, [u8]>>>) {
        let Some(by) = by else { return };
        if self.new.is_empty() {
            self.new.reserve(self.old.len() + 64);
        }
        let between = self.old.get(self.taken..range.start).unwrap_or_default();
        self.new.extend_from_slice(between);
        self.new.extend_from_slice(&by.into());
        self.taken = range.end;
    }

    /// Where the part begins that has not been taken yet.
    fn taken(&self) -> usize {
        self.taken
    }

    /// Returns the whole with its parts exchanged; none if there were none.
    fn finish(mut self) -> Option<Vec<u8>> {
        if self.taken == 0 && self.new.is_empty() {
            return None;
        }
        self.new
            .extend_from_slice(self.old.get(self.taken..).unwrap_or_default());
        Some(self.new)
    }
}
