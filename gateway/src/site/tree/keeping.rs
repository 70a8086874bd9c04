//! How long parts are kept that nobody has open, and how many; what a start makes of those that an
//! earlier run of the gateway left.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use policy::PersonName;

use super::moving::{Named, names, remove_all};
use super::part::{Part, Spot};
use super::parts::Parts;
use super::record;
use super::walk::Kind;
use crate::fault::{Fault, OrFault};

impl Parts {
    /// Removes parts that nobody has had open for so long. Returns how many.
    pub fn expire(&self, keep: Duration) -> usize {
        let now = Timestamp::now();
        let old = self.idle(|_, since| {
            let age = now.duration_since(since);
            age.as_secs() >= i64::try_from(keep.as_secs()).unwrap_or(i64::MAX)
        });
        old.iter().map(|(_, part)| self.drop_idle(part)).count()
    }

    /// Removes the oldest parts of a person that nobody has open, while there are too many.
    pub(super) fn keep_within_bounds(&self, person: &PersonName) {
        let mut idle = self.idle(|part, _| part.person == *person);
        idle.sort_by_key(|(since, _)| *since);
        let too_many = idle.len().saturating_sub(MOST_KEPT);
        for (_, part) in idle.iter().take(too_many) {
            self.drop_idle(part);
        }
    }

    /// Takes over what an earlier run of the gateway left in `uploads`, and removes the rest.
    /// Returns how much was removed.
    pub(super) fn restore(&self, keep: Duration) -> Result<usize, Fault> {
        let doing = || "looking through unfinished uploads";
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = openat(&self.uploads, ".", flags, Mode::empty()).or_fault(doing)?;
        let names = names(&folder).map_err(|obstacle| obstacle.into_fault(doing()))?;
        let mut kept = Vec::new();
        for name in &names {
            if let Some(left) = self.read_left(name, keep) {
                kept.push(left.name.clone().into_bytes());
                kept.push(format!("{}{}", left.name, record::ENDING).into_bytes());
                let place = left
                    .state()
                    .targets
                    .first()
                    .map(|p| (p.area, p.path.clone()));
                if let Some((area, path)) = place {
                    self.add(&left, area, path);
                }
            }
        }
        let mut removed = 0;
        for name in names.iter().filter(|name| !kept.contains(name)) {
            remove_all(Named {
                folder: folder.as_fd(),
                name,
            })
            .map_err(|obstacle| obstacle.into_fault(doing()))?;
            removed += 1;
        }
        Ok(removed)
    }

    fn read_left(&self, name: &[u8], keep: Duration) -> Option<Arc<Part>> {
        let name = std::str::from_utf8(name).ok()?;
        let (person, area, path) = record::read(self, name)?;
        let since = Timestamp::now();
        let place = Spot {
            area,
            path,
            folder: None,
        };
        let part = Part::left(name.to_owned(), person, place, since);
        let stat = part.stat(self)?;
        if Kind::of(&stat) != Kind::File || stat.st_size == 0 {
            return None;
        }
        let changed = Timestamp::from_second(stat.st_ctime).ok()?.min(since);
        let age = since.duration_since(changed).as_secs().unsigned_abs();
        part.state().idle_since = Some(changed);
        (age < keep.as_secs()).then(|| Arc::new(part))
    }

    fn idle(&self, wanted: impl Fn(&Part, Timestamp) -> bool) -> Vec<(Timestamp, Arc<Part>)> {
        let all: Vec<Arc<Part>> = self.known().parts.values().flatten().cloned().collect();
        all.into_iter()
            .filter_map(|part| {
                let since = part.state().idle_since?;
                wanted(&part, since).then_some((since, part))
            })
            .collect()
    }

    fn drop_idle(&self, part: &Arc<Part>) {
        let mut state = part.state();
        // Somebody may have opened it meanwhile.
        if !state.is_open() && !state.ended {
            part.remove(self, &mut state);
            self.take(part, &state);
        }
    }
}

/// No more uploads of one person that broke off are kept in an environment.
const MOST_KEPT: usize = 100;
