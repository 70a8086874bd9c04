//! Work that is not where it should be: not committed, not deployed, not merged, not whole.

use git2::Oid;
use jiff::SignedDuration;
use policy::Environment;

use super::ground::Ground;
use super::{Check, Score, some, told};
use crate::fault::Fault;
use crate::site::changes::Changes;
use crate::site::{mode, push, release};

/// After so long, commits that wait for a deploy are told as forgotten.
const WAITED: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) fn checks(ground: &Ground<'_>, checks: &mut Vec<Check>) {
    checks.push(told("work", work(ground)));
    checks.push(told("release", running(ground)));
    checks.push(told("drift", drift(ground)));
    checks.push(hotfixes(ground));
    checks.push(failed(ground));
    checks.push(told("uploads", uploads(ground)));
}

/// Work over SFTP that is not committed.
fn work(ground: &Ground<'_>) -> Result<Check, Fault> {
    if ground.state.mode.is_none() {
        return Ok(Check::skipped("work", "Nobody works on code here."));
    }
    let changes = mode::with_work(ground.sites, ground.site, ground.environment, |work| {
        work.map_or(Ok(Vec::new()), |work| work.diffstat())
    })?;
    if changes.is_empty() {
        return Ok(Check::ok("work", "All work is committed."));
    }
    let paths: Vec<String> = changes.iter().map(|one| one.path.to_string()).collect();
    Ok(Check::warning(
        "work",
        format!(
            "{} file(s) hold work that is not committed: {}.",
            paths.len(),
            some(&paths)
        ),
        format!(
            "Commit it (env:commit {0} -m \"…\") or put it back (env:discard {0}).",
            ground.place()
        ),
    ))
}

/// A read-only release against its commit.
fn running(ground: &Ground<'_>) -> Result<Check, Fault> {
    let Some(commit) = ground.state.commit else {
        return Ok(Check::new(
            "release",
            if ground.is_live() {
                Score::Warning
            } else {
                Score::Skipped
            },
            "Nothing has been deployed here yet.",
        ));
    };
    let sftp = policy::ConnectionMode::Sftp;
    if ground
        .state
        .mode
        .as_ref()
        .is_some_and(|now| now.mode == sftp)
    {
        return Ok(Check::skipped(
            "release",
            "In SFTP mode code may differ from its commit.",
        ));
    }
    let place = ground.layout.environment(ground.environment);
    let differences = release::verify(
        &ground.repository,
        commit,
        &place.code(ground.state.generation),
        ground.files_path.as_ref(),
    )?;
    if differences.is_empty() {
        return Ok(Check::ok(
            "release",
            format!(
                "The code is what {} says, byte by byte.",
                push::short(commit)
            ),
        ));
    }
    let paths: Vec<String> = differences.iter().map(|one| one.path.to_string()).collect();
    Ok(Check::failure(
        "release",
        format!(
            "{} file(s) of the release are not what its commit {} says: {}.",
            paths.len(),
            push::short(commit),
            some(&paths)
        ),
        "Something has written past the gateway: find out what, then deploy anew.",
    ))
}

/// Commits that this environment and the one before it do not share.
fn drift(ground: &Ground<'_>) -> Result<Check, Fault> {
    let Some(runs) = ground.state.commit else {
        return Ok(Check::skipped(
            "drift",
            "Nothing has been deployed here yet.",
        ));
    };
    let before = match ground.environment {
        Environment::Live => Environment::Test,
        Environment::Test | Environment::Multidev(_) => Environment::Dev,
        Environment::Dev => Environment::Live,
    };
    let other = ground
        .model
        .environment(ground.site, &before)
        .and_then(|state| state.commit);
    let Some(other) = other else {
        return Ok(Check::skipped(
            "drift",
            format!("Nothing has been deployed to {before} yet."),
        ));
    };
    compared(ground, runs, &before, other)
}

