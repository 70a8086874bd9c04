//! How many connections there may be, how many of them that have not logged in, and waiting for
//! their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::protocol::ssh;

/// All doors of the gateway.
#[derive(Debug, Clone)]
pub(super) struct Doors {
    all: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
    closed: Arc<Notify>,
}

/// The place of one connection; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    waiting: Option<OwnedSemaphorePermit>,
    entered: Arc<Notify>,
    doors: Doors,
}

impl Doors {
    /// Makes as many as the limits say.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.max_connections)),
            waiting: Arc::new(Semaphore::new(limits.max_unauthenticated_connections)),
            open: Arc::default(),
            closed: Arc::default(),
        }
    }

    /// Takes a place for a connection that comes; none when there is none.
    pub(super) fn take(&self) -> Option<Place> {
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        self.open.fetch_add(1, Ordering::AcqRel);
        Some(Place {
            _all: all,
            waiting: Some(waiting),
            entered: Arc::default(),
            doors: self.clone(),
        })
    }

    /// Returns how many connections there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until all connections have ended, but not longer than `patience`.
    pub(super) async fn drain(&self, patience: Duration) {
        let all_closed = async {
            loop {
                let closed = self.closed.notified();
                if self.open() == 0 {
                    return;
                }
                closed.await;
            }
        };
        if tokio::time::timeout(patience, all_closed).await.is_err() {
            tracing::warn!(
                connections = self.open(),
                "connections that have not ended in time are cut"
            );
        }
    }
}

impl Place {
    /// Returns what is told when somebody was let in.
    pub(super) fn entered_signal(&self) -> Arc<Notify> {
        Arc::clone(&self.entered)
    }
}

impl ssh::Door for Place {
    fn entered(&mut self) {
        self.waiting = None;
        self.entered.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.doors.open.fetch_sub(1, Ordering::AcqRel);
        self.doors.closed.notify_waiters();
    }
}
