//! Leases: one operation at a time changes an environment, and who waits is told for whom.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use policy::{Environment, SiteName};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The longest that anybody waits for a lease.
const PATIENCE: Duration = Duration::from_secs(120);

/// The right to change an environment, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    entry: Arc<Entry>,
    _held: OwnedMutexGuard<()>,
}

/// All leases.
#[derive(Debug, Default)]
pub struct Leases {
    entries: StdMutex<HashMap<(SiteName, Environment), Arc<Entry>>>,
}

#[derive(Debug, Default)]
struct Entry {
    lock: Arc<Mutex<()>>,
    holder: StdMutex<String>,
}

/// Somebody else kept the lease for too long.
#[derive(Debug, Clone)]
pub struct Busy {
    site: SiteName,
    environment: Environment,
    holder: String,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{} is still busy with {} after {} seconds; nothing was changed. Try again later.",
            self.site,
            self.environment,
            self.holder,
            PATIENCE.as_secs()
        )
    }
}

impl Leases {
    /// Takes the lease of an environment. `holder` is what others are told that they wait for;
    /// `waiting` is called once if one has to wait.
    ///
    /// # Errors
    /// When it is not free in time.
    pub async fn take(
        &self,
        site: &SiteName,
        environment: &Environment,
        holder: &str,
        mut waiting: impl FnMut(&str),
    ) -> Result<Lease, Busy> {
        let entry = Arc::clone(
            self.entries
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry((site.clone(), environment.clone()))
                .or_default(),
        );
        let held = match Arc::clone(&entry.lock).try_lock_owned() {
            Ok(held) => held,
            Err(_) => {
                waiting(&format!(
                    "{site}.{environment} is busy with {}; waiting for its end.",
                    entry.named()
                ));
                tokio::time::timeout(PATIENCE, Arc::clone(&entry.lock).lock_owned())
                    .await
                    .map_err(|_| Busy {
                        site: site.clone(),
                        environment: environment.clone(),
                        holder: entry.named(),
                    })?
            }
        };
        *entry.holder.lock().unwrap_or_else(PoisonError::into_inner) = holder.to_owned();
        Ok(Lease { entry, _held: held })
    }
}

impl Entry {
    fn named(&self) -> String {
        self.holder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.entry
            .holder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_and_who_waits_is_told_for_whom() {
        let leases = Leases::default();
        let site: SiteName = "acme".parse().unwrap();
        let first = leases
            .take(
                &site,
                &Environment::Dev,
                "a push by alice",
                |_| unreachable!(),
            )
            .await
            .unwrap();
        leases
            .take(
                &site,
                &Environment::Test,
                "a deploy by bob",
                |_| unreachable!(),
            )
            .await
            .unwrap();
        let mut told = String::new();
        let busy = leases
            .take(&site, &Environment::Dev, "a push by bob", |line| {
                told = line.to_owned();
            })
            .await
            .unwrap_err();
        assert!(told.contains("a push by alice"), "{told}");
        assert!(busy.to_string().contains("a push by alice"), "{busy}");
        drop(first);
        leases
            .take(
                &site,
                &Environment::Dev,
                "a push by bob",
                |_| unreachable!(),
            )
            .await
            .unwrap();
    }
}
