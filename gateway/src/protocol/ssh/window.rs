//! How much a client may send before it hears from us again (RFC 4254 §5.2): little on a fast line,
//! where OpenSSH's client spends its time moving what it has buffered; much on a long one, where a
//! small window is what limits an upload.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use russh::server::Session;
use tokio::sync::oneshot;

/// The window of a channel that opens, kept until the line is known to be a fast one. russh ends a
/// connection whose client sends more than twice this while a new key exchange is being agreed on,
/// so it bounds [`LARGEST`] too.
pub(super) const FIRST: u32 = 8 << 20;

/// The window on a fast line.
const USUAL: u32 = 2 << 20;

/// The largest window of a connection, shared by its channels. OpenSSH's client has no more than
/// 64 requests of 255 KiB under way.
const LARGEST: u32 = 15 << 20;

/// A shorter standstill is a client that was busy.
const STANDSTILL: Duration = Duration::from_millis(3);

/// A line whose round trip is shorter, in microseconds, is a fast one.
const LONG_MICROS: u64 = 5_000;

/// The line is measured once for each so many bytes received, until it is known to be fast.
const PING_EVERY: u64 = 1 << 20;

/// Answers before a long line is believed to be one, and the most questions.
const ENOUGH_ANSWERS: u32 = 4;
const MOST_PINGS: u32 = 12;

/// The windows of one connection.
#[derive(Debug, Default)]
pub(super) struct Windows {
    accounts: HashMap<u32, Account>,
    line: Arc<Line>,
    pings: u32,
    received: u64,
    /// How often the window was doubled.
    doubled: u32,
}

impl Windows {
    /// Counts what a client sent on a channel, and asks how long the line is when that is not known.
    ///
    /// # Errors
    /// When the question cannot be sent.
    pub(super) fn receive(
        &mut self,
        channel: u32,
        bytes: usize,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.received = self.received.saturating_add(bytes as u64);
        if self.pings < MOST_PINGS
            && self.received > u64::from(self.pings) * PING_EVERY + PING_EVERY / 4
            && self.line.length() != Some(Length::Short)
        {
            self.pings += 1;
            session.send_ping(Line::await_answer(&self.line))?;
        }
        self.count(channel, bytes as u64, Instant::now);
        Ok(())
    }

    fn count(&mut self, channel: u32, bytes: u64, now: impl Fn() -> Instant) {
        let account = self.accounts.entry(channel).or_default();
        let stood_still = account.receive(bytes, now);
        if stood_still && self.line.length() == Some(Length::Long) && self.size() < LARGEST {
            self.doubled += 1;
        }
    }

    /// Notes that a client was given `window` bytes on a channel, counted from the packet that is
    /// being received, and returns what it shall be given the next time.
    pub(super) fn adjust(&mut self, channel: u32, window: u32) -> u32 {
        self.accounts.entry(channel).or_default().given = Some(window);
        self.size()
    }

    /// Forgets a channel.
    pub(super) fn close(&mut self, channel: u32) {
        self.accounts.remove(&channel);
    }

    fn size(&self) -> u32 {
        let fast = match self.line.length() {
            Some(Length::Short) => true,
            Some(Length::Long) => false,
            // A client that does not answer is treated like most.
            None => self.received > u64::from(MOST_PINGS) * PING_EVERY,
        };
        if fast {
            return USUAL;
        }
        let channels = u32::try_from(self.accounts.len())
            .unwrap_or(u32::MAX)
            .max(1);
        FIRST
            .checked_shl(self.doubled)
            .unwrap_or(LARGEST)
            .min(LARGEST / channels)
            .max(USUAL)
    }
}

/// One channel's account with its client.
#[derive(Debug)]
struct Account {
    received: u64,
    /// All that the client may have sent, with the newest adjustment and without it.
    granted: u64,
    before: u64,
    /// An adjustment that the packet being received has caused.
    given: Option<u32>,
    still_since: Option<Instant>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            received: 0,
            granted: u64::from(FIRST),
            before: u64::from(FIRST),
            given: None,
            still_since: None,
        }
    }
}

impl Account {
    /// Counts what has come. Returns whether the client had stood still before, having used all
    /// that it could know to be its own.
    fn receive(&mut self, bytes: u64, now: impl Fn() -> Instant) -> bool {
        let stood_still = self
            .still_since
            .take()
            .is_some_and(|since| now().saturating_duration_since(since) >= STANDSTILL);
        self.received = self.received.saturating_add(bytes);
        if let Some(window) = self.given.take() {
            self.before = self.granted;
            self.granted = self.received.saturating_add(u64::from(window));
        }
        if self.received == self.before {
            self.still_since = Some(now());
        }
        stood_still
    }
}

