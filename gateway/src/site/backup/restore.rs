//! Brings a backup back. Files and database are built as a new content that nobody is pointed to, and
//! switched to together.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::PoisonError;

use policy::{Elements, Environment, SiteName};

use super::aside::Aside;
use super::repository::{Repository, Snapshots};
use super::{Element, Followed, archive, create, existing, read, restore_code, undone};
use crate::crash;
use crate::database::{Copying, Database, Filled, Form, Trouble, Watcher};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::content::{self, Fresh, Parts};
use crate::site::workflow::Undone;
use crate::site::{Run, Sites};
use crate::state::{Backup, BackupElements};
use crate::steps_file::Event;

/// What is brought back, and where from.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The backup.
    pub backup: Backup,
    /// Which parts of it.
    pub elements: Elements,
}

/// Finds the backup `id` of `from` and says what of it would be restored. Without `element` that is
/// its content: files and database, as far as it has them.
///
/// # Errors
/// [`Undone::Impossible`] when there is no such backup, or it lacks what is asked for.
pub fn plan(
    sites: &Sites,
    site: &SiteName,
    from: &Environment,
    id: &str,
    element: Option<Element>,
) -> Result<Plan, Undone> {
    let backup = read::find(&sites.state, site, from, id)?;
    let has = backup
        .elements
        .as_ref()
        .ok_or_else(|| Fault::new("a backup without what it has"))?;
    let wanted = element.map_or(super::CONTENT, Element::alone);
    let elements = Elements {
        code: wanted.code && has.code.is_some(),
        files: wanted.files && has.files.is_some(),
        database: wanted.database && has.database.is_some(),
    };
    if elements == Elements::default() {
        let what = element.map_or("files or database", Element::as_str);
        return Err(Undone::Impossible(format!(
            "The backup {} of {site}.{from} has no {what}; it has {}.",
            backup.id,
            create::told(&backup)
        )));
    }
    Ok(Plan { backup, elements })
}

/// Restores it to the permit's environment, all or nothing. The caller holds its turn. Returns what the
/// person should know.
///
/// # Errors
/// [`Undone`]; the environment has the content and the code that it had.
pub fn restore(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    plan: &Plan,
) -> Result<Vec<String>, Undone> {
    let backup = &plan.backup;
    let note = format!("{} of {}", backup.id, backup.environment);
    run.perform(&note, || {
        if plan.elements.code {
            return restore_code::restore(sites, run, permit, backup);
        }
        restore_content(sites, run, permit, plan)
    })
}

fn restore_content(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    plan: &Plan,
) -> Result<Vec<String>, Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let backup = &plan.backup;
    let why = format!("before restoring {} of {}", backup.id, backup.environment);
    let former = match create::snapshot_before(sites, run, &permit, &why) {
        Ok(former) => former,
        Err(undone) => return Err(content::end(permit, undone)),
    };
    let parts = Parts {
        files: plan.elements.files,
        database: plan.elements.database,
    };
    let origin = format!(
        "{} from the backup {} of {}",
        parts.words(),
        backup.id,
        backup.environment
    );
    let filled = Fresh::begin(sites, &permit, parts, origin).and_then(|fresh| {
        match fill(sites, run, (&site, &environment), plan, &fresh) {
            Ok(()) => Ok(fresh),
            Err(undone) => {
                fresh.discard(sites, &permit);
                Err(undone)
            }
        }
    });
    let fresh = match filled {
        Ok(fresh) => fresh,
        Err(undone) => return Err(content::end(permit, undone)),
    };
    // From elsewhere it is content that comes down: what a site does to private data then, it does now.
    let event = match environment == backup.environment {
        true => Event::Restore,
        false => Event::CloneContent,
    };
    fresh.switch_to(sites, run, permit, event)?;
    let mut told = vec![format!(
        "Restored {} of the backup {} of \"{}\" to \"{environment}\".",
        parts.words(),
        backup.id,
        backup.environment
    )];
    if let Some(former) = former {
        told.push(format!(
            "What was there before is the backup {}, kept until {}.",
            former.id,
            crate::state::for_people(former.expires)
        ));
    }
    Ok(told)
}

