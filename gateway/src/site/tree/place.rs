//! From the path that a client names to an area and a path in it.

use policy::{Area, PathError, SitePath};

/// A place of the tree, found from its name alone, before links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The area.
    pub area: Area,
    /// The path in it; for [`Area::Root`], what was named there.
    pub path: SitePath,
    /// Whether the name is the very path in code that leads to uploads, which shows as a link.
    pub is_files_link: bool,
}

impl Place {
    /// Returns `/`.
    pub fn root() -> Self {
        Self::new(Area::Root, SitePath::default())
    }

    /// Finds the place that `name` means. A site's path to its uploads (`wp-content/uploads`) and
    /// all below it belong to the area `files`.
    ///
    /// # Errors
    /// [`PathError`] for bytes that no path can have.
    pub fn named(name: &[u8], files_path: Option<&SitePath>) -> Result<Self, PathError> {
        let path = SitePath::normalize(name)?;
        let found = path.split_first().and_then(|(first, rest)| {
            let area = Area::BELOW_ROOT
                .into_iter()
                .find(|area| area.as_str().as_bytes() == first)?;
            Some((area, rest))
        });
        let Some((area, rest)) = found else {
            return Ok(Self::new(Area::Root, path));
        };
        let below_files = files_path
            .filter(|link| area == Area::Code && !link.is_empty())
            .and_then(|link| rest.strip_prefix(link));
        Ok(match below_files {
            Some(below) => Self {
                is_files_link: below.is_empty(),
                ..Self::new(Area::Files, below)
            },
            None => Self::new(area, rest),
        })
    }

    fn new(area: Area, path: SitePath) -> Self {
        Self {
            area,
            path,
            is_files_link: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &[u8]) -> (Area, Vec<u8>, bool) {
        let link = SitePath::normalize(b"wp-content/uploads").unwrap();
        let place = Place::named(name, Some(&link)).unwrap();
        (
            place.area,
            place.path.as_bytes().to_vec(),
            place.is_files_link,
        )
    }

    #[test]
    fn uploads_are_files_by_either_name() {
        assert_eq!(
            named(b"/code/wp-content/uploads/a/b"),
            (Area::Files, b"a/b".to_vec(), false)
        );
        assert_eq!(
            named(b"/code/wp-content/uploads/"),
            (Area::Files, vec![], true)
        );
        assert_eq!(named(b"files/a/b"), (Area::Files, b"a/b".to_vec(), false));
        assert_eq!(
            named(b"/code/wp-content/uploads2"),
            (Area::Code, b"wp-content/uploads2".to_vec(), false)
        );
        assert_eq!(
            named(b"/code/x/../wp-content/./uploads/../uploads/y"),
            (Area::Files, b"y".to_vec(), false)
        );
    }

    #[test]
    fn what_is_no_area_lies_in_the_root() {
        assert_eq!(named(b"/"), (Area::Root, vec![], false));
        assert_eq!(named(b"../.."), (Area::Root, vec![], false));
        assert_eq!(
            named(b"/etc/passwd"),
            (Area::Root, b"etc/passwd".to_vec(), false)
        );
        assert_eq!(named(b"/Code"), (Area::Root, b"Code".to_vec(), false));
        assert_eq!(named(b"/code"), (Area::Code, vec![], false));
    }
}
