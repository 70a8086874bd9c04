//! Whether anything is going on on a connection: what idle rules ask, and how the listener learns
//! that a connection was told to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What is going on on one connection; shared by its session, its tasks and its listener.
#[derive(Debug, Clone)]
pub struct Activity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    begun: Instant,
    /// Milliseconds from then to the last sign of work.
    last: AtomicU64,
    /// Tasks that run, and channels whose client has not taken all answers.
    working: AtomicUsize,
    dismissed: Notify,
}

/// Work that goes on until this is dropped.
#[derive(Debug)]
pub struct Working(Activity);

impl Activity {
    /// Begins now.
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            working: AtomicUsize::new(0),
            dismissed: Notify::new(),
        }))
    }

    /// Notes a sign of work: a request, data, a client that takes what it was sent. An answered
    /// keepalive is none.
    pub(super) fn touch(&self) {
        let now = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.fetch_max(now, Ordering::Relaxed);
    }

    /// Begins work that may be silent for as long as it lasts.
    pub(super) fn work(&self) -> Working {
        self.0.working.fetch_add(1, Ordering::AcqRel);
        Working(self.clone())
    }

    /// Returns for how long nothing has been done; none while there is work.
    pub fn idle_for(&self) -> Option<Duration> {
        if self.0.working.load(Ordering::Acquire) > 0 {
            return None;
        }
        let last = Duration::from_millis(self.0.last.load(Ordering::Relaxed));
        Some(self.0.begun.elapsed().saturating_sub(last))
    }

    /// Waits until nothing has been done for so long.
    pub async fn idle(&self, limit: Duration) {
        loop {
            let left = match self.idle_for() {
                Some(idle) if idle >= limit => return,
                Some(idle) => limit - idle,
                None => limit,
            };
            tokio::time::sleep(left).await;
        }
    }

    /// Says that the client was told to go.
    pub(super) fn dismiss(&self) {
        self.0.dismissed.notify_one();
    }

    /// Waits until the client was told to go.
    pub async fn dismissed(&self) {
        self.0.dismissed.notified().await;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        // What follows work is idleness from now on, not since before it.
        self.0.touch();
        self.0.0.working.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_never_idle_and_idleness_begins_at_its_end() {
        let activity = Activity::new();
        let (one, other) = (activity.work(), activity.work());
        assert_eq!(activity.idle_for(), None);
        drop(one);
        assert_eq!(activity.idle_for(), None);
        std::thread::sleep(Duration::from_millis(300));
        drop(other);
        assert!(activity.idle_for().unwrap() < Duration::from_millis(250));
    }

    #[tokio::test]
    async fn idleness_is_waited_for_past_each_sign_of_work() {
        let activity = Activity::new();
        let limit = Duration::from_millis(100);
        let began = Instant::now();
        let working = activity.work();
        let other = activity.clone();
        let work = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(250)).await;
            drop(working);
            tokio::time::sleep(Duration::from_millis(50)).await;
            other.touch();
        });
        activity.idle(limit).await;
        assert!(
            began.elapsed() >= Duration::from_millis(400),
            "{:?}",
            began.elapsed()
        );
        work.await.unwrap();
    }
}
