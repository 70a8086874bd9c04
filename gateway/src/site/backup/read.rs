//! What backups there are, and what is in them, handed out.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::PoisonError;

use jiff::Timestamp;
use policy::{Environment, SiteName};

use super::repository::Snapshots;
use super::{Element, archive, existing, undone};
use crate::audit::Outcome;
use crate::database::{Trouble, Watcher};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::workflow::Undone;
use crate::site::{Sites, covers};
use crate::state::{Backup, State};

/// How well an environment is backed up.
#[derive(Debug, Clone)]
pub struct Health {
    /// Its newest backup that has files and, if there is one, the database.
    pub newest: Option<Backup>,
    /// Whether more are made by themselves.
    pub scheduled: bool,
    /// When the site's backups were last checked, and what was wrong.
    pub checked: Option<(Timestamp, Option<String>)>,
}

/// Returns how well an environment is backed up.
///
/// # Errors
/// When the state cannot be read.
pub fn health(state: &State, site: &SiteName, environment: &Environment) -> Result<Health, Fault> {
    let newest = state.backups(site, environment)?.into_iter().find(|one| {
        let elements = one.elements.as_ref();
        elements.is_some_and(|elements| elements.files.is_some())
    });
    let scheduled = state
        .backup_schedules()?
        .iter()
        .any(|one| one.site == *site && one.environment == *environment);
    Ok(Health {
        newest,
        scheduled,
        checked: state.backup_check(site)?,
    })
}

/// Returns a backup of an environment by its id, or the newest for `latest`.
///
/// # Errors
/// [`Undone::Impossible`] when there is none.
pub fn find(
    state: &State,
    site: &SiteName,
    environment: &Environment,
    id: &str,
) -> Result<Backup, Undone> {
    let known = state.backups(site, environment)?;
    let found = known.into_iter().find(|one| id == LATEST || one.id == id);
    found.ok_or_else(|| {
        Undone::Impossible(match id {
            LATEST => format!(
                "{site}.{environment} has no backup; backup:create {site}.{environment} makes one."
            ),
            _other => format!(
                "{site}.{environment} has no backup '{}'; backup:list {site}.{environment} shows them.",
                policy::escape(id.as_bytes())
            ),
        })
    })
}

/// The newest.
const LATEST: &str = "latest";

/// Returns the name of an element's archive, as Pantheon forms it.
pub fn file_name(backup: &Backup, element: Element) -> String {
    let kept = backup.elements.as_ref();
    let names = kept
        .and_then(|elements| elements.database.as_ref())
        .map_or(0, |database| database.names.len());
    let ending = match (element, names) {
        (Element::Code, _) => "code.bundle",
        (Element::Files, _) => "files.tar.gz",
        (Element::Database, 0) => "database.sql.gz",
        (Element::Database, 1) => "database.sqlite.gz",
        (Element::Database, _) => "database.tar.gz",
    };
    format!(
        "{}_{}_{}_{ending}",
        backup.site, backup.environment, backup.id
    )
}

/// Writes one element of a backup: files as a `.tar.gz`, the database as a `.sql.gz` or, SQLite's, as its
/// file, code as a git bundle. The permit ends with it.
///
/// # Errors
/// [`Undone`]; what was written is then cut off, and must not be taken for whole.
pub fn get(
    sites: &Sites,
    mut permit: Permit,
    backup: &Backup,
    element: Element,
    out: &mut (dyn Write + Send),
    watcher: &dyn Watcher,
) -> Result<(), Undone> {
    covers(&permit, &backup.site)?;
    let written = write(sites, backup, element, out, watcher);
    let name = file_name(backup, element);
    match &written {
        Ok(()) => {
            permit.describe(name);
            permit.finish(Outcome::Done)?;
        }
        Err(trouble) => {
            permit.describe(format!("{name}: {trouble:?}"));
            permit.finish(Outcome::Failed)?;
        }
    }
    written.map_err(|trouble| undone(None, trouble))
}

/// As [`get`], into the environment's `/backups`, where it appears when it is whole. Returns its name.
///
/// # Errors
/// [`Undone`]; there is then no such file.
pub fn get_into(
    sites: &Sites,
    permit: Permit,
    backup: &Backup,
    element: Element,
    name: Option<&str>,
    watcher: &dyn Watcher,
) -> Result<String, Undone> {
    let name = match name {
        Some(name) if is_plain(name) => name.to_owned(),
        Some(name) => {
            permit.forget();
            return Err(Undone::Impossible(format!(
                "'{}' is no name for a file in /backups: give one without slashes that begins with \
                 no dot.",
                policy::escape(name.as_bytes())
            )));
        }
        None => file_name(backup, element),
    };
    let environment = permit.environment()?.clone();
    let folder = sites
        .layout
        .site(&backup.site)
        .environment(&environment)
        .backups();
    let doing = || "writing a backup into /backups".to_owned();
    let half = folder.join(format!(".{name}.part"));
    let _ = fs::remove_file(&half);
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&half);
    let mut file = match opened.or_fault(doing) {
        Ok(file) => file,
        Err(fault) => {
            permit.forget();
            return Err(fault.into());
        }
    };
    let done = get(sites, permit, backup, element, &mut file, watcher).and_then(|()| {
        file.sync_all()
            .and_then(|()| fs::rename(&half, folder.join(&name)))
            .or_fault(doing)
            .map_err(Undone::from)
    });
    if done.is_err() {
        let _ = fs::remove_file(&half);
    }
    done.map(|()| name)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && !name.contains('/')
        && !name.chars().any(char::is_control)
}

fn write(
    sites: &Sites,
    backup: &Backup,
    element: Element,
    out: &mut dyn Write,
    watcher: &dyn Watcher,
) -> Result<(), Trouble> {
    let lacks = || {
        Trouble::Refused(format!(
            "The backup {} has no {element}; it has {}.",
            backup.id,
            super::create::told(backup)
        ))
    };
    let elements = backup.elements.as_ref().ok_or_else(lacks)?;
    let turn = sites.backups.turn(&backup.site);
    let _shared = turn.read().unwrap_or_else(PoisonError::into_inner);
    let repository = existing(sites, &backup.site)?;
    match element {
        Element::Files => {
            let files = elements.files.as_ref().ok_or_else(lacks)?;
            let top = format!("files_{}", backup.environment);
            archive::files(&repository, Snapshots::of(files), &top, out, watcher)
        }
        Element::Database => {
            let kept = elements.database.as_ref().ok_or_else(lacks)?;
            let snapshot = kept.snapshot.as_str();
            match kept.names.as_slice() {
                [] => {
                    let place = (snapshot, "/database.sql");
                    archive::compressed(&repository, place, out, watcher)
                }
                [only] => {
                    let place = (snapshot, &*format!("/{only}"));
                    archive::compressed(&repository, place, out, watcher)
                }
                _several => {
                    let snapshots = Snapshots {
                        before: None,
                        after: snapshot,
                    };
                    archive::files(&repository, snapshots, "", out, watcher)
                }
            }
        }
        Element::Code => {
            let kept = elements.code.as_ref().ok_or_else(lacks)?;
            let place = (kept.snapshot.as_str(), "/code.bundle");
            archive::plain(&repository, place, out, watcher)
        }
    }
}
