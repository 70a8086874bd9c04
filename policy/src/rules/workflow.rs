//! Commits on the server, modes, deploys, rollbacks and what becomes of hotfixes.

use super::{cloning, permit, refuse, release, unfit_target};
use crate::action::Action;
use crate::context::Context;
use crate::decision::Decision;
use crate::environment::{ConnectionMode, Environment};
use crate::name::SiteName;
use crate::principal::Role;

pub(super) fn on_environment(
    role: Role,
    action: Action,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    match action {
        Action::Commit | Action::Discard | Action::RestoreWork | Action::SetConnectionMode => {
            below(role, action, site, environment, context)
        }
        Action::Deploy | Action::Rollback => above(role, action, site, environment, context),
        Action::ReadTree
        | Action::ChangeTree(_)
        | Action::Fetch
        | Action::Push
        | Action::UpdateRef
        | Action::MergeHotfix
        | Action::DropHotfix
        | Action::CreateMultidev
        | Action::DeleteMultidev
        | Action::RestoreMultidev
        | Action::Merge
        | Action::Revert
        | Action::CancelWorkflow
        | Action::AllowRelease
        | Action::Freeze
        | Action::EndFreeze
        | Action::SetWindows
        | Action::AskApproval
        | Action::Approve
        | Action::DenyApproval
        | Action::ConnectDatabase
        | Action::SetDatabase
        | Action::SetFront
        | Action::SetStepNetwork
        | Action::CloneContent
        | Action::UndoContent
        | Action::ImportContent
        | Action::ExportContent
        | Action::WipeContent
        | Action::CreateBackup
        | Action::ReadBackups
        | Action::RestoreBackup
        | Action::ScheduleBackups
        | Action::LaunchSite
        | Action::SetContent
        | Action::RotatePassword
        | Action::ViewStatus
        | Action::ViewTargets
        | Action::ManageTargets
        | Action::ViewSite
        | Action::ChangeTeam
        | Action::CreateSite
        | Action::ManagePeople
        | Action::ManageOwnKeys
        | Action::ViewAudit
        | Action::ExplainOthers => unfit_target(action.as_str()),
    }
}

/// A merge changes trunk and so Dev's code; it is asked of Dev.
pub(super) fn merge_hotfix(
    role: Role,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    if role < Role::TeamMember {
        return not_for(role, site);
    }
    match environment {
        Environment::Dev => {}
        Environment::Test | Environment::Live | Environment::Multidev(_) => {
            return unfit_target(Action::MergeHotfix.as_str());
        }
    }
    if context.mode.is_none() {
        return mode_unknown(site, environment);
    }
    if context.uncommitted > 0 {
        return refuse(
            "uncommitted-work-in-the-way",
            format!(
                "Dev of {site} has uncommitted work in {} file(s), which the merge would change under it.",
                context.uncommitted
            ),
            format!(
                "Commit it first: env:commit {site}.dev -m \"what you did\", or env:discard {site}.dev."
            ),
        );
    }
    permit("team-member-merges-hotfix")
}

pub(super) fn drop_hotfix(role: Role, site: &SiteName) -> Decision {
    if role < Role::TeamMember {
        return not_for(role, site);
    }
    permit("team-member-drops-hotfix")
}

/// Whoever may change an environment may keep others from changing it; and all who change something
/// may take back what they have asked for.
pub(super) fn cancel(
    role: Role,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    if role >= Role::Developer && context.own_workflow {
        return permit("own-workflow");
    }
    let least = if environment.takes_code() {
        Role::Developer
    } else {
        Role::TeamMember
    };
    if role < least {
        return refuse(
            "workflow-is-for-who-may-change",
            format!(
                "Cancelling what somebody else does to {site}.{environment} is not for the role {role}."
            ),
            "Ask who began it, or a team member of the site.",
        );
    }
    permit("may-cancel-workflows")
}

fn not_for(role: Role, site: &SiteName) -> Decision {
    refuse(
        "hotfix-is-for-team-members",
        format!("Merging or dropping a hotfix of {site} is not for the role {role}."),
        "Ask a team member of the site.",
    )
}

fn mode_unknown(site: &SiteName, environment: &Environment) -> Decision {
    refuse(
        "mode-unknown",
        format!("The connection mode of {site}.{environment} is not known."),
        "Try again; if it stays so, show the incident id to the server's administrator.",
    )
}

