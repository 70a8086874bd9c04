//! Reading zip, by its central directory, entry after entry and so in bounded memory: APPNOTE.TXT
//! of PKWARE, zip64 included. Stored and deflated content only, which is what everybody writes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use flate2::read::DeflateDecoder;

use super::names::{self, refused};
use super::place::{Meta, Placing};
use crate::database::Trouble;

/// Returns true if a stream that begins so is a zip, maybe an empty one.
pub(super) fn is_zip(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06")
}

/// Where the central directory is.
#[derive(Debug)]
struct Directory {
    at: u64,
    length: u64,
    entries: u64,
}

/// An entry of the central directory.
#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    mode: Option<u32>,
    modified: Option<(i64, i64)>,
    header: u64,
}

/// Unpacks a zip.
pub(super) fn unpack(file: File, placing: &mut Placing<'_>) -> Result<(), Trouble> {
    let length = file
        .metadata()
        .map_err(|error| unreadable(0, &error))?
        .len();
    let directory = Directory::find(&file, length)?;
    let mut taken: Vec<(u64, u64)> = Vec::new();
    let mut at = directory.at;
    let end = directory.at + directory.length;
    for _ in 0..directory.entries {
        let (entry, next) = entry(&file, at, end)?;
        at = next;
        placing.go_on(entry.header)?;
        let start = content_at(&file, &entry)?;
        let stop = start
            .checked_add(entry.packed)
            .filter(|stop| *stop <= directory.at);
        let stop =
            stop.ok_or_else(|| refused(&entry.name, "lies outside the archive: it is damaged"))?;
        taken.push((entry.header, stop));
        if taken.len() > MOST_ENTRIES {
            return Err(damaged(at, "it has more entries than can be checked"));
        }
        one(&file, &entry, start, placing)?;
    }
    // Bytes that several entries share are how a small zip becomes a very large one.
    taken.sort_unstable();
    let overlap = taken
        .iter()
        .zip(taken.iter().skip(1))
        .find(|((_, stop), (start, _))| start < stop);
    match overlap {
        Some((_, (start, _))) => Err(damaged(
            *start,
            "two of its entries share their content, which no honest program writes",
        )),
        None => Ok(()),
    }
}

fn one(file: &File, entry: &Entry, start: u64, placing: &mut Placing<'_>) -> Result<(), Trouble> {
    let path = names::path(&entry.name, true).map_err(Trouble::Refused)?;
    let kind = entry.mode.unwrap_or_default() & 0o170_000;
    let is_folder = entry.name.ends_with(b"/") || entry.name.ends_with(b"\\");
    let usual = if is_folder { 0o755 } else { 0o644 };
    let rights = entry.mode.map_or(0, |mode| mode & 0o777);
    let meta = Meta {
        mode: if rights == 0 { usual } else { rights },
        modified: entry.modified,
    };
    match kind {
        0o040_000 => return placing.folder(&path, meta),
        _ if is_folder => return placing.folder(&path, meta),
        0 | 0o100_000 | 0o120_000 => {}
        _ => {
            return Err(refused(
                &entry.name,
                "is a pipe, socket or device, which is never unpacked",
            ));
        }
    }
    if entry.flags & ENCRYPTED != 0 {
        return Err(refused(
            &entry.name,
            "is encrypted, and there is no password to read it with",
        ));
    }
    let packed = Section {
        file,
        at: start,
        left: entry.packed,
    };
    let inner: Box<dyn Read + '_> = match entry.method {
        STORED => Box::new(packed),
        DEFLATED => Box::new(DeflateDecoder::new(packed)),
        other => {
            let why = format!(
                "is compressed by method {other}; only what is stored or deflated can be read"
            );
            return Err(refused(&entry.name, &why));
        }
    };
    let mut content = Checked {
        inner,
        crc: flate2::Crc::new(),
    };
    if kind == 0o120_000 {
        let mut leads_to = Vec::new();
        (&mut content)
            .take(LONGEST_LINK)
            .read_to_end(&mut leads_to)
            .map_err(|error| refused(&entry.name, &format!("cannot be read: {error}")))?;
        content.end(entry)?;
        return placing.link(&path, &leads_to, meta);
    }
    placing.file(&path, meta, entry.size, &[(0, entry.size)], &mut content)?;
    content.end(entry)
}

