//! Requests made by hand, and answers read.

use crate::protocol::sftp::wire::{Fields, Packet};

/// An answer, read from its packet.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    Version(Vec<String>),
    Status(u32, String),
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Vec<(Vec<u8>, Seen)>),
    Attributes(Seen),
    Extended(Vec<u64>),
    Hashes(String, Vec<u8>),
}

/// Attributes, read from an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) modified: u32,
}

pub(super) const OK: u32 = 0;
pub(super) const EOF: u32 = 1;
pub(super) const NO_SUCH_FILE: u32 = 2;
pub(super) const DENIED: u32 = 3;
pub(super) const FAILURE: u32 = 4;
pub(super) const BAD_MESSAGE: u32 = 5;
pub(super) const UNSUPPORTED: u32 = 8;

pub(super) const READ: u32 = 1;
pub(super) const WRITE: u32 = 2;
pub(super) const APPEND: u32 = 4;
pub(super) const CREATE: u32 = 8;
pub(super) const TRUNCATE: u32 = 16;
pub(super) const EXCLUSIVE: u32 = 32;

/// A field of a request.
pub(super) enum Field<'a> {
    Text(&'a [u8]),
    Short(u32),
    Long(u64),
    /// No attributes.
    Nothing,
    Mode(u32),
    Size(u64),
    Times(u32, u32),
}

/// Makes the bytes of a request.
pub(super) fn request(kind: u8, id: u32, fields: &[Field<'_>]) -> Vec<u8> {
    let mut packet = Packet::answer(kind, id);
    for field in fields {
        match field {
            Field::Text(text) => packet.string(text),
            Field::Short(number) => packet.u32(*number),
            Field::Long(number) => packet.u64(*number),
            Field::Nothing => packet.u32(0),
            Field::Mode(mode) => {
                packet.u32(4);
                packet.u32(*mode);
            }
            Field::Size(size) => {
                packet.u32(1);
                packet.u64(*size);
            }
            Field::Times(accessed, modified) => {
                packet.u32(8);
                packet.u32(*accessed);
                packet.u32(*modified);
            }
        }
    }
    packet.finish()
}

/// Reads whole packets.
pub(super) fn read_replies(bytes: &[u8]) -> Vec<(u32, Reply)> {
    let mut all = Fields::of(bytes);
    let mut replies = Vec::new();
    while all.left() > 0 {
        let mut fields = Fields::of(all.string().unwrap());
        let kind = fields.byte().unwrap();
        let id = fields.u32().unwrap();
        let reply = match kind {
            2 => {
                let mut extensions = Vec::new();
                while fields.left() > 0 {
                    extensions.push(String::from_utf8(fields.string().unwrap().to_vec()).unwrap());
                    fields.string().unwrap();
                }
                Reply::Version(extensions)
            }
            101 => {
                let code = fields.u32().unwrap();
                let message = String::from_utf8(fields.string().unwrap().to_vec()).unwrap();
                fields.string().unwrap();
                Reply::Status(code, message)
            }
            102 => Reply::Handle(fields.string().unwrap().to_vec()),
            103 => Reply::Data(fields.string().unwrap().to_vec()),
            104 => {
                let count = fields.u32().unwrap();
                let names = (0..count).map(|_| {
                    let name = fields.string().unwrap().to_vec();
                    let long = fields.string().unwrap();
                    assert!(long.ends_with(&name));
                    (name, attributes(&mut fields))
                });
                Reply::Names(names.collect())
            }
            105 => Reply::Attributes(attributes(&mut fields)),
            201 => {
                let mut all = fields;
                if all.string() == Ok(b"check-file") {
                    let algorithm = String::from_utf8(all.string().unwrap().to_vec()).unwrap();
                    let mut hashes = Vec::new();
                    while fields.left() > 0 {
                        hashes.push(fields.byte().unwrap());
                    }
                    let from = hashes.len() - all.left();
                    Reply::Hashes(algorithm, hashes.split_off(from))
                } else {
                    let mut numbers = Vec::new();
                    while fields.left() > 0 {
                        numbers.push(fields.u64().unwrap());
                    }
                    Reply::Extended(numbers)
                }
            }
            other => panic!("an answer of kind {other}"),
        };
        assert_eq!(fields.left(), 0);
        replies.push((id, reply));
    }
    replies
}

fn attributes(fields: &mut Fields<'_>) -> Seen {
    match fields.u32().unwrap() {
        0 => Seen::default(),
        15 => {
            let size = fields.u64().unwrap();
            fields.u32().unwrap();
            fields.u32().unwrap();
            let mode = fields.u32().unwrap();
            fields.u32().unwrap();
            Seen {
                size,
                mode,
                modified: fields.u32().unwrap(),
            }
        }
        other => panic!("attributes {other}"),
    }
}

pub(super) fn seen(reply: Reply) -> Result<Seen, u32> {
    match reply {
        Reply::Attributes(seen) => Ok(seen),
        Reply::Status(code, _) => Err(code),
        other => panic!("{other:?}"),
    }
}
