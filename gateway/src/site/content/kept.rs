//! A file in an environment's `/backups` that appears there when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::fault::OrFault;
use crate::gate::Permit;
use crate::site::Sites;
use crate::site::workflow::Undone;

/// A file that is being written; it goes with this, unless it was completed.
#[derive(Debug)]
pub struct Kept {
    file: File,
    half: PathBuf,
    whole: PathBuf,
}

/// The longest name, in bytes.
const LONGEST: usize = 200;

impl Kept {
    /// Begins it in the environment of the permit.
    ///
    /// # Errors
    /// [`Undone::Impossible`] when that is no name, or there is a file of that name; else a fault.
    pub fn begin(sites: &Sites, permit: &Permit, name: &str) -> Result<Self, Undone> {
        let shown = policy::escape(name.as_bytes());
        let plain = !name.is_empty()
            && name.len() <= LONGEST
            && !name.starts_with('.')
            && !name.contains('/')
            && !name.chars().any(char::is_control);
        if !plain {
            return Err(Undone::Impossible(format!(
                "'{shown}' is no name for a file in /backups: give one without slashes that begins with no dot."
            )));
        }
        let folder = sites
            .layout
            .site(permit.site()?)
            .environment(permit.environment()?)
            .backups();
        let whole = folder.join(name);
        if whole.symlink_metadata().is_ok() {
            return Err(Undone::Impossible(format!(
                "There is a file /backups/{shown} already; give another name."
            )));
        }
        let doing = || "writing into /backups";
        let half = folder.join(format!(".{:016x}.part", getrandom::u64().or_fault(doing)?));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&half)
            .or_fault(doing)?;
        Ok(Self { file, half, whole })
    }

    /// Gives it its name, now that all of it is on the disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn complete(self) -> Result<(), Undone> {
        let doing = || "writing into /backups";
        self.file.sync_all().or_fault(doing)?;
        // A link, and no renaming: what has come there meanwhile stays.
        match fs::hard_link(&self.half, &self.whole) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Undone::Impossible(
                "Another file of that name has come into /backups meanwhile.".to_owned(),
            )),
            done => Ok(done.or_fault(doing)?),
        }
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.half) {
            tracing::warn!(
                "an unfinished export is left as {}: {error}",
                self.half.display()
            );
        }
    }
}
