//! Git over SSH: runs git's own programs between the channel and the repository, and answers the
//! hooks that they run.

mod hook_server;
mod packs;
mod push;
mod service;

pub use hook_server::HookServer;
pub use push::Pushes;
pub use service::{Program, Request, Service};
