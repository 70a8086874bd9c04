//! What a deploy or rollback brings to an environment, and what it takes away, commit by commit.

use git2::{Oid, Repository};
use policy::escape;

use super::push::short;
use super::repository::{LogRow, commits_between};
use crate::fault::Fault;

/// The commits by which two releases differ, each the newest first.
#[derive(Debug, Default)]
pub struct Changes {
    /// Those that the new one has and the running one has not.
    pub brings: Vec<LogRow>,
    /// Those that the running one has and the new one has not.
    pub takes_away: Vec<LogRow>,
}

/// The most commits that are looked up on each side.
const MOST: usize = 1000;

/// So many are named to who deploys; `--dry-run` shows all.
const MOST_TOLD: usize = 20;

impl Changes {
    /// Compares what runs with what would run; before the first deploy everything is new.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn between(repository: &Repository, running: Option<Oid>, new: Oid) -> Result<Self, Fault> {
        Ok(Self {
            brings: commits_between(repository, running, new, MOST)?,
            takes_away: match running {
                Some(running) => commits_between(repository, Some(new), running, MOST)?,
                None => Vec::new(),
            },
        })
    }

    /// Returns what is said of commits that go away from `place`; nothing if none do.
    pub fn told_of_loss(&self, place: &str) -> Vec<String> {
        let count = self.takes_away.len();
        if count == 0 {
            return Vec::new();
        }
        let mut lines = vec![format!(
            "What this takes away from {place}, {count} commit(s):"
        )];
        lines.extend(self.takes_away.iter().take(MOST_TOLD).map(|row| {
            format!(
                "  {} {} ({})",
                short(row.commit),
                escape(row.summary.as_bytes()),
                escape(row.author.as_bytes())
            )
        }));
        if count > MOST_TOLD {
            lines.push(format!(
                "  … and {} more; --dry-run shows all.",
                count - MOST_TOLD
            ));
        }
        lines
    }
}
