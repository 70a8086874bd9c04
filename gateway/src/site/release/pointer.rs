//! The pointer of an environment to the generation it runs, and what becomes of the others.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;

use super::spare;
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::folder::{Folder, gone};
use crate::site::layout::EnvironmentLayout;
use crate::site::{content, covers, crash};

/// Returns the generation that the environment points to; none before its first deploy.
///
/// # Errors
/// When the pointer cannot be read.
pub fn current(environment: &EnvironmentLayout) -> Result<Option<u64>, Fault> {
    let pointer = environment.current();
    let doing = || format!("reading {}", pointer.display());
    match fs::read_link(&pointer) {
        Ok(target) => target
            .to_str()
            .and_then(|target| target.strip_prefix("generations/"))
            .and_then(|number| number.parse().ok())
            .map(Some)
            .ok_or_else(|| Fault::new(format!("{}: it leads astray", doing()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).or_fault(doing),
    }
}

/// Points the environment to a generation, durably. May be repeated.
///
/// # Errors
/// When there is no such generation, or the pointer cannot be turned.
pub fn switch(
    permit: &Permit,
    environment: &EnvironmentLayout,
    generation: u64,
) -> Result<(), Fault> {
    covers(permit, environment.site())?;
    let doing = || {
        format!(
            "switching {} to generation {generation}",
            environment.name()
        )
    };
    Folder::open(&environment.code(generation)).or_fault(doing)?;
    let folder = Folder::open(environment.folder()).or_fault(doing)?;
    crash::point("switch-before");
    if current(environment)? != Some(generation) {
        folder.remove_all(FRESH).or_fault(doing)?;
        folder
            .make_link(FRESH, format!("generations/{generation}").as_bytes())
            .inspect(|()| crash::point("pointer-made"))
            .and_then(|()| folder.rename(FRESH, &folder, b"current"))
            .or_fault(doing)?;
        crash::point("pointer-renamed");
    }
    content::follow(environment, &folder, Some(generation))?;
    folder.sync().or_fault(doing)?;
    crash::point("switch-after");
    Ok(())
}

/// Takes the pointer away, durably: the environment then runs nothing, as before its first deploy.
/// May be repeated.
///
/// # Errors
/// When it cannot be taken away.
pub fn switch_off(permit: &Permit, environment: &EnvironmentLayout) -> Result<(), Fault> {
    covers(permit, environment.site())?;
    let doing = || format!("taking {} out of service", environment.name());
    let folder = Folder::open(environment.folder()).or_fault(doing)?;
    content::follow(environment, &folder, None)?;
    folder.remove_all(b"current").or_fault(doing)?;
    crash::point("pointer-removed");
    folder.sync().or_fault(doing)
}

/// Removes all generations but the current one and the two before it, and what is left of
/// half-built ones; one of them may stay as the spare, which is no generation any more. To be called when nothing is being prepared for this environment. Returns the
/// numbers of what is gone.
///
/// # Errors
/// When one cannot be removed.
pub fn collect(permit: &Permit, environment: &EnvironmentLayout) -> Result<Vec<u64>, Fault> {
    covers(permit, environment.site())?;
    let doing = || format!("collecting old generations of {}", environment.name());
    let current = current(environment)?;
    let whole = numbers(environment)?;
    let kept: BTreeSet<u64> = whole
        .iter()
        .copied()
        .filter(|number| current.is_some_and(|current| *number <= current))
        .rev()
        .take(KEPT)
        .collect();
    let folder = Folder::open(&environment.generations()).or_fault(doing)?;
    let removed: Vec<u64> = whole.difference(&kept).copied().collect();
    // The newest that was good is nearest to what comes next.
    for number in removed.iter().rev() {
        let was_good = current.is_some_and(|current| *number < current);
        let name = number.to_string().into_bytes();
        if !(was_good && spare::keep(&folder, &name).or_fault(doing)?) {
            remove(environment, *number).or_fault(doing)?;
        }
    }
    for name in folder.names().or_fault(doing)? {
        if name.ends_with(HALF_BUILT) || name.ends_with(HALF_REMOVED) {
            folder.remove_all(&name).or_fault(doing)?;
        }
    }
    Ok(removed)
}

/// Returns a number that no generation of the environment has or had, and remembers it: what keeps
/// compiled code by its path, as PHP does, must never find other code at the same one.
pub(super) fn next(environment: &EnvironmentLayout) -> Result<u64, Fault> {
    let doing = || format!("numbering a generation of {}", environment.name());
    let folder = Folder::open(environment.folder()).or_fault(doing)?;
    let remembered = fs::read_link(environment.folder().join(OsStr::from_bytes(NEWEST)))
        .ok()
        .and_then(|number| number.to_str()?.parse().ok());
    let last = numbers(environment)?
        .last()
        .copied()
        .max(current(environment)?)
        .max(remembered);
    let number = last.unwrap_or(0) + 1;
    let fresh = [NEWEST, b".new"].concat();
    folder
        .remove_all(&fresh)
        .and_then(|()| folder.make_link(&fresh, number.to_string().as_bytes()))
        .inspect(|()| crash::point("number-made"))
        .and_then(|()| folder.rename(&fresh, &folder, NEWEST))
        .or_fault(doing)?;
    crash::point("numbered");
    Ok(number)
}

/// Removes one generation; a half of it is never taken for a whole.
pub(super) fn remove(environment: &EnvironmentLayout, number: u64) -> std::io::Result<()> {
    let folder = Folder::open(&environment.generations())?;
    let name = number.to_string().into_bytes();
    let doomed = [&name, HALF_REMOVED].concat();
    folder.remove_all(&doomed)?;
    match folder.rename(&name, &folder, &doomed) {
        Err(error) if !gone(&error) => return Err(error),
        _moved_or_gone => {}
    }
    crash::point("generation-doomed");
    folder.remove_all(&doomed)?;
    crash::point("generation-removed");
    Ok(())
}

fn numbers(environment: &EnvironmentLayout) -> Result<BTreeSet<u64>, Fault> {
    let folder = environment.generations();
    let doing = || format!("reading {}", folder.display());
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(&folder).or_fault(doing)? {
        let name = entry.or_fault(doing)?.file_name();
        let name = name
            .as_bytes()
            .utf8_chunks()
            .next()
            .map(|chunk| chunk.valid());
        numbers.extend(name.and_then(|name| name.parse::<u64>().ok()));
    }
    Ok(numbers)
}

/// What follows the number of a generation that is being built.
pub(super) const HALF_BUILT: &[u8] = b".building";
/// What follows the number of a generation that is being removed.
const HALF_REMOVED: &[u8] = b".removing";
/// A link that says the number of the newest generation, also when that is gone.
const NEWEST: &[u8] = b"newest";
/// The new pointer before it takes its place.
const FRESH: &[u8] = b"current.new";
/// The current generation, one to return to, and one more.
const KEPT: usize = 3;

#[cfg(test)]
mod tests {
    use policy::Environment;

    use super::*;
    use crate::site::testing::{Bench, write};

    #[test]
    fn the_pointer_turns_and_old_generations_go() {
        let bench = Bench::new();
        let environment = bench.environment(Environment::Live);
        let permit = bench.permit();
        assert_eq!(current(&environment).unwrap(), None);
        assert_eq!(next(&environment).unwrap(), 1);
        assert!(switch(&permit, &environment, 1).is_err());
        for number in 1..=6 {
            write(&environment.code(number).join("a/b"), "x");
        }
        write(&environment.folder().join("current.new"), "left by a crash");
        switch(&permit, &environment, 5).unwrap();
        switch(&permit, &environment, 5).unwrap();
        assert_eq!(current(&environment).unwrap(), Some(5));
        assert!(environment.current().join("code/a/b").exists());
        assert!(switch(&bench.permit_for("other"), &environment, 4).is_err());
        write(&environment.generations().join("7.building/code/x"), "x");
        write(&environment.generations().join("2.removing/code/x"), "x");
        assert_eq!(collect(&permit, &environment).unwrap(), [1, 2, 6]);
        assert_eq!(collect(&permit, &environment).unwrap(), [0; 0]);
        let folder = Folder::open(&environment.generations()).unwrap();
        let mut left = folder.names().unwrap();
        left.sort();
        assert_eq!(left, [b"3", b"4", b"5"]);
        assert_eq!(next(&environment).unwrap(), 6);
        assert_eq!(next(&environment).unwrap(), 7, "though 6 was never made");
        switch_off(&permit, &environment).unwrap();
        switch_off(&permit, &environment).unwrap();
        assert_eq!(current(&environment).unwrap(), None);
    }

    #[test]
    fn a_pointer_that_leads_astray_is_no_generation() {
        let bench = Bench::new();
        let environment = bench.environment(Environment::Live);
        for astray in [
            "/etc",
            "generations/x",
            "generations/../1",
            "generations/-1",
        ] {
            let _ = fs::remove_file(environment.current());
            std::os::unix::fs::symlink(astray, environment.current()).unwrap();
            assert!(current(&environment).is_err(), "{astray}");
        }
    }
}
