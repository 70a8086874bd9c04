//! The checks, each with something that is well and something that is not.

mod code;
mod databases;
mod drupal;
mod places;
mod wordpress;

use super::ground::Tree;
use super::{Check, Score};

/// A folder with files in it, read as the checks read it.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        for (path, text) in files {
            folder.put(path, text);
        }
        folder
    }

    fn put(&self, path: &str, text: &str) {
        crate::site::testing::write(&self.folder.path().join(path), text);
    }

    fn mode(&self, path: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.folder.path().join(path), permissions).unwrap();
    }

    fn tree(&self) -> Tree {
        Tree::read(self.folder.path(), None).unwrap()
    }
}

/// Checks score and finding, and that what is not well says what to do.
#[track_caller]
fn is(check: &Check, score: Score, words: &str) {
    assert_eq!(check.score, score, "{check:?}");
    assert!(check.finding.contains(words), "{check:?} lacks '{words}'");
    let says_what_to_do = !check.action.is_empty();
    assert_eq!(says_what_to_do, score >= Score::Warning, "{check:?}");
}

#[test]
fn the_worst_score_counts() {
    let mut report = super::Report::default();
    assert_eq!(report.score(), Score::Ok);
    report.checks.push(Check::skipped("a", "b"));
    assert_eq!(report.score(), Score::Ok);
    report.checks.push(Check::warning("a", "b", "c"));
    report.checks.push(Check::ok("a", "b"));
    assert_eq!(report.score(), Score::Warning);
    report.checks.push(Check::failure("a", "b", "c"));
    assert_eq!(report.score(), Score::Failure);
    assert_eq!(report.count(Score::Ok), 1);
}

#[test]
fn sizes_and_lists_are_for_people() {
    assert_eq!(super::sized(999), "999 bytes");
    assert_eq!(super::sized(1536), "1.5 KB");
    assert_eq!(super::sized(10 << 30), "10.0 GB");
    assert_eq!(super::some(&["a", "b"]), "a, b");
    let many: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    assert_eq!(super::some(&many), "0, 1, 2, 3, 4 and 3 more");
    assert!(!super::some(&["\u{1b}[2J"]).contains('\u{1b}'));
}