fn below(
    role: Role,
    action: Action,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    if !environment.takes_code() {
        let message = if action == Action::SetConnectionMode {
            format!("Connection mode cannot be set on the {environment} environment.")
        } else {
            format!(
                "Code of {site}'s {} environment changes by deploys only, so there is nothing to {}.",
                environment.title(),
                action.as_str()
            )
        };
        return refuse(
            "only-where-code-enters",
            message,
            "Dev and Multidevs are where code enters.",
        );
    }
    if role < Role::Developer {
        return refuse(
            "viewer-reads-only",
            format!(
                "The role viewer reads code only; {} on {site}.{environment} was refused.",
                action.as_str()
            ),
            "Ask one of the site's administrators for the role developer.",
        );
    }
    if action == Action::SetConnectionMode {
        if context.uncommitted > 0 && !context.confirmed {
            return refuse(
                "uncommitted-work",
                format!(
                    "{site}.{environment} has uncommitted changes in {} file(s), so its connection \
                     mode was not changed.",
                    context.uncommitted
                ),
                format!(
                    "Commit them: env:commit {site}.{environment} -m \"what you did\"   or repeat \
                     with --yes: the work is then kept, and env:restore-work {site}.{environment} \
                     brings it back."
                ),
            );
        }
        return permit("member-sets-mode");
    }
    match &context.mode {
        Some(mode) if mode.mode == ConnectionMode::Sftp => permit("sftp-mode-work"),
        Some(mode) => refuse(
            "git-mode-has-no-work",
            if action == Action::Commit {
                "You can only commit code in an environment that is set to sftp mode.".to_owned()
            } else {
                format!(
                    "{site}.{environment} is in Git mode (set by {} at {}), so there is no work on the server to {}.",
                    mode.set_by,
                    mode.set_at,
                    action.as_str()
                )
            },
            format!("Switch it: connection:set {site}.{environment} sftp."),
        ),
        None => mode_unknown(site, environment),
    }
}

fn above(
    role: Role,
    action: Action,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    let source = match environment {
        Environment::Test => "Dev",
        Environment::Live => "Test",
        Environment::Dev | Environment::Multidev(_) => {
            let message = match action {
                Action::Rollback => "Only Test and Live have deploys to roll back.",
                _other => {
                    "This command should only be used to deploy to test or live environments."
                }
            };
            return refuse(
                "deploys-go-to-test-or-live",
                message,
                "Code gets into Dev and Multidevs by git push or by SFTP and env:commit.",
            );
        }
    };
    if role < Role::TeamMember {
        return refuse(
            "developer-stays-below-test",
            format!(
                "{} {site}.{environment} is not for the role {role}.",
                if action == Action::Deploy {
                    "Deploying to"
                } else {
                    "Rolling back"
                }
            ),
            "Ask a team member of the site to do it.",
        );
    }
    let Some(facts) = &context.deploy else {
        return unfit_target(action.as_str());
    };
    if !facts.source_ready {
        return match action {
            Action::Rollback => refuse(
                "nothing-to-roll-back-to",
                format!("{site}.{environment} has no earlier good release to return to."),
                format!("See env:code-log {site}.{environment}."),
            ),
            _other => refuse(
                "source-never-deployed",
                format!(
                    "{source} of {site} runs nothing yet that could be deployed to {}.",
                    environment.title()
                ),
                format!("Bring code to {source} first."),
            ),
        };
    }
    if let Some(refusal) = release::failed(site, environment, context) {
        return refusal;
    }
    if action == Action::Rollback {
        return permit("team-member-rolls-back");
    }
    if !facts.on_trunk {
        return refuse(
            "deploy-comes-from-trunk",
            format!("What would be deployed to {site}.{environment} is not on the site's trunk."),
            "Bring it to trunk first (hotfix:merge), or push it to Live as a hotfix with a reason.",
        );
    }
    if let Some(name) = facts.would_lose.first() {
        let names: Vec<&str> = facts.would_lose.iter().map(|name| name.as_str()).collect();
        return refuse(
            "deploy-would-lose-hotfix",
            format!(
                "This deploy to {site}.{environment} would take the hotfix {} off Live.",
                names.join(", ")
            ),
            format!(
                "Bring it to trunk: hotfix:merge {site} {name}   or give it up: hotfix:drop {site} {name} --reason \"why\""
            ),
        );
    }
    cloning::with_deploy(role, site, environment, context)
        .unwrap_or_else(|| permit("team-member-deploys"))
}
