//! A whole site from one archive: its code as a commit, its files and its database, brought together.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use policy::{Environment, SiteName};

use super::fresh::{Fresh, end, remove_folder};
use super::import::{self, load};
use super::progress::{Progress, undone};
use super::spool::Source;
use super::{Parts, room};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::files::{self, Deleting};
use crate::site::import::{ImportError, code_of};
use crate::site::multidev::{self, Brought};
use crate::site::repository::{self, MergeError};
use crate::site::workflow::{Run, Undone};
use crate::site::{Author, Sites, crash};
use crate::steps_file::Event;

/// What an archive of a site has, in the places that people put it.
#[derive(Debug, Default)]
struct Found {
    code: Option<PathBuf>,
    files: Option<PathBuf>,
    database: Option<PathBuf>,
}

/// Brings the code, the files and the database of an archive to an environment, all or nothing: `code/`,
/// `files/` and a dump such as `database.sql.gz`. What it has not stays as it is. Returns what the
/// person should know.
///
/// # Errors
/// [`Undone`]; code and content are what they were.
pub fn import_site(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    source: Source,
) -> Result<Vec<String>, Undone> {
    let described = source.described();
    run.perform(&described, || {
        let layout = sites
            .layout
            .site(permit.site()?)
            .environment(permit.environment()?);
        let spool = layout.uploads().join(format!("import-{}", run.id()));
        let done = bring(sites, run, permit, source, &spool);
        if let Err(fault) = remove_folder(&spool) {
            tracing::warn!("what a site was imported from is left: {fault}");
        }
        done
    })
}

fn bring(
    sites: &Sites,
    run: &Run,
    permit: Permit,
    source: Source,
    spool: &Path,
) -> Result<Vec<String>, Undone> {
    let place = (permit.site()?.clone(), permit.environment()?.clone());
    let described = source.described();
    let found = match run.step("unpack", || unpack(sites, run, &place, source, spool)) {
        Ok(found) => found,
        Err(undone) => return Err(end(permit, undone)),
    };
    let fresh = match fill(sites, run, &permit, &place, &found) {
        Ok(fresh) => fresh,
        Err(undone) => return Err(end(permit, undone)),
    };
    crash::point("site-unpacked");
    let told = vec![format!("Imported the site to {}.{}.", place.0, place.1)];
    let Some(code) = found.code else {
        return match fresh {
            Some(fresh) => fresh
                .switch_to(sites, run, permit, Event::Import)
                .map(|()| told),
            None => Err(end(permit, Undone::Impossible(LACKING.to_owned()))),
        };
    };
    let files = match run.step("import_code", || keep(sites, &place.0, &code)) {
        Ok(files) => files,
        Err(undone) => {
            if let Some(fresh) = fresh {
                fresh.discard(sites, &permit);
            }
            return Err(end(permit, undone));
        }
    };
    let message = format!("Import the site from {described}\n");
    let brought = Brought {
        kind: "import_site",
        message: &message,
        make: |_permit: &Permit, repository: &Repository, ours, author: &Author| {
            commit(repository, ours, &files, &message, author).map_err(MergeError::Fault)
        },
        nothing: String::new(),
    };
    let content = fresh.map(|fresh| fresh.change(sites));
    multidev::bring_with(sites, run, permit, brought, content)?;
    Ok(told)
}

/// Keeps the code in the site's repository, where nothing points to it yet.
fn keep(sites: &Sites, site: &SiteName, code: &Path) -> Result<Files, Undone> {
    let model = sites.state.model();
    let uploads = model
        .sites
        .get(site)
        .and_then(|site| site.files_path.clone());
    let repository = repository::open(&sites.layout.site(site).repository())?;
    code_of(&repository, code, uploads.as_ref()).map_err(|error| match error {
        ImportError::Unsuitable(sentence) => Undone::Impossible(sentence),
        ImportError::Fault(fault) => Undone::Fault(fault),
    })
}

