//! How full the file system of a place is, or the quota of its environment.

use nix::sys::statvfs::Statvfs;
use policy::Area;

use super::Tree;
use crate::site::files::quota;

/// What `statvfs(3)` tells, its numbers in `fragment_size` bytes.
#[derive(Debug, Clone, Copy)]
pub struct Space {
    /// The preferred length of a read or write, in bytes.
    pub block_size: u64,
    /// The unit of the numbers below, in bytes.
    pub fragment_size: u64,
    /// All of it.
    pub blocks: u64,
    /// What is free.
    pub blocks_free: u64,
    /// What is free for the gateway.
    pub blocks_available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Inodes that are free.
    pub files_free: u64,
    /// Inodes that are free for the gateway.
    pub files_available: u64,
    /// The file system's number.
    pub id: u64,
    /// Whether nothing can be written.
    pub read_only: bool,
    /// Whether set-user-id bits do nothing.
    pub no_set_user_id: bool,
    /// The length of the longest name.
    pub longest_name: u64,
}

impl From<Statvfs> for Space {
    fn from(found: Statvfs) -> Self {
        use nix::sys::statvfs::FsFlags;
        Self {
            block_size: found.block_size(),
            fragment_size: found.fragment_size(),
            blocks: found.blocks(),
            blocks_free: found.blocks_free(),
            blocks_available: found.blocks_available(),
            files: found.files(),
            files_free: found.files_free(),
            files_available: found.files_available(),
            id: found.filesystem_id(),
            read_only: found.flags().contains(FsFlags::ST_RDONLY),
            no_set_user_id: found.flags().contains(FsFlags::ST_NOSUID),
            longest_name: found.name_max(),
        }
    }
}

impl Tree {
    /// Tells people of an environment with a quota how much of that is left, where it counts; in
    /// `/` too, which is what they mount.
    pub fn within_quota(&self, area: Area, space: Space) -> Space {
        let meter = self.parts.meter();
        if meter.counts(area) || (area == Area::Root && meter.is_set()) {
            quota::within(space, meter.limits(), meter.used())
        } else {
            space
        }
    }
}
