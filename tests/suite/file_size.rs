//! No file of ours is too long to be read at once.

use crate::layering::{rust_files, without_tests};

/// Lines of a file, the tests at its end not counted.
const MOST: usize = 400;

#[test]
fn no_file_is_too_long() {
    let mut offenders = Vec::new();
    for folder in ["policy", "hooks", "gateway", "tests"] {
        for (path, text) in rust_files(folder) {
            let lines = without_tests(&text).lines().count();
            if lines > MOST {
                offenders.push(format!("{path}: {lines} lines"));
            }
        }
    }
    assert!(
        offenders.is_empty(),
        "over {MOST} lines; split them by subject:\n{}",
        offenders.join("\n")
    );
}
