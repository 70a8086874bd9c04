//! The site that targets work on; made once, and anew now and then.

use std::cell::RefCell;
use std::path::Path;

use funicular::protocol::sftp::fuzzing::Ground;
use tempfile::TempDir;

/// The audit of a ground grows with each input; after so many there is a new one.
const INPUTS: u32 = 5_000;

thread_local! {
    static GROUND: RefCell<Option<(TempDir, Ground, u32)>> = const { RefCell::new(None) };
}

/// Runs one input; in memory, where there is such a place.
pub fn with(run: impl FnOnce(&Ground)) {
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
        run(&ground);
        if inputs < INPUTS {
            *kept = Some((folder, ground, inputs + 1));
        } else {
            ground.close();
        }
    });
}
