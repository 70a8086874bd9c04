//! Copies on the server: holes stay holes, blocks are shared where the file system can, and some of
//! the disk stays free. A request of a few bytes can copy a terabyte, which no upload can.

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, copy_file_range, fallocate, fcntl};
use nix::sys::stat::fstat;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{Whence, ftruncate, lseek};

use super::obstacle::Obstacle;

/// What copies, and caches, must leave free on the disk, in bytes: uploads and deploys go before.
pub const RESERVE: u64 = 1 << 30;

/// Makes sure that a part of a file can be copied to where `target` lies and leaves `reserve` bytes
/// free there. Where blocks may be shared, that shows only on the way, portion by portion.
///
/// # Errors
/// [`Obstacle::NoRoom`] when it cannot.
pub(super) fn must_fit(
    source: &File,
    from: u64,
    length: u64,
    target: &File,
    reserve: u64,
) -> Result<(), Obstacle> {
    let shares = fstatfs(target)
        .is_ok_and(|found| [BTRFS_SUPER_MAGIC, XFS_SUPER_MAGIC].contains(&found.filesystem_type()));
    if shares {
        return Ok(());
    }
    let stat = fstat(source)?;
    let long = stat.st_size.unsigned_abs().saturating_sub(from).min(length);
    let on_disk = stat.st_blocks.unsigned_abs().saturating_mul(BLOCK);
    must_be_free(target, long.min(on_disk), reserve)
}

/// Copies a portion: a hole of up to `length` bytes at once, or up to `at_once` bytes of content.
/// Returns how long it was; nothing at the end of the source.
///
/// # Errors
/// When it cannot be read or written, or would not leave `reserve` bytes of the disk free.
pub(in crate::site) fn copy_portion(
    source: &File,
    from: u64,
    target: &File,
    to: u64,
    (length, at_once): (u64, u64),
    reserve: u64,
) -> Result<u64, Obstacle> {
    match extent(source, from)? {
        Extent::End => Ok(0),
        Extent::Hole(long) if make_hole(target, to, long.min(length))? => Ok(long.min(length)),
        Extent::Hole(long) | Extent::Content(long) => {
            let long = long.min(length).min(at_once);
            must_be_free(target, long, reserve)?;
            let long = usize::try_from(long).unwrap_or(usize::MAX);
            Ok(copy_between(source, from, target, to, long)? as u64)
        }
    }
}

/// What a file has at some offset, and how much of it follows, in bytes.
enum Extent {
    End,
    Hole(u64),
    Content(u64),
}

fn extent(file: &File, from: u64) -> Result<Extent, Errno> {
    let size = fstat(file)?.st_size.unsigned_abs();
    let rest = size.saturating_sub(from);
    let at = i64::try_from(from).map_err(|_| Errno::EINVAL)?;
    if rest == 0 {
        return Ok(Extent::End);
    }
    let distance = |found: i64| found.unsigned_abs().saturating_sub(from).min(rest);
    Ok(match lseek(file, at, Whence::SeekData) {
        Ok(content) if content > at => Extent::Hole(distance(content)),
        Ok(_) => match lseek(file, at, Whence::SeekHole) {
            Ok(hole) if hole > at => Extent::Content(distance(hole)),
            Ok(_) | Err(_) => Extent::Content(rest),
        },
        // No content from there to the end.
        Err(Errno::ENXIO) => Extent::Hole(rest),
        // A file system that does not tell.
        Err(_) => Extent::Content(rest),
    })
}

/// Makes a file read as zeros over a range without filling the disk. Returns false where the file
/// system cannot.
fn make_hole(target: &File, to: u64, length: u64) -> Result<bool, Errno> {
    let size = fstat(target)?.st_size.unsigned_abs();
    let flags = OFlag::from_bits_truncate(fcntl(target, FcntlArg::F_GETFL)?);
    let to = if flags.contains(OFlag::O_APPEND) {
        size
    } else {
        to
    };
    let end = to.checked_add(length).ok_or(Errno::EFBIG)?;
    let [from, end_within, end] =
        [to, end.min(size), end].map(|at| i64::try_from(at).map_err(|_| Errno::EFBIG));
    let (from, end_within, end) = (from?, end_within?, end?);
    if end_within > from {
        let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match fallocate(target, punch, from, end_within - from) {
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(false),
            other => other?,
        }
    }
    if end.unsigned_abs() > size {
        ftruncate(target, end)?;
    }
    Ok(true)
}

fn must_be_free(target: &File, bytes: u64, reserve: u64) -> Result<(), Obstacle> {
    let disk = fstatvfs(target)?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    if bytes.saturating_add(reserve) > free {
        return Err(Obstacle::NoRoom);
    }
    Ok(())
}

