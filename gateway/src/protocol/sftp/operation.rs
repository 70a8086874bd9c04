//! The requests of version 3, and the one table that says which action each asks for.

use policy::{Action, TreeChange};

use super::attributes;
use super::checksum::Check;
use super::wire::{Fields, Malformed};
use crate::site::tree::{Attributes, Opening};

/// A request, read from its packet. Names are bytes; handles are what we gave out.
#[derive(Debug)]
pub(super) enum Operation<'a> {
    Open {
        path: &'a [u8],
        flags: OpenFlags,
        attributes: Attributes,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        bytes: &'a [u8],
    },
    LinkStat {
        path: &'a [u8],
    },
    HandleStat {
        handle: &'a [u8],
    },
    SetStat {
        path: &'a [u8],
        attributes: Attributes,
    },
    HandleSetStat {
        handle: &'a [u8],
        attributes: Attributes,
    },
    OpenDirectory {
        path: &'a [u8],
    },
    ReadDirectory {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    MakeDirectory {
        path: &'a [u8],
        attributes: Attributes,
    },
    RemoveDirectory {
        path: &'a [u8],
    },
    RealPath {
        path: &'a [u8],
    },
    Stat {
        path: &'a [u8],
    },
    Rename {
        from: &'a [u8],
        to: &'a [u8],
    },
    ReadLink {
        path: &'a [u8],
    },
    Symlink {
        content: &'a [u8],
        path: &'a [u8],
    },
    PosixRename {
        from: &'a [u8],
        to: &'a [u8],
    },
    Space {
        path: &'a [u8],
    },
    HandleSpace {
        handle: &'a [u8],
    },
    HardLink {
        from: &'a [u8],
        to: &'a [u8],
    },
    Sync {
        handle: &'a [u8],
    },
    LinkSetStat {
        path: &'a [u8],
        attributes: Attributes,
    },
    Limits,
    ExpandPath {
        path: &'a [u8],
    },
    HomeDirectory,
    CopyData {
        from: &'a [u8],
        offset: u64,
        length: u64,
        to: &'a [u8],
        at: u64,
    },
    CheckFile {
        path: &'a [u8],
        check: Check<'a>,
    },
    NamesOfIds {
        users: &'a [u8],
        groups: &'a [u8],
    },
}

/// What an operation asks of the gate before it is done: up to two actions, each on a path.
pub(super) type Asks<'a> = [Option<(Action, &'a [u8])>; 2];

/// Why a packet is no operation of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Malformed,
    Unknown,
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Unreadable::Malformed
    }
}

/// How a file is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFlags(u32);

impl OpenFlags {
    const READ: u32 = 0x01;
    const WRITE: u32 = 0x02;
    const APPEND: u32 = 0x04;
    const CREATE: u32 = 0x08;
    const TRUNCATE: u32 = 0x10;
    const EXCLUSIVE: u32 = 0x20;

    fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// Any flag that could change something makes it a change, in whatever company it comes.
    pub(super) fn writes(self) -> bool {
        self.has(Self::WRITE | Self::APPEND | Self::CREATE | Self::TRUNCATE | Self::EXCLUSIVE)
    }

    pub(super) fn opening(self) -> Opening {
        Opening {
            read: self.has(Self::READ),
            append: self.has(Self::APPEND),
            create: self.has(Self::CREATE),
            exclusive: self.has(Self::EXCLUSIVE),
            truncate: self.has(Self::TRUNCATE),
        }
    }
}

