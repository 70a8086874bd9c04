//! What holds code where it is although a role would let it move: freezes, hours of deploys, and
//! approvals. Holds only take away: what the other rules refuse stays refused.

use super::{permit, refuse};
use crate::action::Action;
use crate::context::{Context, RefKind};
use crate::decision::{Decision, Rule};
use crate::environment::{Area, Environment};
use crate::hold::{ApprovalState, Freeze};
use crate::name::SiteName;
use crate::principal::{Principal, Role};
use crate::target::Target;

/// The rule that refuses what a second person has not approved; whoever is refused by it has asked.
pub const NEEDS_APPROVAL: Rule = "needs-approval";

/// What a request would change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Touched {
    /// What an environment runs, or the tree that becomes it.
    Code,
    /// Files and the database.
    Content,
    Nothing,
}

/// Decides what the other rules allow.
pub(super) fn decide(
    principal: &Principal,
    action: Action,
    target: &Target,
    context: &Context,
    allowed: Decision,
) -> Decision {
    let (Decision::Permit(_), Some(role), Some(site), Some(environment)) = (
        &allowed,
        principal.standing.role(),
        target.site(),
        target.environment(),
    ) else {
        return allowed;
    };
    let held = Held {
        role,
        action,
        site,
        environment,
        context,
        hotfix: is_hotfix(action, context),
    };
    let mut answer = allowed;
    let touched = touched(action, target, context);
    if let Some(freeze) = &context.hold.freeze
        && (touched == Touched::Code || (touched == Touched::Content && freeze.content))
    {
        match held.frozen(freeze) {
            permitted @ Decision::Permit(_) => answer = permitted,
            refused @ Decision::Refuse(_) => return refused,
        }
    }
    if let Some(decision) = held.outside_hours() {
        match decision {
            permitted @ Decision::Permit(_) => answer = permitted,
            refused @ Decision::Refuse(_) => return refused,
        }
    }
    held.unapproved().unwrap_or(answer)
}

fn is_hotfix(action: Action, context: &Context) -> bool {
    let kind = context.push.as_ref().map(|facts| &facts.kind);
    action == Action::UpdateRef && matches!(kind, Some(RefKind::Hotfix(_)))
}

fn touched(action: Action, target: &Target, context: &Context) -> Touched {
    match action {
        Action::ChangeTree(_) => match target {
            Target::Tree(_, _, Area::Code, _) => Touched::Code,
            Target::Tree(_, _, Area::Files, _) => Touched::Content,
            _other => Touched::Nothing,
        },
        Action::UpdateRef => match context.push.as_ref().map(|facts| &facts.kind) {
            Some(RefKind::Trunk | RefKind::MultidevBranch(_) | RefKind::Hotfix(_)) => Touched::Code,
            _stored => Touched::Nothing,
        },
        Action::Commit
        | Action::Discard
        | Action::RestoreWork
        | Action::SetConnectionMode
        | Action::Deploy
        | Action::Rollback
        | Action::MergeHotfix
        | Action::DeleteMultidev
        | Action::Merge
        | Action::Revert => Touched::Code,
        Action::CloneContent
        | Action::UndoContent
        | Action::ImportContent
        | Action::WipeContent
        | Action::RestoreBackup => match &context.content {
            Some(facts) if facts.wanted.code => Touched::Code,
            _content_only => Touched::Content,
        },
        // Whoever is connected to a database can write to it.
        Action::ConnectDatabase => Touched::Content,
        Action::ReadTree
        | Action::Fetch
        | Action::Push
        | Action::DropHotfix
        | Action::CancelWorkflow
        | Action::CreateMultidev
        | Action::RestoreMultidev
        | Action::AllowRelease
        | Action::SetDatabase
        | Action::SetFront
        | Action::SetStepNetwork
        | Action::ExportContent
        | Action::CreateBackup
        | Action::ReadBackups
        | Action::ScheduleBackups
        | Action::LaunchSite
        | Action::SetContent
        | Action::RotatePassword
        | Action::ViewStatus
        | Action::ViewTargets
        | Action::ManageTargets
        | Action::Freeze
        | Action::EndFreeze
        | Action::SetWindows
        | Action::AskApproval
        | Action::Approve
        | Action::DenyApproval
        | Action::ViewSite
        | Action::ChangeTeam
        | Action::CreateSite
        | Action::ManagePeople
        | Action::ManageOwnKeys
        | Action::ViewAudit
        | Action::ExplainOthers => Touched::Nothing,
    }
}

struct Held<'a> {
    role: Role,
    action: Action,
    site: &'a SiteName,
    environment: &'a Environment,
    context: &'a Context,
    hotfix: bool,
}

