//! Reading the tree for `scp -f` and the checksum commands: each place through the gate, and
//! patterns as a shell would expand them.

use std::fs::File;

use nix::errno::Errno;
use nix::sys::stat::FileStat;
use policy::{Action, Area, SitePath};

use super::Run;
use super::places::Named;
use super::words::{Word, has_wildcard};
use crate::fault::Fault;
use crate::gate::{Denied, Permit};
use crate::pattern::matches;
use crate::site::tree::{Follow, Listing, NO_ROOM, Obstacle, Place, Tree};

/// Why something cannot be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The gate says no.
    Denied(Denied),
    /// The operating system does, in these words.
    Cannot(&'static str),
    /// The environment's quota is used up, as the sentence says.
    Full(String),
}

impl From<Denied> for Unread {
    fn from(denied: Denied) -> Self {
        Unread::Denied(denied)
    }
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Unread::Denied(fault.into())
    }
}

/// The tree of one run, open to be read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    run: &'a Run,
    pub(super) tree: Tree,
    pub(super) files_path: Option<SitePath>,
}

/// A place that a word names, with the name to show it by.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) shown: Vec<u8>,
    pub(super) place: Place,
}

impl<'a> Reading<'a> {
    pub(super) fn new(run: &'a Run) -> Result<Self, Fault> {
        let (tree, files_path) = run.tree()?;
        Ok(Self {
            run,
            tree,
            files_path,
        })
    }

    /// Returns the places that a word names: one, or as many as match its last component.
    pub(super) fn expand(&self, word: &Word) -> Result<Vec<Found>, Unread> {
        let named = Named::of(word, self.files_path.as_ref())
            .map_err(|_| Unread::Cannot("File name too long"))?;
        if !word.is_pattern() {
            return Ok(vec![Found {
                shown: word.text.clone(),
                place: named.place,
            }]);
        }
        let Some((last, above)) = named.pattern.split_last() else {
            return Err(Unread::Cannot(
                "a pattern cannot stand for an area; name /code, /files or another",
            ));
        };
        if above.iter().any(|part| has_wildcard(part)) || named.place.area == Area::Root {
            return Err(Unread::Cannot(
                "only the last part of a path may hold a pattern here",
            ));
        }
        let folder = Place {
            path: named
                .place
                .path
                .split_last()
                .map(|(above, _)| above)
                .unwrap_or_default(),
            is_files_link: false,
            ..named.place
        };
        let shown = match word.text.iter().rposition(|byte| *byte == b'/') {
            Some(at) => word.text.get(..=at).unwrap_or_default(),
            None => &[],
        };
        let mut found = Vec::new();
        let mut names = self.list(&folder)?;
        while let Some(entry) = self.told(&folder, names.next_entry())? {
            let hidden = entry.name.starts_with(b".") && !last.starts_with(b".");
            if hidden || !matches(last, &entry.name) {
                continue;
            }
            if found.len() >= MOST_MATCHES {
                return Err(Unread::Cannot("Argument list too long"));
            }
            found.push(Found {
                shown: [shown, &entry.name].concat(),
                place: child(&folder, &entry.name)?,
            });
        }
        if found.is_empty() {
            return Err(Unread::Cannot("No such file or directory"));
        }
        found.sort_by(|one, two| one.shown.cmp(&two.shown));
        Ok(found)
    }

    /// Opens a regular file.
    pub(super) fn open(&self, place: &Place) -> Result<(File, FileStat, Permit), Unread> {
        let permit = self.permit(place)?;
        let (file, stat) = self.told(place, self.tree.open_to_read(&permit, &place.path))?;
        Ok((file, stat, permit))
    }

    /// Opens a directory.
    pub(super) fn list(&self, place: &Place) -> Result<Listing, Unread> {
        let permit = self.permit(place)?;
        self.told(place, self.tree.list(&permit, &place.path))
    }

    /// Looks at what a place is, links followed.
    pub(super) fn look(&self, place: &Place) -> Result<FileStat, Unread> {
        let permit = self.permit(place)?;
        self.told(place, self.tree.look(&permit, &place.path, Follow::Links))
    }

    fn permit(&self, place: &Place) -> Result<Permit, Unread> {
        if place.path.names_git_directory() {
            return Err(Unread::Cannot("No such file or directory"));
        }
        Ok(self
            .run
            .authorize(Action::ReadTree, &self.tree, place, None)?)
    }

    /// Turns an obstacle into words; what must not be touched is for the gate to refuse.
    fn told<T>(&self, place: &Place, found: Result<T, Obstacle>) -> Result<T, Unread> {
        found.map_err(|obstacle| self.refused(Action::ReadTree, place, obstacle))
    }

    /// Has the gate refuse, and keep, what met something that must not be touched, and turns any
    /// other obstacle into words.
    pub(super) fn refused(&self, action: Action, place: &Place, obstacle: Obstacle) -> Unread {
        let met = obstacle.in_the_way();
        if met.is_none() {
            return cannot(obstacle);
        }
        match self.run.authorize(action, &self.tree, place, met) {
            Err(denied) => Unread::Denied(denied),
            Ok(permit) => {
                permit.forget();
                cannot(obstacle)
            }
        }
    }
}

/// Returns a place right below another; below the link to uploads is below `files`.
pub(super) fn child(folder: &Place, name: &[u8]) -> Result<Place, Unread> {
    let name = SitePath::normalize(name).map_err(|_| Unread::Cannot("File name too long"))?;
    Ok(Place {
        area: folder.area,
        path: folder.path.join(&name),
        is_files_link: false,
    })
}

/// Returns an obstacle in the operating system's words.
pub(super) fn cannot(obstacle: Obstacle) -> Unread {
    match obstacle {
        Obstacle::System(errno) => Unread::Cannot(errno.desc()),
        Obstacle::Special => Unread::Cannot("not a regular file"),
        Obstacle::LeadsOut => Unread::Cannot("the link leads out of its area"),
        Obstacle::NoRoom => Unread::Cannot(NO_ROOM),
        Obstacle::Quota(sentence) => Unread::Full(sentence),
        Obstacle::TwoAreas => Unread::Cannot(Errno::EXDEV.desc()),
        Obstacle::SeveralNames => Unread::Cannot("a file with several names"),
        Obstacle::Fault(fault) => fault.into(),
    }
}

/// Files that one pattern may match.
const MOST_MATCHES: usize = 10_000;
