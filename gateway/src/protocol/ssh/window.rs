//! How much a client may send before it hears from us again (RFC 4254 §5.2): little on a fast line,
//! where OpenSSH's client spends its time moving what it has buffered; much on a long one, where a
//! small window is what limits an upload.

use std::time::{Duration, Instant};

/// The window of a channel that opens: russh has one number for all connections, and takes another
/// only when half of it is used. It ends a connection whose client sends more than twice this while
/// a new key exchange is being agreed on, so it bounds [`LONG`] too.
pub(super) const FIRST: u32 = 16 << 20;

/// The window on a fast line.
const FAST: u32 = 2 << 20;

/// The window on a long line, shared by the channels of a connection. The client hears of more when
/// half of it is used, and half has to hold what OpenSSH's has under way at most: 64 requests of
/// 255 KiB. What is left below the bound is for the heads of packets.
const LONG: u32 = 30 << 20;

/// A line is long whose round trip takes at least this.
const LONG_ROUND_TRIP: Duration = Duration::from_millis(5);

/// How long the line is, measured before there is data that answers could wait behind.
///
/// Between an answer of ours and what the client could not say without it lies a round trip, and
/// what the client needs to think. So the shortest such time counts.
#[derive(Debug, Default)]
pub(super) struct Line {
    answered: Option<Instant>,
    shortest: Option<Duration>,
}

impl Line {
    /// Notes that the client now gets an answer that it waits for.
    pub(super) fn answer(&mut self) {
        self.answered = Some(Instant::now());
    }

    /// Notes that the client has gone on. Only the first time after an answer counts.
    pub(super) fn heard(&mut self) {
        if let Some(answered) = self.answered.take() {
            self.took(answered.elapsed());
        }
    }

    /// Notes that the client did not wait for the answer.
    pub(super) fn forget(&mut self) {
        self.answered = None;
    }

    fn took(&mut self, time: Duration) {
        self.shortest = Some(self.shortest.map_or(time, |shortest| shortest.min(time)));
    }

    /// Returns the window of a channel, in bytes, when as many of them are open.
    pub(super) fn window(&self, channels: usize) -> u32 {
        if self.shortest.is_some_and(|time| time < LONG_ROUND_TRIP) {
            return FAST;
        }
        let channels = u32::try_from(channels).unwrap_or(u32::MAX).max(1);
        (LONG / channels).max(FAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(millis: &[u64]) -> Line {
        let mut line = Line::default();
        for time in millis {
            line.took(Duration::from_millis(*time));
        }
        line
    }

    #[test]
    fn one_short_time_outweighs_many_in_which_the_client_was_busy() {
        assert_eq!(measured(&[50, 3, 50]).window(1), FAST);
    }

    #[test]
    fn channels_share_the_window_of_a_long_line() {
        let line = measured(&[101, 100]);
        assert_eq!(line.window(1), LONG);
        assert_eq!(line.window(4), LONG / 4);
        assert_eq!(line.window(100), FAST);
    }

    #[test]
    fn a_whole_window_may_arrive_while_keys_are_exchanged() {
        assert!(u64::from(LONG) < 2 * u64::from(FIRST));
    }

    #[test]
    fn a_line_that_was_not_measured_may_be_long() {
        assert_eq!(Line::default().window(1), LONG);
    }

    #[test]
    fn what_comes_without_an_answer_says_nothing_of_the_line() {
        let mut line = Line::default();
        line.heard();
        line.answer();
        line.forget();
        line.heard();
        assert_eq!(line.shortest, None);
        line.answer();
        line.heard();
        assert!(line.shortest.is_some());
    }
}
