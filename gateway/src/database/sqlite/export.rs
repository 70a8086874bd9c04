//! Writes databases out as they are at one moment: one as its file, which `sqlite3` opens; several as
//! an archive of their files (tar).
//!
//! Why a file and no statements: it is exact (encoding, page size, full-text indexes, what the
//! statements of one version cannot say to another), is written ten times faster, and is what SQLite's
//! own documentation has as a format for archives.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{copy, folder, folder_of};
use crate::database::{Copying, Database, Trouble};
use crate::fault::{Fault, OrFault};

/// A folder for a copy that is being sent, beside the databases, so that blocks can be shared.
struct Aside(PathBuf);

impl Aside {
    fn beside(databases: &Path) -> Result<Self, Fault> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let doing = || "making room for the copy of a database that is exported";
        let parent = databases
            .parent()
            .ok_or_else(|| Fault::new("databases lie in the root folder"))?;
        let ours = format!("{PREFIX}{}-", std::process::id());
        for entry in fs::read_dir(parent).or_fault(doing)? {
            let name = entry.or_fault(doing)?.file_name();
            let name = name.to_string_lossy();
            // What a gateway has left that was killed.
            if name.starts_with(PREFIX) && !name.starts_with(&ours) {
                let _ = fs::remove_dir_all(parent.join(&*name));
            }
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{ours}{number}"));
        fs::create_dir(&path).or_fault(doing)?;
        Ok(Self(path))
    }
}

const PREFIX: &str = ".export-";

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(in crate::database) fn export(
    database: &Database,
    out: &mut (dyn Write + Send),
    how: &Copying<'_>,
) -> Result<(), Trouble> {
    let doing = || "exporting SQLite databases";
    let source = fs::canonicalize(folder_of(database)?).or_fault(doing)?;
    let aside = Aside::beside(&source)?;
    copy::copy(&source, &aside.0, how)?;
    let databases = folder::held(&aside.0)?.databases;
    match databases.as_slice() {
        [] => {
            return Err(Trouble::Refused(
                "there is no database yet: the site has not made one".into(),
            ));
        }
        [only] => {
            let mut file = File::open(aside.0.join(only)).or_fault(doing)?;
            send(&mut file, out, how)?;
        }
        several => {
            let mut archive = tar::Builder::new(Told { out, how });
            for inside in several {
                copy::going_on(how)?;
                let mut file = File::open(aside.0.join(inside)).or_fault(doing)?;
                archive.append_file(inside, &mut file).or_fault(doing)?;
            }
            archive.finish().or_fault(doing)?;
        }
    }
    out.flush().or_fault(doing)?;
    Ok(())
}

fn send(file: &mut File, out: &mut dyn Write, how: &Copying<'_>) -> Result<(), Trouble> {
    let doing = || "exporting an SQLite database";
    let mut sent = 0;
    loop {
        copy::going_on(how)?;
        let part = io::copy(&mut io::Read::take(&mut *file, 1 << 20), out).or_fault(doing)?;
        if part == 0 {
            return Ok(());
        }
        sent += part;
        how.watcher.at(sent, "");
    }
}

/// An output that ends when whoever asked has said to stop.
struct Told<'a, 'h> {
    out: &'a mut (dyn Write + Send),
    how: &'a Copying<'h>,
}

impl Write for Told<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.how.watcher.stopped() {
            return Err(io::Error::other("stopped"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
