//! Archives, which are hostile input, into a folder that nobody is pointed to yet.
//!
//! An entry is written only where its own name says, beneath the folder, and never through a link.
//! A name that leads out, a link that would, a device, an entry beneath a link or a file, a name
//! that is two kinds of thing: each ends the unpacking with the entry's name. What an archive
//! unpacks to is bounded by the environment's quota and by what must stay free on the disk, entry
//! by entry, whatever the archive says of itself.

mod names;
mod pax;
mod place;
mod sparse;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::room::not_written;
use super::sniff::{decompressed, drained, first_bytes};
use super::{Copied, Room};
use crate::database::{Trouble, Watcher};
use crate::fault::OrFault;
use crate::site::tree::stays_within;
use place::{Meta, Placing};
use tar::{Entry, Tar, Type};

/// Unpacks an archive into a folder, which is made where it is missing: tar, plain or compressed by
/// gzip, zstd or xz, or zip. Its kind is told by its content; a zip is first kept in a file
/// that has no name, since it is read from its end.
///
/// One folder that everything in the archive lies in is left out when it is called `files`,
/// `uploads` or `files_` and anything, as exports and Pantheon's backups have it. Only one: what
/// lies in `files/uploads/` is unpacked into `uploads/`.
///
/// Set-user-id bits, owners and groups are dropped; whoever unpacks may always read and write. A
/// hard link becomes a file of its own.
///
/// # Errors
/// [`Trouble`]; the folder is then to be removed.
pub fn unpack(
    archive: &mut (dyn Read + Send),
    target: &Path,
    room: &Room,
    watcher: &dyn Watcher,
) -> Result<Copied, Trouble> {
    let mut placing = Placing::new(target, room, watcher)?;
    let (first, mut whole) = first_bytes(Box::new(archive), 4).map_err(|e| unreadable(0, &e))?;
    if zip::is_zip(&first) {
        let mut spool = spool(target)?;
        keep(&mut *whole, &mut spool, room, watcher)?;
        zip::unpack(spool, &mut placing)?;
    } else {
        unpack_tar(whole, &mut placing)?;
    }
    placing.end()
}

/// The same for a file; it is read from its beginning.
///
/// # Errors
/// [`Trouble`]; the folder is then to be removed.
pub fn unpack_file(
    mut archive: File,
    target: &Path,
    room: &Room,
    watcher: &dyn Watcher,
) -> Result<Copied, Trouble> {
    let mut first = [0; 4];
    let doing = || "reading an archive";
    archive.seek(SeekFrom::Start(0)).or_fault(doing)?;
    let is_zip = archive.read_exact(&mut first).is_ok() && zip::is_zip(&first);
    archive.seek(SeekFrom::Start(0)).or_fault(doing)?;
    let mut placing = Placing::new(target, room, watcher)?;
    if is_zip {
        zip::unpack(archive, &mut placing)?;
    } else {
        unpack_tar(Box::new(archive), &mut placing)?;
    }
    placing.end()
}

fn unpack_tar(
    archive: Box<dyn Read + Send + '_>,
    placing: &mut Placing<'_>,
) -> Result<(), Trouble> {
    let stream = decompressed(archive, u64::MAX).map_err(|error| unreadable(0, &error))?;
    let mut tar = Tar::new(stream);
    while let Some(entry) = tar.next().map_err(Trouble::Refused)? {
        placing.go_on(tar.offset())?;
        one(&entry, &mut tar, placing)?;
    }
    tar.end().map_err(Trouble::Refused)
}

fn one<R: Read>(entry: &Entry, tar: &mut Tar<R>, placing: &mut Placing<'_>) -> Result<(), Trouble> {
    let path = names::path(&entry.path, false).map_err(Trouble::Refused)?;
    let meta = Meta {
        mode: entry.mode,
        modified: entry.modified,
    };
    match entry.kind {
        Type::Folder => placing.folder(&path, meta),
        Type::File => placing.file(&path, meta, entry.size, &entry.pieces, tar),
        Type::Link => placing.link(&path, &entry.leads_to, meta),
        Type::SecondName => {
            let of = names::path(&entry.leads_to, false).map_err(|_| {
                let shown = policy::escape(&entry.leads_to);
                let why = format!("is a hard link to '{shown}', which leads out of the archive");
                names::refused(&entry.path, &why)
            })?;
            placing.second_name(&path, &of, meta)
        }
        Type::Special(what) => Err(names::refused(
            &entry.path,
            &format!("is {what}, which is never unpacked"),
        )),
    }
}

/// Keeps a stream in a file that has no name.
fn keep(
    from: &mut dyn Read,
    spool: &mut File,
    room: &Room,
    watcher: &dyn Watcher,
) -> Result<(), Trouble> {
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        if watcher.stopped() {
            return Err(Trouble::Stopped);
        }
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(done, &error)),
        };
        room.on_disk(&*spool, count as u64)?;
        spool
            .write_all(buffer.get(..count).unwrap_or_default())
            .map_err(|error| not_written(error, || "keeping an archive".to_owned()))?;
        done += count as u64;
        watcher.at(done, "the archive arrives");
    }
}

fn spool(target: &Path) -> Result<File, Trouble> {
    let doing = || "keeping an archive";
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    match nix::fcntl::open(target, flags, mode) {
        Ok(file) => Ok(File::from(file)),
        // Not every file system has files without a name.
        Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => {
            let name = target.join(".funicular-archive~");
            let mut options = std::fs::OpenOptions::new();
            let options = options.read(true).write(true).create_new(true);
            let file = options.open(&name).or_fault(doing)?;
            std::fs::remove_file(&name).or_fault(doing)?;
            Ok(file)
        }
        Err(errno) => Err(errno).or_fault(doing).map_err(Trouble::Fault),
    }
}

fn unreadable(at: u64, error: &std::io::Error) -> Trouble {
    Trouble::Refused(format!("The archive cannot be read at byte {at}: {error}."))
}
