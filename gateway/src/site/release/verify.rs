//! Compares a release with its commit.

use std::path::Path;

use git2::{Oid, Repository};
use policy::SitePath;

use crate::fault::{Fault, OrFault};
use crate::site::contents::contents;
use crate::site::folder::{Folder, gone};
use crate::site::layout::uploads_link;
use crate::site::scan::{Looking, hash, pair, scan};

/// A place where a code folder is not what its commit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path; its bytes come from a client.
    pub path: SitePath,
    /// What is wrong.
    pub kind: DifferenceKind,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The commit has it, the folder has not.
    Missing,
    /// The folder has it, the commit has not.
    Added,
    /// Its content, its kind or its executable bit differs.
    Changed,
}

/// Compares a code folder with a commit, byte by byte.
///
/// # Errors
/// When either cannot be read.
pub fn verify(
    repository: &Repository,
    commit: Oid,
    code: &Path,
    files_path: Option<&SitePath>,
) -> Result<Vec<Difference>, Fault> {
    let doing = || format!("verifying {}", code.display());
    let entries = contents(repository, commit)?;
    let code = Folder::open(code).or_fault(doing)?;
    let scan = scan(&code, files_path, Looking::Everything)?;
    let mut differences = Vec::new();
    let mut differ = |path: &[u8], kind| -> Result<(), Fault> {
        let path =
            SitePath::normalize(path).map_err(|_| Fault::new("a release has no such path"))?;
        differences.push(Difference { path, kind });
        Ok(())
    };
    for (entry, found) in pair(&entries, &scan.found) {
        match (entry, found) {
            (Some(entry), None) => differ(&entry.path, DifferenceKind::Missing)?,
            (None, Some(found)) => differ(&found.path, DifferenceKind::Added)?,
            (Some(entry), Some(found)) => {
                let same = found.kind == Some(entry.kind)
                    && hash(&code, &entry.path, entry.kind).or_fault(doing)? == Some(entry.oid);
                if !same {
                    differ(&entry.path, DifferenceKind::Changed)?;
                }
            }
            (None, None) => {}
        }
    }
    if let Some(path) = files_path {
        let target = code
            .parent_of(path.as_bytes())
            .and_then(|(folder, name)| folder.link_target(name));
        match target {
            Ok(target) if target == uploads_link(path) => {}
            Err(error) if gone(&error) => differ(path.as_bytes(), DifferenceKind::Missing)?,
            _other => differ(path.as_bytes(), DifferenceKind::Changed)?,
        }
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::site::release::{Origin, ReleaseKind, prepare};
    use crate::site::testing::Bench;

    #[test]
    fn every_kind_of_difference_is_found() {
        let bench = Bench::new();
        let (repository, commit) =
            bench.repository(&[("a", "a"), ("b", "b"), ("c", "c"), ("d/e", "e"), ("f", "f")]);
        let environment = bench.environment(policy::Environment::Live);
        let origin = Origin {
            repository: &repository,
            quarantine: None,
            commit,
            progress: None,
        };
        let uploads = SitePath::normalize(b"wp/uploads").unwrap();
        let prepared = prepare(
            &bench.permit(),
            &environment,
            &origin,
            ReleaseKind::Writable,
            Some(&uploads),
            None,
        )
        .unwrap();
        let code = environment.code(prepared.generation);
        let differences = || -> Vec<(String, DifferenceKind)> {
            verify(&repository, commit, &code, Some(&uploads))
                .unwrap()
                .into_iter()
                .map(|difference| (difference.path.to_string(), difference.kind))
                .collect()
        };
        assert_eq!(differences(), []);
        fs::write(code.join("a"), "A").unwrap();
        fs::remove_file(code.join("b")).unwrap();
        fs::set_permissions(code.join("c"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(code.join("d/.git")).unwrap();
        fs::write(code.join("d/.git/config"), "planted").unwrap();
        fs::write(code.join(".gitignore"), "*").unwrap();
        fs::remove_file(code.join("f")).unwrap();
        symlink("a", code.join("f")).unwrap();
        fs::remove_file(code.join("wp/uploads")).unwrap();
        symlink("../../../files", code.join("wp/uploads")).unwrap();
        let expected = [
            (".gitignore", DifferenceKind::Added),
            ("a", DifferenceKind::Changed),
            ("b", DifferenceKind::Missing),
            ("c", DifferenceKind::Changed),
            ("d/.git/config", DifferenceKind::Added),
            ("f", DifferenceKind::Changed),
            ("wp/uploads", DifferenceKind::Changed),
        ];
        let expected = expected.map(|(path, kind)| (path.to_owned(), kind));
        assert_eq!(differences(), expected);
    }
}
