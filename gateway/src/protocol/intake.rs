//! What a client sends to a command's standard input: in order, in little memory, and with the
//! difference between an input that has ended and one that broke off.
//!
//! A command may wait long before it reads (its workflow's turn, a database that makes an index),
//! and a connection must go on meanwhile: keepalives are answered, and one notices that the client
//! has gone. So what has waited for a while goes to a file, which has no name and so is gone when
//! nobody has it open.

mod spilled;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::blocking;
use spilled::Spilled;

/// Bytes that wait in memory.
const HELD: usize = 2 << 20;

/// How long a connection is held back by a command that does not read.
const PATIENCE: Duration = Duration::from_secs(1);

/// The end that is given to. Dropped, it says that the input broke off.
#[derive(Debug)]
pub struct Intake {
    shared: Arc<Shared>,
    spool: Option<PathBuf>,
}

/// The end that is read.
#[derive(Debug)]
pub struct Inflow {
    shared: Arc<Shared>,
}

/// Nobody reads any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread;

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Something has come, for those who wait in a thread and for those who wait in a task.
    come: Condvar,
    come_too: Notify,
    /// Something was taken.
    taken: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// What came before all that is in the file.
    pieces: VecDeque<Vec<u8>>,
    held: usize,
    spilled: Option<Spilled>,
    end: Option<End>,
    unread: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
}

/// Makes both ends. In the folder a client that is ahead of its command is remembered; without one
/// it is held back.
pub fn intake(spool: Option<PathBuf>) -> (Intake, Inflow) {
    let shared = Arc::new(Shared::default());
    let inflow = Inflow {
        shared: Arc::clone(&shared),
    };
    (Intake { shared, spool }, inflow)
}

impl Intake {
    /// Hands on what has come, as soon as there is room for it.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub async fn give(&self, bytes: Vec<u8>) -> Result<(), Unread> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut bytes = bytes;
        loop {
            let taken = self.shared.taken.notified();
            match self.shared.put(bytes, None)? {
                Put::Done => return Ok(()),
                Put::NoRoom(back) => bytes = back,
            }
            let Some(spool) = &self.spool else {
                taken.await;
                continue;
            };
            if tokio::time::timeout(PATIENCE, taken).await.is_ok() {
                continue;
            }
            let again = self.shared.taken.notified();
            match blocking::wait(|| self.shared.put(bytes, Some(spool)))? {
                Put::Done => return Ok(()),
                Put::NoRoom(back) => bytes = back,
            }
            again.await;
        }
    }

    /// Says that nothing more comes since all has come.
    pub fn complete(self) {
        self.shared.ended(End::Complete);
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.shared.ended(End::Broken);
    }
}

impl Inflow {
    /// Returns what has come, waiting for some; none at the end.
    pub async fn recv(&mut self) -> Option<Vec<u8>> {
        loop {
            let come = self.shared.come_too.notified();
            match self.shared.take() {
                Took::Some(bytes) => return Some(bytes),
                Took::End(_) => return None,
                Took::Nothing => come.await,
            }
        }
    }

    /// Returns whether the input broke off, as far as one knows.
    pub fn is_broken(&self) -> bool {
        self.shared.queue().end == Some(End::Broken)
    }

    /// Returns a reader for a thread of its own.
    pub fn reading(self) -> Reading {
        Reading {
            inflow: self,
            piece: Vec::new(),
            at: 0,
        }
    }
}

impl Drop for Inflow {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        *queue = Queue {
            unread: true,
            ..Queue::default()
        };
        drop(queue);
        self.shared.taken.notify_one();
    }
}

/// Standard input, for work that blocks. Where the input broke off, reading fails.
#[derive(Debug)]
pub struct Reading {
    inflow: Inflow,
    piece: Vec<u8>,
    at: usize,
}

impl Reading {
    /// Puts back what was read already.
    #[must_use]
    pub fn after(self, piece: Vec<u8>) -> Self {
        Self {
            piece,
            at: 0,
            ..self
        }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.at >= self.piece.len() {
            match self.inflow.shared.wait() {
                Took::Some(piece) => {
                    self.piece = piece;
                    self.at = 0;
                }
                Took::End(End::Complete) | Took::Nothing => return Ok(0),
                Took::End(End::Broken) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "standard input broke off before its end",
                    ));
                }
            }
        }
        let mut left = self.piece.get(self.at..).unwrap_or_default();
        let length = left.read(buffer)?;
        self.at += length;
        Ok(length)
    }
}

enum Put {
    Done,
    NoRoom(Vec<u8>),
}

