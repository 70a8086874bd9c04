//! How many descriptors the process may have: as many as the system lets it, within reason.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Enough for the connections, pipes and files that the limits of the configuration allow.
const ENOUGH: u64 = 65_536;

/// Raises the limit on descriptors. A shell's usual 1024 would end at some 500 connections; each
/// has two, since its socket has to be closed under a client that does not go.
pub(super) fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft >= ENOUGH {
            return Ok(());
        }
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(ENOUGH), hard)
    });
    if let Err(error) = raised {
        tracing::warn!("raising the limit on open descriptors: {error}");
    }
}
