//! First commits: of a page that says that the site is new, or of a folder's files.

use std::collections::BTreeMap;
use std::path::Path;

use git2::{ObjectType, Oid, Repository};
use policy::{SiteName, SitePath, escape};

use super::{ImportError, Imported, TRUNK, unsuitable};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::contents::Kind;
use crate::site::folder::Folder;
use crate::site::repository::{MoveError, create, move_refs, unfit_name};
use crate::site::scan::{Looking, Scan, scan};
use crate::site::store::{Stored, store, write_tree};
use crate::site::{Author, git};
use crate::state::RefMove;

pub(super) fn first_page(
    permit: &Permit,
    site: &SiteName,
    path: &Path,
    trunk: Option<&str>,
    author: &Author,
) -> Result<Imported, ImportError> {
    let trunk = trunk.unwrap_or(TRUNK);
    let repository = create(permit, path, trunk)?;
    let page = repository
        .odb()
        .and_then(|odb| {
            odb.write(
                ObjectType::Blob,
                PAGE.replace("SITE", site.as_str()).as_bytes(),
            )
        })
        .or_fault(|| "writing the first page of a site")?;
    let files = BTreeMap::from([(b"index.html".to_vec(), (page, Kind::File))]);
    let commit = commit(permit, &repository, trunk, &files, author)?;
    Ok(Imported {
        trunk: trunk.to_owned(),
        commit,
        notes: Vec::new(),
    })
}

pub(super) fn first_commit(
    permit: &Permit,
    directory: &Path,
    path: &Path,
    trunk: Option<&str>,
    files_path: Option<&SitePath>,
    author: &Author,
) -> Result<Imported, ImportError> {
    let shown = escape(directory.as_os_str().as_encoded_bytes());
    let root = Folder::open(directory).or_fault(|| format!("opening the folder {shown}"))?;
    let looking = Looking::Work {
        tracked: &[],
        with_ignored: false,
    };
    let scan = scan(&root, files_path, looking)?;
    let trunk = trunk.unwrap_or(TRUNK);
    let repository = create(permit, path, trunk)?;
    let files = keep(&repository, &root, &scan, &shown)?;
    let mut notes = Vec::new();
    if !scan.ignored.is_empty() {
        notes.push(format!(
            "{} that .gitignore names were left out, {} among them.",
            if scan.ignored.len() == 1 {
                "1 path".to_owned()
            } else {
                format!("{} paths", scan.ignored.len())
            },
            scan.ignored
                .first()
                .map(|path| escape(path))
                .unwrap_or_default()
        ));
    }
    if let Some(uploads) = files_path
        && root.below(uploads.as_bytes()).is_ok()
    {
        notes.push(format!(
            "The uploads in {uploads} are content, not code, and were left out; upload them over \
             SFTP to /files."
        ));
    }
    let commit = commit(permit, &repository, trunk, &files, author)?;
    // Thousands of loose objects would slow each later reader down.
    let mut repack = git::command(path);
    repack.args(["repack", "-a", "-d", "-q"]);
    let doing = "packing a new repository";
    git::succeed(git::run(repack, b"", doing)?, doing)?;
    Ok(Imported {
        trunk: trunk.to_owned(),
        commit,
        notes,
    })
}

/// Keeps the code of a folder in a repository, and returns it as a flat list.
///
/// # Errors
/// [`ImportError::Unsuitable`] for what no release may hold.
pub(in crate::site) fn code_of(
    repository: &Repository,
    directory: &Path,
    files_path: Option<&SitePath>,
) -> Result<Files, ImportError> {
    let root = Folder::open(directory).or_fault(|| "opening a folder of code")?;
    let looking = Looking::Work {
        tracked: &[],
        with_ignored: false,
    };
    let scan = scan(&root, files_path, looking)?;
    keep(repository, &root, &scan, "code")
}

type Files = BTreeMap<Vec<u8>, (Oid, Kind)>;

fn keep(
    repository: &Repository,
    root: &Folder,
    scan: &Scan,
    shown: &str,
) -> Result<Files, ImportError> {
    let mut files = BTreeMap::new();
    for found in &scan.found {
        let Some(kind) = found.kind else {
            continue;
        };
        let unfit = found.path.split(|byte| *byte == b'/').find_map(unfit_name);
        if let Some(why) = unfit {
            return Err(unsuitable(format!(
                "The folder {shown} holds '{}' ({why}), which no release may hold.",
                escape(&found.path)
            )));
        }
        match store(repository, root, &found.path, kind)? {
            Stored::Kept(oid, kind) => {
                files.insert(found.path.clone(), (oid, kind));
            }
            Stored::Gone => {}
            Stored::Changing | Stored::Unreadable => {
                return Err(unsuitable(format!(
                    "The file '{}' in {shown} cannot be read, or is being written.",
                    escape(&found.path)
                )));
            }
        }
    }
    if files.is_empty() {
        return Err(unsuitable(format!("The folder {shown} holds no files.")));
    }
    Ok(files)
}

fn commit(
    permit: &Permit,
    repository: &Repository,
    trunk: &str,
    files: &BTreeMap<Vec<u8>, (Oid, Kind)>,
    author: &Author,
) -> Result<Oid, Fault> {
    let doing = || "making the first commit of a site";
    let tree = write_tree(repository, files)?;
    let tree = repository.find_tree(tree).or_fault(doing)?;
    let signature = author.signature()?;
    let commit = repository
        .commit(None, &signature, &signature, MESSAGE, &tree, &[])
        .or_fault(doing)?;
    let first = RefMove {
        name: format!("refs/heads/{trunk}"),
        old: None,
        new: Some(commit.to_string()),
    };
    match move_refs(permit, repository, &[first]) {
        Ok(()) => Ok(commit),
        Err(MoveError::Fault(fault)) => Err(fault),
        Err(MoveError::Moved { name }) => Err(Fault::new(format!("{name} exists already"))),
    }
}

const MESSAGE: &str = "Begin the site\n";

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>SITE</title>
</head>
<body>
<h1>SITE</h1>
<p>This site is new. Its code is in this folder: upload yours over SFTP, or push it with git.</p>
</body>
</html>
"#;
