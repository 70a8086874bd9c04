//! Tells targets what they are to be told: each in order, all at the same time, again and again.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, oneshot};

use super::message::Message;
use super::{command, hosts, reload, webhook};
use crate::fault::Fault;
use crate::site::{Sites, blocking, crash, workflow};
use crate::state::{Delivery, Target, TargetKind};

/// Tells what is to be told, as long as the gateway runs. One attempt a target at a time, so that
/// its messages come in their order, and none waits for another target.
pub async fn deliver(sites: Arc<Sites>) {
    if let Err(fault) = hosts::sweep(&sites) {
        tracing::warn!("keys of hosts that are gone are left: {fault}");
    }
    let room = Arc::new(Semaphore::new(MOST_AT_ONCE));
    loop {
        let pause = match round(&sites, &room).await {
            Ok(pause) => pause,
            Err(fault) => {
                tracing::error!("targets cannot be told: {fault}");
                AFTER_A_FAULT
            }
        };
        tokio::select! {
            () = sites.targets.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Attempts at the same time, of all targets.
const MOST_AT_ONCE: usize = 64;
/// The pause after a failure of ours, such as a full disk.
const AFTER_A_FAULT: Duration = Duration::from_secs(5);
/// The longest pause; what makes it shorter wakes us.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Begins all attempts that are due. Returns the time until the next is.
async fn round(sites: &Arc<Sites>, room: &Arc<Semaphore>) -> Result<Duration, Fault> {
    let state = Arc::clone(&sites.state);
    let waiting = blocking(move || state.next_deliveries()).await?;
    let now = Timestamp::now();
    let mut pause = LONGEST_PAUSE;
    for delivery in waiting {
        if sites.targets.busy().contains(&delivery.target) {
            continue;
        }
        if delivery.next > now {
            let left = delivery.next.duration_since(now).unsigned_abs();
            pause = pause.min(left + Duration::from_millis(1));
            continue;
        }
        let Some(target) = sites.state.target(delivery.target)? else {
            continue;
        };
        sites.targets.busy().insert(delivery.target);
        let (sites, room) = (Arc::clone(sites), Arc::clone(room));
        tokio::spawn(async move {
            let _place = room.acquire().await;
            let number = delivery.target;
            if let Err(fault) = attempt(&sites, target, delivery).await {
                tracing::error!("what came of a delivery cannot be written down: {fault}");
                tokio::time::sleep(AFTER_A_FAULT).await;
            }
            sites.targets.busy().remove(&number);
            sites.targets.wake();
        });
    }
    Ok(pause)
}

/// Makes one attempt, and writes down what came of it.
async fn attempt(sites: &Arc<Sites>, target: Target, delivery: Delivery) -> Result<(), Fault> {
    let (name, id) = (target.name.clone(), delivery.id.clone());
    let done = match &target.kind {
        TargetKind::Rsync(_) => sync(sites, target, &delivery).await,
        TargetKind::Command { .. } | TargetKind::Webhook { .. } | TargetKind::Reload(_) => {
            let sites = Arc::clone(sites);
            let told = delivery.clone();
            alone(move || tell(&sites, &target, &told)).await
        }
    };
    crash::point("told");
    let settings = &sites.targets.settings;
    let (state, number, kept) = (
        Arc::clone(&sites.state),
        delivery.number,
        settings.keep_deliveries,
    );
    match done {
        Ok(result) => {
            tracing::info!(target = %name, delivery = %id, "told");
            blocking(move || state.finish_delivery(number, true, &result, kept)).await
        }
        Err(why) => {
            let now = Timestamp::now();
            let next = now.saturating_add(back_off(
                settings.first_retry_seconds,
                settings.longest_retry_seconds,
                delivery.attempts,
            ));
            let given_up = delivery
                .since
                .saturating_add(seconds(settings.give_up_after_seconds));
            let next = next
                .ok()
                .filter(|next| given_up.is_ok_and(|end| *next <= end));
            tracing::warn!(target = %name, delivery = %id, again = next.is_some(), "not told: {why}");
            blocking(move || match next {
                Some(next) => state.delay_delivery(number, &why, next),
                None => state.finish_delivery(number, false, &why, kept),
            })
            .await
        }
    }
}

fn seconds(count: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The pause after so many attempts that failed.
fn back_off(first: u64, longest: u64, attempts: u32) -> SignedDuration {
    let doubled = 1_u64
        .checked_shl(attempts)
        .and_then(|times| first.checked_mul(times))
        .unwrap_or(u64::MAX);
    seconds(doubled.min(longest))
}

/// Tells one target. Returns what came of it.
///
/// # Errors
/// With a sentence without a full stop.
pub(super) fn tell(sites: &Sites, target: &Target, delivery: &Delivery) -> Result<String, String> {
    let message = Message::new(&sites.layout, target, &delivery.id, &delivery.told);
    match &target.kind {
        TargetKind::Command { command, seconds } => {
            command::send(command, Duration::from_secs(*seconds), &message)
        }
        TargetKind::Webhook { url, seconds } => webhook::send(
            url,
            Duration::from_secs(*seconds),
            target.secret.as_ref(),
            &message,
            sites.targets.settings.ca_file.as_deref(),
        ),
        TargetKind::Reload(settings) => reload::send(settings),
        TargetKind::Rsync(_) => hosts::try_host(sites, target),
    }
}

/// Runs what may wait long for others in a thread of its own, so that it takes none from all else.
async fn alone(
    work: impl FnOnce() -> Result<String, String> + Send + 'static,
) -> Result<String, String> {
    let (tell, told) = oneshot::channel();
    let started = std::thread::Builder::new()
        .name("delivery".to_owned())
        .spawn(move || drop(tell.send(work())));
    match started {
        Ok(_) => told
            .await
            .unwrap_or_else(|_| Err("the gateway failed".to_owned())),
        Err(error) => Err(format!("no thread could be started: {error}")),
    }
}

/// Brings a host to what its environment runs, when it is its turn.
async fn sync(sites: &Arc<Sites>, target: Target, delivery: &Delivery) -> Result<String, String> {
    let asked = workflow::Asked {
        site: target.site.clone(),
        environment: target.environment.clone(),
        kind: "sync_hosts",
        person: delivery.told.actor.clone(),
        origin: "the gateway itself".to_owned(),
        waits: true,
    };
    let run = sites
        .workflows
        .begin(asked, |_| {})
        .await
        .map_err(|busy| busy.to_string())?;
    let sites = Arc::clone(sites);
    let synced = blocking(move || Ok(hosts::sync(&sites, &run, &target))).await;
    match synced {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(undone)) => Err(undone.to_string()),
        Err(fault) => Err(fault.for_person()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<i64> = (0..12)
            .map(|attempts| back_off(1, 600, attempts).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(back_off(1, 600, 63).as_secs(), 600);
        assert_eq!(back_off(1, 600, 1000).as_secs(), 600);
        assert_eq!(back_off(0, 600, 5).as_secs(), 0);
    }
}
