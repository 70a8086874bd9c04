//! What the policy asks about a Multidev that is to be made.

use git2::{Oid, Repository};
use policy::{Environment, MultidevFacts, MultidevName, SiteName};

use super::branch;
use crate::fault::{Fault, OrFault};
use crate::site::{Sites, repository};

/// Where the code of a new Multidev comes from.
#[derive(Debug, Clone)]
pub enum From {
    /// What an environment runs; the branch is new.
    Environment(Environment),
    /// An existing branch, without `refs/heads/`; if it has the new one's name, it is taken over.
    Branch(String),
}

/// Looks up the facts, and the commit that the Multidev would begin with, if there is one.
///
/// # Errors
/// When the repository cannot be read.
pub fn facts(
    sites: &Sites,
    site: &SiteName,
    name: &MultidevName,
    from: &From,
) -> Result<(MultidevFacts, Option<Oid>), Fault> {
    let model = sites.state.model();
    let known = model
        .sites
        .get(site)
        .ok_or_else(|| Fault::new("the site is gone"))?;
    let repository = repository::open(&sites.layout.site(site).repository())?;
    let (commit, from_branch) = match from {
        From::Environment(environment) => {
            let runs = known.environments.get(environment);
            (runs.and_then(|state| state.commit), None)
        }
        From::Branch(other) => (tip(&repository, other)?, Some(other.clone())),
    };
    let mut facts = MultidevFacts {
        trunk: known.trunk.clone(),
        source_ready: commit.is_some(),
        branch_exists: repository::commit_of_ref(&repository, &branch(name))?.is_some(),
        in_the_way: in_the_way(&repository, name)?,
        forbidden_path: None,
        from_branch,
    };
    // What an environment runs was looked at when it came there; a branch may have been imported.
    if let (From::Branch(_), Some(commit)) = (from, commit) {
        facts.forbidden_path = repository::forbidden_path(&repository, commit, None)?;
        if let (None, Some(uploads)) = (&facts.forbidden_path, &known.files_path) {
            facts.forbidden_path = repository::tree_has_path(&repository, commit, uploads)?;
        }
    }
    Ok((facts, commit))
}

/// The commit of a branch that a person names.
pub(super) fn tip(repository: &Repository, name: &str) -> Result<Option<Oid>, Fault> {
    let reference = format!("refs/heads/{name}");
    if !git2::Reference::is_valid_name(&reference) {
        return Ok(None);
    }
    repository::commit_of_ref(repository, &reference)
}

/// A name is a file or a folder to git, never both. A Multidev's has no slash.
fn in_the_way(repository: &Repository, name: &MultidevName) -> Result<Option<String>, Fault> {
    let doing = || "looking for branches below a name";
    let mut below = repository
        .references_glob(&format!("{}/*", branch(name)))
        .or_fault(doing)?;
    let first = below.names().next().transpose().or_fault(doing)?;
    Ok(first.map(|found| {
        let found = found.strip_prefix("refs/heads/").unwrap_or(found);
        policy::escape(found.as_bytes())
    }))
}
