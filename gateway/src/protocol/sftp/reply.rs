//! The answers of version 3.

use jiff::Timestamp;
use nix::sys::stat::FileStat;

use super::attributes;
use super::status::{Code, Status};
use super::wire::Packet;
use crate::site::tree::Space;

const VERSION: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRIBUTES: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

/// The extensions that work here, with their versions.
const EXTENSIONS: &[(&str, &str)] = &[
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
    ("check-file", "1"),
    ("check-file-handle", "1"),
    ("check-file-name", "1"),
];

pub(super) fn version() -> Vec<u8> {
    let mut packet = Packet::new(VERSION);
    packet.u32(3);
    for (name, version) in EXTENSIONS {
        packet.string(name.as_bytes());
        packet.string(version.as_bytes());
    }
    packet.finish()
}

pub(super) fn status(id: u32, status: &Status) -> Vec<u8> {
    let mut packet = Packet::answer(STATUS, id);
    packet.u32(status.code as u32);
    packet.string(status.message.as_bytes());
    packet.string(b"en");
    packet.finish()
}

pub(super) fn done(id: u32) -> Vec<u8> {
    let mut packet = Packet::answer(STATUS, id);
    packet.u32(Code::Ok as u32);
    packet.string(b"");
    packet.string(b"");
    packet.finish()
}

pub(super) fn handle(id: u32, handle: [u8; 4]) -> Vec<u8> {
    let mut packet = Packet::answer(HANDLE, id);
    packet.string(&handle);
    packet.finish()
}

pub(super) fn attributes(id: u32, stat: &FileStat) -> Vec<u8> {
    let mut packet = Packet::answer(ATTRIBUTES, id);
    attributes::write(&mut packet, stat);
    packet.finish()
}

/// A path, as an answer of one name about which nothing else is said.
pub(super) fn path(id: u32, path: &[u8]) -> Vec<u8> {
    let mut packet = Packet::answer(NAME, id);
    packet.u32(1);
    packet.string(path);
    packet.string(path);
    attributes::write_none(&mut packet);
    packet.finish()
}

pub(super) fn limits(id: u32, limits: [u64; 4]) -> Vec<u8> {
    let mut packet = Packet::answer(EXTENDED_REPLY, id);
    for limit in limits {
        packet.u64(limit);
    }
    packet.finish()
}

pub(super) fn space(id: u32, space: &Space) -> Vec<u8> {
    let mut packet = Packet::answer(EXTENDED_REPLY, id);
    let mut flags = 0;
    if space.read_only {
        flags |= 1;
    }
    if space.no_set_user_id {
        flags |= 2;
    }
    for number in [
        space.block_size,
        space.fragment_size,
        space.blocks,
        space.blocks_free,
        space.blocks_available,
        space.files,
        space.files_free,
        space.files_available,
        space.id,
        flags,
        space.longest_name,
    ] {
        packet.u64(number);
    }
    packet.finish()
}

/// Hashes, one after another.
pub(super) fn check_file(id: u32, algorithm: &[u8], hashes: &[u8]) -> Vec<u8> {
    let mut packet = Packet::answer(EXTENDED_REPLY, id);
    packet.string(b"check-file");
    packet.string(algorithm);
    packet.bytes(hashes);
    packet.finish()
}

/// Names of users and of groups, each a string in a string.
pub(super) fn names_of_ids(id: u32, users: &[String], groups: &[String]) -> Vec<u8> {
    let mut packet = Packet::answer(EXTENDED_REPLY, id);
    for names in [users, groups] {
        let length: usize = names.iter().map(|name| 4 + name.len()).sum();
        packet.u32(u32::try_from(length).unwrap_or(u32::MAX));
        for name in names {
            packet.string(name.as_bytes());
        }
    }
    packet.finish()
}

/// Names of a directory, one portion of them.
#[derive(Debug)]
pub(super) struct Names {
    packet: Packet,
    count: u32,
    now: Timestamp,
}

impl Names {
    pub(super) fn new(id: u32) -> Self {
        let mut packet = Packet::answer(NAME, id);
        packet.u32(0);
        Self {
            packet,
            count: 0,
            now: Timestamp::now(),
        }
    }

    pub(super) fn add(&mut self, name: &[u8], stat: &FileStat) {
        self.packet.string(name);
        self.packet
            .string(&attributes::long_name(name, stat, self.now));
        attributes::write(&mut self.packet, stat);
        self.count += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns true if one more name would not surely fit into what clients take.
    pub(super) fn is_full(&self) -> bool {
        self.count >= MOST_NAMES || self.packet.len() >= MOST_BYTES_OF_NAMES
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.packet.set_u32(COUNT_AT, self.count);
        self.packet.finish()
    }
}

/// A packet with room for up to `length` bytes of a file.
#[derive(Debug)]
pub(super) struct Data(Vec<u8>);

impl Data {
    pub(super) fn with_room(length: usize) -> Self {
        Self(vec![0; DATA_AT + length])
    }

    /// Returns the room, for the file to be read into it.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.0.get_mut(DATA_AT..).unwrap_or_default()
    }

    pub(super) fn finish(mut self, id: u32, length: usize) -> Vec<u8> {
        self.0.truncate(DATA_AT + length);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let mut head = Packet::answer(DATA, id);
        head.u32(length);
        head.set_u32(0, length + (DATA_AT as u32 - 4));
        if let Some(place) = self.0.get_mut(..DATA_AT) {
            place.copy_from_slice(&head.into_bytes());
        }
        self.0
    }
}

/// Where the number of names stands: after length, kind and id.
const COUNT_AT: usize = 9;
/// Where the bytes of a file begin: after length, kind, id and their own length.
const DATA_AT: usize = 13;
const MOST_NAMES: u32 = 512;
const MOST_BYTES_OF_NAMES: usize = 96 << 10;
