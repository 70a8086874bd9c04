//! SSH: who is there, where they want to go, and which service takes over.

mod address;
mod algorithms;
mod channel;
mod command;
mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handler;
mod keys;
mod login;
mod output;
mod services;

use std::sync::Arc;

pub use address::Destination;
pub use algorithms::configuration;
pub use connection::{Connection, Door};
pub use keys::{HostKeys, PublicKey};
pub use output::Output;

use crate::gate::Gate;
use crate::protocol::console::Console;
use crate::protocol::git;
use crate::site::Sites;
use crate::state::State;

/// What every connection is served by.
#[derive(Debug)]
pub struct Server {
    /// Decides.
    pub gate: Arc<Gate>,
    /// Whose keys are whose.
    pub state: Arc<State>,
    /// Where the trees are.
    pub sites: Arc<Sites>,
    /// Runs git.
    pub git: Arc<git::Service>,
    /// Runs the commands of the console.
    pub console: Arc<Console>,
    /// How many channels a connection may have open.
    pub max_channels: usize,
}
