//! Attributes of files on the wire, and the long names that people see in listings.

use jiff::Timestamp;
use nix::sys::stat::FileStat;

use super::wire::{Fields, Malformed, Packet};
use crate::site::tree::{Attributes, Kind};

const SIZE: u32 = 1;
const OWNERS: u32 = 2;
const PERMISSIONS: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

/// Reads what a client would set. Owners and extended attributes are read over: they have no
/// meaning here, and an upload must not fail for them.
pub(super) fn read(fields: &mut Fields<'_>) -> Result<Attributes, Malformed> {
    let flags = fields.u32()?;
    let mut attributes = Attributes::default();
    if flags & SIZE != 0 {
        attributes.size = Some(fields.u64()?);
    }
    if flags & OWNERS != 0 {
        fields.u32()?;
        fields.u32()?;
    }
    if flags & PERMISSIONS != 0 {
        attributes.permissions = Some(fields.u32()?);
    }
    if flags & TIMES != 0 {
        attributes.times = Some((fields.u32()?, fields.u32()?));
    }
    if flags & EXTENDED != 0 {
        for _ in 0..fields.u32()? {
            fields.string()?;
            fields.string()?;
        }
    }
    Ok(attributes)
}

/// Writes what a file is.
pub(super) fn write(packet: &mut Packet, stat: &FileStat) {
    packet.u32(SIZE | OWNERS | PERMISSIONS | TIMES);
    packet.u64(stat.st_size.unsigned_abs());
    packet.u32(stat.st_uid);
    packet.u32(stat.st_gid);
    packet.u32(stat.st_mode);
    packet.u32(time(stat.st_atime));
    packet.u32(time(stat.st_mtime));
}

/// Writes that nothing is said about a file.
pub(super) fn write_none(packet: &mut Packet) {
    packet.u32(0);
}

/// Returns a line as `ls -l` has it; clients show it as it is.
pub(super) fn long_name(name: &[u8], stat: &FileStat, now: Timestamp) -> Vec<u8> {
    let mut line = format!(
        "{} {:>3} {:<8} {:<8} {:>8} {} ",
        letters(stat),
        stat.st_nlink,
        stat.st_uid,
        stat.st_gid,
        stat.st_size,
        date(stat.st_mtime, now),
    )
    .into_bytes();
    line.extend_from_slice(name);
    line
}

fn letters(stat: &FileStat) -> String {
    let kind = match Kind::of(stat) {
        Kind::File => '-',
        Kind::Directory => 'd',
        Kind::Link => 'l',
        Kind::Special => '?',
    };
    let rights = (0..9).rev().map(|bit| {
        let letter = match bit % 3 {
            2 => 'r',
            1 => 'w',
            _ => 'x',
        };
        if stat.st_mode >> bit & 1 == 1 {
            letter
        } else {
            '-'
        }
    });
    std::iter::once(kind).chain(rights).collect()
}

/// The time of day for the last half year, the year for what is older or in the future.
fn date(seconds: i64, now: Timestamp) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else {
        return "?".to_owned();
    };
    let age = now.as_second().saturating_sub(seconds);
    let format = if (0..HALF_A_YEAR).contains(&age) {
        "%b %e %H:%M"
    } else {
        "%b %e  %Y"
    };
    time.strftime(format).to_string()
}

/// The wire has 32 bits for seconds since 1970.
fn time(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

const HALF_A_YEAR: i64 = 183 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_without_meaning_are_read_over() {
        let mut bytes = Vec::new();
        for number in [
            SIZE | OWNERS | PERMISSIONS | TIMES | EXTENDED,
            0,
            9,
            1,
            2,
            0o104_755,
            3,
            4,
            1,
        ] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for _ in 0..2 {
            bytes.extend_from_slice(&[0, 0, 0, 1, b'x']);
        }
        let mut fields = Fields::of(&bytes);
        let attributes = read(&mut fields).unwrap();
        assert_eq!(attributes.size, Some(9));
        assert_eq!(attributes.permissions, Some(0o104_755));
        assert_eq!(attributes.times, Some((3, 4)));
        assert_eq!(fields.left(), 0);
        for cut in 0..bytes.len() {
            assert_eq!(
                read(&mut Fields::of(&bytes[..cut])),
                Err(Malformed),
                "{cut}"
            );
        }
    }

    #[test]
    fn long_names_look_like_those_of_ls() {
        let mut stat = nix::sys::stat::stat("/").unwrap();
        stat.st_mode = 0o100_644;
        stat.st_nlink = 1;
        stat.st_uid = 1000;
        stat.st_gid = 100;
        stat.st_size = 348_911;
        stat.st_mtime = 1_700_000_000;
        let soon = Timestamp::from_second(1_700_000_100).unwrap();
        assert_eq!(
            long_name(b"a b\xff", &stat, soon),
            b"-rw-r--r--   1 1000     100        348911 Nov 14 22:13 a b\xff"
        );
        let late = Timestamp::from_second(1_800_000_000).unwrap();
        assert!(long_name(b"x", &stat, late).ends_with(b"Nov 14  2023 x"));
    }
}