fn compared(
    ground: &Ground<'_>,
    runs: Oid,
    other_name: &Environment,
    other: Oid,
) -> Result<Check, Fault> {
    let changes = Changes::between(&ground.repository, Some(runs), other)?;
    let (lacks, alone) = (changes.brings.len(), changes.takes_away.len());
    // Dev and Multidevs go ahead; what Live has and they have not is drift. Test and Live follow.
    let (lost, waiting, follows) = match ground.environment {
        Environment::Dev | Environment::Multidev(_) => (lacks, alone, false),
        Environment::Test | Environment::Live => (alone, lacks, true),
    };
    let here = ground.environment;
    let ahead = if follows { other_name } else { here };
    if lost > 0 {
        let (has, has_not) = if follows {
            (here, other_name)
        } else {
            (other_name, here)
        };
        let action = match (ground.environment, follows) {
            (_, true) => "A deploy would take them away: merge them into trunk first (hotfix:list, hotfix:merge).".to_owned(),
            (Environment::Multidev(name), _) => format!(
                "Bring them here: multidev:merge-from-dev {}.{name}.",
                ground.site
            ),
            _ => format!("Merge them into trunk: hotfix:list {}.", ground.site),
        };
        return Ok(Check::warning(
            "drift",
            format!("{lost} commit(s) of {has} are not on {has_not}; {waiting} the other way."),
            action,
        ));
    }
    if waiting == 0 {
        return Ok(Check::ok(
            "drift",
            format!("{here} and {other_name} run the same commits."),
        ));
    }
    let rows = if follows {
        &changes.brings
    } else {
        &changes.takes_away
    };
    let oldest = rows.iter().map(|row| row.time).min();
    let found = format!("{waiting} commit(s) of {ahead} wait for a deploy.");
    if follows && oldest.is_some_and(|oldest| ground.now.duration_since(oldest) > WAITED) {
        return Ok(Check::warning(
            "drift",
            format!("{found} The oldest is more than 30 days old."),
            format!("Deploy: env:deploy {}.", ground.place()),
        ));
    }
    Ok(Check::ok("drift", found))
}

/// Hotfixes that trunk lacks.
fn hotfixes(ground: &Ground<'_>) -> Check {
    let open = ground
        .model
        .sites
        .get(ground.site)
        .map(|site| site.open_hotfixes.as_slice())
        .unwrap_or_default();
    if open.is_empty() {
        return Check::ok("hotfixes", "No hotfix is open.");
    }
    let names: Vec<&str> = open.iter().map(|hotfix| hotfix.name.as_str()).collect();
    Check::warning(
        "hotfixes",
        format!(
            "{} hotfix(es) are not on trunk: {}.",
            names.len(),
            some(&names)
        ),
        format!("Merge each: hotfix:merge {} NAME.", ground.site),
    )
}

/// Releases that were turned back.
fn failed(ground: &Ground<'_>) -> Check {
    match ground.state.failed.first() {
        None => Check::ok("failed-releases", "No release has failed its check."),
        Some(newest) => Check::warning(
            "failed-releases",
            format!(
                "{} release(s) failed their check here, the newest at {}: {}",
                ground.state.failed.len(),
                push::short(newest.commit),
                policy::escape(newest.reason.as_bytes())
            ),
            format!(
                "See release:list {0}; a release that may be deployed again: release:allow {0} COMMIT.",
                ground.place()
            ),
        ),
    }
}

/// Uploads that broke off. Whose and where is not for everybody who may look here.
fn uploads(ground: &Ground<'_>) -> Result<Check, Fault> {
    let all = ground.sites.unfinished(ground.site, ground.environment)?;
    let broken = all.iter().filter(|one| one.idle_since.is_some()).count();
    if broken == 0 {
        return Ok(Check::ok("uploads", "No upload has broken off."));
    }
    Ok(Check::warning(
        "uploads",
        format!("{broken} upload(s) broke off and have not taken their places."),
        format!("Send them again; env:info {} names them.", ground.place()),
    ))
}
