//! SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions, on the bytes of one
//! channel.
//!
//! A session never waits on its output: it is called with the bytes that came, and answers in the
//! same call. While the client does not read its answers, its requests are held back, up to a
//! limit; see `engine`. Each request asks the gate for what the table in `operation` says, on the
//! area and path that its name means; what is opened keeps its permit, which is looked at again at
//! each use. Effects are those of [`Tree`]; no path is opened here.
//!
//! Names are bytes and are never changed. Home is `/`.

mod access;
mod attributes;
mod checksum;
mod dialect;
mod directory;
mod engine;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handles;
mod ids;
mod operation;
mod reply;
mod requests;
mod said;
mod status;
mod wire;

use std::fmt;
use std::sync::Arc;

pub use engine::HOLDS_TOO_MUCH;
use jiff::Timestamp;
use policy::{Environment, SiteName, SitePath};

use crate::config::Limits;
use crate::gate::{Gate, Identity};
use crate::site::tree::Tree;
use crate::state::State;

/// Where answers go.
pub trait Output {
    /// Sends bytes of the protocol: one packet or several.
    fn reply(&mut self, packets: Vec<u8>);
    /// Shows a line to the person, on the channel's stderr; it comes without its line end.
    fn say(&mut self, line: &str);
    /// Returns true while the client does not read its answers; requests are then held back.
    fn is_full(&self) -> bool;
}

/// Why the channel has to be closed, as a sentence for the person: the client broke the protocol
/// past answering.
#[derive(Debug, Clone, Copy)]
pub struct Ended(&'static str);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Ended {}

/// One SFTP channel.
#[derive(Debug)]
pub struct Session {
    gate: Arc<Gate>,
    state: Arc<State>,
    who: Identity,
    site: SiteName,
    environment: Environment,
    /// When the environment was made that the session is on; one of its name that is made later is
    /// another.
    made: Option<Timestamp>,
    tree: Tree,
    /// When what follows from the state was last looked up: the path to uploads, the generation
    /// of the tree. No state has the epoch 0.
    epoch: u64,
    files_path: Option<SitePath>,
    files_link: Option<Box<directory::FilesLink>>,
    readable: access::Readable,
    handles: handles::Handles,
    said: said::Said,
    engine: engine::Engine,
}

impl Session {
    /// Begins a session of `who` on one environment of a site.
    pub fn new(
        gate: Arc<Gate>,
        state: Arc<State>,
        who: Identity,
        site: SiteName,
        environment: Environment,
        tree: Tree,
    ) -> Self {
        let made = state
            .model()
            .environment(&site, &environment)
            .map(|found| found.created);
        Self {
            gate,
            state,
            who,
            made,
            site,
            environment,
            tree,
            epoch: 0,
            files_path: None,
            files_link: None,
            readable: access::Readable::default(),
            handles: handles::Handles::default(),
            said: said::Said::default(),
            engine: engine::Engine::default(),
        }
    }

    /// Bounds what the session may take.
    #[must_use]
    pub fn bounded(mut self, limits: &Limits) -> Self {
        self.handles.most = limits.max_open_files;
        self.engine.most_held = limits.max_held_bytes;
        self
    }

    /// The channel is over, orderly or not: ends every open handle. Files that were being written
    /// are recorded as interrupted, and those that have not taken their places are kept for their
    /// person to resume.
    pub fn close(self) {
        drop(self);
    }
}

#[cfg(test)]
mod tests;
