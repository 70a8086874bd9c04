//! Requests that a fuzzer makes up: an operation, and paths of an input.

use policy::SitePath;

use crate::protocol::sftp::wire::Packet;

/// Reads one path of the input; a prefix brings most of them into an area.
pub(super) fn path(prefix: u8, input: &mut &[u8]) -> Vec<u8> {
    let prefix: &[u8] = match prefix {
        1 => b"/files/",
        2 => b"/code/",
        3 => b"files/../code/./",
        _ => b"",
    };
    let Some((length, rest)) = input.split_first() else {
        return prefix.to_vec();
    };
    let (path, rest) = rest.split_at(usize::from(*length).min(rest.len()));
    *input = rest;
    [prefix, path].concat()
}

/// A path that was made normal is normal, and stays as it is when that is done again.
pub(super) fn normal(bytes: &[u8]) {
    if let Ok(path) = SitePath::normalize(bytes) {
        let odd =
            |part: &[u8]| part.is_empty() || part == b"." || part == b".." || part.len() > 255;
        assert!(!path.components().any(odd), "{path:?} is not normal");
        assert_eq!(SitePath::normalize(path.as_bytes()).as_ref(), Ok(&path));
    }
}

/// The requests of one operation; those that need a handle take the last one given out.
pub(super) fn requests(
    operation: u8,
    id: &mut u32,
    one: &[u8],
    two: &[u8],
    handle: &[u8],
) -> Vec<Vec<u8>> {
    let mut request = |kind: u8, fields: &dyn Fn(&mut Packet)| {
        *id += 1;
        let mut packet = Packet::answer(kind, *id);
        fields(&mut packet);
        packet.finish()
    };
    let extended = |name: &'static str| {
        move |packet: &mut Packet| {
            packet.string(name.as_bytes());
            packet.string(one);
            packet.string(two);
            packet.u64(0);
        }
    };
    match operation {
        flags @ 0..=31 => vec![request(3, &|packet| {
            packet.string(one);
            packet.u32(u32::from(flags) << 1 | u32::from(flags & 1));
            packet.u32(0);
        })],
        32..=35 => vec![
            request(6, &|packet| {
                packet.string(handle);
                packet.u64(0);
                packet.string(two);
            }),
            request(5, &|packet| {
                packet.string(handle);
                packet.u64(0);
                packet.u32(100);
            }),
            request(12, &|packet| packet.string(handle)),
            request(4, &|packet| packet.string(handle)),
        ],
        36 => vec![request(9, &|packet| {
            packet.string(one);
            packet.u32(1);
            packet.u64(0);
        })],
        37 => vec![request(9, &|packet| {
            packet.string(one);
            packet.u32(4);
            packet.u32(0o777);
        })],
        38 => vec![request(200, &|packet| {
            packet.string(b"lsetstat@openssh.com");
            packet.string(one);
            packet.u32(8);
            packet.u64(0);
        })],
        39 | 40 => vec![request(14, &|packet| {
            packet.string(one);
            packet.u32(0);
        })],
        41 | 42 => vec![request(18, &|packet| {
            packet.string(one);
            packet.string(two);
        })],
        43..=45 => vec![request(20, &|packet| {
            packet.string(two);
            packet.string(one);
        })],
        46..=48 => vec![request(200, &extended("posix-rename@openssh.com"))],
        49 | 50 => vec![request(200, &extended("hardlink@openssh.com"))],
        51 => vec![request(200, &extended("statvfs@openssh.com"))],
        52 => vec![request(200, &extended("expand-path@openssh.com"))],
        other => {
            let kinds = [7, 11, 11, 13, 13, 15, 15, 16, 17, 19];
            let kind = kinds.get(usize::from(other) - 53).copied().unwrap_or(17);
            vec![request(kind, &|packet| packet.string(one))]
        }
    }
}
