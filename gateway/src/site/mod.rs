//! Effects. Every function that changes something takes a [`crate::gate::Permit`].

mod lease;
pub mod deploy;
pub mod git;
pub mod hotfix;
pub mod layout;
pub mod mode;
pub mod push;
pub mod repair;
pub mod settings;
pub mod tree;
mod workflow;

use std::sync::Arc;

use policy::{Environment, SiteName};

pub use lease::{Busy, Lease, Leases};
pub use workflow::Undone;

use crate::fault::{Fault, OrFault};
use crate::state::State;
use layout::Layout;
use tree::Tree;

/// All sites of this gateway: where they are, what is known of them, who may change them now.
#[derive(Debug)]
pub struct Sites {
    /// What is known.
    pub state: Arc<State>,
    /// Where things are.
    pub layout: Layout,
    /// Who may change which environment now.
    pub leases: Leases,
}

impl Sites {
    /// Returns an environment's tree.
    ///
    /// # Errors
    /// When its folders cannot be opened.
    pub fn tree(&self, site: &SiteName, environment: &Environment) -> Result<Tree, Fault> {
        Tree::open(self.layout.site(site).environment(environment).root())
    }
}

/// Runs blocking work off the asynchronous workers.
///
/// # Errors
/// Its own, or that it panicked, which ends it alone.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .or_fault(|| "finishing work in the background")?
}