type Files = BTreeMap<Vec<u8>, (Oid, crate::site::contents::Kind)>;

fn commit(
    repository: &Repository,
    ours: Oid,
    files: &Files,
    message: &str,
    author: &Author,
) -> Result<Oid, Fault> {
    let doing = || "making a commit of imported code";
    let tree = crate::site::store::write_tree(repository, files)?;
    let parent = repository.find_commit(ours).or_fault(doing)?;
    if parent.tree_id() == tree {
        // The content is to come all the same.
        return Ok(ours);
    }
    let tree = repository.find_tree(tree).or_fault(doing)?;
    let signature = author.signature()?;
    let commit = repository
        .commit(None, &signature, &signature, message, &tree, &[&parent])
        .or_fault(doing)?;
    repository::make_durable(repository, commit)?;
    Ok(commit)
}

fn unpack(
    sites: &Sites,
    run: &Run,
    place: &(SiteName, Environment),
    source: Source,
    spool: &Path,
) -> Result<Found, Undone> {
    fs::create_dir_all(spool).or_fault(|| "making a place for an archive")?;
    import::unpack(sites, run, place, source, spool)?;
    let found = look(spool)?;
    match found {
        Found {
            code: None,
            files: None,
            database: None,
        } => Err(Undone::Impossible(LACKING.to_owned())),
        found => Ok(found),
    }
}

const LACKING: &str = "The archive has nothing of a site at its top: a folder 'code', a folder 'files', \
                       or a dump such as 'database.sql.gz'. Nothing was changed.";

/// Finds the parts; everything may lie in one folder more.
fn look(folder: &Path) -> Result<Found, Fault> {
    let doing = || "looking at an archive of a site";
    let mut found = Found::default();
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).or_fault(doing)? {
        let entry = entry.or_fault(doing)?;
        let kind = entry.file_type().or_fault(doing)?;
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        if kind.is_dir() {
            if name == "code" {
                found.code = Some(entry.path());
            } else if name == "files" || name.starts_with("files_") {
                found.files = Some(entry.path());
            }
            folders.push(entry.path());
        } else if kind.is_file() && is_dump(&name) {
            found.database = Some(entry.path());
        }
    }
    match (&found, folders.as_slice()) {
        (
            Found {
                code: None,
                files: None,
                database: None,
            },
            [only],
        ) if only.parent() == Some(folder)
            && fs::read_dir(folder).or_fault(doing)?.count() == 1 =>
        {
            look(only)
        }
        _found => Ok(found),
    }
}

fn is_dump(name: &str) -> bool {
    let bare = [".gz", ".zst", ".xz"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    [".sql", ".sqlite", ".db", ".dump"]
        .iter()
        .any(|ending| bare.ends_with(ending))
}

fn fill(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    place: &(SiteName, Environment),
    found: &Found,
) -> Result<Option<Fresh>, Undone> {
    let parts = Parts {
        database: found.database.is_some(),
        files: found.files.is_some(),
    };
    if !parts.database && !parts.files {
        return Ok(None);
    }
    let fresh = Fresh::begin(sites, permit, parts, "an archive of a site".to_owned())?;
    let filled = (|| {
        if let Some(from) = &found.files {
            run.step("import_files", || {
                let progress = Progress::new(run);
                let room = room(sites, &place.0, &place.1)?;
                files::copy(from, &fresh.files(), Deleting::Gone, &room, &progress)
                    .map_err(|trouble| undone(run, trouble))
            })?;
        }
        if let Some(dump) = &found.database {
            run.step("import_database", || {
                let file = File::open(dump).or_fault(|| "opening a dump")?;
                let source = Source::Stream(Box::new(file));
                load(sites, run, place, source, &fresh, &mut Vec::new())
            })?;
        }
        Ok::<(), Undone>(fresh.complete(sites, permit)?)
    })();
    match filled {
        Ok(()) => Ok(Some(fresh)),
        Err(undone) => {
            fresh.discard(sites, permit);
            Err(undone)
        }
    }
}
