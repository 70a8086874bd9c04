//! What holds an environment as it is, as facts for the policy: freezes, hours of deploys, approvals.

use git2::Oid;
use jiff::Timestamp;
use policy::{Action, Approval, ApprovalState, Environment, Hold, RefKind, Target};

use super::{Evidence, Identity};
use crate::audit::IncidentId;
use crate::state::{Matter, Model, Request, Subject, for_people};

/// What the caller knows about it.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// What would run.
    pub commit: Option<Oid>,
    /// Why an administrator would go on all the same.
    pub overriding: Option<String>,
    /// The id that a new request for an approval gets.
    pub request: Option<IncidentId>,
    /// Whether the request that is answered is the person's own.
    pub own_request: bool,
    /// The moment that counts, where it is not now: that at which a change was permitted.
    pub at: Option<Timestamp>,
}

pub(super) fn facts(
    model: &Model,
    who: &Identity,
    action: Action,
    target: &Target,
    evidence: &Evidence,
) -> Hold {
    let held = &evidence.held;
    let mut hold = Hold {
        overriding: held.overriding.clone(),
        own_request: held.own_request,
        ..Hold::default()
    };
    let (Some(site), Some(environment)) = (target.site(), target.environment()) else {
        return hold;
    };
    let now = Timestamp::now();
    let holds = model.holds(site);
    hold.freeze = holds.frozen(environment, now).map(|freeze| policy::Freeze {
        by: freeze.person.clone(),
        by_administrator: freeze.administrator,
        since: for_people(freeze.since),
        reason: freeze.reason.clone(),
        until: freeze.until.map(for_people),
        content: freeze.content,
    });
    hold.hours = holds.hours(environment, held.at.unwrap_or(now));
    let Some(matter) = matter(model, who, action, target, evidence) else {
        return hold;
    };
    let request = lasting(model, target, &matter, held.at.unwrap_or(now));
    hold.approval = Some(match request {
        Some(request) => Approval {
            request: Some(request.id.clone()),
            state: state(model, request),
        },
        None => Approval {
            request: held.request.as_ref().map(ToString::to_string),
            state: ApprovalState::Asked,
        },
    });
    hold
}

/// Returns what a second person would have to approve, if the site asks for that.
pub(super) fn matter(
    model: &Model,
    who: &Identity,
    action: Action,
    target: &Target,
    evidence: &Evidence,
) -> Option<Matter> {
    let (site, environment) = (target.site()?, target.environment()?);
    let hotfix = evidence
        .push
        .as_ref()
        .is_some_and(|facts| matches!(facts.kind, RefKind::Hotfix(_)));
    let subject = match (action, target) {
        (Action::Deploy, _) | (Action::AskApproval, Target::Environment(_, _)) => Subject::Deploy,
        (Action::UpdateRef | Action::AskApproval, Target::Ref(_, _, _)) if hotfix => {
            Subject::Hotfix
        }
        _other => return None,
    };
    let asked = model.holds(site).approved.contains(&subject);
    if !asked || !matches!(environment, Environment::Live) {
        return None;
    }
    let commit = evidence.held.commit.unwrap_or(Oid::ZERO_SHA1);
    // To deploy what runs changes nothing.
    let runs = model.environment(site, environment)?.commit;
    (runs != Some(commit)).then(|| Matter {
        environment: environment.clone(),
        subject,
        commit,
        person: who.person.clone(),
    })
}

/// Returns the request for exactly this that still counts, if there is one.
pub(super) fn lasting<'a>(
    model: &'a Model,
    target: &Target,
    matter: &Matter,
    now: Timestamp,
) -> Option<&'a Request> {
    let requests = &model.holds(target.site()?).requests;
    requests
        .iter()
        .find(|request| request.matter == *matter && request.expires > now)
}

fn state(model: &Model, request: &Request) -> ApprovalState {
    match (request.approver(model), &request.answered_by) {
        (Some(by), _) => ApprovalState::Given(by.clone()),
        (None, Some(by)) => ApprovalState::Withdrawn(by.clone()),
        (None, None) => ApprovalState::Asked,
    }
}

/// Returns what the audit says of a change: also who approved it, and why a hold was overridden.
pub(super) fn said(rule: &str, hold: &Hold, detail: Option<String>) -> Option<String> {
    let overridden = hold
        .overriding
        .as_ref()
        .filter(|_| rule.starts_with("administrator-overrides-"))
        .map(|why| format!("overridden: {why}"));
    let approved = hold.approval.as_ref().and_then(|approval| {
        let request = approval.request.as_deref().unwrap_or_default();
        match &approval.state {
            ApprovalState::Given(by) => Some(format!("approved by {by}, request {request}")),
            ApprovalState::Asked | ApprovalState::Withdrawn(_) => None,
        }
    });
    let parts: Vec<String> = [detail, overridden, approved]
        .into_iter()
        .flatten()
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
