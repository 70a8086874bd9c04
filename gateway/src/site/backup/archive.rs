//! Archives out of a repository, as they are handed to people: what restic streams, under a folder's
//! name of its own and compressed. Nothing is unpacked on the way.

use std::cell::Cell;
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType};

use super::repository::{Repository, Snapshots};
use crate::database::{Trouble, Watcher};
use crate::fault::{Fault, OrFault};

/// Writes files as a `.tar.gz` whose only folder is `top`, unless that is empty.
///
/// # Errors
/// [`Trouble`]; what was written is then cut off, and no gzip takes it for whole.
pub(super) fn files(
    repository: &Repository,
    snapshots: Snapshots<'_>,
    top: &str,
    out: &mut dyn Write,
    watcher: &dyn Watcher,
) -> Result<(), Trouble> {
    let packing = || "packing files";
    let cut = Cell::new(false);
    let out = Cut { out, cut: &cut };
    let mut builder = Builder::new(GzEncoder::new(out, Compression::fast()));
    builder.mode(tar::HeaderMode::Complete);
    if let Err(trouble) = fill(repository, snapshots, top, &mut builder, watcher) {
        cut.set(true);
        return Err(trouble);
    }
    let out = builder.into_inner().or_fault(packing)?;
    out.finish().or_fault(packing)?.flush().or_fault(packing)?;
    Ok(())
}

fn fill<W: Write>(
    repository: &Repository,
    snapshots: Snapshots<'_>,
    top: &str,
    builder: &mut Builder<W>,
    watcher: &dyn Watcher,
) -> Result<(), Trouble> {
    if !top.is_empty() {
        add_folder(builder, top).or_fault(|| "packing files")?;
    }
    if snapshots.after.is_empty() {
        return Ok(());
    }
    let lost = repository.lost(snapshots)?;
    let mut every = |_path: &[u8]| true;
    piped(repository, (snapshots.after, "/"), watcher, |from| {
        add(builder, from, top, &mut every)
    })?;
    if let Some(before) = snapshots.before
        && !lost.is_empty()
    {
        let lost: HashSet<&[u8]> = lost
            .iter()
            .map(|path| path.trim_start_matches('/').as_bytes())
            .collect();
        let mut only = |path: &[u8]| lost.contains(path);
        piped(repository, (before, "/"), watcher, |from| {
            add(builder, from, top, &mut only)
        })?;
    }
    Ok(())
}

/// Writes one file of a snapshot, compressed.
///
/// # Errors
/// As [`files`].
pub(super) fn compressed(
    repository: &Repository,
    place: (&str, &str),
    out: &mut dyn Write,
    watcher: &dyn Watcher,
) -> Result<(), Trouble> {
    let cut = Cell::new(false);
    let mut encoder = GzEncoder::new(Cut { out, cut: &cut }, Compression::fast());
    if let Err(trouble) = plain(repository, place, &mut encoder, watcher) {
        cut.set(true);
        return Err(trouble);
    }
    let packing = || "compressing a backup";
    encoder
        .finish()
        .or_fault(packing)?
        .flush()
        .or_fault(packing)?;
    Ok(())
}

/// Passes on what is written until it is cut off: archives that are dropped would end themselves as if
/// they were whole.
struct Cut<'a> {
    out: &'a mut dyn Write,
    cut: &'a Cell<bool>,
}

impl Write for Cut<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.cut.get() {
            true => Ok(bytes.len()),
            false => self.out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes one file of a snapshot as it is.
///
/// # Errors
/// [`Trouble`].
pub(super) fn plain(
    repository: &Repository,
    (snapshot, path): (&str, &str),
    out: &mut dyn Write,
    watcher: &dyn Watcher,
) -> Result<(), Trouble> {
    let mut count = 0;
    let mut take = |bytes: &[u8]| {
        count += bytes.len() as u64;
        watcher.at(count, "read");
        Ok(out.write_all(bytes).or_fault(|| "handing out a backup")?)
    };
    repository.read(snapshot, path, &mut take, watcher)
}

/// Has `work` read what a snapshot has at a path. What restic says of a failure counts first, since
/// what reads its half of a stream only wonders.
///
/// # Errors
/// restic's, or those of `work`.
pub(super) fn piped<T, E>(
    repository: &Repository,
    (snapshot, path): (&str, &str),
    watcher: &dyn Watcher,
    work: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, E>,
) -> Result<T, Trouble>
where
    Trouble: From<E>,
{
    let (mut reader, mut writer) = io::pipe().or_fault(|| "reading a backup")?;
    let ended = |fault: &Trouble| match fault {
        Trouble::Fault(fault) => fault
            .io()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe),
        Trouble::Refused(_) | Trouble::Stopped => false,
    };
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut count = 0;
            let mut take = |bytes: &[u8]| {
                count += bytes.len() as u64;
                watcher.at(count, "read from the backup");
                Ok(writer
                    .write_all(bytes)
                    .or_fault(|| "handing on what restic reads")?)
            };
            repository.read(snapshot, path, &mut take, watcher)
        });
        let worked = work(&mut reader).inspect(|_worked| {
            // An archive has blocks behind its end, and restic is to end by itself.
            let _ = io::copy(&mut reader, &mut io::sink());
        });
        drop(reader);
        let read = reading
            .join()
            .unwrap_or_else(|_| Err(Fault::new("reading a backup has failed").into()));
        match (read, worked) {
            (Err(trouble), _) if !ended(&trouble) => Err(trouble),
            (_, worked) => worked.map_err(Trouble::from),
        }
    })
}

fn add_folder<W: Write>(builder: &mut Builder<W>, top: &str) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    builder.append_data(&mut header, format!("{top}/"), io::empty())
}

/// Adds what an archive has, below `top`, where `wanted` says so.
fn add<W: Write>(
    builder: &mut Builder<W>,
    from: &mut dyn Read,
    top: &str,
    wanted: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), Fault> {
    let packing = || "packing files";
    let mut archive = Archive::new(from);
    for entry in archive.entries().or_fault(packing)? {
        let entry = entry.or_fault(packing)?;
        let path = entry.path_bytes().into_owned();
        if !wanted(path.strip_suffix(b"/").unwrap_or(&path)) {
            continue;
        }
        let path = below(top, &path);
        let mut header = entry.header().clone();
        header.set_size(entry.size());
        match entry.link_name_bytes().map(std::borrow::Cow::into_owned) {
            Some(link) => {
                // A hard link leads to another name of the archive, a symbolic one anywhere.
                let link = match header.entry_type() {
                    EntryType::Link => below(top, &link),
                    _symbolic => link,
                };
                builder.append_link(&mut header, path_of(&path), path_of(&link))
            }
            None => builder.append_data(&mut header, path_of(&path), entry),
        }
        .or_fault(packing)?;
    }
    Ok(())
}

fn below(top: &str, path: &[u8]) -> Vec<u8> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    if top.is_empty() {
        return path.to_owned();
    }
    [top.as_bytes(), b"/", path].concat()
}

fn path_of(bytes: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt;
    std::path::Path::new(std::ffi::OsStr::from_bytes(bytes))
}
