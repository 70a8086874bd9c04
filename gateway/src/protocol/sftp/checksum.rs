//! `check-file`: hashes of a file or of its blocks, counted here, so that a client need not fetch
//! what it has (draft-ietf-secsh-filexfer-extensions-00 §3).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex, PoisonError};

use nix::sys::stat::fstat;

use super::access::Granted;
use super::status::{Code, No};
use super::wire::{Fields, Malformed};
use super::{Session, reply};
use crate::blocking;
use crate::protocol::digest::Algorithm;
use crate::site::tree::{Obstacle, Tree};

/// What is to be hashed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check<'a> {
    /// The file: a handle, or none for one that is named.
    pub(super) handle: Option<&'a [u8]>,
    /// Names of algorithms, with commas between them; the first that is known is taken.
    pub(super) algorithms: &'a [u8],
    /// Where it begins.
    pub(super) offset: u64,
    /// How long it is; 0 is up to the end of the file.
    pub(super) length: u64,
    /// The length of a block that has a hash of its own; 0 is one hash for all.
    pub(super) block: u32,
}

impl<'a> Check<'a> {
    /// Reads what follows the file.
    pub(super) fn read(
        handle: Option<&'a [u8]>,
        fields: &mut Fields<'a>,
    ) -> Result<Self, Malformed> {
        Ok(Self {
            handle,
            algorithms: fields.string()?,
            offset: fields.u64()?,
            length: fields.u64()?,
            block: fields.u32()?,
        })
    }
}

impl Session {
    pub(super) fn check_file(
        &mut self,
        id: u32,
        granted: Granted,
        check: &Check<'_>,
    ) -> Result<Vec<u8>, No> {
        let file = match check.handle {
            Some(handle) => self.readable_file(handle)?,
            None => {
                let place = granted.read()?;
                self.look(&place, Tree::open_to_read)?.0
            }
        };
        let (name, algorithm) = check
            .algorithms
            .split(|byte| *byte == b',')
            .find_map(|name| Some((name, Algorithm::named(name)?)))
            .ok_or(No::Status(
                Code::Unsupported,
                "None of these hashes is known here; ask for md5, sha1, sha224, sha256, sha384 or sha512.",
            ))?;
        if (1..LEAST_BLOCK).contains(&check.block) {
            return Err(No::Status(
                Code::Failure,
                "A block must have at least 256 bytes.",
            ));
        }
        let size = fstat(&file).map_err(Obstacle::from)?.st_size.unsigned_abs();
        let left = size.checked_sub(check.offset).ok_or(No::Status(
            Code::Eof,
            "The file ends before what was to be hashed.",
        ))?;
        let length = match check.length {
            0 => left,
            length => length.min(left),
        };
        let block = match check.block {
            0 => length.max(1),
            block => u64::from(block),
        };
        let hashes = length.div_ceil(block).max(1);
        if length > MOST_HASHED || hashes.saturating_mul(algorithm.length()) > MOST_ANSWERED {
            return Err(No::Status(
                Code::Failure,
                "That is too much for one answer; ask for larger blocks or for a part of the file.",
            ));
        }
        let hashed = blocking::wait(|| {
            let _turn = Turn::take();
            hash_blocks(algorithm, &file, check.offset, length, block)
        });
        Ok(reply::check_file(
            id,
            name,
            &hashed.map_err(Obstacle::from)?,
        ))
    }
}

/// Hashes each block of a part of a file. One that has become shorter meanwhile ends there.
fn hash_blocks(
    algorithm: Algorithm,
    file: &File,
    offset: u64,
    length: u64,
    block: u64,
) -> Result<Vec<u8>, std::io::Error> {
    let mut buffer = vec![0; PORTION];
    let mut hashes = Vec::new();
    let mut at = 0;
    loop {
        let end = length.min(at + block);
        let mut hash = algorithm.begin();
        while at < end {
            let room = usize::try_from(end - at).unwrap_or(PORTION).min(PORTION);
            let room = buffer.get_mut(..room).unwrap_or_default();
            let count = file.read_at(room, offset.saturating_add(at))?;
            if count == 0 {
                hashes.extend(hash.end());
                return Ok(hashes);
            }
            hash.add(room.get(..count).unwrap_or_default());
            at += count as u64;
        }
        hashes.extend(hash.end());
        if at >= length {
            return Ok(hashes);
        }
    }
}

/// One of the few that may hash at once: others' transfers must have the processors too.
struct Turn;

static TURNS: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Self {
        let most = std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        let mut taken = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= most {
            taken = ENDED.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// The draft allows none that is shorter, but 0.
const LEAST_BLOCK: u32 = 256;
/// What one request may have hashed; a minute's work at the most.
const MOST_HASHED: u64 = 16 << 30;
/// What clients take in one answer, with room for what is around.
const MOST_ANSWERED: u64 = 255 << 10;
const PORTION: usize = 256 << 10;
