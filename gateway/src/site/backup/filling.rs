//! What goes into a backup: files, the database, files again, code.

use std::fs;
use std::path::Path;

use git2::Oid;
use policy::Elements;

use super::aside::Aside;
use super::content::Now;
use super::repository::{Repository, Stored};
use super::{bundle, tags};
use crate::crash;
use crate::database::{Copying, Database, Events, Trouble, Watcher};
use crate::fault::{Fault, OrFault};
use crate::site::{Run, Sites};
use crate::state::{Backup, BackupElements, CodeBackup, DatabaseBackup, FilesBackup};

/// One that is being filled.
pub(super) struct Filling<'a> {
    pub sites: &'a Sites,
    pub run: &'a Run,
    pub repository: &'a Repository,
    pub backup: &'a Backup,
    pub watcher: &'a dyn Watcher,
}

/// What tells the snapshots of one backup apart.
const BEFORE: &str = "element=files-before";
const AFTER: &str = "element=files";
const DATABASE: &str = "element=database";
const CODE: &str = "element=code";

impl Filling<'_> {
    /// Keeps what is wanted, and says what it was.
    ///
    /// # Errors
    /// [`Trouble`]; what has been kept is to be removed.
    pub(super) fn all(&self, found: &Now, wanted: Elements) -> Result<BackupElements, Trouble> {
        let mut elements = BackupElements::default();
        let database = match found.database.as_ref().filter(|_| wanted.database) {
            Some(database) if database.tables()?.is_empty() => {
                self.run
                    .say("The database has no tables yet, so the backup has none.");
                None
            }
            other => other,
        };
        let mut before = None;
        if wanted.files && database.is_some() {
            self.run.say("Keeping files …");
            let stored = self.files(found, BEFORE, self.former()?.as_deref())?;
            elements.added += stored.added;
            if !stored.empty {
                before = Some(self.snapshot(BEFORE)?);
            }
            crash::point("backup-files");
        }
        if let Some(database) = database {
            self.run.say("Keeping the database …");
            let how = Copying {
                without_rows: &[],
                replacement: None,
                events: Events::Kept,
                watcher: self.watcher,
            };
            let (stored, names) = match database {
                Database::Sqlite { .. } => self.folder_of(database, &how)?,
                Database::Served { .. } => (
                    self.repository.keep_stream(
                        "database.sql",
                        &self.tags(DATABASE),
                        Box::new(|out| database.export(out, &how)),
                        self.watcher,
                    )?,
                    Vec::new(),
                ),
            };
            elements.added += stored.added;
            elements.database = Some(DatabaseBackup {
                snapshot: String::new(),
                engine: database.engine(),
                names,
                bytes: stored.bytes,
            });
            crash::point("backup-database");
        }
        if wanted.files {
            let again = match before {
                Some(_) => "Keeping files that have come meanwhile …",
                None => "Keeping files …",
            };
            self.run.say(again);
            let former = match &before {
                Some(before) => Some(before.clone()),
                None => self.former()?,
            };
            let stored = self.files(found, AFTER, former.as_deref())?;
            elements.added += stored.added;
            // What all went away meanwhile is what the first pass has.
            let snapshot = match stored.empty {
                true => before.take().unwrap_or_default(),
                false => AFTER.to_owned(),
            };
            elements.files = Some(FilesBackup {
                before,
                snapshot,
                files: stored.files,
                bytes: stored.bytes,
            });
        }
        if let Some(commit) = found.commit.filter(|_| wanted.code) {
            self.run.say("Keeping code …");
            elements.code = Some(self.code(commit, &found.branch, &mut elements.added)?);
        }
        self.named(elements)
    }

    fn files(&self, found: &Now, mark: &str, former: Option<&str>) -> Result<Stored, Trouble> {
        let tags = self.tags(mark);
        self.repository
            .keep(&found.files, &tags, former, self.watcher)
    }

    /// Keeps a folder of SQLite databases: a copy of it as it is at one moment, since a site knows them
    /// by their names, and may have several.
    fn folder_of(
        &self,
        database: &Database,
        how: &Copying<'_>,
    ) -> Result<(Stored, Vec<String>), Trouble> {
        let aside = Aside::new(self.repository)?;
        let copy = Database::Sqlite {
            folder: aside.path().to_owned(),
        };
        copy.create()?;
        database.copy_to(&copy, how)?;
        let names = names(aside.path())?;
        let tags = self.tags(DATABASE);
        let stored = self
            .repository
            .keep(aside.path(), &tags, None, self.watcher)?;
        Ok((stored, names))
    }

    fn code(&self, commit: Oid, branch: &str, added: &mut u64) -> Result<CodeBackup, Trouble> {
        let folder = self.sites.layout.site(&self.backup.site).repository();
        let stored = self.repository.keep_stream(
            "code.bundle",
            &self.tags(CODE),
            Box::new(|out| bundle::write(&folder, commit, branch, &mut &mut *out)),
            self.watcher,
        )?;
        *added += stored.added;
        Ok(CodeBackup {
            snapshot: String::new(),
            commit: commit.to_string(),
            bytes: stored.bytes,
        })
    }

    /// The newest snapshot of the environment's files, of which only what has changed since is read.
    fn former(&self) -> Result<Option<String>, Trouble> {
        let known = self
            .sites
            .state
            .backups(&self.backup.site, &self.backup.environment)?;
        let mut files = known
            .into_iter()
            .filter_map(|one| one.elements?.files.map(|files| files.snapshot));
        Ok(files.find(|snapshot| !snapshot.is_empty()))
    }

    fn tags(&self, mark: &str) -> Vec<String> {
        let mut tags = tags(self.backup);
        tags.push(mark.to_owned());
        tags
    }

    fn snapshot(&self, mark: &str) -> Result<String, Trouble> {
        let found = self.repository.snapshots(&self.tags(mark))?;
        found
            .into_iter()
            .next_back()
            .map(|one| one.id)
            .ok_or_else(|| Fault::new("restic does not list what it has just kept").into())
    }

    /// Asks restic for the names of all snapshots: what it does not list is not there.
    fn named(&self, mut elements: BackupElements) -> Result<BackupElements, Trouble> {
        let found = self.repository.snapshots(&tags(self.backup))?;
        let of = |mark: &str| {
            found
                .iter()
                .find(|one| one.tags.iter().any(|tag| tag == mark))
                .map(|one| one.id.clone())
                .ok_or_else(|| Fault::new("restic does not list what it has just kept"))
        };
        if let Some(files) = elements.files.as_mut().filter(|it| it.snapshot == AFTER) {
            files.snapshot = of(AFTER)?;
        }
        if let Some(database) = &mut elements.database {
            database.snapshot = of(DATABASE)?;
        }
        if let Some(code) = &mut elements.code {
            code.snapshot = of(CODE)?;
        }
        Ok(elements)
    }
}

/// The files of a folder, by their paths in it.
fn names(folder: &Path) -> Result<Vec<String>, Fault> {
    let doing = || "listing the databases of a backup";
    let mut names = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(above) = left.pop() {
        for entry in fs::read_dir(above).or_fault(doing)? {
            let entry = entry.or_fault(doing)?;
            let kind = entry.file_type().or_fault(doing)?;
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                let inside = path.strip_prefix(folder).or_fault(doing)?;
                names.push(inside.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}
