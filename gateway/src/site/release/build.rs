//! Builds a generation that nobody points to yet.

use policy::SitePath;

use super::fill::{Plan, Shareable, count, make_folders};
use super::pointer::{HALF_BUILT, next, remove};
use super::record::{Record, built_from};
use super::{Origin, Prepared, ReleaseKind, Reuse, spare};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::content;
use crate::site::contents::contents;
use crate::site::differing::changes;
use crate::site::folder::{Folder, split};
use crate::site::layout::{EnvironmentLayout, uploads_link};
use crate::site::{covers, crash};

/// Builds the next generation of an environment from a commit.
///
/// # Errors
/// When it cannot be built; what was built of it is removed.
pub fn prepare(
    permit: &Permit,
    environment: &EnvironmentLayout,
    origin: &Origin<'_>,
    kind: ReleaseKind,
    files_path: Option<&SitePath>,
    reuse: Option<Reuse<'_>>,
) -> Result<Prepared, Fault> {
    covers(permit, environment.site())?;
    let generation = next(environment)?;
    let doing = || {
        format!(
            "preparing generation {generation} of {}",
            environment.name()
        )
    };
    let generations = Folder::open(&environment.generations()).or_fault(doing)?;
    let name = generation.to_string().into_bytes();
    let half = [&name, HALF_BUILT].concat();
    generations.remove_all(&half).or_fault(doing)?;
    let changed = match kind {
        ReleaseKind::ReadOnly => spare::change(&generations, &half, origin, files_path, reuse),
        ReleaseKind::Writable => Ok(None),
    };
    let changed = changed.unwrap_or_else(|fault| {
        tracing::warn!("a release is built from nothing: {fault}");
        None
    });
    let built = match changed {
        Some(counts) => Ok(counts),
        None => generations
            .remove_all(&half)
            .and_then(|()| generations.make_folder(&half))
            .or_fault(doing)
            .and_then(|folder| build(&folder, origin, kind, files_path, reuse)),
    };
    let built = built.and_then(|counts| {
        content::lead(environment, &generations, &half)?;
        generations
            .rename(&half, &generations, &name)
            .inspect(|()| crash::point("generation-named"))
            // Without this a power cut after the switch leaves a tree of empty files.
            .and_then(|()| generations.sync_file_system())
            .or_fault(doing)?;
        Ok(counts)
    });
    let (entries, shared) = match built {
        Ok(counts) => counts,
        Err(fault) => {
            let cleared = generations
                .remove_all(&half)
                .and_then(|()| remove(environment, generation));
            if let Err(error) = cleared {
                tracing::warn!("half of generation {generation} could not be removed: {error}");
            }
            return Err(fault);
        }
    };
    crash::point("prepare-end");
    Ok(Prepared {
        generation,
        entries,
        shared,
    })
}

/// Removes a generation that is not wanted after all.
///
/// # Errors
/// When it cannot be removed.
pub fn discard(
    permit: &Permit,
    environment: &EnvironmentLayout,
    prepared: Prepared,
) -> Result<(), Fault> {
    covers(permit, environment.site())?;
    let Prepared { generation, .. } = prepared;
    remove(environment, generation).or_fault(|| format!("removing generation {generation}"))
}

/// Builds a generation in an empty folder; returns how many entries it has and how many of them
/// are shared.
fn build(
    folder: &Folder,
    origin: &Origin<'_>,
    kind: ReleaseKind,
    files_path: Option<&SitePath>,
    reuse: Option<Reuse<'_>>,
) -> Result<(usize, usize), Fault> {
    let doing = || "making the folders of a release";
    let entries = contents(origin.repository, origin.commit)?;
    folder
        .make_link(b"files", b"content/files")
        .or_fault(doing)?;
    let code = folder.make_folder(b"code").or_fault(doing)?;
    make_folders(&code, &entries, files_path).or_fault(doing)?;
    let record = Record {
        commit: origin.commit,
        kind,
        entries: Some(entries.len()),
    };
    record.write(folder)?;
    let shareable = match reuse {
        Some(reuse) if kind == ReleaseKind::ReadOnly => shareable(origin, reuse)?,
        _other => None,
    };
    let plan = Plan {
        code: &code,
        entries: &entries,
        kind,
        shareable,
    };
    crash::point("folders-made");
    let shared = plan.carry_out(origin)?;
    crash::point("files-written");
    if let Some(path) = files_path {
        let (above, name) = split(path.as_bytes());
        code.below(above)
            .and_then(|above| above.make_link(name, &uploads_link(path)))
            .or_fault(|| format!("making the link at {path} to the uploads"))?;
    }
    must_hold(&code, entries.len(), files_path)?;
    Ok((entries.len(), shared))
}

/// Opens a release that files can be shared with, if it is what it is said to be; returns its code,
/// and the paths that it has otherwise than the commit to be built.
pub(super) fn shareable(origin: &Origin<'_>, reuse: Reuse<'_>) -> Result<Option<Shareable>, Fault> {
    if built_from(reuse.code)? != Some((reuse.commit, ReleaseKind::ReadOnly)) {
        return Ok(None);
    }
    let from = Folder::open(reuse.code).or_fault(|| "opening the release to share with")?;
    let changes = changes(origin.repository, reuse.commit, origin.commit)?;
    let other = changes.come.into_iter().map(|entry| entry.path).collect();
    Ok(Some((from, other)))
}

/// Looks whether a code folder has as many files as its commit.
pub(super) fn must_hold(
    code: &Folder,
    entries: usize,
    files_path: Option<&SitePath>,
) -> Result<(), Fault> {
    let expected = entries + usize::from(files_path.is_some());
    let found = count(code).or_fault(|| "verifying a release")?;
    if found != expected {
        return Err(Fault::new(format!(
            "verifying a release: it has {found} files where its commit has {expected}"
        )));
    }
    Ok(())
}
