//! What is said on the channel's stderr, where a person reads it: not more than a person can.

use std::time::{Duration, Instant};

use super::Output;
use super::status::Status;

/// Lines in one minute.
const MOST: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// What has been said of late.
#[derive(Debug, Default)]
pub(super) struct Said {
    since: Option<Instant>,
    lines: u32,
}

impl Said {
    /// Says a status that has to be said, unless too much was of late.
    pub(super) fn say(&mut self, status: &Status, now: Instant, out: &mut dyn Output) {
        if !status.said {
            return;
        }
        let is_over = self
            .since
            .is_none_or(|since| now.duration_since(since) >= MINUTE);
        if is_over {
            self.since = Some(now);
            self.lines = 0;
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines <= MOST {
            out.say(&status.message);
        } else if self.lines == MOST + 1 {
            out.say("More requests were refused; they are not shown here for a minute.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::sftp::status::Code;

    #[derive(Default)]
    struct Screen(Vec<String>);

    impl Output for Screen {
        fn reply(&mut self, _packets: Vec<u8>) {}
        fn say(&mut self, line: &str) {
            self.0.push(line.to_owned());
        }
        fn is_full(&self) -> bool {
            false
        }
    }

    fn refusal(number: usize) -> Status {
        Status {
            code: Code::PermissionDenied,
            message: format!("No {number}. [incident X]"),
            said: true,
        }
    }

    #[test]
    fn a_flood_is_cut_and_comes_back_after_a_minute() {
        let mut screen = Screen::default();
        let mut said = Said::default();
        let start = Instant::now();
        for number in 0..500 {
            said.say(&refusal(number), start, &mut screen);
        }
        assert_eq!(screen.0.len(), 21);
        said.say(&refusal(1), start + MINUTE, &mut screen);
        assert_eq!(screen.0.len(), 22);
    }
}