/// What questions to the client have shown.
#[derive(Debug)]
struct Line {
    answers: AtomicU32,
    shortest_micros: AtomicU64,
}

/// How long a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Short,
    Long,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            answers: AtomicU32::new(0),
            shortest_micros: AtomicU64::new(u64::MAX),
        }
    }
}

impl Line {
    /// The smallest of several answers counts: one alone may have waited behind data.
    fn length(&self) -> Option<Length> {
        if self.shortest_micros.load(Ordering::Relaxed) < LONG_MICROS {
            return Some(Length::Short);
        }
        (self.answers.load(Ordering::Relaxed) >= ENOUGH_ANSWERS).then_some(Length::Long)
    }

    fn answered(&self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.shortest_micros.fetch_min(micros, Ordering::Relaxed);
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns what russh calls when the answer has come. It ends with the connection.
    fn await_answer(line: &Arc<Self>) -> oneshot::Sender<()> {
        let (sender, receiver) = oneshot::channel();
        let (line, asked) = (Arc::clone(line), Instant::now());
        tokio::spawn(async move {
            if receiver.await.is_ok() {
                line.answered(asked.elapsed());
            }
        });
        sender
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: u32 = 7;

    /// What russh does with each packet, and a client that uses its window to the last byte.
    struct Upload {
        windows: Windows,
        left: u64,
        target: u32,
        now: Instant,
    }

    impl Upload {
        fn new(line: Duration, answers: u32) -> Self {
            let windows = Windows::default();
            for _ in 0..answers {
                windows.line.answered(line);
            }
            Self {
                windows,
                left: u64::from(FIRST),
                target: FIRST,
                now: Instant::now(),
            }
        }

        /// Sends all it may, hears of the adjustments after `pause`, and so on.
        fn run(&mut self, rounds: usize, pause: Duration) {
            let mut may_send = u64::from(FIRST);
            for _ in 0..rounds {
                let mut adjusted = 0;
                while may_send > 0 {
                    let packet = may_send.min(32 * 1024);
                    may_send -= packet;
                    self.left -= packet;
                    if self.left < u64::from(self.target) / 2 {
                        adjusted += u64::from(self.target) - self.left;
                        self.left = u64::from(self.target);
                        self.target = self.windows.adjust(CHANNEL, self.target);
                    }
                    let now = self.now;
                    self.windows.count(CHANNEL, packet, || now);
                }
                may_send = adjusted;
                self.now += pause;
            }
        }
    }

    #[test]
    fn on_a_long_line_the_window_grows_to_its_bound() {
        let mut upload = Upload::new(Duration::from_millis(40), ENOUGH_ANSWERS);
        upload.run(20, Duration::from_millis(40));
        assert_eq!(upload.target, LARGEST);
    }

    #[test]
    fn on_a_fast_line_it_is_small_however_often_the_client_stands_still() {
        let mut upload = Upload::new(Duration::from_micros(200), 1);
        upload.run(20, Duration::from_millis(40));
        assert_eq!(upload.target, USUAL);
    }

    #[test]
    fn a_client_that_is_only_slow_gets_no_more() {
        let mut upload = Upload::new(Duration::from_millis(40), ENOUGH_ANSWERS);
        upload.run(20, Duration::from_micros(500));
        assert_eq!(upload.target, FIRST);
    }

    #[test]
    fn one_short_answer_outweighs_many_long_ones() {
        let line = Line::default();
        for _ in 0..ENOUGH_ANSWERS {
            line.answered(Duration::from_millis(50));
        }
        assert_eq!(line.length(), Some(Length::Long));
        line.answered(Duration::from_micros(300));
        assert_eq!(line.length(), Some(Length::Short));
    }

    #[test]
    fn channels_share_the_largest_window() {
        let mut windows = Windows::default();
        for _ in 0..ENOUGH_ANSWERS {
            windows.line.answered(Duration::from_millis(50));
        }
        windows.doubled = 5;
        assert_eq!(windows.adjust(0, FIRST), LARGEST);
        for channel in 1..5 {
            windows.adjust(channel, FIRST);
        }
        assert_eq!(windows.size(), LARGEST / 5);
    }
}
