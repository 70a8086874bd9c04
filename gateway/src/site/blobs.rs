//! The bytes of files in a repository. One handle serves one thread.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use git2::{Odb, Oid, Repository};

use super::{git, repository};
use crate::fault::{Fault, OrFault};

/// A repository, open for reading files.
pub(super) struct Blobs {
    repository: Repository,
    quarantine: Option<PathBuf>,
}

impl Blobs {
    /// Opens a repository, and the objects of a push that are not part of it yet.
    pub(super) fn open(path: &Path, quarantine: Option<&Path>) -> Result<Self, Fault> {
        let repository = match quarantine {
            Some(objects) => repository::open_in_quarantine(path, objects)?,
            None => repository::open(path)?,
        };
        Ok(Self {
            repository,
            quarantine: quarantine.map(Path::to_path_buf),
        })
    }

    /// Returns a small file's bytes.
    pub(super) fn read(&self, blob: Oid) -> Result<Vec<u8>, Fault> {
        let doing = || format!("reading the object {blob}");
        let odb = self.odb()?;
        if size(&odb, blob)? > IN_MEMORY {
            return Err(Fault::new(format!("{}: it is too large", doing())));
        }
        let found = odb.read(blob).or_fault(doing)?;
        Ok(found.data().to_vec())
    }

    /// Writes a file's bytes to an open file.
    pub(super) fn copy(&self, blob: Oid, mut to: File) -> Result<(), Fault> {
        let doing = || format!("copying the object {blob}");
        let odb = self.odb()?;
        if size(&odb, blob)? <= IN_MEMORY {
            let found = odb.read(blob).or_fault(doing)?;
            return to.write_all(found.data()).or_fault(doing);
        }
        let mut command = git::command(self.repository.path());
        if let Some(quarantine) = &self.quarantine {
            command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted(quarantine)?);
        }
        let output = command
            .args(["cat-file", "blob", &blob.to_string()])
            .stdout(Stdio::from(to))
            .stderr(Stdio::piped())
            .output()
            .or_fault(doing)?;
        git::succeed(output, &doing()).map(drop)
    }

    fn odb(&self) -> Result<Odb<'_>, Fault> {
        self.repository
            .odb()
            .or_fault(|| "opening the objects of a repository")
    }
}

fn size(odb: &Odb<'_>, blob: Oid) -> Result<usize, Fault> {
    let (size, _) = odb
        .read_header(blob)
        .or_fault(|| format!("reading the size of the object {blob}"))?;
    Ok(size)
}

/// Git separates these paths by colons but for those in quotes.
fn quoted(path: &Path) -> Result<String, Fault> {
    let path = path
        .to_str()
        .ok_or_else(|| Fault::new("the path of a push's objects is not UTF-8"))?;
    let path = path.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("\"{path}\""))
}

/// Larger files go through git, which does not hold them in memory.
pub(super) const IN_MEMORY: usize = 16 << 20;
