//! Copies on the server, which may be larger than any upload.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::Field::{Long, Text};
use super::*;

#[test]
fn a_copy_of_holes_is_holes_and_one_that_does_not_fit_is_refused() {
    const HUGE: u64 = 1 << 43;
    let mut desk = Desk::dev();
    fs::write(desk.disk("files/huge"), "begin").unwrap();
    File::options()
        .write(true)
        .open(desk.disk("files/huge"))
        .unwrap()
        .set_len(HUGE)
        .unwrap();
    let is_copy = |path: PathBuf| {
        let about = fs::metadata(&path).unwrap();
        assert_eq!(about.len(), HUGE);
        assert!(about.blocks() < 1_000, "{} blocks", about.blocks());
        let mut begin = [1; 8];
        File::open(path).unwrap().read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"begin\0\0\0");
    };
    let copy = |desk: &mut Desk, to: &[u8]| {
        let from = desk.handle(b"/files/huge", READ);
        let to = desk.handle(to, WRITE | CREATE | TRUNCATE);
        let fields = vec![Text(&from), Long(0), Long(0), Text(&to), Long(0)];
        let reply = desk.extended("copy-data", fields);
        (reply, desk.close(&to))
    };
    assert_eq!(
        copy(&mut desk, b"/files/copy"),
        (Reply::Status(OK, String::new()), OK)
    );
    is_copy(desk.disk("files/copy"));
    let moved = vec![Text(b"/files/copy"), Text(b"/tmp/moved")];
    assert_eq!(desk.code_of(18, &moved), OK);
    is_copy(desk.disk("tmp/moved"));

    // As on a disk that is nearly full.
    let tree = Tree::open_with(&desk.root(), Some(Arc::clone(&desk.parts))).unwrap();
    desk.session = session(
        &desk.gate,
        &desk.state,
        &desk.environment,
        tree.leaving_free(u64::MAX),
        "alice",
    );
    desk.begin();
    fs::write(desk.disk("files/old"), "old").unwrap();
    let (Reply::Status(FAILURE, message), FAILURE) = copy(&mut desk, b"/files/old") else {
        panic!("it fits");
    };
    assert!(message.starts_with("The copy does not fit"), "{message}");
    assert_eq!(fs::read(desk.disk("files/old")).unwrap(), b"old");
    let moved = vec![Text(b"/tmp/moved"), Text(b"/files/moved")];
    assert_eq!(desk.code_of(18, &moved), FAILURE);
    assert!(desk.disk("tmp/moved").exists() && !desk.disk("files/moved").exists());
    assert_eq!(fs::read_dir(desk.disk("uploads")).unwrap().count(), 0);
    assert!(
        desk.screen
            .lines
            .iter()
            .any(|line| line.contains("does not fit"))
    );
    for row in desk.rows().iter().rev().take(2) {
        let told = row.detail.as_deref().unwrap_or_default();
        assert!(told.contains("does not fit"), "{row:?}");
    }
}
