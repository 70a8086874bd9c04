//! Keeps repositories quick: when pushes have left many packs or loose objects, all of it is packed
//! anew in the background, with a bitmap index (gitformat-bitmap(5)) that spares clones the count.
//!
//! It takes no permit, since it changes nothing that anybody can see: every object stays, also
//! those that no ref reaches (git-repack(1), `--keep-unreachable`), because a release, saved work
//! or a push under way may need them. Git itself keeps it safe beside pushes: objects in quarantine
//! and packs that a push holds are not touched.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use policy::SiteName;

use super::git;
use crate::fault::{Fault, OrFault};

/// Says whose turn it is: one repository at a time, and none twice in a row in vain.
#[derive(Debug)]
pub struct Upkeep {
    quiet: Duration,
    state: Mutex<Turns>,
}

#[derive(Debug, Default)]
struct Turns {
    busy: bool,
    failed: HashSet<SiteName>,
    used: HashMap<SiteName, Use>,
}

/// When a repository was used since somebody waits for it to be left alone.
#[derive(Debug, Clone, Copy)]
struct Use {
    first: Instant,
    last: Instant,
}

/// The turn of one repository.
#[derive(Debug)]
pub struct Turn<'a> {
    upkeep: &'a Upkeep,
    site: SiteName,
    repository: PathBuf,
    well: bool,
}

impl Upkeep {
    /// Makes one that waits until nobody has used a repository for so long.
    pub fn new(quiet: Duration) -> Self {
        Self {
            quiet,
            state: Mutex::default(),
        }
    }

    /// Notes that a repository was used. Returns whether nobody waits yet for it to be left alone;
    /// the caller then does, by [`Upkeep::left_to_wait`].
    pub fn used(&self, site: &SiteName, now: Instant) -> bool {
        let mut turns = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match turns.used.get_mut(site) {
            Some(used) => {
                used.last = now;
                false
            }
            None => {
                let used = Use {
                    first: now,
                    last: now,
                };
                turns.used.insert(site.clone(), used);
                true
            }
        }
    }

    /// Returns for how long a repository must still be left alone; `None` when it was for long
    /// enough, or when it never is. The next use is waited for anew.
    pub fn left_to_wait(&self, site: &SiteName, now: Instant) -> Option<Duration> {
        let mut turns = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let used = *turns.used.get(site)?;
        let quiet = self
            .quiet
            .saturating_sub(now.saturating_duration_since(used.last));
        let patience = LONGEST_WAIT.saturating_sub(now.saturating_duration_since(used.first));
        let left = quiet.min(patience);
        if left.is_zero() {
            turns.used.remove(site);
            return None;
        }
        Some(left)
    }

    /// Takes the turn for a repository that is worth the work; `None` when it is not, when another
    /// has its turn, or when the work has failed since the gateway was started.
    ///
    /// # Errors
    /// When the repository cannot be looked at.
    pub fn turn(&self, site: &SiteName, repository: &Path) -> Result<Option<Turn<'_>>, Fault> {
        if !is_worth_it(repository)? {
            return Ok(None);
        }
        let mut turns = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.busy || turns.failed.contains(site) {
            return Ok(None);
        }
        turns.busy = true;
        Ok(Some(Turn {
            upkeep: self,
            site: site.clone(),
            repository: repository.to_owned(),
            well: false,
        }))
    }
}

impl Turn<'_> {
    /// Says that the work was done. If the repository still looks as if it were not, as when git
    /// could write no bitmap, it would be done for ever.
    pub fn done(mut self) {
        self.well = is_worth_it(&self.repository).is_ok_and(|again| !again);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self
            .upkeep
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        turns.busy = false;
        if !self.well {
            turns.failed.insert(self.site.clone());
        }
    }
}

