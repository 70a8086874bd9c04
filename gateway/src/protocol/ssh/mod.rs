//! SSH: who is there, where they want to go, and which service takes over.

mod activity;
mod address;
mod algorithms;
mod certificates;
mod channel;
mod command;
mod connection;
mod dismissal;
mod few;
mod forced;
mod forwarding;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handler;
mod keys;
mod login;
mod output;
mod overheard;
mod serve;
mod services;
mod socket;
mod streams;
mod terminal;
mod tunnel;
mod unserved;
mod window;

use std::sync::Arc;

pub use activity::{Activity, Working};
pub use address::Destination;
pub use connection::{Connection, Door};
pub use dismissal::dismissal;
pub use keys::{HostKeys, PublicKey};
pub use output::{Gone, Output};
pub use overheard::listen as listen_to_library;
pub use serve::{Broken, Offer, Served};

use crate::config::{Algorithms, Limits};
use crate::gate::Gate;
use crate::protocol::console::Console;
use crate::protocol::{exec, git};
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
    /// Runs rsync, scp and the checksum commands.
    pub exec: Arc<exec::Service>,
    /// Runs the commands of the console.
    pub console: Arc<Console>,
    /// What one connection and one channel may take.
    pub limits: Limits,
    /// Which keys let people in.
    pub algorithms: Algorithms,
}