/// Lets the kernel copy where it can, by sharing blocks on some file systems.
pub(in crate::site) fn copy_between(
    source: &File,
    from: u64,
    target: &File,
    to: u64,
    length: usize,
) -> Result<usize, Errno> {
    let mut at = i64::try_from(from).map_err(|_| Errno::EINVAL)?;
    let mut onto = i64::try_from(to).map_err(|_| Errno::EFBIG)?;
    match copy_file_range(source, Some(&mut at), target, Some(&mut onto), length) {
        // Two file systems, one that cannot do it, or a file that is appended to.
        Err(Errno::EXDEV | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EBADF) => {
            let mut buffer = vec![0; length.min(COPY_PORTION)];
            let raw = |error: std::io::Error| {
                Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32))
            };
            let count = source.read_at(&mut buffer, from).map_err(raw)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            target.write_all_at(bytes, to).map_err(raw)?;
            Ok(count)
        }
        other => other,
    }
}

const COPY_PORTION: usize = 1 << 20;
/// What `st_blocks` counts, in bytes: `stat(2)`.
const BLOCK: u64 = 512;

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Copies as the callers do, to the end.
    fn copy(source: &File, from: u64, target: &File, to: u64, length: u64) {
        let mut done = 0;
        while done < length {
            let left = (length - done, 1 << 20);
            let count = copy_portion(source, from + done, target, to + done, left, 0).unwrap();
            if count == 0 {
                break;
            }
            done += count;
        }
    }

    fn file(folder: &tempfile::TempDir, name: &str) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.open(folder.path().join(name)).unwrap()
    }

    #[test]
    fn holes_stay_holes_and_content_is_exact() {
        let folder = tempfile::tempdir().unwrap();
        let source = file(&folder, "source");
        source.set_len(1 << 40).unwrap();
        source.write_all_at(&[7; 10_000], 1 << 30).unwrap();
        source.write_all_at(b"end", (1 << 40) - 3).unwrap();
        let target = file(&folder, "target");
        copy(&source, 0, &target, 0, u64::MAX);
        let about = target.metadata().unwrap();
        assert_eq!(about.len(), 1 << 40);
        assert!(
            about.blocks() * BLOCK < 1 << 20,
            "{} blocks",
            about.blocks()
        );
        let mut read = vec![0; 20_000];
        target.read_exact_at(&mut read, (1 << 30) - 5_000).unwrap();
        assert_eq!(read[..5_000], [0; 5_000]);
        assert_eq!(read[5_000..15_000], [7; 10_000]);
        assert_eq!(read[15_000..], [0; 5_000]);
        target.read_exact_at(&mut read[..5], (1 << 40) - 5).unwrap();
        assert_eq!(&read[..5], b"\0\0end");
    }

    #[test]
    fn a_hole_takes_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let source = file(&folder, "source");
        source.set_len(1 << 20).unwrap();
        let target = file(&folder, "target");
        target.write_all_at(&[1; 100_000], 0).unwrap();
        copy(&source, 0, &target, 10, 50_000);
        copy(&source, 5, &target, 99_990, 20);
        let mut read = vec![9; 100_010];
        target.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(target.metadata().unwrap().len(), 100_010);
        assert_eq!(read[..10], [1; 10]);
        assert_eq!(read[10..50_010], vec![0; 50_000]);
        assert_eq!(read[50_010..99_990], vec![1; 49_980]);
        assert_eq!(read[99_990..], [0; 20]);
        // What is appended to grows at its end, wherever it should go.
        let appended = OpenOptions::new()
            .append(true)
            .open(folder.path().join("target"))
            .unwrap();
        copy(&source, 0, &appended, 0, 30);
        assert_eq!(target.metadata().unwrap().len(), 100_040);
    }

    #[test]
    fn what_has_to_stay_free_stays_free() {
        let folder = tempfile::tempdir().unwrap();
        let source = file(&folder, "source");
        source.set_len(1 << 30).unwrap();
        source.write_all_at(&[7; 100_000], 0).unwrap();
        let target = file(&folder, "target");
        let all = u64::MAX;
        assert!(must_fit(&source, 0, all, &target, 0).is_ok());
        let portion = copy_portion(&source, 0, &target, 0, (all, 1 << 20), all);
        assert!(matches!(portion, Err(Obstacle::NoRoom)));
        assert_eq!(target.metadata().unwrap().len(), 0);
        // A hole needs no room.
        let hole = copy_portion(&source, 1 << 20, &target, 0, (all, 1 << 20), all);
        assert_eq!(hole.unwrap(), (1 << 30) - (1 << 20));
    }
}
