//! What the tests share: a running gateway, the people who use it, the clients they use and the
//! trees they move. It knows Funicular only as its users do: by its programs, ports and messages.

pub mod authority;
pub mod cache;
pub mod clients;
pub mod clone;
pub mod gates;
pub mod gateway;
pub mod guest;
pub mod hearer;
pub mod knocking;
pub mod mariadb;
pub mod measure;
pub mod mount;
pub mod openssh;
pub mod packets;
pub mod personas;
pub mod postgresql;
pub mod process;
pub mod programs;
pub mod putty;
pub mod raw;
pub mod screen;
pub mod shared;
pub mod site;
pub mod traps;
pub mod tree;
pub mod web;
pub mod web_host;
pub mod web_server;
pub mod wordpress;

pub use clients::{Client, Finished};
pub use clone::Clone;
pub use gateway::Gateway;
pub use mount::{Mount, fuse_is_there};
pub use personas::{Person, Role};
pub use shared::Shared;
pub use site::Site;
pub use tree::Tree;
pub use web::Web;

use std::time::{Duration, Instant};

/// Waits until `state` yields a value, and returns it; panics with `what` when it takes too long.
pub fn wait_for<T>(what: &str, limit: Duration, mut state: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = state() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
