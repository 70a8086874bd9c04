//! One folder: what is in it is shared out, what is not in its source any more goes.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, futimens, mkdirat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, fchown};

use super::{BATCH, Deleting, Job, Node, Pair, Work, deep};
use crate::database::Trouble;
use crate::fault::OrFault;
use crate::site::files::room::not_written;
use crate::site::folder::{Folder, Standing, gone, is_other_kind, standing};

impl Work<'_> {
    /// Copies what is right in a folder, or shares it out.
    pub(super) fn folder(&self, node: &Arc<Node>) -> Result<(), Trouble> {
        self.go_on()?;
        let Some(source) = self.open_source(node)? else {
            return Ok(());
        };
        let target = deep(self.target, &node.path).or_fault(|| self.doing("opening", node))?;
        let pair = Arc::new(Pair {
            node: Arc::clone(node),
            source,
            target,
        });
        if !node.fresh {
            self.make_writable(&pair.target, node)?;
            if self.deleting == Deleting::Gone {
                self.remove_gone(&pair)?;
            }
        }
        let doing = || self.doing("reading", node);
        // A handle of its own, since what lists holds a place in it.
        let listed = pair.source.below(b"").or_fault(doing)?;
        let mut batch = Vec::new();
        for entry in Dir::from_fd(listed.as_fd().try_clone_to_owned().or_fault(doing)?)
            .or_fault(doing)?
            .iter()
        {
            let entry = entry.or_fault(doing)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                Some(Type::File) => Standing::File,
                Some(Type::Symlink) => Standing::Link,
                Some(Type::Directory) => Standing::Folder,
                Some(_) => Standing::Special,
                None => match pair.source.stat(name) {
                    Ok(stat) => standing(&stat),
                    Err(error) if gone(&error) => continue,
                    Err(error) => return Err(error).or_fault(doing).map_err(Trouble::Fault),
                },
            };
            match kind {
                Standing::File | Standing::Link => {
                    batch.push(name.to_vec());
                    if batch.len() >= BATCH
                        && let Some(names) = self.share(&pair, std::mem::take(&mut batch))
                    {
                        self.files(&pair, &names)?;
                    }
                }
                Standing::Folder => {
                    let fresh = self.make_folder(&pair, name)?;
                    self.push(Job::Folder(node.below(name, fresh)));
                }
                Standing::Special => self.skip(&node.path_of(name)),
            }
        }
        self.files(&pair, &batch)
    }

    /// Notes that a job in a folder is done; the last one gives the folder its rights and times.
    pub(super) fn finished(&self, node: &Arc<Node>) -> Result<(), Trouble> {
        let mut node = node;
        while node.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.dress(node)?;
            match &node.above {
                Some(above) => node = above,
                None => break,
            }
        }
        Ok(())
    }

    fn dress(&self, node: &Node) -> Result<(), Trouble> {
        let Some(source) = self.open_source(node)? else {
            return Ok(());
        };
        let doing = || self.doing("finishing", node);
        let like = fstat(&source).or_fault(doing)?;
        let target = deep(self.target, &node.path).or_fault(doing)?;
        let now = fstat(&target).or_fault(doing)?;
        dress(&target, &like, &now, FOLDER_RIGHTS).or_fault(doing)?;
        Ok(())
    }

    /// Opens a folder of the source; none if it is not there any more.
    fn open_source(&self, node: &Node) -> Result<Option<Folder>, Trouble> {
        match deep(self.source, &node.path) {
            Ok(folder) => Ok(Some(folder)),
            Err(error) if gone(&error) || is_other_kind(&error) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(unreadable("folder", &node.path))
            }
            Err(error) => Err(error)
                .or_fault(|| self.doing("opening", node))
                .map_err(Trouble::Fault),
        }
    }

    /// Makes a folder where there is none; returns whether it did.
    fn make_folder(&self, pair: &Pair, name: &[u8]) -> Result<bool, Trouble> {
        let doing = || self.doing("making a folder in", &pair.node);
        match self.deleting {
            Deleting::Gone => self.room.take(0, 1)?,
            Deleting::Nothing => {}
        }
        self.room.on_disk(&pair.target, 0)?;
        for _ in 0..ATTEMPTS {
            match mkdirat(&pair.target, name, Mode::S_IRWXU) {
                Ok(()) => {
                    if self.deleting == Deleting::Nothing {
                        self.room.take(0, 1)?;
                    }
                    return Ok(true);
                }
                Err(Errno::EEXIST) => match pair.target.stat(name) {
                    Ok(stat) if standing(&stat) == Standing::Folder => return Ok(false),
                    Ok(_) => pair.target.remove(name).or_fault(doing)?,
                    Err(error) if gone(&error) => {}
                    Err(error) => return Err(error).or_fault(doing).map_err(Trouble::Fault),
                },
                Err(errno) => return Err(not_written(errno.into(), doing)),
            }
        }
        Err(Errno::EEXIST).or_fault(doing).map_err(Trouble::Fault)
    }

    /// A folder of an earlier copy may forbid what has to be done in it.
    fn make_writable(&self, target: &Folder, node: &Node) -> Result<(), Trouble> {
        let doing = || self.doing("opening", node);
        let mode = fstat(target).or_fault(doing)?.st_mode;
        if mode & 0o700 != 0o700 {
            let mode = Mode::from_bits_truncate(mode & 0o7777) | Mode::S_IRWXU;
            fchmod(target, mode).or_fault(doing)?;
        }
        Ok(())
    }

    /// Removes what the source does not have, or has as something else.
    fn remove_gone(&self, pair: &Pair) -> Result<(), Trouble> {
        let doing = || self.doing("clearing", &pair.node);
        let listed = pair.target.below(b"").or_fault(doing)?;
        for entry in Dir::from_fd(listed.as_fd().try_clone_to_owned().or_fault(doing)?)
            .or_fault(doing)?
            .iter()
        {
            let entry = entry.or_fault(doing)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let is = nix::sys::stat::fstatat(&pair.source, name, AtFlags::AT_SYMLINK_NOFOLLOW);
            let stays = match is {
                Ok(stat) => match (standing(&stat), entry.file_type()) {
                    (Standing::Special, _) => false,
                    (Standing::Folder, Some(kind)) => kind == Type::Directory,
                    (Standing::File | Standing::Link, Some(kind)) => kind != Type::Directory,
                    (_, None) => true,
                },
                Err(Errno::ENOENT) => false,
                Err(errno) => return Err(errno).or_fault(doing).map_err(Trouble::Fault),
            };
            if !stays {
                self.go_on()?;
                pair.target.remove_all(name.to_bytes()).or_fault(doing)?;
                self.count.removed.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    pub(super) fn doing(&self, what: &str, node: &Node) -> String {
        format!(
            "{what} '{}' while copying files",
            policy::escape(&node.path)
        )
    }
}

/// Gives a file or folder the group, rights and times of another, as far as it has others.
pub(super) fn dress(
    target: impl AsFd,
    like: &FileStat,
    now: &FileStat,
    rights: u32,
) -> Result<(), Errno> {
    if now.st_gid != like.st_gid {
        // A group that the gateway is not in stays with its source.
        match fchown(&target, None, Some(Gid::from_raw(like.st_gid))) {
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    if now.st_mode & 0o7777 != like.st_mode & rights || now.st_gid != like.st_gid {
        fchmod(&target, Mode::from_bits_truncate(like.st_mode & rights))?;
    }
    if (now.st_mtime, now.st_mtime_nsec) != (like.st_mtime, like.st_mtime_nsec) {
        let accessed = TimeSpec::new(like.st_atime, like.st_atime_nsec);
        let modified = TimeSpec::new(like.st_mtime, like.st_mtime_nsec);
        futimens(&target, &accessed, &modified)?;
    }
    Ok(())
}

/// A person's files that the gateway may not read have to be told: a copy without them is none.
pub(super) fn unreadable(what: &str, path: &[u8]) -> Trouble {
    Trouble::Refused(format!(
        "The {what} '{}' cannot be read by the gateway, so nothing is copied. Give it the right to \
         (chmod u+r, or the group's for what the web server has written), or remove it.",
        policy::escape(path)
    ))
}

/// Of a folder its group and its sticky bit stay, which sharing with a web server needs.
const FOLDER_RIGHTS: u32 = 0o3777;
const ATTEMPTS: usize = 8;
