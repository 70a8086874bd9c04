//! A folder into an archive, written as a stream.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{FileStat, fstat};
use tar::{Builder, EntryType, Header};

use super::copy::deep;
use super::{Archive, Copied};
use crate::database::{Trouble, Watcher};
use crate::fault::OrFault;
use crate::site::folder::{Folder, Standing, gone, is_other_kind, standing};

/// Writes all files of a folder as an archive, in which they lie below `files/`, as Pantheon's lie
/// below `files_live/`; [`super::unpack()`] leaves that folder out again. Times are whole seconds,
/// holes are written as zeros, pipes, sockets and devices are left out. A file that becomes shorter
/// while it is read is filled up with zeros, as its length was told already.
///
/// # Errors
/// [`Trouble`]; what was written is then no whole archive.
pub fn pack(
    source: &Path,
    out: &mut (dyn Write + Send),
    form: Archive,
    watcher: &dyn Watcher,
) -> Result<Copied, Trouble> {
    let source = Folder::open(source).or_fault(|| "opening the files to pack")?;
    let doing = || "writing an archive";
    match form {
        Archive::Tar => Ok(write(&source, out, watcher)?.1),
        Archive::TarGz => {
            let out = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            let (out, copied) = write(&source, out, watcher)?;
            out.finish().or_fault(doing)?;
            Ok(copied)
        }
        Archive::TarZst => {
            let out = zstd::stream::write::Encoder::new(out, 0).or_fault(doing)?;
            let (out, copied) = write(&source, out, watcher)?;
            out.finish().or_fault(doing)?;
            Ok(copied)
        }
    }
}

/// What packs.
struct Packing<'a, W: Write> {
    top: &'a Folder,
    out: Builder<W>,
    watcher: &'a dyn Watcher,
    copied: Copied,
}

fn write<W: Write>(top: &Folder, out: W, watcher: &dyn Watcher) -> Result<(W, Copied), Trouble> {
    let mut packing = Packing {
        top,
        out: Builder::new(out),
        watcher,
        copied: Copied::default(),
    };
    let mut left = vec![Vec::new()];
    while let Some(path) = left.pop() {
        packing.folder(path, &mut left)?;
    }
    let mut copied = packing.copied;
    if copied.skipped > 0 {
        copied.notes.push(format!(
            "{} pipes, sockets or devices are not in the archive.",
            copied.skipped
        ));
    }
    let out = packing.out.into_inner().or_fault(|| "writing an archive")?;
    watcher.at(copied.bytes, "");
    Ok((out, copied))
}

impl<W: Write> Packing<'_, W> {
    fn folder(&mut self, path: Vec<u8>, left: &mut Vec<Vec<u8>>) -> Result<(), Trouble> {
        let doing = || "reading files to pack";
        let folder = match deep(self.top, &path) {
            Ok(folder) => folder,
            Err(error) if gone(&error) || is_other_kind(&error) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(unreadable(&path));
            }
            Err(error) => return Err(error).or_fault(doing).map_err(Trouble::Fault),
        };
        let stat = fstat(folder.as_fd()).or_fault(doing)?;
        let mut header = header(&stat, EntryType::Directory, 0);
        self.append(&mut header, &path, &mut io::empty())?;
        for (name, _) in folder.listing().or_fault(doing)? {
            if self.watcher.stopped() {
                return Err(Trouble::Stopped);
            }
            let below = match path.is_empty() {
                true => name.clone(),
                false => [&path, &b"/"[..], &name].concat(),
            };
            let stat = match folder.stat(&name) {
                Ok(stat) => stat,
                Err(error) if gone(&error) => continue,
                Err(error) => return Err(error).or_fault(doing).map_err(Trouble::Fault),
            };
            match standing(&stat) {
                Standing::Folder => left.push(below),
                Standing::File => self.file(&folder, &name, &below)?,
                Standing::Link => self.link(&folder, &name, &below, &stat)?,
                Standing::Special => self.copied.skipped += 1,
            }
        }
        Ok(())
    }

    fn file(&mut self, folder: &Folder, name: &[u8], path: &[u8]) -> Result<(), Trouble> {
        let file = match folder.open_file(name) {
            Ok(file) => file,
            Err(error) if gone(&error) || is_other_kind(&error) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(unreadable(path));
            }
            Err(error) => {
                return Err(error)
                    .or_fault(|| "reading files to pack")
                    .map_err(Trouble::Fault);
            }
        };
        let stat = fstat(&file).or_fault(|| "reading files to pack")?;
        let size = stat.st_size.unsigned_abs();
        let mut header = header(&stat, EntryType::Regular, size);
        let mut content = Exactly { file, left: size };
        self.append(&mut header, path, &mut content)?;
        self.copied.files += 1;
        self.copied.copied += 1;
        self.copied.bytes += size;
        self.watcher.at(self.copied.bytes, "");
        Ok(())
    }

    fn link(
        &mut self,
        folder: &Folder,
        name: &[u8],
        path: &[u8],
        stat: &FileStat,
    ) -> Result<(), Trouble> {
        let Ok(leads_to) = folder.link_target(name) else {
            return Ok(());
        };
        let mut header = header(stat, EntryType::Symlink, 0);
        let doing = || "writing an archive";
        self.out
            .append_link(&mut header, inside(path), OsStr::from_bytes(&leads_to))
            .or_fault(doing)?;
        self.copied.files += 1;
        self.copied.copied += 1;
        self.copied.bytes += leads_to.len() as u64;
        Ok(())
    }

    fn append(
        &mut self,
        header: &mut Header,
        path: &[u8],
        content: &mut dyn Read,
    ) -> Result<(), Trouble> {
        self.out
            .append_data(header, inside(path), content)
            .or_fault(|| "writing an archive")?;
        Ok(())
    }
}

fn header(stat: &FileStat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(stat.st_mode & 0o777);
    header.set_mtime(stat.st_mtime.max(0).unsigned_abs());
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn inside(path: &[u8]) -> PathBuf {
    let mut whole = b"files/".to_vec();
    whole.extend_from_slice(path);
    PathBuf::from(OsStr::from_bytes(&whole).to_owned())
}

fn unreadable(path: &[u8]) -> Trouble {
    Trouble::Refused(format!(
        "'{}' cannot be read by the gateway, so the archive would not be whole. Give it the right \
         to (chmod), or remove it.",
        policy::escape(path)
    ))
}

/// As many bytes of a file as were told before, whatever became of it.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let portion = buffer.get_mut(..most).unwrap_or_default();
        let mut count = self.file.read(portion)?;
        if count == 0 {
            portion.fill(0);
            count = portion.len();
        }
        self.left -= count as u64;
        Ok(count)
    }
}
