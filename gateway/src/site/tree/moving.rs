//! Moves from one area to another, and the removal of whole folders.
//!
//! Such a move copies and then removes. A plain rename would keep the file itself: its other hard
//! links, and the handles that are open on it, would then reach an area whose rules they were never
//! asked for.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstatat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::change::{Replace, rename_within, rights};
use super::copying::{copy_portion, must_fit};
use super::listing::is_hidden;
use super::obstacle::Obstacle;
use super::walk::{self, Kind};
use super::{QUIET, Tree};
use crate::fault::Fault;
use crate::gate::Permit;

/// A name in an open folder.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a [u8],
}

impl Tree {
    /// Moves what `from` names to `to`, in another area. The new name appears at once and whole;
    /// only then is the old one removed.
    pub(super) fn move_across(
        &self,
        permit: &Permit,
        from: Named<'_>,
        to: Named<'_>,
        replace: Replace,
    ) -> Result<(), Obstacle> {
        if replace == Replace::Never {
            match fstatat(to.folder, to.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Err(Errno::ENOENT) => {}
                Ok(_taken) => return Err(Errno::EEXIST.into()),
                Err(errno) => return Err(errno.into()),
            }
        }
        let incident = permit
            .incident()
            .ok_or_else(|| Fault::new("a permit to rename has no incident id"))?;
        let waiting = Named {
            folder: self.parts.folder(),
            name: incident.as_str().as_bytes(),
        };
        let moved = copy(from, waiting, (0, self.reserve))
            .and_then(|()| rename_within(waiting, to, replace));
        if let Err(obstacle) = moved {
            if let Err(Obstacle::System(errno)) = remove_all(waiting)
                && errno != Errno::ENOENT
            {
                tracing::error!("the copy of an unfinished move could not be removed: {errno}");
            }
            return Err(obstacle);
        }
        remove_all(from)
    }
}

/// Removes a name with all below it. Links are removed, not followed.
pub(super) fn remove_all(what: Named<'_>) -> Result<(), Obstacle> {
    let stat = fstatat(what.folder, what.name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if Kind::of(&stat) != Kind::Directory {
        return Ok(unlinkat(
            what.folder,
            what.name,
            UnlinkatFlags::NoRemoveDir,
        )?);
    }
    let folder = open_folder(what)?;
    for name in names(&folder)? {
        remove_all(Named {
            folder: folder.as_fd(),
            name: &name,
        })?;
    }
    Ok(unlinkat(what.folder, what.name, UnlinkatFlags::RemoveDir)?)
}

/// Copies a name with all below it; `inside` is how deep in the copy this is.
fn copy(from: Named<'_>, to: Named<'_>, (inside, reserve): (usize, u64)) -> Result<(), Obstacle> {
    if inside > DEEPEST {
        return Err(Errno::ENAMETOOLONG.into());
    }
    let stat = fstatat(from.folder, from.name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    match Kind::of(&stat) {
        Kind::File => copy_file(from, to, &stat, reserve),
        Kind::Directory => copy_folder(from, to, &stat, (inside, reserve)),
        Kind::Link => {
            use std::os::unix::ffi::OsStringExt;
            let content = readlinkat(from.folder, from.name)?.into_vec();
            // The one that is moved itself was looked at before; one inside the folder that is
            // moved must not lead out of that.
            if inside > 0 && !stays_within(&content, inside - 1) {
                return Err(Obstacle::LeadsOut);
            }
            Ok(symlinkat(content.as_slice(), to.folder, to.name)?)
        }
        Kind::Special => Err(Obstacle::Special),
    }
}

/// Copies a file, if it leaves `reserve` bytes of the disk free.
pub(super) fn copy_file(
    from: Named<'_>,
    to: Named<'_>,
    stat: &FileStat,
    reserve: u64,
) -> Result<(), Obstacle> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | QUIET;
    let source = openat(
        from.folder,
        from.name,
        flags | OFlag::O_RDONLY,
        Mode::empty(),
    )?;
    walk::plain(&source)?;
    let create = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    let target = openat(to.folder, to.name, flags | create, rights(0o600))?;
    let (source, target) = (File::from(source), File::from(target));
    must_fit(&source, 0, u64::MAX, &target, reserve)?;
    let mut done = 0;
    loop {
        match copy_portion(&source, done, &target, done, (u64::MAX, PORTION), reserve)? {
            0 => break,
            count => done += count,
        }
    }
    keep_attributes(&target, stat)
}

fn copy_folder(
    from: Named<'_>,
    to: Named<'_>,
    stat: &FileStat,
    (inside, reserve): (usize, u64),
) -> Result<(), Obstacle> {
    let source = open_folder(from)?;
    mkdirat(to.folder, to.name, rights(0o700))?;
    let target = open_folder(to)?;
    for name in names(&source)? {
        if is_hidden(&name) {
            return Err(Obstacle::Special);
        }
        let from = Named {
            folder: source.as_fd(),
            name: &name,
        };
        let to = Named {
            folder: target.as_fd(),
            name: &name,
        };
        copy(from, to, (inside + 1, reserve))?;
    }
    keep_attributes(&target, stat)
}

fn keep_attributes(target: impl AsFd, stat: &FileStat) -> Result<(), Obstacle> {
    fchmod(&target, rights(stat.st_mode))?;
    let accessed = TimeSpec::new(stat.st_atime, stat.st_atime_nsec);
    let modified = TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec);
    Ok(futimens(target, &accessed, &modified)?)
}

pub(super) fn open_folder(what: Named<'_>) -> Result<OwnedFd, Obstacle> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(what.folder, what.name, flags, Mode::empty())?)
}

/// Returns the names in a folder but `.` and `..`.
pub(super) fn names(folder: &OwnedFd) -> Result<Vec<Vec<u8>>, Obstacle> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(folder.try_clone()?)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

/// Returns true if a link that lies `depth` folders deep stays within them.
pub(in crate::site) fn stays_within(content: &[u8], depth: usize) -> bool {
    if content.first() == Some(&b'/') {
        return false;
    }
    let mut steps = content
        .split(|byte| *byte == b'/')
        .filter(|step| !step.is_empty() && *step != b".")
        .skip_while({
            let mut climbs = 0;
            move |step| {
                climbs += 1;
                *step == b".." && climbs <= depth
            }
        });
    // What a later `..` climbs from cannot be told from the text.
    !steps.any(|step| step == b"..")
}

/// Folders within folders, more than any site has.
const DEEPEST: usize = 128;
const PORTION: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_within_a_moved_folder_stay_in_it() {
        for (content, depth) in [(&b"a"[..], 0), (b"../a", 1), (b"../../a/b", 2), (b"./a", 0)] {
            assert!(stays_within(content, depth), "{content:?}");
        }
        for (content, depth) in [
            (&b"/a"[..], 3),
            (b"../a", 0),
            (b"a/../b", 5),
            (b"../../a", 1),
        ] {
            assert!(!stays_within(content, depth), "{content:?}");
        }
    }
}