impl<'a> Operation<'a> {
    /// The table. What is asked with a handle was asked for when the handle was opened, and its
    /// permit is looked at again; what is asked with nothing tells only about names.
    pub(super) fn asks(&self) -> Asks<'a> {
        use Operation as O;
        use TreeChange as C;
        let read = |path| [Some((Action::ReadTree, path)), None];
        let change = |change, path| [Some((Action::ChangeTree(change), path)), None];
        let changes = |one, from, two, to| {
            [
                Some((Action::ChangeTree(one), from)),
                Some((Action::ChangeTree(two), to)),
            ]
        };
        match *self {
            O::Open { path, flags, .. } if flags.writes() => change(C::Write, path),
            O::Open { path, .. }
            | O::OpenDirectory { path }
            | O::Stat { path }
            | O::LinkStat { path }
            | O::ReadLink { path }
            | O::Space { path } => read(path),
            O::CheckFile { path, check } if check.handle.is_none() => read(path),
            O::SetStat { path, .. } | O::LinkSetStat { path, .. } => change(C::SetAttributes, path),
            O::Remove { path } => change(C::Remove, path),
            O::MakeDirectory { path, .. } => change(C::MakeDirectory, path),
            O::RemoveDirectory { path } => change(C::RemoveDirectory, path),
            O::Symlink { path, .. } => change(C::Symlink, path),
            O::Rename { from, to } | O::PosixRename { from, to } => {
                changes(C::RenameFrom, from, C::RenameTo, to)
            }
            O::HardLink { from, to } => changes(C::HardLink, from, C::HardLink, to),
            O::Close { .. }
            | O::Read { .. }
            | O::Write { .. }
            | O::HandleStat { .. }
            | O::HandleSetStat { .. }
            | O::ReadDirectory { .. }
            | O::HandleSpace { .. }
            | O::Sync { .. }
            | O::CopyData { .. }
            | O::CheckFile { .. } => [None, None],
            O::RealPath { .. }
            | O::ExpandPath { .. }
            | O::Limits
            | O::HomeDirectory
            | O::NamesOfIds { .. } => [None, None],
        }
    }

    /// Reads the fields of a request of this kind. Bytes after the last field are let be.
    pub(super) fn read(kind: u8, fields: &mut Fields<'a>) -> Result<Self, Unreadable> {
        use Operation as O;
        Ok(match kind {
            3 => O::Open {
                path: fields.string()?,
                flags: OpenFlags(fields.u32()?),
                attributes: attributes::read(fields)?,
            },
            4 => O::Close {
                handle: fields.string()?,
            },
            5 => O::Read {
                handle: fields.string()?,
                offset: fields.u64()?,
                length: fields.u32()?,
            },
            WRITE => O::Write {
                handle: fields.string()?,
                offset: fields.u64()?,
                bytes: fields.string()?,
            },
            7 => O::LinkStat {
                path: fields.string()?,
            },
            8 => O::HandleStat {
                handle: fields.string()?,
            },
            9 => O::SetStat {
                path: fields.string()?,
                attributes: attributes::read(fields)?,
            },
            10 => O::HandleSetStat {
                handle: fields.string()?,
                attributes: attributes::read(fields)?,
            },
            11 => O::OpenDirectory {
                path: fields.string()?,
            },
            12 => O::ReadDirectory {
                handle: fields.string()?,
            },
            13 => O::Remove {
                path: fields.string()?,
            },
            14 => O::MakeDirectory {
                path: fields.string()?,
                attributes: attributes::read(fields)?,
            },
            15 => O::RemoveDirectory {
                path: fields.string()?,
            },
            16 => O::RealPath {
                path: fields.string()?,
            },
            17 => O::Stat {
                path: fields.string()?,
            },
            18 => O::Rename {
                from: fields.string()?,
                to: fields.string()?,
            },
            19 => O::ReadLink {
                path: fields.string()?,
            },
            // OpenSSH's order; see `dialect` for the clients that have another.
            20 => O::Symlink {
                content: fields.string()?,
                path: fields.string()?,
            },
            EXTENDED => Self::extended(fields.string()?, fields)?,
            _ => return Err(Unreadable::Unknown),
        })
    }

    fn extended(name: &[u8], fields: &mut Fields<'a>) -> Result<Self, Unreadable> {
        use Operation as O;
        Ok(match name {
            b"posix-rename@openssh.com" => O::PosixRename {
                from: fields.string()?,
                to: fields.string()?,
            },
            b"statvfs@openssh.com" => O::Space {
                path: fields.string()?,
            },
            b"fstatvfs@openssh.com" => O::HandleSpace {
                handle: fields.string()?,
            },
            b"hardlink@openssh.com" => O::HardLink {
                from: fields.string()?,
                to: fields.string()?,
            },
            b"fsync@openssh.com" => O::Sync {
                handle: fields.string()?,
            },
            b"lsetstat@openssh.com" => O::LinkSetStat {
                path: fields.string()?,
                attributes: attributes::read(fields)?,
            },
            b"limits@openssh.com" => O::Limits,
            b"expand-path@openssh.com" => O::ExpandPath {
                path: fields.string()?,
            },
            b"home-directory" => {
                fields.string()?;
                O::HomeDirectory
            }
            b"copy-data" => O::CopyData {
                from: fields.string()?,
                offset: fields.u64()?,
                length: fields.u64()?,
                to: fields.string()?,
                at: fields.u64()?,
            },
            b"check-file-name" => O::CheckFile {
                path: fields.string()?,
                check: Check::read(None, fields)?,
            },
            // The draft has the second name; paramiko asks by the first, which is the extension's.
            b"check-file" | b"check-file-handle" => O::CheckFile {
                path: b"",
                check: Check::read(Some(fields.string()?), fields)?,
            },
            b"users-groups-by-id@openssh.com" => O::NamesOfIds {
                users: fields.string()?,
                groups: fields.string()?,
            },
            _ => return Err(Unreadable::Unknown),
        })
    }
}

/// The kind of the packet that begins everything.
pub(super) const INIT: u8 = 1;
/// The kind of the packets that carry a file up; they are not waited for whole.
pub(super) const WRITE: u8 = 6;
const EXTENDED: u8 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_asks_to_write_for_any_flag_that_could_change_something() {
        for flags in 0..64 {
            let operation = Operation::Open {
                path: b"/code/x",
                flags: OpenFlags(flags),
                attributes: Attributes::default(),
            };
            let asked = operation.asks()[0].unwrap().0;
            let reads_only = flags & !OpenFlags::READ == 0;
            assert_eq!(asked == Action::ReadTree, reads_only, "{flags}");
        }
    }

    #[test]
    fn each_kind_cut_short_is_malformed() {
        let mut string = vec![0, 0, 0, 1, b'x'];
        string.extend_from_slice(&[0; 40]);
        for kind in 3..=20 {
            assert!(
                Operation::read(kind, &mut Fields::of(&string)).is_ok(),
                "{kind}"
            );
            let short = Operation::read(kind, &mut Fields::of(&string[..4]));
            assert_eq!(short.unwrap_err(), Unreadable::Malformed, "{kind}");
        }
        for kind in [0, 1, 2, 21, 101, 105, 199, 201, 255] {
            let unknown = Operation::read(kind, &mut Fields::of(&string));
            assert_eq!(unknown.unwrap_err(), Unreadable::Unknown, "{kind}");
        }
    }
}
