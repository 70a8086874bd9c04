//! People, keys, teams, sites and the audit.

use super::{no_such_site, permit, refuse, unfit_target};
use crate::action::Action;
use crate::decision::Decision;
use crate::principal::{Principal, Role, Standing};
use crate::target::Target;

pub(super) fn decide(principal: &Principal, action: Action, target: &Target) -> Decision {
    match action {
        Action::CreateSite | Action::ManagePeople => server_administrator(principal, action),
        Action::ManageOwnKeys => match target {
            Target::Person(person) if *person == principal.person => permit("own-keys"),
            _other => server_administrator(principal, Action::ManagePeople),
        },
        Action::ViewAudit | Action::ExplainOthers => match target {
            Target::Server | Target::Person(_) => server_administrator(principal, action),
            Target::Site(_)
            | Target::Environment(_, _)
            | Target::Tree(_, _, _, _)
            | Target::Ref(_, _, _) => site_administrator(principal, action, target),
        },
        Action::ChangeTeam | Action::LaunchSite | Action::SetContent => {
            site_administrator(principal, action, target)
        }
        Action::SetStepNetwork => step_network(principal, target),
        Action::ViewSite => match (principal.standing.role(), target.site()) {
            (_, None) => unfit_target(action.as_str()),
            (Some(_), Some(_)) => permit("member-views-site"),
            (None, Some(site)) => no_such_site(site),
        },
        Action::ReadTree
        | Action::ChangeTree(_)
        | Action::Fetch
        | Action::Push
        | Action::UpdateRef
        | Action::Commit
        | Action::Discard
        | Action::RestoreWork
        | Action::SetConnectionMode
        | Action::Deploy
        | Action::Rollback
        | Action::MergeHotfix
        | Action::DropHotfix
        | Action::CreateMultidev
        | Action::DeleteMultidev
        | Action::RestoreMultidev
        | Action::Merge
        | Action::Revert
        | Action::CancelWorkflow
        | Action::AllowRelease
        | Action::SetFront
        | Action::Freeze
        | Action::EndFreeze
        | Action::SetWindows
        | Action::AskApproval
        | Action::Approve
        | Action::DenyApproval
        | Action::ConnectDatabase
        | Action::SetDatabase
        | Action::CloneContent
        | Action::UndoContent
        | Action::ImportContent
        | Action::ExportContent
        | Action::WipeContent
        | Action::CreateBackup
        | Action::ReadBackups
        | Action::RestoreBackup
        | Action::ScheduleBackups
        | Action::RotatePassword
        | Action::ViewStatus
        | Action::ViewTargets
        | Action::ManageTargets => unfit_target(action.as_str()),
    }
}

/// The network behind the gateway is the server's: who may push code must not reach it by a step.
fn step_network(principal: &Principal, target: &Target) -> Decision {
    match (principal.standing, target.site()) {
        (_, None) => unfit_target(Action::SetStepNetwork.as_str()),
        (Standing::ServerAdministrator, Some(_)) => permit("server-administrator"),
        (Standing::Member(_), Some(site)) => refuse(
            "server-administrators-only",
            format!(
                "Whether the steps of {site} reach the network is for the server's administrators."
            ),
            "Ask the server's administrator.",
        ),
        (Standing::Stranger | Standing::Ended(_), Some(site)) => no_such_site(site),
    }
}

fn server_administrator(principal: &Principal, action: Action) -> Decision {
    match principal.standing {
        Standing::ServerAdministrator => permit("server-administrator"),
        Standing::Member(_) | Standing::Stranger | Standing::Ended(_) => refuse(
            "server-administrators-only",
            format!(
                "'{}' on the server as a whole is for its administrators; {} is not one.",
                action.as_str(),
                principal.person
            ),
            "Ask the server's administrator.",
        ),
    }
}

fn site_administrator(principal: &Principal, action: Action, target: &Target) -> Decision {
    let Some(site) = target.site() else {
        return unfit_target(action.as_str());
    };
    match principal.standing.role() {
        Some(Role::Administrator) => permit("site-administrator"),
        Some(role @ (Role::TeamMember | Role::Developer | Role::Viewer)) => refuse(
            "site-administrators-only",
            format!(
                "'{}' on {site} is not for the role {role}.",
                action.as_str()
            ),
            "Ask one of the site's administrators.",
        ),
        None => no_such_site(site),
    }
}
