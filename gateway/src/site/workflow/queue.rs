//! Whose turn it is: one workflow at a time changes an environment, the others wait in order, and
//! each is told its place and for whom it waits.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use policy::{Environment, SiteName};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::Live;

/// The turn of a workflow, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _place: Place,
    _held: OwnedMutexGuard<()>,
}

/// The queues of all environments.
#[derive(Debug, Default)]
pub(super) struct Queues {
    entries: StdMutex<HashMap<(SiteName, Environment), Arc<Queue>>>,
}

#[derive(Debug, Default)]
struct Queue {
    lock: Arc<Mutex<()>>,
    /// Who runs, then who waits, in order.
    line: StdMutex<Vec<Arc<Live>>>,
    moved: watch::Sender<u64>,
}

/// A place in a queue, given up when it is dropped.
#[derive(Debug)]
struct Place {
    queue: Arc<Queue>,
    live: Arc<Live>,
}

/// Why a workflow did not get its turn. Nothing was changed.
#[derive(Debug, Clone)]
pub enum Busy {
    /// Another one runs, and it was not to wait.
    Refused {
        /// The environment.
        place: String,
        /// What runs.
        holder: String,
    },
    /// It has waited too long.
    TooLong {
        /// The environment.
        place: String,
        /// What runs.
        holder: String,
        /// How long it has waited.
        seconds: u64,
    },
    /// Somebody has cancelled it while it waited.
    Cancelled {
        /// Who.
        person: String,
    },
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Busy::Refused { place, holder } => write!(
                f,
                "{place} is busy with {holder}, and --no-wait was asked for; nothing was changed. \
                 Follow it with workflow:watch, or leave --no-wait out to wait for its end."
            ),
            Busy::TooLong {
                place,
                holder,
                seconds,
            } => write!(
                f,
                "{place} is still busy with {holder} after {seconds} seconds; nothing was changed. \
                 Try again later."
            ),
            Busy::Cancelled { person } => write!(
                f,
                "{person} has cancelled this while it waited; nothing was changed."
            ),
        }
    }
}

impl Queues {
    pub(super) async fn wait(
        &self,
        live: &Arc<Live>,
        longest_seconds: u64,
        mut told: impl FnMut(&str),
    ) -> Result<Turn, Busy> {
        let queue = Arc::clone(
            self.entries
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry((live.asked.site.clone(), live.asked.environment.clone()))
                .or_default(),
        );
        let place = Place::take(&queue, live);
        if let Ok(held) = Arc::clone(&queue.lock).try_lock_owned() {
            return Ok(Turn {
                _place: place,
                _held: held,
            });
        }
        let named = format!("{}.{}", live.asked.site, live.asked.environment);
        if !live.asked.waits {
            return Err(Busy::Refused {
                place: named,
                holder: queue.holder(),
            });
        }
        let mut moved = queue.moved.subscribe();
        let waiting = Arc::clone(&queue.lock).lock_owned();
        let deadline = tokio::time::sleep(Duration::from_secs(longest_seconds));
        tokio::pin!(waiting, deadline);
        let mut last = 0;
        loop {
            let ahead = queue.ahead_of(live);
            if ahead != last && ahead > 0 {
                last = ahead;
                told(&format!(
                    "{named} is busy with {}; waiting, number {ahead} in the queue.",
                    queue.holder()
                ));
            }
            tokio::select! {
                held = &mut waiting => {
                    return Ok(Turn { _place: place, _held: held });
                }
                () = &mut deadline => {
                    return Err(Busy::TooLong {
                        place: named,
                        holder: queue.holder(),
                        seconds: longest_seconds,
                    });
                }
                () = live.cancellation() => {
                    let person = live.cancelled_by().map(|person| person.to_string());
                    return Err(Busy::Cancelled { person: person.unwrap_or_default() });
                }
                _moved = moved.changed() => {}
            }
        }
    }
}

impl Queue {
    fn holder(&self) -> String {
        self.line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .first()
            .map_or_else(
                || "a workflow that has just ended".to_owned(),
                |live| live.described(),
            )
    }

    fn ahead_of(&self, live: &Live) -> usize {
        self.line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .position(|one| one.id == live.id)
            .unwrap_or(0)
    }
}

impl Place {
    fn take(queue: &Arc<Queue>, live: &Arc<Live>) -> Self {
        queue
            .line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(live));
        Self {
            queue: Arc::clone(queue),
            live: Arc::clone(live),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue
            .line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|one| one.id != self.live.id);
        self.queue.moved.send_modify(|count| *count += 1);
    }
}
