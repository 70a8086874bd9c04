//! A person at a terminal. There is none here: a program that needs one is never run. But a client
//! whose wish for one is refused shows its own line alone (`ssh -tt`), so the wish is granted, the
//! person is told, and lines are ended as their screen needs it.

use russh::ChannelId;
use russh::server::Session;

use super::connection::{Connection, Door};
use super::unserved::NO_TERMINAL;
use crate::protocol::intake::Intake;

/// Keys that end a program's input: Ctrl-C and Ctrl-D.
const ENDS: [u8; 2] = [0x03, 0x04];

/// What a person types. Their own screen shows nothing by itself once a terminal was granted.
#[derive(Debug)]
pub(super) struct Keyboard(Option<Intake>);

impl Keyboard {
    pub(super) fn new(input: Intake) -> Self {
        Self(Some(input))
    }

    /// Takes keys, and returns what the screen shall show of them.
    pub(super) async fn typed(&mut self, keys: &[u8]) -> Option<Vec<u8>> {
        let input = self.0.as_ref()?;
        let end = keys.iter().position(|key| ENDS.contains(key));
        let (taken, _rest) = keys.split_at(end.unwrap_or(keys.len()));
        let line: Vec<u8> = taken
            .iter()
            .map(|key| if *key == b'\r' { b'\n' } else { *key })
            .collect();
        let echo = ended_for_a_screen(&line);
        let gone = Box::pin(input.give(line)).await.is_err();
        if gone || end.is_some() {
            self.end();
        }
        Some(echo)
    }

    /// Takes no more keys.
    pub(super) fn end(&mut self) {
        if let Some(input) = self.0.take() {
            input.complete();
        }
    }
}

/// A terminal moves down at a line feed, and to the left only at a carriage return.
pub(super) fn ended_for_a_screen(text: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(text.len() + text.len() / 32);
    let mut before = 0;
    for byte in text {
        if *byte == b'\n' && before != b'\r' {
            shown.push(b'\r');
        }
        shown.push(*byte);
        before = *byte;
    }
    shown
}

impl<D: Door> Connection<D> {
    pub(super) fn terminal_wanted(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if !self.wish_refused(channel, NO_TERMINAL) {
            return session.channel_failure(channel);
        }
        if let Some(wishes) = self.fresh(channel) {
            wishes.terminal = true;
        }
        session.channel_success(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::intake::intake;

    #[test]
    fn lines_begin_at_the_left() {
        assert_eq!(ended_for_a_screen(b"a\nb\r\nc"), b"a\r\nb\r\nc");
    }

    #[tokio::test]
    async fn a_person_can_answer_and_give_up() {
        let (sender, mut receiver) = intake(None);
        let mut keyboard = Keyboard::new(sender);
        assert_eq!(keyboard.typed(b"yes\r").await.unwrap(), b"yes\r\n");
        assert_eq!(receiver.recv().await.unwrap(), b"yes\n");
        keyboard.typed(b"no\x03more").await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), b"no");
        assert_eq!(receiver.recv().await, None);
        assert_eq!(keyboard.typed(b"x").await, None);
    }
}
