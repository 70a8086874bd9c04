//! SFTP version 3 (draft-ietf-secsh-filexfer-02) on the bytes of one channel.

use std::fmt;
use std::sync::Arc;

use policy::{Environment, SiteName};

use crate::gate::{Gate, Identity};
use crate::site::tree::Tree;
use crate::state::State;

/// Where answers go.
pub trait Output {
    /// Sends bytes of the protocol: one packet or several.
    fn reply(&mut self, packet: Vec<u8>);
    /// Shows a line to the person, on the channel's stderr; it comes without its line end.
    fn say(&mut self, line: &str);
    /// Returns true while the client does not read its answers; requests are then held back.
    fn is_full(&self) -> bool;
}

/// Why the channel has to be closed: the client broke the protocol past answering. The person has
/// been told through [`Output::say`].
#[derive(Debug)]
pub struct Ended(String);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One SFTP channel.
#[derive(Debug)]
pub struct Session {}

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
        let _ = (gate, state, who, site, environment, tree);
        Self {}
    }

    /// Takes bytes of the channel as they come, in any cut, and answers into `out`.
    ///
    /// # Errors
    /// When the channel has to be closed.
    pub fn receive(&mut self, bytes: &[u8], out: &mut dyn Output) -> Result<(), Ended> {
        let _ = (bytes, out);
        Ok(())
    }

    /// Goes on with requests that were held back because the client did not read its answers.
    ///
    /// # Errors
    /// When the channel has to be closed.
    pub fn proceed(&mut self, out: &mut dyn Output) -> Result<(), Ended> {
        let _ = out;
        Ok(())
    }

    /// Returns how many bytes of requests are held back. While there are any, the window of the
    /// channel should not be refilled.
    pub fn held(&self) -> usize {
        0
    }

    /// The channel is over, orderly or not: ends every open handle.
    pub fn close(self) {}
}
