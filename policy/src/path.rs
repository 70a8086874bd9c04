//! A path inside an area of an environment: relative, normal, bytes.

use std::fmt;

/// A relative path of normal components: no empty one, no `.`, no `..`, no NUL. Empty means the
/// area itself. Names are bytes, since SFTP's are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SitePath(Vec<u8>);

/// Says why bytes are not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// A NUL byte, which no file name can hold.
    Nul,
    /// A component of over 255 bytes, or a path of over 4,096.
    TooLong,
}

impl SitePath {
    /// Normalises `bytes` as POSIX does without looking at the disk: `.` and empty components
    /// fall away, `..` takes the one before it and stops at the top.
    ///
    /// # Errors
    /// [`PathError`] for bytes that no path can have.
    pub fn normalize(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.contains(&0) {
            return Err(PathError::Nul);
        }
        if bytes.len() > 4096 {
            return Err(PathError::TooLong);
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in bytes.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop();
                }
                name if name.len() > 255 => return Err(PathError::TooLong),
                name => parts.push(name),
            }
        }
        Ok(Self(parts.join(&b'/')))
    }

    /// Returns the path's bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns true for the area itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the components from the top down.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
    }

    /// Splits off the first component.
    pub fn split_first(&self) -> Option<(&[u8], SitePath)> {
        if self.0.is_empty() {
            return None;
        }
        match self.0.iter().position(|byte| *byte == b'/') {
            Some(at) => {
                let (first, rest) = self.0.split_at(at);
                Some((first, SitePath(rest.get(1..).unwrap_or_default().to_vec())))
            }
            None => Some((&self.0, SitePath::default())),
        }
    }

    /// Returns true if `self` is `other` or lies below it.
    pub fn starts_with(&self, other: &SitePath) -> bool {
        other.0.is_empty()
            || self.0 == other.0
            || (self.0.starts_with(&other.0) && self.0.get(other.0.len()) == Some(&b'/'))
    }

    /// Returns this path with `below` after it.
    pub fn join(&self, below: &SitePath) -> SitePath {
        if self.0.is_empty() {
            return below.clone();
        }
        if below.0.is_empty() {
            return self.clone();
        }
        let mut bytes = self.0.clone();
        bytes.push(b'/');
        bytes.extend_from_slice(&below.0);
        SitePath(bytes)
    }

    /// Returns what lies below `above`, if this path is `above` or lies below it.
    pub fn strip_prefix(&self, above: &SitePath) -> Option<SitePath> {
        if above.0.is_empty() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(above.0.as_slice())?;
        match rest.split_first() {
            None => Some(SitePath::default()),
            Some((b'/', below)) => Some(SitePath(below.to_vec())),
            Some(_longer_name) => None,
        }
    }

    /// Splits off the last component; the area itself has none.
    pub fn split_last(&self) -> Option<(SitePath, &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(at) => {
                let (parent, name) = self.0.split_at(at);
                Some((SitePath(parent.to_vec()), name.get(1..).unwrap_or_default()))
            }
            None => Some((SitePath::default(), &self.0)),
        }
    }

    /// Returns true if a component could be taken for git's own directory, on any file system
    /// that folds case or short names (CVE-2014-9390).
    pub fn names_git_directory(&self) -> bool {
        self.components().any(|part| {
            let part = part.to_ascii_lowercase();
            let trimmed = part
                .iter()
                .rposition(|byte| *byte != b'.' && *byte != b' ')
                .map_or(&[][..], |last| part.get(..=last).unwrap_or_default());
            trimmed == b".git" || trimmed == b"git~1"
        })
    }
}

impl fmt::Display for SitePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

/// Returns bytes from a client as text that is safe to show and to log: control characters,
/// invalid UTF-8 and characters that reorder text are written as `\xNN` or `\u{N}`.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let reorders = matches!(character,
                '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
            if character.is_control() || reorders || character == '\\' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &[u8]) -> SitePath {
        SitePath::normalize(text).unwrap()
    }

    #[test]
    fn dots_never_climb_above_the_top() {
        assert_eq!(path(b"../../etc/passwd").as_bytes(), b"etc/passwd");
        assert_eq!(path(b"/a/./b//../c/").as_bytes(), b"a/c");
        assert_eq!(path(b"/").as_bytes(), b"");
        assert_eq!(SitePath::normalize(b"a\0b"), Err(PathError::Nul));
    }

    #[test]
    fn prefixes_end_at_components() {
        assert!(path(b"a/b").starts_with(&path(b"a")));
        assert!(!path(b"ab").starts_with(&path(b"a")));
        assert!(path(b"a").starts_with(&path(b"")));
    }

    #[test]
    fn paths_split_at_components() {
        assert_eq!(path(b"a/b/c").strip_prefix(&path(b"a/b")), Some(path(b"c")));
        assert_eq!(path(b"a/b").strip_prefix(&path(b"a/b")), Some(path(b"")));
        assert_eq!(path(b"a/bc").strip_prefix(&path(b"a/b")), None);
        assert_eq!(path(b"a").strip_prefix(&path(b"")), Some(path(b"a")));
        assert_eq!(path(b"a/b/c").split_last(), Some((path(b"a/b"), &b"c"[..])));
        assert_eq!(path(b"c").split_last(), Some((path(b""), &b"c"[..])));
        assert_eq!(path(b"").split_last(), None);
    }

    #[test]
    fn git_directories_are_known_in_every_disguise() {
        for name in [
            &b".git"[..],
            b"x/.GIT/hooks",
            b".git.",
            b"git~1",
            b"a/.Git /x",
        ] {
            assert!(path(name).names_git_directory(), "{name:?}");
        }
        for name in [&b".gitignore"[..], b"git", b"x.git", b".github"] {
            assert!(!path(name).names_git_directory(), "{name:?}");
        }
    }

    #[test]
    fn text_from_clients_cannot_move_the_cursor() {
        assert_eq!(escape(b"a\x1b[2Jb\n\xe9"), "a\\u{1b}[2Jb\\n\\xe9");
        assert_eq!(escape("é".as_bytes()), "é");
    }
}
