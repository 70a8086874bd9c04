//! Standard output as a stream of bytes: for work that blocks, as fast as the client takes them.

use std::io::{self, Write};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::reply::{Door, Gone, Said};

/// Bytes handed on at once, and how many such pieces wait for the client.
const PIECE: usize = 64 << 10;
const WAITING: usize = 16;

/// Standard output, for work that blocks. Dropped, it has ended.
#[derive(Debug)]
pub struct Writing {
    pieces: mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
}

/// What carries the bytes to the client.
#[derive(Debug)]
pub struct Carrying(JoinHandle<Result<u64, Gone>>);

/// Makes both ends.
pub(super) fn carry(door: Door) -> (Writing, Carrying) {
    let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(WAITING);
    let carrying = tokio::spawn(async move {
        let mut bytes = 0;
        loop {
            // Whoever writes hears of it by the end of this.
            let piece = tokio::select! {
                biased;
                piece = receiver.recv() => piece,
                () = left(&door) => return Err(Gone),
            };
            let Some(piece) = piece else {
                return Ok(bytes);
            };
            bytes += piece.len() as u64;
            match &door {
                Door::Ssh(output) => output.data(&piece).await.map_err(|_| Gone)?,
                Door::Local(said) => said.send(Said::Data(piece)).await.map_err(|_| Gone)?,
            }
        }
    });
    let writing = Writing {
        pieces: sender,
        piece: Vec::with_capacity(PIECE),
    };
    (writing, Carrying(carrying))
}

async fn left(door: &Door) {
    match door {
        Door::Ssh(output) => output.gone().await,
        Door::Local(said) => said.closed().await,
    }
}

impl Carrying {
    /// Waits until all that was written is on its way. Returns the number of bytes.
    ///
    /// # Errors
    /// When the client has gone before.
    pub async fn end(self) -> Result<u64, Gone> {
        self.0.await.unwrap_or(Err(Gone))
    }
}

impl Writing {
    fn hand_on(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.pieces.blocking_send(piece).map_err(|_| {
            io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the client has gone before it had everything",
            )
        })
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.piece.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.piece.extend_from_slice(taken);
        if self.piece.len() >= PIECE {
            self.hand_on()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_on()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Whoever needs to know whether all was taken flushes, and asks what carries it.
        let _ = self.hand_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bytes_come_out_as_they_went_in_and_no_faster_than_they_are_taken() {
        let (said, mut heard) = mpsc::channel(4);
        let (mut writing, carrying) = carry(Door::Local(said));
        let working = tokio::task::spawn_blocking(move || {
            for number in 0..4_000_000_u32 {
                writing.write_all(&number.to_le_bytes()).unwrap();
            }
            writing.flush().unwrap();
        });
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert!(
            !working.is_finished(),
            "nobody takes it, and it is all written"
        );
        let mut all = Vec::new();
        while let Some(one) = heard.recv().await {
            let Said::Data(piece) = one else {
                panic!("{one:?}");
            };
            all.extend(piece);
        }
        working.await.unwrap();
        assert_eq!(carrying.end().await, Ok(16_000_000));
        for (at, word) in all.chunks(4).enumerate() {
            assert_eq!(u32::from_le_bytes(word.try_into().unwrap()), at as u32);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_client_that_goes_ends_the_work() {
        let (said, heard) = mpsc::channel(4);
        let (mut writing, carrying) = carry(Door::Local(said));
        let working = tokio::task::spawn_blocking(move || {
            loop {
                if let Err(error) = writing.write_all(&[0; 4096]) {
                    return error.kind();
                }
            }
        });
        drop(heard);
        assert_eq!(working.await.unwrap(), io::ErrorKind::BrokenPipe);
        assert_eq!(carrying.end().await, Err(Gone));
    }
}
