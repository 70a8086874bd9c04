//! The operators' log, on standard error. The audit is not part of it.

use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// Starts logging. `RUST_LOG` wins over the configuration.
pub(super) fn start(log: &Log) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{},russh=warn", log.level)));
    // Under systemd the journal has the time already, and colours are for terminals.
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false);
    let started = if in_journal {
        builder.without_time().try_init()
    } else {
        builder.try_init()
    };
    if let Err(error) = started {
        eprintln!("logging was started already: {error}");
    }
}
