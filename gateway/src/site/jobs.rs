//! Work that makes more work, shared among threads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What is to be done, until nothing is left or something has failed.
pub(super) struct Jobs<T> {
    left: Mutex<Left<T>>,
    changed: Condvar,
}

struct Left<T> {
    waiting: Vec<T>,
    /// Those that wait, and those that a thread is at.
    unfinished: usize,
    /// A thread has failed.
    over: bool,
}

impl<T> Jobs<T> {
    /// Begins with one job.
    pub(super) fn new(first: T) -> Self {
        Self {
            left: Mutex::new(Left {
                waiting: vec![first],
                unfinished: 1,
                over: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Does jobs as long as there are any; each may bring others. To be called by each thread.
    ///
    /// # Errors
    /// The first of this thread's jobs; all threads end then.
    pub(super) fn work<E>(&self, mut act: impl FnMut(T) -> Result<Vec<T>, E>) -> Result<(), E> {
        // Also when `act` panics: the others must not wait for ever.
        let unless_done = EndAll(self);
        while let Some(job) = self.next() {
            let mut more = act(job)?;
            let mut left = self.left();
            left.unfinished = (left.unfinished + more.len()).saturating_sub(1);
            left.waiting.append(&mut more);
            drop(left);
            self.changed.notify_all();
        }
        std::mem::forget(unless_done);
        Ok(())
    }

    fn next(&self) -> Option<T> {
        let mut left = self.left();
        loop {
            if left.over || left.unfinished == 0 {
                return None;
            }
            if let Some(job) = left.waiting.pop() {
                return Some(job);
            }
            left = self
                .changed
                .wait(left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn left(&self) -> MutexGuard<'_, Left<T>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct EndAll<'a, T>(&'a Jobs<T>);

impl<T> Drop for EndAll<'_, T> {
    fn drop(&mut self) {
        self.0.left().over = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn all_jobs_are_done_once_by_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let (jobs, done) = (Jobs::new(0_u32), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        jobs.work(|depth| {
                            done.fetch_add(1, Ordering::Relaxed);
                            let more = if depth < 10 { 2 } else { 0 };
                            Ok::<_, ()>(vec![depth + 1; more])
                        })
                    });
                }
            });
            assert_eq!(done.load(Ordering::Relaxed), (1 << 11) - 1, "{threads}");
        }
    }

    #[test]
    fn a_failure_or_a_panic_ends_all() {
        for panics in [false, true] {
            let (jobs, done) = (Jobs::new(()), AtomicUsize::new(0));
            let failed = std::thread::scope(|scope| {
                let work = || {
                    jobs.work(|()| {
                        if done.fetch_add(1, Ordering::Relaxed) < 100 {
                            return Ok(vec![(), ()]);
                        }
                        assert!(!panics, "as this test asks");
                        Err("no")
                    })
                };
                let threads: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join())
                    .filter(|ended| !matches!(ended, Ok(Ok(()))))
                    .count()
            });
            assert!(failed > 0, "{panics}");
        }
    }
}
