//! Where the words of a command lead: an area, and a path or a pattern in it.

use policy::{PathError, SitePath};

use super::words::Word;
use crate::site::tree::Place;

/// What a word names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The place; where the word is a pattern, that of the name it would have as a plain word.
    pub(super) place: Place,
    /// The path of the place as a pattern, component by component.
    pub(super) pattern: Vec<Vec<u8>>,
    /// Whether it ends so that it can only mean a folder.
    pub(super) ends_in_slash: bool,
}

/// Why a word names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// Bytes that no path can have.
    Path(PathError),
}

impl Named {
    /// Finds what a word means; home is `/`.
    pub(super) fn of(word: &Word, files_path: Option<&SitePath>) -> Result<Self, NoPlace> {
        let strip = |bytes: &[u8]| -> Vec<u8> {
            match bytes {
                b"~" => Vec::new(),
                [b'~', b'/', rest @ ..] => rest.to_vec(),
                other => other.to_vec(),
            }
        };
        let text = strip(&word.text);
        let place = Place::named(&text, files_path).map_err(NoPlace::Path)?;
        let whole = strip(&word.pattern);
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for part in whole.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop();
                }
                name => parts.push(name.to_vec()),
            }
        }
        let kept = place.path.components().count();
        let pattern = parts.split_off(parts.len().saturating_sub(kept));
        let ends_in_slash = whole.is_empty()
            || whole.ends_with(b"/")
            || whole.ends_with(b"/.")
            || whole == b"."
            || whole == b"..";
        Ok(Self {
            place,
            pattern,
            ends_in_slash,
        })
    }

    /// Returns the pattern of the path in the area.
    pub(super) fn pattern(&self) -> Vec<u8> {
        self.pattern.join(&b'/')
    }
}

#[cfg(test)]
mod tests {
    use policy::Area;

    use super::*;
    use crate::protocol::exec::words::split;

    fn named(line: &[u8]) -> (Area, Vec<u8>, Vec<u8>, bool) {
        let link = SitePath::normalize(b"wp-content/uploads").unwrap();
        let word = split(line).unwrap().remove(0);
        let named = Named::of(&word, Some(&link)).unwrap();
        let path = named.place.path.as_bytes().to_vec();
        (named.place.area, path, named.pattern(), named.ends_in_slash)
    }

    #[test]
    fn words_lead_to_areas() {
        let none = Vec::new;
        assert_eq!(named(b"/code"), (Area::Code, none(), none(), false));
        assert_eq!(named(b"~/code/"), (Area::Code, none(), none(), true));
        assert_eq!(named(b"."), (Area::Root, none(), none(), true));
        assert_eq!(
            named(b"files/a/../b/*.jpg"),
            (Area::Files, b"b/*.jpg".to_vec(), b"b/*.jpg".to_vec(), false)
        );
        assert_eq!(
            named(b"/code/wp-content/uploads/'a*'/"),
            (Area::Files, b"a*".to_vec(), b"a\\*".to_vec(), true)
        );
        assert_eq!(
            named(b"/code/../../etc/passwd"),
            (
                Area::Root,
                b"etc/passwd".to_vec(),
                b"etc/passwd".to_vec(),
                false
            )
        );
    }
}
