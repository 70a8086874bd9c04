//! Where work that may be slow meets the async workers: it runs in place, and the worker's other
//! tasks move to another thread meanwhile.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs work that may block for longer than a task should: a sync to disk, the removal of a large
/// file, a copy on the server, a wait for a durable audit row.
pub fn wait<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // Outside a runtime, or in a test's runtime of one thread, there is nobody to make room for.
        Ok(_) | Err(_) => work(),
    }
}
