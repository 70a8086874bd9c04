//! Which backups there are. What is in them is in a repository of restic's;
//! these rows say which of its snapshots make one backup, and only what has a row is a backup.

use jiff::Timestamp;
use policy::{Environment, PersonName, SiteName};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::State;
use super::model::{parse, rows};
use crate::database::Engine;
use crate::fault::{Fault, OrFault};

/// A row outlives its environment, so that a deleted Multidev that is brought back has its backups.
pub(super) const TABLE: &str = "
CREATE TABLE backup (
    site TEXT NOT NULL REFERENCES site(name) ON DELETE CASCADE,
    environment TEXT NOT NULL,
    made TEXT NOT NULL,
    id TEXT NOT NULL,
    time TEXT NOT NULL,
    expires TEXT NOT NULL,
    kind TEXT NOT NULL,
    why TEXT NOT NULL,
    person TEXT NOT NULL,
    elements TEXT,
    PRIMARY KEY (site, environment, id)
) STRICT;
";

/// What a backup was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupKind {
    /// Somebody asked for it.
    Manual,
    /// The schedule, on any day.
    Daily,
    /// The schedule, on the day of the week whose backups are kept for longer.
    Weekly,
    /// Content was about to be replaced or emptied.
    Before,
}

impl BackupKind {
    /// Returns the word for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            BackupKind::Manual => "manual",
            BackupKind::Daily => "daily",
            BackupKind::Weekly => "weekly",
            BackupKind::Before => "before",
        }
    }

    /// Whether nobody asked for it.
    pub fn is_automatic(self) -> bool {
        matches!(self, BackupKind::Daily | BackupKind::Weekly)
    }

    fn read(word: &str) -> Result<Self, Fault> {
        [Self::Manual, Self::Daily, Self::Weekly, Self::Before]
            .into_iter()
            .find(|kind| kind.as_str() == word)
            .ok_or_else(|| Fault::new(format!("reading '{word}' from the state")))
    }
}

/// A backup.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Its name, by its time: `2026-11-22T23-16-20_UTC`.
    pub id: String,
    /// The site.
    pub site: SiteName,
    /// The environment.
    pub environment: Environment,
    /// When that environment was made: another of the same name has not this backup.
    pub made: Timestamp,
    /// When it was begun.
    pub time: Timestamp,
    /// When it may go.
    pub expires: Timestamp,
    /// What it was made for.
    pub kind: BackupKind,
    /// The same, for people.
    pub why: String,
    /// By whom.
    pub person: PersonName,
    /// What it has; none while it is being made or removed.
    pub elements: Option<BackupElements>,
}

/// What a backup has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupElements {
    /// Uploads.
    pub files: Option<FilesBackup>,
    /// The database.
    pub database: Option<DatabaseBackup>,
    /// Code.
    pub code: Option<CodeBackup>,
    /// What it added to the repository, compressed, in bytes.
    pub added: u64,
}

/// The uploads of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesBackup {
    /// The snapshot taken before the database's, when there is one.
    pub before: Option<String>,
    /// The snapshot taken after it, whose files count where both have one; empty where there was nothing.
    pub snapshot: String,
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The database of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseBackup {
    /// The snapshot.
    pub snapshot: String,
    /// What it was read from.
    pub engine: Engine,
    /// SQLite's databases, by their paths in the folder, which is kept as it is; without any, what is
    /// kept is a dump.
    #[serde(default)]
    pub names: Vec<String>,
    /// Bytes of the dump.
    pub bytes: u64,
}

/// The code of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeBackup {
    /// The snapshot.
    pub snapshot: String,
    /// The commit that ran.
    pub commit: String,
    /// Bytes of the bundle.
    pub bytes: u64,
}

impl State {
    /// Writes down that a backup is being made; it is none until [`State::end_backup`].
    ///
    /// # Errors
    /// When there is one of that id, or it cannot be kept.
    pub fn begin_backup(&self, backup: &Backup) -> Result<(), Fault> {
        let doing = "beginning a backup";
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO backup
                         (site, environment, made, id, time, expires, kind, why, person)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    params![
                        backup.site.as_str(),
                        backup.environment.as_str(),
                        backup.made.to_string(),
                        backup.id,
                        backup.time.to_string(),
                        backup.expires.to_string(),
                        backup.kind.as_str(),
                        backup.why,
                        backup.person.as_str(),
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Writes down what a backup has, from when on it is one; with nothing, that it is none any more.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn end_backup(
        &self,
        backup: &Backup,
        elements: Option<&BackupElements>,
    ) -> Result<(), Fault> {
        let doing = "ending a backup";
        let elements = elements
            .map(serde_json::to_string)
            .transpose()
            .or_fault(|| doing)?;
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE backup SET elements = ?4
                     WHERE site = ?1 AND environment = ?2 AND id = ?3",
                    params![
                        backup.site.as_str(),
                        backup.environment.as_str(),
                        backup.id,
                        elements
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Forgets a backup of which nothing is left.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn forget_backup(&self, backup: &Backup) -> Result<(), Fault> {
        let doing = "forgetting a backup";
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "DELETE FROM backup WHERE site = ?1 AND environment = ?2 AND id = ?3",
                    params![backup.site.as_str(), backup.environment.as_str(), backup.id],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Returns all backups of a site or of all sites, the newest first; with them those of
    /// environments that are no more, and those that are being made or removed.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn all_backups(&self, site: Option<&SiteName>) -> Result<Vec<Backup>, Fault> {
        let found = rows(
            &self.reading(),
            "SELECT site, environment, made, id, time, expires, kind, why, person, elements
             FROM backup ORDER BY time DESC, id DESC",
            read_row,
        )?;
        found
            .into_iter()
            .filter(|row| {
                site.is_none_or(|site| row.0.first().is_some_and(|of| of == site.as_str()))
            })
            .map(backup)
            .collect()
    }

    /// Returns the backups of an environment, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn backups(
        &self,
        site: &SiteName,
        environment: &Environment,
    ) -> Result<Vec<Backup>, Fault> {
        let model = self.model();
        let made = model.environment(site, environment).map(|it| it.created);
        let mut found = self.all_backups(Some(site))?;
        found.retain(|one| {
            one.environment == *environment && Some(one.made) == made && one.elements.is_some()
        });
        Ok(found)
    }
}

/// The nine columns that are always there, and the elements.
type BackupRow = (Vec<String>, Option<String>);

fn read_row(row: &Row<'_>) -> Result<BackupRow, rusqlite::Error> {
    let texts = (0..9)
        .map(|place| row.get(place))
        .collect::<Result<_, _>>()?;
    Ok((texts, row.get(9)?))
}

fn backup((texts, elements): BackupRow) -> Result<Backup, Fault> {
    let Ok(
        [
            site,
            environment,
            made,
            id,
            time,
            expires,
            kind,
            why,
            person,
        ],
    ) = <[String; 9]>::try_from(texts)
    else {
        return Err(Fault::new("a row of another width"));
    };
    Ok(Backup {
        id,
        site: parse(&site)?,
        environment: parse(&environment)?,
        made: parse(&made)?,
        time: parse(&time)?,
        expires: parse(&expires)?,
        kind: BackupKind::read(&kind)?,
        why,
        person: parse(&person)?,
        elements: elements
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .or_fault(|| "reading what a backup has")?,
    })
}
