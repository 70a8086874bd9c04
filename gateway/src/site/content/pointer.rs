//! The pointer of an environment to its content: files and database together, turned by one rename.
//!
//! ```text
//! generations/N/content → ../../contents/M     what the running code reads
//! generations/N/files   → content/files
//! content               → current/content      or contents/M, before the first deploy
//! files                 → content/files
//! contents/M/files      → ../../stores/files-K/files
//! contents/M/database   → ../../stores/database-L
//! ```
//!
//! A release that comes with content has its own link, so that both turn with `current`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::account::DATA;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::folder::Folder;
use crate::site::layout::EnvironmentLayout;
use crate::site::{covers, crash, release};
use crate::state::Content;

/// Makes the first content of an environment that has none, and the ways to it.
///
/// # Errors
/// When they cannot be made.
pub(in crate::site) fn found(environment: &EnvironmentLayout) -> Result<(), Fault> {
    let doing = || format!("making the first content of {}", environment.name());
    let folder = Folder::open(environment.folder()).or_fault(doing)?;
    if folder.stat(b"content").is_ok() {
        return Ok(());
    }
    let first = Content::FIRST;
    make_folder(&environment.contents())?;
    make_folder(&environment.stores())?;
    let store = environment.files_store(first.files);
    let plain = environment.files();
    if fs::symlink_metadata(&plain).is_ok_and(|found| found.is_dir()) {
        // As it was before there were contents.
        make_folder(&environment.files_shell(first.files))?;
        fs::rename(&plain, &store).or_fault(doing)?;
    }
    make_folder(&store)?;
    let database = environment.database_store(first.database);
    make_folder(&database)?;
    make_folder(&database.join(DATA))?;
    describe(environment, first)?;
    folder
        .remove_all(b"files")
        .and_then(|()| folder.make_link(b"files", b"content/files"))
        .or_fault(doing)?;
    let way = match release::current(environment)? {
        Some(generation) => {
            point(environment, generation, first)?;
            "current/content".to_owned()
        }
        None => target(first.number, ""),
    };
    folder.make_link(b"content", way.as_bytes()).or_fault(doing)
}

/// Writes down what a content is made of: links to its two halves.
pub(super) fn describe(environment: &EnvironmentLayout, content: Content) -> Result<(), Fault> {
    let path = environment.content(content.number);
    let doing = || {
        format!(
            "making the content {} of {}",
            content.number,
            environment.name()
        )
    };
    fs::create_dir_all(&path).or_fault(doing)?;
    let folder = Folder::open(&path).or_fault(doing)?;
    let mut halves = vec![(
        "files",
        format!("../../stores/files-{}/files", content.files),
    )];
    if content.database > 0 {
        halves.push((
            "database",
            format!("../../stores/database-{}", content.database),
        ));
    }
    for (name, target) in halves {
        folder
            .remove_all(name.as_bytes())
            .and_then(|()| folder.make_link(name.as_bytes(), target.as_bytes()))
            .or_fault(doing)?;
    }
    folder.sync().or_fault(doing)
}

/// Returns the content that the environment has.
///
/// # Errors
/// When a pointer cannot be read, or leads astray.
pub(in crate::site) fn current(environment: &EnvironmentLayout) -> Result<Content, Fault> {
    let link = match release::current(environment)? {
        Some(generation) => environment.generation(generation).join("content"),
        None => environment.content_link(),
    };
    if fs::symlink_metadata(&link).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(Content::FIRST);
    }
    read(environment, number(&link, "contents/")?)
}

/// Returns what a content is made of.
pub(super) fn read(environment: &EnvironmentLayout, content: u64) -> Result<Content, Fault> {
    let folder = environment.content(content);
    let database = folder.join("database");
    Ok(Content {
        number: content,
        files: number(&folder.join("files"), "files-")?,
        database: match fs::symlink_metadata(&database) {
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            _there => number(&database, "database-")?,
        },
    })
}