/// Fills a new content from a backup.
fn fill(
    sites: &Sites,
    run: &Run,
    (site, environment): (&SiteName, &Environment),
    plan: &Plan,
    fresh: &Fresh,
) -> Result<(), Undone> {
    let backup = &plan.backup;
    let has: &BackupElements = backup
        .elements
        .as_ref()
        .ok_or_else(|| Fault::new("a backup without what it has"))?;
    let turn = sites.backups.turn(site);
    let _shared = turn.read().unwrap_or_else(PoisonError::into_inner);
    let told = |trouble| undone(Some(run), trouble);
    let repository = existing(sites, site).map_err(told)?;
    let watcher = Followed::new(run);
    if let Some(kept) = has.files.as_ref().filter(|_| plan.elements.files) {
        run.step("restore_files", || {
            run.say(&format!("Restoring {} files …", kept.files));
            files(&repository, Snapshots::of(kept), &fresh.files(), &watcher).map_err(told)
        })?;
        crash::point("restored-files");
    }
    if let Some(kept) = has.database.as_ref().filter(|_| plan.elements.database) {
        let Some(database) = fresh.database().filter(|it| it.engine() == kept.engine) else {
            return Err(Undone::Impossible(format!(
                "The database of this backup is {}, and {site} has {}; a restore does not translate. \
                 Nothing was changed: --element files restores the files alone.",
                kept.engine.as_str(),
                fresh.database().map_or("none", |it| it.engine().as_str())
            )));
        };
        let (replacement, without_rows, events) =
            content::on_the_way(sites, site, &backup.environment, environment)?;
        run.step("restore_database", || {
            run.say("Restoring the database …");
            let how = Copying {
                without_rows: &without_rows,
                replacement: replacement.as_ref(),
                events,
                watcher: &watcher,
            };
            let filled = match kept.names.is_empty() {
                true => import(&repository, &kept.snapshot, database, &how),
                false => copy_back(&repository, &kept.snapshot, database, &how),
            };
            let filled = filled.map_err(told)?;
            run.say(&format!("{} tables, {} rows.", filled.tables, filled.rows));
            for note in filled.notes {
                run.say(&note);
            }
            Ok::<_, Undone>(())
        })?;
        crash::point("restored-database");
    }
    Ok(())
}

/// Writes the files of a backup into a folder that is empty: those that were there after the database
/// was kept, and those that had gone since they were first.
pub(super) fn files(
    repository: &Repository,
    snapshots: Snapshots<'_>,
    target: &Path,
    watcher: &dyn Watcher,
) -> Result<(), Trouble> {
    if snapshots.after.is_empty() {
        return Ok(());
    }
    repository.restore(snapshots.after, &[], target, watcher)?;
    let lost = repository.lost(snapshots)?;
    let Some(before) = snapshots.before.filter(|_| !lost.is_empty()) else {
        return Ok(());
    };
    let doing = || format!("restoring into {}", target.display());
    let beside = target.with_extension("gone");
    let clear = || match fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).or_fault(|| format!("clearing {}", beside.display()))
        }
        _gone => Ok(()),
    };
    clear()?;
    fs::create_dir(&beside).or_fault(doing)?;
    // A command line holds only so many names.
    let only = match lost.len() > MOST_NAMED {
        true => &[][..],
        false => &lost[..],
    };
    let restored = repository
        .restore(before, only, &beside, watcher)
        .and_then(|()| {
            for path in &lost {
                put_back(&beside, target, path).or_fault(doing)?;
            }
            Ok(())
        });
    clear()?;
    restored
}

/// Moves what is missing in its place; what is there is newer and stays.
fn put_back(from: &Path, to: &Path, path: &str) -> std::io::Result<()> {
    let path = path.trim_start_matches('/');
    let (from, to) = (from.join(path), to.join(path));
    if fs::symlink_metadata(&to).is_ok() {
        return Ok(());
    }
    // It moved with the folder that it is in.
    if fs::symlink_metadata(&from).is_err() {
        return Ok(());
    }
    if let Some(above) = to.parent() {
        fs::create_dir_all(above)?;
    }
    fs::rename(&from, &to)
}

/// So many names go on a command line.
const MOST_NAMED: usize = 500;

fn import(
    repository: &Repository,
    snapshot: &str,
    database: &Database,
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    let place = (snapshot, "/database.sql");
    archive::piped(repository, place, how.watcher, |from| {
        let mut from = BufReader::with_capacity(64 << 10, from);
        let head = from.fill_buf().or_fault(|| "reading a backup")?;
        let form = match head.starts_with(b"PGDMP") {
            true => Form::PostgresqlCustom,
            false => Form::Sql,
        };
        database.import(&mut from, form, how)
    })
}

/// Fills a folder of SQLite databases, by way of one beside the repository, since the copy is what
/// replaces names and leaves rows out.
fn copy_back(
    repository: &Repository,
    snapshot: &str,
    database: &Database,
    how: &Copying<'_>,
) -> Result<Filled, Trouble> {
    let aside = Aside::new(repository)?;
    repository.restore(snapshot, &[], aside.path(), how.watcher)?;
    let copy = Database::Sqlite {
        folder: aside.path().to_owned(),
    };
    copy.copy_to(database, how)
}
