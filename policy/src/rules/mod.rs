//! The rules. The first that refuses wins; what no rule permits is refused.

mod cloning;
mod content;
mod database;
mod hold;
mod holding;
mod limits;
mod multidev;
mod push;
mod release;
mod server;
mod targets;
mod tree;
mod workflow;

use crate::action::Action;
use crate::context::Context;
use crate::decision::{Decision, Refusal, Rule};
use crate::environment::Environment;
use crate::name::SiteName;
use crate::principal::{Ended, Principal, Role, Standing};
use crate::target::Target;

pub use hold::NEEDS_APPROVAL;

/// Decides one request.
pub fn decide(
    principal: &Principal,
    action: Action,
    target: &Target,
    context: &Context,
) -> Decision {
    if let Standing::Ended(ended) = principal.standing {
        return over(principal, ended, action);
    }
    let limited = limits::refusal(principal, action, target)
        .or_else(|| limits::of_source(principal, action, target, context));
    if let Some(refusal) = limited {
        return refusal;
    }
    let allowed = usual(principal, action, target, context);
    hold::decide(principal, action, target, context, allowed)
}

/// Decides as if nothing held the environment where it is.
fn usual(principal: &Principal, action: Action, target: &Target, context: &Context) -> Decision {
    match action {
        Action::CreateSite
        | Action::ManagePeople
        | Action::ManageOwnKeys
        | Action::ViewAudit
        | Action::ExplainOthers
        | Action::ChangeTeam
        | Action::SetStepNetwork
        | Action::LaunchSite
        | Action::SetContent
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
        Action::CreateMultidev | Action::RestoreMultidev => {
            as_member(principal, target, |role, site| match target.environment() {
                Some(environment) => multidev::make(role, action, site, environment, context),
                None => unfit_target(action.as_str()),
            })
        }
        Action::DeleteMultidev => {
            on_environment(principal, target, context, |role, site, environment| {
                multidev::delete(role, site, environment, context)
            })
        }
        Action::Merge | Action::Revert => {
            on_environment(principal, target, context, |role, site, environment| {
                multidev::bring(role, action, site, environment, context)
            })
        }
        Action::CancelWorkflow => {
            on_environment(principal, target, context, |role, site, environment| {
                workflow::cancel(role, site, environment, context)
            })
        }
        Action::AllowRelease => {
            on_environment(principal, target, context, |role, site, environment| {
                release::allow(role, site, environment)
            })
        }
        Action::Freeze | Action::EndFreeze | Action::SetWindows => {
            on_environment(principal, target, context, |role, site, environment| {
                holding::keep(role, action, site, environment, context)
            })
        }
        Action::AskApproval => {
            let wanted = match target {
                Target::Ref(_, _, _) => Action::UpdateRef,
                _other => Action::Deploy,
            };
            holding::ask(decide(principal, wanted, target, context))
        }
        Action::Approve | Action::DenyApproval => {
            on_environment(principal, target, context, |role, site, _| {
                holding::answer(role, action, site, context)
            })
        }
        Action::ConnectDatabase => {
            on_environment(principal, target, context, |role, site, environment| {
                database::connect(role, site, environment, context)
            })
        }
        Action::SetDatabase | Action::SetFront => {
            on_environment(principal, target, context, |_, site, _| {
                database::set(principal, action, site)
            })
        }
        Action::CloneContent
        | Action::UndoContent
        | Action::ImportContent
        | Action::ExportContent
        | Action::WipeContent
        | Action::CreateBackup
        | Action::ReadBackups
        | Action::RestoreBackup
        | Action::ScheduleBackups
        | Action::RotatePassword
        | Action::ViewStatus => {
            on_environment(principal, target, context, |role, site, environment| {
                content::decide(role, action, site, environment, context)
            })
        }
        Action::ViewTargets | Action::ManageTargets => {
            on_environment(principal, target, context, |_, site, _| {
                targets::decide(principal, action, site)
            })
        }
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

/// What somebody logged in with no longer counts.
fn over(principal: &Principal, ended: Ended, action: Action) -> Decision {
    let (rule, why, hint) = match ended {
        Ended::KeyRemoved => (
            "key-removed",
            format!(
                "The key that {} logged in with has been removed since",
                principal.person
            ),
            "Log in with another key, or ask the server's administrator.",
        ),
        Ended::KeyExpired => (
            "key-expired",
            format!(
                "The key that {} logged in with has expired",
                principal.person
            ),
            "Log in with another key, or have it added again: ssh-key:remove ID, then ssh-key:add FILE.",
        ),
        Ended::KeyElsewhere => (
            "key-elsewhere",
            format!(
                "The key that {} logged in with may not be used from their address",
                principal.person
            ),
            "Connect from where it may, or use another key: ssh-key:list shows from where each may be used.",
        ),
        Ended::Revoked => (
            "key-revoked",
            format!(
                "The key or certificate that {} logged in with has been revoked",
                principal.person
            ),
            "Log in with another one, or ask the server's administrator.",
        ),
        Ended::RevocationUnknown => (
            "revocation-unknown",
            "The list of revoked keys cannot be read, so none that it could hold is trusted"
                .to_owned(),
            "Ask the server's administrator to repair the list; the gateway's log says what is wrong with it.",
        ),
        Ended::CertificateExpired => (
            "certificate-expired",
            format!(
                "The certificate that {} logged in with has expired",
                principal.person
            ),
            "Get a new one from your authority and log in again.",
        ),
        Ended::AuthorityRemoved => (
            "authority-removed",
            format!(
                "The authority that signed the certificate of {} is no longer trusted",
                principal.person
            ),
            "Ask the server's administrator which authorities are: ca:list.",
        ),
        Ended::PersonRemoved => (
            "person-removed",
            format!(
                "The certificate no longer stands for {} on this server",
                principal.person
            ),
            "Ask the server's administrator.",
        ),
    };
    refuse(
        rule,
        format!("{why}; '{}' was refused.", action.as_str()),
        hint,
    )
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