impl Directory {
    fn find(file: &File, length: u64) -> Result<Self, Trouble> {
        let tail_length = length.min(LONGEST_TAIL);
        let tail_at = length - tail_length;
        let tail = bytes(file, tail_at, tail_length)?;
        let at = tail.windows(4).rposition(|four| four == b"PK\x05\x06");
        let Some(at) = at else {
            return Err(Trouble::Refused(format!(
                "The zip archive is cut off: at its end, byte {length}, there is no list of what \
                 is in it. Nothing was changed; send it again, whole."
            )));
        };
        let end = tail_at + at as u64;
        let record = Fields(tail.get(at..).unwrap_or_default());
        let (disk, here, entries) = (record.two(4), record.two(8), record.two(10));
        let (size, start) = (record.four(12), record.four(16));
        let mut found = Self {
            at: u64::from(start),
            length: u64::from(size),
            entries: u64::from(entries),
        };
        let locator = end.checked_sub(20).map(|at| bytes(file, at, 20));
        if let Some(Ok(locator)) = locator
            && locator.starts_with(b"PK\x06\x07")
        {
            let at = Fields(&locator).eight(8);
            let record = bytes(file, at, 56).map_err(|_| damaged(at, "its list is not there"))?;
            if !record.starts_with(b"PK\x06\x06") {
                return Err(damaged(at, "its list is not there"));
            }
            let record = Fields(&record);
            found = Self {
                at: record.eight(48),
                length: record.eight(40),
                entries: record.eight(32),
            };
        } else if disk != 0 || here != entries {
            return Err(damaged(end, "it is one of several parts"));
        }
        let after = found.at.checked_add(found.length);
        // Each entry takes 46 bytes at least.
        if after.is_none_or(|after| after > end) || found.entries > found.length / 46 {
            return Err(damaged(end, "its list does not fit"));
        }
        Ok(found)
    }
}

/// Reads an entry of the central directory; returns where the next one is too.
fn entry(file: &File, at: u64, end: u64) -> Result<(Entry, u64), Trouble> {
    let fixed = bytes(file, at, 46)?;
    if !fixed.starts_with(b"PK\x01\x02") {
        return Err(damaged(at, "an entry of its list is none"));
    }
    let fixed = Fields(&fixed);
    let [name, extra, comment] = [28, 30, 32].map(|at| u64::from(fixed.two(at)));
    let next = at + 46 + name + extra + comment;
    if next > end {
        return Err(damaged(at, "its list does not fit"));
    }
    let rest = bytes(file, at + 46, name + extra)?;
    let (name, extra) = rest
        .split_at_checked(usize::try_from(name).unwrap_or_default())
        .unwrap_or_default();
    // Made on Unix, or on a Mac: the upper half of the attributes is the mode.
    let mode = matches!(fixed.byte(5), 3 | 19).then(|| fixed.four(38) >> 16);
    let mut entry = Entry {
        name: name.to_vec(),
        flags: fixed.two(8),
        method: fixed.two(10),
        crc: fixed.four(16),
        packed: u64::from(fixed.four(20)),
        size: u64::from(fixed.four(24)),
        mode,
        modified: dos_time(fixed.two(14), fixed.two(12)),
        header: u64::from(fixed.four(42)),
    };
    entry.read_extra(extra);
    Ok((entry, next))
}

impl Entry {
    fn read_extra(&mut self, extra: &[u8]) {
        let mut rest = extra;
        while rest.len() >= 4 {
            let fields = Fields(rest);
            let (id, length) = (fields.two(0), usize::from(fields.two(2)));
            let Some(data) = rest.get(4..4 + length) else {
                return;
            };
            match id {
                // Zip64: those fields that are all ones in the entry, in this order.
                1 => {
                    let mut at = 0;
                    for field in [&mut self.size, &mut self.packed, &mut self.header] {
                        if *field == u64::from(u32::MAX) && data.len() >= at + 8 {
                            *field = Fields(data).eight(at);
                            at += 8;
                        }
                    }
                }
                // Info-ZIP's time, in seconds since 1970.
                0x5455 if data.len() >= 5 && Fields(data).byte(0) & 1 == 1 => {
                    self.modified = Some((i64::from(Fields(data).four(1)), 0));
                }
                _ => {}
            }
            rest = rest.get(4 + length..).unwrap_or_default();
        }
    }
}

