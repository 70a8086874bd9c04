//! `env:status`: whether an environment is fit to be looked at by everybody. Each check is a function
//! of its own that reads and changes nothing; what it cannot see from here it says.

mod address;
mod backups;
mod certificate;
mod data;
mod drupal;
mod drupal_data;
mod files;
mod ground;
mod php;
mod repository;
mod strays;
#[cfg(test)]
mod tests;
mod wordpress;
mod wordpress_data;
mod work;

use policy::{Environment, SiteName};
use serde::Serialize;

use super::{Sites, backup, content};
use crate::fault::Fault;
use ground::Ground;

/// How well a check went, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Score {
    /// It could not be looked at, or does not concern this environment.
    Skipped,
    /// As it should be.
    Ok,
    /// To be looked at by somebody.
    Warning,
    /// To be mended before visitors come.
    Failure,
}

impl Score {
    /// Returns the word for tables and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Score::Skipped => "skipped",
            Score::Ok => "ok",
            Score::Warning => "warning",
            Score::Failure => "failure",
        }
    }
}

/// What one check found. Names that come from clients are escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, which does not change between versions.
    pub check: &'static str,
    /// How well it went.
    pub score: Score,
    /// What was found: a sentence.
    pub finding: String,
    /// What to do; empty where there is nothing.
    pub action: String,
}

impl Check {
    fn new(check: &'static str, score: Score, finding: impl Into<String>) -> Self {
        Self {
            check,
            score,
            finding: finding.into(),
            action: String::new(),
        }
    }

    fn ok(check: &'static str, finding: impl Into<String>) -> Self {
        Self::new(check, Score::Ok, finding)
    }

    fn skipped(check: &'static str, finding: impl Into<String>) -> Self {
        Self::new(check, Score::Skipped, finding)
    }

    fn warning(check: &'static str, finding: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            ..Self::new(check, Score::Warning, finding)
        }
    }

    fn failure(check: &'static str, finding: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            ..Self::new(check, Score::Failure, finding)
        }
    }
}

/// What all checks found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The checks, in the order in which they are shown.
    pub checks: Vec<Check>,
}

impl Report {
    /// Returns the worst score; ok if all checks were skipped.
    pub fn score(&self) -> Score {
        let worst = self.checks.iter().map(|check| check.score).max();
        worst.unwrap_or(Score::Ok).max(Score::Ok)
    }

    /// Returns how many checks have a score.
    pub fn count(&self, score: Score) -> usize {
        self.checks
            .iter()
            .filter(|check| check.score == score)
            .count()
    }
}

/// Looks at an environment. `may_read_files` says whether whoever asks may be told the names of uploads.
///
/// # Errors
/// When the environment is gone or its repository cannot be read; what fails within a check is told by it.
pub fn look(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
    may_read_files: bool,
) -> Result<Report, Fault> {
    let ground = Ground::of(sites, site, environment, may_read_files)?;
    let mut checks = Vec::new();
    work::checks(&ground, &mut checks);
    files::checks(&ground, &mut checks);
    strays::checks(&ground, &mut checks);
    repository::checks(&ground, &mut checks);
    let health = backup::health(&sites.state, site, environment);
    checks.push(told(
        "backups",
        health.map(|health| backups::check(&ground, &health.into())),
    ));
    address::checks(&ground, &mut checks);
    let database = content::database(sites, site, environment);
    let database = data::known(database, &mut checks);
    let data = database
        .as_ref()
        .and_then(|database| data::look(database, &mut checks));
    wordpress::checks(&ground, &mut checks);
    wordpress_data::checks(&ground, data.as_ref(), &mut checks);
    drupal::checks(&ground, &mut checks);
    drupal_data::checks(&ground, data.as_ref(), &mut checks);
    Ok(Report { checks })
}

/// Turns a failure of ours within a check into what it says; the cause goes to the log.
fn told(check: &'static str, looked: Result<Check, Fault>) -> Check {
    looked.unwrap_or_else(|fault| {
        tracing::warn!("env:status, {check}: {fault}");
        Check::warning(
            check,
            format!("This could not be looked at: {}.", fault.for_person()),
            "Try again; if it stays so, the gateway's log has the cause.",
        )
    })
}

/// The first few of a list, for a sentence.
fn some<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    // Those that are not to be told are all called the same.
    names.dedup();
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| policy::escape(name.as_bytes()))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// Bytes as people read them.
fn sized(bytes: u64) -> String {
    const STEPS: [(&str, u64); 3] = [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    for (unit, step) in STEPS {
        if bytes >= step {
            let tenths = bytes.saturating_mul(10) / step;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}