enum Took {
    Some(Vec<u8>),
    Nothing,
    End(End),
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, bytes: Vec<u8>, spool: Option<&PathBuf>) -> Result<Put, Unread> {
        let mut queue = self.queue();
        if queue.unread {
            return Err(Unread);
        }
        let behind = queue.spilled.as_ref().is_some_and(Spilled::holds_some);
        if !behind && (queue.held == 0 || queue.held + bytes.len() <= HELD) {
            queue.held += bytes.len();
            queue.pieces.push_back(bytes);
        } else if (behind || spool.is_some()) && queue.spill(&bytes, spool) {
        } else {
            return Ok(Put::NoRoom(bytes));
        }
        drop(queue);
        self.come.notify_one();
        self.come_too.notify_one();
        Ok(Put::Done)
    }

    fn take(&self) -> Took {
        let took = self.queue().take();
        self.taken.notify_one();
        took
    }

    fn wait(&self) -> Took {
        let mut queue = self.queue();
        loop {
            match queue.take() {
                Took::Nothing => {
                    queue = self
                        .come
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                took => {
                    drop(queue);
                    self.taken.notify_one();
                    return took;
                }
            }
        }
    }

    fn ended(&self, end: End) {
        self.queue().end.get_or_insert(end);
        self.come.notify_one();
        self.come_too.notify_one();
    }
}

impl Queue {
    fn take(&mut self) -> Took {
        if let Some(piece) = self.pieces.pop_front() {
            self.held = self.held.saturating_sub(piece.len());
            return Took::Some(piece);
        }
        match self.spilled.as_mut().map(Spilled::next) {
            Some(Ok(Some(piece))) => Took::Some(piece),
            Some(Ok(None)) | None => self.end.map_or(Took::Nothing, Took::End),
            Some(Err(error)) => {
                tracing::error!("reading standard input back from its file: {error}");
                Took::End(*self.end.insert(End::Broken))
            }
        }
    }

    /// Appends to the file; false where that does not go.
    fn spill(&mut self, bytes: &[u8], spool: Option<&PathBuf>) -> bool {
        if self.spilled.is_none() {
            let made = spool.map(|folder| Spilled::new(folder));
            match made {
                Some(Ok(spilled)) => self.spilled = Some(spilled),
                Some(Err(error)) => tracing::warn!("making a file for standard input: {error}"),
                None => {}
            }
        }
        let Some(spilled) = &mut self.spilled else {
            return false;
        };
        spilled.append(bytes).unwrap_or_else(|error| {
            tracing::warn!("keeping standard input in a file: {error}");
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn an_end_is_told_apart_from_a_break() {
        for complete in [true, false] {
            let (sending, inflow) = intake(None);
            sending.give(b"half".to_vec()).await.unwrap();
            if complete {
                sending.complete();
            } else {
                drop(sending);
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut all = Vec::new();
                let ended = inflow.reading().read_to_end(&mut all);
                (all, ended.map_err(|error| error.kind()))
            });
            let (all, ended) = read.await.unwrap();
            assert_eq!(all, b"half");
            assert_eq!(ended.is_ok(), complete, "{ended:?}");
        }
    }

    #[tokio::test]
    async fn who_sends_to_nobody_learns_it() {
        let (sending, inflow) = intake(None);
        sending.give(vec![0; HELD]).await.unwrap();
        let waiting = tokio::spawn(async move { sending.give(vec![0; HELD]).await });
        drop(inflow);
        assert_eq!(waiting.await.unwrap(), Err(Unread));
    }

    #[tokio::test]
    async fn without_a_folder_a_client_is_held_back() {
        let (sending, mut inflow) = intake(None);
        sending.give(vec![1; HELD]).await.unwrap();
        let more = sending.give(vec![2; 1]);
        tokio::pin!(more);
        let early = tokio::time::timeout(Duration::from_millis(50), &mut more).await;
        assert!(early.is_err(), "it took more than it holds");
        assert_eq!(inflow.recv().await.unwrap().len(), HELD);
        more.await.unwrap();
        assert_eq!(inflow.recv().await, Some(vec![2]));
    }

    /// 64 MiB come before anybody reads, more while somebody does: all of it in order.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_comes_before_it_is_wanted_keeps_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let (sending, inflow) = intake(Some(folder.path().to_owned()));
        let began = Instant::now();
        for number in 0..1024_u32 {
            sending
                .give(number.to_le_bytes().repeat(16 << 10))
                .await
                .unwrap();
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it was held back"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let reading = tokio::task::spawn_blocking(move || {
            let mut reading = inflow.reading();
            let mut word = [0; 4];
            for at in 0..(2048_u32 * (16 << 10)) {
                reading.read_exact(&mut word).unwrap();
                assert_eq!(u32::from_le_bytes(word), at / (16 << 10));
            }
            reading.read(&mut word).unwrap()
        });
        for number in 1024..2048_u32 {
            sending
                .give(number.to_le_bytes().repeat(16 << 10))
                .await
                .unwrap();
        }
        sending.complete();
        assert_eq!(reading.await.unwrap(), 0);
    }
}
