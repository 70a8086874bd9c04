//! Two connections that run a dump's statements at the same time. What belongs to one table goes to
//! one connection, in its order; settings go to all.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::database::mariadb::wire::{Connection, Wrong};

/// A statement on its way to the server.
pub(super) struct Job {
    /// What is run.
    pub(super) sql: Vec<u8>,
    /// Where it begins in the dump.
    pub(super) line: u64,
    /// It adds rows, which are counted.
    pub(super) rows: bool,
}

/// What ended the work.
pub(super) struct Failure {
    /// Where the statement begins in the dump.
    pub(super) line: u64,
    /// What the server said.
    pub(super) wrong: Wrong,
}

/// How many bytes may wait for one connection.
const WAITING: usize = 12 * 1024 * 1024;

#[derive(Default)]
struct State {
    queues: Vec<VecDeque<Job>>,
    bytes: Vec<usize>,
    busy: Vec<bool>,
    rows: u64,
    closed: bool,
    failure: Option<Failure>,
}

/// What is to be done, and by whom.
pub(super) struct Work {
    state: Mutex<State>,
    changed: Condvar,
    tables: Mutex<HashMap<String, usize>>,
    workers: usize,
}

impl Work {
    pub(super) fn new(workers: usize) -> Self {
        let state = State {
            queues: (0..workers).map(|_| VecDeque::new()).collect(),
            bytes: vec![0; workers],
            busy: vec![false; workers],
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            tables: Mutex::default(),
            workers,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Who does what belongs to a table: who has it already, or who has least to do.
    pub(super) fn of_table(&self, table: &str, serial: bool) -> usize {
        if serial {
            return 0;
        }
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = tables.get(table) {
            return *worker;
        }
        let state = self.state();
        let least = state
            .bytes
            .iter()
            .enumerate()
            .min_by_key(|(_, bytes)| **bytes);
        let worker = least.map_or(0, |(worker, _)| worker);
        tables.insert(table.to_owned(), worker);
        worker
    }

    /// Hands a statement to a worker; waits while it has much to do. False when something has failed.
    pub(super) fn push(&self, worker: usize, job: Job) -> bool {
        let mut state = self.state();
        while state.failure.is_none()
            && state
                .bytes
                .get(worker)
                .is_some_and(|bytes| *bytes > WAITING)
        {
            state = self.wait(state);
        }
        if state.failure.is_some() {
            return false;
        }
        if let Some(bytes) = state.bytes.get_mut(worker) {
            *bytes += job.sql.len() + 1;
        }
        if let Some(queue) = state.queues.get_mut(worker) {
            queue.push_back(job);
        }
        self.changed.notify_all();
        true
    }

    /// Hands a statement to all but one.
    pub(super) fn push_all(&self, but: Option<usize>, sql: &[u8], line: u64) -> bool {
        (0..self.workers)
            .filter(|worker| Some(*worker) != but)
            .all(|worker| {
                let job = Job {
                    sql: sql.to_vec(),
                    line,
                    rows: false,
                };
                self.push(worker, job)
            })
    }

    /// Waits until nobody has anything to do. False when something has failed.
    pub(super) fn settle(&self) -> bool {
        let mut state = self.state();
        while state.failure.is_none()
            && (state.busy.contains(&true) || state.queues.iter().any(|queue| !queue.is_empty()))
        {
            state = self.wait(state);
        }
        state.failure.is_none()
    }

    /// On drop, says that nothing more comes.
    pub(super) fn closing(&self) -> Closing<'_> {
        Closing(self)
    }

    /// What failed, if anything did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.state().failure.take()
    }

    /// The rows that were added.
    pub(super) fn rows(&self) -> u64 {
        self.state().rows
    }

    /// Runs what a worker is given, until nothing more comes or something fails.
    pub(super) fn run(&self, worker: usize, server: &mut Connection<'_>) {
        while let Some(job) = self.take(worker) {
            let length = job.sql.len() + 1;
            let result = server.run(&job.sql);
            let mut state = self.state();
            if let Some(busy) = state.busy.get_mut(worker) {
                *busy = false;
            }
            if let Some(bytes) = state.bytes.get_mut(worker) {
                *bytes = bytes.saturating_sub(length);
            }
            match result {
                Ok(done) if job.rows => state.rows += done.rows,
                Ok(_) => {}
                Err(wrong) => {
                    let earlier = state
                        .failure
                        .as_ref()
                        .is_none_or(|known| known.line > job.line);
                    if earlier {
                        let line = job.line;
                        state.failure = Some(Failure { line, wrong });
                    }
                }
            }
            self.changed.notify_all();
        }
    }

    fn take(&self, worker: usize) -> Option<Job> {
        let mut state = self.state();
        loop {
            if state.failure.is_some() {
                return None;
            }
            let job = state.queues.get_mut(worker).and_then(VecDeque::pop_front);
            if let Some(job) = job {
                if let Some(busy) = state.busy.get_mut(worker) {
                    *busy = true;
                }
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.wait(state);
        }
    }
}

/// The end of the work.
pub(super) struct Closing<'w>(&'w Work);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.changed.notify_all();
    }
}
