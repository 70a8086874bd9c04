//! The bytes of an SFTP channel, in any order and cut.
#![no_main]

use std::cell::RefCell;
use std::path::Path;

use funicular::protocol::sftp::fuzzing::Ground;
use tempfile::TempDir;

/// The audit of a ground grows with each input; after so many there is a new one.
const INPUTS: u32 = 5_000;

thread_local! {
    static GROUND: RefCell<Option<(TempDir, Ground, u32)>> = const { RefCell::new(None) };
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    GROUND.with_borrow_mut(|kept| {
        let (folder, ground, inputs) = kept.take().unwrap_or_else(|| {
            let memory = Path::new("/dev/shm");
            let folder = if memory.is_dir() {
                TempDir::new_in(memory)
            } else {
                TempDir::new()
            }
            .unwrap();
            let ground = Ground::new(folder.path());
            (folder, ground, 0)
        });
        ground.bytes(input);
        if inputs < INPUTS {
            *kept = Some((folder, ground, inputs + 1));
        } else {
            ground.close();
        }
    });
});
