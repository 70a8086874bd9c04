//! Who may freeze an environment, say when deploys go there, and answer a request for an approval.

use super::hold::NEEDS_APPROVAL;
use super::{permit, refuse, unfit_target};
use crate::action::Action;
use crate::context::Context;
use crate::decision::Decision;
use crate::environment::Environment;
use crate::name::SiteName;
use crate::principal::Role;

/// Who may freeze an environment, end that, and say when deploys go there.
pub(super) fn keep(
    role: Role,
    action: Action,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    if action == Action::SetWindows {
        return windows(role, site, environment);
    }
    if role < Role::TeamMember {
        return refuse(
            "freeze-is-for-team-members",
            format!("Freezing {site}.{environment}, or ending that, is not for the role {role}."),
            "Ask a team member of the site.",
        );
    }
    match (action, &context.hold.freeze) {
        (Action::Freeze, Some(freeze)) => refuse(
            "already-frozen",
            format!(
                "{site}.{environment} is frozen already, by {} since {}: {}.",
                freeze.by,
                freeze.since,
                freeze.reason.trim_end_matches(['.', '!', ' '])
            ),
            format!(
                "To freeze it for another reason, end that first: lock:disable {site}.{environment}."
            ),
        ),
        (Action::EndFreeze, Some(freeze))
            if freeze.by_administrator && role < Role::Administrator =>
        {
            refuse(
                "freeze-of-an-administrator",
                format!(
                    "{}, an administrator, has frozen {site}.{environment}: {}; ending that is not for the role {role}.",
                    freeze.by,
                    freeze.reason.trim_end_matches(['.', '!', ' '])
                ),
                "Ask one of the site's administrators.",
            )
        }
        (Action::Freeze, None) => permit("team-member-freezes"),
        (Action::EndFreeze, _) => permit("team-member-ends-freeze"),
        (_other, _) => unfit_target(action.as_str()),
    }
}

fn windows(role: Role, site: &SiteName, environment: &Environment) -> Decision {
    if role < Role::Administrator {
        return refuse(
            "site-administrators-only",
            format!("When deploys go to {site}.{environment} is not for the role {role} to say."),
            "Ask one of the site's administrators.",
        );
    }
    match environment {
        Environment::Test | Environment::Live => permit("administrator-sets-windows"),
        Environment::Dev | Environment::Multidev(_) => refuse(
            "deploys-go-to-test-or-live",
            format!("{site}.{environment} has no deploys, so it has no hours for them."),
            "Set them for Test or Live; lock:enable freezes any environment.",
        ),
    }
}

/// Who may answer a request for an approval.
pub(super) fn answer(role: Role, action: Action, site: &SiteName, context: &Context) -> Decision {
    if role < Role::TeamMember {
        return refuse(
            "approval-is-for-team-members",
            format!("Approving or denying deploys of {site} is not for the role {role}."),
            "Ask a team member of the site.",
        );
    }
    match action {
        Action::Approve if context.hold.own_request => refuse(
            "approval-is-a-second-persons",
            format!(
                "This deploy of {site} was asked for by you, and is to be approved by a second person."
            ),
            "Ask another team member of the site.",
        ),
        Action::Approve => permit("second-person-approves"),
        Action::DenyApproval => permit("team-member-denies"),
        _other => unfit_target(action.as_str()),
    }
}

/// Asks for an approval: for who could do it, were it approved.
pub(super) fn ask(wanted: Decision) -> Decision {
    match wanted {
        Decision::Refuse(refusal) if refusal.rule == NEEDS_APPROVAL => {
            permit("may-ask-for-approval")
        }
        Decision::Refuse(refusal) => Decision::Refuse(refusal),
        Decision::Permit(_) => refuse(
            "approval-not-needed",
            "This needs no approval that it has not got.",
            "Go on without.",
        ),
    }
}
