//! What makes a repository slow to clone and each release large.

use std::path::Path;

use super::ground::{Ground, Tree};
use super::{Check, sized, some};

/// From here on a file is told.
const LARGE: u64 = 10 << 20;

/// From here on it should not be in git: other services refuse such a file.
const TOO_LARGE: u64 = 100 << 20;

/// From here on a repository is told.
const LARGE_REPOSITORY: u64 = 2 << 30;

pub(super) fn checks(ground: &Ground<'_>, checks: &mut Vec<Check>) {
    checks.push(match &ground.code {
        Some(code) => large_files(code),
        None => Check::skipped("large-files", "Nothing has been deployed here yet."),
    });
    checks.push(repository_size(&ground.layout.repository()));
}

pub(super) fn large_files(code: &Tree) -> Check {
    let mut large: Vec<(u64, String)> = code
        .found
        .iter()
        .map(|found| (found.stat.st_size.unsigned_abs(), &found.path))
        .filter(|(size, _)| *size >= LARGE)
        .map(|(size, path)| (size, String::from_utf8_lossy(path).into_owned()))
        .collect();
    large.sort_unstable_by(|one, other| other.cmp(one));
    let Some((largest, _)) = large.first() else {
        return Check::ok(
            "large-files",
            format!("No file of the code has {} or more.", sized(LARGE)),
        );
    };
    let names: Vec<String> = large
        .iter()
        .map(|(size, path)| format!("{path} ({})", sized(*size)))
        .collect();
    let found = format!("{} large file(s) in code: {}.", names.len(), some(&names));
    let action = "Put them among the files (/files), which are not in git: each clone and release carries them.";
    if *largest >= TOO_LARGE {
        Check::failure("large-files", found, action)
    } else {
        Check::warning("large-files", found, action)
    }
}

fn repository_size(repository: &Path) -> Check {
    let packs = repository.join("objects").join("pack");
    let size: u64 = std::fs::read_dir(packs)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum();
    let found = format!("The repository has {} in packs.", sized(size));
    if size >= LARGE_REPOSITORY {
        Check::warning(
            "repository-size",
            found,
            "Look for large files in its history: git rev-list --objects --all | git cat-file --batch-check.",
        )
    } else {
        Check::ok("repository-size", found)
    }
}