/// Returns the command that packs a repository anew, behind all other work of the machine.
pub fn command(repository: &Path) -> Command {
    let git = git::command(repository);
    let mut command = Command::new("nice");
    command.env_clear().current_dir("/").args(["-n", "19"]);
    for (name, value) in git.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command
        .arg(git.get_program())
        .args(git.get_args())
        .args(["-c", "pack.threads=1", "-c", "repack.writeBitmaps=true"])
        .args(["repack", "-a", "-d", "-q", "--keep-unreachable"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn is_worth_it(repository: &Path) -> Result<bool, Fault> {
    let objects = repository.join("objects");
    let doing = || format!("looking at {}", objects.display());
    let (mut packs, mut bytes, mut has_bitmap) = (0_usize, 0_u64, false);
    for entry in fs::read_dir(objects.join("pack")).or_fault(doing)? {
        let entry = entry.or_fault(doing)?;
        let path = entry.path();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("pack") => {
                packs += 1;
                // One that went away meanwhile counts for nothing.
                bytes += entry.metadata().map_or(0, |about| about.len());
            }
            Some("bitmap") => has_bitmap = true,
            _other => {}
        }
    }
    // As git's own gc guesses (git-gc(1), gc.auto): ids are spread evenly over 256 folders.
    let loose = fs::read_dir(objects.join("17")).map_or(0, Iterator::count);
    Ok(packs >= MANY_PACKS
        || loose >= MANY_LOOSE
        || (!has_bitmap && packs > 0 && bytes >= WORTH_A_BITMAP))
}

/// For a repository that is in use all the time.
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);
/// Each pack is one more place to look for each object.
const MANY_PACKS: usize = 20;
/// In one of 256 folders: some 2,000 in all.
const MANY_LOOSE: usize = 8;
/// Below this, counting objects takes a few milliseconds; in bytes.
const WORTH_A_BITMAP: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing::{Bench, git};

    #[test]
    fn nothing_is_lost_and_the_work_is_done_once() {
        let bench = Bench::new();
        let (repository, _) = bench.repository(&[("a", "a")]);
        let path = repository.path();
        let site: SiteName = "acme".parse().unwrap();
        let upkeep = Upkeep::new(Duration::ZERO);
        assert!(upkeep.turn(&site, path).unwrap().is_none());
        // Blobs that no ref reaches, some loose and some each in a pack of its own.
        let mut lost = Vec::new();
        for number in 0..2100 {
            lost.push(
                repository
                    .blob(format!("lost {number}").as_bytes())
                    .unwrap(),
            );
        }
        let turn = upkeep
            .turn(&site, path)
            .unwrap()
            .expect("many loose objects");
        assert!(upkeep.turn(&site, path).unwrap().is_none(), "one at a time");
        let status = command(path).status().unwrap();
        assert!(status.success());
        turn.done();
        assert!(
            upkeep.turn(&site, path).unwrap().is_none(),
            "nothing left to do"
        );
        for id in &lost {
            git(path, &["cat-file", "-e", &id.to_string()]);
        }
        git(path, &["fsck", "--strict"]);
    }

    #[test]
    fn a_repository_in_use_is_left_alone_but_not_for_ever() {
        let upkeep = Upkeep::new(Duration::from_secs(30));
        let site: SiteName = "acme".parse().unwrap();
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let left = |seconds| upkeep.left_to_wait(&site, after(seconds));
        assert!(upkeep.used(&site, after(0)), "one has to wait");
        assert_eq!(left(10), Some(Duration::from_secs(20)));
        assert!(!upkeep.used(&site, after(20)), "and one only");
        assert_eq!(left(30), Some(Duration::from_secs(20)));
        assert_eq!(left(50), None);
        for seconds in (60..=650).step_by(10) {
            assert_eq!(upkeep.used(&site, after(seconds)), seconds == 60);
            assert!(left(seconds).is_some());
        }
        assert!(!upkeep.used(&site, after(660)));
        assert_eq!(left(660), None, "it was used all the time");
    }

    #[test]
    fn what_failed_is_not_tried_again_and_again() {
        let bench = Bench::new();
        let (repository, _) = bench.repository(&[("a", "a")]);
        for number in 0..2100 {
            repository
                .blob(format!("loose {number}").as_bytes())
                .unwrap();
        }
        let site: SiteName = "acme".parse().unwrap();
        let upkeep = Upkeep::new(Duration::ZERO);
        drop(
            upkeep
                .turn(&site, repository.path())
                .unwrap()
                .expect("a turn"),
        );
        assert!(upkeep.turn(&site, repository.path()).unwrap().is_none());
    }
}
