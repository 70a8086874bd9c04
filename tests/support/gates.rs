//! Gates at the places where a change of an environment can be held up, in a gateway of one's own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::gateway::{Gateway, Setting};
use crate::wait_for;

/// Where a deploy has written its release and not switched to it yet.
pub const PREPARED: &str = "prepare-end";

/// Where a change is written down and nothing has moved yet; it is too late to cancel.
pub const INTENDED: &str = "intent-written";

/// Where the refs have moved: what was begun is completed from here on.
pub const MOVED: &str = "refs-moved";

/// The gates of one gateway; all are open at first.
pub struct Gates {
    folder: PathBuf,
}

impl Gates {
    /// Starts a gateway that has gates.
    pub fn start(settings: &[Setting]) -> (Arc<Gateway>, Self) {
        let gateway = Arc::new(Gateway::start_with(settings));
        let gates = Self {
            folder: gateway.folder().join("gates"),
        };
        fs::create_dir(&gates.folder).unwrap();
        gateway.stop(Signal::SIGTERM);
        gates.serve(&gateway);
        (gateway, gates)
    }

    /// Starts the gateway again after its end, with the same gates.
    pub fn serve(&self, gateway: &Gateway) {
        let folder = self.folder.display().to_string();
        gateway.serve_with(&[("FUNICULAR_WAIT_IN", &folder)]);
    }

    /// Closes a gate: the next change that comes there waits.
    pub fn close(&self, name: &str) {
        let _ = fs::remove_file(self.reached_file(name));
        fs::write(self.folder.join(name), "").unwrap();
    }

    /// Waits until a change waits at a closed gate.
    #[track_caller]
    pub fn reached(&self, name: &str) {
        let file = self.reached_file(name);
        let what = format!("a change to come to {name}");
        wait_for(&what, Duration::from_secs(60), || {
            file.exists().then_some(())
        });
    }

    /// Opens a gate.
    pub fn open(&self, name: &str) {
        fs::remove_file(self.folder.join(name)).unwrap();
    }

    fn reached_file(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_extension("reached")
    }
}
