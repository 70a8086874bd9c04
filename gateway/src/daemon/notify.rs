//! Tells systemd how the gateway is (sd_notify(3)); nothing happens elsewhere.

use sd_notify::NotifyState;

/// Says that connections are accepted, and goes on saying that the gateway is alive.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
    let Some(period) = sd_notify::watchdog_enabled() else {
        return;
    };
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(period / 2);
        loop {
            ticks.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    });
}

/// Says that the gateway is stopping.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("telling systemd: {error}");
    }
}
