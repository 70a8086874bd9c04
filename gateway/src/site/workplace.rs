//! Where a program that works on an environment keeps what is not yet, or never, part of its tree: a
//! folder in the environment's `uploads`, which nobody sees and which lies on the same file system
//! as code and files wherever these do.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use policy::{Area, Target};
use sha2::{Digest, Sha256};

use super::covers;
use super::layout::EnvironmentLayout;
use super::tree::Tree;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;

/// A folder for one run of a program; removed with all in it when it is dropped.
#[derive(Debug)]
pub struct Workplace {
    environment: PathBuf,
    name: String,
}

/// The folder in an environment that holds workplaces.
const SPOOL: &str = "uploads";

/// How partial files are kept, by the beginning of their folder's name.
const PARTIAL: &str = "rsync-partial-";

/// How long the rest of a transfer may be waited for.
const PARTIAL_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Workplace {
    /// Makes a workplace in the environment of the permit; `name` is told to nobody else.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(layout: &EnvironmentLayout, permit: &Permit, name: &str) -> Result<Self, Fault> {
        covers(permit, layout.site())?;
        let workplace = Self {
            environment: layout.folder().to_path_buf(),
            name: format!("run-{name}"),
        };
        make(&workplace.path())?;
        Ok(workplace)
    }

    /// Returns the environment's folder.
    pub fn environment(&self) -> &Path {
        &self.environment
    }

    /// Returns the workplace's folder.
    pub fn path(&self) -> PathBuf {
        self.environment.join(SPOOL).join(&self.name)
    }

    /// Returns the folder as seen from the environment's own.
    pub fn inside(&self) -> String {
        format!("/{SPOOL}/{}", self.name)
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &[u8]) -> Result<PathBuf, Fault> {
        let path = self.path().join(name);
        fs::write(&path, text).or_fault(|| "writing a program's settings")?;
        Ok(path)
    }

    /// Makes a folder in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.path().join(name);
        make(&path)?;
        Ok(path)
    }

    /// Makes a pipe in it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn pipe(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.path().join(name);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).or_fault(|| "making a pipe")?;
        Ok(path)
    }

    /// Returns true if a file can be renamed from here to there.
    pub fn is_beside(&self, folder: &Path) -> bool {
        let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
        device(&self.path()).is_some_and(|own| Some(own) == device(folder))
    }

    /// Makes the folder in which files of cut-off transfers wait for their rest, or finds it as an
    /// earlier transfer of the same person to the same place left it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn partial(&self, permit: &Permit) -> Result<Partial, Fault> {
        let spool = self.environment.join(SPOOL);
        forget_old(&spool);
        let Target::Tree(_, _, area, path) = permit.target() else {
            return Err(Fault::new("partial files were asked for no place"));
        };
        let mut key = Sha256::new();
        for part in [
            permit.who().person.to_string().as_bytes(),
            area.as_str().as_bytes(),
            path.as_bytes(),
        ] {
            key.update((part.len() as u64).to_be_bytes());
            key.update(part);
        }
        let key = HEXLOWER.encode(key.finalize().get(..16).unwrap_or_default());
        let name = format!("{PARTIAL}{key}");
        let path = spool.join(&name);
        if !path.is_dir() {
            make(&path)?;
        }
        Ok(Partial {
            inside: format!("/{SPOOL}/{name}"),
            path,
        })
    }
}

/// A folder of partial files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// Where it is.
    pub path: PathBuf,
    /// Where it is as seen from the environment's own folder.
    pub inside: String,
}

/// Returns an area's folder as seen from the environment's own, if it has one.
pub fn area_folder(tree: &Tree, area: Area) -> Option<String> {
    match area {
        Area::Root => None,
        Area::Code if tree.generation() == 0 => None,
        Area::Code => Some(format!("generations/{}/code", tree.generation())),
        Area::Files if tree.files_store() > 0 => {
            Some(format!("stores/files-{}/files", tree.files_store()))
        }
        Area::Files | Area::Logs | Area::Tmp | Area::Backups => Some(area.as_str().to_owned()),
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(self.path()) {
            tracing::error!("a workplace could not be removed: {error}");
        }
    }
}

fn make(path: &Path) -> Result<(), Fault> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .or_fault(|| "making a folder for a program")
}

/// Removes partial files whose rest never came; what cannot be removed is left for the next time.
fn forget_old(spool: &Path) {
    let Ok(entries) = fs::read_dir(spool) else {
        return;
    };
    for entry in entries.flatten() {
        let is_old = entry
            .metadata()
            .and_then(|found| found.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > PARTIAL_KEPT));
        let is_partial = entry.file_name().to_string_lossy().starts_with(PARTIAL);
        if is_old && is_partial {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
