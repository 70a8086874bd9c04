//! Workflows: every operation that changes an environment is one. Only one at a time changes an
//! environment; the others wait in a queue, in order. Each has steps and a log that people follow
//! while it runs and read afterwards.
//!
//! `queue` says whose turn it is, `live` is what is known of one while it runs, `log` keeps it in a
//! file, `run` is the right to change the environment, `phases` builds and tries what it is to run,
//! `change` is the last step of all of them.

mod asking;
mod branches;
mod change;
mod entry;
mod handing;
mod live;
mod log;
mod phases;
mod queue;
mod run;
mod settle;
mod undone;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::Timestamp;
use policy::{Environment, PersonName, SiteName};
use tokio::sync::watch;

pub(super) use change::{
    Change, UNRECORDED, carry_out, give_up, has_switched, prepare, prepare_with, switch, turn_back,
};
pub use entry::{Entry, Event};
pub(super) use handing::{around, hand_out};
pub use live::{Cancelling, Heard, Live, Watch};
pub(super) use log::outlive;
pub use log::{PastLog, read as read_log};
pub(super) use phases::{Bringing, Release, build, in_place, with_content};
pub use queue::Busy;
pub use run::Run;
pub use undone::Undone;

use super::layout::Layout;
use crate::audit::IncidentId;
use crate::state::State;
pub(super) use branches::Branches;
use queue::Queues;

/// What somebody asks to do to an environment.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The site.
    pub site: SiteName,
    /// The environment.
    pub environment: Environment,
    /// What is done: `deploy`, `rollback`, `push` …
    pub kind: &'static str,
    /// By whom.
    pub person: PersonName,
    /// From where: an address and a program.
    pub origin: String,
    /// Whether it waits while another workflow runs; else it is refused.
    pub waits: bool,
}

/// All workflows that wait or run.
#[derive(Debug)]
pub struct Workflows {
    state: Arc<State>,
    layout: Layout,
    keeping: Keeping,
    queues: Queues,
    branches: Branches,
    live: Mutex<HashMap<String, Arc<Live>>>,
    begun: watch::Sender<u64>,
    instance: String,
}

/// How long a workflow waits, how many logs are kept, how long an approval counts.
#[derive(Debug, Clone, Copy)]
pub struct Keeping {
    /// The longest wait, in seconds.
    pub wait_seconds: u64,
    /// Logs of each environment.
    pub logs: usize,
    /// How long a request for an approval, and then the approval, counts, in seconds.
    pub approval_seconds: u64,
}

impl Workflows {
    /// Makes an empty list.
    pub fn new(state: Arc<State>, layout: Layout, keeping: Keeping) -> Self {
        let now = Timestamp::now();
        Self {
            state,
            layout,
            keeping,
            queues: Queues::default(),
            branches: Branches::default(),
            live: Mutex::default(),
            begun: watch::Sender::new(0),
            instance: IncidentId::new(now).to_string(),
        }
    }

    /// Waits until it is this workflow's turn, and begins it. `waiting` is called with what people
    /// are told whenever its place in the queue changes.
    ///
    /// # Errors
    /// When it is not to wait, has waited too long, or was cancelled while it waited.
    pub async fn begin(
        self: &Arc<Self>,
        asked: Asked,
        waiting: impl FnMut(&str),
    ) -> Result<Run, Busy> {
        let id = IncidentId::new(Timestamp::now());
        let live = Arc::new(Live::new(id.clone(), asked));
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_string(), Arc::clone(&live));
        self.begun.send_modify(|count| *count += 1);
        let mut waiter = Waiter {
            workflows: self,
            live: Some(Arc::clone(&live)),
        };
        let turn = self
            .queues
            .wait(&live, self.keeping.wait_seconds, waiting)
            .await;
        match turn {
            Ok(turn) => {
                waiter.live = None;
                live.start();
                Ok(Run::new(Arc::clone(self), live, turn))
            }
            Err(busy) => {
                live.end_waiting(&busy.to_string());
                Err(busy)
            }
        }
    }

    /// Returns a workflow that waits or runs.
    pub fn live(&self, id: &str) -> Option<Arc<Live>> {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    /// Returns all of a site that wait or run, the oldest first.
    pub fn of_site(&self, site: &SiteName) -> Vec<Arc<Live>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = live
            .values()
            .filter(|live| live.asked.site == *site)
            .cloned()
            .collect();
        found.sort_by(|one, other| one.id.cmp(&other.id));
        found
    }

    /// Returns what changes whenever a workflow begins.
    pub fn begun(&self) -> watch::Receiver<u64> {
        self.begun.subscribe()
    }

    /// Returns what says which branches of a site environments run.
    pub(super) fn branches(&self, site: &SiteName) -> Arc<RwLock<()>> {
        self.branches.of(site)
    }

    /// Names this run of the gateway, in leases.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Returns how long a request for an approval, and then the approval, counts.
    pub fn approval_seconds(&self) -> u64 {
        self.keeping.approval_seconds
    }

    fn forget(&self, id: &str) {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }
}

/// One that waits; whoever asked for it may go away meanwhile, and it is then no more.
struct Waiter<'a> {
    workflows: &'a Workflows,
    live: Option<Arc<Live>>,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            self.workflows.forget(live.id.as_str());
            live.end_waiting("who asked for it went away while it waited; nothing was changed");
        }
    }
}
