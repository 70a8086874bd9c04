//! An open directory, and its names in portions.

use std::collections::VecDeque;

use nix::sys::stat::FileStat;
use policy::SitePath;

use super::reply::Names;
use super::status::{Code, No};
use crate::site::tree::{Entry, Listing, Place};

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    /// Where it was opened, to ask again when anything has changed.
    pub(super) place: Place,
    /// When it was last asked.
    pub(super) epoch: u64,
    /// Names that do not come from the disk: `.`, `..`, the areas, the link to uploads.
    first: VecDeque<Entry>,
    names: Listing,
}

impl Directory {
    pub(super) fn new(
        place: Place,
        epoch: u64,
        first: impl IntoIterator<Item = Entry>,
        names: Listing,
    ) -> Self {
        Self {
            place,
            epoch,
            first: first.into_iter().collect(),
            names,
        }
    }

    /// Returns the listing, for what the directory itself is.
    pub(super) fn listing(&self) -> &Listing {
        &self.names
    }

    /// Returns the next portion of names. `hidden` is a name that is told by us, not by the disk.
    pub(super) fn portion(&mut self, id: u32, hidden: Option<&[u8]>) -> Result<Vec<u8>, No> {
        let mut names = Names::new(id);
        while !names.is_full() {
            if let Some(entry) = self.first.pop_front() {
                names.add(&entry.name, &entry.stat);
                continue;
            }
            let Some(entry) = self.names.next_entry()? else {
                break;
            };
            if hidden == Some(entry.name.as_slice()) {
                continue;
            }
            names.add(&entry.name, &entry.stat);
        }
        if names.is_empty() {
            return Err(No::Status(Code::Eof, "There are no more names."));
        }
        Ok(names.finish())
    }
}

/// The link to uploads in code. It shows as a link, as it is on the disk, where `files` lies beside
/// `code` too; whoever names it is in `files`.
///
/// To show a folder would be dangerous: tools that make `/code` equal to a checkout, and delete
/// what that lacks, would then delete all uploads, on Live too. The price: OpenSSH's `get -r /code`
/// says of this one name that it is no regular file, and sshfs needs `-o no_contain_symlinks` to go
/// through it. Both reach the same at `/files`.
#[derive(Debug)]
pub(super) struct FilesLink {
    pub(super) folder: SitePath,
    pub(super) name: Vec<u8>,
    pub(super) content: Vec<u8>,
}

impl FilesLink {
    pub(super) fn of(files_path: &SitePath) -> Option<Self> {
        let (folder, name) = files_path.split_last()?;
        let mut content = b"../".repeat(files_path.components().count());
        content.extend_from_slice(b"files");
        Some(Self {
            folder,
            name: name.to_vec(),
            content,
        })
    }

    /// Returns how the link shows, where `files` is this.
    pub(super) fn stat(&self, files: &FileStat) -> FileStat {
        let mut stat = *files;
        stat.st_mode = 0o120_777;
        stat.st_nlink = 1;
        stat.st_size = i64::try_from(self.content.len()).unwrap_or_default();
        stat
    }
}
