//! Where a symbolic link would lead to.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use policy::SitePath;

use super::obstacle::Obstacle;
use super::{Tree, walk};
use crate::gate::Permit;

impl Tree {
    /// Returns true if a link at `path` with this content would lead out of the area that the
    /// permit lets be read, or if that cannot be known: an absolute link, one that climbs above the
    /// area, one that goes through another link that does.
    ///
    /// Our own walk follows none of these in any case; but a web server on the same tree might.
    ///
    /// # Errors
    /// When the place of the link cannot be reached.
    pub fn leads_out(
        &self,
        permit: &Permit,
        path: &SitePath,
        content: &[u8],
    ) -> Result<bool, Obstacle> {
        if content.first() == Some(&b'/') {
            return Ok(true);
        }
        let area = self.readable(permit)?.ok_or(Errno::ENOENT)?;
        let Some((folder, _name)) = walk::parent(area, path)? else {
            return Ok(false);
        };
        let steps: Vec<&[u8]> = content
            .split(|byte| *byte == b'/')
            .filter(|step| !step.is_empty() && *step != b".")
            .collect();
        let climbs = steps.iter().take_while(|step| **step == b"..").count();
        if climbs > 0 && climbs > depth(area, folder.as_fd())? {
            return Ok(true);
        }
        let from_area = match path.split_last() {
            Some((above, _name)) if !above.is_empty() => [above.as_bytes(), content].join(&b'/'),
            Some(_) | None => content.to_vec(),
        };
        match walk::resolve(area, &from_area, OFlag::O_PATH, Mode::empty()) {
            Ok(_) => Ok(false),
            Err(Obstacle::LeadsOut) => Ok(true),
            // Nothing is there yet. A later `..` would climb from wherever the steps before it
            // lead by then.
            Err(_) => Ok(steps.iter().skip(climbs).any(|step| *step == b"..")),
        }
    }
}

/// Counts the steps from a folder up to the area that it is in.
fn depth(area: BorrowedFd<'_>, folder: BorrowedFd<'_>) -> Result<usize, Obstacle> {
    let top = fstat(area)?;
    let mut here = folder.try_clone_to_owned()?;
    for steps in 0..DEEPEST {
        let stat = fstat(&here)?;
        if (stat.st_dev, stat.st_ino) == (top.st_dev, top.st_ino) {
            return Ok(steps);
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        here = openat(&here, "..", flags, Mode::empty())?;
    }
    Err(Errno::ENAMETOOLONG.into())
}

/// No path of a site has more components.
const DEEPEST: usize = 2048;
