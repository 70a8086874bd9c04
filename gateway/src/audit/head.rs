//! The file that keeps the head of the chain beside the database, so that rows cannot be taken
//! away from the end unseen. It may lag behind the rows, and is never ahead of them.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::chain::{Hash, Head};
use crate::crash;
use crate::fault::{Fault, OrFault};

/// Where the head is kept.
#[derive(Debug)]
pub(super) struct HeadFile {
    path: PathBuf,
}

/// What the head file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// This place.
    At(Head),
    /// There is no file.
    Nothing,
    /// Something that was never written to it.
    Unreadable,
}

impl HeadFile {
    /// Returns the one that belongs to a database: `audit.head` for `audit.db`.
    pub(super) fn beside(database: &Path) -> Self {
        Self {
            path: database.with_extension("head"),
        }
    }

    pub(super) fn read(&self) -> Result<Noted, Fault> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Noted::Nothing),
            Err(error) => {
                return Err(error).or_fault(|| format!("reading {}", self.path.display()));
            }
        };
        Ok(parse(&bytes).map_or(Noted::Unreadable, Noted::At))
    }

    /// Replaces the file whole: a power cut leaves the old head or the new one.
    pub(super) fn write(&self, head: Head) -> Result<(), Fault> {
        let new = self.path.with_extension("head.new");
        let doing = || format!("writing {}", self.path.display());
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .or_fault(doing)?;
        writeln!(file, "{TITLE} {head}").or_fault(doing)?;
        file.sync_data().or_fault(doing)?;
        crash::point("audit-head-written");
        fs::rename(&new, &self.path).or_fault(doing)?;
        crash::point("audit-head-renamed");
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(bytes).ok()?;
    let place = text.strip_prefix(TITLE)?.strip_suffix('\n')?;
    let (seq, hash) = place.strip_prefix(' ')?.split_once(' ')?;
    let seq = seq.parse().ok().filter(|seq| *seq <= LAST_SEQ)?;
    let hash = data_encoding::HEXLOWER.decode(hash.as_bytes()).ok()?;
    Some(Head {
        seq,
        hash: Hash::from_bytes(&hash)?,
    })
}

const TITLE: &str = "funicular audit head 1";
/// No audit gets there, and rows can still be counted on from it.
const LAST_SEQ: u64 = i64::MAX.unsigned_abs() / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_comes_back_and_nothing_else_is_taken_for_one() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("audit.db");
        let file = HeadFile::beside(&database);
        assert_eq!(file.read().unwrap(), Noted::Nothing);
        let head = Head {
            seq: 17,
            hash: Hash::from_bytes(&[7; 32]).unwrap(),
        };
        file.write(head).unwrap();
        assert_eq!(file.read().unwrap(), Noted::At(head));
        assert!(directory.path().join("audit.head").exists());
        for wrong in [
            "",
            "17 00\n",
            "funicular audit head 1 18446744073709551615 00\n",
        ] {
            fs::write(directory.path().join("audit.head"), wrong).unwrap();
            assert_eq!(file.read().unwrap(), Noted::Unreadable, "{wrong:?}");
        }
    }
}
