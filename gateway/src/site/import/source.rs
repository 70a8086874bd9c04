//! Looks at what a person named as the source of a site, before git does.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use policy::escape;

use super::{ImportError, Source, unsuitable};
use crate::fault::OrFault;
use crate::site::layout::SiteLayout;

/// A folder, by what is in it.
pub(super) enum Place {
    /// Plain files.
    Files(PathBuf),
    /// A repository.
    Repository(Remote),
}

/// A repository that git can read.
pub(super) struct Remote {
    /// What git is given.
    pub address: String,
    /// What people are shown: the same without a password.
    pub shown: String,
    /// Whether the address is a path on this machine that the person has named.
    pub local: bool,
    /// What the person should know.
    pub notes: Vec<String>,
}

/// Takes an address of this machine for the folder that it is.
pub(super) fn plain(from: &Source) -> Source {
    match from {
        Source::Url(url) => match url.strip_prefix("file://") {
            Some(path) => Source::Directory(path.into()),
            None => from.clone(),
        },
        Source::Empty | Source::Directory(_) | Source::Bundle(_) => from.clone(),
    }
}

pub(super) fn directory(site: &SiteLayout, path: &Path) -> Result<Place, ImportError> {
    let path = on_this_machine(site, path, "folder")?;
    if !path.is_dir() {
        return Err(unsuitable(format!("'{}' is not a folder.", show(&path))));
    }
    let git = path.join(".git");
    let bare = ["HEAD", "objects", "refs"]
        .iter()
        .all(|name| path.join(name).exists());
    if !git.exists() && !bare {
        return Ok(Place::Files(path));
    }
    let notes = inspect_repository(&path)?;
    Ok(Place::Repository(Remote {
        address: text(&path)?,
        shown: show(&path),
        local: true,
        notes,
    }))
}

pub(super) fn bundle(site: &SiteLayout, path: &Path) -> Result<Remote, ImportError> {
    let path = on_this_machine(site, path, "file")?;
    let shown = show(&path);
    let doing = || format!("reading {shown}");
    let not_a_bundle = || unsuitable(format!("'{shown}' is not a bundle made by 'git bundle'."));
    if !path.is_file() {
        return Err(not_a_bundle());
    }
    let mut lines = BufReader::new(fs::File::open(&path).or_fault(doing)?).split(b'\n');
    let first = lines
        .next()
        .transpose()
        .or_fault(doing)?
        .unwrap_or_default();
    if first != b"# v2 git bundle" && first != b"# v3 git bundle" {
        return Err(not_a_bundle());
    }
    for line in lines {
        let line = line.or_fault(doing)?;
        if line.is_empty() {
            break;
        }
        if line.starts_with(b"-") {
            return Err(unsuitable(format!(
                "'{shown}' holds only a part of its history. Make a whole bundle: \
                 git bundle create FILE --all"
            )));
        }
        if line.starts_with(b"@filter") {
            return Err(unsuitable(format!(
                "'{shown}' was made with --filter and lacks files. Make a whole bundle: \
                 git bundle create FILE --all"
            )));
        }
        if line.starts_with(b"@object-format=") && line != b"@object-format=sha1" {
            return Err(unsuitable(not_sha1(&shown)));
        }
    }
    Ok(Remote {
        address: text(&path)?,
        shown,
        local: true,
        notes: Vec::new(),
    })
}

pub(super) fn url(url: &str) -> Result<Remote, ImportError> {
    let (shown, usable) = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            let usable = ["https", "ssh", "git"].contains(&scheme)
                && !host.starts_with('-')
                && !rest.is_empty();
            (format!("{scheme}://{host}/{path}"), usable)
        }
        None => {
            let usable = url
                .split_once(':')
                .is_some_and(|(host, path)| is_host(host) && !path.starts_with([':', '-']));
            (url.to_owned(), usable)
        }
    };
    let shown = escape(shown.trim_end_matches('/').as_bytes());
    let clean = !url
        .chars()
        .any(|letter| letter.is_control() || letter.is_whitespace());
    if usable && clean {
        return Ok(Remote {
            address: url.to_owned(),
            shown,
            local: false,
            notes: Vec::new(),
        });
    }
    Err(unsuitable(format!(
        "'{shown}' is not an address that a site can be made from. Use https://, ssh://, git:// \
         or file://, or user@host:path."
    )))
}

/// Returns the real path of something that a person has named; none of the gateway's own.
fn on_this_machine(site: &SiteLayout, path: &Path, what: &str) -> Result<PathBuf, ImportError> {
    let shown = show(path);
    if !path.is_absolute() {
        return Err(unsuitable(format!(
            "'{shown}' does not begin with a slash; the gateway needs the whole path of the {what}."
        )));
    }
    let real = fs::canonicalize(path).map_err(|error| {
        unsuitable(format!(
            "There is no {what} '{shown}' that the gateway can read ({error})."
        ))
    })?;
    let data = fs::canonicalize(site.data()).or_fault(|| "finding the data folder")?;
    if real.starts_with(&data) || data.starts_with(&real) {
        return Err(unsuitable(format!(
            "'{shown}' is a part of the gateway's own data; no site is made from it."
        )));
    }
    Ok(real)
}

/// Looks for what git2 or a later push would stumble over. Reads the configuration as a file and
/// obeys nothing in it.
fn inspect_repository(path: &Path) -> Result<Vec<String>, ImportError> {
    let shown = show(path);
    let dot_git = path.join(".git");
    let folder = if dot_git.is_dir() {
        dot_git
    } else {
        path.to_path_buf()
    };
    if let Ok(config) = git2::Config::open(&folder.join("config")) {
        let set = |name: &str| config.get_string(name).ok();
        if set("extensions.objectformat").is_some_and(|format| format != "sha1") {
            return Err(unsuitable(not_sha1(&shown)));
        }
        if set("extensions.partialclone").is_some() {
            return Err(unsuitable(format!(
                "'{shown}' is a partial clone and lacks files. Make a whole clone of it first."
            )));
        }
    }
    if folder.join("shallow").exists() {
        return Err(unsuitable(format!(
            "'{shown}' is a shallow clone and lacks history. Run 'git fetch --unshallow' in it \
             first."
        )));
    }
    let mut notes = Vec::new();
    // Only to warn, so that a repository that libgit2 cannot open says nothing.
    let statuses = git2::Repository::open(path)
        .ok()
        .filter(|repository| !repository.is_bare())
        .and_then(|repository| Some(repository.statuses(None).ok()?.len()));
    if let Some(uncommitted @ 1..) = statuses {
        notes.push(format!(
            "{uncommitted} uncommitted or untracked path(s) in {shown} were left out."
        ));
    }
    Ok(notes)
}

fn not_sha1(shown: &str) -> String {
    format!(
        "'{shown}' names its objects by SHA-256, which libgit2 does not read yet; only SHA-1 \
         repositories can be served."
    )
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && !host.starts_with('-')
        && host
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "@.-_[]".contains(letter))
}

fn text(path: &Path) -> Result<String, ImportError> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        unsuitable(format!(
            "The path '{}' is not UTF-8; give it another name.",
            show(path)
        ))
    })
}

fn show(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes())
}
