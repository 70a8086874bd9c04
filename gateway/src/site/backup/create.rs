//! Makes backups. Files are kept before the database and again after it, and what either has belongs
//! to the backup: so every row of the database has its file, whatever the site does meanwhile.

use std::fs;
use std::path::Path;
use std::sync::PoisonError;

use git2::Oid;
use jiff::{SignedDuration, Timestamp};
use policy::{Elements, Environment, PersonName, SiteName};

use super::aside::Aside;
use super::content::{self, Now};
use super::repository::{Repository, Stored, size};
use super::restic::bytes;
use super::{Followed, bundle, name, retain, tags, undone, upkeep};
use crate::audit::Outcome;
use crate::config::MOST_DAYS;
use crate::crash;
use crate::database::{Copying, Database, Events, Trouble, Watcher};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::workflow::Undone;
use crate::site::{Run, Sites};
use crate::state::{
    Backup, BackupElements, BackupKind, CodeBackup, DatabaseBackup, FilesBackup, for_people,
};

/// What is to be kept, and for how long.
#[derive(Debug, Clone)]
pub struct Making {
    /// Which parts.
    pub elements: Elements,
    /// For how many days.
    pub keep_days: u32,
    /// What it is made for.
    pub kind: BackupKind,
    /// The same, for people.
    pub why: String,
}

/// Makes a backup of the permit's environment. The caller holds its turn.
///
/// # Errors
/// [`Undone`]; there is no backup then.
pub fn create(
    sites: &Sites,
    run: &Run,
    mut permit: Permit,
    making: &Making,
) -> Result<Backup, Undone> {
    run.perform(&making.why, || {
        let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
        let person = permit.who().person.clone();
        let made = run.step("backup", || {
            make(sites, run, (&site, &environment), &person, making)
        });
        match &made {
            Ok(backup) => {
                permit.describe(format!("backup {}, {}", backup.id, told(backup)));
                permit.finish(Outcome::Done)?;
            }
            Err(undone) => {
                permit.describe(undone.to_string());
                permit.finish(Outcome::Failed)?;
            }
        }
        made
    })
}

/// Makes a backup of files and database before they are replaced or emptied, inside the workflow
/// that does it; `why` says what that is. On a server without restic it says so and makes none, but
/// on Live, where nothing is replaced then.
///
/// # Errors
/// [`Undone`]; nothing may be replaced then.
pub fn snapshot_before(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    why: &str,
) -> Result<Option<Backup>, Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    if let Some(missing) = sites.backups.unavailable() {
        if matches!(environment, Environment::Live) {
            return Err(Undone::Impossible(format!(
                "Live is not changed without a backup of it first. {missing}"
            )));
        }
        run.say(&format!("No backup is made first. {missing}"));
        return Ok(None);
    }
    let making = Making {
        elements: super::CONTENT,
        keep_days: sites.backups.settings.keep_before_days,
        kind: BackupKind::Before,
        why: why.to_owned(),
    };
    let person = permit.who().person.clone();
    run.step("backup", || {
        make(sites, run, (&site, &environment), &person, &making)
    })
    .map(Some)
}

/// What a backup has, in a few words.
pub(super) fn told(backup: &Backup) -> String {
    let mut parts = Vec::new();
    if let Some(elements) = &backup.elements {
        if let Some(files) = &elements.files {
            let size = bytes(files.bytes);
            parts.push(format!("{} files ({size})", files.files));
        }
        if let Some(database) = &elements.database {
            let size = bytes(database.bytes);
            parts.push(format!("a database ({size})"));
        }
        if let Some(code) = &elements.code {
            let commit: String = code.commit.chars().take(10).collect();
            parts.push(format!("code {commit}"));
        }
    }
    parts.join(", ")
}

pub(super) fn make(
    sites: &Sites,
    run: &Run,
    (site, environment): (&SiteName, &Environment),
    person: &PersonName,
    making: &Making,
) -> Result<Backup, Undone> {
    let found = content::now(sites, site, environment)?;
    if making.elements == super::Element::Code.alone() && found.commit.is_none() {
        return Err(Undone::Impossible(format!(
            "{site}.{environment} has never been deployed, so it has no code to back up."
        )));
    }
    if making.elements == super::Element::Database.alone() && found.database.is_none() {
        return Err(Undone::Impossible(format!(
            "{site}.{environment} has no database that the gateway knows."
        )));
    }
    let repository = sites.backups.repository(&sites.layout.site(site));
    make_ready(sites, site, &repository).map_err(|trouble| undone(Some(run), trouble))?;
    let backup = begin(sites, (site, environment), person, making)?;
    let _making = Being::made(sites, &backup);
    crash::point("backup-begun");
    let turn = sites.backups.turn(site);
    let shared = turn.read().unwrap_or_else(PoisonError::into_inner);
    let watcher = Followed::new(run);
    let filling = Filling {
        sites,
        run,
        repository: &repository,
        backup: &backup,
        watcher: &watcher,
    };
    let filled = filling.all(&found, making.elements).and_then(|elements| {
        crash::point("backup-stored");
        sites.state.end_backup(&backup, Some(&elements))?;
        Ok(elements)
    });
    drop(shared);
    match filled {
        Ok(elements) => {
            crash::point("backup-listed");
            let backup = Backup {
                elements: Some(elements),
                ..backup
            };
            run.say(&format!(
                "Backup {}: {}; kept until {}.",
                backup.id,
                told(&backup),
                for_people(backup.expires)
            ));
            Ok(backup)
        }
        Err(trouble) => {
            // What is not cleared now is cleared later: only what has its row complete is a backup.
            if let Err(trouble) = upkeep::remove(sites, &repository, &backup) {
                tracing::warn!("what is left of a backup that failed stays for now: {trouble:?}");
            }
            Err(undone(Some(run), trouble))
        }
    }
}

