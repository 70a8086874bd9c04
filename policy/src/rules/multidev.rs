//! Making and deleting Multidevs, and what changes the code of Dev or a Multidev by a commit of the
//! gateway's: merges between them, and commits that take others back.

use super::{permit, refuse, unfit_target};
use crate::action::Action;
use crate::context::{Context, MultidevFacts};
use crate::decision::Decision;
use crate::environment::Environment;
use crate::name::{MultidevName, SiteName};
use crate::principal::Role;

/// A new one, or one that was deleted and comes back.
pub(super) fn make(
    role: Role,
    action: Action,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    let Some(name) = multidev(environment) else {
        return no_multidev(site, environment);
    };
    if role < Role::Developer {
        return viewer(action, site, environment);
    }
    if context.environment_exists {
        return refuse(
            "environment-exists",
            format!("{site} has an environment '{name}' already."),
            format!("Pick another name; multidev:list {site} shows those that are taken."),
        );
    }
    if action == Action::RestoreMultidev {
        return permit("member-restores-multidev");
    }
    let Some(facts) = &context.multidev else {
        return unfit_target(action.as_str());
    };
    branch(site, name, facts).unwrap_or_else(|| permit("member-makes-multidev"))
}

/// What is wrong with the branch that the new environment would run.
fn branch(site: &SiteName, name: &MultidevName, facts: &MultidevFacts) -> Option<Decision> {
    if facts.trunk == name.as_str() {
        return Some(refuse(
            "name-is-trunk",
            format!("'{name}' is the branch that Dev of {site} runs, so no Multidev can have it."),
            "Pick another name.",
        ));
    }
    if !facts.source_ready {
        return Some(match &facts.from_branch {
            Some(branch) => refuse(
                "no-such-branch",
                format!("{site} has no branch '{branch}' that a Multidev could run."),
                format!(
                    "See which there are: git ls-remote --heads, over the remote of {site}.dev."
                ),
            ),
            None => refuse(
                "source-never-deployed",
                format!("What '{name}' of {site} was to be made from runs nothing yet."),
                format!("Name another environment: multidev:create {site}.dev {name}"),
            ),
        });
    }
    let takes_it = facts.from_branch.as_deref() == Some(name.as_str());
    if facts.branch_exists && !takes_it {
        return Some(refuse(
            "branch-exists",
            format!("{site} has a branch '{name}' already, which '{name}' would run."),
            format!(
                "Let it: multidev:create {site}.dev {name} --from-branch {name}   or pick another name."
            ),
        ));
    }
    if let Some(other) = &facts.in_the_way {
        return Some(refuse(
            "branch-in-the-way",
            format!("{site} has a branch '{other}', and git keeps no branch '{name}' beside it."),
            "Pick another name, or rename that branch.",
        ));
    }
    facts.forbidden_path.as_ref().map(|path| {
        refuse(
            "forbidden-path-in-code",
            format!("The commit that '{name}' of {site} would run holds '{path}', which no release may hold."),
            "Remove that path from the branch and try again.",
        )
    })
}

pub(super) fn delete(
    role: Role,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    if multidev(environment).is_none() {
        return no_multidev(site, environment);
    }
    if role < Role::Developer {
        return viewer(Action::DeleteMultidev, site, environment);
    }
    if context.uncommitted > 0 && !context.confirmed {
        return refuse(
            "uncommitted-work",
            format!(
                "{site}.{environment} has uncommitted changes in {} file(s), so it was not deleted.",
                context.uncommitted
            ),
            format!(
                "Commit them: env:commit {site}.{environment} -m \"what you did\"   or repeat with \
                 --yes: they are kept with it."
            ),
        );
    }
    permit("member-deletes-multidev")
}

/// A merge into the environment, or a commit on it that takes another back.
pub(super) fn bring(
    role: Role,
    action: Action,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    if !environment.takes_code() {
        return refuse(
            "only-where-code-enters",
            format!(
                "Code of {site}'s {} environment changes by deploys only.",
                environment.title()
            ),
            match action {
                Action::Revert => format!(
                    "Return it to what it ran before: env:rollback {site}.{environment}   or revert on Dev and deploy."
                ),
                _other => "Dev and Multidevs are where code enters.".to_owned(),
            },
        );
    }
    if role < Role::Developer {
        return viewer(action, site, environment);
    }
    if context.mode.is_none() {
        return refuse(
            "mode-unknown",
            format!("The connection mode of {site}.{environment} is not known."),
            "Try again; if it stays so, show the incident id to the server's administrator.",
        );
    }
    if context.uncommitted > 0 {
        return refuse(
            "uncommitted-work-in-the-way",
            format!(
                "{site}.{environment} has uncommitted work in {} file(s), which this would change under it.",
                context.uncommitted
            ),
            format!(
                "Commit it first: env:commit {site}.{environment} -m \"what you did\", or env:discard {site}.{environment}."
            ),
        );
    }
    permit(match action {
        Action::Revert => "member-reverts",
        _other => "member-merges",
    })
}

fn multidev(environment: &Environment) -> Option<&MultidevName> {
    match environment {
        Environment::Multidev(name) => Some(name),
        Environment::Dev | Environment::Test | Environment::Live => None,
    }
}

fn no_multidev(site: &SiteName, environment: &Environment) -> Decision {
    refuse(
        "not-a-multidev",
        format!(
            "{} belongs to {site} as long as there is the site; only Multidevs come and go.",
            environment.title()
        ),
        format!("See which there are: multidev:list {site}."),
    )
}

fn viewer(action: Action, site: &SiteName, environment: &Environment) -> Decision {
    refuse(
        "viewer-reads-only",
        format!(
            "The role viewer reads code only; {} on {site}.{environment} was refused.",
            action.as_str()
        ),
        "Ask one of the site's administrators for the role developer.",
    )
}
