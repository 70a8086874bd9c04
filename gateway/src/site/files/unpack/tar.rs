//! Reading tar: ustar, GNU's and POSIX's (pax) forms, sparse files of both. Every length that an
//! archive names is bounded before memory is taken for it, and every end is looked for.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::drained;
use super::names::sentence;
use super::pax::Said;
use super::place::Piece;

/// An archive that is read entry by entry.
pub(super) struct Tar<R> {
    input: R,
    /// Bytes read so far.
    offset: u64,
    /// Bytes of the present entry's content that were not read yet.
    left: u64,
    ended: bool,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    File,
    Folder,
    Link,
    SecondName,
    /// What is never unpacked, in words.
    Special(&'static str),
}

/// An entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) leads_to: Vec<u8>,
    pub(super) kind: Type,
    pub(super) mode: u32,
    pub(super) modified: Option<(i64, i64)>,
    /// The length of the file.
    pub(super) size: u64,
    /// Its pieces that are in the archive.
    pub(super) pieces: Vec<Piece>,
}

impl<R: Read> Read for Tar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let count = self
            .input
            .read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left -= count as u64;
        self.offset += count as u64;
        Ok(count)
    }
}

impl<R: Read> Tar<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            offset: 0,
            left: 0,
            ended: false,
        }
    }

    /// Returns how many bytes were read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads up to the next entry's content; none at the archive's end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, String> {
        let mut said = Said::default();
        for _ in 0..MOST_BEFORE {
            self.skip()?;
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if block.iter().all(|byte| *byte == 0) {
                self.ended = true;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            self.check(header)?;
            let stored = header.entry_size().map_err(|error| self.wrong(&error))?;
            match header.entry_type() {
                EntryType::GNULongName => said.path = Some(self.text(stored)?),
                EntryType::GNULongLink => said.leads_to = Some(self.text(stored)?),
                EntryType::XHeader => {
                    let records = self.text_with_zeros(stored)?;
                    said.read(&records).map_err(|why| self.damaged(&why))?;
                }
                // A comment of git's, or a volume's label: nothing of any entry's.
                EntryType::XGlobalHeader => self.begin(stored),
                other if other.as_byte() == b'V' => self.begin(stored),
                _ => return self.entry(header, stored, said).map(Some),
            }
        }
        Err(self.damaged("too many headers come before one entry"))
    }

    /// Makes sure that the archive was read to its end.
    pub(super) fn end(mut self) -> Result<(), String> {
        if !self.ended {
            return Err(self.cut());
        }
        // What compresses it has a checksum at its end.
        let offset = self.offset;
        let mut rest = (&mut self.input).take(MOST_AFTER + 1);
        let count = drained(&mut rest)
            .map_err(|error| format!("The archive cannot be read at byte {offset}: {error}."))?;
        if count > MOST_AFTER {
            return Err(self.damaged("it goes on after its end"));
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, stored: u64, said: Said) -> Result<Entry, String> {
        let sparse_name = said.sparse.name.clone();
        let path = sparse_name
            .or(said.path)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = kind(header, &path);
        let stored = match kind {
            Type::File => said.size.unwrap_or(stored),
            _ => stored,
        };
        let leads_to = said
            .leads_to
            .unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        let modified = said
            .modified
            .or_else(|| Some((i64::try_from(header.mtime().ok()?).ok()?, 0)));
        let mut entry = Entry {
            path,
            leads_to,
            kind,
            mode: header.mode().map_err(|error| self.wrong(&error))?,
            modified: modified.filter(|(seconds, _)| (0..LATEST).contains(seconds)),
            size: 0,
            pieces: Vec::new(),
        };
        if kind != Type::File {
            // Links and folders have no content, whatever a header says; some programs put some there.
            self.begin(if kind == Type::SecondName { 0 } else { stored });
            return Ok(entry);
        }
        let pieces = if header.entry_type() == EntryType::GNUSparse {
            let (size, pieces) = self.old_sparse(header)?;
            entry.size = size;
            self.begin(stored);
            pieces
        } else {
            self.begin(stored);
            match self.new_sparse(&said.sparse, &entry.path)? {
                Some((size, pieces)) => {
                    entry.size = size;
                    pieces
                }
                None => {
                    entry.size = stored;
                    vec![(0, stored)]
                }
            }
        };
        self.fits(&entry, &pieces)?;
        entry.pieces = pieces;
        Ok(entry)
    }

    /// Pieces must come one after another, lie in the file and be all that is stored.
    fn fits(&self, entry: &Entry, pieces: &[Piece]) -> Result<(), String> {
        let mut end = 0_u64;
        let mut sum = 0_u64;
        for (at, length) in pieces {
            let after = at.checked_add(*length);
            if *at < end || after.is_none_or(|after| after > entry.size) {
                return Err(sentence(&entry.path, "has a wrong map of its holes"));
            }
            end = after.unwrap_or(end);
            sum = sum.saturating_add(*length);
        }
        if sum > self.left {
            return Err(sentence(&entry.path, "has a wrong map of its holes"));
        }
        Ok(())
    }

    fn begin(&mut self, stored: u64) {
        self.left = stored;
    }

    /// Reads over what is left of the present entry, to the end of its last block.
    fn skip(&mut self) -> Result<(), String> {
        let left = self.left;
        let odd = (self.offset.wrapping_add(left)) % BLOCK as u64;
        let padding = if odd == 0 { 0 } else { BLOCK as u64 - odd };
        self.left = 0;
        let Some(all) = left.checked_add(padding) else {
            return Err(self.damaged("an entry has an impossible length"));
        };
        let count =
            drained(&mut (&mut self.input).take(all)).map_err(|error| self.unreadable(&error))?;
        self.offset += count;
        if count < all {
            return Err(self.cut());
        }
        Ok(())
    }

    pub(super) fn fill(&mut self, block: &mut [u8]) -> Result<(), String> {
        let wanted = block.len() as u64;
        let mut rest = block;
        let count = io::copy(&mut (&mut self.input).take(wanted), &mut rest);
        let count = count.map_err(|error| self.unreadable(&error))?;
        self.offset += count;
        match count == wanted {
            true => Ok(()),
            false => Err(self.cut()),
        }
    }

    /// Reads a name that is kept as content.
    fn text(&mut self, length: u64) -> Result<Vec<u8>, String> {
        let mut text = self.text_with_zeros(length)?;
        if let Some(end) = text.iter().position(|byte| *byte == 0) {
            text.truncate(end);
        }
        Ok(text)
    }

    fn text_with_zeros(&mut self, length: u64) -> Result<Vec<u8>, String> {
        if length > LONGEST_TEXT {
            return Err(self.damaged("a name or header is longer than a mebibyte"));
        }
        let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
        self.fill(&mut text)?;
        self.begin(0);
        Ok(text)
    }

    fn check(&self, header: &Header) -> Result<(), String> {
        let (before, after) = (header.as_bytes().get(..148), header.as_bytes().get(156..));
        let bytes = before.into_iter().chain(after).flatten();
        // The checksum's own eight bytes count as spaces.
        let sum = bytes.fold(8 * u32::from(b' '), |sum, byte| sum + u32::from(*byte));
        if header.cksum().is_ok_and(|said| said == sum) {
            return Ok(());
        }
        if self.offset == BLOCK as u64 {
            return Err(
                "This is no archive that can be taken; tar (plain, or compressed by gzip, \
                        zstd or xz) and zip can. Nothing was changed."
                    .to_owned(),
            );
        }
        Err(self.damaged("a header has a wrong checksum"))
    }

    pub(super) fn damaged(&self, why: &str) -> String {
        format!(
            "The archive is damaged before byte {}: {why}. Nothing was changed.",
            self.offset
        )
    }

    pub(super) fn wrong(&self, error: &io::Error) -> String {
        self.damaged(&error.to_string())
    }

    fn unreadable(&self, error: &io::Error) -> String {
        let at = self.offset;
        format!("The archive cannot be read at byte {at}: {error}. Nothing was changed.")
    }

    fn cut(&self) -> String {
        if self.offset == 0 {
            return "The archive is empty. Nothing was changed.".to_owned();
        }
        format!(
            "The archive is cut off at byte {}, before its end. Nothing was changed; send it again, \
             whole.",
            self.offset
        )
    }
}

fn kind(header: &Header, path: &[u8]) -> Type {
    match header.entry_type() {
        // Before ustar a slash at the end of the name was all that made a folder.
        EntryType::Regular if path.ends_with(b"/") => Type::Folder,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Type::File,
        EntryType::Directory => Type::Folder,
        EntryType::Symlink => Type::Link,
        EntryType::Link => Type::SecondName,
        EntryType::Char | EntryType::Block => Type::Special("a device"),
        EntryType::Fifo => Type::Special("a pipe"),
        // A folder of an incremental archive, with a list of names as its content.
        other if other.as_byte() == b'D' => Type::Folder,
        other if other.as_byte() == b'M' => Type::Special("the rest of a file from another volume"),
        _ => Type::Special("of an unknown kind"),
    }
}

pub(super) const BLOCK: usize = 512;
const LONGEST_TEXT: u64 = 1 << 20;
/// Headers that say something of one entry.
const MOST_BEFORE: usize = 8;
/// Archives are filled up to their record's length, and to a tape's block.
const MOST_AFTER: u64 = 16 << 20;
/// The end of the 22nd century, more or less; what lies beyond is nonsense in a header.
const LATEST: i64 = 7_258_118_400;