/// Sees to it that there is a repository, and room in it.
fn make_ready(sites: &Sites, site: &SiteName, repository: &Repository) -> Result<(), Trouble> {
    if let Some(missing) = sites.backups.unavailable() {
        return Err(Trouble::Refused(missing));
    }
    let turn = sites.backups.turn(site);
    if !repository.exists() {
        let _alone = turn.write().unwrap_or_else(PoisonError::into_inner);
        repository.make()?;
    }
    let most = sites.backups.settings.max_site_bytes;
    let is_over = || {
        let size = size(&repository.folder()).unwrap_or_default();
        most > 0 && size >= most
    };
    if is_over() {
        let _alone = turn.write().unwrap_or_else(PoisonError::into_inner);
        while is_over() {
            let all = sites.state.all_backups(Some(site))?;
            let Some(oldest) = retain::first_to_go(&all) else {
                return Err(Trouble::Refused(format!(
                    "The backups of {site} take all of the {} that they may, and none is left that \
                     was made automatically. The server's administrator can raise \
                     backups.max_site_bytes; else this works again when older ones have had their time.",
                    bytes(most)
                )));
            };
            tracing::info!(%site, id = oldest.id, "a backup makes room");
            upkeep::remove_alone(sites, repository, oldest)?;
            repository.prune()?;
        }
    }
    Ok(())
}

/// Writes down that a backup is being made, under a name that no other of its environment has.
fn begin(
    sites: &Sites,
    (site, environment): (&SiteName, &Environment),
    person: &PersonName,
    making: &Making,
) -> Result<Backup, Fault> {
    let model = sites.state.model();
    let made = model
        .environment(site, environment)
        .map(|found| found.created)
        .ok_or_else(|| Fault::new("the environment is gone"))?;
    let mut time =
        Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_else(|_| Timestamp::now());
    let taken = sites.state.all_backups(Some(site))?;
    let id = |time: Timestamp| time.strftime("%Y-%m-%dT%H-%M-%S_UTC").to_string();
    while taken
        .iter()
        .any(|one| one.environment == *environment && one.id == id(time))
    {
        time += SignedDuration::from_secs(1);
    }
    let days = i64::from(making.keep_days.clamp(1, MOST_DAYS));
    let backup = Backup {
        id: id(time),
        site: site.clone(),
        environment: environment.clone(),
        made,
        time,
        expires: time + SignedDuration::from_hours(24 * days),
        kind: making.kind,
        why: making.why.clone(),
        person: person.clone(),
        elements: None,
    };
    sites.state.begin_backup(&backup)?;
    Ok(backup)
}

/// Says, while it lasts, that a backup is being made, so that nobody takes it for a leftover.
struct Being<'a>(&'a Sites, super::Name);

impl<'a> Being<'a> {
    fn made(sites: &'a Sites, backup: &Backup) -> Self {
        let name = name(backup);
        let mut making = sites.backups.making.lock();
        let making = making.as_mut().map(|making| making.insert(name.clone()));
        let _ = making;
        Self(sites, name)
    }
}

impl Drop for Being<'_> {
    fn drop(&mut self) {
        let making = &self.0.backups.making;
        let mut making = making.lock().unwrap_or_else(PoisonError::into_inner);
        making.remove(&self.1);
    }
}

struct Filling<'a> {
    sites: &'a Sites,
    run: &'a Run,
    repository: &'a Repository,
    backup: &'a Backup,
    watcher: &'a dyn Watcher,
}

/// What tells the snapshots of one backup apart.
const BEFORE: &str = "element=files-before";
const AFTER: &str = "element=files";
const DATABASE: &str = "element=database";
const CODE: &str = "element=code";

impl Filling<'_> {
    fn all(&self, found: &Now, wanted: Elements) -> Result<BackupElements, Trouble> {
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
            before = Some(self.snapshot(BEFORE)?);
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
            elements.files = Some(FilesBackup {
                before,
                snapshot: String::new(),
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
        Ok(files.next())
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
        if let Some(files) = &mut elements.files {
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
