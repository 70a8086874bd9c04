//! What a client sends to a program's standard input.

use tokio::sync::mpsc;

/// The bytes that came and were not taken yet. Holds one message of the client at most.
#[derive(Debug)]
pub(super) struct Input {
    messages: mpsc::Receiver<Vec<u8>>,
    left: Vec<u8>,
    taken: usize,
}

/// The client sent its end of input too early, or more than there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The input ended.
    Ended,
    /// There is no end to it within its limit.
    TooLong,
}

impl Input {
    pub(super) fn new(messages: mpsc::Receiver<Vec<u8>>) -> Self {
        Self {
            messages,
            left: Vec::new(),
            taken: 0,
        }
    }

    /// Returns what has come, waiting for some; nothing when the input has ended.
    pub(super) async fn some(&mut self, most: usize) -> &[u8] {
        while self.taken >= self.left.len() {
            match self.messages.recv().await {
                Some(message) => {
                    self.left = message;
                    self.taken = 0;
                }
                None => return &[],
            }
        }
        let start = self.taken;
        let end = self.left.len().min(start.saturating_add(most));
        self.taken = end;
        self.left.get(start..end).unwrap_or_default()
    }

    /// Returns exactly so many bytes.
    pub(super) async fn exactly<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Cut> {
        let mut bytes = [0; LENGTH];
        for byte in &mut bytes {
            *byte = self.byte().await?;
        }
        Ok(bytes)
    }

    /// Returns one byte.
    pub(super) async fn byte(&mut self) -> Result<u8, Cut> {
        self.some(1).await.first().copied().ok_or(Cut::Ended)
    }

    /// Returns the bytes before the next `end`, and takes that too.
    pub(super) async fn until(&mut self, end: u8, most: usize) -> Result<Vec<u8>, Cut> {
        let mut bytes = Vec::new();
        loop {
            match self.byte().await? {
                byte if byte == end => return Ok(bytes),
                _ if bytes.len() >= most => return Err(Cut::TooLong),
                byte => bytes.push(byte),
            }
        }
    }

    /// Takes no more, so that a client that sends on is not waited for.
    pub(super) async fn forget(&mut self) {
        self.messages.close();
        while self.messages.recv().await.is_some() {}
    }
}
