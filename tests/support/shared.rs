//! One gateway for several tests.

use std::sync::{Arc, Mutex, Weak};

use crate::gateway::Gateway;

/// A gateway that the tests of one file share: started by the first that needs it, stopped when the
/// last one that holds it has ended.
pub struct Shared(Mutex<Weak<Gateway>>);

impl Shared {
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    pub fn gateway(&self) -> Arc<Gateway> {
        let mut shared = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let gateway = Arc::new(Gateway::start());
            *shared = Arc::downgrade(&gateway);
            gateway
        })
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}
