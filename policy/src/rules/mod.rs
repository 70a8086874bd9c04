//! The rules. The first that refuses wins; what no rule permits is refused.

mod database;
mod push;
mod server;
mod tree;
mod workflow;

use crate::action::Action;
use crate::context::Context;
use crate::decision::{Decision, Refusal, Rule};
use crate::environment::Environment;
use crate::name::SiteName;
use crate::principal::{Principal, Role, Standing};
use crate::target::Target;

/// Decides one request.
pub fn decide(
    principal: &Principal,
    action: Action,
    target: &Target,
    context: &Context,
) -> Decision {
    if principal.standing == Standing::KeyRemoved {
        return refuse(
            "key-removed",
            format!(
                "The key that {} logged in with has been removed since; '{}' was refused.",
                principal.person,
                action.as_str()
            ),
            "Log in with another key, or ask the server's administrator.",
        );
    }
    match action {
        Action::CreateSite
        | Action::ManagePeople
        | Action::ManageOwnKeys
        | Action::ViewAudit
        | Action::ExplainOthers
        | Action::ChangeTeam
        | Action::ViewSite => server::decide(principal, action, target),
        Action::ReadTree => on_tree(principal, target, context, |member| {
            tree::read(member, target, context)
        }),
        Action::ChangeTree(change) => on_tree(principal, target, context, |member| {
            tree::change(member, change, target, context)
        }),
        Action::Fetch => on_environment(principal, target, context, |_, _, _| {
            permit("member-fetches")
        }),
        Action::Push => on_environment(principal, target, context, |role, site, environment| {
            push::begin(role, site, environment)
        }),
        Action::UpdateRef => {
            on_environment(principal, target, context, |role, site, environment| {
                push::update(role, site, environment, target, context)
            })
        }
        Action::Commit
        | Action::Discard
        | Action::RestoreWork
        | Action::SetConnectionMode
        | Action::Deploy
        | Action::Rollback => {
            on_environment(principal, target, context, |role, site, environment| {
                workflow::on_environment(role, action, site, environment, context)
            })
        }
        Action::MergeHotfix => {
            on_environment(principal, target, context, |role, site, environment| {
                workflow::merge_hotfix(role, site, environment, context)
            })
        }
        Action::DropHotfix => on_environment(principal, target, context, |role, site, _| {
            workflow::drop_hotfix(role, site)
        }),
        Action::ConnectDatabase => {
            on_environment(principal, target, context, |role, site, environment| {
                database::connect(role, site, environment, context)
            })
        }
        Action::SetDatabase => on_environment(principal, target, context, |_, site, _| {
            database::set(principal, site)
        }),
    }
}

fn permit(rule: Rule) -> Decision {
    Decision::Permit(rule)
}

fn refuse(rule: Rule, message: impl Into<String>, hint: impl Into<String>) -> Decision {
    Decision::Refuse(Refusal {
        rule,
        message: message.into(),
        hint: hint.into(),
    })
}

/// A site that does not exist and one that the person has no part in are not told apart.
fn no_such_site(site: &SiteName) -> Decision {
    refuse(
        "no-such-site",
        format!("There is no site '{site}' that you have a part in."),
        "Look for its name in site:list, or ask one of its administrators to add you to its team.",
    )
}

/// A request whose target does not fit its action is a fault of ours, or of a person's question to
/// `explain`, and so refused.
fn unfit_target(action: &str) -> Decision {
    refuse(
        "unfit-target",
        format!("'{action}' cannot be asked of this target."),
        "Name another target, such as SITE.ENV; if you named none, this is a fault of the gateway: please report it with the incident id.",
    )
}

fn as_member(
    principal: &Principal,
    target: &Target,
    rule: impl FnOnce(Role, &SiteName) -> Decision,
) -> Decision {
    let Some(site) = target.site() else {
        return unfit_target("a request about a site");
    };
    match principal.standing.role() {
        Some(role) => rule(role, site),
        None => no_such_site(site),
    }
}

fn on_environment(
    principal: &Principal,
    target: &Target,
    context: &Context,
    rule: impl FnOnce(Role, &SiteName, &Environment) -> Decision,
) -> Decision {
    as_member(principal, target, |role, site| match target.environment() {
        Some(environment) if context.environment_exists => rule(role, site, environment),
        Some(environment) => refuse(
            "no-such-environment",
            format!("{site} has no environment '{environment}'."),
            format!("See which there are: env:list {site}."),
        ),
        None => unfit_target("a request about an environment"),
    })
}

fn on_tree(
    principal: &Principal,
    target: &Target,
    context: &Context,
    rule: impl FnOnce(Role) -> Decision,
) -> Decision {
    on_environment(principal, target, context, |role, _, _| rule(role))
}
