//! Makes a bare repository that is set up as a site needs it.

use std::path::Path;

use git2::{Config, Repository};

use super::open;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::{covers_repository, git};

/// Makes an empty bare repository whose HEAD is the branch `trunk`.
///
/// # Errors
/// When there is one, or it cannot be made.
pub fn create(permit: &Permit, path: &Path, trunk: &str) -> Result<Repository, Fault> {
    covers_repository(permit, path)?;
    let doing = format!("making the repository {}", path.display());
    if path.exists() {
        return Err(Fault::new(format!("{doing}: there is one already")));
    }
    let mut command = git::bare_command();
    command
        .args([
            "init",
            "--quiet",
            "--bare",
            "--template=",
            "--object-format=sha1",
        ])
        .arg("--ref-format=files")
        .arg(format!("--initial-branch={trunk}"))
        .arg(path);
    git::succeed(git::run(command, b"", &doing)?, &doing)?;
    let mut config = Config::open(&path.join("config")).or_fault(|| doing.as_str())?;
    for (name, value) in SETTINGS {
        config
            .set_str(name, value)
            .or_fault(|| format!("{doing}: setting {name}"))?;
    }
    open(path)
}

/// What a site's repository is set to, once and for all.
const SETTINGS: &[(&str, &str)] = &[
    // The gate decides on each ref of a push; git's own rules would only say it worse.
    ("receive.denyDeleteCurrent", "false"),
    ("receive.denyNonFastForwards", "false"),
    ("receive.denyDeletes", "false"),
    ("receive.denyCurrentBranch", "ignore"),
    ("receive.fsckObjects", "true"),
    ("receive.advertisePushOptions", "true"),
    ("receive.autogc", "false"),
    ("transfer.fsckObjects", "true"),
    // Saved work is the gateway's own.
    ("transfer.hideRefs", "refs/funicular"),
    ("uploadpack.allowFilter", "true"),
    ("uploadpack.allowAnySHA1InWant", "false"),
    ("core.fsync", "all"),
    ("core.logAllRefUpdates", "true"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
];