impl Held<'_> {
    /// Whether the person has given a reason to go on all the same.
    fn overrides(&self) -> bool {
        let reason = self.context.hold.overriding.as_deref().unwrap_or_default();
        !reason.trim().is_empty()
    }

    /// How a reason to go on is given.
    fn how(&self) -> &'static str {
        if self.hotfix {
            "git push -o override=\"why\""
        } else {
            "--override \"why\""
        }
    }

    /// Repairs may go on under an administrator's word; what can wait, waits for the freeze's end.
    fn frozen(&self, freeze: &Freeze) -> Decision {
        let Held {
            role,
            action,
            site,
            environment,
            ..
        } = self;
        let repair = self.hotfix || *action == Action::Rollback;
        if repair && self.overrides() {
            if *role == Role::Administrator {
                return permit("administrator-overrides-freeze");
            }
            return self.not_theirs("a freeze", &ends(self, freeze));
        }
        let until = match &freeze.until {
            Some(until) => format!(" until {until}"),
            None => String::new(),
        };
        let emergency = if repair {
            format!(
                " In an emergency one of the site's administrators may go on: {}.",
                self.how()
            )
        } else {
            String::new()
        };
        refuse(
            "environment-frozen",
            format!(
                "{site}.{environment} is frozen by {} since {}{until}: {}; '{}' was refused.",
                freeze.by,
                freeze.since,
                freeze.reason.trim_end_matches(['.', '!', ' ']),
                action.as_str()
            ),
            format!("{}{emergency}", ends(self, freeze)),
        )
    }

    /// Hours hold back what was planned, and no repair: neither a hotfix nor a rollback.
    fn outside_hours(&self) -> Option<Decision> {
        let hours = self.context.hold.hours.as_ref()?;
        if self.action != Action::Deploy || hours.open {
            return None;
        }
        let Held {
            role,
            site,
            environment,
            ..
        } = self;
        let wait = match &hours.opens {
            Some(opens) => format!("Deploy from {opens} on."),
            None => {
                format!(
                    "Have its hours changed: window:set {site}.{environment} \"DAYS HOURS ZONE\"."
                )
            }
        };
        if self.overrides() {
            return Some(if *role == Role::Administrator {
                permit("administrator-overrides-window")
            } else {
                self.not_theirs("the hours of deploys", &wait)
            });
        }
        Some(refuse(
            "outside-deploy-window",
            match &hours.opens {
                Some(opens) => format!(
                    "{site}.{environment} takes deploys at these hours only: {}. The next begin {opens}.",
                    hours.text
                ),
                None => format!(
                    "{site}.{environment} takes deploys at these hours only: {}.",
                    hours.text
                ),
            },
            format!(
                "{wait} In an emergency push a hotfix, roll back, or have one of the site's administrators deploy with {}.",
                self.how()
            ),
        ))
    }

    /// What a second person has to approve; nobody may go on without, whatever their role.
    fn unapproved(&self) -> Option<Decision> {
        let approval = self.context.hold.approval.as_ref()?;
        if self.action != Action::Deploy && !self.hotfix {
            return None;
        }
        let what = if self.hotfix { "a hotfix" } else { "a deploy" };
        let before = match &approval.state {
            ApprovalState::Given(_) => return None,
            ApprovalState::Asked => String::new(),
            ApprovalState::Withdrawn(by) => format!(
                " {by} had approved this one, but may not any more, so that no longer counts."
            ),
        };
        let Held {
            site, environment, ..
        } = self;
        let again = if self.hotfix {
            "push again"
        } else {
            "repeat the command"
        };
        Some(refuse(
            NEEDS_APPROVAL,
            match &approval.request {
                Some(request) => format!(
                    "{site} wants {what} to {} approved by a second person; request {request} waits for that, and nothing was changed.{before}",
                    environment.title()
                ),
                None => format!(
                    "{site} wants {what} to {} approved by a second person.{before}",
                    environment.title()
                ),
            },
            match &approval.request {
                Some(request) => {
                    format!("Have another team member run deploy:approve {request}   then {again}.")
                }
                None => format!(
                    "Ask for it by trying; another team member then runs deploy:approve, and you {again}."
                ),
            },
        ))
    }

    fn not_theirs(&self, what: &str, instead: &str) -> Decision {
        let Held {
            role,
            site,
            environment,
            ..
        } = self;
        refuse(
            "override-is-for-administrators",
            format!("Overriding {what} of {site}.{environment} is not for the role {role}."),
            format!("Ask one of the site's administrators. {instead}"),
        )
    }
}

/// How a freeze ends.
fn ends(held: &Held<'_>, freeze: &Freeze) -> String {
    let Held {
        site, environment, ..
    } = held;
    let command = format!("lock:disable {site}.{environment}");
    match (&freeze.until, freeze.by_administrator) {
        (Some(until), true) => format!(
            "It ends by itself at {until}; before, one of the site's administrators ends it: {command}."
        ),
        (Some(until), false) => {
            format!("It ends by itself at {until}; before, a team member ends it: {command}.")
        }
        (None, true) => format!("One of the site's administrators ends it: {command}."),
        (None, false) => format!("A team member ends it: {command}."),
    }
}
