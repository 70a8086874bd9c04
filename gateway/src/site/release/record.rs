//! The record beside a release's code: what it was built from, and how.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use git2::Oid;

use super::ReleaseKind;
use crate::fault::{Fault, OrFault};
use crate::site::folder::{Folder, gone};

/// What a release was built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// The commit.
    pub commit: Oid,
    /// Whether people may write in it.
    pub kind: ReleaseKind,
    /// How many files and links the commit has; unknown for releases of older gateways.
    pub entries: Option<usize>,
}

impl Record {
    /// Writes the record of a generation, over one that is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, generation: &Folder) -> Result<(), Fault> {
        let entries = self.entries.map(|entries| format!(" {entries}"));
        let line = format!(
            "{} {}{}\n",
            self.commit,
            self.kind.as_str(),
            entries.unwrap_or_default()
        );
        generation
            .remove_all(NAME)
            .and_then(|()| generation.create_file(NAME, 0o444))
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .or_fault(|| "recording what a release is built from")
    }

    /// Reads the record of a generation.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(super) fn read(generation: &Folder) -> Result<Self, Fault> {
        let mut line = String::new();
        generation
            .open_file(NAME)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut line))
            .or_fault(|| "reading what a release was built from")?;
        Self::parse(&line).ok_or_else(|| Fault::new("what a release was built from is no record"))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.trim_end().split(' ');
        let commit = words.next()?.parse().ok()?;
        let word = words.next()?;
        let kind = [ReleaseKind::ReadOnly, ReleaseKind::Writable]
            .into_iter()
            .find(|kind| kind.as_str() == word)?;
        let entries = match words.next() {
            Some(number) => Some(number.parse().ok()?),
            None => None,
        };
        words.next().is_none().then_some(Self {
            commit,
            kind,
            entries,
        })
    }
}

/// Returns the commit that a code folder was built from, and how, as was written down beside it
/// when it was built; nothing if there is no such folder.
///
/// # Errors
/// When that cannot be read.
pub fn built_from(code: &Path) -> Result<Option<(Oid, ReleaseKind)>, Fault> {
    let doing = || format!("reading what {} was built from", code.display());
    let line = match fs::read_to_string(code.with_file_name("built-from")) {
        Ok(line) => line,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(error).or_fault(doing),
    };
    let record = Record::parse(&line)
        .ok_or_else(|| Fault::new(format!("{}: it is no record of a release", doing())))?;
    Ok(Some((record.commit, record.kind)))
}

const NAME: &[u8] = b"built-from";
/// A record is one short line.
const LONGEST: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_older_gateways_are_read_and_others_are_none() {
        let commit = "1234567890123456789012345678901234567890";
        let old = Record::parse(&format!("{commit} read-only\n")).unwrap();
        assert_eq!((old.kind, old.entries), (ReleaseKind::ReadOnly, None));
        let new = Record::parse(&format!("{commit} writable 7\n")).unwrap();
        assert_eq!((new.kind, new.entries), (ReleaseKind::Writable, Some(7)));
        for wrong in ["", commit, "x read-only 7"] {
            assert_eq!(Record::parse(wrong), None, "{wrong}");
        }
        for rest in ["", " read", " read-only x", " read-only 7 7", "  read-only"] {
            assert_eq!(Record::parse(&format!("{commit}{rest}\n")), None, "{rest}");
        }
    }
}
