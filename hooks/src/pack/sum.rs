//! The sum that says whether a kept pack is still what it was: SHA-256 of its key and of the SHA-256
//! of each chunk. In chunks, because a pack is compared before its first byte is sent, and the
//! client waits meanwhile: each processor takes its share.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::thread;

use sha2::{Digest, Sha256};

use super::PIECE;

/// What is hashed by itself, in bytes.
const CHUNK: u64 = 1024 * 1024;

/// More threads than this wait for the memory.
const MOST_THREADS: usize = 4;

/// Bytes of a sum.
pub(super) const LENGTH: usize = 32;

/// The sum of a pack that comes in pieces.
#[derive(Debug, Clone)]
pub(super) struct Sum {
    all: Sha256,
    chunk: Sha256,
    /// Room that is left in the chunk.
    room: usize,
}

impl Sum {
    /// Begins the sum of the pack of a key.
    pub(super) fn new(key: &str) -> Self {
        Self {
            all: Sha256::new_with_prefix(key),
            chunk: Sha256::new(),
            room: CHUNK as usize,
        }
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.room));
            self.chunk.update(now);
            self.room -= now.len();
            if self.room == 0 {
                self.all.update(self.chunk.finalize_reset());
                self.room = CHUNK as usize;
            }
            bytes = later;
        }
    }

    /// Returns the sum.
    pub(super) fn finish(mut self) -> [u8; LENGTH] {
        if self.room < CHUNK as usize {
            self.all.update(self.chunk.finalize());
        }
        self.all.finalize().into()
    }
}

/// Returns the sum of the first `length` bytes of a file.
///
/// # Errors
/// When they cannot be read.
pub(super) fn of_file(file: &File, length: u64, key: &str) -> io::Result<[u8; LENGTH]> {
    let chunks = usize::try_from(length.div_ceil(CHUNK)).map_err(io::Error::other)?;
    let threads = thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(MOST_THREADS)
        .min(chunks);
    let mut sums = vec![[0; LENGTH]; chunks];
    let share = chunks.div_ceil(threads.max(1)).max(1);
    thread::scope(|scope| {
        let mut others = Vec::new();
        for (part, sums) in sums.chunks_mut(share).enumerate() {
            let first = (part * share) as u64 * CHUNK;
            let reading = move || of_chunks(file, first, length, sums);
            others.push(thread::Builder::new().spawn_scoped(scope, reading)?);
        }
        others.into_iter().try_for_each(|other| {
            other
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread ended early")))
        })
    })?;
    let mut all = Sha256::new_with_prefix(key);
    for sum in &sums {
        all.update(sum);
    }
    Ok(all.finalize().into())
}

/// Fills in the sums of the chunks that begin at `at`, of a file of `length` bytes.
fn of_chunks(file: &File, mut at: u64, length: u64, sums: &mut [[u8; LENGTH]]) -> io::Result<()> {
    let mut room = vec![0; PIECE];
    for sum in sums {
        let end = length.min(at + CHUNK);
        let mut chunk = Sha256::new();
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let piece = room.get_mut(..wanted).unwrap_or_default();
            file.read_exact_at(piece, at)?;
            chunk.update(&*piece);
            at += wanted as u64;
        }
        *sum = chunk.finalize().into();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_has_the_sum_of_the_pieces_it_was_written_in() {
        let lengths = [0, 1, PIECE - 1, PIECE + 1];
        let around = [1, 2, 7].map(|chunks| chunks * CHUNK as usize);
        let around = around
            .iter()
            .flat_map(|length| [length - 1, *length, length + 1]);
        for length in lengths.into_iter().chain(around) {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let path = std::env::temp_dir().join(format!("sum-{}-{length}", std::process::id()));
            let mut file = File::options()
                .create_new(true)
                .read(true)
                .write(true)
                .open(&path)
                .unwrap();
            std::fs::remove_file(&path).unwrap();
            file.write_all(&bytes).unwrap();
            let mut sum = Sum::new("key");
            for piece in bytes.chunks(100_003) {
                sum.update(piece);
            }
            let sum = sum.finish();
            let of_file = || of_file(&file, length as u64, "key").unwrap();
            assert_eq!(of_file(), sum, "{length}");
            assert_ne!(Sum::new("other").finish(), sum);
            // Any byte counts, and a file that has become shorter is no pack.
            if let Some(at) = length.checked_sub(1) {
                file.write_all_at(b"!", at as u64 / 2).unwrap();
                assert_ne!(of_file(), sum, "{length}");
                file.set_len(at as u64).unwrap();
                assert!(super::of_file(&file, length as u64, "key").is_err());
            }
        }
    }
}
