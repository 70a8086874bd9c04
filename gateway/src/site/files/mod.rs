//! Files of environments in bulk: copied between environments, unpacked from archives and packed
//! into them, counted, and held to quotas.
//!
//! Everything here blocks and never runs on an asynchronous worker. What is filled is always a
//! folder that nobody is pointed to yet, so a failure leaves something to remove and no harm. No
//! step follows a link: every folder is opened beneath the handle of another.

mod copy;
mod meter;
mod pack;
pub mod quota;
mod room;
mod sniff;
mod unpack;
mod usage;

pub use copy::copy;
pub use meter::Meter;
pub use pack::pack;
pub use room::Room;
pub use sniff::decompressed;
pub use unpack::{unpack, unpack_file};
pub use usage::usage;
pub(in crate::site) use usage::usage_of;

pub use crate::state::Quota as Limits;

/// What a folder holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The lengths of all its files, in bytes; holes count.
    pub bytes: u64,
    /// Files, links and folders, itself not counted.
    pub files: u64,
}

/// What was copied, unpacked or packed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Files and links that are there now.
    pub files: u64,
    /// Their length, in bytes.
    pub bytes: u64,
    /// Of those files and links, how many were written now; the others were there already.
    pub copied: u64,
    /// Of those, how many share their blocks with their source.
    pub reflinked: u64,
    /// Files, links and folders removed because the source no longer has them; a folder with all
    /// in it counts once.
    pub removed: u64,
    /// Pipes, sockets and devices, which are left out.
    pub skipped: u64,
    /// What whoever asked should know, as sentences.
    pub notes: Vec<String>,
}

/// What becomes of what the target has and the source has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleting {
    /// It is removed.
    Gone,
    /// It stays: the second pass, after the database was copied, takes no file away that a row
    /// there may name.
    Nothing,
}

/// What an archive is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// tar.
    Tar,
    /// tar, compressed by gzip.
    TarGz,
    /// tar, compressed by zstd.
    TarZst,
}