fn number(link: &Path, after: &str) -> Result<u64, Fault> {
    let doing = || format!("reading {}", link.display());
    let target = fs::read_link(link).or_fault(doing)?;
    target
        .to_str()
        .and_then(|target| target.rsplit_once(after))
        .and_then(|(_, number)| number.split('/').next()?.parse().ok())
        .ok_or_else(|| Fault::new(format!("{}: it leads astray", doing())))
}

/// Gives an environment a content, durably. May be repeated.
///
/// # Errors
/// When there is no such content, or the pointer cannot be turned.
pub(in crate::site) fn switch(
    permit: &Permit,
    environment: &EnvironmentLayout,
    content: Content,
) -> Result<(), Fault> {
    covers(permit, environment.site())?;
    must_be_there(environment, content)?;
    crash::point("content-switch-before");
    match release::current(environment)? {
        Some(generation) => point(environment, generation, content)?,
        None => turn(environment.folder(), &target(content.number, ""))?,
    }
    crash::point("content-switch-after");
    Ok(())
}

/// Gives a generation a content; it is what the environment runs, or nobody points to it yet.
///
/// # Errors
/// When the pointer cannot be turned.
pub(in crate::site) fn point(
    environment: &EnvironmentLayout,
    generation: u64,
    content: Content,
) -> Result<(), Fault> {
    turn(
        &environment.generation(generation),
        &target(content.number, "../../"),
    )
}

/// Has a generation that is being built lead to the content that the environment has.
pub(in crate::site) fn lead(
    environment: &EnvironmentLayout,
    generations: &Folder,
    half: &[u8],
) -> Result<(), Fault> {
    let number = current(environment).map_or(Content::FIRST.number, |content| content.number);
    let doing = || "leading a release to its content";
    let folder = generations.below(half).or_fault(doing)?;
    let link = target(number, "../../");
    match folder.link_target(b"content") {
        Ok(there) if there == link.as_bytes() => Ok(()),
        _other => folder
            .remove_all(b"content")
            .and_then(|()| folder.make_link(b"content", link.as_bytes()))
            .or_fault(doing),
    }
}

/// Has the environment's way to its content lead through what it runs; before it runs anything, or
/// when it is to run nothing any more, straight there.
pub(in crate::site) fn follow(
    environment: &EnvironmentLayout,
    folder: &Folder,
    generation: Option<u64>,
) -> Result<(), Fault> {
    let there = folder.link_target(b"content").unwrap_or_default();
    let wanted = match generation {
        Some(_) => "current/content".to_owned(),
        None => target(current(environment)?.number, ""),
    };
    if there == wanted.as_bytes() {
        return Ok(());
    }
    turn(environment.folder(), &wanted)
}

fn must_be_there(environment: &EnvironmentLayout, content: Content) -> Result<(), Fault> {
    let doing = || {
        format!(
            "opening content {} of {}",
            content.number,
            environment.name()
        )
    };
    Folder::open(&environment.content(content.number)).or_fault(doing)?;
    Folder::open(&environment.files_store(content.files)).or_fault(doing)?;
    if content.database > 0 {
        Folder::open(&environment.database_store(content.database)).or_fault(doing)?;
    }
    Ok(())
}

fn turn(folder: &Path, target: &str) -> Result<(), Fault> {
    let doing = || format!("turning {} to {target}", folder.display());
    let folder = Folder::open(folder).or_fault(doing)?;
    if folder
        .link_target(b"content")
        .is_ok_and(|there| there == target.as_bytes())
    {
        return folder.sync().or_fault(doing);
    }
    folder
        .remove_all(FRESH)
        .and_then(|()| folder.make_link(FRESH, target.as_bytes()))
        .inspect(|()| crash::point("content-pointer-made"))
        .and_then(|()| folder.rename(FRESH, &folder, b"content"))
        .or_fault(doing)?;
    crash::point("content-pointer-renamed");
    folder.sync().or_fault(doing)
}

pub(super) fn make_folder(path: &Path) -> Result<(), Fault> {
    fs::create_dir_all(path).or_fault(|| format!("making the folder {}", path.display()))
}

fn target(content: u64, way: &str) -> String {
    format!("{way}contents/{content}")
}

/// The new pointer before it takes its place.
const FRESH: &[u8] = b"content.new";