/// Finds the content of an entry behind its own header, which must be about the same name.
fn content_at(file: &File, entry: &Entry) -> Result<u64, Trouble> {
    let wrong = || {
        refused(
            &entry.name,
            "has no content where the archive says: it is damaged",
        )
    };
    let fixed = bytes(file, entry.header, 30).map_err(|_| wrong())?;
    if !fixed.starts_with(b"PK\x03\x04") {
        return Err(wrong());
    }
    let fixed = Fields(&fixed);
    let (name, extra) = (u64::from(fixed.two(26)), u64::from(fixed.two(28)));
    let own = bytes(file, entry.header + 30, name).map_err(|_| wrong())?;
    if own != entry.name {
        return Err(refused(&entry.name, "has two names in the archive"));
    }
    Ok(entry.header + 30 + name + extra)
}

/// A part of a file.
struct Section<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let portion = buffer.get_mut(..most).unwrap_or_default();
        let count = self.file.read_at(portion, self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Content whose checksum is taken as it is read.
struct Checked<'a> {
    inner: Box<dyn Read + 'a>,
    crc: flate2::Crc,
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.crc.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Checked<'_> {
    /// Makes sure that all was read, and was what was packed.
    fn end(mut self, entry: &Entry) -> Result<(), Trouble> {
        let more = match self.inner.read(&mut [0]) {
            Ok(count) => count > 0,
            Err(error) => return Err(refused(&entry.name, &format!("cannot be read: {error}"))),
        };
        if more {
            return Err(refused(&entry.name, "is longer than it says"));
        }
        if self.crc.sum() != entry.crc {
            return Err(refused(
                &entry.name,
                "is not what was packed: its checksum differs, so the archive is damaged",
            ));
        }
        Ok(())
    }
}

/// Numbers in a record, the lowest byte first; zero where the record is too short.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn two(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.byte(at), self.byte(at + 1)])
    }

    fn four(&self, at: usize) -> u32 {
        u32::from(self.two(at)) | u32::from(self.two(at + 2)) << 16
    }

    fn eight(&self, at: usize) -> u64 {
        u64::from(self.four(at)) | u64::from(self.four(at + 4)) << 32
    }
}

/// A time as DOS has it, of no place in particular: taken as UTC.
fn dos_time(date: u16, time: u16) -> Option<(i64, i64)> {
    let part = |of: u16, from: u16, bits: u16| i8::try_from((of >> from) & ((1 << bits) - 1)).ok();
    let year = 1980 + i16::try_from(date >> 9).ok()?;
    let date = jiff::civil::Date::new(year, part(date, 5, 4)?, part(date, 0, 5)?).ok()?;
    let time = jiff::civil::Time::new(
        part(time, 11, 5)?,
        part(time, 5, 6)?,
        (part(time, 0, 5)? * 2).min(59),
        0,
    );
    let moment = date
        .to_datetime(time.ok()?)
        .to_zoned(jiff::tz::TimeZone::UTC);
    Some((moment.ok()?.timestamp().as_second(), 0))
}

fn bytes(file: &File, at: u64, length: u64) -> Result<Vec<u8>, Trouble> {
    let mut found = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut found, at)
        .map_err(|error| unreadable(at, &error))?;
    Ok(found)
}

fn unreadable(at: u64, error: &io::Error) -> Trouble {
    Trouble::Refused(format!(
        "The zip archive cannot be read at byte {at}: {error}. Nothing was changed."
    ))
}

fn damaged(at: u64, why: &str) -> Trouble {
    Trouble::Refused(format!(
        "The zip archive is damaged at byte {at}: {why}. Nothing was changed."
    ))
}

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const ENCRYPTED: u16 = 1;
const LONGEST_LINK: u64 = 4096;
/// The last record with its comment, which is 65,535 bytes at most.
const LONGEST_TAIL: u64 = 22 + 65_535;
/// Where each lies is kept until all are known: 160 MB.
const MOST_ENTRIES: usize = 10_000_000;
