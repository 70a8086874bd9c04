//! Folders that are there already, and that clients make all the same on the way to others.

use super::Field::{Nothing, Text};
use super::*;

#[test]
fn the_top_of_an_area_is_there_already() {
    for mut desk in [Desk::dev(), Desk::live()] {
        for path in [
            "/", "", "/code", "/code/.", "/files/", "/logs", "/backups", "tmp",
        ] {
            let reply = desk.ask(14, &[Text(path.as_bytes()), Nothing]);
            let Reply::Status(FAILURE, message) = reply else {
                panic!("{path}: {reply:?}");
            };
            assert!(message.contains("already"), "{path}: {message}");
        }
        let refused = desk.code_of(14, &[Text(b"/new"), Nothing]);
        assert_eq!(refused, DENIED);
        let rows = desk.rows();
        assert_eq!(rows.len(), 1, "only what was refused: {rows:?}");
    }
}
